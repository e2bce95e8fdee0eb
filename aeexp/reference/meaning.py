"""What YAML and docstrings say of an option together: its line, its loss, its papers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from aeexp.reference import options
from aeexp.reference.docstrings import find_papers, first_sentence, read_docstring
from aeexp.reference.options import Option

HEADED = ("variant", "experiment", "dataset", "dataset/split")  # groups whose YAML's first line says it best


def describe(option: Option) -> str:
    """What an option is, in one sentence."""
    header, text = first_sentence(" ".join(option.header[: option.lead or 1])), read_docstring(option.target).first
    if option.group in HEADED or option.target in find_shared_targets(option.group):
        text = header or text
    return text or header or ", ".join(option.includes) or "nothing"


@cache
def find_shared_targets(group: str) -> set[str]:
    """Targets that several options of a group build: their docstring cannot tell one from another."""
    targets = [options.read_option(group, name).target for name in options.list_groups().get(group, ())]
    return {target for target in targets if target and targets.count(target) > 1}


def list_papers(option: Option) -> list[str]:
    """Papers that YAML and docstring name; of a variant also those of what it picks."""
    texts = [" ".join(option.header), read_docstring(option.target).text, read_docstring(option.target).formula]
    texts += [read_docstring(part.target).text for part in list_parts(option)]
    return find_papers("\n".join(texts))


def list_parts(option: Option) -> list[Option]:
    """What a variant picks, which makes it what it is; of any other option nothing."""
    return list_picks(option) if option.group == "variant" else []


def list_picks(option: Option) -> list[Option]:
    """The options of other groups that a file picks."""
    return [options.read_option(group, name) for group, names in option.picks.items() for name in names]


def list_loss_terms(variant: Option) -> Iterator[tuple[str, str]]:
    """Terms of a variant's loss with their formulas: picks, and the defaults where it picks nothing."""
    chosen = {group: names for group, (names, _) in options.read_defaults().items()} | variant.picks
    latent, likelihood, objective = (
        options.read_option(group, chosen[group][0]) for group in ("latent", "likelihood", "objective")
    )
    formula = read_docstring(likelihood.target).formula
    if objective.name == "additive":
        yield f"reconstruction: {likelihood.word}", formula
    else:
        yield objective.word, read_docstring(objective.target).formula
        yield f"-log p(x|z): {likelihood.word}", formula
    own = {key.path: key.value for key in variant.keys}
    for name in chosen["regularizer"]:
        penalty, path = options.read_option("regularizer", name), f"regularizer.{name}.weight"
        weight = own.get(path) or next((key.value for key in penalty.keys if key.path == path), "")
        if weight:
            docstring = read_docstring(penalty.target)
            yield f"+ {weight} × {name}", docstring.formula or docstring.first
    yield f"of the code z: {latent.word}", read_docstring(latent.target).formula

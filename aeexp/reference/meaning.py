"""What YAML and docstrings say of an option together: its line, its loss, its papers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from aeexp.reference import options
from aeexp.reference.docstrings import Said, cited, first_sentence, said
from aeexp.reference.options import Option

HEADED = ("variant", "experiment", "dataset", "dataset/split")  # groups whose YAML's first line says it best


def line(option: Option) -> str:
    """What an option is, in one sentence."""
    header, text = first_sentence(" ".join(option.header[: option.lead or 1])), said(option.target).first
    if option.group in HEADED or option.target in shared(option.group):
        text = header or text
    together = f"{', '.join(option.includes)}" if option.includes and option.target is None else ""
    return text or header or together or "nothing"


@cache
def shared(group: str) -> set[str]:
    """Targets that several options of a group build: their docstring cannot tell one from another."""
    targets = [options.option(group, name).target for name in options.groups().get(group, ())]
    return {target for target in targets if target and targets.count(target) > 1}


def sources(option: Option) -> list[str]:
    """Papers that YAML and docstring name; of a variant also those of what it picks."""
    texts = [" ".join(option.header), said(option.target).text, said(option.target).formula]
    texts += [said(part.target).text for part in picked(option)]
    return cited("\n".join(texts))


def picked(option: Option) -> list[Option]:
    return [options.option(*pick) for pick in option.picks] if option.group == "variant" else []


def loss(variant: Option) -> Iterator[tuple[str, str]]:
    """Terms of a variant's loss with their formulas: picks, and the defaults where it picks nothing."""
    chosen = {group: names for group, (names, _) in options.defaults().items()}
    for group in dict.fromkeys(group for group, _ in variant.picks):
        chosen[group] = tuple(name for each, name in variant.picks if each == group)

    def part(group: str, name: str) -> tuple[Option, Said]:
        found = options.option(group, name)
        return found, said(found.target)

    latent, likelihood, objective = (part(group, chosen[group][0]) for group in ("latent", "likelihood", "objective"))
    if objective[0].name == "additive":
        yield f"reconstruction: {likelihood[0].word}", likelihood[1].formula
    else:
        yield objective[0].word, objective[1].formula
        yield f"-log p(x|z): {likelihood[0].word}", likelihood[1].formula
    own = {key.path: key.value for key in variant.keys}
    for name in chosen["regularizer"]:
        found, text = part("regularizer", name)
        path = f"regularizer.{name}.weight"
        weight = own.get(path) or next((key.value for key in found.keys if key.path == path), "")
        if weight:
            yield f"+ {weight} × {name}", text.formula or text.first
    yield f"of the code z: {latent[0].word}", latent[1].formula

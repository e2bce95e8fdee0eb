"""The records: every one is whole, composes in all its forms and reads numbers that exist; a wrong one is told."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from composing import CONF
from representatives import few

from aeexp.errors import UsageError
from aeexp.evaluation.protocol import describe_numbers
from aeexp.reproductions.planning import choose_rows, compose_words, make_plan
from aeexp.reproductions.records import check_study, list_studies, read_study
from aeexp.reproductions.studies import FORMS, Study
from aeexp.runs.composing import compose_run
from aeexp.runs.config import make

NAMES = list_studies()
STUDIES = {name: read_study(name) for name in NAMES}
RECORD = yaml.safe_load((CONF / "reproduce" / "deep_mnist.yaml").read_text(encoding="utf-8"))


def lines(study: Study) -> Iterator[tuple[str, list[str]]]:
    """Every arm in full, on the rows that everybody has; the first arm alone of other rows and of the short form."""
    from aeexp.reproductions import planning

    for form in FORMS:
        for choice in study.choices or (None,):
            plain = form == "full" and (choice is None or choice is study.choices[-1])
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(planning, "compose_words", lambda words: list(words))
                steps = make_plan(study, form, choice, [], Path("/out")).steps
            arms = [step for step in steps if step.arm]
            for step in [*(step for step in steps if not step.arm), *(arms if plain else arms[:1])]:
                if step.line[0] == "aeexp":
                    yield f"{form} {choice and choice.name} {step.arm}", step.line[1:]


@pytest.mark.parametrize("name", few(NAMES, "pca_mnist", "m2_mnist"))
def test_a_study_composes_and_reads_numbers_that_its_metrics_declare(name):
    study = STUDIES[name]
    places = set()
    for what, line in lines(study):
        words = [word for word in line if "=" in word and not word.startswith("hydra.")]
        compose_words(words)
        places |= {word for word in line if word.startswith("hydra.sweep.dir=")}
        if what.startswith("full") and "hydra.run.dir" not in " ".join(line):
            metrics = make(compose_run([word for word in words if not word.startswith("seed=")]).cfg, "metric")
            keys = [study.number, *(each.number for each in study.readings.values() if each.number)]
            keys += [each.number for each in study.choices if each.number]
            describe_numbers(metrics, [key.replace("*", "n1_x" if "frechet" in key else "") for key in keys])
    assert len(places) >= len(study.arms)  # no two arms share a folder


def test_the_walk_saw_the_keys():
    assert len(REQUIRED) > 35 and ("sources", "0", "read") in REQUIRED and ("readings", "PCA", "of") in REQUIRED


def test_the_studies_are_those_that_were_asked_for():
    assert {"pca_mnist", "deep_mnist", "sdae_mnist", "cae_mnist", "vae_mnist", "iwae_mnist", "vamp_mnist", "rae_mnist",
            "m2_mnist", "m1_m2_mnist", "factors_sprites", "hashing_mnist", "k_sparse_mnist", "cvae_digits",
            "recurrent_waves"} <= set(NAMES)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_tolerance_says_how_it_was_derived_and_a_source_who_read_it(name):
    study = STUDIES[name]
    for form in FORMS:
        parts = study.form(form)
        for claim in (*parts.published, *parts.orders, *parts.bounds):
            assert len(claim.derived) > 10
    assert all(source.note and source.place for source in study.sources)
    computed = all(source.read == "computed" for source in study.sources)
    assert computed or study.full.published or study.full.orders


def test_all_short_forms_together_take_less_than_half_an_hour():
    assert sum(study.short.budget.two_cores for study in STUDIES.values()) < 0.5


def paths(node: Any, *before: str) -> Iterator[tuple[str, ...]]:
    """The place of each key of a record."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*before, key)
            yield from paths(value, *before, key)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from paths(value, *before, str(i))


def within(node: Any, *path: str) -> Any:
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node


OPTIONAL = {"choices", "readings", "notes", "words", "side", "needs", "orders", "published", "bounds"}
FREE = ("arms", "readings")  # tables whose keys are names
REQUIRED = [
    path for path in sorted(set(paths(RECORD)))
    if path[-1] not in OPTIONAL and not (path[0] in FREE and (len(path) == 2 or path[-1] == "place"))
]  # fmt: skip


@pytest.mark.parametrize("path", REQUIRED, ids=".".join)
def test_a_missing_key_is_told_by_its_place(path):
    node = copy.deepcopy(RECORD)
    del within(node, *path[:-1])[path[-1]]
    with pytest.raises(ValueError, match=f"^{'.'.join(path)}: missing".replace(".", "[.]").replace("^", "(^|; )")):
        check_study("x", node)


TABLES = [(), *(path for path in sorted(set(paths(RECORD))) if isinstance(within(RECORD, *path), dict)
                and path[0] not in FREE)]  # fmt: skip


@pytest.mark.parametrize("path", TABLES, ids=".".join)
def test_an_unknown_key_is_told_by_its_place(path):
    node = copy.deepcopy(RECORD)
    within(node, *path)["tolerence"] = 1
    place = ".".join((*path, "tolerence"))
    with pytest.raises(ValueError, match=f"{place.replace('.', '[.]')}: there is no such key"):
        check_study("x", node)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("full", "published", "0", "tolerance"), -0.1, "tolerance"),
        (("full", "published", "0", "tolerance"), "0.1", "tolerance"),
        (("full", "published", "0", "derived"), " ", "derived"),
        (("full", "published", "0", "arm"), "deeper", "nothing measures the arm 'deeper'; there are deep, PCA"),
        (("full", "orders", "0", "arms"), ["deep"], "two different arms"),
        (("full", "seeds"), [], "seeds: at least one"),
        (("full", "seeds"), [0, 0], "none twice"),
        (("short", "orders"), [], "short: say what must come out"),
        (("short", "arms"), ["wide"], "there is no arm 'wide'"),
        (("readings", "PCA", "of"), "wide", "readings.PCA.of: there is no arm 'wide'"),
        (("better",), "larger", "better"),
        (("sources", "0", "read"), "hearsay", "sources.0.read"),
        (("sources",), [], "sources: name at least one"),
        (("sources", "0", "year"), 206, "year"),
        (("command",), "dataset='mnist", "command: .*quot"),
        (("arms", "deep"), 'latent="x', "arms.deep: .*quot"),
        (("short", "words"), "a='", "short.words: .*quot"),
        (("full", "first"), [""], "full.first.0: .*a line begins with aeexp or aeexp-encode"),
        (("full", "first"), ["rm -r x"], "full.first.0: .*a line begins with aeexp or aeexp-encode"),
    ],
)
def test_a_wrong_value_is_told_by_its_place(path, value, message):
    node = copy.deepcopy(RECORD)
    within(node, *path[:-1])[path[-1] if not isinstance(within(node, *path[:-1]), list) else int(path[-1])] = value
    with pytest.raises(ValueError, match=message):
        check_study("x", node)


def test_a_name_that_there_is_none_of_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="vae_mnits: there is no such study: did you mean vae_mnist?"):
        read_study("vae_mnits")


def test_rows_are_the_first_whose_files_are_there_and_say_so(tmp_path, monkeypatch):
    study = STUDIES["vae_mnist"]
    monkeypatch.setenv("AEEXP_DATA", str(tmp_path))
    with pytest.raises(UsageError, match="MNIST/raw is not in .*: set AEEXP_DATA"):
        choose_rows(study)
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    assert choose_rows(study) == study.choices[1] and "own" in study.choices[1].name
    (tmp_path / "binarized_mnist").mkdir()
    for need in study.choices[0].needs:
        (tmp_path / need).touch()
    chosen = choose_rows(study)
    assert chosen is not None and "Larochelle" in chosen.name and chosen.number == "generation/nll"
    assert choose_rows(study, study.choices[1].name) == study.choices[1]
    with pytest.raises(UsageError, match="--rows usps: vae_mnist has no such rows: it has Larochelle"):
        choose_rows(study, "usps")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("latent.dim=2,4", "latent.dim=2,4: a study takes one value"),
        ("hydra.sweep.dir=x", "--output"),
        ("dataset.root=x", "below AEEXP_DATA"),
        ("trainer.epoch=5", "trainer.epoch"),
    ],
)
def test_words_that_a_study_cannot_take_are_told_before_anything_runs(word, message):
    with pytest.raises(UsageError, match=message):
        make_plan(STUDIES["cvae_digits"], "short", None, [word], Path("/out"))


def test_where_a_study_runs_does_not_change_what_it_is():
    """The launcher, the threads and the device leave folders as they are; anything else has its own."""
    study = STUDIES["cvae_digits"]

    def folders(*added: str) -> list[Path]:
        return [step.folder for step in make_plan(study, "short", None, added, Path("/out")).steps]

    plain = folders()
    assert folders("hydra/launcher=joblib", "threads=1", "device=cpu") == plain
    other = folders("trainer.epochs=1")
    assert not set(other) & set(plain) and len(set(other)) == 2
    assert all("short-" in str(folder) for folder in other)

"""The reference says all that a user can set and all that a run leaves, as YAML, docstrings and signatures have it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import draw_figures
import pytest
from commands import ROOT
from composing import compose_as_typed, run_in
from hydra.utils import get_object
from number_pages import PARTS, build_page
from option_pages import build_pages, escape, list_groups, name_page, show_pattern, write_line
from settled import settle

from aeexp.reference import options
from aeexp.reference.docstrings import read_docstring
from aeexp.reference.options import Option
from aeexp.runs.config import check

RUN_FOLDER = (ROOT / "docs" / "reference" / "run-folder.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return build_pages()


@pytest.fixture(scope="module")
def every() -> list[Option]:
    """All options of all groups."""
    return [options.read_option(group, name) for group, names in list_groups().items() for name in names]


@pytest.fixture(scope="module")
def numbers() -> str:
    return build_page()


def test_each_option_has_a_page_with_its_keys_formula_and_papers(pages, every):
    assert len(every) > 180
    for option in every:
        page = pages[name_page(option.group, option.name)]
        assert page.startswith(f"# {option.word}\n")
        for key in option.keys:
            assert f"`{key.path}`" in page, (option.word, key.path)
            if key.comment:
                assert " ".join(escape(key.comment).split()).replace("|", "\\|") in page, (option.word, key.comment)
        text = read_docstring(option.target)
        assert not text.formula or " ".join(text.formula.split()) in page
        assert not text.look or escape(text.look) in page
        assert f"[`{option.name}`]({option.name}.md)" in pages[name_page(option.group)]


def test_keys_of_an_option_say_what_they_may_be(pages):
    """Of what our own constructors take; torch's optimizers have types of their own."""
    for group, key in (("regularizer/kl", "regularizer.kl.free_bits"), ("latent/topk", "latent.k"),
                       ("optimizer/adam", "optimizer.lr"), ("dataset/csv", "dataset.missing")):  # fmt: skip
        (row,) = re.findall(rf"^\| `{re.escape(key)}` \|(.*)$", pages[f"reference/{group}.md"], re.MULTILINE)
        assert row.split("|")[1].strip(), (group, key)


def test_the_page_of_numbers_has_every_metric_and_all_that_it_declares(pages, every, numbers):
    for option in every:
        if option.group == "metric" and option.target:
            for number in get_object(option.target).numbers:
                assert f"`{show_pattern(number.pattern)}`" in numbers
                assert f"`{show_pattern(number.pattern)}`" in pages[name_page("metric", option.name)]


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        (r"probe/(linear|knn)", "probe/{linear,knn}"), (r"probe/\w+_n\d+", "probe/NAME_nN"),
        (r"a/nats(_fixed|_per_epoch)?", "a/nats{,_fixed,_per_epoch}"), (r"a/(b|c(_d)?)", "a/{b,c{,_d}}"),
        ("loss/.*", "loss/NAME"), (r"a/b\.5", "a/b.5"),
    ],
)  # fmt: skip
def test_a_pattern_is_shown_without_its_signs(pattern, shown):
    assert show_pattern(pattern) == shown


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run_in(folder, "dataset=digits", "dataset.limit=60", "trainer.epochs=1", "save_codes=true", "plot=reconstructions")
    return folder


def fits(key: str, shown: set[str]) -> bool:
    """Whether a key is one of a pattern that the page shows."""

    def expression(text: str) -> str:
        text = re.escape(text).replace("NAME", ".+").replace("\\{", "(?:").replace("\\}", ")").replace(",", "|")
        return re.sub(r"(?<![A-Z])N(?![A-Z])", r"\\d+", text)

    return any(re.fullmatch(expression(each), key) for each in shown)


def test_every_key_of_a_run_is_on_the_page_of_numbers(run, numbers):
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    shown = set(re.findall(r"^\| `([^`]+)` \|", numbers, re.MULTILINE))
    keys = {key for split in ("train", "val", "test") for key in metrics[split]}
    keys |= {key for row in metrics["baseline"].values() for key in row}
    assert len(keys) > 15 and [key for key in keys if not fits(key, shown)] == []
    parts = {name for names in PARTS for name in names.split(", ")}
    assert set(metrics) <= parts


def test_every_file_of_a_run_is_named(run):
    named = set(re.findall(r"`([\w./*]+)`", RUN_FOLDER))
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    folders = ("figures/", "tensorboard/")
    assert len(files) > 8
    unnamed = {file for file in files if not file.startswith((*folders, ".lock"))} - named
    assert unnamed == set() and {"figures/*.png", "tensorboard/"} <= named


@pytest.mark.slow
def test_the_line_of_each_option_composes(every):
    lines = {option.word: line for option in every if (line := write_line(option))}
    assert len(lines) > 120
    for line in lines.values():
        check(compose_as_typed(*settle(line.split()[1:])))


def test_each_figure_has_a_line_that_draws_it_and_each_variant_has_a_figure():
    """docs/tools/draw_figures.py holds what is in docs/figures, and nothing there is of no line."""
    drawn = {name for entry in draw_figures.ENTRIES.values() for name in entry.keep}
    noises = {f"noise-{name}" for name in ("gaussian", "masking", "salt_pepper", "block")}
    assert {path.stem for path in (ROOT / "docs" / "figures").glob("*.png")} == drawn | noises
    named = [name for names in draw_figures.VARIANTS.values() for name in names]
    assert sorted(named) == sorted(list_groups()["variant"])

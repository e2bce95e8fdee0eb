"""What a study leaves: reproduce.json, the records beside conf/, tables, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reported import job

from aeexp.cli.reproduce import main
from aeexp.errors import UsageError
from aeexp.reproductions import running
from aeexp.reproductions.bench import CHANGED, NEW, SAME, compare
from aeexp.reproductions.planning import make_plan
from aeexp.reproductions.records import list_studies, read_study
from aeexp.reproductions.results import NAME, find_last, find_recorded, make_result, read_result, write_result
from aeexp.reproductions.running import find_number, read_values
from aeexp.reproductions.studies import FORMS
from aeexp.reproductions.telling import describe_cell, describe_result, list_markdown, list_table

RECORD = """
title: two of a kind
sources: [{authors: A and B, title: T, year: 2020, place: table 1, read: second_hand, note: as quoted}]
unit: error
better: lower
number: reconstruction/mse
convert: none
protocol: {split: s, binarisation: b, samples: s, epochs: e, differs: d}
command: dataset=digits metric=[reconstruction] trainer.epochs=1 'model.hidden_dims=[]'
arms: {small: latent.dim=2, large: latent.dim=8}
readings: {PCA: {of: small, place: pca}}
full:
  seeds: [0, 1]
  budget: {two_cores: 1, gpu: null, measured: guessed}
  published: [{arm: large, value: 1.0, spread: 0.1, tolerance: 0.2, derived: by hand}]
short:
  seeds: [0, 1]
  budget: {two_cores: 1, gpu: null, measured: guessed}
  orders: [{arms: [large, small], derived: more units tell more}]
"""


@pytest.fixture
def conf(tmp_path, monkeypatch) -> Path:
    """A folder of options with the study `pair`; nothing is trained: `numbers` are what its arms' runs measure."""
    folder = tmp_path / "conf"
    (folder / "reproduce").mkdir(parents=True)
    (folder / "reproduce" / "pair.yaml").write_text(RECORD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return folder


def measure(monkeypatch, **numbers: list[float]) -> list[str]:
    """The arms whose lines were called; each has these numbers, seed by seed."""
    called = []

    def call(line):
        place = Path(next(word for word in line if word.startswith("hydra.sweep.dir="))[len("hydra.sweep.dir=") :])
        arm = place.name.partition("-")[0]
        called.append(arm)
        for seed, value in enumerate(numbers[arm]):
            baseline = {"pca": {"reconstruction/mse": 1.5}}
            job(place / str(seed), f"seed={seed}", baseline=baseline, reconstruction__mse=value)
        return 0

    monkeypatch.setattr(running, "call", call)
    return called


def reproduce(conf: Path, *words: str) -> int:
    try:
        main([*words, "--config-dir", str(conf)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_study_that_comes_out_passes_and_leaves_its_numbers(conf, monkeypatch, capsys):
    measure(monkeypatch, small=[3.0, 3.2], large=[1.0, 1.1])
    assert reproduce(conf, "pair") == 0
    text = capsys.readouterr().out
    assert "large: 1 ± 0.1, tolerance 0.2" in text and "second-hand" in text and "PASS (2 seeds" in text
    result = read_result(Path("outputs/reproduce/pair/full") / NAME)
    assert result is not None and result.verdict == "PASS" and result.words == ()
    assert result.values == {"small": {0: 3.0, 1: 3.2}, "large": {0: 1.0, 1: 1.1}, "PCA": {0: 1.5, 1: 1.5}}
    row = Path("outputs/reproduce/pair/full/row.md").read_text(encoding="utf-8")
    assert row.startswith("| `pair`: two of a kind (A and B 2020; second-hand; error) | large 1 | PASS: large: 1 ± 0.1")
    assert {"cpu", "cores", "system"} <= result.machine.keys() and "python" in result.versions


def test_the_list_says_how_far_a_study_is(conf, monkeypatch, capsys):
    def state() -> str:
        reproduce(conf, "--list", "pair")
        return next(line for line in capsys.readouterr().out.splitlines() if "pair" in line)

    assert state().count("not run") == 2
    monkeypatch.setattr(running, "call", lambda line: 130)
    assert reproduce(conf, "pair") == 130
    Path("outputs/reproduce/pair/full").mkdir(parents=True, exist_ok=True)  # what the call would have made
    assert "begun" in state()
    measure(monkeypatch, small=[3.0, 3.2], large=[1.0, 1.1])
    assert reproduce(conf, "pair") == 0
    capsys.readouterr()
    assert "PASS" in state() and "begun" not in state()


def test_a_study_that_does_not_come_out_fails_and_is_kept(conf, monkeypatch, capsys):
    measure(monkeypatch, small=[3.0, 3.2], large=[1.5, 1.6])
    assert reproduce(conf, "pair") == 1
    assert "FAIL (2 seeds" in capsys.readouterr().out
    assert find_last("pair", "full", Path("outputs/reproduce").absolute()) is not None


def test_a_missing_seed_is_not_complete(conf, monkeypatch, capsys):
    measure(monkeypatch, small=[3.0, 3.2], large=[1.0])
    assert reproduce(conf, "pair") == 1
    text = capsys.readouterr().out
    assert "INCOMPLETE" in text and "no number of large, seed 1: it was not run" in text


def test_what_is_finished_is_read_and_not_run_again(conf, monkeypatch, capsys):
    called = measure(monkeypatch, small=[3.0, 3.2], large=[1.0, 1.1])
    assert reproduce(conf, "pair", "--short") == 0 and called == ["small", "large"]
    first = capsys.readouterr().out
    assert reproduce(conf, "pair", "--short") == 0 and called == ["small", "large"]
    assert capsys.readouterr().out == first
    assert "only the short form" in first


def test_a_study_of_ones_own_words_says_so_and_is_not_listed(conf, monkeypatch, capsys):
    measure(monkeypatch, small=[3.0, 3.2], large=[1.0, 1.1])
    assert reproduce(conf, "pair", "trainer.epochs=2") == 0
    assert "no longer the study" in capsys.readouterr().out
    reproduce(conf, "--list", "pair")
    assert "not run" in capsys.readouterr().out
    assert reproduce(conf, "pair", "trainer.epochs=2", "--record") == 2
    assert "this is no result of the study" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["piar"], "did you mean pair?"),
        ([], "name a study"),
        (["pair", "deep_mnist"], "one study at a time"),
        (["pair", "--rows", "x"], "it has one kind alone"),
        (["pair", "latent.dims=3"], "latent.dims"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(conf, monkeypatch, capsys, words, message):
    called = measure(monkeypatch)
    assert reproduce(conf, *words) == 2
    assert message in capsys.readouterr().err and called == []


def test_a_line_that_the_command_refuses_is_a_mistake(conf, monkeypatch, capsys):
    monkeypatch.setattr(running, "call", lambda line: 2)
    assert reproduce(conf, "pair") == 2
    monkeypatch.setattr(running, "call", lambda line: 130)
    assert reproduce(conf, "pair") == 130


def test_numbers_are_found_by_a_pattern_in_a_split_or_a_baseline():
    metrics = {"test": {"a/x_n7": 1.0, "a/y": None}, "baseline": {"pca": {"a/x_n7": 2.0}}}
    found = find_number(metrics, "a/x_*")
    assert found is not None and found == ("a/x_n7", 1.0)
    found = find_number(metrics, "a/x_*", "pca")
    assert found is not None and found.value == 2.0
    assert find_number(metrics, "a/y") is None and find_number(metrics, "a/x_*", "itq") is None


def test_per_cent_wrong_is_what_accuracy_leaves(conf, tmp_path, monkeypatch):
    text = RECORD.replace("convert: none", "convert: percent_wrong")
    (conf / "reproduce" / "pair.yaml").write_text(text, encoding="utf-8")
    measure(monkeypatch, small=[0.9, 0.9], large=[0.99, 0.99])
    assert reproduce(conf, "pair") == 0
    result = read_result(tmp_path / "outputs/reproduce/pair/full" / NAME)
    assert result is not None and result.values["large"][0] == pytest.approx(1.0)


def test_the_bench_compares_with_the_record(conf, monkeypatch, capsys):
    measure(monkeypatch, small=[3.0, 3.2], large=[1.0, 1.1])
    recorded = conf / "reproduce" / "recorded"
    assert reproduce(conf, "--bench", "pair") == 0
    assert "not recorded yet" in capsys.readouterr().out
    made = next(Path("outputs/reproduce").glob(f"bench-*/pair/short/{NAME}"))
    recorded.mkdir()
    (recorded / "pair.short.json").write_bytes(made.read_bytes())
    assert reproduce(conf, "--bench", "pair") == 0
    assert "0 changed" in capsys.readouterr().out
    node = json.loads(made.read_text(encoding="utf-8"))
    node["values"]["large"] = {"0": 1.6, "1": 1.7}  # t(2) 4.3 times 0.07: 0.3 is allowed, this is 0.6 away
    (recorded / "pair.short.json").write_text(json.dumps(node), encoding="utf-8")
    assert reproduce(conf, "--bench", "pair") == 1
    assert "CHANGED" in capsys.readouterr().out


def test_a_record_of_other_rows_is_none(tmp_path):
    study = read_study("cvae_digits")
    values = {"told": {0: 1.0, 1: 1.1}, "not told": {0: 2.0, 1: 2.1}}
    now = make_result(study, "short", "one", [], values, [], 0.1, {})
    other = make_result(study, "short", "two", [], values, [], 0.1, {})
    assert {row.word for row in compare(now, now)} == {SAME} and {row.word for row in compare(now, other)} == {NEW}
    far = make_result(study, "short", "one", [], {**values, "told": {0: 5.0, 1: 5.1}}, [], 0.1, {})
    words = {row.arm: row.word for row in compare(far, now)}
    assert words == {"told": CHANGED, "not told": SAME, "verdict": "PASS then, FAIL now"}
    path = tmp_path / NAME
    write_result(path, now)
    assert read_result(path) == now and read_result(tmp_path / "none.json") is None
    path.write_text(
        path.read_text(encoding="utf-8").replace('"verdict": "PASS"', '"verdict": "GOOD"'), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="no result of a study: verdict"):
        read_result(path)
    write_result(path, now)
    path.write_text(path.read_text(encoding="utf-8").replace('"claim":', '"claimed":'), encoding="utf-8")
    with pytest.raises(UsageError, match="no result of a study: outcomes.0"):
        read_result(path)


@pytest.mark.parametrize("name", list_studies())
def test_a_recorded_result_is_of_the_study_as_it_is(name):
    """Arms, seeds and claims are those of the record: who changes it runs it anew."""
    study = read_study(name)
    for form in FORMS:
        result = find_recorded(name, form)
        if result is None:
            continue
        assert result.study == name and result.form == form and not result.words
        assert set(result.values) == set(study.measured(study.form(form)))
        again = make_result(study, form, result.rows, [], result.values, result.failures, result.hours, result.versions)
        assert again.outcomes == result.outcomes and again.verdict == result.verdict
        assert describe_cell(result).startswith(f"{result.verdict}: ")
        assert study.title in describe_result(study, result, 120)


def test_the_tables_have_a_row_for_each_study(tmp_path):
    studies = [read_study(name) for name in list_studies()]
    table, page = list_table(studies, tmp_path, 160), list_markdown(studies)
    assert all(name in table and f"`{name}`" in page for name in list_studies())
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == len(studies) + 2 and all(row.count("|") == 5 for row in rows)
    assert all(study.notes.split()[0] in page for study in studies if study.notes)


def test_values_of_a_plan_that_was_never_run_are_none(tmp_path):
    plan = make_plan(read_study("cvae_digits"), "short", None, [], tmp_path)
    values, failures = read_values(plan, (0, 1))
    assert values == {"told": {}, "not told": {}} and len(failures) == 4

"""aeexp.sweep is a multirun in one process: folders, report and figures are those of the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import aeexp
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import aeexp as package
from aeexp.api.sweeping import write_values
from aeexp.errors import UsageError

QUICK = (
    "dataset=digits",
    "dataset.limit=60",
    "trainer.steps=3",
    "metric=[reconstruction]",
    "plot=[samples,reconstructions]",
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Widths 2 and 3, and one that is none."""
    folder = tmp_path_factory.mktemp("sweep") / "s"
    return package.sweep({"latent.dim": [2, 0, 3]}, *QUICK, "seed=0", folder=folder, progress=False)


def test_runs_report_and_figures_lie_in_one_folder(sweep):
    assert [run.folder.name for run in sweep] == ["0", "2"] and len(sweep) == 2
    assert [run.model.latent.dim for run in sweep] == [2, 3] and sweep[1] is sweep.runs[1]
    assert set(sweep.figures) == {"samples", "reconstructions", "sweep"}
    assert {"summary.csv", "report.md", "report.html", "multirun.yaml"} <= {p.name for p in sweep.folder.iterdir()}
    assert list(sweep.report.frame["latent.dim"]) == [2, 3]
    assert sweep.failures == {"latent.dim=0": "latent.dim=0 should be a whole number of at least 1"}
    assert (
        "2 runs, 1 failed" in repr(sweep) and "latent.dim=0" in sweep._repr_html_() and "<table" in sweep._repr_html_()
    )


def test_the_same_sweep_again_trains_what_is_new_alone(sweep):
    times = {run.folder: (run.folder / "metrics.json").stat().st_mtime_ns for run in sweep}
    again = package.sweep({"latent.dim": [3, 4, 2]}, *QUICK, "seed=0", folder=sweep.folder, progress=False)
    assert [run.model.latent.dim for run in again] == [3, 4, 2] and again.failures == {}
    assert {run.folder: (run.folder / "metrics.json").stat().st_mtime_ns for run in again}.items() >= times.items()


def test_what_runs_suffer_from_is_told_once_for_all(tmp_path, caplog):
    done = package.sweep({"seed": [0, 1]}, *QUICK, "plot=none", "latent.dim=2", folder=tmp_path / "s", progress=False)
    told = [record.getMessage() for record in caplog.records if "was learned" in record.getMessage()]
    assert len(told) == 1 and told[0].startswith("next to nothing was learned (2 of 2 runs): test error ")
    assert all("diagnosis: next to nothing was learned" in (run.folder / "train.log").read_text() for run in done)


def test_it_is_the_multirun_of_the_command(tmp_path, sweep):
    """What the command trained is taken over, and the report is the command's."""
    words = [*QUICK, "seed=0", "latent.dim=2,3", f"hydra.sweep.dir={tmp_path / 'm'}"]
    assert aeexp("-m", *words, cwd=tmp_path).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "m").glob("*/metrics.json")}
    mine = package.sweep({"latent.dim": [2, 3]}, *QUICK, "seed=0", folder=tmp_path / "m", progress=False)
    assert {path: path.stat().st_mtime_ns for path in before} == before and len(before) == 2
    for run in mine:
        (other,) = [each for each in sweep if each.model.latent.dim == run.model.latent.dim]
        assert run.metrics["test"] == other.metrics["test"]
        assert (run.files.read_sweep() or ["", []])[1] == [*QUICK, "seed=0", "latent.dim=2,3"]


def test_rows_are_kept_once_for_all_runs(tmp_path):
    x, y = load_digits(return_X_y=True)
    words = ("trainer.steps=2", "metric=[probe]", "plot=none", "latent.dim=2")
    done = package.sweep({}, "seed=0,1", *words, data=x[:80] / 16, labels=y[:80], folder=tmp_path, progress=False)
    assert len(done) == 2 and len(list(tmp_path.rglob("data_*"))) == 1
    assert json.loads((done[0].folder / "metrics.json").read_text())["data"]["name"] == "data"
    assert 0 <= done[0].evaluate("latent")["test"]["latent/l0"] <= 2


def test_reports_take_runs_and_folders(sweep, tmp_path):
    by_runs, by_folder = package.report(list(sweep)), package.report(sweep.folder, output=tmp_path)
    assert repr(by_runs).splitlines()[1:4] == repr(by_folder).splitlines()[1:4] and "latent.dim" in repr(by_runs)
    mixed = package.report([sweep[0], sweep[1].folder, str(sweep.folder)])  # each once, whatever names it
    assert sorted(mixed.frame["latent.dim"]) == sorted(by_folder.frame["latent.dim"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md", "summary.csv"]
    best = package.report(sweep.folder, sort="reconstruction/mse").frame["reconstruction/mse mean"]
    assert list(best) == sorted(best)
    with pytest.raises(UsageError, match="holds no run"):
        package.report(tmp_path)
    with pytest.raises(UsageError, match="there is no such column"):
        package.report(sweep.folder, sort="nothing")


@pytest.mark.parametrize(
    ("values", "words", "message"),
    [
        ({}, (), "nothing is swept"),
        ({"latent.dim": 3}, (), "values are a list"),
        ({"variant": "vae"}, (), "values are a list"),
        ({"latent.dim": []}, (), "give at least one value"),
        ({"latent.dim": [2]}, ("hydra/sweeper=aeexp_optuna",), "where a run lies says folder"),
        ({}, ("latent.dim=int(interval(2,8))",), "a range is for a search"),
        ({"latent.dim": [2]}, ("latnt.dim=2",), "there is no such key"),
        ({}, ("experiment=hpo_digits",), "a search is the command's"),
    ],
)
def test_what_is_no_sweep_is_told(tmp_path, values, words, message):
    with pytest.raises(UsageError, match=message):
        package.sweep(values, *words, folder=tmp_path / "s")
    assert not (tmp_path / "s").exists()


VALUES = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.none(), st.floats(-5, 5, allow_nan=False),
              st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)),
    lambda inner: st.lists(inner, max_size=3), max_leaves=4,
)  # fmt: skip


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_any_values_are_read_as_they_were_given(values):
    parser = OverridesParser.create()
    overrides = [parser.parse_override(f"key={text}") for text in write_values("key", values)]
    assert not any(each.is_sweep_override() for each in overrides)
    assert [plain(each.value()) for each in overrides] == values


def plain(value):
    """Hydra's quoted texts as texts."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.text if type(value).__name__ == "QuotedString" else value


@pytest.mark.parametrize("values", [np.array([2, 3]), [np.int64(2), np.int32(3)], np.arange(2.0) / 4, [np.bool_(True)]])
def test_values_of_numpy_are_written_as_those_of_python(values):
    plain = [value.item() for value in values]
    assert write_values("a", values) == write_values("a", plain)


@pytest.mark.parametrize("key", ["dataset.path", "hydra.verbose", "dataset"])
def test_what_the_caller_gives_or_the_command_has_is_not_swept(key):
    with pytest.raises(UsageError, match=key):
        package.sweep({key: ["a", "b"]}, data=np.zeros((20, 4), np.float32))

"""Codes of any origin: measured as a run's own, with a word where a metric needs more, and compared in reports."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from aeexp.cli import encode
from aeexp.cli.evaluate import main
from aeexp.encoding.given_codes import choose_keys
from aeexp.errors import UsageError
from aeexp.evaluation.needs import WORDS
from aeexp.reports.comparison import collect
from aeexp.runs.evaluations import merge_evaluations

HERE = ("device=cpu", "threads=1")


def evaluate(*words) -> int:
    try:
        main([*map(str, words), *HERE])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def numbers(folder: Path) -> dict:
    return merge_evaluations(json.loads((folder / "metrics.json").read_text()))


@pytest.fixture(autouse=True)
def beside(tmp_path, monkeypatch):
    """outputs/ lies in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """300 rows and their labels."""
    data = load_digits()
    return (data.data[:300] / 16).astype(np.float32), data.target[:300]


@pytest.mark.parametrize(("words", "metrics"), [
    (["variant=undercomplete"], "[probe,clustering,retrieval]"),
    (["variant=semantic_hashing", "latent.dim=11"], "[probe,retrieval]"),
])  # fmt: skip
def test_the_codes_that_a_run_writes_have_the_run_s_numbers(words, metrics, tmp_path):
    """Without a stochastic latent a code is all that these metrics read; bits are packed in the file."""
    run_in(tmp_path / "run", *words, "dataset.limit=300", "trainer.steps=20", f"metric={metrics}")
    encode.main([str(tmp_path / "run"), "--output", str(tmp_path / "codes.npz"), "--device", "cpu"])
    assert evaluate("--codes", tmp_path / "codes.npz", f"metric={metrics}") == 0
    own, codes = json.loads((tmp_path / "run/metrics.json").read_text()), numbers(Path("outputs/codes/codes"))
    for part in ("val", "test"):
        wanted = {key: value for key, value in own[part].items() if not key.startswith("loss")}
        assert codes[part] == pytest.approx(wanted, rel=1e-6) and len(wanted) > 3
    assert codes["data"]["rows"] == own["data"]["rows"] and codes["baseline"] == {}


def test_what_the_codes_are_of_gives_raw_input_and_pca(digits):
    """Codes that are PCA's own are as good as the row of PCA: signs and rounding are all that differ."""
    x, y = digits
    parts = {"train": slice(0, 180), "val": slice(180, 200), "test": slice(200, 300)}
    pca = PCA(8).fit(x[parts["train"]])
    arrays = {f"x_{part}": pca.transform(x[rows]) for part, rows in parts.items()}
    arrays |= {f"y_{part}": y[rows] for part, rows in parts.items()}
    arrays |= {f"inputs_{part}": x[rows] for part, rows in parts.items()}
    np.savez("c.npz", **arrays)
    assert evaluate("--codes", "c.npz", "metric=[probe,maps,retrieval]", "metric.maps.maps=[pca]") == 0
    result = numbers(Path("outputs/codes/c"))
    assert result["data"]["rows"] == {"train": 180, "val": 20, "test": 100}
    assert result["baseline_names"]["pca"] == "PCA, width 8" and "itq" in result["baseline"]
    # one of 100 rows may fall to the other side of a tie
    for key in ("probe/knn", "probe/linear", "maps/trustworthiness_code_input", "retrieval/map"):
        assert result["test"][key] == pytest.approx(result["baseline"]["pca"][key], abs=0.011)
    assert result["baseline"]["raw"]["maps/trustworthiness_code_input"] == 1.0


def test_factors_are_scored(tmp_path):
    """A code that is its two factors has a MIG of 1."""
    s = np.random.default_rng(0).integers(0, 3, (1000, 2))
    np.savez(tmp_path / "f.npz", codes=s.astype(np.float32), factors=s)
    assert evaluate("--codes", "f.npz", "metric=disentanglement", "dataset/split=fractions") == 0
    # of 100 test rows, of which a factor's share in another one is chance: some 2 % of its entropy
    assert numbers(Path("outputs/codes/f"))["test"]["disentanglement/mig"] > 0.9


class Acts:
    """Makes a folder where it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


LACKING = {  # metric -> the word of what it lacks, of codes (N, D) alone
    "generation": "model", "robustness": "model", "maps": "inputs", "probe": "truth", "clustering": "labels",
    "retrieval": "labels", "disentanglement": "factors", "fairness": "factors",
}  # fmt: skip


@pytest.mark.parametrize("metric", LACKING)
def test_what_a_metric_lacks_is_said_and_the_rest_is_measured(metric, digits, capsys):
    np.savez("bare.npz", x=digits[0])
    assert evaluate("--codes", "bare.npz", f"metric=[{metric},latent]") == 1
    said = capsys.readouterr()
    assert f"metric={metric}: {WORDS[LACKING[metric]]}" in said.err and "Traceback" not in said.err
    assert "latent/effective_rank" in said.out and "jacobian" not in said.out
    assert evaluate("--codes", "bare.npz", f"metric={metric}", "--output", "none") == 2
    assert not Path("none").exists()


def test_a_figure_that_needs_a_model_says_so(digits, capsys):
    np.savez("c.npz", x=digits[0], y=digits[1])
    assert evaluate("--codes", "c.npz", "plot=[scatter,filters,label_budget]", "plot.scatter.maps=[pca]") == 1
    assert f"plot=filters: {WORDS['model']}" in capsys.readouterr().err
    assert {path.name for path in Path("outputs/codes/c/figures").iterdir()} == {"scatter.png", "label_budget.png"}


def test_codes_of_the_same_rows_compare_and_of_others_do_not(digits):
    x, y = digits
    for name, codes in (("plain", x), ("noise", np.random.default_rng(0).normal(size=x.shape))):
        for seed in (0, 1, 2):
            np.savez(f"{name}{seed}.npz", z=codes + seed / 100, y=y)
            assert evaluate("--codes", f"{name}{seed}.npz", "--name", name, "--output", f"all/{name}{seed}",
                            f"seed={seed}", "metric=probe", "metric.probe.classifiers=[knn]") == 0  # fmt: skip
    report = collect([Path("all")])
    assert report.columns == ["codes"] and [len(group.records) for group in report.groups] == [3, 3]
    assert report.best[0].group.name == "codes=plain"
    np.savez("other.npz", x=x, y=(y + 1) % 10)
    assert evaluate("--codes", "other.npz", "--output", "all/other", "metric=probe") == 0
    with pytest.raises(UsageError, match="unlike protocols"):
        collect([Path("all")])


def test_numbers_of_codes_that_have_changed_are_dropped(digits, caplog):
    """Rows and labels are the same, and the file is of the same name."""
    for codes, metric in ((digits[0], "[probe,latent]"), (digits[0][:, ::-1] * 2, "probe")):
        np.savez("c.npz", x=codes, y=digits[1])
        assert evaluate("--codes", "c.npz", f"metric={metric}") == 0
    assert "its earlier numbers are dropped" in caplog.text
    entries = json.loads(Path("outputs/codes/c/metrics.json").read_text())["evaluations"]
    assert [entry["metric"] for entry in entries] == ["probe"]


def test_codes_are_taken_as_they_are():
    """Bytes of a data set would be shares of 255."""
    np.savez("b.npz", x=np.arange(0, 120, dtype=np.uint8).reshape(60, 2))
    assert evaluate("--codes", "b.npz", "metric=latent") == 0
    assert numbers(Path("outputs/codes/b"))["test"]["latent/mean_activation"] > 20


def test_nothing_is_unpickled_and_nothing_is_written_over(digits, capsys, tmp_path):
    np.savez("bad.npz", x=np.array([Acts(tmp_path / "acted")], dtype=object))
    assert evaluate("--codes", "bad.npz", "metric=latent") == 2
    assert "nothing is unpickled" in capsys.readouterr().err and not (tmp_path / "acted").exists()
    np.savez("c.npz", x=digits[0])
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("years of work")
    assert evaluate("--codes", "c.npz", "metric=latent", "--output", "mine") == 2
    assert "something else lies there" in capsys.readouterr().err
    assert evaluate("--codes", "c.npz", "metric=latent", "--output", "new") == 0
    np.savez("d.npz", x=digits[0])
    assert evaluate("--codes", "d.npz", "metric=latent", "--output", "new") == 2


@pytest.mark.parametrize(("arrays", "words", "message"), [
    ({"a": np.zeros((9, 2))}, [], "no codes x_train, x or codes in it; name them by dataset.x=...: a"),
    ({"x": np.zeros((9, 2, 2))}, [], "codes have shape (N, D)"),
    ({"x": np.zeros((9, 2)), "inputs": np.zeros((8, 2))}, ["metric=maps"], "inputs"),
    ({"x": np.full((9, 2), np.nan)}, [], "NaN"),
])  # fmt: skip
def test_a_file_that_cannot_be_is_told(arrays, words, message, capsys):
    np.savez("c.npz", **arrays)
    assert evaluate("--codes", "c.npz", *(words or ["metric=latent"])) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said and not Path("outputs").exists()


def test_a_run_and_codes_at_once_are_refused(capsys):
    assert evaluate("run", "--codes", "c.npz", "metric=latent") == 2
    assert "--codes stands in place of a run" in capsys.readouterr().err


@given(
    name=st.sampled_from(["x", "X", "codes", "z", "embedding"]),
    official=st.booleans(),
    extra=st.sets(st.sampled_from(["factors", "inputs", "ids", "y"])),
)
def test_keys_are_found_by_their_names(name, official, extra, tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "k.npz"
    ends = ("_train", "_test") if official else ("",)
    np.savez(path, **{key + end: np.zeros((3, 2)) for key in (name, *extra) for end in ends})
    keys = choose_keys(str(path), [])
    assert f"dataset.x={name}{ends[0]}" in keys.words
    assert ("dataset/split=official" in keys.words) == official
    assert (f"dataset.s=factors{ends[0]}" in keys.words) == ("factors" in extra)
    assert keys.inputs == (f"inputs{ends[0]}" if "inputs" in extra else None)
    assert f"dataset.x={name}" not in choose_keys(str(path), ["dataset.x=other"]).words


def test_the_file_of_a_run_s_test_codes_is_such_a_file(tmp_path):
    """save_codes=true writes codes, labels, ids."""
    run_in(tmp_path / "run", "dataset.limit=300", "trainer.steps=2", "metric=none", "save_codes=true")
    shutil.copy(tmp_path / "run/codes.npz", "c.npz")
    torch.manual_seed(0)
    assert evaluate("--codes", "c.npz", "metric=clustering") == 0
    assert numbers(Path("outputs/codes/c"))["data"]["rows"] == {"train": 24, "val": 3, "test": 3}


def test_codes_of_numbers_to_predict_are_read_by_ridge_and_told_apart(digits):
    """Whole numbers of a floating type are no classes; other numbers are other rows."""
    x, y = digits
    for name, factor in (("a", 1.0), ("b", 2.0)):
        np.savez(f"{name}.npz", x=x, target=y.astype(np.float32) * factor)
        assert evaluate("--codes", f"{name}.npz", "metric=[probe]") == 0
    one, other = (numbers(Path("outputs/codes", name)) for name in "ab")
    assert "probe/ridge_r2" in one["test"] and "probe/linear" not in one["test"]
    assert one["data"]["fingerprint"] != other["data"]["fingerprint"]

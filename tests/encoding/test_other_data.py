"""A run's model on data that are not its own: the run's units, folders apart, and reports that tell them apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from composing import composed, run_in
from omegaconf import OmegaConf
from sklearn.datasets import load_digits

from aeexp.cli.evaluate import main
from aeexp.reports.by_protocol import collect_by_protocol
from aeexp.reports.records import Record, read
from aeexp.runs.evaluations import merge_evaluations
from aeexp.runs.folder import find_runs
from aeexp.runs.measured import write_asked

HERE = ("device=cpu", "threads=1")
WORDS = ("dataset.limit=300", "trainer.steps=20", "metric=[reconstruction,probe]", "dataset.standardise=true")


def evaluate(*words) -> int:
    try:
        main([*map(str, words), *HERE])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def numbers(folder: Path) -> dict:
    return merge_evaluations(json.loads((folder / "metrics.json").read_text()))


def of_npz(path: Path, *words: str) -> list[str]:
    return ["dataset=npz", f"dataset.path={path}", f"dataset.name={path.stem}", *words]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "digits"
    run_in(folder, *WORDS)
    return folder


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    """Digits as bytes from 0 to 16, as floats from 0 to 1, and as letters, all with the rows in another order."""
    digits, place = load_digits(), tmp_path_factory.mktemp("files")
    order = np.random.default_rng(0).permutation(len(digits.target))[:200]
    x, y = digits.images[order][:, None].astype(np.uint8), digits.target[order]
    letters = np.array(list("abcdefghij"))[y]
    files = {"bytes": (x, y), "floats": (x.astype(np.float32) / 16, y), "letters": (x, letters)}
    for name, (rows, labels) in files.items():
        np.savez(place / f"{name}.npz", x=rows, y=labels)
    return {name: place / f"{name}.npz" for name in files}


def test_a_run_s_own_data_by_another_name_give_its_own_numbers(folder):
    """Same weights, rows, preprocessing, PCA: what is told apart is where the numbers lie."""
    before = (folder / "metrics.json").read_bytes()
    assert evaluate(folder, "dataset=digits", "dataset.limit=300", "metric=[reconstruction,probe]") == 0
    assert (folder / "metrics.json").read_bytes() == before
    own, other = json.loads(before), numbers(folder / "evaluations" / "digits")
    for part in ("val", "test"):
        wanted = {key: value for key, value in own[part].items() if not key.startswith(("loss", "latent", "general"))}
        assert other[part] == pytest.approx(wanted, rel=1e-5, abs=1e-7) and len(wanted) > 5
    assert other["baseline"]["pca"] == pytest.approx(
        {key: value for key, value in own["baseline"]["pca"].items() if key in other["baseline"]["pca"]}, rel=1e-5
    )
    assert other["baseline_names"]["pca"] == own["baseline_names"]["pca"]
    assert other["data"]["fingerprint"] == own["data"]["fingerprint"]


def test_rows_in_other_units_come_out_the_same(folder, written, caplog):
    """The run standardises bytes of 0 to 16, which stand for 0 to 1."""
    for name in ("bytes", "floats"):
        words = of_npz(written[name], "dataset.scale=0.0625") if name == "bytes" else of_npz(written[name])
        assert evaluate(folder, *words, "metric=[reconstruction,probe]") == 0
    one, other = (numbers(folder / "evaluations" / name) for name in ("bytes", "floats"))
    assert one["test"] == pytest.approx(other["test"], rel=1e-4)
    assert "are the units the same" not in caplog.text
    assert one["baseline_names"]["pca"].endswith(", of digits")


def test_pca_learns_from_what_the_run_was_trained_on_and_probes_from_the_rows_at_hand(folder, written):
    """PCA of the rows at hand has the lowest error of all linear codes of that width on them."""
    run_in(folder.parent / "own", *of_npz(written["floats"]), "trainer.steps=1", "metric=reconstruction")
    own = json.loads((folder.parent / "own/metrics.json").read_text())["baseline"]["pca"]["reconstruction/mse"]
    plain = folder.parent / "plain"
    run_in(plain, "dataset.classes=[0,1]", "trainer.steps=2", "metric=none")
    assert evaluate(plain, *of_npz(written["floats"]), "metric=[reconstruction,probe]") == 0
    other = numbers(plain / "evaluations" / "floats")
    assert other["baseline"]["pca"]["reconstruction/mse"] > 1.2 * own
    assert other["test"]["probe/knn"] > 0.5, "ten classes are read, though the model saw two"


def test_equal_questions_replace_each_other_and_others_stand_beside(folder, written):
    words = of_npz(written["floats"])
    assert evaluate(folder, *words, "metric=probe") == 0 and evaluate(folder, *words, "metric=[probe,latent]") == 0
    place = folder / "evaluations" / "floats"
    entries = json.loads((place / "metrics.json").read_text())["evaluations"]
    assert [entry["metric"] for entry in entries] == ["probe", "latent"]
    assert evaluate(folder, *words, "metric=probe", "metric.probe.rows=50") == 0
    assert "probe/linear [rows=50]" in numbers(place)["test"]
    assert evaluate(folder, *words, "dataset.limit=150", "metric=probe") == 0
    assert sorted(path.name for path in (folder / "evaluations").iterdir()) == ["floats", "floats-2"]
    assert numbers(folder / "evaluations" / "floats-2")["data"]["rows"]["test"] == 15


def test_numbers_of_rows_that_have_changed_are_dropped(folder, written, tmp_path, caplog):
    path = shutil.copy(written["floats"], tmp_path / "x.npz")
    assert evaluate(folder, *of_npz(path), "metric=[probe,latent]") == 0
    shutil.copy(written["bytes"], path)
    assert evaluate(folder, *of_npz(path), "metric=probe") == 0
    assert "the data has changed since: its earlier numbers are dropped" in caplog.text
    entries = json.loads((folder / "evaluations/x/metrics.json").read_text())["evaluations"]
    assert [entry["metric"] for entry in entries] == ["probe"]


def test_figures_lie_beside_the_numbers_and_not_over_the_run_s(folder, written):
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    (figures / "scatter.png").write_bytes(b"own")
    assert evaluate(folder, *of_npz(written["floats"]), "plot=[scatter]", "plot.scatter.maps=[pca]") == 0
    assert (figures / "scatter.png").read_bytes() == b"own"
    assert (folder / "evaluations/floats/figures/scatter.png").stat().st_size > 1000


def test_classes_that_the_model_does_not_know_are_named_where_they_matter(written, tmp_path, capsys):
    words = ("dataset.limit=300", "trainer.steps=2", "metric=none")
    run_in(tmp_path / "heads", *words, "regularizer=classifier")
    letters = of_npz(written["letters"], "dataset.scale=0.0625")
    assert evaluate(tmp_path / "heads", *letters, "metric=[probe,classification]") == 1
    said = capsys.readouterr()
    assert "probe/linear" in said.out and "metric=classification: it holds what the model says of classes" in said.err
    assert "Traceback" not in said.err
    digits = of_npz(written["bytes"], "dataset.scale=0.0625")
    assert evaluate(tmp_path / "heads", *digits, "metric=classification") == 0
    run_in(tmp_path / "told", *words, "variant=cvae")
    assert evaluate(tmp_path / "told", *letters, "metric=probe") == 2
    assert "the run knows no class a, b, c, d, e" in capsys.readouterr().err
    assert not (tmp_path / "told" / "evaluations").exists()


def test_mnist_s_seven_is_seven(written, tmp_path):
    """Its classes are called `7 - seven`."""
    digits = load_digits()
    names = np.array(
        [f"{i} - {name}" for i, name in enumerate("zero one two three four five six seven eight nine".split())]
    )
    np.savez(tmp_path / "named.npz", x=digits.images[:, None].astype(np.float32) / 16, y=names[digits.target])
    run_in(
        tmp_path / "run", *of_npz(tmp_path / "named.npz"), "regularizer=classifier", "trainer.steps=300", "metric=none"
    )
    assert evaluate(tmp_path / "run", *of_npz(written["floats"]), "metric=classification") == 0
    assert numbers(tmp_path / "run/evaluations/floats")["test"]["classification/accuracy"] > 0.7


REFUSED = {
    "shape": (["dataset.shape=[1,4,16]"], "its rows have shape (1, 4, 16), but"),
    "standardise": (["dataset.standardise=true"], "dataset.standardise=true: these rows go through the"),
    "unit": (["dataset.scale=unit"], "dataset.scale=unit: these rows go through the"),
    "key": (["dataset.limt=4"], "dataset.limt"),
    "file": (["dataset.path=/no/where.npz"], "dataset.path=/no/where.npz: no such file"),
    "model": (["latent.dim=3"], "latent.dim=3: a finished run's model and data are as they were"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_told_and_leaves_no_folder(case, folder, written, capsys):
    words, message = REFUSED[case]
    flat = load_digits()
    np.savez(folder.parent / "flat.npz", x=flat.data[:100].astype(np.float32), y=flat.target[:100])
    path = folder.parent / "flat.npz" if case == "shape" else written["floats"]
    assert evaluate(folder, *of_npz(path), *words, "metric=probe") == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said and not (folder / "evaluations").exists()


def test_dataset_keys_alone_name_no_other_data(folder, capsys):
    assert evaluate(folder, "dataset.limit=50", "metric=probe") == 2
    assert "with dataset=... another data set" in capsys.readouterr().err


def test_columns_of_another_table_are_refused(tmp_path, capsys):
    rows = [f"{i % 7},{'ab'[i % 2]},{i % 3}" for i in range(80)]
    for name, head, cells in (("one", "age,job,y", rows), ("other", "size,job,y", rows)):
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *cells]) + "\n")
    data = [["dataset=csv", f"dataset.path={tmp_path / name}.csv", "dataset.label=y"] for name in ("one", "other")]
    run_in(tmp_path / "run", *data[0], "trainer.steps=2", "latent.dim=2", "metric=none")
    assert evaluate(tmp_path / "run", *data[0], "metric=probe") == 0
    assert evaluate(tmp_path / "run", *data[1], "metric=probe") == 2
    assert "its columns or categories are not those of one: size, age" in capsys.readouterr().err


def test_where_the_run_s_own_data_are_gone_it_is_said_what_pca_learns_from(written, tmp_path, caplog):
    path = shutil.copy(written["floats"], tmp_path / "own.npz")
    run_in(tmp_path / "run", *of_npz(path), "trainer.steps=2", "metric=none")
    path.unlink()
    assert evaluate(tmp_path / "run", *of_npz(written["floats"], "dataset.limit=150"), "metric=reconstruction") == 0
    assert "PCA and the mean learn from floats" in caplog.text


# ---------------------------------------------------------------- in reports


def test_reports_list_other_data_as_a_protocol_of_its_own(folder, written, tmp_path):
    (tmp_path / "sweep").mkdir()
    run = Path(shutil.move(folder, tmp_path / "sweep" / "0"))
    (run / ".hydra").mkdir()
    tree = OmegaConf.to_container(composed(*WORDS))
    for name, text in write_asked(tree, WORDS, {"dataset": "digits"}).items():
        (run / ".hydra" / name).write_text(text)
    assert evaluate(run, *of_npz(written["floats"]), "metric=probe") == 0
    records, failures = read([tmp_path / "sweep"])
    assert failures == [] and [record.metrics["data"]["name"] for record in records] == ["digits", "floats"]
    assert records[1].config["trained_on"] == "digits" and "trained_on" not in records[0].config
    report, parts = collect_by_protocol([tmp_path / "sweep"])
    assert [part.protocol["data"] for part in parts] == ["digits", "floats"] and len(report.groups) == 2
    assert all("probe/linear" in part.keys for part in parts)
    assert [run.path.name for run in find_runs(tmp_path / "sweep")] == ["0"], "a sweep has as many runs as before"
    assert isinstance(records[1], Record) and records[1].value("probe/linear", "baseline", "pca") is not None


def test_beside_a_run_that_was_trained_on_these_data_it_says_what_it_was_trained_on(written, tmp_path):
    data = of_npz(written["floats"])
    run_in(tmp_path / "runs/own", *data, "trainer.steps=2", "metric=probe")
    run_in(tmp_path / "else/run", "dataset.limit=300", "trainer.steps=2", "metric=none")
    assert evaluate(tmp_path / "else/run", *data, "metric=probe") == 0
    for folder in ("runs/own", "else/run"):  # the command writes what was asked for
        assert not (tmp_path / folder / ".hydra").exists()
    records = [read([tmp_path / "else/run/evaluations/floats"])[0][0]]
    assert records[0].config["dataset.path"] == str(written["floats"]) and records[0].config["trained_on"] == "digits"
    assert (
        json.loads((tmp_path / "runs/own/metrics.json").read_text())["data"]["fingerprint"]
        == (records[0].metrics["data"]["fingerprint"])
    ), "the same rows in the same units compare"


def test_normal_classes_and_numbers_are_held_against_those_of_the_run(tmp_path):
    """Classes by their names before " - "; numbers to predict by theirs."""
    digits = load_digits()
    x, y = digits.data[:200].astype(np.float32), digits.target[:200]
    np.savez(tmp_path / "long.npz", x=x, y=np.array([f"{n} - x{n}" for n in y]))
    np.savez(tmp_path / "short.npz", x=x, y=y)
    run_in(tmp_path / "run", *of_npz(tmp_path / "long.npz"), "trainer.steps=4", "metric=none")
    short = of_npz(tmp_path / "short.npz", "dataset.normal_classes=[1,2]")
    assert evaluate(tmp_path / "run", *short, "metric=[anomaly]") == 0
    numbered = dict(zip(("price", "age"), (x.mean(1), x.std(1)), strict=True))
    np.savez(tmp_path / "n.npz", x=x, **numbered)
    words = of_npz(tmp_path / "n.npz")
    run_in(tmp_path / "r", *words, "dataset.target=price", "regularizer=regressor", "trainer.steps=4", "metric=none")
    assert evaluate(tmp_path / "r", *words, "dataset.target=price", "metric=[regression]") == 0
    assert evaluate(tmp_path / "r", *words, "dataset.target=age", "metric=[regression]") == 1

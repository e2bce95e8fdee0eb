"""aeexp-evaluate: a finished run measured and drawn anew says what it said, and new things beside that."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from composing import composed, run_in
from PIL import Image
from representatives import few
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aeexp.cli.evaluate import main
from aeexp.runs.build import build_learner
from aeexp.runs.evaluate import read_history
from aeexp.runs.evaluations import add_evaluation, describe_difference, merge_evaluations
from aeexp.runs.folder import RunFolder
from aeexp.runs.loading import build_untrained
from aeexp.trainers.checkpoint import load
from aeexp.types import Facts

FEW = "dataset.limit=300"
HERE = ("device=cpu", "threads=1")


def evaluate(*words) -> int:
    try:
        main([*map(str, words), *HERE])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def expect_refusal(capsys, *words) -> str:
    assert evaluate(*words) == 2
    stderr = capsys.readouterr().err
    assert len(stderr.strip().splitlines()) <= 2 and "Traceback" not in stderr, stderr
    return stderr


def pixels(folder, name) -> np.ndarray:
    with Image.open(folder / "figures" / f"{name}.png") as picture:
        return np.asarray(picture)


def read(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with numbers and two figures, which nobody changes."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "digits"
    words = ["variant=vae", FEW, "trainer.epochs=2", "metric=[reconstruction,probe]", "plot=[curves,reconstructions]"]
    run_in(folder, *words)
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of it."""
    return shutil.copytree(trained, tmp_path / "run")


LAW = {  # words of a run, and metrics that it measures; few rows, where rows can be few
    "pca": (["variant=pca"], "[reconstruction,probe,latent]"),
    "vae": (["variant=vae"], "[reconstruction,probe,latent]"),
    "deterministic": (["noise=masking", "dataset.standardise=true"], "[probe,latent,generation]"),
    "semi_supervised": (["variant=semi_supervised", "dataset.labelled=100"], "[probe,classification,reconstruction]"),
    "conditional": (["variant=cvae"], "[probe,latent,reconstruction]"),
    "segmentation": (["variant=segmentation", "latent.dim=4"], "[segmentation,latent]"),
    "vq": (["variant=vq_vae"], "[probe,latent,reconstruction]"),
    "stacked": (["variant=stacked", "trainer.pretrain_epochs=1", "trainer.finetune.steps=3"], "[probe]"),
}


@pytest.mark.parametrize("name", few(LAW, "deterministic", "vae"))
def test_the_run_s_own_metrics_are_had_again(name, tmp_path):
    """Same weights, rows, batches and seeds on the same machine: only the order of float32 sums could differ."""
    words, metrics = LAW[name]
    steps = ["trainer.steps=3"] if name not in ("pca", "stacked") else []
    extra = ["metric.generation.samples=5", "metric.generation.rows=50"] if "generation" in metrics else []
    run_in(tmp_path, FEW, *words, *steps, f"metric={metrics}", *extra)
    before = read(tmp_path)
    assert evaluate(tmp_path, f"metric={metrics}", *extra) == 0
    after = read(tmp_path)
    assert {key: value for key, value in after.items() if key != "evaluations"} == before
    seen = set()
    for entry in after["evaluations"]:
        assert entry["differs"] == ""
        parts = [(entry[split], before[split]) for split in ("val", "test")]
        parts += [(row, before["baseline"][name]) for name, row in entry["baseline"].items()]
        for new, old in parts:
            assert new == pytest.approx({key: old[key] for key in new}, rel=1e-5, abs=1e-7)
            seen |= new.keys()
    losses = {key for key in before["test"] if key.startswith("loss")}
    assert seen >= before["test"].keys() - losses, "nothing that the run measured is missing"
    untrained = [entry["baseline"].get("random") for entry in after["evaluations"] if entry["metric"] == "probe"]
    assert before["baseline"].get("random") in (None, *untrained)
    assert {k: merge_evaluations(after)[k] for k in ("val", "test")} == {k: before[k] for k in ("val", "test")}


def test_the_untrained_model_is_that_of_the_run(trained):
    """Bit for bit: the same seed before the same constructors."""
    saved = load(trained / "checkpoints" / "best.pt")
    torch.manual_seed(0)
    state = build_learner(composed("variant=vae"), Facts(**saved["facts"])).model.state_dict()
    torch.manual_seed(5)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    again = build_untrained(saved).state_dict()
    assert torch.equal(torch.rand(1), drawn), "others' draws stay as they were"
    assert all(torch.equal(again[key], state[key]) for key in state)
    assert any(not torch.equal(again[k], saved["learner"][f"model.{k}"]) for k in state)


def test_equal_questions_replace_each_other_and_others_stand_beside(folder):
    own = read(folder)
    assert evaluate(folder, "metric=[probe,anomaly]", "metric.probe.budgets=[10]", "metric.probe.draws=1") == 0
    first = read(folder)["evaluations"]
    assert [e["metric"] for e in first] == ["probe"], "anomaly has nothing to measure where all classes are normal"
    assert first[0]["differs"] == "draws=1" and "probe/linear_n10" in first[0]["test"]
    assert evaluate(folder, "metric=retrieval", "metric.retrieval.queries=20") == 0
    assert evaluate(folder, "metric=probe", "metric.probe.draws=1", "metric.probe.budgets=[10]") == 0
    result = read(folder)
    assert [e["metric"] for e in result["evaluations"]] == ["probe", "retrieval"]
    assert result["evaluations"][0]["when"] > first[0]["when"]
    assert result["evaluations"][0]["test"] == first[0]["test"]
    assert {key: value for key, value in result.items() if key != "evaluations"} == own
    table = merge_evaluations(result)
    assert table["test"]["probe/linear"] == own["test"]["probe/linear"]
    assert table["test"]["probe/linear_n10 [draws=1]"] == first[0]["test"]["probe/linear_n10"]
    assert "retrieval/map [queries=20]" in table["baseline"]["itq"] and table["evaluations"] == []


def test_the_protocol_says_what_was_measured(folder):
    assert evaluate(folder, "metric=latent") == 0
    metrics, status = read(folder), json.loads((folder / "status.json").read_text())
    entry = metrics["evaluations"][0]
    protocol = entry["protocol"]
    assert protocol["data"] == metrics["data"] and protocol["run_id"] == status["run_id"]
    assert protocol["checkpoint"] == {
        "name": "best",
        "step": metrics["best_step"],
        "epoch": metrics["best_epoch"],
    }
    assert protocol["seed"] == 0 and status["versions"].items() >= protocol["versions"].items()
    assert entry["options"] == {"jacobian_rows": 256} and entry["seconds"] > 0


def test_figures_are_drawn_anew_and_shown_in_the_run_s_tensorboard(folder, trained):
    files = set(RunFolder(folder).find_events("run").iterdir())
    (folder / "figures" / "curves.png").unlink()
    assert evaluate(folder, "plot=[curves,reconstructions,samples]", "plot.reconstructions.examples=3") == 0
    curves, examples = ([pixels(each, name) for each in (folder, trained)] for name in ("curves", "reconstructions"))
    assert np.array_equal(*curves), "the same rows of history.csv, the same picture"
    assert examples[0].shape != examples[1].shape and (folder / "figures" / "samples.png").is_file()
    new = set(RunFolder(folder).find_events("run").iterdir()) - files
    assert len(new) == 1
    events = EventAccumulator(str(new.pop())).Reload()
    assert set(events.Tags()["images"]) == {"figures/curves", "figures/reconstructions", "figures/samples"}
    assert not [tag for tag in events.summary_metadata if tag.startswith("_hparams_")], "one row of the run is enough"
    assert "evaluations" not in read(folder)


def test_history_is_what_training_wrote(trained):
    rows = read_history(RunFolder(trained))
    progress = load(trained / "checkpoints" / "last.pt")["progress"]
    assert rows == progress["history"]


def test_a_multirun_is_measured_whole_and_a_failing_run_hides_no_other(folder, tmp_path, capsys):
    root = tmp_path / "sweep"
    for name in ("0", "1", "2"):
        shutil.copytree(folder, root / name)
    status = json.loads((root / "2" / "status.json").read_text()) | {"status": "running"}
    (root / "2" / "status.json").write_text(json.dumps(status))
    (root / "0" / "checkpoints" / "best.pt").write_bytes(b"broken")
    assert evaluate(root, "metric=latent") == 2
    output = capsys.readouterr()
    assert "0/checkpoints/best.pt is no readable checkpoint" in output.err and "latent/active_units" in output.out
    assert [("evaluations" in read(root / name)) for name in ("0", "1", "2")] == [False, True, False]
    assert "2 is not finished (status running)" in expect_refusal(capsys, root / "2", "metric=latent")


def test_a_run_whose_files_are_cut_off_is_told_and_left_out(folder, tmp_path, capsys):
    root = tmp_path / "root"
    for name in ("0", "1"):
        shutil.copytree(folder, root / name)
    (root / "0" / "metrics.json").write_text((root / "0" / "metrics.json").read_text()[:90])
    assert evaluate(root, "metric=latent") == 0 and "evaluations" in read(root / "1")
    assert "metrics.json unreadable" in expect_refusal(capsys, root / "0", "metric=latent")
    (root / "1" / "status.json").write_text("{")
    assert "status unreadable" in expect_refusal(capsys, root / "1", "metric=latent")


def declared(metric, *in_keys):
    """The part of an entry that says which of the metric's options stand in its keys."""
    return {"metrics": {metric: {"in_keys": list(in_keys), "harmless": []}}}


def test_two_commands_at_once_keep_each_other_s_numbers(tmp_path):
    """Each reads metrics.json and writes it anew: 2 x 20 entries without a lock lose some."""
    path = tmp_path / "metrics.json"
    path.write_text("{}")

    def add(metric: str) -> None:
        for i in range(20):
            add_evaluation(RunFolder(tmp_path), {"metric": metric, "options": {"i": i}, **declared(metric)})

    both = [multiprocessing.get_context("fork").Process(target=add, args=(name,)) for name in "ab"]
    for process in both:
        process.start()
    for process in both:
        process.join()
    result = {(entry["metric"], entry["options"]["i"]) for entry in read(tmp_path)["evaluations"]}
    assert len(result) == 40 and [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_data_that_is_gone_is_told_with_the_place_where_paths_begin(tmp_path, capsys, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=rows)
    monkeypatch.chdir(tmp_path)
    run_in(tmp_path / "run", "dataset=npz", "dataset.path=data.npz", "trainer.epochs=1", "metric=none")
    (tmp_path / "run" / ".hydra").mkdir()
    (tmp_path / "run" / ".hydra" / "hydra.yaml").write_text(f"hydra:\n  runtime:\n    cwd: {tmp_path}\n")
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    stderr = expect_refusal(capsys, tmp_path / "run", "metric=latent")
    assert "data.npz: no such file" in stderr and f"started in {tmp_path}, where its paths begin" in stderr
    monkeypatch.chdir(tmp_path)
    assert evaluate(tmp_path / "run", "metric=latent") == 0


def test_a_metric_or_figure_that_fails_leaves_the_others(folder, capsys):
    words = ["plot=[traversals,samples]", "plot.traversals.example=5000", "metric=latent"]
    assert evaluate(folder, *words) == 1
    output = capsys.readouterr()
    assert "plot=traversals failed: UsageError: example=5000" in output.err
    assert (folder / "figures" / "samples.png").is_file() and read(folder)["evaluations"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is asked for: name metrics or figures"),
        (["dataset.limit=10", "metric=latent"], "dataset.limit=10: a finished run's model and data are as they were"),
        (["latent.dim=3"], "latent.dim=3: a finished run's model"),
        (["+metric=latent"], "+metric=latent: give metric=[...]"),
        (["seed=3", "metric=latent"], "metrics draw by their own, as in metric.probe.seed=1"),
        (["metric=latnt"], "metric=latnt: there is no such option: did you mean latent?"),
        (["metric.probe.rows=3"], "probe is not among your metric options; add it"),
        (["metric=probe", "metric.probe.rowz=3"], "metric.probe.rowz=3: metric.probe as chosen has no such key"),
        (["metric=probe", "metric.probe.rows=abc"], "metric.probe.rows='abc' should be a whole number"),
        (["metric=probe", "metric.probe.rows=0"], "metric.probe.rows=0 should be a whole number of at least 1"),
        (["plot=[scatter", "metric=probe"], "Hydra cannot read this value"),
        (["metric=probe,latent"], "metric"),
    ],
)
def test_a_bad_line_is_told_before_a_run_is_loaded(words, message, trained, capsys):
    assert message in expect_refusal(capsys, trained, *words)
    assert "evaluations" not in read(trained)


def test_what_is_no_run_is_told(tmp_path, capsys):
    assert "there is no such folder" in expect_refusal(capsys, tmp_path / "nowhere", "metric=latent")
    assert "no finished run below" in expect_refusal(capsys, tmp_path, "metric=latent")


def test_data_that_has_changed_is_refused(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    words = ("dataset=npz", f"dataset.path={tmp_path / 'x.npz'}", "trainer.steps=2", "metric=none", "latent.dim=2")
    run_in(tmp_path / "run", *words)
    np.savez(tmp_path / "x.npz", x=x[::-1])
    output = expect_refusal(capsys, tmp_path / "run", "metric=latent")
    assert "the data has changed since" in output and "train anew" in output


def test_numbers_of_another_noise_stand_beside_the_first_under_names_of_their_own(folder):
    quick = ["metric=robustness", "metric.robustness.levels=[0,0.3]", "metric.robustness.rows=100"]
    for noise in ("gaussian", "masking"):
        assert evaluate(folder, *quick, f"noise@metric.robustness.noise={noise}") == 0
    # `rows` is other than in the YAML, and a name; the noise stands in the keys
    names = {f"robustness/{noise}_mse_0.3 [rows=100]" for noise in ("gaussian", "masking")}
    assert names <= set(merge_evaluations(read(folder))["test"]) and len(read(folder)["evaluations"]) == 2


def test_of_two_versions_with_other_defaults_the_newest_has_the_name(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text("{}")
    for clusters in (10, 20):
        entry = {"metric": "clustering", "options": {"clusters": clusters}, "differs": ""}
        add_evaluation(RunFolder(tmp_path), {**entry, **declared("clustering")})
    assert [entry["options"] for entry in read(tmp_path)["evaluations"]] == [{"clusters": 20}]


def test_a_metric_that_is_a_baseline_alone_is_kept(folder):
    assert evaluate(folder, "metric=kernel_pca", "metric.kernel_pca.rows=100") == 0
    (entry,) = read(folder)["evaluations"]
    assert entry["test"] == {} and {"reconstruction/mse", "probe/linear"} <= set(entry["baseline"]["kernel_pca"])


def test_what_differs_is_named_by_the_yaml():
    default = {"rows": 5, "kinds": ["a"], "budgets": None}
    rows = {**default, "rows": 7}

    def describe(options, own, in_keys=("budgets",)):
        return describe_difference(in_keys, options, default, own)

    assert describe(default, None) == "" and describe(rows, rows) == ""
    assert describe({**rows, "kinds": ["a", "b"]}, None) == "rows=7 kinds=[a,b]"
    assert describe(default, rows) == "defaults", "the run itself measured another"
    assert describe({**default, "budgets": [10, 2]}, default) == "", "probe/linear_n10 says it"
    assert describe({**default, "budgets": [10, 2]}, default, ()) == "budgets=[10,2]"


def test_help_needs_no_torch():
    quick = "import sys; from aeexp.cli.evaluate import main\ntry: main(['--help'])\n"
    code = quick + "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.startswith("usage: aeexp-evaluate") and output.strip().endswith("0 False")

"""TensorBoard shows what the run folder holds: event files are read back, then its own pages in a browser."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT, aeexp
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from aeexp import timing
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.bundled import digits
from aeexp.runs.figures import WIDEST_SPRITE
from aeexp.runs.folder import RunFolder
from aeexp.runs.status import Status
from aeexp.runs.tracking import Tracker
from aeexp.trainers.checkpoint import Progress

SMALL = ["dataset=digits", "trainer.epochs=2", "dataset.limit=400", "plot=[reconstructions,curves]", "threads=1"]
NAMES = {"0": "0/tensorboard/undercomplete latent.dim=2", "1": "1/tensorboard/undercomplete latent.dim=3"}
FAILED = "failed/tensorboard/undercomplete optimizer=sgd optimizer.lr=1e20 dataset=digits and 3 more"
RUNS = {*NAMES.values(), FAILED}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    """Two runs; the name of their folder is as a user may choose it."""
    folder = tmp_path_factory.mktemp("tensorboard") / "zwei Läufe"
    done = aeexp("-m", "latent.dim=2,3", f"hydra.sweep.dir='{folder}'", *SMALL, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def failed(sweep) -> Path:
    """A third run beside them, which diverges."""
    folder = sweep / "failed"
    done = aeexp("optimizer=sgd", "optimizer.lr=1e20", f"hydra.run.dir='{folder}'", *SMALL, cwd=ROOT)
    assert done.returncode == 1, done.stdout + done.stderr
    return folder


@pytest.fixture(params=["0", "1"])
def run(sweep, request) -> Path:
    return sweep / request.param


def events(run: Path) -> EventAccumulator:
    return EventAccumulator(str(folder_of(run)), {"scalars": 0, "images": 0, "tensors": 0}).Reload()


def folder_of(run: Path) -> Path:
    """Where the event files lie: one folder, whose name says what the run is."""
    [folder] = (run / "tensorboard").iterdir()
    return folder


def hparams(run: Path, kind: str):
    content = events(run).SummaryMetadata(f"_hparams_/{kind}").plugin_data.content
    return getattr(HParamsPluginData.FromString(content), kind)


def status(run: Path) -> str:
    return api_pb2.Status.Name(hparams(run, "session_end_info").status)


def test_scalars_are_the_history_and_the_final_values(run):
    expected = defaultdict(dict)
    for row in csv.DictReader((run / "history.csv").read_text().splitlines()):
        names = row.keys() - {"step", "epoch", "split", *(() if row["split"] == "train" else ("lr",))}
        prefix = row["split"] if row["lr"] else f"values/{row['split']}"
        for name in names:
            if row[name]:
                expected[f"{prefix}/{name}"][int(row["step"])] = float(row[name])
    metrics = json.loads((run / "metrics.json").read_text())
    headlines = [key for key, number in metrics["numbers"].items() if number["headline"] and key in metrics["test"]]
    assert {"loss", "reconstruction/mse", "probe/linear"} <= set(headlines)
    for name in headlines:
        expected[f"test/{name}"][metrics["best_step"]] = metrics["test"][name]
    assert expected.keys() >= {"train/loss", "train/lr", "val/loss", "val/reconstruction", "values/val/probe/knn"}
    shown = events(run)
    assert set(shown.Tags()["scalars"]) == expected.keys()
    for tag, points in expected.items():
        # a step twice, or a step back, would cut the curve off in TensorBoard
        assert [event.step for event in shown.Scalars(tag)] == list(points), tag
        assert [event.value for event in shown.Scalars(tag)] == pytest.approx(list(points.values()), rel=1e-6), tag
    for split in ("val", "test"):
        final = {name.removeprefix("loss/"): value for name, value in metrics[split].items()}
        assert final == {n: pytest.approx(shown.Scalars(f"values/{split}/{n}")[0].value, rel=1e-6) for n in final}


def test_images_are_the_figures(run):
    shown = events(run)
    files = {path.stem: path for path in (run / "figures").glob("*.png")}
    assert files.keys() == {"reconstructions", "curves"}
    assert set(shown.Tags()["images"]) == {f"figures/{name}" for name in files} | {"training/reconstructions"}
    for name, path in files.items():
        [event] = shown.Images(f"figures/{name}")
        with Image.open(io.BytesIO(event.encoded_image_string)) as one, Image.open(path) as other:
            np.testing.assert_array_equal(one.convert("RGB"), other.convert("RGB"))


def test_a_run_is_one_row_of_the_hparams_table(run, sweep):
    [file] = run.rglob("events*")
    assert file.parent == folder_of(run)
    assert status(run) == "STATUS_SUCCESS"
    row = {k: getattr(v, v.WhichOneof("kind")) for k, v in hparams(run, "session_start_info").hparams.items()}
    assert row["latent.dim"] == {"0": 2, "1": 3}[run.name]
    assert row["model"] == "mlp" and row["model.hidden_dims"] == "256, 128" and row["model.tied"] == "False"
    assert row["noise"] == row["regularizer"] == "none"
    assert row["seed"] == 0 and row["trainer.epochs"] == 2 and row["dataset.limit"] == 400
    assert "trainer.patience" not in row, "a value that is not set is an empty cell"
    assert not [key for key in row if key.startswith(("metric", "plot", "device", "threads", "hydra"))]


def test_pictures_over_training_stand_at_their_steps(run):
    """Before the first step, at validations 1, 2, 4, ..., and at the last; the same rows, and no two looks alike."""
    per_epoch = 12  # 320 rows, in as many batches at least
    looks = events(run).Images("training/reconstructions")
    assert [look.step for look in looks] == [0, per_epoch, 2 * per_epoch]
    pictures = [np.asarray(Image.open(io.BytesIO(look.encoded_image_string)).convert("L")) for look in looks]
    rows = [picture.reshape(2, -1, picture.shape[1]) for picture in pictures]  # inputs above outputs
    for before, after in itertools.pairwise(rows):
        np.testing.assert_array_equal(before[0], after[0])
        assert (before[1] != after[1]).any()


def test_a_failed_run_says_so(failed):
    assert status(failed) == "STATUS_FAILURE"
    assert json.loads((failed / "status.json").read_text())["status"] == "failed"
    assert hparams(failed, "session_start_info").hparams["optimizer.lr"].number_value == 1e20


def test_a_run_that_goes_on_and_gets_through_has_not_failed(tmp_path):
    for finished, expected in ((False, "STATUS_FAILURE"), (True, "STATUS_SUCCESS")):
        track = Tracker(RunFolder(tmp_path), {"latent.dim": 2}, bar=False, on_step=lambda progress: None)
        track.start(10, Progress())
        track.close(finished)
        assert status(tmp_path) == expected


def test_history_and_status_are_written_every_few_seconds_and_at_the_end_whatever_it_is(tmp_path, monkeypatch):
    seconds, folder = [0.0], RunFolder(tmp_path)
    monkeypatch.setattr(timing.time, "monotonic", lambda: seconds[0])
    status = Status(folder, "a1", {})
    track = Tracker(folder, {}, bar=False, on_step=lambda progress: status.note(step=progress.step))
    track.start(10, progress := Progress())
    written = []
    for step in range(1, 6):
        seconds[0] += 0.9
        progress.step = step
        progress.history += [{"step": step, "epoch": step, "split": split, "loss": 1.0} for split in ("train", "val")]
        track.evaluation(progress)
        written.append((len(folder.read_history()) // 2, folder.read_status()["step"]))
    assert written == [(1, 1), (1, 1), (1, 1), (4, 4), (4, 4)]  # two seconds have passed at the fourth, and not since
    track.close(finished=False)
    status.end("interrupted")
    assert len(folder.read_history()) == 10 and folder.read_status()["step"] == 5


def test_the_projector_is_given_codes_metadata_and_pictures(run):
    folder = folder_of(run)
    [tensors] = folder.glob("*/codes/tensors.tsv")
    codes = np.loadtxt(tensors, delimiter="\t")
    # the projector shows no point of two dimensions: a third one is zero
    assert codes.shape == (400, 3)
    assert np.ptp(codes, axis=0).astype(bool).tolist() == [True, True, run.name == "1"]
    data = digits(name="digits", limit=400, split=Fractions([8, 1, 1]))
    header, *lines = (tensors.parent / "metadata.tsv").read_text().splitlines()
    assert header == "label\tsplit\terror"
    labels, splits, errors = zip(*(line.split("\t") for line in lines), strict=True)
    assert list(labels) == [f"class {y}" for split in data.splits.values() for y in split.y.tolist()]
    assert list(splits) == ["train"] * 320 + ["val"] * 40 + ["test"] * 40
    test = [float(error) for error, split in zip(errors, splits, strict=True) if split == "test"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert np.mean(test) == pytest.approx(metrics["test"]["reconstruction/mse"], rel=1e-3)
    pictures = np.concatenate([split.batch(slice(None)).x[:, 0].numpy() for split in data.splits.values()])
    with Image.open(tensors.parent / "sprite.png") as sprite:
        assert sprite.size == (320, 320) and max(sprite.size) <= WIDEST_SPRITE
        tiles = np.asarray(sprite.convert("L")).reshape(20, 16, 20, 16).swapaxes(1, 2).reshape(400, 16, 16)
    np.testing.assert_allclose(tiles[:, ::2, ::2] / 255, pictures, atol=1 / 255)
    config = (folder / "projector_config.pbtxt").read_text()
    assert all(f'"{path.relative_to(folder).as_posix()}"' in config for path in tensors.parent.iterdir())


def test_the_projector_has_a_view_that_is_coloured_by_label(run):
    [config] = run.rglob("projector_config.pbtxt")
    [embedding] = text_format.Parse(config.read_text(), ProjectorConfig()).embeddings
    [view] = json.loads((config.parent / embedding.bookmarks_path).read_text())
    assert view["selectedColorOptionName"] == view["selectedLabelOption"] == "label"


def test_a_second_try_of_the_same_step_leaves_one_embedding(tmp_path):
    for _ in range(2):
        track = Tracker(RunFolder(tmp_path), {}, bar=False, on_step=lambda progress: None)
        track.start(10, Progress())
        track.log_codes(np.eye(3), {"label": ["a", "b", "a"], "error": [0.0, 1.0, 2.0]}, None, 7)
        track.close(True)
    [config] = tmp_path.rglob("projector_config.pbtxt")
    assert len(text_format.Parse(config.read_text(), ProjectorConfig()).embeddings) == 1


def test_words_with_tabs_and_line_ends_do_not_shift_the_metadata(tmp_path):
    track = Tracker(RunFolder(tmp_path), {}, bar=False, on_step=lambda progress: None)
    track.start(10, Progress())
    track.log_codes(np.eye(3), {"label": ["a\tb", "c\r\nd", ""], "error": [0.5, float("nan"), 1.0]}, None, 7)
    track.close(True)
    [metadata] = tmp_path.rglob("metadata.tsv")
    assert metadata.read_text() == "label\terror\na b\t0.5\nc d\tnan\n-\t1\n"


# --- TensorBoard itself


def until(condition, what: str, seconds: float = 60):
    """The first true value of `condition`, asked over and over."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return value


def ask(url: str, body: dict | None = None):
    request = urllib.request.Request(url, body and json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def server(sweep, failed, tmp_path_factory) -> str:
    """The address of `tensorboard --logdir SWEEP`, which has read every run."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(sweep), "--port", "0"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        url = until(lambda: re.search(r"http://\S+/", log.read_text()), "TensorBoard's address")[0]
        until(lambda: set(ask(f"{url}data/runs")) == RUNS, "the runs")
        until(lambda: NAMES["1"] in ask(f"{url}data/plugin/projector/runs"), "the projector's runs")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.slow
def test_the_table_puts_in_front_what_differs_between_runs(server, sweep):
    infos = ask(f"{server}data/plugin/hparams/experiment", {"hparamsLimit": 0})["hparamInfos"]
    differing = [info["name"] for info in infos if info["differs"]]
    assert differing == [info["name"] for info in infos][: len(differing)]
    assert {"latent.dim", "optimizer", "optimizer.lr"} == set(differing)
    # one run's own keys are columns as well
    assert {"optimizer.betas", "optimizer.momentum"} <= {info["name"] for info in infos}


@pytest.mark.slow
def test_the_table_has_a_row_for_each_run(server, sweep):
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    body = {"startIndex": 0, "sliceSize": 10, "colParams": [], "allowedStatuses": statuses}
    groups = ask(f"{server}data/plugin/hparams/session_groups", body)["sessionGroups"]
    rows = {group["sessions"][0]["name"]: group for group in groups}
    assert {name: row["sessions"][0]["status"] for name, row in rows.items()} == {
        name: "STATUS_FAILURE" if "failed" in name else "STATUS_SUCCESS" for name in RUNS
    }
    for name in ("0", "1"):
        row = rows[NAMES[name]]
        shown = {metric["name"]["tag"]: metric["value"] for metric in row["metricValues"]}
        metrics = json.loads((sweep / name / "metrics.json").read_text())
        assert shown["values/val/loss"] == pytest.approx(metrics["val"]["loss"])
        for headline in ("loss", "reconstruction/mse", "probe/linear"):
            assert shown[f"test/{headline}"] == pytest.approx(metrics["test"][headline])


# --- in a browser


FIND = """
const found = [];
const walk = node => {
  if (node.matches && node.matches(arguments[0]) && node.getClientRects().length) found.push(node);
  if (node.shadowRoot) walk(node.shadowRoot);
  node.childNodes.forEach(walk);
};
walk(document.body);
return found;
"""
TEXT = """
const found = [];
const walk = node => {
  if (node.nodeType === Node.TEXT_NODE) found.push(node.textContent.trim());
  if (node.nodeType === Node.ELEMENT_NODE && getComputedStyle(node).display === 'none') return;
  if (node.shadowRoot) walk(node.shadowRoot);
  node.childNodes.forEach(walk);
};
walk(document.body);
return found.filter(Boolean).join('\\n');
"""


class Page:
    """A tab of TensorBoard, its shadow roots included."""

    def __init__(self, browser, address: str, folder: Path):
        self.browser = browser
        self.folder = folder
        browser.switch_to.default_content()
        browser.get("about:blank")  # else another fragment of the same address is no new page
        browser.get(address)

    def wait(self, *words: str) -> None:
        until(lambda: set(words) <= set(self.text().splitlines()), f"the words {', '.join(words)}")

    def text(self) -> str:
        return self.browser.execute_script(TEXT)

    def find(self, selector: str) -> list:
        return self.browser.execute_script(FIND, selector)

    def shot(self, name: str) -> Image.Image:
        picture = self.browser.get_screenshot_as_png()
        (self.folder / f"{name}.png").write_bytes(picture)
        return Image.open(io.BytesIO(picture)).convert("RGB")


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    """Screenshots for a person to look at: basetemp/screenshots0."""
    return tmp_path_factory.mktemp("screenshots")


@pytest.fixture
def page(browser, server, shots):
    return lambda tab: Page(browser, f"{server}#{tab}", shots)


@pytest.mark.slow
@pytest.mark.browser
def test_the_scalars_tab_shows_the_curves_of_every_run(page):
    tab = page("scalars")
    tab.wait("train/loss", "test/reconstruction/mse", *RUNS)
    until(lambda: tab.find("path.symbol"), "a point of a curve")
    tab.shot("scalars")


@pytest.mark.slow
@pytest.mark.browser
def test_the_images_tab_shows_the_figures(page):
    tab = page("images")
    tab.wait("figures/reconstructions", "figures/curves", *NAMES.values())
    widths = "return arguments[0].map(image => image.naturalWidth)"
    until(
        lambda: sum(width > 600 for width in tab.browser.execute_script(widths, tab.find("img"))) >= 4,
        "two figures of two runs; pictures of training stand below",
    )
    tab.shot("images")


@pytest.mark.slow
@pytest.mark.browser
def test_the_hparams_tab_shows_what_differs_and_what_came_of_it(page):
    tab = page("hparams")
    tab.wait("Trial ID", *RUNS)
    [table] = until(lambda: tab.find("vaadin-grid"), "the table")
    # five of each are shown unasked; what follows them is out of sight
    expected = {"latent.dim", "optimizer", "optimizer.lr", "test/loss", "test/probe/linear", *RUNS}
    until(lambda: expected <= set(table.text.splitlines()), "columns and rows")
    assert {"2.0000", "3.0000"} <= set(table.text.splitlines())
    tab.shot("hparams")


@pytest.mark.slow
@pytest.mark.browser
def test_the_projector_shows_the_codes(page, sweep):
    tab = page("projector")
    for _ in range(2):  # a frame in a frame
        [frame] = until(lambda: tab.find("iframe"), "the projector's frame")
        tab.browser.switch_to.frame(frame)
    step = json.loads((sweep / "0" / "metrics.json").read_text())["best_step"]
    tab.wait(NAMES["0"], f"codes:{step:05}", "Points:", "400")
    until(lambda: black(tab.shot("projector")) > 0.01, "pictures of digits")
    [view] = [icon for icon in tab.find("paper-icon-button") if icon.get_attribute("icon") == "radio-button-unchecked"]
    tab.browser.execute_script("arguments[0].click()", view)
    tab.wait("class 0", "class 9")  # the legend of the colours
    tab.shot("projector_coloured")


def black(picture: Image.Image) -> float:
    """The share of black in the middle, where axes are coloured; 0 while a dialog dims the page."""
    middle = np.asarray(picture)[150:-50, 400:1200].max(axis=-1)
    return float((middle < 60).mean()) if np.median(middle) > 240 else 0.0

"""The lecture: every topic has its experiment, its figures are drawn there, and the page holds what was made."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import hydra.utils
import psutil
import pytest
from composing import composed
from PIL import Image

from aeexp.errors import UsageError
from aeexp.lectures import page
from aeexp.lectures.made import is_made, remember
from aeexp.lectures.topics import PREFIX, Topic, read_topics, split_header
from aeexp.lectures.training import train_topics
from aeexp.reference.options import list_groups, read_option
from aeexp.reports.comparison import Report
from aeexp.reports.declarations import Declarations
from aeexp.reports.grouping import Group
from aeexp.reports.records import Record

TOPICS = read_topics()
PARTS = {"filters": ["filters_encoder", "filters_decoder"]}  # figures of another name than their plot's
OF_SWEEPS = {"codes.png", "reconstructions.png", "samples.png", "sweep.png", "tradeoff.png"}


def test_the_topics_are_the_experiments():
    found = {name for name in list_groups()["experiment"] if name.startswith(PREFIX)}
    assert {topic.experiment for topic in TOPICS} == found and len(TOPICS) >= 20


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_composes_and_draws_what_it_shows(topic):
    cfg = composed(f"experiment={topic.experiment}")
    assert topic.title and len(topic.title) < 80 and topic.text and topic.figures and topic.numbers
    assert not any("aeexp " in text or "one command" in text for text in topic.text)
    # a variant that is swept sets the figures of no other
    drawn = {name for plot in cfg.plot for name in PARTS.get(plot, [plot])}
    metrics = [hydra.utils.get_class(node._target_) for node in cfg.metric.values()]
    declared = [number.pattern for metric in metrics for number in metric.numbers]
    for key in topic.numbers:
        assert any(re.fullmatch(pattern, key) for pattern in declared), key
    for pattern in topic.figures:
        name = Path(pattern).stem
        if pattern in OF_SWEEPS:
            assert topic.sweeps
        else:
            assert pattern.startswith("*/figures/" if topic.sweeps else "figures/")
            assert name in drawn, name


def test_texts_are_the_first_lines_of_the_experiment():
    title, text = split_header(read_option("experiment", "lecture_pca").header)
    assert title == "What is PCA to an autoencoder?"
    assert text[0].startswith("PCA in closed form")
    lines = ["Lecture: a title. More of", "it; one command:", "  aeexp x", "And the", "rest.", "", "Last."]
    assert split_header(lines) == ("A title", ("More of it.", "And the rest.", "Last."))


def test_a_topic_that_is_none_is_refused():
    with pytest.raises(UsageError, match="^nothing is no topic: take some of codes, "):
        read_topics(["nothing"])
    assert [topic.name for topic in read_topics(["lecture_pca", "codes"])] == ["codes", "pca"]


def test_the_page_is_one_file_with_text_escaped_and_says_what_is_missing(tmp_path):
    topic = Topic("bad", "<b>a & b</b>", ("<script>x</script>",), {"a.png": "none"}, {"loss": "loss"}, False)
    section = page.build_section(topic, tmp_path, "aeexp 'x=<i>'", "it failed")
    page.write_page([section], tmp_path / "lecture.html")
    text = (tmp_path / "lecture.html").read_text(encoding="utf-8")
    assert "<script>" not in text and "&lt;b&gt;a &amp; b" in text and "it failed" in text
    assert not re.search(r"(src|href)=\"(?!#|data:)", text)


@pytest.mark.parametrize("ending", ["png", "gif"])
@pytest.mark.parametrize("wrong", ["empty", "text", "cut", "vast"])
def test_a_figure_that_cannot_be_read_is_left_out(wrong, ending, tmp_path):
    path = tmp_path / f"x.{ending}"
    Image.new("L", (9, 9)).save(path)
    side = struct.pack("<HH", 65535, 65535) if ending == "gif" else struct.pack(">II", 65535, 65535)
    start = 6 if ending == "gif" else 16
    whole = path.read_bytes()
    assert page.read_picture(path) is not None
    contents = {
        "empty": b"",
        "text": b"none",
        "cut": whole[:10],
        "vast": whole[:start] + side + whole[start + len(side) :],
    }
    path.write_bytes(contents[wrong])
    assert page.read_picture(path) is None


def test_topics_go_beside_each_other_and_a_failure_is_told_by_its_last_line(tmp_path):
    commands, folders = [["--version"], ["variant=vea", "--cfg=job"]], [tmp_path / "a", tmp_path / "b"]
    ended = {each.place: each.trouble for each in train_topics(commands, folders, 2)}
    assert ended.keys() == {0, 1} and ended[0] == "" and "variant=vea" in ended[1]
    assert is_made(folders[0], commands[0]) and not is_made(folders[1], commands[1])
    (again,) = train_topics(commands[:1], folders[:1], 2)
    assert again.seconds == 0


def test_who_leaves_early_leaves_nothing_running(tmp_path):
    commands = [["--version"], ["experiment=lecture_line", f"hydra.run.dir={tmp_path}"]]
    others = set(psutil.Process().children(recursive=True))  # of tests before this one
    with closing(train_topics(commands, [tmp_path / "a", tmp_path / "b"], 2)) as training:
        next(training)  # the first is over, the second trains
        started = set(psutil.Process().children(recursive=True)) - others
    assert started and not [child for child in started if child.is_running() and child.status() != "zombie"]


def test_a_folder_is_made_by_its_words_and_its_runs(tmp_path):
    def add(name: str, status: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "status.json").write_text(json.dumps({"status": status}))

    words = ["experiment=lecture_xor"]
    assert not is_made(tmp_path, words)
    add("0", "finished")
    remember(tmp_path, words)
    assert is_made(tmp_path, words) and not is_made(tmp_path, [*words, "seed=1"])
    add("1", "running")
    assert is_made(tmp_path, words), "what is not finished is none of it"
    shutil.rmtree(tmp_path / "0")
    assert not is_made(tmp_path, words)


def test_baselines_stand_once_and_by_their_data():
    def group(data: str, dim: int) -> Group:
        rows = {"pca": {"error": 3.0 / dim}, "mean": {"error": 4.0}, "raw": {"probe": 1.0}}
        names = {"pca": f"PCA, width {dim}", "mean": "the mean"}
        metrics = {"test": {"error": 1.0}, "baseline": rows, "baseline_names": names, "data": {"name": data}}
        return Group({"latent.dim": str(dim)}, [Record(Path(), {}, {}, {}, metrics, {})])

    def beside(*groups: Group) -> list[tuple[str, list[str]]]:
        report = empty._replace(groups=list(groups))
        heads, rows = page.tabulate(report, topic)
        assert heads == ["squared error"] and [name for name, _ in rows[: len(groups)]] == [g.name for g in groups]
        return rows[len(groups) :]

    topic = Topic("x", "x", ("x",), {}, {"error": "squared error"}, True, ("pca", "raw", "mean"))
    empty = Report([], [], [], [], [], [], [], [], [], [], {}, [], [], Declarations([]))
    assert beside(group("a", 1), group("a", 2)) == [
        ("PCA, width 1", ["3"]), ("PCA, width 2", ["1.5"]), ("the mean", ["4"]),
    ]  # fmt: skip
    assert [name for name, _ in beside(group("a", 1), group("b", 1))] == [
        "PCA, width 1, a", "PCA, width 1, b", "the mean, a", "the mean, b",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_lecture_is_made_and_made_again_without_training(tmp_path):
    words = ["xor", "trainer.epochs=1", "latent.dim=1,2", "--output", str(tmp_path)]

    def hold() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "aeexp.cli.lecture", *words], capture_output=True, text=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
        return (tmp_path / "lecture.html").read_text(encoding="utf-8")

    first, stamps = hold(), {path: path.stat().st_mtime for path in tmp_path.rglob("best.pt")}
    assert first.count("data:image/png") == 4 and "aeexp experiment=lecture_xor" in first and len(stamps) == 2
    hold()
    assert {path: path.stat().st_mtime for path in tmp_path.rglob("best.pt")} == stamps

"""The lecture: every topic has its experiment, its figures are drawn there, and the page holds what was made."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from composing import composed

from aeexp.errors import UsageError
from aeexp.lectures import page
from aeexp.lectures.topics import PREFIX, Topic, read_topics, split_header
from aeexp.reference.options import list_groups, read_option

TOPICS = read_topics()
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
    drawn = set(cfg.plot) | {name for plot in cfg.plot for name in (f"{plot}_encoder", f"{plot}_decoder")}
    for pattern in topic.figures:
        name = Path(pattern).stem
        if pattern in OF_SWEEPS:
            assert topic.sweeps
        else:
            assert pattern.startswith("*/figures/" if topic.sweeps else "figures/")
            assert name in drawn or name.removesuffix("_*") in drawn, name


def test_texts_are_the_first_lines_of_the_experiment():
    title, text = split_header(read_option("experiment", "lecture_pca").header)
    assert title == "What is PCA to an autoencoder?"
    assert text[0].startswith("PCA in closed form")
    assert split_header(["Lecture: a title. More of", "it; one command:", "  aeexp x", "And the rest."]) == (
        "A title", ("More of it.", "And the rest."),
    )  # fmt: skip


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

"""Words of the command line: flags anywhere, `~` as the home folder, letters that a terminal lacks."""

from __future__ import annotations

import io
import sys

import pytest
from hydra._internal.utils import get_args_parser
from hypothesis import given
from hypothesis import strategies as st

from aeexp.cli.command import replace_letters, settle_environment
from aeexp.cli.encode import build_parser as build_encode_parser
from aeexp.cli.report import build_parser as build_report_parser
from aeexp.cli.train import VALUED, compose_and_run, order_words
from aeexp.datasets import npz
from aeexp.errors import UsageError
from aeexp.files import expand_home
from aeexp.runs.composing import expand_override
from aeexp.runs.folder import RunFolder


@pytest.mark.parametrize(
    ("words", "ordered"),
    [
        ("a=1 -m b=2,3", "-m a=1 b=2,3"), ("a=1 --cfg job b=2 --resolve", "--cfg job --resolve a=1 b=2"),
        ("-m", "-m"), ("~noise a=1 -cd x=y c=-1", "-cd x=y ~noise a=1 c=-1"),
        ("--config-dir=x=1 a=2", "--config-dir=x=1 a=2"),
        ("a=1 --info", "--info a=1"), ("--info a=1", "--info all a=1"),
        ("a=1 --info defaults b=2", "--info defaults a=1 b=2"),
    ],
)  # fmt: skip
def test_flags_may_stand_anywhere(words, ordered):
    assert order_words(words.split()) == ordered.split()


def test_hydra_reads_the_ordered_words_whatever_the_order():
    """Which of Hydra's flags a word follows is known: a flag of a later version fails here."""
    actions = [action for action in get_args_parser()._actions if action.option_strings]
    assert {name for action in actions if action.nargs != 0 for name in action.option_strings} == VALUED
    parser = get_args_parser()
    for words in ("a=1 -m b=2,3", "a=1 --cfg job b=2,3 -m", "a=1 b=2,3 -m --cfg job", "-m a=1 --info b=2,3"):
        parsed = parser.parse_args(order_words(words.split()))
        assert parsed.overrides == ["a=1", "b=2,3"] and parsed.multirun


def test_the_other_commands_take_flags_anywhere():
    encode = build_encode_parser().parse_intermixed_args(["run", "rows.npz", "--force", "y=label"])
    assert (encode.run, encode.data, encode.keys, encode.force) == ("run", "rows.npz", ["y=label"], True)
    report = build_report_parser().parse_intermixed_args(["a", "--sort", "loss", "b"])
    assert list(map(str, report.roots)) == ["a", "b"] and report.sort == "loss"


@pytest.mark.parametrize(
    ("word", "expanded"),
    [
        ("dataset.path=~/a.csv", "dataset.path=/home/me/a.csv"),
        ("dataset.path='~/a b.csv'", "dataset.path='/home/me/a b.csv'"),
        ("a=~", "a=~"), ("a=[~/b,~/c]", "a=[/home/me/b,/home/me/c]"), ("a=~/b,~/c", "a=/home/me/b,/home/me/c"),
        ("a=b~/c", "a=b~/c"), ("a=~x", "a=~x"), ("~noise", "~noise"), ("a='b,~c'", "a='b,~c'"), ("-m", "-m"),
        ("hydra.run.dir=~/x", "hydra.run.dir=/home/me/x"),
    ],
)  # fmt: skip
def test_a_tilde_is_the_home_folder(word, expanded, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_override(word) == expanded


def test_a_tilde_is_the_home_folder_for_loaders_and_run_folders_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunFolder("~/run").path == tmp_path / "run"
    assert expand_home("sqlite:///~/x.db") == f"sqlite:///{tmp_path}/x.db" and expand_home("~x/y") == "~x/y"
    report = build_report_parser().parse_args(["~/a", "--output=~/b"])
    assert report.roots == [tmp_path / "a"] and report.output == tmp_path / "b"
    with pytest.raises(UsageError, match=f"looked for {tmp_path}/rows.npz"):
        npz(path="~/rows.npz", name="x", split=None)


@given(st.text(st.characters(exclude_categories=())), st.sampled_from(["ascii", "latin-1", "gbk", "euc_jp", "utf-8"]))
def test_every_text_can_be_shown_in_every_encoding(text, encoding):
    settle_environment()
    text.encode(encoding, "aeexp")


def test_tables_stay_tables_where_letters_are_few(monkeypatch):
    settle_environment()
    assert "┏━┓│ ≈ ± é … x²".encode("ascii", "aeexp") == b"+-+| ~ +- e ... x2"
    assert "é ½ 盲".encode("latin-1", "aeexp") == "é ½ \\u76f2".encode("latin-1")
    with pytest.raises(UnicodeDecodeError):
        replace_letters(UnicodeDecodeError("ascii", b"\xff", 0, 1, "why"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content := io.BytesIO(), "ascii"))
    settle_environment()
    print("∑", flush=True)
    assert content.getvalue() == b"\\u2211\n"


def test_a_folder_that_hydra_would_read_as_a_reference_is_told(tmp_path, monkeypatch):
    folder = tmp_path / "${b}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["aeexp"])
    with pytest.raises(UsageError, match="start from another folder"):
        compose_and_run()

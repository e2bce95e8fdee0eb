"""aeexp-report: what it prints and writes, its exit codes, and what it says of words that select nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from reported import job, write_two

from aeexp.cli.report import main, split_keys
from aeexp.errors import UsageError
from aeexp.reports.comparison import collect
from aeexp.reports.text import console_text


def test_keys_stand_between_commas_and_keep_their_options():
    words = "probe/linear_n10 [draws=9 kinds=[a,b]],loss retrieval/map [queries=20]"
    assert split_keys(words) == ["probe/linear_n10 [draws=9 kinds=[a,b]]", "loss", "retrieval/map [queries=20]"]


def test_who_reads_the_first_line_alone_gets_all_files(tmp_path):
    write_two(tmp_path)
    words = f"{sys.executable} -m aeexp.cli.report {tmp_path} | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "Broken" not in done.stderr, done.stderr
    assert all((tmp_path / name).is_file() for name in ("summary.csv", "report.md", "report.html"))


def test_a_folder_that_cannot_be_written_keeps_no_table_from_being_shown(tmp_path, capsys):
    write_two(tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "runs"), "--output", str(tmp_path / "file" / "out")])
    told = capsys.readouterr()
    assert stop.value.code == 1 and "test split" in told.out and "Error" in told.err and told.err.count("\n") == 1


def test_nothing_to_compare_is_told_with_an_exit_code(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for words, code, said in (
        ([str(tmp_path / "none")], 2, "is no folder"),
        ([str(tmp_path / "empty")], 2, "holds no run"),
        ([str(job(tmp_path / "f", status="failed", message="broke"))], 1, "no run is finished"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        told = capsys.readouterr()
        assert stop.value.code == code and said in told.err and "Traceback" not in told.err
    assert "broke" in told.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"criteria": ["probe/liner"]}, "metrics=probe/liner: no run measured it; did you mean probe/linear?"),
        ({"baseline": "variant=c"}, "baseline=variant=c: no group has this"),
        ({"baseline": "nonsense"}, "variant=a|b"),
    ],
)
def test_words_that_select_nothing_name_what_there_is(tmp_path, arguments, said):
    write_two(tmp_path)
    with pytest.raises(UsageError) as error:
        collect([tmp_path], **arguments)
    assert said in str(error.value) and len(str(error.value).splitlines()) <= 2


def test_many_metrics_become_several_tables_that_fit(tmp_path):
    keys = [f"probe__linear_n{10**i}" for i in range(12)]
    for i in range(2):
        job(tmp_path / str(i), f"latent.dim={i}", **dict.fromkeys(keys, 0.123456))
    report = collect([tmp_path], criteria=[key.replace("__", "/") for key in keys])
    text = console_text(report, 80)
    assert max(map(len, text.splitlines())) <= 80 and text.count("latent.dim ") > 1
    assert all(f"linear_n{10**i} " in text for i in range(12))

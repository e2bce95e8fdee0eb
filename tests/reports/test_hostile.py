"""One folder never stops the report for all: whatever lies in it, it is listed with what is wrong, or compared."""

from __future__ import annotations

import copy
import json
import os
import shutil
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reported import job

from aeexp import files
from aeexp.reports import page, pictures
from aeexp.reports.comparison import Report, collect
from aeexp.reports.text import console_text, markdown, summary_csv
from aeexp.runs.folder import RunFolder

ENTRY = {
    "metric": "probe", "options": {"draws": 9}, "differs": "draws=9", "val": {}, "test": {"probe/x": 1.0},
    "baseline": {"pca": {"probe/x": 1.0}},
    "numbers": {"probe/x": {"better": "higher", "alike": ["latent."], "headline": True}},
    "metrics": {"probe": {"in_keys": ["a"], "harmless": ["b"]}},
}  # fmt: skip
MORE = {
    "val": {"loss": 1.0}, "train": {"loss": 1.0}, "evaluations": [ENTRY],
    "data": {"name": "digits", "fingerprint": "f", "rows": {"test": 10}, "sample": {"test": 10},
             "labelled": {"train": 5}},
}  # fmt: skip
BAD_VALUES = [
    None, [], {}, [1, 2], [[1]], {"a": 1}, {"a": {"b": [1]}}, "text", "", 10**400, 2**60, -(2**63), 1e308, 1e-320, True,
    "\ud800", "[/b]", "$_$", "=cmd()", "\x1b[31m", "\n", 0, "nan", "1e999",
]  # fmt: skip
FILES = ("metrics.json", "status.json", ".hydra/config.yaml", ".hydra/overrides.yaml", ".hydra/hydra.yaml")


def build(root: Path) -> Path:
    """Four runs of two groups; the second one, which is returned, holds all that a report reads."""
    for i in range(4):
        base = {"pca": {"loss": 1.0}}
        job(root / str(i), f"latent.dim={2 + i % 2}", f"seed={i // 2}", baseline=base, loss=1.0 + i, probe__linear=0.5)
    path = root / "1"
    content = {name: json.loads((path / name).read_text(encoding="utf-8")) for name in FILES}
    content["metrics.json"] |= MORE
    (path / "metrics.json").write_text(json.dumps(content["metrics.json"]), encoding="utf-8")
    return path


def test_a_text_that_is_cut_off_costs_no_time(tmp_path):
    """Backslashes before a quote that never comes: each quote in it would be tried again, to the end of the file."""
    (tmp_path / "x.json").write_text('{"a": "' + '\\"' * 1_000_000, encoding="utf-8")
    with pytest.raises(ValueError, match=r"^x\.json: Unterminated string"):
        files.read_json(tmp_path / "x.json")


def tell(root: Path) -> Report:
    """All that a report is, written."""
    report = collect([root], "auto", mix=True)
    for text in (console_text(report, 80), markdown(report), summary_csv(report)):
        files.write_text(root / "text", text)
    page.write_page(report, root / "report.html")
    return report


def list_places(node, place=()):
    yield place
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from list_places(value, (*place, key))


def put(node, place, value):
    if not place:
        return value
    node = copy.copy(node)
    node[place[0]] = put(node[place[0]], place[1:], value)
    return node


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    path = build(root)
    content = {name: json.loads((path / name).read_text(encoding="utf-8")) for name in FILES}
    return root, path, content, [(name, place) for name in FILES for place in list_places(content[name])]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_at_any_place_is_compared_or_listed(hostile, data):
    root, path, content, places = hostile
    name, place = data.draw(st.sampled_from(places))
    value = data.draw(st.sampled_from(BAD_VALUES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "encode_curves", lambda sweep: None)  # half a second
        for each in FILES:
            (path / each).write_text(json.dumps(content[each]), encoding="utf-8")
        (path / name).write_text(json.dumps(put(content[name], place, value)), encoding="utf-8")
        report = tell(root)
    assert len(report.failures) <= 1 and all(failure.folder == path for failure in report.failures)
    assert sum(len(group.records) for group in report.groups) + len(report.failures) >= 3  # a repeat may count once


DEEP = 100_000
BOMB = "a: &a [1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 8)}]\n" for i in range(20)
)


def write(content: bytes):
    return lambda path: path.write_bytes(content)


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def link(target: str):
    def make(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return make


CASES = {
    "digits": write(b'{"test": {"loss": ' + b"9" * 400 + b'}, "data": {}}'),
    "more digits": write(b'{"test": {"loss": ' + b"9" * 5000 + b"}}"),
    "deep": write(b'{"a":' * DEEP + b"1" + b"}" * DEEP), "deep list": write(b"[" * DEEP),
    "deep block": write(b"- " * DEEP), "deep text": write(b'{"test": "' + b"[" * DEEP + b'"}'),
    "bomb": write(BOMB.encode()), "list": write(b"[1, 2]"), "text": write(b'"text"'), "empty": write(b""),
    "surrogate": write(b'{"status": "finished", "test": {"a\\ud800": 1}, "data": {"name": "\\udfff"}}'),
    "no utf-8": write(b'{"test": {"\xff": 1}}'), "nul": write(b"\0" * 100), "nan": write(b'{"test": {"loss": NaN}}'),
    "infinite": write(b'{"test": {"loss": 1e999}}'), "python": write(b"!!python/object/apply:os.system [exit 3]\n"),
    "large": write(b'{"a": "' + b" " * (17 << 20) + b'"}'), "key": write(b"? [1]\n: 2\n"), "pipe": pipe,
    "folder": folder, "device": link("/dev/zero"), "circle": link("1"), "gone": lambda path: path.unlink(),
}  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="needs pipes and links")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FILES)
def test_any_file_in_the_place_of_another_is_listed_and_stops_nothing(tmp_path, name, case, monkeypatch):
    monkeypatch.setattr(pictures, "encode_curves", lambda sweep: None)
    path = build(tmp_path)
    CASES[case](path / name)
    report = tell(tmp_path)
    said = [f"{one.status}: {one.message}" for one in report.failures if one.folder == path]
    # an empty hydra.yaml is one, and so is a config.yaml of other keys
    assert said or name in FILES[2:]
    assert all("\n" not in one and len(one) < 200 for one in said)
    assert sum(len(group.records) for group in report.groups) == 4 - len(said)


@pytest.mark.skipif(os.name == "nt", reason="needs pipes")
def test_logs_figures_and_names_of_folders_stop_nothing(tmp_path):
    path = build(tmp_path)
    (path / "figures").mkdir()
    shutil.copytree(path, tmp_path / "²")  # a digit, but no number
    pipe(path / "figures" / "samples.png")
    (path / "figures" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (path / "figures" / "other.png").write_bytes(b"GIF89a")
    head = b"IHDR" + b"\0\1\0\0" * 2 + b"\x08\0\0\0\0"  # 65,536 x 65,536 pixels
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\r" + head + zlib.crc32(head).to_bytes(4, "big")
    (path / "figures" / "huge.png").write_bytes(huge)
    failed = job(tmp_path / "f\udc80", status="failed", message="\n")
    pipe(failed / "train.log")
    report = tell(tmp_path)
    assert [one.message for one in report.failures] == ["it left no word"]  # in a folder whose name is no UTF-8
    assert "\\udc80" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("split,step,loss\nval,1,abc\n", "history.csv, line 2: could not convert"),
        ("split,step,loss\nval,1,2,3\n", "history.csv, line 2"), ("a,b\n1,2\n", "rows without split and step"),
        ("\0\n1\n", "history.csv"), ("split,step\nval,x\n", "line 2"),
    ],
)  # fmt: skip
def test_garbage_in_the_history_is_told_with_its_line(tmp_path, content, said):
    (tmp_path / "history.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        RunFolder(tmp_path).read_history()


def test_texts_of_a_table_are_no_formulas_and_numbers_stay_numbers(tmp_path):
    for i, name in enumerate(("=1+1", "@SUM(A1)", "+cmd", "-2+3", "-1.5", "+1e-3", "a=b", "-")):
        job(tmp_path / str(i), f"dataset.name={name}", config={"latent.dim": i}, loss=-1.0)
    text = summary_csv(collect([tmp_path], mix=True))
    cells = [line.split(",")[0] for line in text.splitlines()[1:]]
    assert cells == ["'=1+1", "'@SUM(A1)", "'+cmd", "'-2+3", "-1.5", "+1e-3", "a=b", "-"]
    assert text.splitlines()[1].split(",")[-4] == "-1.0"
    assert files.csv_text(["=a"], [[-1, "\tx"]]) == "'=a\n-1,'\tx\n"

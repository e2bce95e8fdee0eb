"""Runs of several protocols: listed one by one, each ranked by itself, and nothing ranked over all."""

from __future__ import annotations

import pytest
from reported import job

from aeexp.cli.report import main
from aeexp.reports.by_protocol import collect_by_protocol
from aeexp.reports.comparison import Unmixed, collect


def write_three(root):
    """Two data sets and, of one, other units: 2 x 2 runs each, and one that failed."""
    for p, (name, unit) in enumerate((("digits", False), ("wine", False), ("digits", True))):
        for i in range(4):
            config = {"dataset.standardise": unit, "latent.dim": 2 + i % 2}
            words = (f"dataset.name={name}", f"latent.dim={2 + i % 2}", f"seed={i // 2}")
            data = {"name": name, "fingerprint": f"{name}{unit}"}
            job(root / f"{p}{i}", *words, config=config, data=data, loss=1.0 + i % 2 + 0.01 * i + p)
    job(root / "9", status="failed", message="broke")


def test_each_protocol_is_compared_by_itself(tmp_path):
    write_three(tmp_path)
    with pytest.raises(Unmixed):
        collect([tmp_path])
    mixed, parts = collect_by_protocol([tmp_path])
    assert [{record.folder.name[0] for group in part.groups for record in group.records} for part in parts] == [
        {"0"}, {"1"}, {"2"},
    ]  # fmt: skip
    assert all(len(part.groups) == 2 and part.best[0].group.columns["latent.dim"] == "2" for part in parts)
    assert len(mixed.groups) == 6
    assert not mixed.best and not mixed.paired and [one.message for one in mixed.failures] == ["broke"]
    assert "3 protocols" in mixed.notes[0] and "dataset.name=" in mixed.notes[0]


def test_of_one_protocol_nothing_changes(tmp_path):
    for i in range(4):
        job(tmp_path / str(i), f"latent.dim={i}", loss=float(i))
    report, parts = collect_by_protocol([tmp_path], "auto")
    plain = collect([tmp_path], "auto")
    assert parts == [] and len(report.best) > 0
    assert [(best.key, best.group.columns) for best in report.best] == [
        (best.key, best.group.columns) for best in plain.best
    ]


def test_the_command_lists_them_and_ends_well(tmp_path, capsys):
    write_three(tmp_path)
    main([str(tmp_path), "--metrics", "loss"])
    said = capsys.readouterr().out
    heads = [line for line in said.splitlines() if line.startswith(("digits (", "wine ("))]
    assert len(heads) == 3 and all(line.endswith(": 4 runs") for line in heads)
    assert said.count("broke") == 1 and "report.html" in said
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert [text.count(f"# {i}. ") for i in (1, 2, 3)] == [1, 1, 1] and "# All runs" in text
    assert (tmp_path / "summary.csv").read_text(encoding="utf-8").count("\n") == 1 + 6

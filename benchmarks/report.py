"""What many run folders cost those that read them all: copies of finished runs under other seeds and widths.

python benchmarks/report.py FINISHED_RUNS [--runs 500 1000 2500 5000] [--keep DIR]

report   aeexp-report, in a process of its own: seconds, CPU, peak memory, size of report.html
summary  what a sweep says when its last job is through, and the figures it draws of all, likewise
watch    a look of aeexp-report --watch at all of them, the first one and a later one where nothing has changed

Figures, curves and logs are one file under many names: of a report they are neither read nor copied but for a few.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SUMMARY = """
import sys
from pathlib import Path
from omegaconf import OmegaConf
from aeexp.sweeps.callbacks import Curves, Summary
config = OmegaConf.create({"hydra": {"sweep": {"dir": sys.argv[1]}}})
Summary().on_multirun_end(config)
Curves().on_multirun_end(config)
"""
WATCH = """
import sys, time
from pathlib import Path
from aeexp.reports.watching import Watch
watch = Watch(Path(sys.argv[1]))
for _ in range(2):
    began = time.process_time()
    watch.look()
    print(time.process_time() - began)
"""


class Used(NamedTuple):
    """By one process."""

    seconds: float
    cpu: float
    megabytes: float  # at most, at a time
    output: str


def copy_runs(source: Path, root: Path, runs: range) -> None:
    """Run folders with another width and seed each, five seeds a width, and numbers a little off."""
    finished = sorted(path.parent for path in source.rglob("metrics.json"))
    rng = np.random.default_rng(runs.start)
    for i in runs:
        old, new = finished[i % len(finished)], root / str(i)
        (new / ".hydra").mkdir(parents=True)
        width, seed = 2 + i // (5 * len(finished)), i // len(finished) % 5
        for name in ("config", "hydra", "overrides"):
            text = (old / ".hydra" / f"{name}.yaml").read_text(encoding="utf-8")
            if name == "config":
                text = re.sub(r"^seed: .*", f"seed: {seed}", text, flags=re.M)
                text = re.sub(r"^  dim: .*", f"  dim: {1000 + width}", text, flags=re.M)
            if name == "overrides":  # as they were typed in a sweep over both
                kept = [line for line in text.splitlines() if re.match(r"- (?!seed=|latent.dim=)", line)]
                text = "\n".join([*kept, f"- latent.dim={1000 + width}", f"- seed={seed}", ""])
            (new / ".hydra" / f"{name}.yaml").write_text(text, encoding="utf-8")
        metrics = json.loads((old / "metrics.json").read_text(encoding="utf-8"))
        metrics["test"] = {k: v if v is None else v * (1 + 0.01 * rng.normal()) for k, v in metrics["test"].items()}
        (new / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
        status = json.loads((old / "status.json").read_text(encoding="utf-8"))
        status.pop("hydra_digest", None)  # of the texts before they were changed
        (new / "status.json").write_text(json.dumps(status), encoding="utf-8")
        link_files(old, new)


def link_files(old: Path, new: Path) -> None:
    """What differs in no way that is looked at."""
    for folder in ("checkpoints", "tensorboard", "figures"):
        (new / folder).mkdir()
    for path in (old / "history.csv", old / "train.log", *(old / "figures").glob("*.png")):
        kept = new.parent / ".kept" / old.name / path.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        if not kept.is_file():
            kept.write_bytes(path.read_bytes())
        os.link(kept, new / path.relative_to(old))


def measure(*words: str) -> Used:
    """A process of Python, and what it took. Exits where it fails."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *words], stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        seconds = time.perf_counter() - began
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.exit(text)
    return Used(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, text)


def main() -> None:
    """A line for each number of folders; each has those of the one before, and more."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("source", type=Path, help="a folder with finished runs")
    parser.add_argument("--runs", type=int, nargs="+", default=[500])
    parser.add_argument("--keep", type=Path, help="where the copies stay; else they are removed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, there = arguments.keep or Path(temporary), 0
        for runs in sorted(arguments.runs):
            copy_runs(arguments.source, folder, range(there, runs))
            there = runs
            report = measure("-m", "aeexp.cli.report", str(folder))
            size = (folder / "report.html").stat().st_size / 1e6
            summary = measure("-c", SUMMARY, str(folder))
            first, later = map(float, measure("-c", WATCH, str(folder)).output.split())
            print(
                f"{runs} run folders: report {report.seconds:.1f} s, {report.cpu:.1f} s of CPU, "
                f"{report.megabytes:.0f} MB; report.html {size:.1f} MB; summary {summary.cpu:.1f} s of CPU, "
                f"{summary.megabytes:.0f} MB; watch {first:.2f} s of CPU, then {later:.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()

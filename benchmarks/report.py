"""Seconds that `aeexp-report` takes over many run folders: copies of finished runs under other seeds and widths.

python benchmarks/report.py FINISHED_MULTIRUN [--runs 500]
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def copy_runs(source: Path, root: Path, runs: int) -> None:
    """Run folders with another width and seed each, five seeds a width, and numbers a little off."""
    finished = sorted(path.parent for path in source.rglob("metrics.json"))
    rng = np.random.default_rng(0)
    for i in range(runs):
        old, new = finished[i % len(finished)], root / str(i)
        (new / ".hydra").mkdir(parents=True)
        width, seed = 2 + i // (5 * len(finished)), i // len(finished) % 5
        for name in ("config", "hydra", "overrides"):
            text = (old / ".hydra" / f"{name}.yaml").read_text(encoding="utf-8")
            if name == "config":
                text = re.sub(r"^seed: .*", f"seed: {seed}", text, flags=re.M)
                text = re.sub(r"^  dim: .*", f"  dim: {1000 + width}", text, flags=re.M)
            text = re.sub(r"^- seed=.*", f"- seed={seed}", text, flags=re.M)
            text = re.sub(r"^- latent.dim=.*", f"- latent.dim={1000 + width}", text, flags=re.M)
            (new / ".hydra" / f"{name}.yaml").write_text(text, encoding="utf-8")
        metrics = json.loads((old / "metrics.json").read_text(encoding="utf-8"))
        metrics["test"] = {k: v if v is None else v * (1 + 0.01 * rng.normal()) for k, v in metrics["test"].items()}
        (new / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
        status = json.loads((old / "status.json").read_text(encoding="utf-8"))
        status.pop("hydra_digest", None)  # of the texts before they were changed
        (new / "status.json").write_text(json.dumps(status), encoding="utf-8")
        for name in ("history.csv", "train.log"):
            (new / name).write_bytes((old / name).read_bytes())
        for folder in ("checkpoints", "tensorboard", "figures"):
            (new / folder).mkdir()
            for path in (old / folder).glob("*.png"):
                (new / folder / path.name).write_bytes(path.read_bytes())


def main() -> None:
    """Time one `aeexp-report` over the copies, in a process of its own."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("source", type=Path, help="a folder with finished runs")
    parser.add_argument("--runs", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy_runs(arguments.source, Path(folder), arguments.runs)
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "aeexp.cli.report", folder], capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(done.stderr)
        size = (Path(folder) / "report.html").stat().st_size / 1e6
        used = resource.getrusage(resource.RUSAGE_CHILDREN)  # what it takes where nobody else computes
        cpu = used.ru_utime + used.ru_stime
        print(f"{arguments.runs} run folders: {seconds:.1f} s, {cpu:.1f} s of CPU; report.html {size:.1f} MB")


if __name__ == "__main__":
    main()

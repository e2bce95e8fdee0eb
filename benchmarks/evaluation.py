"""Seconds of wall time and of CPU that metrics, baselines and figures of a finished run take, measured and drawn anew.

python benchmarks/evaluation.py RUN [--cache FOLDER] [--least 0.05]

With --cache baselines are kept there: a second call shows what a further run of a sweep takes.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from aeexp.evaluation.cache import Cache
from aeexp.evaluation.run import Run
from aeexp.metrics import reconstruction
from aeexp.metrics.latent import Latent
from aeexp.runs.config import make
from aeexp.runs.evaluate import restore_run
from aeexp.runs.figures import draw_plots, project
from aeexp.runs.folder import RunFolder
from aeexp.runs.measuring import measure_run
from aeexp.runs.tracking import open_album

Times = dict[str, list[float]]  # wall, CPU


def main() -> None:
    """Print a line for each stage, the slowest first."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run folder")
    parser.add_argument("--cache", type=Path, help="a folder for what baselines give")
    parser.add_argument("--least", type=float, default=0.05, help="seconds of CPU below which a stage is not named")
    arguments = parser.parse_args()
    times: Times = {}
    loaded, run = restore_run(RunFolder(arguments.run), torch.device("cpu"))
    run.cache = Cache(arguments.cache)
    metrics = loaded.make_metrics()
    plots = make(OmegaConf.create({"plot": loaded.config["plot"]}), "plot")
    watch_parts(run, metrics, plots, times)
    with clock(times, "evaluation"):
        measure_run(run, metrics, ("val", "test", "train"), losses=True)
    with tempfile.TemporaryDirectory() as folder, clock(times, "figures"), open_album(RunFolder(folder), 0) as add:

        def save(name: str, figure: Any) -> None:
            with clock(times, f"figures: saving {name}"):
                add(name, figure)

        draw_plots(plots, run, save)
    with clock(times, "projector"):
        project(run)
    print("   wall     CPU  seconds of")
    for name, (wall, cpu) in sorted(times.items(), key=lambda item: -item[1][1]):
        if cpu >= arguments.least:
            print(f"{wall:7.2f} {cpu:7.2f}  {name}")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB at most")


@contextmanager
def clock(times: Times, name: str) -> Iterator[None]:
    """Add what happens inside to a stage."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    spent = times.setdefault(name, [0.0, 0.0])
    spent[0] += time.perf_counter() - wall
    spent[1] += time.process_time() - cpu


def watch_parts(run: Run, metrics: Mapping[str, Any], plots: Mapping[str, Any], times: Times) -> None:
    """Let metrics, figures and the slowest of what they share tell their time."""

    def watch(owner: Any, name: str, describe: Callable[..., str]) -> None:
        inner = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            with clock(times, describe(*given)):
                return inner(*given, **named)

        setattr(owner, name, timed)

    for name, metric in metrics.items():
        watch(type(metric), "__call__", lambda metric, of, split, name=name: f"{name} of {whose(run, of)}, {split}")
    for name, plot in plots.items():
        watch(type(plot), "__call__", lambda *given, name=name: f"figures: drawing {name}")
    watch(Run, "_pca", lambda run: "PCA")
    watch(Latent, "jacobian_norm", lambda metric, of, split: "Jacobian")
    watch(reconstruction, "ssim", lambda *given: "SSIM")


def whose(run: Run, other: Run) -> str:
    """The run's own, or which baseline's."""
    named = [name for name in ("pca", "mean", "raw", "random") if other is run._kept.get(name)]
    return "the run" if other is run else named[0] if named else "a baseline"


if __name__ == "__main__":
    main()

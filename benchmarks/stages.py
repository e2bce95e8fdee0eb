"""Where the seconds of five commands go, stage by stage, and which stages are slower than at the last release.

    python benchmarks/stages.py [NAME ...] [--data DIR] [--rounds 1] [--save]

default   aeexp dataset=digits trainer.epochs=50
vae       aeexp variant=vae on 10,000 rows of MNIST, 5 epochs; wants --data DIR with MNIST/raw below it
conv      aeexp variant=conv on 2,000 colour pictures of 64x64, 2 epochs: blocks of 8x8 pixels in random colours about
          one of ten, with noise; made here by numpy with seed 0
sweep     aeexp -m of 16 seeds of the digits, 10 epochs
evaluate  aeexp-evaluate of the first command's run, with the default metrics and figures

Each command has a process of its own. Stages are `timing` of the runs' metrics.json; of a sweep their sums, to which
what is done once for all jobs is added, and of aeexp-evaluate what the same clock counts in its process. `start` is
what Python takes before the first line of the command and `exit` what it takes after the last one, which no clock
within sees; `other` is what lies in no stage. In the same process a fixed loop of Python and matrix products runs
before and after the command: the ratio of a stage to it says more than its seconds, which another machine or other
people's processes change. benchmarks/results/stages.json has the ratios of the last release; `--save` writes those of
now. Medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results" / "stages.json"
COMMANDS = {
    "default": "train dataset=digits trainer.epochs=50 hydra.run.dir={out}/default",
    "vae": "train variant=vae dataset=mnist dataset.root={data} dataset.limit=10000 trainer.epochs=5 "
    "hydra.run.dir={out}/vae",
    "conv": "train variant=conv dataset=npz dataset.path={out}/pictures.npz trainer.epochs=2 hydra.run.dir={out}/conv",
    "sweep": "train -m dataset=digits seed=range(0,16) trainer.epochs=10 hydra.sweep.dir={out}/sweep",
    "evaluate": "evaluate {out}/default metric=[default] plot=[default]",
}
ONCE = ("imports", "compose", "report")  # stages of a sweep that belong to no run alone
NOISE = 1.25  # a ratio that is this much above or below the last release's is told
LEAST = 0.02  # of the whole: stages that take less are told together


def refer() -> float:
    """Seconds of the fixed loop: what an interpreter and one core's matrix products take here and now. It is long
    enough to be interrupted by other processes as often as a command is."""
    import numpy as np

    a, began = np.random.default_rng(0).random((192, 192)), time.perf_counter()
    for _ in range(250):
        a = a @ a
        a /= np.abs(a).max()
        table = {str(i): float(i) for i in range(1000)}
        sum(value * 2 for value in table.values())
    return time.perf_counter() - began


def work(words: Sequence[str], report: Path) -> None:
    """One command in this process: its stages, its whole time and the loop's go into the file `report`."""
    started, began = time.time(), time.perf_counter()
    from aeexp.timing import Clock, stage

    clock, code = Clock(), 0
    with clock.running():
        if words[0] == "train":  # which counts its imports itself
            from aeexp.cli.train import main
        else:
            with stage("imports"):
                from aeexp.cli.evaluate import main
        sys.argv = [f"aeexp-{words[0]}", *words[1:]]
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    whole = time.perf_counter() - began
    told = {"stages": clock.seconds, "whole": whole, "started": started, "loop": [refer(), refer()]}
    report.write_text(json.dumps({**told, "ended": time.time()}), encoding="utf-8")
    sys.exit(code)


def measure(words: Sequence[str], out: Path) -> dict[str, float]:
    """Seconds by stage of one command, with `start`, `exit`, `other`, `whole`, which is their sum, and `loop`."""
    report = out / "report.json"
    before = [refer(), refer()]
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    called = time.time()
    done = subprocess.run([sys.executable, __file__, "--work", str(report), *words],
                          capture_output=True, text=True, cwd=out, env=environment)  # fmt: skip
    left = time.time()
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-4000:])
    told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    stages: dict[str, float] = dict(told["stages"])
    runs = sorted((out / "sweep").glob("*/metrics.json")) if "-m" in words else []
    if runs:  # in this process or in others
        stages = {name: stages.get(name, 0.0) for name in ONCE}
        for run in runs:
            for name, seconds in json.loads(run.read_text(encoding="utf-8"))["timing"]["stages"].items():
                stages[name] = stages.get(name, 0.0) + seconds
    # jobs side by side, or in a stack that each of them counts, take more than the command
    other = max(0.0, told["whole"] - sum(stages.values()))
    stages |= {"start": told["started"] - called, "exit": left - told["ended"], "other": other}
    whole = stages["start"] + told["whole"] + stages["exit"]
    return {**stages, "whole": whole, "loop": statistics.mean(before + told["loop"])}


def make_pictures(path: Path) -> None:
    """2,000 colour pictures of 64x64 in ten classes, an .npz."""
    import numpy as np

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 2000)
    colours = rng.random((10, 3, 1, 1))
    blocks = np.clip(colours[labels] + 0.25 * rng.normal(size=(2000, 3, 8, 8)), 0, 1)
    pictures = blocks.repeat(8, 2).repeat(8, 3) + 0.05 * rng.normal(size=(2000, 3, 64, 64))
    np.savez(path, x=(255 * np.clip(pictures, 0, 1)).astype(np.uint8), y=labels)


def compare(name: str, rounds: Sequence[dict[str, float]], kept: dict[str, float]) -> dict[str, float]:
    """Print one command's stages; returns their ratios to the loop."""
    keys = dict.fromkeys(key for each in rounds for key in each)
    if "start" not in kept:  # measured when the whole was that from the first line to the last
        kept = {key: value for key, value in kept.items() if key != "whole"}
    seconds = {key: statistics.median(each.get(key, 0.0) for each in rounds) for key in keys}
    ratios = {key: statistics.median(each.get(key, 0.0) / each["loop"] for each in rounds) for key in keys}
    small = LEAST * seconds["whole"]
    print(f"\n{name}: {seconds['whole']:.1f} s; the loop took {seconds['loop']:.3f} s")
    print(f"{'':24}{'seconds':>9}{'to loop':>9}{'release':>9}")
    hidden = 0.0
    for key in sorted(keys, key=lambda key: (key in ("whole", "other"), -seconds[key])):
        if key == "loop":
            continue
        past = kept.get(key)
        if seconds[key] < small and (past or 0.0) <= LEAST * kept.get("whole", 0.0):
            hidden += seconds[key]
            continue
        verdict = "" if not past else f"{ratios[key] / past:6.2f} of it"
        if past and not 1 / NOISE <= ratios[key] / past <= NOISE:
            verdict += "  slower" if ratios[key] > past else "  faster"
        told = "-" if past is None else f"{past:.2f}"
        print(f"{key:24}{seconds[key]:9.2f}{ratios[key]:9.2f}{told:>9} {verdict}")
    print(f"{'(all below 2 %)':24}{hidden:9.2f}", flush=True)
    return {key: round(value, 2) for key, value in ratios.items() if key != "loop"}


def main() -> None:
    """Measure the named commands, or all, and print them beside the last release."""
    if sys.argv[1:2] == ["--work"]:
        return work(sys.argv[3:], Path(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", choices=[*COMMANDS, []])
    parser.add_argument("--data", default=os.environ.get("AEEXP_DATA"), help="folder with MNIST/raw")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--save", action="store_true", help=f"write {KEPT.relative_to(ROOT)}: for a release")
    options = parser.parse_args()
    names = [name for name in options.names or COMMANDS if name != "vae" or options.data]
    names = ["default"] * ("evaluate" in names and "default" not in names) + names
    past: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            if "conv" in names:
                make_pictures(Path(folder) / "pictures.npz")
            for name in names:
                words = COMMANDS[name].format(out=folder, data=options.data and Path(options.data).resolve()).split()
                found[name].append(measure(words, Path(folder)))
    ratios = {name: compare(name, found[name], past.get(name, {})) for name in names}
    if options.save:
        KEPT.write_text(json.dumps({**past, **ratios}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Samples per second and peak memory of the same training, with rows resident, in host memory, on disk and streamed.

    python benchmarks/write_streams.py DIR /tmp/streams            # once: .npy, 20 tar shards, Parquet
    python benchmarks/write_streams.py DIR /tmp/streams10 10       # ten copies of the training rows
    python benchmarks/streaming.py /tmp/streams [/tmp/streams10] [--steps 1000]

    python benchmarks/write_streams.py table /tmp/one 1000000      # a Parquet table of ten columns and a label
    python benchmarks/streaming.py /tmp/one /tmp/ten /tmp/fifty --kinds "table stream" --steps 500 --rounds 1

Each row is a process of its own that trains the 784-512-256-32 mirror autoencoder at batch 128 for as many steps; of a
table one of 10-64-4 at batch 1024. Rates "by CPU" are rows a second of the process's own time: on a machine that others
use they are what can be compared.
"reading" is what the split gives alone, without training. The peak is the largest private memory seen (RssAnon of
Linux, every 20 ms), less what the process had after the imports: pages of a memory map that the system may drop at
any time do not count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

BATCH, TABLE_BATCH = 128, 1024
KINDS = ["npy device", "npy host", "npy disk", "huggingface disk", "huggingface stream", "webdataset stream"]


def load(kind: str, root: Path):
    """The data of one row, not yet placed."""
    from aeexp.datasets.core.splits import Official

    source, residency = kind.split()
    common = dict(name=source, split=Official(), residency=residency)
    if source == "table":
        from aeexp.datasets.core.splits import Fractions
        from aeexp.datasets.formats.huggingface import huggingface

        keys = dict(x=[f"c{i}" for i in range(10)], streaming=True, residency=residency)
        return huggingface(path=str(root / "table"), name=source, split=Fractions([8, 1, 1]), **keys)
    if source == "npy":
        from aeexp.datasets.formats.npy import npy

        paths = dict(path="x.npy", labels="y.npy", test="x_test.npy", test_labels="y_test.npy")
        return npy(**{key: str(root / "npy" / name) for key, name in paths.items()}, **common)
    if source == "huggingface":
        from aeexp.datasets.formats.huggingface import huggingface

        folders = {key: str(root / "parquet" / name) for key, name in (("path", "train"), ("test", "test"))}
        return huggingface(**folders, streaming=residency == "stream", **common)
    from aeexp.datasets.formats.webdataset import webdataset

    return webdataset(path=str(root / "wds" / "train-*.tar"), test=str(root / "wds" / "test-*.tar"), **common)


def measure(kind: str, root: Path, steps: int) -> dict[str, float]:
    """Runs in its own process."""
    import torch

    import aeexp.evaluation.run
    import aeexp.runs.build
    import aeexp.runs.run  # noqa: F401  what a run imports counts as its floor
    from aeexp.conditions import Unconditional
    from aeexp.latents.deterministic import Deterministic
    from aeexp.likelihoods.gaussian import Gaussian
    from aeexp.models.autoencoder import Autoencoder
    from aeexp.models.learner import Learner, average
    from aeexp.models.nn.mlp import mlp
    from aeexp.noises import Chain
    from aeexp.objectives.additive import Additive
    from aeexp.tasks.reconstruct import Reconstruct

    floor, watch = read_private_memory(), Watch()
    torch.manual_seed(0)
    began = time.process_time()
    data = load(kind, root).place(torch.device("cpu"))
    loading = time.process_time() - began
    train, table = data["train"], kind.startswith("table")
    size = TABLE_BATCH if table else BATCH
    list(islice(train.epoch(0, 1, size), 20))  # first calls are slow
    began, cpu = time.perf_counter(), time.process_time()
    rows = sum(len(batch.x) for batch in islice(train.epoch(0, 0, size), steps))
    reading, cpu_reading = rows / (time.perf_counter() - began), rows / (time.process_time() - cpu)
    code, hidden = (4, [64]) if table else (32, [512, 256])
    encoder, decoder = mlp(data.shape, code, code, 0, hidden_dims=hidden)
    model = Autoencoder(encoder, Deterministic(code), decoder, Gaussian(), Unconditional())
    learner = Learner(Reconstruct(), model, Additive(Chain({}), {}))
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-3, fused=True)
    began, cpu, done, epoch, rows = time.perf_counter(), time.process_time(), 0, 0, 0
    while done < steps:
        for batch in islice(train.epoch(0, epoch, size), steps - done):
            optimizer.zero_grad(set_to_none=True)
            torch.stack([term.mean() for term in learner(batch)[0].values()]).sum().backward()
            optimizer.step()
            done, rows = done + 1, rows + len(batch.x)
        epoch += 1
    training, cpu_training = rows / (time.perf_counter() - began), rows / (time.process_time() - cpu)
    return {
        "loading": loading,
        "reading": reading,
        "cpu reading": cpu_reading,
        "training": training,
        "cpu training": cpu_training,
        "peak": watch.largest - floor,
        "test": average(learner, data["test"])["loss"],
    }


def read_private_memory() -> float:
    """MB of memory that is not backed by a file."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


class Watch(threading.Thread):
    """Keeps the largest value of `read_private_memory`."""

    def __init__(self):
        super().__init__(daemon=True)
        self.largest = read_private_memory()
        self.start()

    def run(self) -> None:
        """Until the process ends."""
        while True:
            self.largest = max(self.largest, read_private_memory())
            time.sleep(0.02)


def main() -> None:
    """Measure every kind in turn and print a row of medians for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.roots[0], options.steps)))
        return
    rounds: dict[tuple[Path, str], list[dict]] = {}
    for _ in range(options.rounds):  # alternating: the machine is shared
        for root in options.roots:
            for kind in options.kinds:
                command = [sys.executable, __file__, str(root), "--steps", str(options.steps), "--one", kind]
                output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                rounds.setdefault((root, kind), []).append(json.loads(output.splitlines()[-1]))
    print(f"{'rows':<22}{'folder':<18}{'reading/s':>12}{'training/s':>12}{'ratio':>7}{'peak MB':>9}{'test loss':>11}"
          f"{'load, CPU s':>13}{'read by CPU':>13}{'train by CPU':>14}")  # fmt: skip
    for (root, kind), results in rounds.items():
        middle = {key: sorted(result[key] for result in results)[len(results) // 2] for key in results[0]}
        first = rounds[options.roots[0], options.kinds[0]]
        ratio = middle["training"] / sorted(result["training"] for result in first)[len(first) // 2]
        print(
            f"{kind:<22}{root.name:<18}{middle['reading']:>12,.0f}{middle['training']:>12,.0f}{ratio:>7.2f}"
            f"{middle['peak']:>9,.0f}{middle['test']:>11.3f}{middle['loading']:>13.1f}"
            f"{middle['cpu reading']:>13,.0f}{middle['cpu training']:>14,.0f}"
        )


if __name__ == "__main__":
    main()

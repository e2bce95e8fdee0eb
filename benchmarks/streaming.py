"""Samples per second and peak memory of the same training, with rows resident, in host memory, on disk and streamed.

    python benchmarks/write_streams.py DIR /tmp/streams            # once: .npy, 20 tar shards, Parquet
    python benchmarks/write_streams.py DIR /tmp/streams10 10       # ten copies of the training rows
    python benchmarks/streaming.py /tmp/streams [/tmp/streams10] [--steps 1000]

Each row is a process of its own that trains the 784-512-256-32 mirror autoencoder at batch 128 for as many steps.
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

BATCH = 128
KINDS = ["npy device", "npy host", "npy disk", "huggingface disk", "huggingface stream", "webdataset stream"]


def load(kind: str, root: Path):
    """The data of one row, not yet placed."""
    from aeexp.datasets.core.splits import Official

    source, residency = kind.split()
    common = dict(name=source, split=Official(), residency=residency)
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
    data = load(kind, root).place(torch.device("cpu"))
    train = data["train"]
    list(islice(train.epoch(0, 1, BATCH), 20))  # first calls are slow
    began = time.perf_counter()
    rows = sum(len(batch.x) for batch in islice(train.epoch(0, 0, BATCH), steps))
    reading = rows / (time.perf_counter() - began)
    encoder, decoder = mlp(data.shape, 32, 32, 0, hidden_dims=[512, 256])
    model = Autoencoder(encoder, Deterministic(32), decoder, Gaussian(), Unconditional())
    learner = Learner(Reconstruct(), model, Additive(Chain({}), {}))
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-3, fused=True)
    began, done, epoch = time.perf_counter(), 0, 0
    while done < steps:
        for batch in islice(train.epoch(0, epoch, BATCH), steps - done):
            optimizer.zero_grad(set_to_none=True)
            torch.stack([term.mean() for term in learner(batch)[0].values()]).sum().backward()
            optimizer.step()
            done += 1
        epoch += 1
    training = steps * BATCH / (time.perf_counter() - began)
    return {
        "reading": reading,
        "training": training,
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
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.roots[0], options.steps)))
        return
    rounds: dict[tuple[Path, str], list[dict]] = {}
    for _ in range(options.rounds):  # alternating: the machine is shared
        for root in options.roots:
            for kind in KINDS:
                command = [sys.executable, __file__, str(root), "--steps", str(options.steps), "--one", kind]
                output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                rounds.setdefault((root, kind), []).append(json.loads(output.splitlines()[-1]))
    print(f"{'rows':<22}{'folder':<18}{'reading/s':>12}{'training/s':>12}{'ratio':>7}{'peak MB':>9}{'test loss':>11}")
    for (root, kind), results in rounds.items():
        middle = {key: sorted(result[key] for result in results)[len(results) // 2] for key in results[0]}
        first = rounds[options.roots[0], KINDS[0]]
        ratio = middle["training"] / sorted(result["training"] for result in first)[len(first) // 2]
        print(
            f"{kind:<22}{root.name:<18}{middle['reading']:>12,.0f}{middle['training']:>12,.0f}{ratio:>7.2f}"
            f"{middle['peak']:>9,.0f}{middle['test']:>11.3f}"
        )


if __name__ == "__main__":
    main()

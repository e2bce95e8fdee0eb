"""Rows a second and memory of training on tar shards of many small pictures, by `dataset.workers`.

    python benchmarks/pictures.py write SHARDS [200]        # once: so many shards of 10,000 PNGs of digits, 20 MB each
    python benchmarks/pictures.py SHARDS --shards 2 20 200 --workers 0 1 2 [--seconds 40]

Each row is a process of its own: it opens the shards (`scan`: all headers and labels are read), then reads batches of
128 for some seconds (`reading`) and trains the 784-512-256-32 mirror autoencoder on them for as long (`training`), from
a stream. `index` is the private memory (RssAnon) behind the scan, `peak` the largest of it, both less what imports
take; `workers` is that of the decoding processes together. Seconds are wall time, `cpu` those of all processes a row
of `reading`, in microseconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parent))
BATCH, SHARD = 128, 10_000


def write(folder: Path, shards: int) -> None:
    """Digits of MNIST (beside the checkout), again and again, each with its label."""
    from write_streams import encode_png

    raw = Path(__file__).parents[2] / "shared" / "data" / "MNIST" / "raw"
    x = np.fromfile(raw / "train-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 28, 28)
    y = np.fromfile(raw / "train-labels-idx1-ubyte", np.uint8, offset=8)
    encoded = [encode_png(picture) for picture in x]
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        with open(folder / f"train-{shard:06d}.tar", "wb") as file:
            for row in range(shard * SHARD, (shard + 1) * SHARD):
                place = row * 7919 % len(x)
                for end, content in (("png", encoded[place]), ("cls", str(y[place]).encode())):
                    head = tarfile.TarInfo(f"{row:09d}.{end}")
                    head.size = len(content)
                    file.write(head.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
            file.write(bytes(10240))


def measure(folder: Path, shards: int, workers: int, seconds: float) -> dict[str, float]:
    """Runs in its own process."""
    import torch
    from streaming import Watch, read_private_memory

    import aeexp.evaluation.run
    import aeexp.runs.build
    import aeexp.runs.run  # noqa: F401  what a run imports counts as its floor
    from aeexp.datasets import Fractions, webdataset
    from aeexp.likelihoods.gaussian import Gaussian
    from aeexp.models.learner import Learner
    from aeexp.models.nn.mlp import mlp
    from aeexp.noises import Chain
    from aeexp.objectives.additive import Additive
    from aeexp.tasks.reconstruct import Reconstruct

    torch.set_num_threads(1)
    floor, watch, began = read_private_memory(), Watch(), time.perf_counter()
    data = webdataset(path=str(folder / f"train-{{000000..{shards - 1:06d}}}.tar"), name=None, residency="stream",
                      split=Fractions([0.98, 0.01, 0.01]), workers=workers).place(torch.device("cpu"))  # fmt: skip
    scan, index = time.perf_counter() - began, read_private_memory() - floor
    encoder, decoder = mlp(data.shape, 32, 32, 0, hidden_dims=[512, 256])
    model = aeexp.models.autoencoder.Autoencoder(
        encoder, aeexp.latents.Deterministic(32), decoder, Gaussian(), aeexp.conditions.Unconditional()
    )
    learner = Learner(Reconstruct(), model, Additive(Chain({}), {}))
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-3, fused=True)

    def train(batch) -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.stack([term.mean() for term in learner(batch)[0].values()]).sum().backward()
        optimizer.step()

    speeds, cpu = {}, 0.0
    for name, act in (("reading", lambda batch: None), ("training", train)):
        rows, used, began = 0, 0.0, 0.0
        for number, batch in enumerate(data["train"].epoch(0, 0, BATCH)):
            if number == 100:  # processes and buffers are there
                rows, used, began = 0, cpu_seconds(), time.perf_counter()
            act(batch)
            rows += len(batch.x)
            if number > 100 and time.perf_counter() - began > seconds:
                break
        speeds[name] = rows / (time.perf_counter() - began)
        cpu = cpu or (cpu_seconds() - used) / rows * 1e6
    others = [each.memory_info().rss / 2**20 for each in psutil.Process().children()]
    return {"scan": scan, "index": index, **speeds, "cpu": cpu, "peak": watch.largest - floor, "workers": sum(others)}


def cpu_seconds() -> float:
    """Of this process and those that it began."""
    times = [each.cpu_times() for each in (psutil.Process(), *psutil.Process().children())]
    return sum(each.user + each.system for each in times)


def main() -> None:
    """Write, or measure every combination in turn."""
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 200)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, nargs="+", default=[2, 20, 200])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.folder, given.shards[0], given.workers[0], given.seconds)))
        return
    names = ("scan", "index", "reading", "training", "cpu", "peak", "workers")
    print(f"{'pictures':>10}{'workers':>9}" + "".join(f"{name:>10}" for name in names), flush=True)
    for shards in given.shards:
        for workers in given.workers:
            words = ["--one", "--shards", str(shards), "--workers", str(workers), "--seconds", str(given.seconds)]
            line = [sys.executable, __file__, str(given.folder), *words]
            found = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
            numbers = "".join(f"{found[name]:>10,.0f}" for name in names)
            print(f"{shards * SHARD:>10,}{workers:>9}{numbers}", flush=True)


if __name__ == "__main__":
    main()

"""Training samples per second of `fit` beside what a user would pick instead, on the same rows, net and optimizer.

    python benchmarks/loop.py --root DIR [--nets ae784 vae] [--rounds 5] [--rows 20000] [--device cuda]

- tight: a loop by hand, rows on the device as float32, one index a batch, fused Adam, no log: as fast as it gets
- textbook: what tutorials show: a Dataset with ToTensor, a DataLoader without workers, `.item()` at each step
- lightning, pythae: their trainers on a TensorDataset, without logs and checkpoints; left out where not installed
- aeexp: `Joint.fit` without files and without a validation before its end; aeexp_run: with a validation an epoch,
  history, TensorBoard and checkpoints, as the command does it

Contenders alternate within one process, the first turn unseen; ratios are medians of the rounds' ratios to aeexp:
seconds on a shared machine are noisy.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import final

import torch
from contenders import OTHERS, Clock, Net, alternate, synchronise

from aeexp.datasets.core.data import Data
from aeexp.runs.build import build_seeded
from aeexp.runs.composing import compose_run
from aeexp.runs.config import check, make
from aeexp.runs.folder import RunFolder
from aeexp.runs.tracking import Tracker as Writing
from aeexp.trainers.checkpoint import Store
from aeexp.trainers.contracts import CheckpointStore, Tracker

NETS = {
    "deep": Net(["model.hidden_dims=[512,256]", "latent.dim=32"], hidden=(512, 256)),
    "shallow": Net(["model.hidden_dims=[]", "latent.dim=128"], hidden=(), latent=128),
    "vae": Net(["variant=vae", "model.hidden_dims=[400]", "latent.dim=20"], 128, (400,), 20, True),
    "conv": Net(["variant=conv", "latent.dim=32"], 512),
}


def compose(net: Net, rows: int, root: str, extra: list[str], device: torch.device):
    """The checked configuration of one epoch on that many rows."""
    words = ["dataset=mnist", f"dataset.root={root}", f"dataset.limit={rows}", f"device={device.type}",
             "trainer.epochs=1", f"trainer.batch_size={net.batch}", *net.words, *extra]  # fmt: skip
    cfg = compose_run(words).cfg
    check(cfg)
    return cfg


@final
class Kept(CheckpointStore):
    """Keeps nothing: the loop alone is timed."""

    @property
    def best(self) -> None:
        """None was kept."""

    @property
    def resumed(self) -> None:
        """There is none to go on from."""

    @property
    def extends(self) -> bool:
        """No."""
        return False

    def keep_best(self, state) -> None:
        """Not kept."""

    def save(self, state, *, now: bool = False) -> None:
        """Not written."""


def time_fit(net: Net, data: Data, device: torch.device, cfg, writes: bool, clock: Clock) -> float:
    """Samples per second of the product's loop; with `writes` validation, logs and files as a run has them."""
    learner = build_seeded(cfg, data)
    splits = data.splits if writes else {"train": data["train"], "val": data["val"].sample(net.batch)}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "checkpoints", {}, 10.0) if writes else Kept()
        track = Writing(RunFolder(folder), {}, bar=False, on_step=lambda progress: None) if writes else Tracker()
        trainer, optimizer, scheduler = (make(cfg, group) for group in ("trainer", "optimizer", "scheduler"))
        began = clock()
        progress = trainer.fit(learner, splits, optimizer, scheduler, store, track, seed=0)
        synchronise(device)
        seconds = clock() - began
        if isinstance(track, Writing):
            track.close(True)
    return progress.samples / seconds


def main() -> None:
    """Alternate the contenders, and print each one's median rate and its median ratio to aeexp."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--others", nargs="*", default=list(OTHERS), choices=list(OTHERS))
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--cpu-seconds", action="store_true", help="of the process, where others use the machine")
    parser.add_argument("words", nargs="*", help="further words for aeexp, as trainer.precision=bf16")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_seconds else time.perf_counter
    device = torch.device(options.device)
    others = {name: OTHERS[name] for name in options.others
              if name in ("tight", "textbook") or importlib.util.find_spec(name)}  # fmt: skip
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {device}, {options.rows} rows an epoch")
    for name in options.nets:
        net = NETS[name]
        cfg = compose(net, options.rows, options.root, [*options.words, "trainer.validate_every_epochs=1"], device)
        data = make(cfg, "dataset").place(device)
        rows = torch.cat([batch.x for batch in data["train"].batches(4096)]).cpu()
        contenders: dict[str, Callable[[], float]] = {
            "aeexp": functools.partial(time_fit, net, data, device, cfg, False, clock),
            "aeexp_run": functools.partial(time_fit, net, data, device, cfg, True, clock),
            **{other: functools.partial(function, net, rows, device, clock) for other, function in others.items()},
        }
        alternate(f"{name:8} ", "samples/s", contenders, options.rounds)


if __name__ == "__main__":
    main()

"""What a GPU gives: the same numbers as the CPU, and how much faster. At most six minutes on one card.

    python benchmarks/gpu.py --root DIR [--device cuda] [--parts correctness rates precision stack evaluation]

- correctness: loss and terms of every variant on the CPU and on the device, same weights, rows and draws
- rates: samples per second of four nets at batches of 128, 1,024 and 8,192, and of a loop by hand; peak memory
- precision: bf16, medium, channels last, compiled, and the forward and backward pass as CUDA graphs, against float32
- stack: 64 runs as one against one by one
- evaluation: seconds of each metric on MNIST's test rows

Each line is printed as it is measured, so that a run that is cut short tells what it has.
"""

from __future__ import annotations

import argparse
import copy
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, final

import torch
from contenders import synchronise, time_tight
from loop import NETS, Kept, compose, time_fit
from torch.overrides import TorchFunctionMode

from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.evaluation.protocol import measure
from aeexp.evaluation.run import Run
from aeexp.models.learner import Learner, average
from aeexp.reference.options import list_groups, read_option
from aeexp.runs.build import build_seeded
from aeexp.runs.composing import compose_run
from aeexp.runs.config import check, make
from aeexp.trainers.arithmetic import forward_of
from aeexp.trainers.contracts import Tracker, Training
from aeexp.trainers.stacking import fit_together

BATCHES = (128, 1024, 8192)
# A sum of a million float32 products in another order, relative: 2^-24 times the root of their number, ten times over.
TOLERANCE = 6e-4


@final
class DrawsOfTheCpu(TorchFunctionMode):
    """Random numbers are drawn on the CPU, wherever they are wanted."""

    NEW = (torch.rand, torch.randn, torch.randint, torch.randperm)
    LIKE = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in self.NEW:
            place = kwargs.pop("device", "cpu")
            return func(*args, **kwargs).to(place)
        if func in self.LIKE:
            return self.LIKE[func](args[0].shape, dtype=args[0].dtype).to(args[0].device)
        return func(*args, **kwargs)


def say(part: str, what: str, text: str) -> None:
    """A line of the result, at once."""
    print(f"{part:12} {what:34} {text}", flush=True)


def built(words: list[str], device: torch.device) -> tuple[Data, Learner, Any]:
    """Data and untrained learner on the device, and their configuration."""
    cfg = compose_run([*words, f"device={device.type}"]).cfg
    check(cfg)
    data = make(cfg, "dataset").place(device)
    return data, build_seeded(cfg, data), cfg


def compare_devices(device: torch.device) -> None:
    """The largest relative difference of a term, variant by variant."""
    for name in list_groups()["variant"]:
        words = [*read_option("variant", name).requires, f"variant={name}", "dataset.limit=400"]
        try:
            data, learner, cfg = built(words, torch.device("cpu"))
        except UsageError as error:
            say("correctness", name, f"not built: {str(error).splitlines()[0]}")
            continue
        moved = make(cfg, "dataset").place(device)
        with DrawsOfTheCpu():
            ours = average(learner, data["test"])
            theirs = average(copy.deepcopy(learner).to(device), moved["test"])
        off = max(abs(ours[key] - theirs[key]) / max(abs(ours[key]), 1e-3) for key in ours)
        say("correctness", name, f"{off:.1e} {'' if off < TOLERANCE else '  MORE THAN ROUNDING'}")


def compare_rates(root: str, device: torch.device, rows: int, words: list[str], batches: tuple[int, ...]) -> None:
    """Samples per second of the product's loop and of a loop by hand, at each batch."""
    for name, net in NETS.items():
        for size in batches:
            sized = net._replace(batch=size)
            cfg = compose(sized, rows, root, words, device)
            data = make(cfg, "dataset").place(device)
            x = torch.cat([batch.x for batch in data["train"].batches(4096)])
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            pairs = [(time_fit(sized, data, device, cfg, False, time.perf_counter),
                      time_tight(sized, x, device, time.perf_counter)) for _ in range(4)][1:]  # fmt: skip
            ours, tight = (statistics.median(side) for side in zip(*pairs, strict=True))
            memory = f", {torch.cuda.max_memory_allocated() / 1e6:,.0f} MB" if device.type == "cuda" else ""
            say(
                "rates",
                f"{name} {size} {' '.join(words)}",
                f"{ours:,.0f} samples/s, {ours / tight:.2f} of tight{memory}",
            )


def compare_precisions(root: str, device: torch.device, rows: int, size: int) -> None:
    """The loop in other arithmetic, and the passes of a step compiled, as ratios to float32 as it is."""
    for name, net in NETS.items():
        sized = net._replace(batch=size)
        words = ["precision=float32", "precision=medium", "precision=bf16"]
        words += ["channels_last=true"] if name == "conv" else []
        rates: dict[str, float] = {}
        cfg = compose(sized, rows, root, [], device)
        data = make(cfg, "dataset").place(device)
        for word in words:
            own = compose(sized, rows, root, [f"trainer.{word}"], device)
            runs = [time_fit(sized, data, device, own, False, time.perf_counter) for _ in range(4)][1:]
            rates[word] = statistics.median(runs)
        ratios = ", ".join(f"{word} {rates[word] / rates[words[0]]:.2f}" for word in words[1:])
        say("precision", f"{name} {size}", f"{ratios} times float32")
        ways = {"compiled": torch.compile, "as CUDA graphs": functools.partial(torch.compile, mode="reduce-overhead")}
        plain = time_passes(built_of(cfg, data), data, size, lambda forward: forward)
        for way, change in ways.items():
            rate = time_passes(built_of(cfg, data), data, size, change)
            say("precision", f"{name} {size} passes", f"{way} {rate / plain:.2f} times plain")


def built_of(cfg: Any, data: Data) -> Learner:
    """A fresh learner in training mode."""
    return build_seeded(cfg, data).train()


def time_passes(learner: Learner, data: Data, size: int, change: Callable[[Any], Any]) -> float:
    """Forward and backward passes a second, after three that warm up."""
    batch = next(iter(data["train"].epoch(0, 0, size)))
    forward = change(forward_of(learner))

    def passes(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            forward(batch)[1].sum().backward()
        synchronise(data.device)
        return count / (time.perf_counter() - began)

    passes(3)
    return statistics.median(passes(10) for _ in range(5))


def compare_stack(device: torch.device, runs: int, epochs: int) -> None:
    """Seconds of runs of seeds as one and, of a few of them, one by one."""
    for hidden, dim, size in (([256, 128], 16, 128), ([32], 8, 32)):
        words = [f"model.hidden_dims={hidden}", f"latent.dim={dim}", f"trainer.batch_size={size}",
                 f"trainer.epochs={epochs}"]  # fmt: skip
        data, _, cfg = built(words, device)

        def trainings(count: int, cfg: Any = cfg, data: Data = data) -> Iterator[Training]:
            for seed in range(count):
                cfg.seed = seed
                yield Training(make(cfg, "trainer"), build_seeded(cfg, data), data, make(cfg, "optimizer"),
                               make(cfg, "scheduler"), Kept(), Tracker(), seed)  # fmt: skip

        few = max(1, runs // 16)
        began = time.perf_counter()
        for training in trainings(few):
            training.fit()
        synchronise(device)
        alone = (time.perf_counter() - began) / few * runs
        began = time.perf_counter()
        outcomes = fit_together(list(trainings(runs)), lambda: False, lambda numbers, why: None, 1e12, runs)
        synchronise(device)
        together = time.perf_counter() - began
        whole = "" if None not in outcomes else " (NOT ALL OF THEM)"
        say("stack", f"{runs} runs of {hidden}-{dim}, batch {size}",
            f"{alone / together:.1f} times faster than one by one ({together:.1f} s){whole}")  # fmt: skip


def time_evaluation(root: str, device: torch.device, rows: int) -> None:
    """Seconds of each metric of the default set on MNIST."""
    data, learner, cfg = built(["dataset=mnist", f"dataset.root={root}", f"dataset.limit={rows}"], device)
    run = Run(learner, data, [], copy.deepcopy(learner.model))
    for name, metric in make(cfg, "metric").items():
        began = time.perf_counter()
        measure(run, {name: metric}, "test")
        synchronise(device)
        say("evaluation", f"{name} ({rows} rows)", f"{time.perf_counter() - began:.2f} s")


def main() -> None:
    """The parts that were asked for, in this order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("correctness", "rates", "precision", "stack", "evaluation")
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", nargs="+", default=list(parts), choices=parts)
    parser.add_argument("--rows", type=int, default=60000)
    parser.add_argument("--runs", type=int, default=64, help="of the stack")
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    options = parser.parse_args()
    device = torch.device(options.device)
    card = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU"
    print(f"torch {torch.__version__}, {device}, {card}, {options.rows} rows", flush=True)
    calls = {
        "correctness": lambda: compare_devices(device),
        "rates": lambda: compare_rates(options.root, device, options.rows, [], tuple(options.batches)),
        "precision": lambda: compare_precisions(options.root, device, options.rows, options.batches[-1]),
        "stack": lambda: compare_stack(device, options.runs, epochs=5),
        "evaluation": lambda: time_evaluation(options.root, device, options.rows),
    }
    for part in options.parts:
        began = time.perf_counter()
        calls[part]()
        say(part, "whole", f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

"""Rows per second of `variant=topk_sae` beside dictionary_learning's TopKTrainer, on the same activations.

    python benchmarks/dictionaries.py --rows FILE.npy [--limit 200000] [--units 128] [--k 16] [--rounds 3]

- dictionary_learning: its `trainSAE` on batches drawn from rows in memory; nnsight and wandb, which it imports and a
  training from rows does not use, are stood in for where they are not installed
- tight: the same autoencoder as a loop by hand: one linear layer each way, unit columns, fused Adam, nothing revived
- aeexp: `Joint.fit` without files and without a validation before its end; aeexp_run: with history, TensorBoard and
  checkpoints, as the command does it

A unit is dead after as many rows for all. Contenders alternate, the first turn unseen; CPU seconds of the process, one
thread unless --threads says more.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
import time
import types
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec

import torch
import torch.nn.functional as F
from contenders import Net, alternate
from loop import time_fit
from torch import Tensor, nn

from aeexp.runs.composing import compose_run
from aeexp.runs.config import check, make

RATE = 2e-3


def batches(rows: Tensor, size: int) -> Iterator[Tensor]:
    """Whole batches of the rows in a drawn order."""
    for index in torch.randperm(len(rows)).split(size):
        if len(index) == size:
            yield rows[index]


def time_theirs(rows: Tensor, units: int, k: int, size: int, dead_after: int) -> float:
    """Rows per second of dictionary_learning's own loop and trainer."""
    for name in ("wandb", "nnsight"):
        if importlib.util.find_spec(name) is None:
            module = types.ModuleType(name)
            module.__spec__ = ModuleSpec(name, None)
            module.__dict__["LanguageModel"] = object
            sys.modules[name] = module
    training = importlib.import_module("dictionary_learning.training")
    trainer = importlib.import_module("dictionary_learning.trainers.top_k").TopKTrainer
    steps = len(rows) // size
    config = {"trainer": functools.partial(start, trainer, dead_after * size), "steps": steps, "k": k, "lr": RATE,
              "activation_dim": rows.shape[1], "dict_size": units, "layer": 0, "lm_name": "rows",
              "warmup_steps": 0, "threshold_start_step": 0, "seed": 0, "device": "cpu"}  # fmt: skip
    began = time.process_time()
    training.trainSAE(batches(rows, size), [config], steps, device="cpu")
    return steps * size / (time.process_time() - began)


def start(trainer: Callable, dead: int, **config: object):
    """Their trainer, for which a unit is dead after that many rows."""
    started = trainer(**config)
    started.dead_feature_threshold = dead
    return started


def time_tight(rows: Tensor, units: int, k: int, size: int) -> float:
    """Rows per second of the loop by hand."""
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(rows.shape[1], units), nn.Linear(units, rows.shape[1])
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=RATE, fused=True)
    began, count = time.process_time(), 0
    for x in batches(rows, size):
        optimizer.zero_grad()
        h = encoder(x)
        largest = h.topk(k, dim=1, sorted=False)
        z = torch.zeros_like(h).scatter(1, largest.indices, largest.values)
        loss = (F.linear(z, F.normalize(decoder.weight, dim=0), decoder.bias) - x).square().sum(1).mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            decoder.weight.copy_(F.normalize(decoder.weight, dim=0))
        count += len(x)
    return count / (time.process_time() - began)


def main() -> None:
    """Alternate the contenders, and print each one's median rate and its median ratio to aeexp."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", required=True, help="(N, features) float32, as write_activations makes it")
    parser.add_argument("--limit", type=int, default=200_000)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--dead-after", type=int, default=20, help="steps without a word")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("words", nargs="*", help="further words for aeexp")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    words = ["dataset=npy", f"dataset.path={given.rows}", f"dataset.limit={given.limit}", "dataset.standardise=true",
             "dataset.split.fractions=[98,1,1]", "variant=topk_sae", f"latent.dim={given.units}", f"latent.k={given.k}",
             f"latent.dead_after={given.dead_after}", f"optimizer.lr={RATE}", "trainer.epochs=1", "device=cpu",
             f"trainer.batch_size={given.batch}", "trainer.validate_every_epochs=1", *given.words]  # fmt: skip
    cfg = compose_run(words).cfg
    check(cfg)
    data = make(cfg, "dataset").place(torch.device("cpu"))
    rows = torch.cat([batch.x for batch in data["train"].batches(4096)])
    net, cpu, shape = Net(words, given.batch), torch.device("cpu"), (given.units, given.k, given.batch)
    contenders: dict[str, Callable[[], float]] = {
        "aeexp": functools.partial(time_fit, net, data, cpu, cfg, False, time.process_time),
        "aeexp_run": functools.partial(time_fit, net, data, cpu, cfg, True, time.process_time),
        "tight": functools.partial(time_tight, rows, *shape),
    }
    if importlib.util.find_spec("dictionary_learning"):
        contenders["dictionary_learning"] = functools.partial(time_theirs, rows, *shape, given.dead_after)
    alternate("", "rows/s", contenders, given.rounds)


if __name__ == "__main__":
    main()

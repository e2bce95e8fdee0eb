"""Samples per second of `fit` against a textbook loop, on the same data, model and optimizer, alternating.

    python benchmarks/train_loop.py --root DIR [--epochs 1] [--rounds 5]

The model is the 784-512-256-32 mirror autoencoder on MNIST at batch 128 with Adam. The textbook loop is what
tutorials show: torchvision's MNIST with ToTensor, a DataLoader without workers, a default Adam and `.item()` at
every step. Ratios of medians are printed: seconds on a shared machine are noisy.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

from aeexp import schedulers
from aeexp.conditions import Unconditional
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.splits import Official
from aeexp.datasets.sets.vision import import_torchvision, mnist
from aeexp.latents.deterministic import Deterministic
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.models.nn.mlp import mlp
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.tasks.reconstruct import Reconstruct
from aeexp.trainers.checkpoint import Store
from aeexp.trainers.contracts import Tracker
from aeexp.trainers.joint import Joint

BATCH = 128


def time_aeexp(data: Data, epochs: int, device: torch.device) -> float:
    """Samples per second of `Joint.fit`."""
    torch.manual_seed(0)
    encoder, decoder = mlp(data.shape, 32, 32, 0, hidden_dims=[512, 256])
    model = Autoencoder(encoder, Deterministic(32), decoder, Gaussian(), Unconditional())
    learner = Learner(Reconstruct(), model, Additive(Chain({}), {})).to(device)
    optimizer = functools.partial(torch.optim.Adam, lr=1e-3, fused=True)
    with tempfile.TemporaryDirectory() as folder:
        # a tracker that writes nothing: both sides are timed without logs on disk;
        # an epoch of training ends with a validation, which the textbook loop does not have
        progress = Joint(epochs=epochs, validate_every_epochs=epochs, batch_size=BATCH).fit(
            learner, data, optimizer, schedulers.constant, Store(Path(folder), {}), Tracker(), seed=0
        )
    return progress.samples / progress.seconds


def time_textbook(rows: Dataset, epochs: int, device: torch.device) -> float:
    """Samples per second of the loop of the tutorials."""
    torch.manual_seed(0)
    loader = torch.utils.data.DataLoader(rows, batch_size=BATCH, shuffle=True)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 32),
        nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784),
    ).to(device)  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    began, samples, running = time.perf_counter(), 0, 0.0
    for _ in range(epochs):
        for x, _ in loader:
            x = x.to(device)
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), x.flatten(1))
            loss.backward()
            optimizer.step()
            running += loss.item()
            samples += len(x)
    return samples / (time.perf_counter() - began)


def main() -> None:
    """Alternate the two sides, the first turn unseen, and print each round and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    data = mnist(name="mnist", split=Official(), root=options.root).place(device)
    datasets = import_torchvision()
    from torchvision import transforms

    whole = datasets.MNIST(options.root, train=True, download=False, transform=transforms.ToTensor())
    rows = torch.utils.data.Subset(whole, data["train"].ids.tolist())
    rates: dict[str, list[float]] = {"aeexp": [], "textbook": []}
    for turn in range(options.rounds + 1):
        pair = {
            "aeexp": time_aeexp(data, options.epochs, device),
            "textbook": time_textbook(rows, options.epochs, device),
        }
        if turn == 0:
            continue  # warm-up
        for name, rate in pair.items():
            rates[name].append(rate)
        print(f"round {turn}: " + "  ".join(f"{name} {rate:,.0f} samples/s" for name, rate in pair.items()), flush=True)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    paired = [a / b for a, b in zip(rates["aeexp"], rates["textbook"], strict=True)]
    print(f"threads {torch.get_num_threads()}, device {device}, medians: "
          + ", ".join(f"{name} {rate:,.0f}" for name, rate in medians.items()))  # fmt: skip
    print(f"ratio {medians['aeexp'] / medians['textbook']:.2f} (rounds {min(paired):.2f} to {max(paired):.2f})")


if __name__ == "__main__":
    main()

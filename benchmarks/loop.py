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
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from aeexp.datasets.core.data import Data
from aeexp.datasets.sets.vision import import_torchvision
from aeexp.runs.build import build_seeded
from aeexp.runs.composing import compose_run
from aeexp.runs.config import check, make
from aeexp.runs.folder import RunFolder
from aeexp.runs.tracking import Tracker as Writing
from aeexp.trainers.checkpoint import Store
from aeexp.trainers.contracts import CheckpointStore, Tracker

clock = time.perf_counter  # main may take the process's own seconds
Contender = Callable[["Net", Data, Tensor, torch.device], float]


class Net(NamedTuple):
    """A model in the words of the command, and the batch it is trained in."""

    words: list[str]
    batch: int = 128
    hidden: tuple[int, ...] = ()  # of a mirror of linear layers, for the other contenders; (): the convolutional one
    latent: int = 32
    variational: bool = False


NETS = {
    "deep": Net(["model.hidden_dims=[512,256]", "latent.dim=32"], hidden=(512, 256)),
    "shallow": Net(["model.hidden_dims=[]", "latent.dim=128"], hidden=(), latent=128),
    "vae": Net(["variant=vae", "model.hidden_dims=[400]", "latent.dim=20"], 128, (400,), 20, True),
    "conv": Net(["variant=conv", "latent.dim=32"], 512),
}


class Plain(nn.Module):
    """The same network as plain PyTorch: what a user writes by hand."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, variational: bool):
        super().__init__()
        self.encoder, self.decoder, self.variational = encoder, decoder, variational

    def forward(self, x: Tensor) -> Tensor:
        """() mean over rows of the summed loss of pictures (B, 1, 28, 28)."""
        h = self.encoder(x)
        if not self.variational:
            return F.mse_loss(self.decoder(h), x.flatten(1), reduction="sum") / len(x)
        mean, log_var = h.chunk(2, 1)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        cross = F.binary_cross_entropy_with_logits(self.decoder(z), x.flatten(1), reduction="sum")
        return (cross - 0.5 * (1 + log_var - mean.square() - log_var.exp()).sum()) / len(x)


def plain(net: Net, device: torch.device) -> Plain:
    """The network by hand, on the device."""
    torch.manual_seed(0)
    return Plain(*halves(net), net.variational).to(device)


def halves(net: Net) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of pictures (B, 1, 28, 28), the decoder's output flat."""
    if not net.hidden and net.latent == 32:
        encoder = nn.Sequential(nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(),
                                nn.Flatten(), nn.Linear(64 * 49, net.latent))  # fmt: skip
        decoder = nn.Sequential(nn.Linear(net.latent, 64 * 49), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
                                nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(),
                                nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Flatten())  # fmt: skip
        return encoder, decoder
    widths = [784, *net.hidden, net.latent]
    last = [*widths[:-1], net.latent * 2] if net.variational else widths
    encoder = nn.Sequential(nn.Flatten(), *stack(last))
    return encoder, nn.Sequential(*stack(widths[::-1]))


def stack(widths: list[int]) -> list[nn.Module]:
    """Linear layers with a ReLU between each two."""
    layers: list[nn.Module] = []
    for a, b in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return layers[:-1]


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

    best = resumed = None
    extends = False

    def keep_best(self, state) -> None:
        """Not kept."""

    def save(self, state, *, now: bool = False) -> None:
        """Not written."""


def time_fit(net: Net, data: Data, device: torch.device, cfg, writes: bool) -> float:
    """Samples per second of the product's loop; with `writes` validation, logs and files as a run has them."""
    learner = build_seeded(cfg, data)
    splits = data.splits if writes else {"train": data["train"], "val": data["val"].sample(net.batch)}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "checkpoints", {}, 10.0) if writes else Kept()
        track = Writing(RunFolder(folder), {}, bar=False, on_step=lambda progress: None) if writes else Tracker()
        began = clock()
        progress = make(cfg, "trainer").fit(
            learner, splits, make(cfg, "optimizer"), make(cfg, "scheduler"), store, track, seed=0
        )
        synchronise(device)
        seconds = clock() - began
        if isinstance(track, Writing):
            track.close(True)
    return progress.samples / seconds


def time_steps(batches, model: nn.Module, optimizer: torch.optim.Optimizer, read: bool, device: torch.device) -> float:
    """Samples per second of the plainest loop over batches (B, 1, 28, 28); `read` takes each loss from the device."""
    began, samples, total = clock(), 0, 0.0
    for x in batches:
        optimizer.zero_grad()
        loss = model(x.to(device))
        loss.backward()
        optimizer.step()
        samples += len(x)
        total += loss.item() if read else 0.0
    synchronise(device)
    return samples / (clock() - began)


def synchronise(device: torch.device) -> None:
    """Wait for what the device has in its queue."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def time_tight(net: Net, data: Data, rows: Tensor, device: torch.device) -> float:
    """The loop by hand on float rows."""
    model, x = plain(net, device), rows.to(device)
    order = torch.randperm(len(x)).to(device)
    batches = (x[index] for index in order.split(net.batch))
    fused = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    return time_steps(batches, model, fused, False, device)


@torch.no_grad()
def to_bytes(rows: Tensor) -> np.ndarray:
    """(N, 28, 28) uint8 of pictures in [0, 1]."""
    return (rows[:, 0] * 255).round().to(torch.uint8).numpy()


class Pictures(Dataset):
    """As torchvision's MNIST with ToTensor: a picture at a time, through PIL."""

    def __init__(self, rows: np.ndarray):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        picture = np.array(Image.fromarray(self.rows[index]))
        return torch.from_numpy(picture)[None].to(torch.float32).div(255)


def time_textbook(net: Net, data: Data, rows: Tensor, device: torch.device) -> float:
    """The loop of the tutorials."""
    model = plain(net, device)
    loader = DataLoader(Pictures(to_bytes(rows)), net.batch, shuffle=True)
    return time_steps(loader, model, torch.optim.Adam(model.parameters(), lr=1e-3), True, device)


def time_lightning(net: Net, data: Data, rows: Tensor, device: torch.device) -> float:
    """Lightning's trainer on a TensorDataset."""
    import_torchvision()  # beside a torch without CUDA, before others look for it
    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    inner = plain(net, device)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def training_step(self, batch):
            return self.inner(batch[0])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    trainer = lightning.Trainer(max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                                enable_model_summary=False, accelerator="gpu" if device.type == "cuda" else "cpu",
                                devices=1)  # fmt: skip
    loader = DataLoader(TensorDataset(rows), net.batch, shuffle=True)
    began = clock()
    trainer.fit(Module(), loader)
    return len(rows) / (clock() - began)


def time_pythae(net: Net, data: Data, rows: Tensor, device: torch.device) -> float:
    """pythae's BaseTrainer with its AE or VAE around the same halves."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, VAE, AEConfig, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.getLogger("pythae").setLevel(logging.ERROR)
    encoder, decoder = halves(net)

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.inner = encoder

        def forward(self, x):
            h = self.inner(x)
            if not net.variational:
                return ModelOutput(embedding=h)
            mean, log_var = h.chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.inner = decoder

        def forward(self, z):
            output = self.inner(z).unflatten(1, (1, 28, 28))
            return ModelOutput(reconstruction=output.sigmoid() if net.variational else output)

    kind, config = (VAE, VAEConfig) if net.variational else (AE, AEConfig)
    loss = {"reconstruction_loss": "bce"} if net.variational else {}
    model = kind(config(input_dim=(1, 28, 28), latent_dim=net.latent, **loss), encoder=Encoder(), decoder=Decoder())
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(output_dir=folder, num_epochs=1, per_device_train_batch_size=net.batch,
                                     learning_rate=1e-3, no_cuda=device.type != "cuda")  # fmt: skip
        trainer = BaseTrainer(model, BaseDataset(rows, torch.ones(len(rows))), training_config=settings)
        trainer.prepare_training()
        began = clock()
        trainer.train_step(1)  # an epoch
        synchronise(device)
        return len(rows) / (clock() - began)


OTHERS: dict[str, Contender] = {"tight": time_tight, "textbook": time_textbook, "lightning": time_lightning,
                                "pythae": time_pythae}  # fmt: skip


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
    if options.cpu_seconds:
        global clock
        clock = time.process_time
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
            "aeexp": functools.partial(time_fit, net, data, device, cfg, False),
            "aeexp_run": functools.partial(time_fit, net, data, device, cfg, True),
            **{other: functools.partial(function, net, data, rows, device) for other, function in others.items()},
        }
        rates: dict[str, list[float]] = {contender: [] for contender in contenders}
        for turn in range(options.rounds + 1):
            for contender, run in contenders.items():
                rate = run()
                if turn:  # the first warms up
                    rates[contender].append(rate)
        for contender, seen in rates.items():
            ratios = [ours / other for ours, other in zip(rates["aeexp"], seen, strict=True)]
            print(f"{name:8} {contender:10} {statistics.median(seen):10,.0f} samples/s   aeexp is "
                  f"{statistics.median(ratios):.2f} times it ({min(ratios):.2f} to {max(ratios):.2f})",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

"""What a user would pick instead of the product's loop, on the same rows, net and optimizer (`benchmarks/loop.py`)."""

from __future__ import annotations

import importlib
import logging
import statistics
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from aeexp.datasets.sets.vision import import_torchvision

Clock = Callable[[], float]


class Net(NamedTuple):
    """A model in the words of the command, and the batch it is trained in."""

    words: list[str]
    batch: int = 128
    hidden: tuple[int, ...] = ()  # of a mirror of linear layers, for the other contenders; (): the convolutional one
    latent: int = 32
    variational: bool = False


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


def time_steps(
    batches, model: nn.Module, optimizer: torch.optim.Optimizer, read: bool, device: torch.device, clock: Clock
) -> float:
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


def time_tight(net: Net, rows: Tensor, device: torch.device, clock: Clock) -> float:
    """The loop by hand on float rows."""
    model, x = plain(net, device), rows.to(device)
    order = torch.randperm(len(x)).to(device)
    batches = (x[index] for index in order.split(net.batch))
    fused = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    return time_steps(batches, model, fused, False, device, clock)


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


def time_textbook(net: Net, rows: Tensor, device: torch.device, clock: Clock) -> float:
    """The loop of the tutorials."""
    model = plain(net, device)
    loader = DataLoader(Pictures(to_bytes(rows)), net.batch, shuffle=True)
    return time_steps(loader, model, torch.optim.Adam(model.parameters(), lr=1e-3), True, device, clock)


def time_lightning(net: Net, rows: Tensor, device: torch.device, clock: Clock) -> float:
    """Lightning's trainer on a TensorDataset."""
    import_torchvision()  # beside a torch without CUDA, before others look for it
    lightning = importlib.import_module("lightning")
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


def time_pythae(net: Net, rows: Tensor, device: torch.device, clock: Clock) -> float:
    """pythae's BaseTrainer with its AE or VAE around the same halves."""
    models, networks = importlib.import_module("pythae.models"), importlib.import_module("pythae.models.nn")
    trainers = importlib.import_module("pythae.trainers")
    make_output = importlib.import_module("pythae.models.base.base_utils").ModelOutput
    make_rows = importlib.import_module("pythae.data.datasets").BaseDataset

    logging.getLogger("pythae").setLevel(logging.ERROR)
    encoder, decoder = halves(net)

    class Encoder(networks.BaseEncoder):
        def __init__(self):
            super().__init__()
            self.inner = encoder

        def forward(self, x):
            h = self.inner(x)
            if not net.variational:
                return make_output(embedding=h)
            mean, log_var = h.chunk(2, 1)
            return make_output(embedding=mean, log_covariance=log_var)

    class Decoder(networks.BaseDecoder):
        def __init__(self):
            super().__init__()
            self.inner = decoder

        def forward(self, z):
            output = self.inner(z).unflatten(1, (1, 28, 28))
            return make_output(reconstruction=output.sigmoid() if net.variational else output)

    kind = "VAE" if net.variational else "AE"
    make_model, config = getattr(models, kind), getattr(models, f"{kind}Config")
    loss = {"reconstruction_loss": "bce"} if net.variational else {}
    model = make_model(
        config(input_dim=(1, 28, 28), latent_dim=net.latent, **loss), encoder=Encoder(), decoder=Decoder()
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = trainers.BaseTrainerConfig(output_dir=folder, num_epochs=1, per_device_train_batch_size=net.batch,
                                     learning_rate=1e-3, no_cuda=device.type != "cuda")  # fmt: skip
        trainer = trainers.BaseTrainer(model, make_rows(rows, torch.ones(len(rows))), training_config=settings)
        trainer.prepare_training()
        began = clock()
        trainer.train_step(1)  # an epoch
        synchronise(device)
        return len(rows) / (clock() - began)


Contender = Callable[[Net, Tensor, torch.device, Clock], float]
OTHERS: dict[str, Contender] = {"tight": time_tight, "textbook": time_textbook, "lightning": time_lightning,
                                "pythae": time_pythae}  # fmt: skip


def alternate(label: str, unit: str, contenders: dict[str, Callable[[], float]], rounds: int) -> None:
    """Print the median rate of each, and how many times it aeexp is: all take turns, the first one unseen."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            rate = run()
            if turn:
                rates[name].append(rate)
    for name, seen in rates.items():
        ratios = [ours / other for ours, other in zip(rates["aeexp"], seen, strict=True)]
        print(f"{label}{name:20} {statistics.median(seen):10,.0f} {unit}   aeexp is "
              f"{statistics.median(ratios):.2f} times it ({min(ratios):.2f} to {max(ratios):.2f})",
              flush=True)  # fmt: skip

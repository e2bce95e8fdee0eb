"""Densities of codes that are trained after the model: a flow, a second autoencoder, a diffusion.

Each is fitted to codes (N, D) float64 and gives a function that draws (n, D) of them by a seed.

Codes are whitened first: directions in which they do not vary stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.latents.flows import make_chain
from aeexp.latents.posteriors import Normal, standard_log_prob

STEPS, BATCH, RATE = 2000, 256, 2e-3
NOISY = 3  # times as many for the diffusion, which sees a level of noise in a hundred a row
HIDDEN, LAYERS = 64, 6  # of the flow
WIDE = 128  # units of the layers of the other two
LEVELS = 100  # of noise
FLAT = 1e-6  # of the largest variance: a direction that has less does not vary
SPREAD = 0.02  # deviations of noise on what a flow is fitted to: codes on a surface have no density

Draw = Callable[[int, int], np.ndarray]


class Whitening(NamedTuple):
    """Codes to uncorrelated numbers of unit variance, and back."""

    mean: np.ndarray  # (D,)
    axes: np.ndarray  # (D, R)
    scale: np.ndarray  # (R,)

    @classmethod
    def of(cls, codes: np.ndarray) -> Whitening:
        """Of codes (N, D)."""
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(codes.T)))
        kept = values > FLAT * max(values.max(initial=0.0), 1e-30)
        return cls(codes.mean(0), vectors[:, kept], np.sqrt(values[kept]))

    def apply(self, codes: np.ndarray) -> Tensor:
        """(N, R) float32."""
        return torch.from_numpy(((codes - self.mean) @ self.axes / self.scale).astype(np.float32))

    def undo(self, values: Tensor) -> np.ndarray:
        """(N, D) float64."""
        return self.mean + (values.double().numpy() * self.scale) @ self.axes.T


def fit_flow(codes: np.ndarray, seed: int) -> Draw:
    """Coupling layers (RealNVP, Dinh et al. 2017), by maximum likelihood."""
    white = Whitening.of(codes)
    with _drawing(seed):
        flow = make_chain("coupling", len(white.scale), LAYERS, HIDDEN)

        def loss(x: Tensor) -> Tensor:
            start, log_det = flow(x + SPREAD * torch.randn_like(x))
            return -(standard_log_prob(start) + log_det).mean()

        _train(flow, white.apply(codes), loss, seed)
    return _drawer(white, lambda n: flow.inverse(torch.randn(n, len(white.scale)))[0])


@final
class Second(nn.Module):
    """The second stage of a two-stage VAE (Dai and Wipf 2019): a VAE of codes as wide as they are, with one learned
    variance."""

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim
        self.encoder = _perceptron(dim, 2 * dim)
        self.decoder = _perceptron(dim, dim)
        # below that of the codes, which is 1: else no code pays at the start, and the second stage stays unused
        self.log_variance = nn.Parameter(torch.tensor(-3.0))

    def loss(self, x: Tensor) -> Tensor:
        """() the negative ELBO."""
        mean, log_var = self.encoder(x).chunk(2, -1)
        posterior = Normal(mean, log_var.clamp(-20, 20))
        output = Normal(self.decoder(posterior.sample()), self.log_variance.expand_as(x))
        return (posterior.kl_to_standard().sum(-1) - output.log_prob(x)).mean()

    def draw(self, n: int) -> Tensor:
        """(n, D), with the decoder's noise."""
        mean = self.decoder(torch.randn(n, self.dim))
        return Normal(mean, self.log_variance.expand_as(mean)).sample()


def fit_two_stage(codes: np.ndarray, seed: int) -> Draw:
    """A VAE of the codes (Dai and Wipf 2019)."""
    white = Whitening.of(codes)
    with _drawing(seed):
        second = Second(len(white.scale))
        _train(second, white.apply(codes), second.loss, seed)
    return _drawer(white, second.draw)


@final
class Diffusion(nn.Module):
    """Noise is taken away in a hundred steps, each told by one network (Ho et al. 2020, of codes as in Rombach et al.
    2022)."""

    rates: Tensor
    kept: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim
        # the linear schedule of the paper, of a tenth as many levels: what is left of a code at the end is below 1 %
        self.register_buffer("rates", torch.linspace(1e-3, 0.2, LEVELS))
        self.register_buffer("kept", torch.cumprod(1 - torch.linspace(1e-3, 0.2, LEVELS), 0))
        self.net = nn.Sequential(
            nn.Linear(dim + 8, WIDE), nn.SiLU(), nn.Linear(WIDE, WIDE), nn.SiLU(), nn.Linear(WIDE, WIDE), nn.SiLU(),
            nn.Linear(WIDE, dim),
        )  # fmt: skip

    def find_noise(self, x: Tensor, level: Tensor) -> Tensor:
        """(N, D) the noise in x (N, D) of these levels (N,)."""
        frequencies = 2 ** torch.arange(4) * math.pi / 2
        phase = (level[:, None] + 0.5) / LEVELS * frequencies
        # of white Gaussian codes this part is all of it: the network learns what is not Gaussian
        return (1 - self.kept[level, None]).sqrt() * x + self.net(torch.cat([x, phase.sin(), phase.cos()], 1))

    def loss(self, x: Tensor) -> Tensor:
        """() squared error of the noise (equation 14)."""
        level, noise = torch.randint(LEVELS, (len(x),)), torch.randn_like(x)
        kept = self.kept[level, None]
        return F.mse_loss(self.find_noise(kept.sqrt() * x + (1 - kept).sqrt() * noise, level), noise)

    def draw(self, n: int) -> Tensor:
        """(n, D) by algorithm 2."""
        x = torch.randn(n, self.dim)
        for level in reversed(range(LEVELS)):
            rate, kept = self.rates[level], self.kept[level]
            noise = self.find_noise(x, torch.full((n,), level))
            x = (x - rate / (1 - kept).sqrt() * noise) / (1 - rate).sqrt()
            if level:  # of the paper's two variances that which is exact for white Gaussian codes
                x = x + rate.sqrt() * torch.randn_like(x)
        return x


def fit_diffusion(codes: np.ndarray, seed: int) -> Draw:
    """A diffusion of the codes."""
    white = Whitening.of(codes)
    with _drawing(seed):
        diffusion = Diffusion(len(white.scale))
        _train(diffusion, white.apply(codes), diffusion.loss, seed, NOISY)
    return _drawer(white, diffusion.draw)


def _perceptron(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, WIDE), nn.SiLU(), nn.Linear(WIDE, WIDE), nn.SiLU(), nn.Linear(WIDE, outputs))


def _train(net: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor], seed: int, times: int = 1) -> None:
    """`STEPS` of Adam, or so many times as many, on rows drawn anew, at a rate that falls to 0 along a cosine."""
    steps = times * STEPS
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rows = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss(x[torch.randint(len(x), (min(BATCH, len(x)),), generator=rows)]).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        schedule.step()
    net.requires_grad_(False)


def _drawer(white: Whitening, draw: Callable[[int], Tensor]) -> Draw:
    def sample(n: int, seed: int) -> np.ndarray:
        with _drawing(seed), torch.no_grad():
            return white.undo(draw(n))

    return sample


@contextmanager
def _drawing(seed: int) -> Iterator[None]:
    """torch's generators as after this seed, and on one thread; both are as they were behind it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of small networks, and the order in which numbers are added depends on them
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)

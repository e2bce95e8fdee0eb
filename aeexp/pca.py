"""PCA as an Autoencoder with closed-form weights: the baseline of every run, and what a linear one must reach."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aeexp.conditions import Unconditional
from aeexp.errors import require
from aeexp.latents import Deterministic
from aeexp.likelihoods import Gaussian
from aeexp.model import Autoencoder
from aeexp.nn.mlp import mlp


def pca(rows: Tensor, dim: int) -> Autoencoder:
    """PCA of rows (N, *shape) with `dim` components; beyond the rank the code is 0."""
    model = linear(rows.shape[1:], dim)
    solve(model, rows)
    return model.to(rows.device).eval()


def linear(shape: torch.Size, dim: int) -> Autoencoder:
    """One linear layer each way, untrained."""
    encoder, decoder = mlp(shape, dim, dim, 0, hidden_dims=[])
    return Autoencoder(encoder, Deterministic(dim), decoder, Gaussian(), Unconditional())


def identity(shape: torch.Size) -> Autoencoder:
    """The raw input as its own code."""
    model = linear(shape, math.prod(shape))
    with torch.no_grad():
        for layer in (model.encoder.layers[0], model.decoder.layers[0]):
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model.eval()


@torch.no_grad()
def solve(model: Autoencoder, rows: Tensor) -> None:
    """Set the weights of a linear autoencoder to the leading eigenvectors of the rows' covariance.

    Least squared error of all linear maps of that width (Baldi and Hornik 1989). The sign of each component
    makes its largest entry positive, so that equal data gives equal codes.
    """
    require(
        len(getattr(model.encoder, "layers", ())) == 1 and isinstance(model.latent, Deterministic),
        "trainer=closed_form solves model=linear with latent=deterministic only: take these, or trainer=joint",
    )
    x = rows.flatten(1)
    if x.device.type == "mps":  # has no float64
        x = x.cpu()
    x = x.double()
    mean = x.mean(0)
    x = x - mean
    _, vectors = torch.linalg.eigh(x.T @ x)
    kept = min(model.latent.dim, x.shape[1])
    components = vectors.flip(1)[:, :kept].T
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    components = components * torch.where(largest < 0, -1.0, 1.0)
    encoder, decoder = model.encoder.layers[0], model.decoder.layers[0]
    for parameter in (encoder.weight, encoder.bias, decoder.weight, decoder.bias):
        parameter.zero_()
    encoder.weight[:kept] = components.to(encoder.weight)
    encoder.bias[:kept] = -(components @ mean).to(encoder.bias)
    decoder.weight[:, :kept] = components.T.to(decoder.weight)
    decoder.bias.copy_(mean)

"""PCA of sequences that end at different steps: least squared error over real steps, none over padding."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from aeexp.conditions import Unconditional
from aeexp.contracts import Encoder, Examples
from aeexp.latents.deterministic import Deterministic
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.nn import mlp

ROWS = 4096  # drawn rows that directions are those of, where there are more
ROUNDS = 30
GAIN = 1e-4  # share of the error, below which a round is the last
NUMBERS = 1 << 22  # of products that are worked on at a time


@torch.no_grad()
def masked_pca(split: Examples, dim: int) -> Autoencoder:
    """Linear maps of `dim` units whose squared error over the real steps of rows (T, F) is least.

    Codes and directions are found in turn, each by least squares given the other (Gabriel and Zamir 1979, weights 0
    and 1). A row's code is that of least squares over the steps that it has; with rows of one length it is PCA.
    Directions at a step that few rows reach are drawn to 0, as by one row more that says so.
    """
    batches = list(split.sample(ROWS).batches(1024))
    mask = torch.cat([batch.mask.cpu() for batch in batches if batch.mask is not None]).double()
    x = torch.cat([batch.x.cpu() for batch in batches]).double() * mask.unsqueeze(-1)
    mean, basis = _fit(x, mask, min(dim, len(x), math.prod(split.shape)))
    encoder, kept = _LeastSquares(mean.float(), basis.float(), dim), basis.shape[2]
    decoder = mlp.mlp(split.shape, dim, dim, 0, hidden_dims=[])[1]
    layer = decoder.linears()[0]
    layer.weight.zero_()
    layer.weight[:, :kept] = basis.flatten(0, 1).to(layer.weight)
    layer.bias.copy_(mean.flatten())
    return Autoencoder(encoder, Deterministic(dim), decoder, Gaussian(), Unconditional())


@final
class _LeastSquares(Encoder):
    """Rows (B, T, F) to the codes whose decoded steps are nearest to the real ones, (B, dim)."""

    mean: Tensor
    basis: Tensor
    products: Tensor

    def __init__(self, mean: Tensor, basis: Tensor, dim: int):
        super().__init__()
        self.dim = dim
        self.register_buffer("mean", mean)  # (T, F)
        self.register_buffer("basis", basis)  # (T, F, d)
        self.register_buffer("products", _products(basis))  # (T, d, d)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Units beyond the d directions are 0."""
        real = x.new_ones(x.shape[:2]) if mask is None else mask.to(x)
        codes = _codes((x - self.mean) * real.unsqueeze(-1), real, self.basis, self.products)
        return torch.nn.functional.pad(codes, (0, self.dim - codes.shape[1]))


def _products(basis: Tensor) -> Tensor:
    return torch.einsum("tfd,tfe->tde", basis, basis)


def _codes(deviation: Tensor, mask: Tensor, basis: Tensor, products: Tensor) -> Tensor:
    """(N, d) of deviations (N, T, F) that are 0 where the mask (N, T) is; near 0 in what the steps do not tell."""
    right, dim = deviation.flatten(1) @ basis.flatten(0, 1), basis.shape[2]
    few, parts = max(1, NUMBERS // dim**2), []
    for start in range(0, len(right), few):
        gram = (mask[start : start + few] @ products.flatten(1)).unflatten(1, (dim, dim))
        diagonal = gram.diagonal(dim1=1, dim2=2)
        diagonal += 1e-6 * diagonal.mean(1, keepdim=True) + 1e-12
        parts.append(torch.linalg.solve(gram, right[start : start + few].unsqueeze(-1)).squeeze(-1))
    return torch.cat(parts)


def _fit(x: Tensor, mask: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """(T, F) mean and (T, F, dim) orthonormal directions of rows (N, T, F) that are 0 where the mask (N, T) is."""
    mean = x.sum(0) / mask.sum(0).clamp(min=1).unsqueeze(-1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        few = min(dim + 8, len(x), mean.numel())
        codes = torch.svd_lowrank(((x - mean) * mask.unsqueeze(-1)).flatten(1), few, niter=4)[0][:, :dim]
    mean, basis = _regress(x, mask, codes)
    error = math.inf
    for _ in range(ROUNDS):
        deviation = (x - mean) * mask.unsqueeze(-1)
        codes = _codes(deviation, mask, basis, _products(basis))
        left = float((deviation - torch.einsum("nd,tfd->ntf", codes, basis) * mask.unsqueeze(-1)).square().sum())
        if not left < (1 - GAIN) * error:
            break
        error = left
        mean, basis = _regress(x, mask, codes)
    return _order(mean, basis, codes)


def _regress(x: Tensor, mask: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """(T, F) mean and (T, F, d) directions by least squares of each step's real rows on the codes (N, d)."""
    centred = codes - codes.mean(0)
    left, scale, _ = torch.linalg.svd(centred, full_matrices=False)
    kept = scale > 1e-9 * scale.max()
    design = torch.cat([left[:, kept] * math.sqrt(len(codes)), torch.ones_like(codes[:, :1])], 1)
    ridge = torch.diag(torch.tensor([1.0] * (design.shape[1] - 1) + [1e-9], dtype=design.dtype))
    parts = []
    for step, real in enumerate(mask.T):
        rows = design[real > 0]
        parts.append(torch.linalg.solve(rows.T @ rows + ridge, rows.T @ x[real > 0, step]))
    weights = torch.stack(parts)  # (T, d + 1, F)
    return weights[:, -1], weights[:, :-1].mT


def _order(mean: Tensor, basis: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """The same maps with orthonormal directions, the one along which codes vary most first, its largest entry > 0."""
    mean = mean + basis @ codes.mean(0)
    axes, turn = torch.linalg.qr(basis.flatten(0, 1))
    _, vectors = torch.linalg.eigh(torch.cov((codes @ turn.T).T).reshape(len(turn), -1))
    axes = axes @ vectors.flip(1)
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return mean, (axes * torch.where(largest < 0, -1.0, 1.0)).unflatten(0, tuple(mean.shape))

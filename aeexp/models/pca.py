"""PCA as an Autoencoder with closed-form weights: the baseline of every run, and what a linear one must reach."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from aeexp.conditions import Unconditional
from aeexp.contracts import Decoder, Encoder, Examples
from aeexp.errors import UsageError
from aeexp.latents.deterministic import Deterministic
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.masked_pca import masked_pca
from aeexp.models.nn import mlp

Find = Callable[[Examples, int], tuple[Tensor, Tensor]]  # as `find_components`
MANY = 1000  # numbers of which a few eigenvectors are found one by one
FEATURES = 4096  # of a row, above which components are those of as many drawn rows


def pca(split: Examples, dim: int, find: Find | None = None) -> Autoencoder:
    """PCA of all rows of a split with `dim` components; beyond the rank the code is 0. `find` is what finds them.

    Of rows that end at different steps it is that of the real steps (`aeexp.models.masked_pca`).
    """
    if next(iter(split.batches(1))).mask is not None:
        return masked_pca(split, dim).to(split.device).eval()
    model = linear(split.shape, dim)
    solve(model, split, find)
    return model.to(split.device).eval()


def linear(shape: torch.Size, dim: int) -> Autoencoder:
    """One linear layer each way, untrained."""
    encoder, decoder = mlp.mlp(shape, dim, dim, 0, hidden_dims=[])
    return Autoencoder(encoder, Deterministic(dim), decoder, Gaussian(), Unconditional())


@torch.no_grad()
def constant(split: Examples) -> Autoencoder:
    """The mean of a split's rows for everyone: what a code of no unit gives."""
    model = linear(split.shape, 1)
    for parameter in model.parameters():
        parameter.zero_()
    assert isinstance(model.decoder, mlp.Decoder)
    model.decoder.linears()[0].bias.copy_(average_row(split).flatten())
    return model.to(split.device).eval()


def average_row(split: Examples) -> Tensor:
    """(*shape) the mean of each feature over the rows that have it, float64 on the CPU."""
    total = count = torch.zeros((), dtype=torch.float64)
    for rows in split.batches(4096):
        total = total + rows.x.cpu().double().sum(0)
        # a sequence (T, F) that has ended has no such step
        count = count + (len(rows.x) if rows.mask is None else rows.mask.cpu().double().sum(0)[:, None])
    return total / count.clamp(min=1)


def identity(shape: torch.Size) -> Autoencoder:
    """The raw input as its own code."""
    latent = Deterministic(math.prod(shape))
    return Autoencoder(_Flatten(), latent, _Fold(shape), Gaussian(), Unconditional()).eval()


@final
class _Flatten(Encoder):
    """Rows (B, ...) as codes (B, D)."""

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return x.flatten(1)


@final
class _Fold(Decoder):
    """Codes (B, D) as rows (B, *shape)."""

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        return z.reshape(-1, *self.shape)


@torch.no_grad()
def solve(model: Autoencoder, split: Examples, find: Find | None = None) -> None:
    """Set the weights of a linear autoencoder to the leading eigenvectors of the rows' covariance.

    Least squared error of all linear maps of that width (Baldi and Hornik 1989). The sign of each component
    makes its largest entry positive, so that equal data gives equal codes. The rows are read once, batch by batch.
    """
    encoder, decoder = linear_ends(model, split)
    features = math.prod(split.shape)
    mean, components = (find or find_components)(split, min(model.latent.dim, features))
    kept = len(components)
    for parameter in (encoder.weight, encoder.bias, decoder.weight, decoder.bias):
        parameter.zero_()
    encoder.weight[:kept] = components.to(encoder.weight)
    encoder.bias[:kept] = -(components @ mean).to(encoder.bias)
    decoder.weight[:, :kept] = components.T.to(decoder.weight)
    decoder.bias.copy_(mean)


def linear_ends(model: Autoencoder, split: Examples) -> tuple[nn.Linear, nn.Linear]:
    """The encoder's layer and the decoder's. Raises UsageError where a closed form does not speak of such a model or
    of such rows."""
    ends = _find_ends(model)
    if ends is None or not isinstance(model.latent, Deterministic):
        raise UsageError(
            "trainer=closed_form solves model=linear or model=memoriser with latent=deterministic only: take these, or "
            "trainer=joint"
        )
    if next(iter(split.batches(1))).mask is not None:
        raise UsageError(
            "trainer=closed_form: the least error over rows that end at different steps has no closed form for one "
            "linear layer: take trainer=joint; PCA of the real steps stands beside every run"
        )
    encoder, decoder = ends
    features = math.prod(split.shape)
    if model.condition.size:
        raise UsageError("trainer=closed_form knows no side information: take condition=none, or trainer=joint")
    if decoder.out_features != features:
        raise UsageError(
            "trainer=closed_form solves for one number a value, and this likelihood takes "
            f"{decoder.out_features // features}: take likelihood=gaussian, or trainer=joint"
        )
    return encoder, decoder


def _find_ends(model: Autoencoder) -> tuple[nn.Linear, nn.Linear] | None:
    """The one layer each way; None where there are more, or others."""
    if not (isinstance(model.encoder, mlp.Encoder) and isinstance(model.decoder, mlp.Decoder)):
        return None
    layers = [*model.encoder.linears(), *model.decoder.linears()]
    first, last = layers[0], layers[-1]
    return (first, last) if isinstance(first, nn.Linear) and isinstance(last, nn.Linear) and len(layers) == 2 else None


def find_components(
    split: Examples, count: int, around: Callable[[], AbstractContextManager[None]] = nullcontext
) -> tuple[Tensor, Tensor]:
    """(D,) mean and (count or fewer, D) orthonormal components, float64 on the CPU; eigenvectors are looked for
    inside `around`."""
    features = math.prod(split.shape)
    if len(split) < features or features > FEATURES:
        # The products of rows have the same eigenvalues, and are fewer numbers than the covariance.
        rows = torch.cat([batch.x.flatten(1).cpu() for batch in split.sample(FEATURES).batches(1024)]).double()
        mean = rows.mean(0)
        rows = rows - mean
        products = multiply(rows.T)
        with around():
            values, vectors = find_largest(products, min(count, len(rows)))
        kept = values > values[-1] * len(rows) * torch.finfo(torch.float64).eps  # the rest is no direction
        directions = torch.from_numpy(vectors[:, kept]).T @ rows / torch.from_numpy(values[kept]).sqrt()[:, None]
    else:
        mean, covariance = _moments(split)
        with around():
            _, vectors = find_largest(covariance.numpy(), count)
        directions = torch.from_numpy(vectors).T
    components = directions.flip(0).contiguous()
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    return mean, components * torch.where(largest < 0, -1.0, 1.0)


def multiply(x: Tensor) -> np.ndarray:
    """(D, D) x.T @ x of (N, D) on the CPU: NumPy computes one half of what is symmetric, torch both."""
    array = x.numpy()
    return array.T @ array


def find_largest(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(K,) the largest eigenvalues of a symmetric matrix (D, D), ascending, and (D, K) their vectors.

    Few of many by Lanczos (`eigsh`, to the last digit), in a third of the time; what it does not find, all at once.
    """
    from scipy.linalg import eigh

    last = len(matrix) - 1
    if last > MANY and 20 * count < last and (eigsh := find_lanczos()) is not None:
        from scipy.sparse.linalg import ArpackError

        draws = np.random.default_rng(0)  # where vectors have equal values, or none, they are what was drawn
        with suppress(ArpackError):  # as of rows that are all alike
            values, vectors = eigsh(matrix, count, which="LA", v0=draws.standard_normal(len(matrix)), rng=draws)
            order = values.argsort()
            return values[order], vectors[:, order]
    values, vectors = eigh(matrix, subset_by_index=[last - count + 1, last])
    return values, vectors


@functools.cache
def find_lanczos() -> Callable[..., Any] | None:
    """scipy's `eigsh`; None where it draws numbers of its own (before 1.17), by which two calls differ."""
    from scipy.sparse.linalg import eigsh

    return eigsh if "rng" in inspect.signature(eigsh).parameters else None


def _moments(split: Examples) -> tuple[Tensor, Tensor]:
    """(D,) mean and (D, D) sum of squares about it."""
    batches = (batch.x.flatten(1) for batch in split.batches(8192))
    rows = ((x.cpu() if x.device.type == "mps" else x).double() for x in batches)  # mps has no float64
    first = next(rows)
    origin = first.mean(0)  # squares about a near point lose no digits
    total, squares = torch.zeros_like(origin), first.new_zeros(len(origin), len(origin))
    for row in itertools.chain([first], rows):
        x = row - origin
        product = torch.from_numpy(multiply(x)) if x.device.type == "cpu" else x.T @ x
        total, squares = total + x.sum(0), squares + product
    mean = total / len(split)
    return (origin + mean).cpu(), (squares - len(split) * mean[:, None] * mean).cpu()

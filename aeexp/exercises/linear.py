"""A linear autoencoder: the error and the plane of PCA."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor

from aeexp.exercises.records import Exercise, Law
from aeexp.exercises.wording import Wrong, differs, guess, require_shape, show


def _rows() -> Tensor:
    rows = torch.randn(600, 6) * torch.tensor([3.0, 2.0, 1.2, 0.4, 0.3, 0.2])
    basis, _ = torch.linalg.qr(torch.randn(6, 6))
    return rows @ basis.T


def _train(module: ModuleType, x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    found = module.train(x, dim)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise Wrong(f"train should give two matrices, w and v, and gives {type(found).__name__}: return w, v")
    features = x.shape[1]
    w = require_shape(found[0], (features, dim), "w, the first that train gives", "it maps rows to codes, x @ w")
    v = require_shape(found[1], (dim, features), "v, the second that train gives", "it maps codes to rows, z @ v")
    if not bool(w.isfinite().all() and v.isfinite().all()):
        raise Wrong("train ended with numbers that are not finite: its steps are too large")
    return w, v


def _linear_loss_is_a_mean_of_sums(module: ModuleType) -> str | None:
    x, w, v = torch.randn(8, 6), torch.randn(6, 2), torch.randn(2, 6)
    found, wanted = module.loss(x, w, v), (x @ w @ v - x).square().sum(1).mean()
    if not isinstance(found, Tensor) or found.dim() != 0:
        return "loss should be one number, a tensor without dimensions: sum over features, then mean over rows"
    if differs(found, wanted, 1e-4 * float(wanted)):
        cases = [(wanted / 6, "the mean is over features too"), (8 * wanted, "rows are summed")]
        hint = guess(found, cases, "sum over features, mean over rows")
        return (
            f"the loss should be {show(wanted)}, a sum over features and a mean over rows, and is {show(found)}{hint}"
        )
    return None


def _linear_reaches_pcas_error(module: ModuleType) -> str | None:
    x = _rows()
    w, v = _train(module, x, 3)
    own = float((x @ w @ v - x).square().sum(1).mean())
    values = torch.linalg.svdvals(x)
    least = float(values[3:].square().sum() / len(x))
    if not own <= 1.02 * least:  # 2 % above the least that any linear map reaches
        nothing = bool((w == 0).all() and (v == 0).all())
        hint = "train longer, or with another step"
        hint = "both matrices are 0, where the gradient is 0 too: begin with small random numbers" if nothing else hint
        return f"the error is {show(own)}, that of PCA {show(least)}: {hint}"
    return None


def _linear_finds_pcas_plane(module: ModuleType) -> str | None:
    x = _rows()
    _, v = _train(module, x, 3)
    basis = torch.linalg.svd(x, full_matrices=False).Vh[:3].T
    own, _ = torch.linalg.qr(v.T)
    cosine = float(torch.linalg.svdvals(basis.T @ own).min())
    if not cosine >= 0.995:  # an angle of 6 degrees, which an error 2 % above the least allows here
        return f"the decoder's plane is {math.degrees(math.acos(min(1.0, cosine))):.0f} degrees off that of PCA"
    return None


EXERCISE = Exercise(
    "linear",
    ("loss", "train"),
    (
        Law("the loss is a mean of sums", 2, _linear_loss_is_a_mean_of_sums),
        Law("the error of PCA", 3, _linear_reaches_pcas_error),
        Law("the plane of PCA", 3, _linear_finds_pcas_plane),
    ),
)

"""A linear autoencoder: the error and the plane of PCA."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor

from aeexp.exercises.records import Exercise, Law
from aeexp.exercises.wording import show


def _rows() -> Tensor:
    rows = torch.randn(600, 6) * torch.tensor([3.0, 2.0, 1.2, 0.4, 0.3, 0.2])
    basis, _ = torch.linalg.qr(torch.randn(6, 6))
    return rows @ basis.T


def _linear_loss_is_a_mean_of_sums(module: ModuleType) -> str | None:
    x, w, v = torch.randn(8, 6), torch.randn(6, 2), torch.randn(2, 6)
    found, wanted = module.loss(x, w, v), (x @ w @ v - x).square().sum(1).mean()
    if not isinstance(found, Tensor) or found.dim() != 0:
        return "loss should be one number, a tensor without dimensions: sum over features, then mean over rows"
    if abs(float(found - wanted)) > 1e-4 * float(wanted):
        return f"the loss should be {show(wanted)}, and is {show(found)}: sum over features, mean over rows"
    return None


def _linear_reaches_pcas_error(module: ModuleType) -> str | None:
    x = _rows()
    w, v = module.train(x, 3)
    own = float((x @ w @ v - x).square().sum(1).mean())
    values = torch.linalg.svdvals(x)
    least = float(values[3:].square().sum() / len(x))
    if own > 1.02 * least:  # 2 % above the least that any linear map reaches
        return f"the error is {own:.4g}, that of PCA {least:.4g}: train longer, or with another step"
    return None


def _linear_finds_pcas_plane(module: ModuleType) -> str | None:
    x = _rows()
    _, v = module.train(x, 3)
    basis = torch.linalg.svd(x, full_matrices=False).Vh[:3].T
    own, _ = torch.linalg.qr(v.detach().T)
    cosine = float(torch.linalg.svdvals(basis.T @ own).min())
    if cosine < 0.995:  # an angle of 6 degrees, which an error 2 % above the least allows here
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

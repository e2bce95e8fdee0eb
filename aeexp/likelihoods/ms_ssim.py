"""Structural similarity as what a good reconstruction means: no likelihood, but what an eye sees."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from aeexp.contracts import Likelihood
from aeexp.errors import UsageError
from aeexp.ranges import Probability
from aeexp.tensors import sum_features

WINDOW, SIGMA = 7, 1.5  # pixels of the window, and of its Gaussian
EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, from the finest (Wang et al. 2003, section 3.2)
STEADY = (0.01**2, 0.03**2)  # of pixels from 0 to 1
LEAST = 1e-4  # of a product that is raised to a power


@final
class MSSSIM(Likelihood):
    """Multi-scale structural similarity (Wang et al. 2003) beside the absolute error, as Zhao et al. 2017 mix them.

    Local means, variances and correlations in a Gaussian window, at as many scales as the picture has room for, up to
    five. `structure` is the share of the similarity in the mix. Scaled by the number of values, so that it stands
    beside a KL as a sum over pixels does. No probability: nats are called cross-entropies.

    Formula: D [s (1 - MS-SSIM(x, D)) + (1 - s) mean |x - D|], D the number of values, s the structure

    Look at: reconstruction/ssim beside that of likelihood=gaussian, at its worse reconstruction/mse.
    """

    density: ClassVar = False
    identity_link: ClassVar = True
    structure: Tensor
    window: Tensor

    def __init__(self, structure: Probability = 0.84):
        super().__init__()
        self.register_buffer("structure", torch.tensor(float(structure)))
        places = torch.arange(WINDOW) - WINDOW // 2
        weights = torch.exp(-places.square() / (2 * SIGMA**2))
        self.register_buffer("window", weights / weights.sum(), persistent=False)

    def adapt(self, levels: int | None, shape: tuple[int, ...] = ()) -> None:
        """Raises UsageError for rows that are no pictures of the window's size."""
        if len(shape) != 3 or min(shape[1:]) < WINDOW:
            raise UsageError(
                f"likelihood=ms_ssim compares windows of {WINDOW}x{WINDOW} pixels, and a row is {shape}: take "
                "likelihood=laplace, or pictures"
            )

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) the mix."""
        unlike = (1 - ms_ssim(output, target, self.window)) * target[0].numel()
        return self.structure * unlike + (1 - self.structure) * sum_features((output - target).abs())

    def mean(self, output: Tensor) -> Tensor:
        """The output itself."""
        return output

    def check(self, low: float, high: float, step: float | None = None) -> None:
        """Raises UsageError on values outside of [0, 1]."""
        if not low >= 0 or not high <= 1:
            raise UsageError(
                f"likelihood=ms_ssim needs values in [0, 1], but the data has {low:.4g} to {high:.4g}: take "
                "dataset.scale=unit, or likelihood=laplace"
            )


def ms_ssim(a: Tensor, b: Tensor, window: Tensor) -> Tensor:
    """(B,) similarity of pictures (B, C, H, W) from 0 to 1, 1 of equal ones; `window` (W,) are one side's weights."""
    scales = 1
    while scales < len(EXPONENTS) and min(a.shape[2:]) >> scales >= len(window):
        scales += 1
    weights = torch.tensor(EXPONENTS[:scales], dtype=a.dtype, device=a.device)
    weights = weights / weights.sum()
    total = torch.ones_like(a[:, 0, 0, 0])
    for scale in range(scales):
        brightness, contrast = _compare(a, b, window.to(a.dtype))
        value = contrast * brightness if scale == scales - 1 else contrast
        total = total * value.flatten(1).mean(1).clamp(min=LEAST) ** weights[scale]
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return total


def _compare(a: Tensor, b: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (B, C, h, w) of how alike local means are, and how alike variances and structure."""

    def blur(x: Tensor) -> Tensor:
        channels = x.shape[1]
        for kernel in (window.view(1, 1, -1, 1), window.view(1, 1, 1, -1)):
            x = F.conv2d(x, kernel.expand(channels, 1, *kernel.shape[2:]), groups=channels)
        return x

    mean_a, mean_b = blur(a), blur(b)
    squares = mean_a.square() + mean_b.square()
    both = mean_a * mean_b
    variances = blur(a * a) + blur(b * b) - squares
    covariance = blur(a * b) - both
    return (2 * both + STEADY[0]) / (squares + STEADY[0]), (2 * covariance + STEADY[1]) / (variances + STEADY[1])

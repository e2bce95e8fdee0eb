"""Penalties on the decoder, (B,) or (), before their weight. Weights are 0-d buffers."""

from __future__ import annotations

import functools
from typing import Literal, final

import torch
from torch import Tensor
from torch.func import vjp, vmap

from aeexp.contracts import Model, Regularizer
from aeexp.errors import UsageError
from aeexp.ranges import Count, NonNegative
from aeexp.types import Pass


@final
class DecoderL2(Regularizer):
    """Sum of the squared weights of the decoder (RAE-L2, Ghosh et al. 2020, equation 11).

    Formula: Σ w² over the decoder's weights

    Look at: samples and interpolations: a smooth decoder has no holes between codes.
    """

    def forward(self, out: Pass, model: Model) -> Tensor:
        """() over all weights, biases among them."""
        # A tied layer carries its source along (nn.mlp.Transposed), whose bias is the encoder's alone.
        own = (p for name, p in model.decoder.named_parameters() if not name.endswith("source.bias"))
        return functools.reduce(torch.add, (p.square().sum() for p in own))


@final
class GradientPenalty(Regularizer):
    """How fast the decode picture changes with the code, (B,) (RAE-GP, Ghosh et al. 2020, equation 11).

    The derivative is with respect to the code, never to the input. `squares` is what the paper's authors compute: the
    squared norm of the gradient of |D(z)|^2. `hutchinson` is the squared Frobenius norm of the decoder's Jacobian,
    from `probes` random directions in the space of pictures. What follows the end of a sequence counts 0.

    Formula: squares: |∇_z |D(z)|²|²; hutchinson: |∂D/∂z|_F²

    Look at: interpolations, and samples of a density fitted to the codes.
    """

    def __init__(self, weight: NonNegative, estimate: Literal["squares", "hutchinson"] = "squares", probes: Count = 1):
        super().__init__(weight)
        self.estimate = estimate
        self.probes = probes

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) at the code that the decoder got."""
        mask = 1.0 if out.batch.mask is None else out.batch.mask.unsqueeze(-1)

        def decode(z: Tensor) -> Tensor:  # the mean: a mode, which masks are shown by, has no gradient
            return model.likelihood.mean(model.parameters_of(z, out.context, out.code.skips)) * mask

        picture, pull = vjp(decode, out.code.z)[:2]
        if self.estimate == "squares":
            return pull(2 * picture)[0].square().sum(1)
        directions = torch.randn(self.probes, *picture.shape, dtype=picture.dtype, device=picture.device)
        return vmap(lambda v: pull(v)[0])(directions).square().sum(2).mean(0)


@final
class Orthogonality(Regularizer):
    """|W^T W - I|^2 of the decoder's layer that reads the code, (): each unit a direction of its own, of length 1.

    Soft orthogonality (Brock et al. 2017, Bansal et al. 2018). W (H, D) are the columns of the code without those of
    the context. A linear autoencoder whose term is 0 decodes by an orthonormal basis, as PCA does: of the same
    subspace, turned at will. Where the code is a map, W is that of a place.

    Formula: |WᵀW - I|_F²

    Look at: the decoder's filters (plot=filters): directions that do not repeat each other.
    """

    def forward(self, out: Pass, model: Model) -> Tensor:
        """() how far the columns are from orthonormal."""
        columns = code_columns(model)
        gram = columns.T @ columns
        return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()

    def check(self, model: Model) -> None:
        """Raises UsageError where there are more columns than directions."""
        rows, columns = code_columns(model).shape
        if rows < columns:
            raise UsageError(
                f"orthogonality: {columns} units cannot have {columns} orthogonal directions in a layer of {rows}: "
                f"take latent.dim={rows} or fewer, or a wider model"
            )


def code_columns(model: Model) -> Tensor:
    """(H, D) weights by which the first layer of the decoder reads the code; the context's columns come last."""
    weight = model.decoder.reading_weight()
    return weight[:, : weight.shape[1] - model.condition.size]

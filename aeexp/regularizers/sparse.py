"""Penalties of sparse codes that decode once more, (B,), before their weight. Weights are 0-d buffers."""

from __future__ import annotations

import functools
from typing import final

import torch
from torch import Tensor
from torch.func import functional_call

from aeexp.contracts import Decoder, Model, Regularizer
from aeexp.errors import UsageError
from aeexp.latents.rectified import Gated
from aeexp.latents.sparse import BatchTopK, TopK
from aeexp.ranges import Count, NonNegative, Share
from aeexp.tensors import count_share, keep_largest, read_count, sum_features
from aeexp.types import Pass


@final
class AuxK(Regularizer):
    """Dead units explain what the others leave: so they get a gradient (Gao et al. 2024, appendix A.2).

    The `k` largest of the units that have been 0 for `latent.dead_after` steps reconstruct the error of the row, which
    itself stays as it is. 0 where no unit is dead, and then nothing is decoded.

    Formula: |e - ê|², e = x - decode(z), ê = decode(z') - decode(0), z' the k largest of the dead units

    Look at: dead_share in history.csv beside that of a run without.
    """

    k: Tensor

    def __init__(self, weight: NonNegative, k: Count = 32):
        super().__init__(weight)
        self.register_buffer("k", torch.tensor(k))

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) squared error, summed over features."""
        dead, before = model.latent.find_dead(), out.code.before
        assert dead is not None and before is not None  # of the latents that `check` lets through
        if read_count(dead.any()) == 0:
            return before.new_zeros(len(before))
        ranked = torch.where(dead, before, torch.full_like(before, -torch.inf))
        largest = keep_largest(ranked, self.k)
        z = torch.where(dead & (largest != 0), before, torch.zeros_like(before))
        silence = model.parameters_of(torch.zeros_like(z), out.context, out.code.skips)
        added = model.parameters_of(z, out.context, out.code.skips) - silence
        left = (out.batch.targets - out.output).detach()
        return sum_features((left - added).square(), out.batch.mask) * dead.any()

    def check(self, model: Model) -> None:
        """Raises UsageError where no unit can be dead for want of a place, or the output is no mean."""
        if not isinstance(model.latent, TopK | BatchTopK):
            raise UsageError(
                "aux_k revives units that never are among the k largest: take latent=topk or latent=batch_topk; those "
                "of other sparse latents start anew by latent.resample_every"
            )
        need_mean("aux_k", model)


@final
class Gate(Regularizer):
    """What a gate learns by, and the price of opening it (Rajamanoharan et al. 2024a, equation 8): latent=gated.

    The rectified gates themselves reconstruct the row, by a decoder that does not learn from it, and `sparsity` is what
    a gate costs for how far it is open. The code that the decoder gets is not touched by either.

    Formula: -log p(x | max(0, h)) + sparsity Σ_j max(0, h_j)

    Look at: latent/l0 over regularizer.gate.sparsity.
    """

    sparsity: Tensor

    def __init__(self, weight: NonNegative, sparsity: NonNegative = 1.0):
        super().__init__(weight)
        self.register_buffer("sparsity", torch.tensor(float(sparsity)))

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) nats and what they cost."""
        assert out.code.before is not None  # of latent=gated
        gate = out.code.before.relu()
        output = decode_frozen(model.decoder, gate, out.context, out.code.skips)
        error = model.likelihood.distortion(output, out.batch.targets, out.batch.mask)
        return error + self.sparsity * gate.sum(1)

    def check(self, model: Model) -> None:
        """Raises UsageError where there is no gate, or no decoder that reads the code alone."""
        if not isinstance(model.latent, Gated):
            raise UsageError("gate is what the gates of latent=gated learn by: take that, or regularizer=l1")
        if model.decoder.autoregressive:
            raise UsageError("gate needs a decoder that reads the code alone: take model.autoregressive=false")


@final
class Matryoshka(Regularizer):
    """The first units alone must reconstruct too, for each of several prefixes of the code (Bussmann et al. 2025).

    Prefixes are shares of the units, from the first on; two that are as many units count once. The whole code is the
    objective's own term. Early units learn what is common, and later ones do not take it from them.

    Formula: Σ_m -log p(x | z_1 ... z_m)

    Look at: plot=dictionary: the first units are the general ones; loss/matryoshka beside loss/reconstruction.
    """

    def __init__(self, weight: NonNegative, prefixes: list[Share]):
        super().__init__(weight)
        if not prefixes or sorted(set(prefixes)) != list(prefixes):
            raise UsageError(f"prefixes={list(prefixes)}: name a share of the units or more, each above the last")
        self.prefixes = list(prefixes)

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) nats, summed over prefixes."""
        z = out.code.z
        number, parts = torch.arange(z.shape[1], device=z.device), []
        for count in sorted({count_share(share, z.shape[1]) for share in self.prefixes}):
            output = model.explain(z * (number < count), out.context, out.batch, out.code.skips)
            parts.append(model.likelihood.distortion(output, out.batch.targets, out.batch.mask))
        return functools.reduce(torch.add, parts)


def decode_frozen(decoder: Decoder, z: Tensor, context: Tensor | None, skips: tuple[Tensor, ...]) -> Tensor:
    """The decoder's output from the code alone; its weights get no gradient."""
    fixed = {name: parameter.detach() for name, parameter in decoder.named_parameters()}
    return functional_call(decoder, fixed, (z, context, skips))


def need_mean(name: str, model: Model) -> None:
    """Raises UsageError where the output is not the mean itself, to which errors could be added."""
    if not model.likelihood.identity_link:
        raise UsageError(f"{name} adds to the output what is left of the row: take likelihood=gaussian, or drop {name}")

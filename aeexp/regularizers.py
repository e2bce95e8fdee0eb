"""Penalties on a forward pass, (B,) or (), before their weight. Weights are 0-d buffers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap

from aeexp.distributions import bernoulli_kl
from aeexp.errors import require
from aeexp.types import Pass


def _weight(value: float) -> Tensor:
    require(value >= 0, f"weight={value} must not be negative")
    return torch.tensor(float(value))


class L1(nn.Module):
    """Sum of the absolute values of the code: pulls units to 0."""

    weight: Tensor

    def __init__(self, weight: float):
        super().__init__()
        self.register_buffer("weight", _weight(weight))

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        return out.code.z.abs().sum(1)

    def check(self, model: nn.Module) -> None:
        """Acts on any code."""


class KLSparsity(nn.Module):
    """KL from Bernoulli(rho) to Bernoulli(mean activation), summed over units (Ng 2011, sparse autoencoder).

    The penalty speaks of the mean over the training set. `estimate` says what stands for it: the mean of the
    batch, its exponential average over past batches (`decay` each step), or the mean over the whole training
    set, measured before every `refresh_steps`-th step. In training the gradient is that of the batch's mean at
    the estimate's value; in evaluation `ema` and `dataset` use the stored estimate. An estimate that lags drives
    the units past their target and can collapse the code: keep `decay` and `refresh_steps` small.
    """

    weight: Tensor
    rho: Tensor
    mean: Tensor
    seen: Tensor

    def __init__(
        self,
        weight: float,
        rho: float,
        dim: int,
        estimate: Literal["batch", "ema", "dataset"] = "batch",
        decay: float = 0.9,
        refresh_steps: int = 5,
    ):
        super().__init__()
        require(0 < rho < 1, f"rho={rho} must lie strictly between 0 and 1")
        require(0 <= decay < 1, f"decay={decay} must lie in [0, 1)")
        self.estimate = estimate
        require(refresh_steps >= 1, f"refresh_steps={refresh_steps} must be at least 1")
        self.decay = decay
        self.refresh_steps = refresh_steps
        self.register_buffer("weight", _weight(weight))
        self.register_buffer("rho", torch.tensor(float(rho)))
        self.register_buffer("mean", torch.full((dim,), float(rho)))
        self.register_buffer("seen", torch.tensor(0.0))  # steps in the exponential average

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        batch = out.code.mean.mean(0)
        if self.estimate == "batch":
            mean = batch
        elif not self.training:
            mean = self.mean
        elif self.estimate == "ema":
            mean = batch + (self._average(batch) - batch).detach()
        else:
            mean = batch + (self.mean - batch).detach()
        return bernoulli_kl(self.rho, mean).sum()

    def observe(self, out: Pass) -> None:
        if self.estimate == "ema":
            self.mean.copy_(self._average(out.code.mean.mean(0)))
            self.seen.add_(1)

    def before_step(self, model: nn.Module, split, step: int) -> None:
        if self.estimate == "dataset" and step % self.refresh_steps == 0:
            codes = (model.encode(batch.x, model.condition(batch), batch.mask).mean for batch in split.batches(1024))
            self.mean.copy_(sum(code.sum(0) for code in codes) / len(split))

    def check(self, model: nn.Module) -> None:
        require(
            model.latent.range == (0.0, 1.0),
            "kl_sparsity needs units in (0, 1), which this latent does not give: take latent=sigmoid, "
            "or regularizer=l1",
        )

    def _average(self, batch: Tensor) -> Tensor:
        # The first batches count fully: the average must not start from a made-up value.
        keep = torch.clamp(self.seen / (self.seen + 1), max=self.decay)
        return keep * self.mean + (1 - keep) * batch


class Contractive(nn.Module):
    """Squared Frobenius norm of the encoder's Jacobian at the input it saw, (B,) (Rifai et al. 2011).

    `exact` takes one backward pass per unit of the code; `hutchinson` averages over `probes` random
    directions in code space, E |J^T v|^2 = |J|_F^2 for v ~ N(0, I). The mean code is differentiated,
    never a sample.
    """

    weight: Tensor

    def __init__(self, weight: float, estimate: Literal["exact", "hutchinson"] = "exact", probes: int = 1):
        super().__init__()
        require(probes >= 1, f"probes={probes} must be at least 1")
        self.estimate = estimate
        self.probes = probes
        self.register_buffer("weight", _weight(weight))

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        # a grey picture may have strides that pass for channels-last ones, for which GroupNorm has no vmap rule
        x = out.x.clone(memory_format=torch.contiguous_format)
        code, pull = vjp(lambda x: model.encode(x, out.context, out.batch.mask).mean, x)
        if self.estimate == "exact":
            eye = torch.eye(code.shape[1], dtype=code.dtype, device=code.device)
            rows = vmap(lambda unit: pull(unit.expand_as(code))[0])(eye)
            return rows.square().flatten(2).sum((0, 2))
        directions = torch.randn(self.probes, *code.shape, dtype=code.dtype, device=code.device)
        rows = vmap(lambda v: pull(v)[0])(directions)
        return rows.square().flatten(2).sum(2).mean(0)

    def check(self, model: nn.Module) -> None:
        """Acts on any differentiable encoder."""


class DecoderL2(nn.Module):
    """Sum of the squared weights of the decoder (RAE-L2, Ghosh et al. 2020, equation 11)."""

    weight: Tensor

    def __init__(self, weight: float):
        super().__init__()
        self.register_buffer("weight", _weight(weight))

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        # A tied layer carries its source along (nn.mlp.Transposed), whose bias is the encoder's alone.
        own = (p for name, p in model.decoder.named_parameters() if not name.endswith("source.bias"))
        return sum(p.square().sum() for p in own)

    def check(self, model: nn.Module) -> None:
        """Acts on any decoder."""


class CodeL2(nn.Module):
    """Half the squared norm of the code, (B,): the KL where nothing is drawn (RAE, Ghosh et al. 2020, equation 8)."""

    weight: Tensor

    def __init__(self, weight: float):
        super().__init__()
        self.register_buffer("weight", _weight(weight))

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        return 0.5 * out.code.z.square().sum(1)

    def check(self, model: nn.Module) -> None:
        """Acts on any code."""


class GradientPenalty(nn.Module):
    """How fast the decoded picture changes with the code, (B,) (RAE-GP, Ghosh et al. 2020, equation 11).

    The derivative is with respect to the code, never to the input. `squares` is what the paper's authors compute: the
    squared norm of the gradient of |D(z)|^2. `hutchinson` is the squared Frobenius norm of the decoder's Jacobian,
    from `probes` random directions in the space of pictures. What follows the end of a sequence counts 0.
    """

    weight: Tensor

    def __init__(self, weight: float, estimate: Literal["squares", "hutchinson"] = "squares", probes: int = 1):
        super().__init__()
        require(probes >= 1, f"probes={probes} must be at least 1")
        self.estimate = estimate
        self.probes = probes
        self.register_buffer("weight", _weight(weight))

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        mask = 1.0 if out.batch.mask is None else out.batch.mask.unsqueeze(-1)

        def decoded(z: Tensor) -> Tensor:  # the mean: a mode, which masks are shown by, has no gradient
            return model.likelihood.mean(model.parameters_of(z, out.context, out.code.skips)) * mask

        picture, pull = vjp(decoded, out.code.z)
        if self.estimate == "squares":
            return pull(2 * picture)[0].square().sum(1)
        directions = torch.randn(self.probes, *picture.shape, dtype=picture.dtype, device=picture.device)
        return vmap(lambda v: pull(v)[0])(directions).square().sum(2).mean(0)

    def check(self, model: nn.Module) -> None:
        """Acts on any differentiable decoder."""


class Orthogonality(nn.Module):
    """|W^T W - I|^2 of the decoder's layer that reads the code, (): each unit a direction of its own, of length 1.

    Soft orthogonality (Brock et al. 2017, Bansal et al. 2018). W (H, D) are the columns of the code without those of
    the context. A linear autoencoder whose term is 0 decodes by an orthonormal basis, as PCA does: of the same
    subspace, turned at will. Where the code is a map, W is that of a place.
    """

    weight: Tensor

    def __init__(self, weight: float):
        super().__init__()
        self.register_buffer("weight", _weight(weight))

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        columns = reading(model)
        gram = columns.T @ columns
        return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()

    def check(self, model: nn.Module) -> None:
        rows, columns = reading(model).shape
        require(
            rows >= columns,
            f"orthogonality: {columns} units cannot have {columns} orthogonal directions in a layer of {rows}: "
            f"take latent.dim={rows} or fewer, or a wider model",
        )


def reading(model: nn.Module) -> Tensor:
    """(H, D) weights by which the first layer of the decoder reads the code; the context's columns come last."""
    weights = (getattr(part, "weight", None) for part in model.decoder.modules())
    weight = next(found for found in weights if isinstance(found, Tensor) and found.dim() == 2)
    return weight[:, : weight.shape[1] - model.condition.size]

"""Forward passes made by hand."""

from __future__ import annotations

from types import SimpleNamespace

from aeexp.latents.deterministic import Deterministic
from aeexp.types import Batch, Code, Facts, Pass

MODEL = SimpleNamespace(latent=Deterministic(2))


def seen(z, y=None, s=None) -> Pass:
    return Pass(Batch(z, y, s), z, None, Code(z, z), z)


FACTS = Facts((2,))


def adapted(penalty, dim: int, facts: Facts = FACTS):
    """A penalty that knows a model of so many units."""
    penalty.adapt(SimpleNamespace(latent=SimpleNamespace(dim=dim)), facts)
    return penalty

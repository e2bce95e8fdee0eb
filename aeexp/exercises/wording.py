"""What laws ask of a student's numbers."""

from __future__ import annotations

from torch import Tensor


def show(value: Tensor | float) -> str:
    """Four digits."""
    return f"{float(value):.4g}"


def differs(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Whether shapes are unlike, or a value is farther off than that (or none)."""
    return found.shape != wanted.shape or not bool((found - wanted).abs().max() <= tolerance)


def check_shape(found: object, wanted: tuple[int, ...], what: str) -> str | None:
    """What is wrong with it; None where nothing is."""
    if not isinstance(found, Tensor):
        return f"{what} should be a tensor, and is a {type(found).__name__}: has the function a return?"
    if tuple(found.shape) != wanted:
        return f"{what} should have shape {wanted}, and has {tuple(found.shape)}"
    return None

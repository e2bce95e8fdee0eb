"""What laws ask of a student's numbers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


class Wrong(Exception):
    """What a function gave cannot be looked at further; the message is the student's."""


def show(value: Tensor | float) -> str:
    """Four digits."""
    return f"{float(value):.4g}"


def show_all(values: Tensor) -> str:
    """A list of them."""
    return f"[{', '.join(show(value) for value in values.detach().flatten())}]"


def differs(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Whether shapes are unlike, or a value is farther off than that (or none)."""
    return found.shape != wanted.shape or not bool((found - wanted).abs().max() <= tolerance)


def guess(found: Tensor, cases: Sequence[tuple[Tensor | float, str]], otherwise: str = "") -> str:
    """What went wrong, by the value that it leads to: the words of the first case that is as near as 1 %."""
    for value, words in cases:
        if bool(abs(float(found) - float(value)) <= 0.01 * abs(float(value))):
            return f": {words}"
    return f": {otherwise}" if otherwise else ""


def require_shape(found: object, wanted: tuple[int, ...], what: str, hint: str = "") -> Tensor:
    """The tensor that it is. Raises `Wrong`."""
    if found is None:
        raise Wrong(f"{what} should be a tensor, and is None: has the function a return?")
    if not isinstance(found, Tensor):
        raise Wrong(f"{what} should be a tensor, and is of type {type(found).__name__}: compute with torch")
    if tuple(found.shape) != wanted:
        raise Wrong(f"{what} should have shape {wanted}, and has {tuple(found.shape)}{f': {hint}' if hint else ''}")
    return found.detach()

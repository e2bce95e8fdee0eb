"""Bits of rows without a network: signs of principal components, as they are or rotated."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from aeexp.errors import UsageError

Hash = Callable[[np.ndarray], np.ndarray]  # rows (N, ...) -> bits (N, D) bool


def pca_sign(train: np.ndarray, bits: int) -> Hash:
    """Signs of the first principal components of rows (N, ...); beyond their rank a bit never changes."""
    mean, axes = _principal(train, bits)
    return lambda x: (_flat(x) - mean) @ axes > 0


def itq(train: np.ndarray, bits: int, iterations: int = 50, seed: int = 0) -> Hash:
    """Signs of the principal components under the rotation that brings them nearest to signs (Gong and Lazebnik 2011).

    A random rotation at first, then in turn the best signs for the rotation and the best rotation for the signs.
    """
    if iterations < 1:
        raise UsageError(f"iterations={iterations} must be at least 1")
    mean, axes = _principal(train, bits)
    components = np.concatenate([(part - mean) @ axes for part in _parts(train)])
    rotation, _ = rotated(components, iterations, seed)
    axes = axes @ rotation
    return lambda x: (_flat(x) - mean) @ axes > 0


def rotated(components: np.ndarray, iterations: int, seed: int) -> tuple[np.ndarray, list[float]]:
    """Rotation R (D, D) of components V (N, D), and |sign(V R) - V R|^2 over N D (equation 2) before each round."""
    drawn = np.random.default_rng(seed).normal(size=(components.shape[1],) * 2)
    rotation, losses = np.linalg.qr(drawn)[0], []
    for _ in range(iterations):
        turned = components @ rotation
        signs = np.where(turned > 0, 1.0, -1.0)
        losses.append(float(np.square(signs - turned).mean()))
        left, _, right = np.linalg.svd(components.T @ signs)
        rotation = left @ right
    return rotation, losses


def _principal(train: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(F,) mean and (F, count) principal axes of rows (N, ...), float64; columns beyond the features are 0."""
    if len(train) <= 0 or count < 1:
        raise UsageError(f"bits={count} of {len(train)} rows: give rows, and at least 1 bit")
    mean = sum(part.sum(0) for part in _parts(train)) / len(train)
    scatter = sum((part - mean).T @ (part - mean) for part in _parts(train))
    axes = np.linalg.eigh(scatter)[1][:, ::-1][:, :count]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    return mean, np.pad(axes, ((0, 0), (0, count - axes.shape[1])))


def _parts(x: np.ndarray) -> Iterable[np.ndarray]:
    """Rows as float64, some thousand at a time."""
    return (_flat(x[start : start + 8192]) for start in range(0, len(x), 8192))


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)

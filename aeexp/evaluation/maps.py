"""Maps of codes into the plane, each a function of codes and seed alone, and how far one of them can be trusted."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from aeexp.errors import UsageError

Name = Literal["pca", "tsne", "umap", "pacmap"]
PACKAGES = {"umap": "umap-learn", "pacmap": "pacmap"}  # extras: the name to import, and the one to install
LEAST = {"pca": 2, "tsne": 5, "umap": 5, "pacmap": 12}  # rows; fewer have no neighbourhood to keep
NEIGHBOURS = 15  # that UMAP looks at


def require(names: Sequence[str]) -> None:
    """Raise UsageError where a map's package is not installed; nothing is imported."""
    missing = [name for name in names if name in PACKAGES and importlib.util.find_spec(name) is None]
    packages = " and ".join(PACKAGES[name] for name in missing)
    if missing:
        raise UsageError(
            f"maps={list(names)} needs {packages}, which is not installed\n"
            f"pip install 'aeexp[maps]' brings it; or take maps=[pca,tsne]"
        )


def embed(name: Name, codes: np.ndarray, seed: int, perplexity: float = 30.0) -> np.ndarray:
    """(N, 2) float64 places of codes (N, D) in the plane: the same codes and seed give the same map on one machine.

    `perplexity` is t-SNE's, less where rows are few. Of `LEAST` rows, and of codes that vary: others have no map.
    """
    if name not in get_args(Name):
        raise UsageError(f"name={name} is no map: take one of {', '.join(get_args(Name))}")
    require([name])
    if not is_mappable(name, codes):
        raise UsageError(f"name={name} needs {LEAST[name]} codes that are not all the same")
    codes = np.asarray(codes, np.float64)
    if name == "pca":
        return _pca(codes)
    from threadpoolctl import threadpool_limits

    # Distances between codes are all that counts: units of any size give the same picture.
    scaled = (codes - codes.mean(0)) / codes.std(0).max()
    make = {"tsne": lambda: _tsne(scaled, seed, perplexity), "umap": lambda: _umap(scaled, seed),
            "pacmap": lambda: _pacmap(scaled, seed)}[name]  # fmt: skip
    # Its threads wait for each other in every iteration: beside another busy process two take longer than one.
    with threadpool_limits(1):
        return np.asarray(make(), np.float64)


def is_mappable(name: Name, codes: np.ndarray) -> bool:
    """Whether there is anything to place."""
    return len(codes) >= LEAST[name] and (name == "pca" or np.ptp(codes, axis=0).max() > 0)


def shares(codes: np.ndarray) -> np.ndarray:
    """(min(N, D),) of the variance that each principal component explains, largest first; 0 where nothing varies."""
    values = np.linalg.svd(codes - codes.mean(0), compute_uv=False) ** 2
    return values / (values.sum() or 1.0)


def trustworthiness(codes: np.ndarray, points: np.ndarray, k: int = 5) -> float | None:
    """1 where the k neighbours in the map are neighbours among the codes (Venna and Kaski 2001), about 1/2 by chance.

    None where there are too few rows. Rows squared in time and memory: half a second for 2,000 rows.
    """
    if len(codes) <= 2 * k:
        return None
    from sklearn.manifold import trustworthiness as measure

    return float(measure(codes, points, n_neighbors=k))


def find_plane(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(D,) mean, (2, D) the directions along which codes (N, D) vary most, and the share of the variance of each; less
    where there are less. The larger loading of each is positive: the sign of a singular vector is arbitrary."""
    centred = codes - codes.mean(0)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    vectors = (
        vectors[:2] * np.sign(vectors[:2][np.arange(min(2, len(vectors))), np.abs(vectors[:2]).argmax(1)])[:, None]
    )
    return codes.mean(0), vectors, (values**2 / (np.square(values).sum() or 1.0))[:2]


def _pca(codes: np.ndarray) -> np.ndarray:
    """Places in the plane of `find_plane`."""
    mean, vectors, _ = find_plane(codes)
    points = (codes - mean) @ vectors.T
    return np.column_stack([points, np.zeros((len(points), 2 - points.shape[1]))])


def _tsne(codes: np.ndarray, seed: int, perplexity: float) -> np.ndarray:
    """van der Maaten and Hinton 2008, by Barnes and Hut's tree."""
    from sklearn.manifold import TSNE

    few = min(perplexity, (len(codes) - 1) / 3)
    # Half the usual iterations, a coarse angle: a third of the time, neighbours kept as well (0.978 of 0.979).
    return TSNE(perplexity=few, init="pca", max_iter=500, angle=0.8, random_state=seed).fit_transform(codes)


def _umap(codes: np.ndarray, seed: int) -> np.ndarray:
    """McInnes et al. 2018. Its first call in a process compiles for half a minute."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's and its own, on threads and on few rows
        from umap import UMAP

        few = min(NEIGHBOURS, len(codes) - 1)
        # A spectral start fails on few rows and warns on parts that do not touch; PCA's is as good.
        return np.asarray(UMAP(n_neighbors=few, init="pca", random_state=seed, n_jobs=1).fit_transform(codes))


def _pacmap(codes: np.ndarray, seed: int) -> np.ndarray:
    """Wang et al. 2021."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pacmap import PaCMAP

        logger = logging.getLogger("pacmap")
        level = logger.level
        logger.setLevel(logging.ERROR)  # else it warns at every call that the seed is set
        try:
            few = min(10, (len(codes) - 1) // 2)
            mapper = PaCMAP(n_neighbors=few, random_state=seed, apply_pca=False)
            return np.asarray(mapper.fit_transform(codes.astype(np.float32), init="pca"))
        finally:
            logger.setLevel(level)

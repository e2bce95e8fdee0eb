"""Codes of the rows of a page: their maps into the plane, what is moved of them by hand, and draws of new ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from aeexp.conditions import Attribute, Label
from aeexp.datasets.core.data import Data
from aeexp.evaluation.maps import Name, embed, find_plane, is_mappable
from aeexp.explorer.blobs import Blobs
from aeexp.models.autoencoder import Autoencoder

STEPS = 9  # values that a block of units takes, where it takes a few
DRAWS = 300  # codes
FLOATS = 200_000  # numbers of them at most


def describe_maps(codes: np.ndarray, names: Sequence[Name], constrained: bool, seed: int, blobs: Blobs) -> list[dict]:
    """The code itself where it is one or two numbers, else PCA of it, which is a plane among the codes; then maps that
    are none."""
    maps = []
    dim = codes.shape[1]
    if dim <= 2:
        points = codes if dim == 2 else np.column_stack([codes, np.zeros(len(codes))])
        plane = {"mean": blobs.add(np.zeros(dim)), "axes": blobs.add(np.eye(2)[:, :dim])}
        axes = ["unit 1", "unit 2" if dim == 2 else ""]
        maps.append({"name": "code", "points": blobs.add(points), "plane": plane, "axes": axes})
    elif "pca" in names and is_mappable("pca", codes):
        mean, axes, shares = find_plane(codes.astype(np.float64))
        points = (codes - mean) @ axes.T
        titles = [f"component {i + 1}, {share:.0%}" for i, share in enumerate(shares)]
        plane = {"mean": blobs.add(mean), "axes": blobs.add(axes)}
        maps.append({"name": "PCA of the codes", "points": blobs.add(points), "plane": plane, "axes": titles})
    for name in names:
        if name != "pca" and (dim > 2 or constrained) and is_mappable(name, codes):
            points = embed(name, codes, seed)
            title = {"tsne": "t-SNE", "umap": "UMAP", "pacmap": "PaCMAP"}[name]
            maps.append({"name": title, "points": blobs.add(points), "plane": None, "axes": ["", ""]})
    return maps


def describe_moves(model: Autoencoder, codes: np.ndarray, blobs: Blobs) -> dict[str, Any]:
    """What of a code is moved: units over their range, or blocks of them to one of a few values; those that vary most
    come first."""
    moves = model.latent.moves(torch.from_numpy(codes), STEPS)
    blocks = codes.reshape(len(codes), -1, moves.width).var(0).sum(1)
    low, high = np.percentile(codes, (1, 99), axis=0)
    flat = high - low < 1e-6
    return {
        "width": moves.width,
        "kind": moves.kind,
        "order": np.argsort(-blocks, kind="stable").tolist(),
        "low": blobs.add(np.where(flat, low - 1, low)),
        "high": blobs.add(np.where(flat, high + 1, high)),
        "values": None if moves.values is None else moves.values.tolist(),
        "names": list(moves.names),
        "caption": moves.caption,
    }


@torch.no_grad()
def draw_codes(model: Autoencoder, blobs: Blobs) -> dict[str, Any]:
    """New codes, as `sample` draws them: those of a prior, or of the Gaussian of the training codes."""
    count = max(16, min(DRAWS, FLOATS // model.latent.dim))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codes = model.sample_codes(count).cpu().numpy()
    prior = model.latent.prior
    origin = "the Gaussian of the training codes" if prior is None else f"the prior ({type(prior).__name__.lower()})"
    return {"codes": blobs.add(codes), "count": count, "origin": origin}


def describe_context(model: Autoencoder, data: Data, contexts: torch.Tensor | None, blobs: Blobs) -> dict | None:
    """Side information: one of a few names, or quantities; and that of each row."""
    condition = model.condition
    if condition.size == 0 or contexts is None:
        return None
    label = isinstance(condition, Label)
    choice = label or (isinstance(condition, Attribute) and condition.coded)
    names = list(data.classes) if label else list(data.groups[0] if data.groups and choice else data.attributes)
    names += [str(number) for number in range(len(names), condition.size)]
    values = contexts.cpu().numpy()
    return {
        "kind": "choice" if choice else "numbers",
        "title": "label" if label else (data.attributes[0] if choice and data.attributes else "attribute"),
        "names": names[: condition.size],
        "size": condition.size,
        "told": condition.told > 0,
        "rows": blobs.add(values),
        "low": values.min(0).tolist(),
        "high": values.max(0).tolist(),
    }

"""Neighbours and duplicates by their codes: bits through a hash table, other codes by Euclidean distance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from aeexp.datasets.core.split import Split
from aeexp.datasets.core.stream import Stream
from aeexp.datasets.formats.npz import Archive
from aeexp.encoding.codes import encode_splits
from aeexp.encoding.new_rows import load_rows
from aeexp.errors import UsageError
from aeexp.evaluation.hashing import Index, distances, pack, unpack, verify
from aeexp.latents.binary import Binary
from aeexp.runs.loading import LoadedRun

Codes = dict[str, np.ndarray]  # arrays as `aeexp.encoding.codes.encode_splits` names them


def count_bits(run: LoadedRun) -> int | None:
    """How many bits a code has; None where codes are numbers."""
    return run.model.latent.dim if isinstance(run.model.latent, Binary) else None


def pack_codes(arrays: Codes, dim: int) -> Codes:
    """Codes of bits as bytes (N, ceil(dim / 8)), numpy.packbits; `bits` says how many of them count."""
    small = {key: pack(value) if _is_codes(key) else value for key, value in arrays.items()}
    return {**small, "bits": np.array(dim)}


def load_codes(run: LoadedRun, path: str | Path) -> Codes:
    """Codes that aeexp-encode wrote, unpacked. Raises UsageError where they are of another kind."""
    archive, dim = Archive(str(path)), count_bits(run)
    arrays = {key: archive.read(key) for key in archive.keys}
    own = int(arrays["bits"]) if "bits" in arrays and arrays["bits"].shape == () else None
    if own != dim:
        raise UsageError(f"--index {path}: its codes have {own or 'no'} bits, those of the run {dim or 'none'}")
    codes = {key: value for key, value in arrays.items() if _is_codes(key)}
    if not codes:
        raise UsageError(f"--index {path} holds no codes: give a file that aeexp-encode wrote")
    for key, value in codes.items():
        width = run.model.latent.dim if dim is None else -(-dim // 8)
        if value.ndim != 2 or value.shape[1] != width or (dim is not None and value.dtype != np.uint8):
            raise UsageError(
                f"--index {path}: {key} has shape {value.shape} and type {value.dtype}, no codes of this run"
            )
        ids = key.replace("x", "ids", 1)
        if ids not in arrays or arrays[ids].shape != (len(value),):
            raise UsageError(f"--index {path}: {ids} does not number the rows of {key}")
    return arrays if dim is None else {**arrays, **{key: unpack(value, dim) for key, value in codes.items()}}


def pool(arrays: Codes) -> tuple[np.ndarray, list[str], np.ndarray]:
    """All codes (N, D), and the split and the row number of each."""
    keys = [key for key in arrays if _is_codes(key)]
    names = [key.removeprefix("x").removeprefix("_") for key in keys]
    splits = [name for key, name in zip(keys, names, strict=True) for _ in range(len(arrays[key]))]
    ids = np.concatenate([arrays[key.replace("x", "ids", 1)] for key in keys])
    return np.concatenate([arrays[key] for key in keys]), splits, ids


def _is_codes(key: str) -> bool:
    return key == "x" or key.startswith("x_")


def find_neighbours(
    database: np.ndarray, queries: np.ndarray, binary: bool, k: int | None, radius: float | None
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """For each query the rows of the database near it and their distances, the nearest first.

    All within the radius, at most k of them; without a radius the k nearest. Bits have Hamming distances, found by
    flipping bits, other codes Euclidean ones.
    """
    if k is not None and k < 1:
        raise UsageError(f"--k {k} must be at least 1")
    if radius is not None and not radius >= 0:
        raise UsageError(f"--radius {radius} must not be negative")
    if binary:
        yield from _find_near_bits(database, queries, k, radius)
        return
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(k or len(database), len(database))).fit(database)
    if radius is None:
        yield from ((rows, far) for far, rows in zip(*search.kneighbors(queries), strict=True))
        return
    far_and_rows = search.radius_neighbors(queries, radius, sort_results=True)
    yield from ((rows[:k], far[:k]) for far, rows in zip(*far_and_rows, strict=True))


def _find_near_bits(
    database: np.ndarray, queries: np.ndarray, k: int | None, radius: float | None
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    if radius is not None and radius != int(radius):
        raise UsageError(f"--radius {radius}: bits differ in whole numbers of bits")
    stored, packed = pack(database), pack(queries)
    if radius is not None:
        index = Index(stored, database.shape[1])
        for query in packed:
            rows, far = index.ball(query, int(radius))
            yield rows[:k], far[:k]
        return
    for query in packed:
        far = distances(query[None], stored)[0]
        rows = np.argsort(far, kind="stable")[:k]
        yield rows, far[rows]


def find_duplicates(parts: Mapping[str, Split], codes: np.ndarray, tolerance: float) -> list[np.ndarray]:
    """Groups of rows (places in the pooled codes) with equal bits whose pixels agree, in the data's units."""
    groups = Index(pack(codes), codes.shape[1]).find_duplicates()
    members = np.unique(np.concatenate(groups)) if groups else np.empty(0, np.int64)
    pixels, start = [], 0
    for split in parts.values():
        inside = members[(members >= start) & (members < start + len(split))] - start
        pixels.append(split.batch(torch.from_numpy(inside)).x.cpu().numpy())
        start += len(split)
    places = [np.searchsorted(members, group) for group in groups]
    return [members[group] for group in verify(places, np.concatenate(pixels), tolerance)]


Table = tuple[Sequence[str], Iterable[Sequence[object]]]  # header and rows


def tabulate_neighbours(
    run: LoadedRun, path: str | None, index: Path | None, queries: str, keys: Sequence[str], k: int | None,
    radius: float | None,
) -> Table:  # fmt: skip
    """`row` and `query` are row numbers in their sources; `split` is empty where a file has none."""
    if index is not None:
        arrays = load_codes(run, index)
    elif path is not None:
        arrays = encode_splits(run.learner, load_rows(run, path, keys)[0])
    else:
        arrays = encode_splits(run.learner, {"train": run.load_data()["train"]})
    codes, names, ids = pool(arrays)
    wanted, _, numbers = pool(encode_splits(run.learner, load_rows(run, queries, keys)[0]))
    pairs = find_neighbours(codes, wanted, count_bits(run) is not None, k, radius)
    rows = (
        (number, rank, names[row], ids[row], f"{distance:.6g}")
        for number, near in zip(numbers, pairs, strict=True)
        for rank, (row, distance) in enumerate(zip(*near, strict=True), 1)
    )
    return ("query", "rank", "split", "row", "distance"), rows


def tabulate_duplicates(run: LoadedRun, path: str | None, keys: Sequence[str], tolerance: float) -> Table:
    """Groups across all splits: a row of the test split that the training split holds too is the first to know of."""
    if count_bits(run) is None:
        raise UsageError(
            "--duplicates compares codes of bits (latent=binary); for others take --neighbours QUERIES --radius 1e-4"
        )
    parts = run.load_data().splits if path is None else load_rows(run, path, keys)[0]
    # Shards have an order of their own, in which they cannot be asked for single rows.
    splits = {name: split.read() if isinstance(split, Stream) else split for name, split in parts.items()}
    codes, names, ids = pool(encode_splits(run.learner, splits))
    groups = find_duplicates(splits, codes, tolerance)
    rows = ((number, names[row], ids[row]) for number, group in enumerate(groups, 1) for row in group)
    return ("group", "split", "row"), rows

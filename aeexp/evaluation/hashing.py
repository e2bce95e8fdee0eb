"""Codes of bits as machine words: Hamming distances, a hash table over them, and the classic ways to make them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import final

import numpy as np

from aeexp.errors import UsageError

CELLS = 1 << 22  # distances that are worked on at a time
SLOTS = 16  # of the table for each code: so few probes of a ball hit a slot in use by chance
SCAN = 30  # rows that a linear scan compares in the time of one probe of the table
ODD = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio (Knuth, The Art of Computer Programming 3, section 6.4)

Hash = Callable[[np.ndarray], np.ndarray]  # rows (N, ...) -> bits (N, D) bool


def pack(bits: np.ndarray) -> np.ndarray:
    """(N, ceil(D / 8)) uint8 of bits (N, D), which are bool, or 0 and 1 of any type; the last byte ends in zeros."""
    bits = np.asarray(bits)
    if bits.ndim != 2:
        raise UsageError(f"bits of shape {bits.shape}: give rows of bits (N, D)")
    truth = bits.astype(bool)
    if bits.dtype != bool and not (bits == truth).all():
        raise UsageError("bits must be 0 and 1: threshold the codes first")
    return np.packbits(truth, axis=1)


def unpack(packed: np.ndarray, dim: int) -> np.ndarray:
    """(N, dim) bool of packed bits (N, W)."""
    return np.unpackbits(packed, axis=1, count=dim).astype(bool)


def are_bits(codes: np.ndarray) -> bool:
    """Whether codes (N, D) are 0 and 1 throughout."""
    return bool(((codes == 0) | (codes == 1)).all())


def distances(query: np.ndarray, database: np.ndarray) -> np.ndarray:
    """(Q, N) uint16 Hamming distances between packed bits (Q, W) and (N, W), 8 bytes at a time."""
    if query.shape[1] != database.shape[1]:
        raise UsageError(f"codes of {query.shape[-1]} and {database.shape[-1]} bytes: the queries are of other codes")
    a, b = _words(query), _words(database)
    total = np.zeros((len(a), len(b)), np.uint16)
    step = max(1, CELLS // max(1, len(b)))
    for start in range(0, len(a), step):
        for i in range(a.shape[1]):
            total[start : start + step] += _ones(a[start : start + step, i, None] ^ b[:, i])
    return total


def _words(packed: np.ndarray) -> np.ndarray:
    """(N, ceil(W / 8)) uint64 of packed bits (N, W)."""
    return np.ascontiguousarray(np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))).view(np.uint64)


def _ones_by_table(words: np.ndarray) -> np.ndarray:
    """Bits set in each uint64, where numpy is older than 2.0."""
    ones = np.zeros(words.shape, np.uint8)
    for i in range(4):
        ones += _ONES[(words >> np.uint64(16 * i)) & np.uint64(0xFFFF)]
    return ones


_ONES = np.unpackbits(np.arange(1 << 16, dtype=">u2").view(np.uint8).reshape(-1, 2), axis=1).sum(1, dtype=np.uint8)
_ones = getattr(np, "bitwise_count", _ones_by_table)  # by its name: pyproject allows numpy 1.26, which lacks it


@final
class Index:
    """A hash table from codes to the numbers of the rows that have them (Salakhutdinov and Hinton 2009, section 1).

    `packed` (N, W) are rows as `pack` gives them, of `dim` bits. Equal codes lie side by side in sorted order; a table
    of one byte a slot says at once of most codes that no row has them.
    """

    def __init__(self, packed: np.ndarray, dim: int):
        if packed.ndim != 2 or -(-dim // 8) != packed.shape[1]:
            raise UsageError(f"dim={dim}: codes of {packed.shape[-1]} bytes have up to {8 * packed.shape[-1]} bits")
        self.dim = dim
        self.words = _words(packed)
        keys = _keys(self.words)
        self.order = np.argsort(keys, kind="stable")  # rows of equal codes in the order of their numbers
        self.codes, self.starts, self.counts = np.unique(keys[self.order], return_index=True, return_counts=True)
        bits = max(8, math.ceil(math.log2(max(1, SLOTS * len(self.codes)))))
        self.shift = np.uint64(64 - bits)
        self.used = np.zeros(1 << bits, bool)
        self.used[self._slots(self.words)] = True
        self._masks: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.words)

    def count_flips(self, radius: int) -> int:
        """Codes within the radius: the sum of the binomials of dim over 0 ... radius."""
        return sum(math.comb(self.dim, r) for r in range(min(radius, self.dim) + 1))

    def ball(self, query: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers (M,) within the radius of packed bits (W,), and their distances (M,), the nearest first.

        Found by flipping bits, whatever the number of rows; where the ball has so many codes that comparing every row
        is the quicker way, by that.
        """
        if radius < 0:
            raise UsageError(f"radius={radius} must not be negative")
        if query.shape != (-(-self.dim // 8),):
            raise UsageError(f"codes of {query.shape[-1]} bytes: these have {-(-self.dim // 8)}")
        search = self.search_by_flips if self.count_flips(radius) * SCAN <= len(self) else self.scan
        return search(_words(query[None]), radius)

    def search_by_flips(self, query: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
        """`ball` of a query in words (1, L) by a look into the table for each code in it."""
        masks, far = self._ball(radius)
        probes = query ^ masks
        hits = np.flatnonzero(self.used[self._slots(probes)])
        keys = _keys(probes[hits])
        place = np.searchsorted(self.codes, keys).clip(max=max(0, len(self.codes) - 1))
        there = self.codes[place] == keys if len(self.codes) else np.zeros(len(keys), bool)
        place, counts = place[there], self.counts[place[there]]
        # start, start + 1, ... of each code found, all at once
        first = np.repeat(self.starts[place] - (np.cumsum(counts) - counts), counts)
        rows, distance = self.order[first + np.arange(len(first))], np.repeat(far[hits[there]], counts)
        nearest = np.lexsort((rows, distance))
        return rows[nearest], distance[nearest]

    def scan(self, query: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
        """`ball` of a query in words (1, L) by its distance from every row."""
        far = np.zeros(len(self), np.uint16)
        for i in range(query.shape[1]):
            far += _ones(query[0, i] ^ self.words[:, i])
        rows = np.flatnonzero(far <= radius)
        nearest = np.argsort(far[rows], kind="stable")
        return rows[nearest], far[rows[nearest]]

    def find_duplicates(self) -> list[np.ndarray]:
        """Row numbers of each code that several rows have."""
        several = self.counts > 1
        bounds = zip(self.starts[several], self.counts[several], strict=True)
        return [self.order[start : start + count] for start, count in bounds]

    def _slots(self, words: np.ndarray) -> np.ndarray:
        """(N,) places in the table: multiply and shift, whose top bits depend on all bits of the code."""
        odd = np.array([pow(ODD, i + 1, 1 << 64) for i in range(words.shape[1])], np.uint64)
        return (words * odd).sum(1, dtype=np.uint64) >> self.shift

    def _ball(self, radius: int) -> tuple[np.ndarray, np.ndarray]:
        """(M, L) words with up to `radius` bits set, and how many (M,)."""
        if radius not in self._masks:
            sets = [list(combinations(range(self.dim), r)) for r in range(min(radius, self.dim) + 1)]
            far = np.repeat(np.arange(len(sets), dtype=np.uint16), [len(flipped) for flipped in sets])
            bits = np.zeros((len(far), self.dim), bool)
            columns = np.fromiter((bit for flipped in sets for one in flipped for bit in one), int)
            bits[np.repeat(np.arange(len(far)), far), columns] = True
            self._masks[radius] = _words(pack(bits)), far
        return self._masks[radius]


def _keys(words: np.ndarray) -> np.ndarray:
    """(N,) that sort and compare as the words (N, L) do: themselves, or byte strings of one length."""
    return words[:, 0] if words.shape[1] == 1 else np.ascontiguousarray(words).view(f"S{8 * words.shape[1]}")[:, 0]


def verify(groups: Iterable[np.ndarray], x: np.ndarray, tolerance: float = 0.0) -> list[np.ndarray]:
    """Of rows with equal codes those whose pixels agree too: no value of x (N, ...) differs by more than `tolerance`.

    Every member of a group that is given back agrees with its first; rows alone are left out.
    """
    if not tolerance >= 0:
        raise UsageError(f"tolerance={tolerance} must not be negative")
    verified = []
    for group in groups:
        pixels = x[group].reshape(len(group), -1)
        if tolerance == 0:
            _, kind, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
            order = np.split(np.argsort(kind.ravel(), kind="stable"), np.cumsum(counts)[:-1])
            verified += sorted((group[same] for same in order if len(same) > 1), key=lambda rows: rows[0])
            continue
        means = pixels.mean(1, dtype=np.float64)
        slack = tolerance + 1e-9 * (1 + np.abs(means).max(initial=0))  # a mean is rounded
        left = np.ones(len(group), bool)
        for i in range(len(group)):
            if not left[i]:
                continue
            # Rows that agree have means that agree: most are told apart without a look at their pixels.
            near = np.flatnonzero(left & (np.abs(means - means[i]) <= slack))
            apart = np.abs(pixels[near].astype(np.float64) - pixels[i]).max(1, initial=0)
            same = near[apart <= tolerance]
            left[same] = False
            if len(same) > 1:
                verified.append(group[same])
    return verified


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
    rotation, _ = find_rotation(components, iterations, seed)
    axes = axes @ rotation
    return lambda x: (_flat(x) - mean) @ axes > 0


def find_rotation(components: np.ndarray, iterations: int, seed: int) -> tuple[np.ndarray, list[float]]:
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
    features = _flat(train[:1]).shape[1]
    mean = sum((part.sum(0) for part in _parts(train)), np.zeros(features)) / len(train)
    scatter = sum(((part - mean).T @ (part - mean) for part in _parts(train)), np.zeros((features, features)))
    axes = np.linalg.eigh(scatter)[1][:, ::-1][:, :count]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    return mean, np.pad(axes, ((0, 0), (0, count - axes.shape[1])))


def _parts(x: np.ndarray) -> Iterable[np.ndarray]:
    """Rows as float64, some thousand at a time."""
    return (_flat(x[start : start + 8192]) for start in range(0, len(x), 8192))


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)

"""Hamming distances, the hash table, and the classic ways to bits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeexp.errors import UsageError
from aeexp.evaluation import hashing

dims = st.sampled_from([1, 3, 8, 13, 64, 65, 130])  # below, at and above a byte, a word and two words


@st.composite
def codes(draw, most=60):
    """(N, D) bool with many equal and many near rows: a few codes with a few bits flipped."""
    dim, rows = draw(dims), draw(st.integers(1, most))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = generator.integers(0, 2, (4, dim)).astype(bool)
    return centres[generator.integers(4, size=rows)] ^ (
        generator.random((rows, dim)) < draw(st.sampled_from([0, 0.02]))
    )


@given(codes())
def test_unpack_is_the_inverse_of_pack_for_any_type_of_bits(bits):
    for kind in (bool, np.uint8, np.float32):
        packed = hashing.pack(bits.astype(kind))
        assert packed.shape == (len(bits), math.ceil(bits.shape[1] / 8)) and packed.dtype == np.uint8
        assert np.array_equal(hashing.unpack(packed, bits.shape[1]), bits)


@given(codes(), st.booleans())
def test_a_distance_is_the_number_of_bits_that_differ(bits, old):
    query = bits[:7]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "CELLS", 100)  # several parts
        if old:
            patch.setattr(hashing, "_ones", hashing._ones_by_table)
        found = hashing.distances(hashing.pack(query), hashing.pack(bits))
    assert np.array_equal(found, (query[:, None] != bits).sum(2))


@given(codes(), st.integers(0, 3))
def test_the_ball_by_flipping_bits_is_that_of_comparing_every_row(bits, radius):
    packed = hashing.pack(bits)
    index = hashing.Index(packed, bits.shape[1])
    for query in (packed[0], packed[-1], ~packed[0] & hashing.pack(np.ones_like(bits[:1]))[0]):
        far = hashing.distances(query[None], packed)[0]
        expected = np.lexsort((np.arange(len(far)), far))[: (far <= radius).sum()]
        words = hashing._words(query[None])
        ways = [index.scan(words, radius), index.ball(query, radius)]
        if index.count_flips(radius) < 10_000:  # 130 bits have 366,000 balls of radius 3
            ways.append(index.search_by_flips(words, radius))
        for rows, found in ways:
            assert np.array_equal(rows, expected) and np.array_equal(found, far[expected])


def test_the_ball_flips_bits_where_that_is_less_work_than_comparing_every_row(monkeypatch):
    bits = np.random.default_rng(0).integers(0, 2, (20_000, 32))
    index = hashing.Index(hashing.pack(bits), 32)
    assert index.count_flips(2) == 1 + 32 + 32 * 31 / 2 and index.count_flips(40) == 2**32
    monkeypatch.setattr(index, "scan", lambda *_: "scanned")
    monkeypatch.setattr(index, "search_by_flips", lambda *_: "flipped")
    query = hashing.pack(bits[:1])[0]
    assert [index.ball(query, radius) for radius in (0, 1, 2, 40)] == ["flipped", "flipped", "flipped", "scanned"]


@given(codes())
def test_duplicates_are_all_rows_with_equal_codes_each_once(bits):
    groups = hashing.Index(hashing.pack(bits), bits.shape[1]).find_duplicates()
    seen = {tuple(group) for group in groups}
    expected: dict[bytes, list[int]] = {}
    for i, row in enumerate(bits):
        expected.setdefault(row.tobytes(), []).append(i)
    assert seen == {tuple(rows) for rows in expected.values() if len(rows) > 1} and len(seen) == len(groups)


def test_an_index_of_no_rows_finds_nothing():
    index = hashing.Index(np.zeros((0, 2), np.uint8), 16)
    query = np.zeros(2, np.uint8)
    for rows, found in (index.ball(query, 2), index.search_by_flips(hashing._words(query[None]), 2)):
        assert len(rows) == len(found) == 0
    assert index.find_duplicates() == [] and len(index) == 0


def test_equal_codes_are_duplicates_only_where_their_pixels_agree():
    x = np.array([[0, 10], [0, 10], [1, 9], [200, 0], [0, 10], [0, 13]], np.uint8)[:, None]
    groups = [np.array([0, 1, 2, 3, 5]), np.array([3, 4])]
    assert [g.tolist() for g in hashing.verify(groups, x)] == [[0, 1]]  # row 4 has another code
    assert [g.tolist() for g in hashing.verify(groups, x, 1)] == [[0, 1, 2]]
    assert [g.tolist() for g in hashing.verify(groups, x, 3)] == [[0, 1, 2, 5]]  # agrees with row 0, not with row 2
    assert [g.tolist() for g in hashing.verify(groups, x / 255, 0)] == [[0, 1]]
    assert hashing.verify([], x) == []


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(2, 40))
def test_the_quantisation_loss_of_itq_never_rises(seed, dim, rows):
    components = np.random.default_rng(seed).normal(size=(rows, dim)) * np.arange(1, dim + 1)
    rotation, losses = hashing.find_rotation(components, 20, seed)
    # each half of a round is a minimum; a sum of N D squares of size 50 is rounded to 50 * 2^-52 * log2(N D)
    assert all(after <= before * (1 + 1e-12) for before, after in zip(losses, losses[1:], strict=False))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(dim), atol=1e-12)


def test_signs_of_principal_components_are_those_of_the_svd():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 2, 3)) * (1 + np.arange(6).reshape(2, 3)) + 5
    bits = hashing.pca_sign(x, 4)(x[:50])
    flat = x.reshape(300, 6) - x.reshape(300, 6).mean(0)
    expected = flat[:50] @ np.linalg.svd(flat, full_matrices=False)[2][:4].T > 0
    assert bits.shape == (50, 4) and bits.dtype == bool
    same = (bits == expected).mean(0)
    assert ((same == 0) | (same == 1)).all()  # up to the sign of each axis


def test_itq_finds_the_corners_that_principal_components_miss():
    """A square's corners lie on the axes of a turned frame: the rotation brings every point near a pair of signs."""
    generator = np.random.default_rng(0)
    corners = np.array([(1, 0), (0, 1.01), (-1, 0), (0, -1.01)])[np.arange(400) % 4]
    x = corners + generator.normal(size=(400, 2)) * 0.05
    code = hashing.itq(x, 2)(x) @ np.array([1, 2])
    assert all(len(np.unique(code[i::4])) == 1 for i in range(4)) and len(np.unique(code)) == 4
    assert any(len(np.unique(hashing.pca_sign(x, 2)(x)[i::4], axis=0)) > 1 for i in range(4))


def test_more_bits_than_features_are_still_bits():
    x = np.random.default_rng(0).normal(size=(50, 3))
    assert not hashing.pca_sign(x, 5)(x)[:, 3:].any()  # never change
    assert hashing.itq(x, 5)(x).shape == (50, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hashing.pack(np.array([[0.2, 1.0]])), "bits must be 0 and 1"),
        (lambda: hashing.pack(np.zeros(3)), r"shape \(3,\)"),
        (lambda: hashing.distances(np.zeros((1, 2), np.uint8), np.zeros((1, 3), np.uint8)), "codes of 2 and 3 bytes"),
        (lambda: hashing.Index(np.zeros((4, 2), np.uint8), 17), "dim=17: .* up to 16 bits"),
        (lambda: hashing.Index(np.zeros((4, 2), np.uint8), 16).ball(np.zeros(3, np.uint8), 1), "codes of 3 bytes"),
        (lambda: hashing.Index(np.zeros((4, 2), np.uint8), 16).ball(np.zeros(2, np.uint8), -1), "radius=-1 must"),
        (lambda: hashing.verify([], np.zeros((1, 1)), -1.0), "tolerance=-1.0 must not be negative"),
        (lambda: hashing.itq(np.zeros((4, 2)), 0), "bits=0"),
        (lambda: hashing.itq(np.zeros((4, 2)), 1, 0), "iterations=0"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()

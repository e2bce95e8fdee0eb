"""aeexp-explore refuses what cannot be before anything is loaded, and arrays of a page are stored once."""

from __future__ import annotations

import numpy as np
import pytest

from aeexp.cli.explore import build_parser, explore
from aeexp.errors import UsageError
from aeexp.explorer.blobs import Blobs


@pytest.mark.parametrize(("words", "told"), [
    (["--rows", "0"], "--rows 0 must be at least 1"), (["--maps", "pca,isomap"], "isomap is no map"),
])  # fmt: skip
def test_a_mistake_is_told_before_anything_is_loaded(words, told):
    with pytest.raises(UsageError, match=told):
        explore(build_parser().parse_intermixed_args(["nowhere", *words]), words)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    given = [str(tmp_path / "nowhere")]
    with pytest.raises(UsageError, match="there is no such folder"):
        explore(build_parser().parse_intermixed_args(given), given)


def test_arrays_are_stored_once_and_begin_where_a_browser_reads_them():
    blobs, numbers = Blobs(), np.arange(5)
    assert blobs.add(numbers, "u1") == 0 and blobs.add(numbers) == 1 and blobs.add(numbers.astype(np.float32)) == 1
    assert blobs.places == [("u1", 0, 5), ("f4", 8, 5)] and blobs.size == 28
    assert Blobs(short=True).add_weight(np.full(3, 1e5)) == 0  # beyond what float16 holds: stays as it is

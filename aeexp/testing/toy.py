"""Small data in memory with all that a part may want, and a follower that tells nobody."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.spelling import Spelling
from aeexp.datasets.core.split import Split

ROWS, SIDE, STEPS = 24, 8, 6


def make_pictures() -> Data:
    """Rows of 1x8x8 pixels on 17 levels with a label, a number, an attribute and a mask each."""
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 17, (ROWS, 1, SIDE, SIDE)) / 16).astype(np.float32)
    y, s = np.arange(ROWS) % 3, np.arange(ROWS) % 2
    rows = Rows(x, y, s, np.arange(ROWS), target=(x[:, 0] > 0.5).astype(np.uint8),
                response=rng.normal(3, 2, ROWS).astype(np.float32))  # fmt: skip
    return Data("toy", {name: Split(rows) for name in ("train", "val", "test")}, ("a", "b", "c"))


def make_sequences() -> Data:
    """Rows of 6 steps of 8 features, most of which end before."""
    rng = np.random.default_rng(0)
    lengths = 1 + np.arange(ROWS) % STEPS
    x = (rng.random((ROWS, STEPS, SIDE)) * (np.arange(STEPS) < lengths[:, None])[..., None]).astype(np.float32)
    rows = Rows(x, np.arange(ROWS) % 3, np.arange(ROWS) % 2, np.arange(ROWS), lengths=lengths)
    return Data("toy", {name: Split(rows) for name in ("train", "val", "test")}, ("a", "b", "c"))


def make_text() -> Data:
    """Rows of up to 5 characters of 58, and their end: 59 tokens, as dataset=sentences has."""
    rng = np.random.default_rng(0)
    spelling = Spelling("".join(chr(ord("A") + number) for number in range(58)))
    texts = ["".join(rng.choice(list(spelling.letters), 1 + row % (STEPS - 1))) for row in range(ROWS)]
    x, lengths = spelling.encode(texts, STEPS)
    rows = Rows(x, np.arange(ROWS) % 3, np.arange(ROWS) % 2, np.arange(ROWS), lengths=lengths)
    units = Preprocessing(scale=1 / 58)
    return Data(
        "toy", {name: Split(rows, units) for name in ("train", "val", "test")}, ("a", "b", "c"), spelling=spelling
    )


def make_data(dataset: str) -> Data:
    """As a data set of that name has them: sequences, text, else pictures."""
    return {"sine_waves": make_sequences, "sentences": make_text}.get(dataset, make_pictures)()


def stop_after(steps: int) -> Callable[[], bool]:
    """Answers true when it is asked for that many times."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == steps

    return stop

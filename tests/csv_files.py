"""Tables in .csv files, read as rows or refused."""

from __future__ import annotations

import csv as stdlib
import io

import numpy as np
import pytest

from aeexp.datasets.core.records import Source
from aeexp.datasets.formats.csv import csv
from aeexp.errors import UsageError

KEYS = (
    "path", "test", "val", "label", "attributes", "columns", "drop", "categorical", "missing", "delimiter", "decimal",
    "thousands", "max_categories",
)  # fmt: skip
# What may be wrong with a column of texts "0", "1", "2".
DEFECTS = {
    "gap": lambda cells: cells[:-1] + [""],
    "stray": lambda cells: [*map(str, range(len(cells) - 1)), "oops"],
    "names": lambda cells: [f"n{i}" for i in range(len(cells))],
    "never": lambda cells: [""] * len(cells),
    "fine": lambda cells: cells,
}
GOOD = "a,b,c,y\n1,red,0.5,no\n2,blue,,yes\n3,red,1.5,no\n4,?,2.5,\n"


def load(path, **keys) -> Source:
    """The source, before anything is split."""
    return csv.load(str(path), **keys)


def features(source) -> np.ndarray:
    return source.fit(source.rows.x)(source.rows.x)


def refused(path, **keys) -> str:
    with pytest.raises(UsageError) as error:
        source = load(path, **keys)
        features(source)
    message = str(error.value)
    check_message(message)
    return message


def check_message(message: str) -> None:
    """One or two lines that start with a key; of several problems a line each, and one way out."""
    first, *more = message.splitlines()
    if first.endswith(" problems"):
        *listed, way = more
        assert len(listed) >= 2 and all(line.startswith("- ") for line in listed) and way.startswith("Mend the table")
    else:
        assert len(more) <= 1, message
    assert message.startswith(tuple(f"{key}{after}" for key in KEYS for after in ("=", " is empty"))), message


def draw_table(seed: int, n: int = 60) -> dict[str, np.ndarray]:
    """Header, random numbers and texts with gaps; one in seven cells of a column is missing."""
    rng = np.random.default_rng(seed)
    columns = {
        "n1": rng.normal(50, 9, n).round(3).astype(str).astype(object),
        "c1": rng.choice(["red", "green", "blue, dark", 'say "hi"', "two\nlines"], n).astype(object),
        "n2": rng.integers(-5, 5, n).astype(str).astype(object),
        "c2": rng.choice(["7", "x", "y"], n, p=[0.2, 0.4, 0.4]).astype(object),
    }
    for cells in columns.values():
        cells[rng.random(n) < 1 / 7] = ""
    columns["n1"][:2] = "1.5"
    columns["c1"][:5] = ["red", "green", "blue, dark", 'say "hi"', "two\nlines"]
    columns["c2"][:2] = ["7", "x"]
    columns["c2"][2:4] = "y"
    return columns


def write_table(columns) -> str:
    text = io.StringIO()
    writer = stdlib.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()

"""What a rule reads: the numbers of a run, as metrics.json has them, and what it was asked for. Nothing in them is
trusted: what is no number where one is meant is not there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

from aeexp.errors import quote_override, quote_words

LONGEST = 60  # letters of a name that a run gives
MOST_LETTERS = 400  # of a sentence
ERROR = "reconstruction/mse"


@final
class Facts:
    """`metrics` is the content of metrics.json, `config` the configuration as dotted path -> value (values that
    interpolate may be the text `${...}`, and are then not known)."""

    def __init__(self, metrics: Mapping[str, Any], config: Mapping[str, Any]):
        self.metrics = metrics
        self.config = config

    def number(self, key: str, *part: str) -> float | None:
        """Of the test split, or of another `part` of metrics.json, as "baseline", "pca"; None where there is none."""
        return as_number(self._table(part or ("test",)).get(key))

    def top(self, key: str) -> float | None:
        """Of metrics.json itself, as best_step."""
        return as_number(self.metrics.get(key))

    def half(self, key: str, *part: str) -> float:
        """Half of its 95 % interval over rows; 0 where it has none."""
        ends = self._table(("intervals", *(part or ("test",)))).get(key)
        low, high = map(as_number, ends) if isinstance(ends, list) and len(ends) == 2 else (None, None)
        return 0.0 if low is None or high is None else abs(high - low) / 2

    def low(self, key: str) -> float | None:
        """Lower end of the interval on the test split; the number itself where it has none."""
        ends = self._table(("intervals", "test")).get(key)
        low = as_number(ends[0]) if isinstance(ends, list) and len(ends) == 2 else None
        return self.number(key) if low is None else low

    def keys(self, *part: str) -> list[str]:
        """Names of what was measured."""
        return [key for key in self._table(part or ("test",)) if isinstance(key, str)]

    def name(self, row: str, otherwise: str) -> str:
        """What the run calls a row of `baseline`."""
        name = self._table(("baseline_names",)).get(row)
        return name[:LONGEST] if isinstance(name, str) and name.isprintable() else otherwise

    def option(self, path: str) -> float | None:
        """A number of the configuration; None where there is none."""
        return as_number(self.config.get(path))

    def part(self, group: str) -> str:
        """Name of the class that a group was built of, as TopK; "" where it is not known."""
        target = self.config.get(f"{group}._target_")
        return target.rpartition(".")[2] if isinstance(target, str) else ""

    def parts(self, group: str) -> list[str]:
        """Names of the options of a group of which several may be named, as kl."""
        paths = (path.split(".") for path in self.config if path.startswith(f"{group}.") and path.count(".") == 2)
        return [words[1] for words in paths if words[2] == "_target_"]

    @property
    def warnings(self) -> list[str]:
        """What metrics warned of by themselves."""
        texts = self.metrics.get("warnings")
        known = [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []
        return ["".join(letter for letter in text if letter.isprintable())[:MOST_LETTERS] for text in known if text]

    @property
    def features(self) -> int | None:
        """Values of a row."""
        shape = self._table(("data",)).get("shape")
        sizes = [as_number(size) for size in shape] if isinstance(shape, list) and len(shape) < 9 else []
        known = [size for size in sizes if size is not None and 0 < size < 2**31]
        return int(math.prod(known)) if known and len(known) == len(sizes) else None

    def _table(self, part: tuple[str, ...]) -> Mapping[str, Any]:
        node: Any = self.metrics
        for name in part:
            node = node.get(name) if isinstance(node, Mapping) else None
        return node if isinstance(node, Mapping) else {}


def as_number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e150
    return float(value) if known and math.isfinite(value) else None


def override(key: str, value: object) -> str:
    """A word to paste: `latent.dim=8`, `'noise=[none]'`."""
    if isinstance(value, bool):
        return quote_words(f"{key}={str(value).lower()}")
    if isinstance(value, list):
        return quote_words(f"{key}=[{','.join(map(str, value))}]")
    return quote_override(key, shorten(value) if isinstance(value, float) else value)


def shorten(value: float) -> int | float:
    """With two digits that count, whole where it is."""
    rounded = float(f"{value:.2g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e6 else rounded

"""Arrays in a page: one text of bytes, and where in it each of them lies."""

from __future__ import annotations

import base64
from typing import Literal, final

import numpy as np

Kind = Literal["f4", "f2", "u1", "i4"]
ALIGNED = 4  # bytes: a browser reads 32-bit numbers at such places only


@final
class Blobs:
    """Arrays side by side, each once. `short`: numbers as float16 where they may be (`add_weight`)."""

    def __init__(self, short: bool = False):
        self.short = short
        self.size = 0
        self._parts: list[bytes] = []
        self._places: list[tuple[Kind, int, int]] = []
        self._known: dict[tuple[Kind, bytes], int] = {}

    def add(self, array: np.ndarray, kind: Kind = "f4") -> int:
        """The number of an array that is stored as `kind`; equal ones have one number."""
        content = np.ascontiguousarray(array).astype(f"<{kind}" if kind != "u1" else kind).tobytes()
        number = self._known.setdefault((kind, content), len(self._places))
        if number == len(self._places):
            self._places.append((kind, self.size, len(content) // int(kind[1])))
            self._parts.append(content.ljust(-(-len(content) // ALIGNED) * ALIGNED, b"\0"))
            self.size += len(self._parts[-1])
        return number

    def add_weight(self, array: np.ndarray) -> int:
        """As `add`, of numbers of which three digits are enough where room is scarce."""
        return self.add(array, "f2" if self.short and np.abs(array).max(initial=0) < 6e4 else "f4")

    @property
    def places(self) -> list[tuple[Kind, int, int]]:
        """Of each array: its kind, the byte where it begins, and how many numbers it has."""
        return list(self._places)

    def encode(self) -> str:
        """All bytes in base64."""
        return base64.b64encode(b"".join(self._parts)).decode("ascii")

"""What is told of each row, gathered over batches."""

from __future__ import annotations

from typing import final

import numpy as np
from torch import Tensor


@final
class Columns:
    """Named arrays (N, ...), filled batch by batch in memory that is taken once.

    Parts kept one by one would lie between what each pass frees, and millions of rows would take twice their memory.
    """

    def __init__(self, rows: int):
        self.rows = rows
        self._filled: dict[str, int] = {}
        self._arrays: dict[str, np.ndarray] = {}

    def add(self, name: str, part: Tensor | np.ndarray) -> None:
        """The next rows (B, ...) of a column."""
        values = part.detach().cpu().numpy() if isinstance(part, Tensor) else part
        if name not in self._arrays:
            self._arrays[name], self._filled[name] = np.empty((self.rows, *values.shape[1:]), values.dtype), 0
        begin = self._filled[name]
        self._arrays[name][begin : begin + len(values)] = values
        self._filled[name] = begin + len(values)

    def arrays(self) -> dict[str, np.ndarray]:
        """Each column as far as it was filled."""
        return {name: array[: self._filled[name]] for name, array in self._arrays.items()}

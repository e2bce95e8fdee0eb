"""Text as tokens: which number stands for which character, or byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, final

import numpy as np

from aeexp.errors import UsageError

END = 0  # the token behind the last one, and of the padding
MOST = 255  # characters that a byte holds beside the end


@final
class Spelling(NamedTuple):
    """Token 0 ends a text. Token k is the k-th of `letters`; without letters it is the byte k of UTF-8."""

    letters: str = ""

    @property
    def size(self) -> int:
        """Kinds of tokens."""
        return 1 + (len(self.letters) or MOST)

    def encode(self, texts: Sequence[str], steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens (N, steps, 1) uint8, and how many of them are real (N,): the last one is the end. A text must have
        fewer steps than that, and be of the letters."""
        x = np.full((len(texts), steps, 1), END, np.uint8)
        number = {letter: place for place, letter in enumerate(self.letters, 1)}
        for row, text in zip(x, texts, strict=True):
            tokens = [number[letter] for letter in text] if self.letters else list(text.encode())
            row[: len(tokens), 0] = tokens
        return x, (x[:, :, 0] != END).sum(1) + 1

    def read(self, values: np.ndarray) -> list[str]:
        """Texts of rows (N, T, 1) of values k / (size - 1), each up to its first end."""
        tokens = np.rint(np.asarray(values, np.float64).reshape(len(values), -1) * (self.size - 1)).astype(int)
        return [self._spell(row[: _find_end(row)]) for row in tokens.clip(0, self.size - 1)]

    def _spell(self, tokens: np.ndarray) -> str:
        if not self.letters:
            return bytes(tokens.tolist()).decode(errors="replace")
        return "".join(self.letters[token - 1] for token in tokens)


def find_letters(texts: Iterable[str]) -> str:
    """All characters of the texts, in order."""
    return "".join(sorted(set().union(*texts)))


def respell(x: np.ndarray, own: Spelling, other: Spelling, path: str) -> np.ndarray:
    """Tokens (N, T, 1) of another spelling in one's own. Raises UsageError where it lacks a character."""
    if own == other:
        return x
    if not own.letters or not other.letters:
        kinds = ["characters" if each.letters else "bytes" for each in (own, other)]
        raise UsageError(f"{path}: the run reads text by {kinds[0]}, and these rows are {kinds[1]}: unit={kinds[0]}")
    strange = "".join(letter for letter in other.letters if letter not in own.letters)
    if strange:
        raise UsageError(f"{path}: the run knows no {' '.join(map(repr, strange[:10]))}: take texts of {own.letters!r}")
    places = np.array([END, *(own.letters.index(letter) + 1 for letter in other.letters)], np.uint8)
    return places[x]


def _find_end(row: np.ndarray) -> int:
    ends = np.flatnonzero(row == END)
    return int(ends[0]) if len(ends) else len(row)

"""Sentences that ship with aeexp: no download."""

from __future__ import annotations

from pathlib import Path

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Source
from aeexp.datasets.formats.text import Unit, make_source

LONGEST = 47  # characters, and bytes: all of them are ASCII


@DataSet
def sentences(unit: Unit = "characters") -> Source:
    """6,618 sentences of 16 to 47 characters from Jane Austen's six novels (48, 1), which of them as label.

    58 characters and the end are 59 tokens; by `unit=bytes` they are 256. `benchmarks/write_sentences.py` chose them;
    sentences.txt beside the file says whose they are: they are in the public domain.
    """
    content = Path(__file__).with_name("sentences.tsv").read_text(encoding="ascii")
    names, texts = zip(*(line.split("\t") for line in content.splitlines()), strict=True)
    return make_source(texts, names, unit, LONGEST)

"""The sentences that ship with aeexp, out of Jane Austen's novels as the R package janeaustenr has them.

    python benchmarks/write_sentences.py janeaustenr/data/Rdata.rdb

writes aeexp/datasets/sets/sentences.tsv.
"""

from __future__ import annotations

import argparse
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "aeexp/datasets/sets/sentences.tsv"
NOVELS = ("Emma", "Mansfield Park", "Northanger Abbey", "Persuasion", "Pride and Prejudice", "Sense and Sensibility")
TITLES = re.compile(r"\b(Mr|Mrs|Miss|Dr|Col|St|Messrs|Capt|Esq|Hon)\.$")  # behind which no sentence ends
ENDS = re.compile(r"(?<=[.!?])[\"']?\s+(?=[\"']?[A-Z])|(?<=[.!?][\"'])\s+(?=[\"']?[A-Z])")
SHORTEST, LONGEST = 16, 47


def read_novels(path: Path) -> Iterator[str]:
    """The texts of an R database of character vectors, in the order of their names."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        unpacked = zlib.decompressobj()
        data = unpacked.decompress(content[at + 4 :])  # behind the length
        at = len(content) - len(unpacked.unused_data)
        yield "\n".join(read_lines(data))


def read_lines(data: bytes) -> Iterator[str]:
    """The elements of a character vector as R serialises it: a head, then flags, length and bytes of each."""
    at = 2 + 3 * 4 + 4 + len("UTF-8") + 4
    (count,) = struct.unpack_from(">I", data, at)
    at += 4
    for _ in range(count):
        (size,) = struct.unpack_from(">I", data, at + 4)
        yield data[at + 8 : at + 8 + size].decode()
        at += 8 + size


def split_sentences(novel: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", novel):
        text = " ".join(paragraph.split()).replace("_", "")
        if text.isupper() or re.match(r"(chapter|volume|finis|the end)\b", text, re.IGNORECASE):
            continue
        whole: list[str] = []
        for part in ENDS.split(text):
            if whole and TITLES.search(whole[-1]):
                whole[-1] += f" {part}"
            else:
                whole.append(part)
        yield from (sentence.replace('"', "").strip(" '") for sentence in whole)


def is_plain(sentence: str) -> bool:
    plain = re.fullmatch(r"[A-Z][A-Za-z ,;.!?'-]*[.!?]", sentence) and not re.search(r"--|\b[A-Z]{2,}\b", sentence)
    return bool(plain) and SHORTEST <= len(sentence) <= LONGEST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="Rdata.rdb of the package")
    novels = [dict.fromkeys(filter(is_plain, split_sentences(text))) for text in read_novels(parser.parse_args().path)]
    often = Counter(sentence for novel in novels for sentence in novel)
    lines = [
        f"{name}\t{each}\n" for name, novel in zip(NOVELS, novels, strict=True) for each in novel if often[each] == 1
    ]
    FILE.write_text("".join(lines), encoding="ascii")
    print(f"{FILE}: {len(lines):,} sentences")


if __name__ == "__main__":
    main()

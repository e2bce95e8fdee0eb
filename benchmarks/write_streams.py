"""MNIST in every form that streams: python benchmarks/write_streams.py ROOT OUT [copies]
A table of numbers: python benchmarks/write_streams.py table OUT ROWS

ROOT holds MNIST/raw. OUT gets npy/{x,y,x_test,y_test}.npy, wds/{train,test}-*.tar (20 and 4 shards of PNG) and
parquet/{train,test}/*.parquet (8 and 2 files, as datasets.Image writes pictures), parquet-flat (lists of bytes).
OUT of a table gets table/*.parquet, files of at most 5,000,000 rows: ten columns of float32, made of three normal ones
and noise, and a label of three classes, in row groups of 500,000.
`copies` writes the training rows that many times, one after another, into as many times the files.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from webdataset.writer import TarWriter

FEATURES = {
    "image": {"_type": "Image"},
    "label": {"_type": "ClassLabel", "names": [str(digit) for digit in range(10)]},
}
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def main(root: str, out: str, copies: int = 1) -> None:
    """Write every form of both splits below `out`, the training rows `copies` times."""
    for part, prefix, times in (("train", "train", copies), ("test", "t10k", 1)):
        raw = Path(root) / "MNIST" / "raw"
        x = np.fromfile(raw / f"{prefix}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 28, 28)
        y = np.fromfile(raw / f"{prefix}-labels-idx1-ubyte", np.uint8, offset=8).astype(np.int64)
        encoded = [encode_png(picture) for picture in x]
        order = np.tile(np.arange(len(x)), times)
        write_npy(Path(out) / "npy", part, x, y, order)
        write_tars(Path(out) / "wds", part, encoded, y, np.array_split(order, 20 * times if part == "train" else 4))
        files = np.array_split(order, 8 * times if part == "train" else 2)
        for number, rows in enumerate(files):
            write_parquet(Path(out), part, number, x[rows], [encoded[row] for row in rows], y[rows])
        print(f"{part}: {len(order)} rows")


def write_table(out: str, rows: int) -> None:
    """A table of so many rows below `out`, written some at a time."""
    folder = Path(out) / "table"
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([*((f"c{i}", pa.float32()) for i in range(10)), ("label", pa.int8())])
    mix = np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32)
    for number, start in enumerate(range(0, rows, 5_000_000)):
        rng, end = np.random.default_rng([1, number]), min(rows, start + 5_000_000)
        with pq.ParquetWriter(folder / f"part-{number:03d}.parquet", schema) as file:
            for at in range(start, end, 500_000):
                z = rng.standard_normal((min(500_000, end - at), 3), np.float32)
                x = z @ mix + rng.standard_normal((len(z), 10), np.float32) / 4
                label = (z[:, 0] > 0).astype(np.int8) + (z[:, 1] > 0)
                file.write_table(pa.table({**{f"c{i}": x[:, i] for i in range(10)}, "label": label}))


def encode_png(picture: np.ndarray) -> bytes:
    """A picture (H, W) of bytes as a PNG file."""
    Image.fromarray(picture).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def write_npy(folder: Path, part: str, x: np.ndarray, y: np.ndarray, order: np.ndarray) -> None:
    """The copies of x are written one after another: they need not fit into memory."""
    folder.mkdir(parents=True, exist_ok=True)
    ending = "" if part == "train" else f"_{part}"
    mapped = np.lib.format.open_memmap(folder / f"x{ending}.npy", "w+", np.uint8, (len(order), 1, 28, 28))
    for start in range(0, len(order), len(x)):
        mapped[start : start + len(x), 0] = x
    mapped.flush()
    np.save(folder / f"y{ending}.npy", y[order])


def write_tars(folder: Path, part: str, encoded: list[bytes], y: np.ndarray, shards: list[np.ndarray]) -> None:
    """One shard for each list of rows, numbered through."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for shard, rows in enumerate(shards):
        with TarWriter(str(folder / f"{part}-{shard:06d}.tar")) as tar:
            for row in rows:
                tar.write({"__key__": f"{number:09d}", "png": encoded[row], "cls": str(y[row]).encode()})
                number += 1


def write_parquet(out: Path, part: str, number: int, x: np.ndarray, encoded: list[bytes], y: np.ndarray) -> None:
    """One file of pictures as datasets.Image writes them, and one of flat lists of bytes."""
    pictures = pa.array([{"bytes": picture, "path": None} for picture in encoded], PICTURE)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), x[0].size)
    for name, column, kind in (("parquet", pictures, FEATURES["image"]), ("parquet-flat", flat, None)):
        folder = out / name / part
        folder.mkdir(parents=True, exist_ok=True)
        table = pa.table({"image": column, "label": pa.array(y)})
        if kind is not None:
            features = json.dumps({"info": {"features": FEATURES}})
            table = table.replace_schema_metadata({"huggingface": features})
        pq.write_table(table, folder / f"{part}-{number:05d}.parquet", row_group_size=4096)


if __name__ == "__main__":
    if sys.argv[1] == "table":
        write_table(sys.argv[2], int(sys.argv[3]))
    else:
        main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))

"""Columns of Arrow tables as rows (B, *shape): pictures, lists of numbers of any depth, or numbers side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, final

import numpy as np

from aeexp.datasets.formats.decoding import PictureDecoder, row_shape, to_stored_type
from aeexp.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Decoded = TypeVar("Decoded")


@final
class Columns:
    """Turns tables into arrays; shape and type of the first row hold for all.

    A picture is a binary column or a struct with `bytes` and `path`, as datasets.Image stores it.
    """

    def __init__(self, first: pa.Table, names: list[str], decoder: PictureDecoder, path: str):
        self.names = names
        self.decoder = decoder
        self.path = path
        self.shape: tuple[int, ...] = ()  # not yet known
        kinds = [classify(first.schema.field(name).type) for name in names]
        for name, each in zip(names, kinds, strict=True):
            if each == "other" or (each != "number" and len(names) > 1):
                what = "no picture and no numbers" if each == "other" else "no single number"
                way = "; dataset=csv reads the texts of a .parquet file" if each == "other" else ""
                raise UsageError(f"x={name}: the column of {path} is {first.schema.field(name).type}, {what}{way}")
        self.kind = kinds[0]
        if decoder.size is not None and self.kind != "picture":
            raise UsageError(
                f"size={decoder.size} is for pictures, but x={','.join(names)} holds numbers: leave dataset.size=null"
            )
        if self.kind == "picture":
            self._decode(decoder.settle, _list_files(first.column(names[0]))[0], 0)
        x = self.read(first, np.zeros(1, np.int64))
        self.shape = x.shape[1:]
        self.dtype = x.dtype

    def read(self, table: pa.Table, rows: np.ndarray) -> np.ndarray:
        """(B, *shape); `rows` (B,) are the numbers by which a message calls the rows of the table."""
        if self.kind == "picture":
            return self.decode(self.list_stored(table, rows))
        if self.kind == "array":
            return to_stored_type(self._array(table.column(self.names[0]), rows))
        values = (self._values(_unchunk(table.column(name)), rows, 1) for name in self.names)
        return to_stored_type(np.stack(list(values), 1))

    def list_stored(self, table: pa.Table, rows: np.ndarray) -> list[tuple[int, bytes | str | None]]:
        """Of a column of pictures: what `decode` reads of each row, and its number."""
        return list(zip(rows.tolist(), _list_files(table.column(self.names[0])), strict=True))

    def decode(self, stored: Sequence[tuple[int, bytes | str | None]]) -> np.ndarray:
        """(B, C, H, W) of what `list_stored` gives."""
        row, file = stored[0]
        shape = self.shape or self._decode(self.decoder, file, row).shape
        x = np.empty((len(stored), *shape), np.uint8)
        for number, (row, file) in enumerate(stored):
            picture = self._decode(self.decoder, file, row)
            self._check_shape(picture.shape, row)
            x[number] = picture
        return x

    def _array(self, column: pa.ChunkedArray, rows: np.ndarray) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.compute as pc

        values = _unchunk(column)
        shape: list[int] = []
        while not pa.types.is_primitive(values.type):
            lists = math.prod(shape)  # of this depth in a row
            self._check_filled(values, rows, lists)
            lengths = pc.call_function("list_value_length", [values]).to_numpy(zero_copy_only=False)
            other = lengths != lengths[0]
            if other.any():
                raise self._refusal(int(rows[other.argmax() // lists]), "has lists of another length")
            if lengths[0] == 0:
                raise self._refusal(rows[0], "is an empty list")
            shape.append(int(lengths[0]))
            values = values.flatten()
        numbers = self._values(values, rows, math.prod(shape))
        try:
            folded = row_shape(tuple(shape))
        except ValueError as error:
            raise self._refusal(rows[0], f"is {error}") from error
        self._check_shape(folded, rows[0])
        return numbers.reshape(len(rows), *folded)

    def _values(self, values: pa.Array, rows: np.ndarray, per: int) -> np.ndarray:
        self._check_filled(values, rows, per)
        return values.to_numpy(zero_copy_only=False)

    def _decode(self, decode: Callable[[bytes | str], Decoded], file: bytes | str | None, row: int) -> Decoded:
        if file is None:
            raise self._refusal(row, "is empty")
        try:
            return decode(file)
        except ValueError as error:
            raise self._refusal(row, f"{f'({file}) ' if isinstance(file, str) else ''}is {error}") from error

    def _check_filled(self, values: pa.Array, rows: np.ndarray, per: int) -> None:
        """`values` hold `per` places of each of the rows."""
        if values.null_count:
            place = values.is_null().to_numpy(zero_copy_only=False).argmax()
            way = (
                "; dataset.missing=drop, mean, median or most_frequent fills such gaps" if self.kind == "number" else ""
            )
            raise self._refusal(int(rows[place // per]), f"is empty or has an empty place (null){way}")

    def _check_shape(self, shape: tuple[int, ...], row: int) -> None:
        if self.shape and shape != self.shape:
            way = "; dataset.size=[H,W] makes pictures equal" if self.kind == "picture" else ""
            raise self._refusal(row, f"has shape {shape}, the first row {self.shape}{way}")

    def _refusal(self, row: int, what: str) -> UsageError:
        return UsageError(f"x={','.join(self.names)}: row {row} of {self.path} {what}")


def classify(type_: pa.DataType) -> str:
    """picture, array, number or other."""
    import pyarrow as pa

    types = pa.types
    if types.is_struct(type_) and "bytes" in {field.name for field in type_}:
        return "picture"
    if types.is_binary(type_) or types.is_large_binary(type_):
        return "picture"
    depth = 0
    while True:
        if isinstance(type_, pa.BaseExtensionType):
            type_ = type_.storage_type
        elif types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
            type_ = type_.value_type
            depth += 1
        else:
            break
    numeric = types.is_integer(type_) or types.is_floating(type_) or types.is_boolean(type_)
    return "other" if not numeric else "array" if depth else "number"


def _unchunk(column: pa.ChunkedArray) -> pa.Array:
    """One array of the type in which a column is stored."""
    import pyarrow as pa

    chunks = [chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def _list_files(column: pa.ChunkedArray) -> list[bytes | str | None]:
    """Bytes or paths of the pictures."""
    cells = column.to_pylist()
    return [(cell.get("bytes") or cell.get("path")) if isinstance(cell, dict) else cell for cell in cells]

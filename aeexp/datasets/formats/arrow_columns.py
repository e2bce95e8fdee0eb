"""Columns of Arrow tables as rows (B, *shape): pictures, lists of numbers of any depth, or numbers side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from aeexp.datasets.formats.decoding import PictureDecoder, row_shape, stored
from aeexp.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa


class Columns:
    """Turns tables into arrays; shape and type of the first row hold for all.

    A picture is a binary column or a struct with `bytes` and `path`, as datasets.Image stores it.
    """

    def __init__(self, first: pa.Table, names: list[str], decoder: PictureDecoder, path: str):
        self.names = names
        self.decoder = decoder
        self.path = path
        self.shape: tuple[int, ...] | None = None
        kinds = [kind(first.schema.field(name).type) for name in names]
        for name, found in zip(names, kinds, strict=True):
            fits = found == "number" or (found != "other" and len(names) == 1)
            what = "no picture and no numbers" if found == "other" else "no single number"
            if not fits:
                raise UsageError(f"x={name}: the column of {path} is {first.schema.field(name).type}, {what}")
        self.kind = kinds[0]
        if decoder.size is not None and self.kind != "picture":
            raise UsageError(
                f"size={decoder.size} is for pictures, but x={','.join(names)} holds numbers: leave dataset.size=null"
            )
        if self.kind == "picture":
            file = _files(first.column(names[0]))[0]
            self._require(file is not None, 0, "is empty")
            self._decoded(decoder.settle, file, 0)
        x = self.read(first, np.zeros(1, np.int64))
        self.shape = x.shape[1:]
        self.dtype = x.dtype

    def read(self, table: pa.Table, rows: np.ndarray) -> np.ndarray:
        """(B, *shape); `rows` (B,) are the numbers by which a message calls the rows of the table."""
        if self.kind == "picture":
            return self._pictures(table, rows)
        if self.kind == "array":
            return stored(self._array(table.column(self.names[0]), rows))
        values = (self._values(_plain(table.column(name)), rows, 1) for name in self.names)
        return stored(np.stack(list(values), 1))

    def _pictures(self, table: pa.Table, rows: np.ndarray) -> np.ndarray:
        x = None
        for number, file in enumerate(_files(table.column(self.names[0]))):
            self._require(file is not None, rows[number], "is empty")
            picture = self._decoded(self.decoder, file, rows[number])
            self._same(picture.shape, rows[number])
            if x is None:
                x = np.empty((len(table), *picture.shape), np.uint8)
            x[number] = picture
        return x

    def _array(self, column: pa.ChunkedArray, rows: np.ndarray) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.compute as pc

        values = _plain(column)
        shape: list[int] = []
        while not pa.types.is_primitive(values.type):
            lists = math.prod(shape)  # of this depth in a row
            self._filled(values, rows, lists)
            lengths = pc.list_value_length(values).to_numpy(zero_copy_only=False)
            other = lengths != lengths[0]
            self._require(not other.any(), rows[other.argmax() // lists], "has lists of another length")
            self._require(lengths[0] > 0, rows[0], "is an empty list")
            shape.append(int(lengths[0]))
            values = values.flatten()
        numbers = self._values(values, rows, math.prod(shape))
        try:
            folded = row_shape(tuple(shape))
        except ValueError as error:
            raise UsageError(f"{self._name()}: row {rows[0]} of {self.path} is {error}") from error
        self._same(folded, rows[0])
        return numbers.reshape(len(rows), *folded)

    def _values(self, values: pa.Array, rows: np.ndarray, per: int) -> np.ndarray:
        self._filled(values, rows, per)
        return values.to_numpy(zero_copy_only=False)

    def _filled(self, values: pa.Array, rows: np.ndarray, per: int) -> None:
        if values.null_count:
            row = rows[values.is_null().to_numpy(zero_copy_only=False).argmax() // per]
            raise UsageError(f"{self._name()}: row {row} of {self.path} is empty or has an empty place (null)")

    def _decoded(self, decode, file: bytes | str, row: int) -> np.ndarray | None:
        try:
            return decode(file)
        except ValueError as error:
            where = f" ({file})" if isinstance(file, str) else ""
            raise UsageError(f"{self._name()}: row {row} of {self.path}{where} is {error}") from error

    def _same(self, shape: tuple[int, ...], row: int) -> None:
        out = "; dataset.size=[H,W] makes pictures equal" if self.kind == "picture" else ""
        same = self.shape in (None, tuple(shape))
        self._require(same, row, f"has shape {tuple(shape)}, the first row {self.shape}{out}")

    def _require(self, holds: bool, row: int, what: str) -> None:
        if not holds:
            raise UsageError(f"{self._name()}: row {row} of {self.path} {what}")

    def _name(self) -> str:
        return f"x={','.join(self.names)}"


def kind(type_: pa.DataType) -> str:
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


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """One array of the type in which a column is stored."""
    import pyarrow as pa

    chunks = [chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def _files(column: pa.ChunkedArray) -> list[bytes | str | None]:
    """Bytes or paths of the pictures."""
    found = column.to_pylist()
    return [(file.get("bytes") or file.get("path")) if isinstance(file, dict) else file for file in found]

"""Tar shards grouped to samples by `webdataset`: one pass finds where each sample lies, later ones seek and decode."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, NamedTuple, final

import numpy as np

from aeexp.datasets.core.stored import EncodedShards
from aeexp.datasets.formats.decoding import PictureDecoder, from_npy
from aeexp.datasets.formats.tar_labels import LabelName
from aeexp.errors import UsageError

_BLOCK = 512  # bytes; a tar is made of them, and ends with two of zeros
_META = "__"


class Shard(NamedTuple):
    """What one pass over the headers of a file found: 24 bytes a sample, beside its label."""

    file: Path
    state: tuple[int, int]  # size and time, to see that the file was changed
    places: np.ndarray  # (N, 3) int64: offset and size of x in bytes, place of its extension among the wanted ones
    labels: list[str | None]
    extensions: tuple[str, ...]  # of all its files, sorted


class Stored(NamedTuple):
    """The bytes of a row, and where a message says they are from."""

    content: bytes
    extension: str
    file: Path
    offset: int


@final
class SampleDecoder:
    """Rows (B, *shape) of samples; the first one that is decoded decides shape and type of all."""

    def __init__(self, decoder: PictureDecoder, option: str):
        self.decoder = decoder
        self.option = option
        self.shape: tuple[int, ...] = ()  # not yet known
        self.dtype = np.dtype(np.uint8)

    def settle(self, stored: Stored) -> None:
        """By the first sample."""
        first = self.decode(stored)
        self.shape, self.dtype = first.shape, first.dtype

    def __call__(self, stored: Sequence[Stored]) -> np.ndarray:
        return np.stack([self.decode(each) for each in stored])

    def decode(self, stored: Stored) -> np.ndarray:
        """(*shape)"""
        array = stored.extension.split(".")[-1] == "npy"
        try:
            if array:
                if self.decoder.size is not None:
                    raise UsageError(f"size={self.decoder.size} is for pictures, not for .npy: dataset.size=null")
                x = from_npy(stored.content)
            else:
                if not self.shape:
                    self.decoder.settle(stored.content)
                x = self.decoder(stored.content)
        except UsageError:
            raise
        except ValueError as error:
            raise UsageError(f"{self._name_sample(stored)} is {error}") from error
        if self.shape and (x.shape, x.dtype) != (self.shape, self.dtype):
            here, there = (f"{shape} {dtype}" for shape, dtype in ((x.shape, x.dtype), (self.shape, self.dtype)))
            out = "" if array else "; dataset.size=[H,W] makes pictures equal"
            raise UsageError(f"{self._name_sample(stored)} is {here}, the first row {there}{out}")
        return x

    def _name_sample(self, stored: Stored) -> str:
        """Of the sample whose x begins there; looked up for a message alone."""
        with tarfile.open(stored.file, "r:") as tar:
            name = next((member.name for member in tar if member.offset_data == stored.offset), "?")
        return f"{self.option}={stored.file}: sample {name}"


@final
class TarShards(EncodedShards):
    """The rows of tar shards (stored.Shards)."""

    def __init__(self, shards: list[Shard], wanted: list[str], decoder: PictureDecoder, option: str):
        self.shards = shards
        self.counts = [len(shard.places) for shard in shards]
        self.wanted = wanted
        self.option = option
        self.decoder = SampleDecoder(decoder, option)
        self.decoder.settle(next(self.fetch(0, np.zeros(1, np.int64))))
        self.shape, self.dtype = self.decoder.shape, self.decoder.dtype

    @property
    def decode(self) -> SampleDecoder:
        """Of bytes."""
        return self.decoder

    def read(self, shard: int, places: np.ndarray) -> Iterator[np.ndarray]:
        """Each as it is asked for."""
        return map(self.decoder.decode, self.fetch(shard, places))

    def fetch(self, shard: int, places: np.ndarray) -> Iterator[Stored]:
        """Nothing between the places is read."""
        file, state, where, *_ = self.shards[shard]
        try:
            with open(file, "rb") as stream:
                changed = _identify(stream) != state
                for offset, size, extension in () if changed else where[places].tolist():
                    stream.seek(offset)
                    content = stream.read(size)
                    changed = len(content) < size
                    if changed:
                        break
                    yield Stored(content, self.wanted[extension], file, offset)
        except OSError as error:
            raise UsageError(f"{self.option}={file} could not be read: {error.strerror or error}") from error
        if changed:
            raise UsageError(f"{self.option}={file}: the shard is another than when it was counted: start anew")


def import_tariterators() -> ModuleType:
    """`webdataset.tariterators`. Raises UsageError where it is not installed."""
    try:
        import webdataset.tariterators
    except ImportError as error:
        raise UsageError(
            f"dataset=webdataset needs the library `webdataset` ({error}): pip install 'aeexp[webdataset]'"
        ) from error
    return webdataset.tariterators


def scan(file: Path, wanted: list[str], y: LabelName | None, option: str) -> Shard:
    """Places and labels of a shard; reads headers and labels alone. Refuses a shard whose end is missing.

    `webdataset` groups the files to samples, and does not open them: it would take a name with a colon for a command
    or an address.
    """
    places: list[tuple[int, int, int]] = []
    labels: list[str | None] = []
    seen: set[str] = set()
    key: str | None = None
    lacking = ""
    try:
        with open(file, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            state = _identify(stream)
            for sample in import_tariterators().group_by_keys(_iterate_headers(tar, stream, file, y)):
                key = sample["__key__"]
                there = [name for name in sample if not name.startswith(_META)]
                seen.update(there)
                extension = next((place for place, name in enumerate(wanted) if name in sample), None)
                if extension is not None:
                    places.append((*sample[wanted[extension]][:2], extension))
                elif not lacking:
                    lacking = _describe_lack(wanted, sample, file, there)
                labels.append(None if y is None else y.read(sample, file))
    except UsageError:
        raise
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise _damage_error(file, key, error, option) from error
    # not before the end was seen: a truncated shard is called so
    if lacking:
        raise UsageError(lacking)
    if not labels:
        raise UsageError(f"{option}={file}: the shard holds no sample")
    return Shard(file, state, np.array(places, np.int64), labels, tuple(sorted(seen)))


def _describe_lack(wanted: list[str], sample: dict, file: Path, there: list[str]) -> str:
    """Words for a sample without x."""
    dotted = next((name for name in there for end in wanted if name.endswith(f".{end}")), None)
    listed = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
    start = f"x={';'.join(wanted)}: sample {sample['__key__']} of {file} has none of them; it has {listed}"
    if dotted is None:
        return f"{start}: name one as in dataset.x={there[0]}"
    return (
        f"{start}: a sample's name ends at its first dot, and what follows is the extension.\n"
        f"Write the shard with names without dots, or, where each sample has that, name it: dataset.x={dotted}"
    )


def _iterate_headers(tar: tarfile.TarFile, stream: BinaryIO, file: Path, y: LabelName | None) -> Iterator[dict]:
    """Names as `webdataset` groups them; as content offset, size and the bytes of a label, of nothing else."""
    end = 0
    url, endings = str(file), () if y is None else tuple(f".{end}" for end in y.files)
    for member in tar:
        end = member.offset_data
        if member.isreg():
            end += -(-member.size // _BLOCK) * _BLOCK
            if member.issparse():
                raise tarfile.ReadError(f"{member.name} is a sparse file: write the shard without them")
            name = member.name
            meta = name.split("/", 1)[0] if name.startswith(_META) else ""
            if not (len(meta) >= 4 and meta.endswith(_META)):
                content = tar.extractfile(member) if name.lower().endswith(endings) else None
                label = b"" if content is None else content.read()
                yield {"fname": name, "data": (member.offset_data, member.size, label), "__url__": url}
        tar.members = []  # pyright: ignore[reportAttributeAccessIssue]  documented nowhere; else all headers are kept
    yield {}
    stream.seek(end)
    last = stream.read(_BLOCK)
    if last != bytes(_BLOCK):
        raise tarfile.ReadError("a broken header" if len(last) == _BLOCK else "the end is missing")


def _identify(stream: BinaryIO) -> tuple[int, int]:
    status = os.fstat(stream.fileno())
    return status.st_size, status.st_mtime_ns


def _damage_error(file: Path, key: str | None, error: Exception, option: str) -> UsageError:
    where = "at its first sample" if key is None else f"after sample {key}"
    reason = " ".join(str(error.args[0] if error.args else error).split())
    return UsageError(f"{option}={file}: the shard is damaged {where}: {reason}")

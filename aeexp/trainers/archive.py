"""torch's files with a checksum of every byte, in the comment that a zip archive may end with.

torch reads them as before. The archive's own CRC32 leaves names, sizes and directory unguarded, and torch does not
ask for it.
"""

from __future__ import annotations

import copy
import hashlib
import io
import zipfile
from typing import IO, Any

import torch
from torch import Tensor

END = b"PK\x05\x06"  # of the record that an archive ends with: 22 bytes, the last 2 are the comment's length
MARK = b"aeexp blake2b "
SEAL = len(MARK) + 64  # bytes of the comment. No power of two: no flipped bit makes its length 0
PIECE = 2**20


class Damaged(ValueError):
    """The file is not what was written."""


def write_archive(content: Any, file: IO[bytes]) -> None:
    """As torch.save, and the checksum. Of a tensor that is a part of a larger one that part alone."""
    torch.save(_cut_out(content, {}), buffer := io.BytesIO())
    body = buffer.getvalue()[:-2] + SEAL.to_bytes(2, "little")
    file.write(body)
    file.write(MARK + hashlib.blake2b(body, digest_size=32).hexdigest().encode())


def _cut_out(node: Any, copies: dict[Any, Tensor]) -> Any:
    """The same where each tensor is all of its storage; what is one under two names stays one."""
    if isinstance(node, Tensor):
        if node.layout != torch.strided or node.untyped_storage().nbytes() <= node.numel() * node.element_size():
            return node
        place = node.data_ptr(), node.dtype, node.shape, node.stride()
        return copies.setdefault(place, node.detach().clone())
    if isinstance(node, dict):
        changed = {key: _cut_out(value, copies) for key, value in node.items()}
        if all(changed[key] is value for key, value in node.items()):
            return node
        cut = copy.copy(node)  # of its own kind, with what it keeps beside its keys
        cut.update(changed)
        return cut
    if isinstance(node, list | tuple):
        several = [_cut_out(value, copies) for value in node]
        return type(node)(several) if any(a is not b for a, b in zip(several, node, strict=True)) else node
    return node


def read_archive(file: IO[bytes]) -> Any:
    """As torch.load on the CPU; nothing is unpickled, and what is read is no larger than the file.

    Raises `Damaged` where a byte differs from what was written. A file of torch without a checksum is read as it is.
    """
    size = file.seek(0, io.SEEK_END)
    _check_seal(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except Exception as error:  # a damaged directory raises anything
        raise Damaged("it is cut off or damaged") from error
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or sum(member.file_size for member in members) > size:
        raise Damaged("it is packed: a small file could fill the memory")
    file.seek(0)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError, IndexError, UnicodeDecodeError, MemoryError ...
        # torch's own message proposes to unpickle it
        raise Damaged("it is damaged, or holds more than tensors and plain values, and nothing is unpickled") from error


def _check_seal(file: IO[bytes], size: int) -> None:
    """Raises `Damaged` unless the file ends with the checksum of all before, or is an archive without a comment."""
    file.seek(max(0, size - SEAL - 22))
    tail = file.read()
    if not (tail.startswith(END) and tail[22:].startswith(MARK)):
        if tail[-22:-18] == END and tail[-2:] == b"\0\0":
            return
        raise Damaged("it is cut off or damaged")
    digest, left = hashlib.blake2b(digest_size=32), size - SEAL
    file.seek(0)
    while left > 0 and (piece := file.read(min(PIECE, left))):
        digest.update(piece)
        left -= len(piece)
    if tail[22:] != MARK + digest.hexdigest().encode():
        raise Damaged("it is damaged: its checksum is another")

"""What numbers of a baseline depend on, as plain values: rows, parts with their options, code, libraries, machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import aeexp
from aeexp.datasets.core.data import Data

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # other sums, other last digits


def describe_rows(data: Data) -> dict[str, Any]:
    """Equal for equal rows in the same splits, in whatever folder."""
    ids = hashlib.blake2b(digest_size=8)  # holes are drawn by them
    for name in data.splits:
        ids.update(np.ascontiguousarray(data.sample(name).ids).tobytes())
    return {
        "fingerprint": data.fingerprint,
        "ids": ids.hexdigest(),
        "shape": list(data.shape),
        "limits": list(data.limits),
        "normal": None if data.normal is None else [int(label) for label in data.normal],
        "response": data.response,
    }


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Code, libraries and processor: another of these may give other last digits."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return {
        "code": digest_code(),
        "libraries": {library: importlib.metadata.version(library) for library in LIBRARIES},
        "machine": [platform.machine(), device.type, name],
        "threads": [torch.get_num_threads(), *(os.environ.get(name) for name in THREADS)],
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


class Undescribed(TypeError):
    """A part that plain values do not say."""


def describe_part(part: Any) -> Any:
    """Classes of aeexp with their options, numbers and texts; tensors by digest. Raises `Undescribed` on others: what
    another's code gives may change without a sign."""
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, list | tuple):
        return [describe_part(each) for each in part]
    if isinstance(part, Mapping):
        return {str(key): describe_part(value) for key, value in part.items()}
    if isinstance(part, Tensor):
        array = part.detach().cpu().contiguous()
        content = f"{array.dtype} {tuple(array.shape)}".encode() + array.numpy().tobytes()
        return hashlib.blake2b(content, digest_size=16).hexdigest()
    kind = type(part)
    if not kind.__module__.startswith("aeexp."):
        raise Undescribed(kind.__qualname__)
    own = {name: value for name, value in vars(part).items() if not name.startswith("_") and name != "training"}
    if isinstance(part, nn.Module):
        own |= dict(part.named_parameters(recurse=False)) | dict(part.named_buffers(recurse=False))
        own |= dict(part.named_children())
    return {"class": f"{kind.__module__}.{kind.__qualname__}", **describe_part(own)}


@cache
def digest_code() -> str:
    """Of all of aeexp's sources: a number of changed code is measured anew."""
    digest = hashlib.blake2b(digest_size=16)
    root = Path(aeexp.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()

"""Train, val and test of one data set, and where their rows lie."""

from __future__ import annotations

import math
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor

from aeexp.datasets.core.fingerprint import fingerprint
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Encoding, Rows, StoredArray, StreamedArray, Variable
from aeexp.datasets.core.spelling import Spelling
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.stream import Stream
from aeexp.errors import UsageError
from aeexp.types import Facts

Residency = Literal["auto", "device", "host", "disk", "stream"]
LISTED = 1000  # values of targets
SAMPLE = 10_000  # rows of a split that lies beyond memory, where all of them are wanted at once


def make_split(rows: Rows, preprocessing: Preprocessing) -> Split | Stream:
    """The split that can read such rows."""
    return (Stream if isinstance(rows.x, StreamedArray) else Split)(rows, preprocessing)


@final
class Data:
    """Three splits with one preprocessing; `residency` is where rows lie once they are placed."""

    def __init__(
        self, name: str, splits: dict[str, Split | Stream], classes: tuple[str, ...] = (),
        attributes: tuple[str, ...] = (), residency: Residency = "auto", unit: float = 1.0,
        normal: tuple[int, ...] | None = None, variables: tuple[Variable, ...] = (),
        groups: tuple[tuple[str, ...], ...] = (), response: str = "", table: Encoding | None = None,
        spelling: Spelling | None = None,
    ):  # fmt: skip
        self.name = name
        self.splits = splits
        self.classes = classes
        self.attributes = attributes
        self.residency: Residency = residency
        self.unit = unit  # value of a stored step as the format says, before any preprocessing
        self.normal = normal  # classes that train and val hold: others are anomalies of the test split; None: all
        self.variables = variables  # the columns of a table; () of other data
        self.groups = groups  # names of the values of each attribute, () where it is a number
        self.response = response  # what the number to predict is called; "" where labels are classes, or there are none
        self.table = table  # what makes features of the columns of a table; None of other data
        self.spelling = spelling  # what the tokens of text are; None of other data
        self.fingerprint = fingerprint(splits)  # same rows in the same splits: same fingerprint
        self._samples: dict[str, Split] = {}
        self._limits: tuple[float, float] | None = None
        self._binary: bool | None = None

    def __getitem__(self, split: str) -> Split | Stream:
        return self.splits[split]

    @property
    def shape(self) -> torch.Size:
        """Of one row."""
        return self["train"].shape

    @property
    def facts(self) -> Facts:
        """What a model must know of the data before it is built."""
        return Facts(tuple(self.shape), len(self.classes), *self._count_attributes(), *self._describe_targets(),
                     self._describe_response(), 0 if self.spelling is None else self.spelling.size)  # fmt: skip

    def _describe_response(self) -> tuple[float, float] | None:
        """Mean and deviation of the training split's numbers to predict; a deviation of 0 is 1."""
        response = self["train"].rows.response
        if response is None or np.isnan(response).all():
            return None
        known = response[~np.isnan(response)].astype(np.float64)
        return float(known.mean()), float(known.std()) or 1.0

    def _count_attributes(self) -> tuple[int, int]:
        """How many values an attribute has that is a number from 0 on; how many columns quantities have."""
        s = [split.s for split in self.splits.values() if split.s is not None]
        if not s:
            return 0, 0
        if s[0].dim() == 1 and not s[0].is_floating_point() and min(int(part.min()) for part in s) >= 0:
            return max(int(part.max()) for part in s) + 1, 0
        return 0, 1 if s[0].dim() == 1 else s[0].shape[1]

    def _describe_targets(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shape of a row's own target and the values that all of them (those of samples) take; () where there are none.

        Values are listed where they are whole numbers, and no more than `LISTED`.
        """
        targets = [self.sample(name).target for name in self.splits if self[name].rows.target is not None]
        tensors = [target for target in targets if isinstance(target, Tensor)]
        if len(tensors) < len(self.splits):
            return (), ()
        values = torch.cat([_find_values(target) for target in tensors]).unique()
        listed = len(values) <= LISTED and bool((values == values.round()).all())
        return tuple(tensors[0].shape[1:]), tuple(map(int, values.tolist())) if listed else ()

    @property
    def device(self) -> torch.device:
        """On which batches come."""
        return self["train"].device

    @property
    def is_labelled(self) -> bool:
        """Whether every split has at least one row with a class."""
        return all(split.y is not None and bool((split.y >= 0).any()) for split in self.splits.values())

    @property
    def has_response(self) -> bool:
        """Whether every split has at least one row with a number to predict."""
        return all((response := split.rows.response) is not None and not bool(np.isnan(response).all())
                   for split in self.splits.values())  # fmt: skip

    @property
    def step(self) -> float | None:
        """Distance of neighbouring values where the data is stored as integers, else None."""
        preprocessing = self["train"].preprocessing
        integers = np.dtype(self["train"].rows.x.dtype).kind != "f"
        return preprocessing.step if integers or preprocessing.binarise != "none" else None

    @property
    def is_binary(self) -> bool:
        """Whether integers are stored of which 0 and 1 alone are left by the scaling, such as bytes of 0 and 255."""
        if self._binary is None:
            parts = (batch.x for name in self.splits for batch in self.sample(name).batches(8192))
            self._binary = self.step is not None and all(bool(((x == 0) | (x == 1)).all()) for x in parts)
        return self._binary

    @property
    def is_counts(self) -> bool:
        """Whether all values (of samples) are whole numbers from 0 on."""
        parts = (batch.x for name in self.splits for batch in self.sample(name).batches(8192))
        return all(bool(((x >= 0) & (x == x.round())).all()) for x in parts)

    @property
    def account(self) -> dict[str, object]:
        """What new rows must go through to be as these are: tensors and plain values, for a checkpoint."""
        train = self["train"]
        return {
            "preprocessing": train.preprocessing.to_dict(),
            "dtype": np.dtype(train.rows.x.dtype).name,
            "unit": float(self.unit),
            "limits": list(self.limits),
            "classes": list(self.classes),
            "attributes": list(self.attributes),
            "response": self.response,
            "table": None if self.table is None else self.table.to_dict(),
            "letters": None if self.spelling is None else self.spelling.letters,
        }

    def sample(self, split: str) -> Split:
        """The split itself where it is in memory, else a drawn part of it that is."""
        if split not in self._samples:
            rows = self[split]
            if isinstance(rows, Stream) or isinstance(rows.x, StoredArray):
                rows = rows.sample(SAMPLE).read()
            self._samples[split] = rows
        return self._samples[split]

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest value of all splits (of their samples), in the data's units."""
        if self._limits is None:
            ends = [batch.x.aminmax() for name in self.splits for batch in self.sample(name).batches(8192)]
            self._limits = min(float(end.min) for end in ends), max(float(end.max) for end in ends)
        return self._limits

    def place(self, device: torch.device, processes: int = 1) -> Data:
        """Bring the rows to where `residency` says; `auto` chooses by size, and by how many processes of this machine
        have them."""
        kind = self._find_kind()
        allowed = {"memory": ("device", "host"), "disk": ("device", "host", "disk"),
                   "stream": ("device", "host", "stream")}[kind]  # fmt: skip
        if self.residency not in ("auto", *allowed):
            raise UsageError(
                f"dataset.residency={self.residency}: the rows of {self.name} can lie on {' or '.join(allowed)}; "
                "disk is for npy, folder, audio, video and huggingface, stream for huggingface (streaming=true) and "
                "webdataset"
            )
        if self.residency == "auto":
            self.residency = _choose_place(self._count_bytes(), device, allowed, processes)
        if self.residency in ("device", "host"):
            stored, self.splits = self.splits, {name: split.read() for name, split in self.splits.items()}
            for split in stored.values():
                split.rows.end_workers()
        resident = self.residency == "device"
        self.splits = {name: split.to(device, resident) for name, split in self.splits.items()}
        self._samples.clear()
        return self

    def describe_placement(self) -> str:
        """How much there is, and where it lies: a word for the log."""
        places = {"device": "on the device", "host": "in host memory", "disk": "on disk", "stream": "streamed"}
        return f"{_format_bytes(self._count_bytes())} {places[self.residency]}"

    def _find_kind(self) -> str:
        x = self["train"].rows.x
        return "stream" if isinstance(x, StreamedArray) else "disk" if isinstance(x, StoredArray) else "memory"

    def _count_bytes(self) -> int:
        fields = (f for split in self.splits.values() for f in (split.rows.x, split.rows.target) if f is not None)
        return sum(math.prod(field.shape) * np.dtype(field.dtype).itemsize for field in fields)


def _find_values(target: Tensor) -> Tensor:
    """All different values, float64 on the CPU; of bytes, as masks are, without sorting millions of them."""
    if target.dtype == torch.uint8:
        return torch.bincount(target.flatten().cpu()).nonzero().flatten().double()
    return target.cpu().double().unique()


def _choose_place(size: int, device: torch.device, allowed: tuple[Residency, ...], processes: int = 1) -> Residency:
    """The fastest place of which the rows, once for each process, take less than half.

    Processes that compute on the CPU share the pages of a file, where each would have a copy of its own in memory.
    """
    if processes > 1 and device.type == "cpu" and "disk" in allowed:
        return "disk"
    if size * (processes if device.type == "cpu" else 1) <= _measure_free(device) / 2:
        return "device"
    return allowed[-1] if size * processes > _measure_free(torch.device("cpu")) / 2 else "host"


def _measure_free(device: torch.device) -> int:
    """Bytes of memory that are not in use."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available


def _format_bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"

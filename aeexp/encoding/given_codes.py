"""Codes of any origin, measured as those of a run are: nobody has to have trained them here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from aeexp.datasets.formats.npz import Archive
from aeexp.errors import UsageError, quote_value
from aeexp.evaluation.needs import Unread, require_readable
from aeexp.evaluation.run import Run
from aeexp.models.learner import Learner
from aeexp.models.pca import identity
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.runs.config import make, to_dict
from aeexp.runs.evaluate import Evaluated, measure_asked
from aeexp.runs.folder import RunFolder, run_id
from aeexp.runs.measured import begin, require_free, write_asked
from aeexp.runs.measuring import describe_data
from aeexp.runs.status import read_commit, read_versions
from aeexp.runs.titles import clean
from aeexp.tasks.reconstruct import Reconstruct

NAMES = {  # under which arrays are found, behind them _train where the codes have it
    "x": ("x", "X", "codes", "z", "embeddings", "embedding"),
    "y": ("y", "Y", "labels"),
    "response": ("target",),
    "s": ("s", "factors", "attributes"),
    "inputs": ("inputs", "input", "raw"),
}
# Keys of the data set that say how the file is read, and not which rows are measured.
READING = ("path", "x", "y", "s", "target", "offsets", "unpack", "parts", "sequences", "shape", "residency")


class Keys(NamedTuple):
    """Where codes are found in a file: words of the data set, and the same for what they are codes of."""

    path: str
    words: list[str]
    inputs: str | None  # key of the rows that were encoded


def choose_keys(path: str, typed: Sequence[str]) -> Keys:
    """By the names in the file, where nobody `typed` others. Raises UsageError for a file without codes."""
    archive = Archive(path)
    given: dict[str, str] = {key: value.strip("'\"") for key, _, value in (word.partition("=") for word in typed)}

    def find(option: str, ends: Sequence[str]) -> str | None:
        names = (name + end for end in ends for name in NAMES[option])
        return next((name for name in names if name in archive), None)

    x = given.get("dataset.x") or find("x", ("_train", ""))
    if x is None:
        listed = ", ".join(archive.keys[:20])
        raise UsageError(f"--codes {path}: no codes x_train, x or codes in it; name them by dataset.x=...: {listed}")
    ends = ("_train",) if "_train" in x else ("",)
    words = ["dataset=npz", f"dataset.path={quote_value(path)}"]
    words += [] if "dataset.x" in given else [f"dataset.x={quote_value(x)}"]
    if "dataset.s" not in given and (s := find("s", ends)) is not None:
        words.append(f"dataset.s={quote_value(s)}")
    if not {"dataset.y", "dataset.target"} & given.keys() and find("y", ends) is None:
        numbers = find("response", ends)  # floats are no masks and no classes, though all may be whole
        if numbers is not None and archive.read(numbers).dtype.kind == "f":
            words.append(f"dataset.target={quote_value(numbers)}")
    if "dataset.unpack" not in given and "bits" in archive and archive.read("bits").shape == ():
        words.append(f"dataset.unpack={int(archive.read('bits'))}")  # as aeexp-encode packs them
    words += [] if "dataset.scale" in given else ["dataset.scale=1.0"]  # bytes would be shares of 255
    test = x.replace("_train", "_test") if "_train" in x else f"{x}_test"
    if test in archive and not any(word.startswith("dataset/split=") for word in typed):
        words.append("dataset/split=official")
    words += [] if "dataset.name" in given else ["dataset.name=codes"]
    return Keys(path, words, find("inputs", ends))


def evaluate_given_codes(
    keys: Keys, cfg: DictConfig, default: DictConfig, typed: Sequence[str], device: torch.device, name: str | None,
    output: Path | None,
) -> Evaluated:  # fmt: skip
    """The numbers of `cfg.metric` and the figures of `cfg.plot` into a folder that reports read as a run's.

    What cannot be had of codes is among the failures.
    """
    run = build_run(keys, cfg, device)
    _require_any(cfg, run)
    name = clean(name or Path(keys.path).stem)
    folder = RunFolder(output or Path("outputs", "codes", name))
    tree = describe_codes(cfg, name)
    identity_ = run_id({**tree, "path": str(Path(keys.path).resolve())})
    require_free(folder, identity_)
    words = [f"codes={name}", *(word for word in typed if not word.startswith(tuple(f"dataset.{k}=" for k in READING)))]
    facts = {**describe_data(run), "fingerprint": fingerprint_rows(run)}
    begin(folder, identity_, write_asked(tree, words, {}), {**facts, "codes": run.data.fingerprint})
    protocol = {"codes": keys.path, "data": facts, "device": device.type, "threads": torch.get_num_threads(),
                "versions": read_versions(), "git_commit": read_commit()}  # fmt: skip
    return measure_asked(run, folder, cfg, default, make(cfg, "metric"), protocol, {})


def build_run(keys: Keys, cfg: DictConfig, device: torch.device) -> Run:
    """Codes as a run whose model is the identity, on the device; raw input and PCA are those of the inputs."""
    codes = make(cfg, "dataset").place(device)
    if len(codes.shape) != 1:
        raise UsageError(f"dataset.x: codes have shape (N, D), these {('N', *codes.shape)}: flatten them")
    inputs = None
    if keys.inputs is not None:
        node = OmegaConf.merge(
            cfg, {"dataset": {"x": keys.inputs, "unpack": None, "standardise": False, "scale": None}}
        )
        assert isinstance(node, DictConfig)
        inputs = make(node, "dataset").place(device)
        counts = [{part: len(split) for part, split in data.splits.items()} for data in (codes, inputs)]
        if counts[0] != counts[1]:
            raise UsageError(f"--codes {keys.path}: {keys.inputs} has {counts[1]} rows, and the codes {counts[0]}")
    learner = Learner(Reconstruct(), identity(codes.shape), Additive(Chain({}), {})).to(device)
    lacks = {"model"} if inputs is not None else {"model", "inputs"}
    return Run(learner, codes, inputs=inputs, lacks=frozenset(lacks))


def describe_codes(cfg: DictConfig, name: str) -> dict[str, Any]:
    """What is measured, as reports compare it: which codes, and which rows of them, wherever the file lies."""
    node = {key: value for key, value in to_dict(cfg.dataset).items() if key not in READING}
    return {"codes": name, "seed": cfg.seed, "dataset": node, "metric": {}, "plot": {}, "noise": {}, "regularizer": {}}


def fingerprint_rows(run: Run) -> str:
    """Of all but the codes: equal for codes of equal rows, which compare."""
    digest = hashlib.blake2b(digest_size=8)
    for part, split in run.data.splits.items():
        digest.update(f"{part} {len(split)}".encode())
        for field in (split.rows.y, split.rows.s, split.rows.response):
            if field is not None:
                digest.update(np.ascontiguousarray(field).data)
    if run.inputs is not run.data:
        digest.update(run.inputs.fingerprint.encode())
    return digest.hexdigest()


def _require_any(cfg: DictConfig, run: Run) -> None:
    """Raises UsageError where nothing that is asked for can be had of codes."""
    parts = [(f"{group}={name}", part) for group in ("metric", "plot") for name, part in make(cfg, group).items()]
    reasons = []
    for name, part in parts:
        try:
            require_readable(name, part.reads, run)
            return
        except Unread as error:
            reasons.append(str(error))
    raise UsageError("\n".join(reasons[:2]))

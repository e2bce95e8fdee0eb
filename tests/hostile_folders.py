"""Run folders of a stranger, and all who read them: what they say, and what happened meanwhile."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from canary import watched

import aeexp
from aeexp.cli import encode
from aeexp.errors import UsageError
from aeexp.runs.evaluate import evaluate
from aeexp.runs.folder import RunFolder
from aeexp.runs.loading import LoadedRun

ALL = {"load", "data", "encode", "evaluate"}


def encode_codes(folder: RunFolder, trust: Sequence[str]) -> None:
    words = [str(folder), "--output", str(folder.path / "out.npz"), *(f"--trust={each}" for each in trust)]
    encode.encode(encode.build_parser().parse_args(words))


READERS: dict[str, Callable[[RunFolder, Sequence[str]], object]] = {
    "load": lambda folder, trust: aeexp.load(folder.path, trust=trust),
    "data": lambda folder, trust: LoadedRun(folder.path, "cpu", trust=trust).load_data(),
    "encode": encode_codes,
}


def read_with_all(folder: RunFolder, asked, trust: Sequence[str] = ()) -> tuple[dict[str, str], list[str]]:
    """What each reader of a run folder says ("" where it reads it), and what happened meanwhile."""

    def measure(folder: RunFolder, trust: Sequence[str]) -> object:
        return evaluate(folder, *asked, torch.device("cpu"), trust=trust)

    readers = {**READERS, "evaluate": measure}
    said, effects = {}, []
    for name, reader in readers.items():
        with watched() as seen:
            try:
                reader(folder, trust)
                said[name] = ""
            except UsageError as error:
                said[name] = str(error)
                effects += seen
                continue
        # Who reads it to the end writes what it was asked for, in the run folder alone.
        effects += [each for each in seen if str(folder.path) not in each and "git" not in each]
    return said, effects


def put(path: str, value: object) -> Callable[[dict], object]:
    """At a dotted path of the stored configuration."""

    def change(saved: dict) -> None:
        node = saved["config"]
        *parents, last = path.split(".")
        for name in parents:
            node = node[name]
        node[last] = copy.deepcopy(value)

    return change


def target(named: str, /, **keys: object) -> dict:
    return {"_target_": named, **keys}


def refuses(said: str) -> None:
    lines = said.split("\n")
    assert len(lines) <= 2 and len(said) < 1_500 and all(line.isprintable() for line in lines), said


def check_refused(folder: RunFolder, asked, by: set[str], trust: Sequence[str] = ()) -> dict[str, str]:
    said, effects = read_with_all(folder, asked, trust)
    assert effects == []
    assert not Path("owned").exists() and not Path("imported").exists()
    for name in by:
        assert said[name], f"{name} reads it"
    for text in said.values():
        if text:
            refuses(text)
    return said

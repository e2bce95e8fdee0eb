"""What came of a study: reproduce.json, and those results that lie beside the records for others to compare with."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from aeexp import files
from aeexp.errors import UsageError
from aeexp.reproductions.records import find_record
from aeexp.reproductions.studies import Study
from aeexp.reproductions.verdicts import PASS, Outcome, conclude, judge

NAME = "reproduce.json"
RECORDED = "recorded"  # beside the records: NAME.short.json
LIBRARIES = ("torch", "numpy", "scikit-learn")


@final
@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Result:
    """Of one form of a study on one machine."""

    study: str
    form: Literal["full", "short"]
    rows: str  # the choice of rows, "" where there is none
    words: tuple[str, ...]  # overrides that the user added; with any of them it is no longer the study
    verdict: Literal["PASS", "FAIL", "INCOMPLETE"]
    unit: str
    number: str
    values: dict[str, dict[int, float]]  # arm -> seed -> number, in the unit
    outcomes: list[Outcome]
    hours: float  # that the runs took, wall clock, whether in one go or several
    finished: str  # ISO 8601, UTC
    machine: dict[str, str | int]
    versions: dict[str, str]
    failures: list[str]  # runs that gave no number, and why

    @property
    def day(self) -> str:
        """When it was finished."""
        return self.finished[:10]


_ADAPTER = TypeAdapter(Result)


def make_result(
    study: Study, form: Literal["full", "short"], rows: str, words: list[str],
    values: dict[str, dict[int, float]], failures: list[str], hours: float, versions: dict[str, str],
) -> Result:  # fmt: skip
    """Judges the numbers. What lacks a seed is not complete, unless it fails already."""
    outcomes = judge(study.form(form), values, study.better)
    verdict = conclude(outcomes)
    verdict = "INCOMPLETE" if failures and verdict == PASS else verdict
    return Result(
        study.name, form, rows, tuple(words), verdict, study.unit, study.number, values,
        outcomes, hours, datetime.now(timezone.utc).isoformat(timespec="seconds"),
        describe_machine(), versions or read_versions(), failures,
    )  # fmt: skip


def write_result(path: Path, result: Result) -> None:
    """Whole or not at all."""
    node: dict[str, Any] = {**asdict(result), "outcomes": [each._asdict() for each in result.outcomes]}
    files.write_json(path, node)


def read_result(path: Path) -> Result | None:
    """None where there is none. Raises UsageError for a file that is no result."""
    try:
        return _ADAPTER.validate_json(files.json_text(files.read_json(path)))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        message = f"{path} is no result of a study: {where}: {error.errors()[0]['msg'].lower()}"
        raise UsageError(f"{message}; take it away, and run the study again") from error
    except ValueError as error:
        raise UsageError(f"{path} is no result of a study: {error}") from error


def find_recorded(name: str, form: str) -> Result | None:
    """The result that lies beside the record."""
    path = find_record(name)
    return None if path is None else read_result(path.parent / RECORDED / f"{name}.{form}.json")


def find_last(name: str, form: str, output: Path) -> Result | None:
    """The newest of the one beside the records and the one that was made here."""
    found = [find_recorded(name, form), read_result(output / name / form / NAME)]
    return max((each for each in found if each is not None), key=lambda each: each.finished, default=None)


def record(result: Result) -> Path:
    """Keep a result of the study, with no words of one's own, beside its record."""
    place = find_record(result.study)
    assert place is not None  # it was read
    path = place.parent / RECORDED / f"{result.study}.{result.form}.json"
    write_result(path, result)
    return path


def describe_machine() -> dict[str, str | int]:
    """Processor, cores that this process may use, system; the accelerator, where torch is built for one."""
    described: dict[str, str | int] = {"cpu": _read_cpu(), "cores": _count_cores(), "system": platform.platform()}
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            described["gpu"] = torch.cuda.get_device_name()
    return described


def read_versions() -> dict[str, str]:
    """Of Python and of what the numbers depend on."""
    found = {"python": platform.python_version()}
    for library in ("aeexp", *LIBRARIES):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _count_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_cpu() -> str:
    """The processor's name; of what the system calls it where it does not say."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if named:
            return named[0]
    return platform.processor() or platform.machine()

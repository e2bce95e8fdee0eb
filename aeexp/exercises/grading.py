"""A student's file held against the laws of its exercise: points, and a sentence for each law that fails."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch

from aeexp.exercises.laws import find_exercise
from aeexp.exercises.records import Exercise, Law
from aeexp.exercises.wording import Wrong


class Verdict(NamedTuple):
    """One law, and what a file gets for it."""

    law: str
    points: int
    of: int
    message: str  # "" where it holds


class Grade(NamedTuple):
    """All laws of an exercise."""

    exercise: str
    verdicts: list[Verdict]

    @property
    def points(self) -> int:
        """Reached."""
        return sum(verdict.points for verdict in self.verdicts)

    @property
    def of(self) -> int:
        """That there are."""
        return sum(verdict.of for verdict in self.verdicts)

    def to_json(self) -> str:
        """Points and sentences, for a teacher's script."""
        laws = [verdict._asdict() for verdict in self.verdicts]
        return json.dumps({"exercise": self.exercise, "points": self.points, "of": self.of, "laws": laws}, indent=2)


def grade(name: str, path: str | Path) -> Grade:
    """The grade of a student's file, which is executed. What it raises costs the law that met it, and is told."""
    exercise = find_exercise(name)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            module = load_file(Path(path))
    except Exception as error:  # whatever a student's file does
        return _fail_all(exercise, f"the file cannot be read: {_describe(error, Path(path))}")
    missing = [function for function in exercise.functions if not callable(getattr(module, function, None))]
    if missing:
        return _fail_all(exercise, f"there is no function {missing[0]} in the file: keep the names of the sheet")
    with contextlib.redirect_stdout(sys.stderr):  # what a function prints is no part of the points
        return Grade(name, [_judge(law, module, Path(path)) for law in exercise.laws])


def load_file(path: Path) -> ModuleType:
    """The file as a module of its own, whatever else has its name."""
    spec = importlib.util.spec_from_file_location(f"exercise_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _judge(law: Law, module: ModuleType, path: Path) -> Verdict:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            message = law.check(module)
        except NotImplementedError:
            message = "not yet written"
        except Wrong as wrong:
            message = str(wrong)
        except Exception as error:  # whatever a student's function does
            message = f"it ended with {_describe(error, path)}"
    return Verdict(law.name, 0 if message else law.points, law.points, message or "")


def _fail_all(exercise: Exercise, message: str) -> Grade:
    return Grade(exercise.name, [Verdict(law.name, 0, law.points, message) for law in exercise.laws])


def _describe(error: Exception, path: Path) -> str:
    """Kind, words, and the last line of the student's file that led there."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename) == path]
    last: Any = frames[-1] if frames else None
    place = f", line {last.lineno} of {Path(last.filename).name}" if last else ""
    text = str(error).splitlines()
    return f"{type(error).__name__}{f': {text[0]}' if text else ''}{place}"

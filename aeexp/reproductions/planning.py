"""What a study runs: the command lines of its arms, their folders, and the rows that it is run on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from aeexp.errors import UsageError, quote_value, quote_words
from aeexp.reproductions.studies import Choice, Form, Study
from aeexp.runs.composing import compose_run, split_words
from aeexp.runs.config import check

OF_MACHINE = re.compile(r"\+*(hydra[./]|threads=|device=)")  # words that change where it runs, and no number
ALWAYS = ("plot=none",)


class Step(NamedTuple):
    """One command line; of an arm the folder of its multirun."""

    arm: str  # "" of one before the arms
    line: list[str]
    folder: Path


class Plan(NamedTuple):
    """All that one form of a study runs."""

    study: Study
    form: Form
    choice: Choice | None
    folder: Path
    steps: list[Step]

    @property
    def number(self) -> str:
        """The key that is read."""
        return (self.choice and self.choice.number) or self.study.number


def data_folder() -> Path:
    """Where data sets lie that do not ship."""
    return Path(os.environ.get("AEEXP_DATA", "data")).absolute()


def choose_rows(study: Study, name: str | None = None) -> Choice | None:
    """The choice of that name, else the first whose files are there; None of a study without choices. Raises
    UsageError."""
    names = ", ".join(each.name for each in study.choices)
    if name is not None:
        found = next((each for each in study.choices if each.name == name), None)
        if found is None:
            has = f"it has {names}" if names else "it has one kind alone"
            raise UsageError(f"--rows {quote_words(name)}: {study.name} has no such rows: {has}")
        chosen = [found]
    else:
        chosen = list(study.choices)
    folder = data_folder()
    for each in chosen:
        if all((folder / need).exists() for need in each.needs):
            return each
    if not chosen:
        return None
    missing = next(need for need in chosen[-1].needs if not (folder / need).exists())
    raise UsageError(
        f"{study.name}: {missing} is not in {folder}: set AEEXP_DATA to the folder that holds it"
        + (f" (rows that will do: {names})" if len(chosen) > 1 else "")
    )


def make_plan(
    study: Study, name: str, choice: Choice | None, added: Sequence[str], output: Path, own: Sequence[str] = ()
) -> Plan:
    """Command lines that compose, and where their runs lie: a folder's name has a digest of the configuration, so that
    a record, or a default, that was changed begins anew. `own` are flags of the command line that name folders of
    options. Raises UsageError for words that a study cannot take, or that do not compose."""
    check_words(added)
    machine = [word for word in added if OF_MACHINE.match(word)]
    decisive = [word for word in added if word not in machine]
    form, folder = study.form(name), output / study.name / name
    if decisive:
        folder = folder.with_name(f"{name}-{digest(decisive)}")
    first = [shlex.split(line) for line in form.first]
    before = folder / f"first-{digest([compose_words(line[1:]) for line in first if line[0] == 'aeexp'])}"
    steps = []
    for line in first:
        line = [fill(word, before) for word in line]
        if line[0] == "aeexp":
            line = [*line[:1], *own, *line[1:], *(word for word in machine if "hydra" not in word)]
        steps.append(Step("", line, before))
    seeds = [] if any(word.startswith("seed=") for word in added) else [f"seed={','.join(map(str, form.seeds))}"]
    rows = shlex.split(choice.words) if choice else []
    for arm, words in study.trained(form).items():
        line = [*shlex.split(study.command), *rows, *shlex.split(form.words), *shlex.split(words), *decisive, *ALWAYS]
        line = [fill(word, before) for word in line]
        place = folder / f"{re.sub(r'[^A-Za-z0-9]+', '_', arm).strip('_')}-{digest(compose_words(line))}"
        line = ["aeexp", "-m", *own, *line, *seeds, *machine, f"hydra.sweep.dir={quote_value(place)}"]
        steps.append(Step(arm, line, place))
    return Plan(study, form, choice, folder, steps)


def fill(word: str, place: Path) -> str:
    """A word with the folder in the place of {output}: quoted for Hydra, where it is an override."""
    if "{output}" not in word:
        return word
    key, equals, value = word.partition("=")
    filled = (value if equals else key).replace("{output}", str(place))
    return f"{key}={quote_value(filled)}" if equals else filled


def check_words(added: Sequence[str]) -> None:
    """Raises UsageError for overrides that a study cannot take."""
    for word in added:
        if "=" not in word and not word.startswith("~"):
            raise UsageError(f"{word}: overrides are words as trainer.epochs=5")
        if word.startswith(("hydra.sweep.", "hydra.run.")):
            raise UsageError(f"{word}: where the runs of a study lie says --output DIR")
        if word.startswith("dataset.root="):
            raise UsageError(f"{word}: a study looks for its data below AEEXP_DATA")
    for key, texts in split_words([word for word in added if not word.startswith("hydra")])[1].items():
        if key != "seed":
            raise UsageError(f"{key}={','.join(texts)}: a study takes one value: a sweep of others is aeexp -m")


def compose_words(words: Sequence[str]) -> Any:
    """The configuration as plain tables, without what says where it lies. Raises UsageError."""
    cfg = compose_run([word for word in words if not word.startswith(("seed=", "hydra."))]).cfg
    check(cfg)
    return OmegaConf.to_container(cfg)


def digest(node: Any) -> str:
    """Eight hex digits."""
    return hashlib.sha256(json.dumps(node, sort_keys=True).encode()).hexdigest()[:8]


def read_seeds(plan: Plan, added: Sequence[str]) -> tuple[int, ...]:
    """Those of the form, or those that the user gave."""
    words = [word for word in added if word.startswith("seed=")]
    if not words:
        return plan.form.seeds
    fixed, swept = split_words(words)
    texts = swept.get("seed") or [fixed[-1].partition("=")[2]]
    if not all(text.isdecimal() for text in texts):
        raise UsageError(f"seed={','.join(texts)}: a study's seeds are whole numbers, as in seed=0,1,2")
    return tuple(int(text) for text in texts)

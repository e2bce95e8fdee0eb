"""The tables of docs/results.md: runs what a table's command lines say, and prints it as Markdown.

    python -m benchmarks.results anomaly_digits [--output outputs/results] [--list] [WORD ...]

tables.yaml has the tables. Words behind the name are added to each command line (`seed=0 trainer.epochs=1`). The same
line goes on where it was cut off: runs that are finished are read, not trained. A cell is the mean over seeds and its
95 % interval (Student's t), or of one seed the number and its 95 % interval over the rows of the split.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import yaml

from aeexp.reports.stability import KEY, compare
from aeexp.reports.statistics import estimate
from aeexp.reproductions.records import read_study
from aeexp.reproductions.running import SPLITS, find_number
from aeexp.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {"aeexp": ["-m", "aeexp"], "aeexp-encode": ["-m", "aeexp.cli.encode"]}
Metrics = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Table:
    """One entry of tables.yaml; its first lines say what the keys mean."""

    rows: dict[str, str]
    columns: dict[str, str]
    command: str = ""
    seeds: str | int | None = 0
    by: tuple[str, ...] = ()
    baselines: dict[str, str] = dataclasses.field(default_factory=dict)
    mean: str | None = None
    first: tuple[str, ...] = ()
    transposed: bool = False

    def commands(self, output: Path, added: Sequence[str] = ()) -> Iterator[tuple[str, Path, list[str]]]:
        """Name, folder and words of each row's sweep."""
        own = self.seeds is None or any(word.startswith("seed=") for word in added)
        seeds = [] if own else [f"seed={self.seeds}"]
        for index, (name, words) in enumerate(self.rows.items()):
            folder = output / f"{index}_{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_')}"
            given = shlex.split(f"{self.command} {words}".replace("{output}", str(output)))
            yield name, folder, [*given, *seeds, *added]


def read_tables() -> dict[str, Table]:
    """All of tables.yaml, by name."""
    entries = yaml.safe_load(Path(__file__).with_name("tables.yaml").read_text(encoding="utf-8"))
    return {name: Table(**{**read_rows(entry.pop("study", None)), **entry}) for name, entry in entries.items()}


def read_rows(name: str | None) -> dict[str, Any]:
    """Command, rows and seeds of a study's full form, on the rows that everybody has; {} of no study."""
    if name is None:
        return {}
    study = read_study(name)
    rows = study.choices[-1].words if study.choices else ""
    seeds = ",".join(map(str, study.full.seeds))
    return {
        "command": f"{study.command} {rows} {study.full.words}", "rows": study.trained(study.full), "seeds": seeds
    }  # fmt: skip


def execute(name: str, words: Sequence[str]) -> None:
    """One command line in a process of its own, its output on stderr where it fails. Raises CalledProcessError."""
    print(name, shlex.join(words), file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, *COMMANDS[name], *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], file=sys.stderr)
        done.check_returncode()


def read_runs(folder: Path, by: Sequence[str]) -> dict[str, list[Metrics]]:
    """metrics.json of the finished runs of a sweep, by the values of the keys."""
    found: dict[str, list[Metrics]] = {}
    columns: dict[str, list[np.ndarray]] = {}
    paths = folder.glob("*/metrics.json")
    for path in sorted(paths, key=lambda path: (len(path.parent.name), path.parent.name)):
        overrides = yaml.safe_load((path.parent / ".hydra" / "overrides.yaml").read_text(encoding="utf-8"))
        values = dict(word.split("=", 1) for word in overrides if "=" in word)
        group = ", ".join(values[key] for key in by if key in values)
        found.setdefault(group, []).append(json.loads(path.read_text(encoding="utf-8")))
        saved = RunFolder(path.parent).read_codes("dictionary") or {}
        columns.setdefault(group, []).extend(array for name, array in saved.items() if name == "dictionary")
    for group, several in columns.items():
        for run, stability in zip(found[group], compare(several), strict=False):
            run["test"][KEY] = stability
    return found


def read_values(runs: Sequence[Metrics], key: str, place: str = "test") -> tuple[list[float], list[float] | None]:
    """A number (its name may hold a *) in each run, and in the first its interval over rows where it has one."""
    place, name = key.split(":", 1) if ":" in key else (place, key)
    read = [find_number(metrics, name, place) for metrics in runs]
    values, found = [each.value for each in read if each is not None], read[-1].key if read[-1] else name
    intervals = runs[0].get("intervals", {})
    return values, (intervals if place in SPLITS else intervals.get("baseline", {})).get(place, {}).get(found)


def format_number(values: Sequence[float], interval: Sequence[float] | None = None) -> str:
    """Mean and half of its interval, to the first two digits of the latter; over rows where seeds change nothing."""
    found = estimate(values)
    if found is None:
        return "-"
    half = found.half
    if half <= 1e-9 * abs(found.mean):
        half = 0.0 if interval is None else (interval[1] - interval[0]) / 2
    if half == 0:
        return f"{found.mean:.4g}"
    places = max(0, 1 - math.floor(math.log10(half)))
    return f"{found.mean:.{places}f} ± {half:.{places}f}"


def build_grid(table: Table, groups: Mapping[str, Sequence[Metrics]]) -> list[list[str]]:
    """The cells with their heads. A baseline knows nothing of columns that name a place of their own."""

    def cells(runs: Sequence[Metrics], place: str = "test") -> list[str]:
        return [" / ".join(format_number(*read_values(runs, key, place)) for key in keys) for keys in columns]

    columns = [keys.split(" / ") for keys in table.columns.values()]
    grid = [["", *table.columns]] + [[name, *cells(runs)] for name, runs in groups.items()]
    grid += [[name, *cells(next(iter(groups.values())), place)] for name, place in table.baselines.items()]
    if table.mean:
        means = [[[fmean(read_values(runs, key)[0]) for runs in groups.values()] for key in keys] for keys in columns]
        grid += [[table.mean, *(" / ".join(f"{fmean(values):.3f}" for values in keys) for keys in means)]]
    return [list(line) for line in zip(*grid, strict=True)] if table.transposed else grid


def main() -> None:
    """Train what is missing, and print the table."""
    tables = read_tables()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=tables)
    parser.add_argument("--output", type=Path, default=Path("outputs/results"))
    parser.add_argument("--list", action="store_true", help="print the command lines and run nothing")
    given, added = parser.parse_known_args()
    table, output = tables[given.name], given.output.resolve() / given.name
    groups: dict[str, list[Metrics]] = {}
    for line in [shlex.split(line.replace("{output}", str(output))) for line in table.first]:
        if given.list:
            print(shlex.join(line))
        else:
            execute(line[0], line[1:])
    for name, folder, words in table.commands(output, added):
        line = ["-m", *words, "threads=1", "plot=none", f"hydra.sweep.dir={folder}"]
        if given.list:
            print(shlex.join(["aeexp", *line]))
            continue
        execute("aeexp", line)
        groups |= {f"{name} {values}".strip(): runs for values, runs in read_runs(folder, table.by).items()}
    for i, line in enumerate(build_grid(table, groups) if groups else []):
        print("|", " | ".join(line), "|")
        if i == 0:
            print(f"|{'---|' * len(line)}")


if __name__ == "__main__":
    main()

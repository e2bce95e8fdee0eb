"""What a notebook shows of a run: its numbers as tables, its figures inline."""

from __future__ import annotations

import base64
import difflib
import html
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from aeexp.diagnoses import Diagnosis
from aeexp.errors import UsageError
from aeexp.runs.evaluations import merge_evaluations

KINDS = {".png": "image/png", ".gif": "image/gif"}


def import_pandas() -> Any:
    """The library, which comes with `aeexp[notebook]`. Raises UsageError where it is missing."""
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise UsageError("frames need pandas: pip install 'aeexp[notebook]'") from error


def format_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of HTML with a title above it; whatever stands in a cell is text."""
    names = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<p>{html.escape(title)}</p><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


@final
class Metrics(dict[str, Any]):
    """The content of metrics.json: `metrics["test"]["reconstruction/mse"]`, `metrics["baseline"]["pca"]`, ..."""

    @property
    def frame(self) -> Any:
        """A frame of pandas: a row for each number, a column for each split and each baseline of the test split.

        Numbers that an evaluation added stand among the others, as ``probe/linear [draws=9]`` where its options differ
        from the run's.
        """
        merged = merge_evaluations({"baseline": {}, **self})
        names = {key: name for entry in (self, *self.get("evaluations", [])) for key, name in
                 (entry.get("baseline_names") or {}).items()}  # fmt: skip
        columns = {split: merged[split] for split in ("train", "val", "test") if merged.get(split)}
        columns |= {names.get(row, row): values for row, values in merged["baseline"].items() if values}
        return import_pandas().DataFrame(columns, dtype=float)

    def _repr_html_(self) -> str:
        return self.frame.to_html(float_format=lambda value: f"{value:.4g}", na_rep="-")


@final
class History(list[dict[str, Any]]):
    """Rows of history.csv: a row for each split and evaluation, with step, epoch and the terms of the loss."""

    @property
    def frame(self) -> Any:
        """A frame of pandas; `history.frame.query("split == 'val'").plot("step", "loss")` is a learning curve."""
        return import_pandas().DataFrame(list(self))

    def _repr_html_(self) -> str:
        return self.frame.to_html(float_format=lambda value: f"{value:.4g}", na_rep="-", max_rows=20)


@final
class Diagnoses(tuple[Diagnosis, ...]):
    """Illnesses of a run, the gravest first; empty of a healthy one."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no illness found"

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{html.escape(str(each))}</li>" for each in self)
        return f"<ul>{lines}</ul>" if lines else "<p>no illness found</p>"


@final
class Picture:
    """A figure as it lies in a folder; a notebook shows it inline, an animation moves."""

    def __init__(self, path: Path):
        self.path = path

    def __repr__(self) -> str:
        return f"Picture({str(self.path)!r})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What IPython asks for."""
        return {KINDS[self.path.suffix]: self.encode(), "text/plain": repr(self)}

    def encode(self) -> str:
        """The file in base64."""
        return base64.b64encode(self.path.read_bytes()).decode("ascii")


@final
class Figures(Mapping[str, Picture]):
    """The pictures that lie in a folder now, by name."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __getitem__(self, name: str) -> Picture:
        for ending in KINDS:
            path = self.folder / f"{name}{ending}"
            if name in self and path.is_file():
                return Picture(path)
        near = difflib.get_close_matches(name, list(self), n=1)
        way = f"did you mean {near[0]}?" if near else f"there are {', '.join(self) or 'none'}"
        raise KeyError(f"{name}: there is no such figure; {way}")

    def __iter__(self) -> Iterator[str]:
        paths = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        return iter(dict.fromkeys(path.stem for path in paths if path.suffix in KINDS and path.is_file()))

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Figures({', '.join(self)})"

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def _repr_html_(self) -> str:
        shown = []
        for name, picture in self.items():
            source = f"data:{KINDS[picture.path.suffix]};base64,{picture.encode()}"
            shown.append(f'<p>{html.escape(name)}</p><img alt="{html.escape(name)}" width="600" src="{source}">')
        return "".join(shown)

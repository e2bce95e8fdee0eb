"""What a figure calls a run, its classes, and the groups that an attribute makes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aeexp.drawing.canvas import format_number
from aeexp.evaluation.run import Run

SOURCES = {
    "prior": "the prior",
    "gaussian": "one Gaussian",
    "mixture": "a mixture\nof Gaussians",
    "kernel": "a kernel\ndensity",
    "flow": "a flow",
    "two_stage": "a second VAE",
    "diffusion": "a diffusion",
    "autoregressive": "a law of\nits tokens",
}
"""What a sampler is called in a figure."""

LONGEST = 20  # characters of a name in a legend


def heading(run: Run, content: str) -> str:
    """The title of a figure: the data, what the figure holds, and the width of the code."""
    units = run.model.latent.dim
    return f"{run.data.name}: {content} (code of {units} unit{'s' if units > 1 else ''})"


def class_name(run: Run, label: int) -> str:
    """The name of a class, short enough for a legend."""
    return value_name(run.data.classes, label)


def value_name(names: Sequence[str], value: int) -> str:
    """The name of a class or of a value of an attribute, short enough for a legend; its number where it has none."""
    return shorten(names[value] if 0 <= value < len(names) else str(value))


def row_names(run: Run, split: str) -> list[str]:
    """What each row of a split is labelled with: its class, or the number to predict; "" where it is not known.

    [] where the data has no labels.
    """
    labels, numbers = run.labels(split), run.responses(split)
    if labels is not None:
        return ["" if label < 0 else class_name(run, label) for label in labels.tolist()]
    if numbers is not None:
        return ["" if math.isnan(number) else format_number(number) for number in numbers.tolist()]
    return []


def group_names(run: Run, column: int = 0) -> tuple[str, ...]:
    """What the values 0, 1, ... of an attribute are called; () where nobody said."""
    return run.data.groups[column] if column < len(run.data.groups) else ()


def attribute_name(run: Run, column: int = 0) -> str:
    """What an attribute is called."""
    names = run.data.attributes
    return names[column] if column < len(names) else "attribute" if column == 0 else f"attribute {column}"


def cut(name: str, longest: int) -> str:
    """A name of at most that many characters: what is left out is its end."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def shorten(name: str, longest: int = LONGEST) -> str:
    """A name of at most that many characters: what is left out lies before its end."""
    if len(name) <= longest:
        return name
    end = (longest - 1) * 7 // 19
    return f"{name[: longest - 1 - end]}…{name[len(name) - end :]}"

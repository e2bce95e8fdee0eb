"""Grids of new examples from several models, in one figure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from aeexp.conditions import Attribute, Label
from aeexp.drawing import canvas
from aeexp.models.autoencoder import Autoencoder

SIDE = 8  # drawn codes on each side of a grid
LABELS = 10  # rows at most where a row is a label
WIDTH = 12.8  # inches: a slide's


class Panel(NamedTuple):
    """What one model draws."""

    title: str
    source: str  # where its codes come from, in words
    pictures: np.ndarray  # (R, C, *shape)
    limits: tuple[float, float]


@torch.no_grad()
def sample_grid(model: Autoencoder) -> tuple[np.ndarray, str] | None:
    """(R, C, *shape) what codes drawn by torch's generator give, and where the codes come from, in words.

    A conditional model has one row a label, the same codes in each; None where its values cannot be listed.
    """
    source = "the prior" if model.latent.prior is not None else "one Gaussian of the training codes"
    condition = model.condition
    if condition.size == 0:
        examples = model.sample(SIDE * SIDE)
        return examples.unflatten(0, (SIDE, SIDE)).numpy(), f"codes from {source}"
    if not (isinstance(condition, Label) or (isinstance(condition, Attribute) and condition.coded)):
        return None
    rows = min(condition.size, LABELS)
    codes = model.sample_codes(max(rows, SIDE))
    contexts = torch.eye(condition.size)[:rows]
    examples = torch.stack([model.decode(codes, context.expand(len(codes), -1)) for context in contexts])
    kind = "label" if isinstance(condition, Label) else "attribute"
    return examples.numpy(), f"codes from {source}, a row for each {kind}, a column for each code"


def draw_side_by_side(title: str, panels: Sequence[Panel]) -> Figure:
    """One board a panel; what is said of all of them alike is said once."""
    columns = _columns(len(panels))
    lines = math.ceil(len(panels) / columns)
    width = min(4.6 if lines == 1 else 3.2, WIDTH / columns)
    size = 14 if width > 3 else 11
    shared = len({panel.source for panel in panels}) == 1
    heading = f"{title}\n{panels[0].source}" if shared else title
    heading = "\n".join(textwrap.fill(line, int(width * columns / 0.11)) for line in heading.split("\n"))
    titles = [_break(panel.title, int(width / (0.0085 * size))) for panel in panels]
    depth = max(_height(panel) for panel in panels) * (width - 0.2)
    beyond = 0.3 * (max(text.count("\n") for text in titles) + 1) + (0 if shared else 0.5)
    figure = canvas.figure("", width * columns, lines * (depth + beyond) + 0.4 + 0.25 * heading.count("\n"))
    figure.suptitle(heading, fontsize=13)
    boards = canvas.panels(figure, lines, columns, len(panels))
    for axes, panel, text in zip(boards, panels, titles, strict=True):
        rows, across = panel.pictures.shape[:2]
        canvas.lay_out(axes, across, rows, panel.pictures.shape[2:])
        canvas.draw_tiles(axes, panel.pictures, panel.limits)
        axes.set_title(text, fontsize=size)
        if not shared:
            axes.set_xlabel(textwrap.fill(panel.source, int(width / 0.075)), fontsize=9)
    return figure


def _break(title: str, width: int) -> str:
    """Lines of a title; an override that is longer than one breaks behind its key, not within a name."""
    words = (word.replace("=", "= ", 1) if len(word) > width else word for word in title.split())
    return textwrap.fill(" ".join(words), width, break_on_hyphens=False)


def _columns(panels: int) -> int:
    """Panels in a row: up to four stand in one, more in two, as a slide is wider than high."""
    return panels if panels <= 4 else math.ceil(panels / 2)


def _height(panel: Panel) -> float:
    """Of the board, as a share of its width."""
    rows, columns = panel.pictures.shape[:2]
    return rows / columns * canvas.proportion(panel.pictures.shape[2:])

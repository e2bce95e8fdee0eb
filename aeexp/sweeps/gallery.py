"""What the models of a sweep draw, side by side: from the run folders to samples.png."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from aeexp.drawing import canvas
from aeexp.drawing.side_by_side import Panel, draw_side_by_side, sample_grid
from aeexp.runs.folder import RunFolder
from aeexp.runs.loading import load
from aeexp.sweeps.selection import DPI, SEED, choose_shown, read_data

log = logging.getLogger(__name__)

FLAT = 0.1  # of the data's range: lines that take less of it look all alike


def save_gallery(root: Path, trust: Sequence[str] = ()) -> None:
    """Write samples.png for the finished runs below `root`, if there are any to show; of parts of packages in
    `trust` too."""
    figure = draw_gallery(root, trust)
    if figure is None:
        return
    canvas.save(figure, root / "samples.png", DPI)
    log.info("samples side by side: %s", root / "samples.png")


def draw_gallery(root: Path, trust: Sequence[str] = ()) -> Figure | None:
    """A panel for each finished run; of those that differ in seed or fold alone the first."""
    titles, common = choose_shown(root)
    panels = [(run, panel) for title, run in titles if (panel := draw_panel(run, title, trust)) is not None]
    if not panels:
        return None
    names = {read_data(run)["name"] for run, _ in panels}
    title = f"{', '.join(sorted(names))}: new examples, decoded from drawn codes"
    return draw_side_by_side(f"{title}\n{common}".rstrip(), [panel for _, panel in panels])


def draw_panel(run: RunFolder, title: str, trust: Sequence[str] = ()) -> Panel | None:
    """None, and a line that says why, where nothing can be drawn."""
    with torch.random.fork_rng():
        try:
            model = load(run.path, trust=trust)
            limits = read_data(run).get("limits")
        # RuntimeError: weights of an older version do not fit; ValueError: metrics.json is cut off
        except (OSError, RuntimeError, ValueError) as error:
            log.warning("%s is not in samples.png: %s", run, str(error).splitlines()[0])
            return None
        if model.masks:
            log.warning("%s is not in samples.png: it decodes masks or text, no pictures", run)
            return None
        torch.manual_seed(SEED)
        examples = sample_grid(model)
    if examples is None:
        log.warning("%s is not in samples.png: no list of the values of its side information", run)
        return None
    pictures, caption = examples
    chosen = choose_limits(pictures, limits)
    note = "" if limits is None or chosen == tuple(limits) else ", on a scale of their own"
    return Panel(title, f"{caption}{note}", pictures, chosen)


def choose_limits(pictures: np.ndarray, limits: Sequence[float] | None) -> tuple[float, float]:
    """The data's, which older runs do not say; of lines that would lie flat there, as counts of which few are large,
    those of what is drawn."""
    own = float(pictures.min()), float(pictures.max())
    if limits is None:
        return own
    low, high = limits
    flat = not canvas.are_pictures(pictures.shape[2:]) and own[1] - own[0] < FLAT * (high - low)
    return own if flat else (low, high)

"""What the models of a sweep draw, side by side: from the run folders to samples.png."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from aeexp.drawing import canvas
from aeexp.drawing.side_by_side import Panel, draw_side_by_side, sample_grid
from aeexp.errors import UsageError
from aeexp.runs import build
from aeexp.runs.folder import jobs
from aeexp.sweeps.jobs import overrides

log = logging.getLogger(__name__)

MOST = 12  # panels that still can be read from the last row of a lecture hall
ASIDE = ("threads", "device", "dataset.root", "save_codes", "plot", "metric")  # no word on what was trained
DPI = 200  # a tile of 28 pixels has 2.7 dots for each
SEED = 0  # of the codes, the same in every panel


def gallery(root: Path) -> None:
    """Write samples.png for the finished runs below `root`, if there are any to show."""
    figure = compared(root)
    if figure is None:
        return
    canvas.save(figure, root / "samples.png", DPI)
    log.info("samples side by side: %s", root / "samples.png")


def compared(root: Path) -> Figure | None:
    """A panel for each finished run; of those that differ in seed or fold alone the first."""
    found = distinct(finished(root))
    if len(found) > MOST:
        log.info("samples.png shows the first %d of %d different runs", MOST, len(found))
    shown = list(found.items())[:MOST]
    shared = set.intersection(*(set(words) for words, _ in shown)) if shown else set()
    loaded = [(words, folder, panel(folder, titled(words, shared))) for words, folder in shown]
    panels = [(folder, made) for _, folder, made in loaded if made is not None]
    if not panels:
        return None
    names = {described(folder)["name"] for folder, _ in panels}
    common = " ".join(word for word in shown[0][0] if word in shared and not word.startswith(ASIDE))
    title = f"{', '.join(sorted(names))}: new examples, decoded from drawn codes"
    return draw_side_by_side(f"{title}\n{common}".rstrip(), [made for _, made in panels])


def finished(root: Path) -> list[Path]:
    """Folders of finished runs that were asked for figures, in the order of the jobs."""
    states = {folder: json.loads((folder / "status.json").read_text(encoding="utf-8")) for folder in jobs(root)}
    done = [folder for folder, state in states.items() if state["status"] == "finished"]
    return [folder for folder in done if OmegaConf.load(folder / ".hydra" / "config.yaml").get("plot")]


def distinct(folders: Sequence[Path]) -> dict[tuple[str, ...], Path]:
    """The first folder of each set of overrides; seeds and folds do not count."""
    first: dict[tuple[str, ...], Path] = {}
    for folder in folders:
        first.setdefault(tuple(overrides(folder)), folder)
    return first


def titled(words: Sequence[str], shared: set[str]) -> str:
    return "  ".join(word for word in words if word not in shared) or "defaults"


def panel(folder: Path, title: str) -> Panel | None:
    """None, and a line that says why, where nothing can be drawn."""
    with torch.random.fork_rng():
        try:
            model = build.load(folder)
            limits = described(folder).get("limits")
        except (UsageError, OSError, RuntimeError) as error:  # RuntimeError: weights of an older version do not fit
            log.warning("%s is not in samples.png: %s", folder, str(error).splitlines()[0])
            return None
        if model.masks:
            log.warning("%s is not in samples.png: it decodes masks, no examples", folder)
            return None
        torch.manual_seed(SEED)
        made = sample_grid(model)
    if made is None:
        log.warning("%s is not in samples.png: no list of the values of its side information", folder)
        return None
    pictures, words = made
    low, high = limits or (float(pictures.min()), float(pictures.max()))  # older runs do not say
    return Panel(title, words, pictures, (low, high))


def described(folder: Path) -> dict:
    """The node `data` of metrics.json."""
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["data"]

"""Pictures as data URIs: curves over a swept value, and a run's figures, small enough to lie in one page."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from aeexp.reports.grouping import Group
from aeexp.reports.swept import Sweep

MOST = 24  # groups whose figures are shown
PICTURES = 120  # in all: each takes 20 ms
WIDE = 700  # pixels
BYTES = 12_000_000  # of all figures; what is beyond is left out, and said
COLORS = 64


class Picture(NamedTuple):
    source: str  # data URI
    width: int
    height: int


class Shown(NamedTuple):
    """The figures of one run."""

    group: str
    folder: Path
    figures: dict[str, Picture]


class Gallery(NamedTuple):
    names: list[str]  # of figures, in the order of the alphabet
    runs: list[Shown]
    left_out: str  # in words; "" of nothing


def curves(found: Sweep) -> Picture | None:
    """Numbers over the swept value; None where no number was swept, or more lines than can be told apart."""
    from aeexp.reports import sweep_figures

    if found.name is None or len(found.points) < 2:
        return None
    figure = sweep_figures.curves(found, sweep_figures.panels(sweep_figures.measured(found)))
    if figure is None:
        return None
    figure.savefig(buffer := io.BytesIO(), format="png", dpi=140)
    return encoded(buffer, 1700, 256)


def pictures(groups: Sequence[Group]) -> Gallery:
    """Figures of the first run of each group that has some; of many figures a run, fewer runs."""
    found = [(group, folder) for group in groups if (folder := drawn(group))]
    names = sorted({path.stem for _, folder in found[:MOST] for path in folder.glob("*.png")})
    runs = found[: min(MOST, max(4, PICTURES // max(1, len(names))))]
    places = [(name, folder) for name in names for _, folder in runs]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow works outside of Python's lock
        made = dict(zip(places, pool.map(lambda place: small(place[1] / f"{place[0]}.png"), places), strict=True))
    room, kept = BYTES, []
    for name in names:  # a figure of all runs, or of none
        size = sum(len(picture.source) for _, folder in runs if (picture := made[name, folder]))
        if size <= room:
            kept.append(name)
            room -= size
    shown = [
        Shown(group.name, folder.parent, {n: picture for n in kept if (picture := made[n, folder])})
        for group, folder in runs
    ]
    return Gallery(kept, shown, left_out(len(found), len(runs), [name for name in names if name not in kept]))


def left_out(found: int, shown: int, names: Sequence[str]) -> str:
    words = [f"figures of {found - shown} of {found} groups"] if found > shown else []
    if names:
        words.append(f"{', '.join(names)} (all figures may take {BYTES // 1_000_000} MB)")
    return f"Left out: {'; '.join(words)}. The run folders have them." if words else ""


def drawn(group: Group) -> Path | None:
    """The first folder of figures that holds one."""
    folders = (record.folder / "figures" for record in group.records)
    return next((folder for folder in folders if next(folder.glob("*.png"), None)), None)


def small(path: Path) -> Picture | None:
    """None where the file is missing or broken: a page does not fail for a figure."""
    try:
        return encoded(path, WIDE, COLORS)
    except OSError:
        return None


def encoded(file: Path | io.BytesIO, width: int, colors: int) -> Picture:
    """At most so wide, in so many colours: text and flat areas keep, and a tenth of the bytes is left."""
    from PIL import Image

    with Image.open(file) as opened:
        image = opened.convert("RGB")
    if image.width > width:
        height = max(1, round(image.height * width / image.width))
        image = image.resize((width, height), Image.Resampling.HAMMING, reducing_gap=2.0)
    image = image.quantize(colors, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    image.save(buffer := io.BytesIO(), "PNG", compress_level=4)
    text = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/png;base64,{text}", image.width, image.height)

"""Pictures as data URIs: curves over a swept value, and a run's figures, small enough to lie in one page."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from aeexp import files
from aeexp.reports.grouping import Group
from aeexp.reports.swept import Sweep
from aeexp.runs.folder import RunFolder

MOST = 24  # groups whose figures are shown
PICTURES = 120  # in all: each takes 20 ms
WIDE = 1400  # pixels of a run's figure: twice what the page shows at most, for screens and printers of two dots a pixel
WIDEST = 2600  # of what spans the page: curves, and what a sweep draws of all its runs
BYTES = 24_000_000  # of all figures; what is beyond is left out, and said
SWEEPS = 4  # whose own figures are shown
COLORS = 64
NEARLY = 250  # of 255: paper that few colours have made a little grey is white again
PIXELS = 64_000_000  # of one figure: 200 MB when it is unpacked


class Picture(NamedTuple):
    """A PNG that lies in the page."""

    source: str  # data URI
    width: int
    height: int


class RunFigures(NamedTuple):
    """The figures of one run."""

    group: str
    folder: Path
    figures: dict[str, Picture]


class Gallery(NamedTuple):
    """The figures of the runs that the page shows."""

    names: list[str]  # of figures, in the order of the alphabet
    runs: list[RunFigures]
    left_out: str  # a sentence; "" of nothing


def encode_curves(sweep: Sweep) -> Picture | None:
    """Numbers over the swept value; None where no number was swept, or more lines than can be told apart."""
    from aeexp.drawing.page import encode_png  # with matplotlib
    from aeexp.reports import sweep_figures

    if sweep.name is None or len(sweep.points) < 2:
        return None
    figure = sweep_figures.draw_curves(sweep, sweep_figures.choose_panels(sweep_figures.list_keys(sweep)))
    if figure is None:
        return None
    return encode(encode_png(figure, 192), WIDEST, 256)  # twice a screen's 96


def collect_pictures(groups: Sequence[Group]) -> Gallery:
    """Figures of the first run of each group that has some; of many figures a run, fewer runs."""
    having = [(group, folder) for group in groups if (folder := find_figures(group))]
    names = sorted({name for _, folder in having[:MOST] for name in folder.list_figures()})
    runs = having[: min(MOST, max(4, PICTURES // max(1, len(names))))]
    places = [(name, folder) for name in names for _, folder in runs]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow works outside of Python's lock
        pictures = dict(
            zip(places, pool.map(lambda place: shrink(place[1].figures / f"{place[0]}.png", WIDE), places), strict=True)
        )
    room, kept = BYTES, []
    for name in names:  # a figure of all runs, or of none
        size = sum(len(picture.source) for _, folder in runs if (picture := pictures[name, folder]))
        if size <= room:
            kept.append(name)
            room -= size
    figures = [
        RunFigures(group.name, folder.path, {n: picture for n in kept if (picture := pictures[n, folder])})
        for group, folder in runs
    ]
    left_out = describe_left_out(len(having) - len(runs), len(having), [name for name in names if name not in kept])
    return Gallery(kept, figures, left_out)


def collect_galleries(groups: Sequence[Group]) -> list[tuple[str, Picture]]:
    """What lies in the folders of sweeps beside their runs: samples.png, reconstructions.png, hpo_*.png, ...

    sweep.png is left out: the page draws it itself.
    """
    folders = dict.fromkeys(record.folder.parent for group in groups for record in group.records)
    sweeps = [folder for folder in folders if (folder / "multirun.yaml").is_file()][:SWEEPS]
    galleries, room = [], BYTES // 2
    for folder in sweeps:
        for path in sorted(folder.glob("*.png")):
            picture = None if path.stem == "sweep" else shrink(path, WIDEST)
            if picture is not None and len(picture.source) <= room:
                room -= len(picture.source)
                galleries.append((path.stem if len(sweeps) == 1 else f"{folder.name}/{path.stem}", picture))
    return galleries


def describe_left_out(count: int, groups: int, names: Sequence[str]) -> str:
    """A sentence on `count` of `groups` groups and on figures by `names` that are not shown; "" of nothing."""
    parts = [f"figures of {count} of {groups} groups"] if count else []
    if names:
        parts.append(f"{', '.join(names)} (all figures may take {BYTES // 1_000_000} MB)")
    return f"Left out: {'; '.join(parts)}. The run folders have them." if parts else ""


def find_figures(group: Group) -> RunFolder | None:
    """The first run folder whose figures hold one."""
    folders = (RunFolder(record.folder) for record in group.records)
    return next((folder for folder in folders if folder.list_figures()), None)


def shrink(path: Path, width: int) -> Picture | None:
    """As small as the page shows it; None of a missing or broken file: a page does not fail for a figure."""
    from PIL import Image

    try:
        return encode(files.read_bytes(path, files.MOST_TABLE), width, COLORS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # Pillow's on damaged files
        return None


def encode(content: bytes, width: int, colors: int) -> Picture:
    """At most so wide, in so many colours: text and flat areas keep, and a tenth of the bytes is left.

    Raises ValueError for a picture that would fill the memory.
    """
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=["PNG"]) as source:
        if source.width * source.height > PIXELS:
            raise ValueError(f"{source.width} x {source.height} pixels are too many")
        image = source.convert("RGB")
    if image.width > width:
        height = max(1, round(image.height * width / image.width))
        image = image.resize((width, height), Image.Resampling.HAMMING, reducing_gap=2.0)
    image = image.quantize(colors, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    image.putpalette([255 if level >= NEARLY else level for level in image.getpalette() or []])
    image.save(buffer := io.BytesIO(), "PNG", compress_level=4)
    text = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/png;base64,{text}", image.width, image.height)

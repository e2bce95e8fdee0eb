"""Pictures of a model in training: pixels alone, since a figure at each look would cost more than the steps between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from aeexp.drawing import canvas, channels, naming
from aeexp.drawing.tables import Columns, write_number, write_share

SIDE = 64  # pixels of a tile at least
WIDE, HIGH = 112, 64  # of a tile that is a line
LINE, NAMES, CELL = 17, 150, 116  # of a table: height of a line, widths of the names and of a cell
MOST = 30  # columns of a table


def draw_examples(rows: Sequence[np.ndarray], shape: Sequence[int], limits: tuple[float, float]) -> np.ndarray:
    """(H, W, 3) uint8: examples (N, *shape), a row of tiles for each member; flat ones are lines."""
    if not canvas.are_pictures(shape):
        return _draw_lines(rows, limits)
    examples = np.stack(rows)
    if examples.ndim == 4:
        examples = examples[:, :, : canvas.STEPS].swapaxes(2, 3)[:, :, None, ::-1]  # time from left to right
    brightness = np.nan_to_num(canvas.scale(channels.spread(examples), limits), nan=1.0).clip(0, 1)
    if brightness.shape[2] == 1:
        brightness = brightness.repeat(3, 2)
    times = max(1, -(-SIDE // max(brightness.shape[3:])))
    pixels = (255 * brightness).round().astype(np.uint8).repeat(times, 3).repeat(times, 4)
    pixels = np.pad(pixels, ((0, 0), (0, 0), (0, 0), (2, 2), (2, 2)), constant_values=255)
    high, across, _, height, width = pixels.shape
    return pixels.transpose(0, 3, 1, 4, 2).reshape(high * height, across * width, 3)


def _draw_lines(rows: Sequence[np.ndarray], limits: tuple[float, float]) -> np.ndarray:
    """Lines of the members over each other, the first black and thick: one tile an example."""
    count = len(rows[0])
    sheet = Image.new("RGB", (count * (WIDE + 8), HIGH + 8), "white")
    draw = ImageDraw.Draw(sheet)
    for number, examples in enumerate(rows):
        colour, width = ("black", 3) if number == 0 and len(rows) > 1 else (canvas.LINES[max(0, number - 1)], 2)
        for place, example in enumerate(examples):
            values = canvas.scale(example.reshape(-1), limits).clip(-0.03, 1.03)
            known = np.isfinite(values)
            across = 4 + place * (WIDE + 8) + np.linspace(0, WIDE, len(values))[known]
            points = np.column_stack([across, 4 + HIGH * (1 - values[known])])
            draw.line([tuple(point) for point in points], fill=colour, width=width)
    return np.asarray(sheet)


def draw_table(columns: Columns, header: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: rows (N, D) of a table in its own units, a column of cells for each below its word."""
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 12)
    chosen = list(zip(columns.variables, columns.places, strict=True))[:MOST]
    sheet = Image.new("RGB", (NAMES + CELL * len(rows), LINE * (len(chosen) + 1) + 6), "white")
    draw = ImageDraw.Draw(sheet)
    for across, word in enumerate(header):
        draw.text((NAMES + CELL * across, 3), word, "black", font)
    for line, (variable, place) in enumerate(chosen, start=1):
        draw.text((4, 3 + LINE * line), naming.cut(variable.name, 20), "black", font)
        for across, row in enumerate(rows[:, place]):
            text = write_number(float(row[0]))
            if variable.categories:
                best = int(row.argmax())
                text = f"{naming.cut(variable.categories[best], 9)} {write_share(float(row[best]))}"
            draw.text((NAMES + CELL * across, 3 + LINE * line), text, canvas.BLUE if across % 2 else "black", font)
    return np.asarray(sheet)

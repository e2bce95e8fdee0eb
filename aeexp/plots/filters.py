"""What the first layer looks for and what the last layer paints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor, nn
from torch.func import functional_call

from aeexp.drawing import canvas, naming, tables
from aeexp.drawing.arrays import to_array
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.run import Run
from aeexp.models.nn import conv, mlp

FEATURES = 40  # of a table, by name


@final
class Filters(Plot):
    """Weights of the encoder's first and the decoder's last layer, the `most` largest by norm; where the layer's units
    are those of the code, by norm times how much the unit varies over test rows, so that one that never speaks is last.

    Fully connected: one filter a unit, in the shape of the input. Convolutional, residual too: kernels, and what one
    unit of each last feature map paints. Other architectures have no such picture, nor has a decoder that gives
    several numbers for a value of the row.
    """

    unfilmed: ClassVar = ""

    def __init__(self, *, most: Annotated[int, Interval(ge=1, le=400)] = 64):
        self.most = most

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        judge = self.like or run
        layers, last = find_filters(run), find_filters(judge)
        return {
            name: self.draw(run, *layer, last[name][1], spread_units(judge, name)) for name, layer in layers.items()
        }

    def draw(self, run: Run, content: str, filters: Tensor, last: Tensor, spread: np.ndarray | None) -> Figure:
        """The strongest of filters (units, *shape), with their numbers; `last` and `spread` say which these are."""
        weights = to_array(filters)
        units = choose_strongest(to_array(last), self.most, spread)
        title = naming.heading(run, content)
        if len(units) < len(weights):
            how = "with the largest norm" if spread is None else "that say most: weight times spread of the unit"
            title += f"\nthe {len(units)} of {len(weights)} {how}"
        if canvas.are_pictures(weights.shape[1:]):
            return _pictures(title, weights[units], units + 1)
        return _heat(title, weights[units], units + 1, tables.name_features(run.data))


Layer = tuple[str, Tensor]  # what its filters are, in words, and the filters


def find_filters(run: Run) -> dict[str, Layer]:
    """Those of both layers, as far as they are pictures, by the names of their figures."""
    layers = {
        "filters_encoder": encoder_filters(run.model.encoder, run.data.shape),
        "filters_decoder": decoder_filters(run.model.decoder, run.data.shape),
    }
    return {name: layer for name, layer in layers.items() if layer is not None}


def encoder_filters(encoder: nn.Module, shape: torch.Size) -> Layer | None:
    """(units, *shape) or (maps, C, k, k): weights on the example, without those on side information."""
    if isinstance(encoder, mlp.Encoder):
        weight = _weight(encoder.layers[0])[:, : math.prod(shape)]
        return "weights of the encoder's first layer", weight.unflatten(1, shape)
    if isinstance(encoder, conv.Encoder):
        return "kernels of the encoder's first layer", _weight(encoder.convolutions[0])[:, : shape[0]]
    return None


def decoder_filters(decoder: nn.Module, shape: torch.Size) -> Layer | None:
    """(units, *shape) or (maps, C, h, w): what is added to the output when one unit grows by 1."""
    if isinstance(decoder, mlp.Decoder) and decoder.shape == tuple(shape):  # else: several numbers a value
        weight = _weight(decoder.layers[-1]).T
        return "what each unit paints by the decoder's last layer", weight.unflatten(1, shape)
    if isinstance(decoder, conv.Decoder) and decoder.planes == shape[0]:
        answer = impulse_response(decoder.steps[-1], _size(decoder))
        return "what one place of each last feature map paints", answer
    return None


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def impulse_response(step: nn.Module, size: tuple[int, int]) -> Tensor:
    """(maps, C, h, w): the last step's answer to a single 1 in the middle of each map, cut to where it is not 0.

    For a transposed convolution these are its kernels; interpolation and shuffling become part of the picture.
    """
    weight = next(p for name, p in step.named_parameters() if name.endswith("weight"))
    maps = weight.shape[0 if isinstance(step, nn.ConvTranspose2d) else 1]
    impulse = weight.new_zeros(maps, maps, *size)
    impulse[range(maps), range(maps), size[0] // 2, size[1] // 2] = 1
    unbiased = {name: torch.zeros_like(p) for name, p in step.named_parameters() if name.endswith("bias")}
    answer = functional_call(step, unbiased, (impulse,))
    rows, columns = (answer.abs().amax((0, 1, side)).nonzero().flatten() for side in (3, 2))
    if len(rows) == 0:
        return answer
    return answer[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _size(decoder: conv.Decoder) -> tuple[int, int]:
    """Height and width of the maps that the last step takes: one pass of zeros says it."""
    h = next(decoder.parameters()).new_zeros(1, *decoder.start)
    for step in decoder.steps[:-1]:
        h = step(h)
    return h.shape[2], h.shape[3]


def spread_units(run: Run, name: str) -> np.ndarray | None:
    """(units,) standard deviations over test rows where the filters of that name are those of the code's own units."""
    part = run.model.encoder if name == "filters_encoder" else run.model.decoder
    layers = part.layers if isinstance(part, mlp.Encoder | mlp.Decoder) else ()
    units = run.model.latent.params if name == "filters_encoder" else run.model.latent.dim
    return run.codes("test").std(0) if len(layers) == 1 and units == run.model.latent.dim else None


def choose_strongest(filters: np.ndarray, most: int, spread: np.ndarray | None = None) -> np.ndarray:
    """Numbers of the `most` filters with the largest norm, times `spread` (units,) where that is known, in the order of
    the units."""
    norms = np.linalg.norm(filters.reshape(len(filters), -1), axis=1) * (1.0 if spread is None else spread)
    return np.sort(np.argsort(-norms, kind="stable")[:most])


def _pictures(title: str, filters: np.ndarray, numbers: np.ndarray) -> Figure:
    """Tiles with the unit's number above. Colour filters are shown in colour, around a grey that means 0."""
    columns = min(len(filters), max(4, math.ceil(math.sqrt(len(filters) * 1.6))))
    rows, pitch = math.ceil(len(filters) / columns), 1.2
    scale = canvas.symmetric_limits(filters)
    cell = min(2.0, 8 / columns, max(0.9, 4 / columns))
    figure, axes = canvas.board(title, columns, rows * pitch, filters.shape[1:], cell=cell, beside=1.6)
    image = None
    for row in range(rows):
        part = slice(row * columns, (row + 1) * columns)
        image = canvas.draw_tiles(axes, filters[part][None], scale, top=row * pitch, cmap=canvas.SIGNED)
        for column, number in enumerate(numbers[part]):
            text = axes.text(column, row * pitch - 0.48, str(number), ha="center", va="bottom", fontsize=7, color="0.3")
            text.set_in_layout(row == 0)  # the others lie within the axes
    if filters.ndim == 4 and filters.shape[1] == 3:
        axes.set_xlabel(f"in each colour channel middle grey is 0, full is {scale[1]:.2g}, none is −{scale[1]:.2g}")
    elif image is not None:
        figure.colorbar(image, ax=axes, label="weight", shrink=0.8, pad=0.02)
    return figure


def _heat(title: str, filters: np.ndarray, numbers: np.ndarray, names: Sequence[str]) -> Figure:
    """Flat data: one row a unit, one column a feature; of a table those with the largest weights, by name."""
    flat = filters.reshape(len(filters), -1)
    if names:
        chosen = np.sort(np.argsort(-np.abs(flat).max(0), kind="stable")[:FEATURES])
        title += (
            ""
            if len(chosen) == len(names)
            else f"\nthe {len(chosen)} of {len(names)} features with the largest weights"
        )
        flat = flat[:, chosen]
        names = [names[int(feature)] for feature in chosen]
    low, high = canvas.symmetric_limits(flat)
    height = float(np.clip(0.22 * len(flat), 1.2, 7))
    figure = canvas.figure(title, float(np.clip(0.5 * flat.shape[1] + 2, 5.5, 9)), height + 1.4 + (1.6 if names else 0))
    axes = figure.add_subplot()
    extent = (0.5, flat.shape[1] + 0.5, len(flat) - 0.5, -0.5)
    image = axes.imshow(
        flat, extent=extent, cmap=canvas.SIGNED, vmin=low, vmax=high, aspect="auto", interpolation="nearest"
    )
    every = math.ceil(len(numbers) / 16)
    axes.set_yticks(range(0, len(numbers), every), [str(number) for number in numbers[::every]])
    if names:
        axes.set_xticks(range(1, len(names) + 1), names, rotation=90, fontsize=7)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        axes.set_xlabel("feature")
    axes.set_ylabel("unit")
    figure.colorbar(image, ax=axes, label="weight")
    return figure

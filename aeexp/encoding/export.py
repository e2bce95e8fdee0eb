"""The two halves of a trained model as files that need no aeexp: torch.export and ONNX, with any number of rows."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from aeexp import files
from aeexp.errors import UsageError
from aeexp.models.nn import unet
from aeexp.runs.loading import LoadedRun

Format = Literal["onnx", "torch"]
NEEDED = ("onnx", "onnxscript")
ENDING = {"onnx": ".onnx", "torch": ".pt2"}


@final
class Encoder(nn.Module):
    """Rows (B, *shape) -> mean codes (B, D); context (B, C) and mask (B, T) where the model has them.

    Rows are in the data's units, after preprocessing, as `aeexp.load(RUN).encode` takes them.
    """

    def __init__(self, run: LoadedRun):
        super().__init__()
        self.model = run.model

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Mean codes."""
        return self.model.encode(x, context, mask).mean


@final
class Decoder(nn.Module):
    """Codes (B, D) -> the likelihood's mean (B, *shape); context (B, C) where the model has one."""

    def __init__(self, run: LoadedRun):
        super().__init__()
        self.model = run.model

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The likelihood's mean."""
        return self.model.decode(z, context)


def export_model(run: LoadedRun, folder: Path, kind: Format, force: bool = False) -> list[Path]:
    """Write encoder and decoder into a folder and return the files. Raises UsageError where a package is missing."""
    if kind == "onnx":
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise UsageError(f"--export onnx needs {' and '.join(missing)}: pip install 'aeexp[onnx]'")
    paths = [folder / f"{part}{ENDING[kind]}" for part in ("encoder", "decoder")]
    for path in paths:
        if not force and path.exists():
            raise UsageError(f"{path} is there already: give another folder by --output, or --force to write over it")
    if isinstance(run.model.decoder, unet.Decoder):
        raise UsageError(
            "the maps of model=unet go round the code: its halves are not the model. Use aeexp.load(RUN) in Python"
        )
    for path, (module, inputs) in zip(paths, _build_halves(run), strict=True):
        _write(path, module, inputs, kind)
    return paths


def _build_halves(run: LoadedRun) -> list[tuple[nn.Module, dict[str, Tensor]]]:
    """Each half with an example of its inputs by name: two rows, which stand for any number."""
    model, shape = run.model, run.saved["facts"]["shape"]
    size = model.condition.size
    context = {"context": torch.zeros(2, size, device=run.device)} if size else {}
    told = context if model.condition.told else {}
    mask = {"mask": torch.ones(2, shape[0], dtype=torch.bool, device=run.device)} if len(shape) == 2 else {}
    x, z = (torch.zeros(2, *row, device=run.device) for row in (shape, (model.latent.dim,)))
    return [(Encoder(run).eval(), {"x": x, **told, **mask}), (Decoder(run).eval(), {"z": z, **context})]


def _translate_missing() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Operations that torch.onnx has no words for: a stable sort is ONNX's TopK of all, whose ties keep their order."""
    from onnxscript import opset18

    op: Any = opset18  # whose annotations speak of what ONNX holds, not of what a translation hands on

    def sort(values, stable=None, dim: int = -1, descending: bool = False):
        count = op.Gather(op.Shape(values), op.Constant(value_ints=[dim]))
        return op.TopK(values, count, axis=dim, largest=int(descending))

    return {torch.ops.aten.sort.stable: sort}


def _write(path: Path, module: nn.Module, inputs: dict[str, Tensor], kind: Format) -> None:
    rows = torch.export.Dim("rows", min=1)
    dynamic = {name: {0: rows} for name in inputs}
    with torch.no_grad(), warnings.catch_warnings():
        # nn.GRU keeps a list of its own weights, and renews it at every call
        warnings.filterwarnings("ignore", "The tensor attributes .* were assigned during export")
        program = torch.export.export(module, (), inputs, dynamic_shapes=dynamic)
    if kind == "torch":
        files.write(path, lambda file: torch.export.save(program, file))
        return
    try:
        onnx = torch.onnx.export(program, dynamo=True, verbose=False, custom_translation_table=_translate_missing())
    except torch.onnx.OnnxExporterError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise UsageError(f"{path.stem}: ONNX has no words for this model: {reason}\nTake --export torch") from error
    assert onnx is not None, "dynamo gives a program"
    content = onnx.model_proto.SerializeToString()  # weights inside: one file
    files.write(path, lambda file: file.write(content))

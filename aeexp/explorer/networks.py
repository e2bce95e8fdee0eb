"""The networks of a run that the page computes, what they must give, and what cannot be computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aeexp.contracts import Model
from aeexp.evaluation.run import Run
from aeexp.explorer.blobs import Blobs
from aeexp.explorer.graph import Untranslatable
from aeexp.explorer.halves import Decoding, Labelling, Reconstruction, Way
from aeexp.explorer.tracing import build_graph
from aeexp.models.autoencoder import Autoencoder
from aeexp.types import Batch

TRIED = 2  # rows on which the page compares itself with PyTorch


@torch.no_grad()
def describe_networks(run: Run, batch: Batch, contexts: Tensor | None, blobs: Blobs) -> dict[str, Any]:
    """Graphs by name, what PyTorch gives for the first rows, and a sentence on each network that has no graph."""
    model = run.model
    side = {} if contexts is None else {"context": contexts[:1]}
    mask = {} if batch.mask is None else {"mask": batch.mask[:1]}
    code = encode_rows(model, batch, contexts)[:1]
    jobs: dict[str, tuple[nn.Module, Mapping[str, Tensor]]] = {
        "decode": (Decoding(model), {"z": code, **side}),
        "reconstruct": (Reconstruction(model), {"x": batch.x[:1], **side, **mask}),
        "way": (Way(model), {"a": code, "b": code.clone(), "share": torch.zeros(1, 1)}),
    }
    if run.learner.objective.infers_labels and contexts is not None:
        jobs["label"] = (Labelling(run.learner), {"x": batch.x[:1]})
    graphs, refusals = {}, []
    for name, (module, inputs) in jobs.items():
        try:
            graphs[name] = build_graph(module.eval(), inputs, blobs)
        except Untranslatable as error:
            refusals.append(f"{name}: {error}")
    return {"graphs": graphs, "refusals": refusals, "checks": check_values(jobs, graphs, batch, contexts, blobs)}


def check_values(
    jobs: Mapping[str, tuple[nn.Module, Mapping[str, Tensor]]], graphs: Mapping[str, Any], batch: Batch,
    contexts: Tensor | None, blobs: Blobs,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows through encoder and decoder as PyTorch computes them: the page compares itself with that."""
    if "reconstruct" not in graphs:
        return []
    module, inputs = jobs["reconstruct"]
    checks = []
    for i in range(min(TRIED, len(batch.x))):
        fields = {"x": batch.x, "context": contexts, "mask": batch.mask}
        given = {name: field[i : i + 1] for name, field in fields.items() if name in inputs and field is not None}
        code, _, picture = module(**given)
        decoded = jobs["decode"][0](code, **({"context": given["context"]} if "context" in jobs["decode"][1] else {}))
        numbers = {"code": code, "picture": picture, "decoded": decoded[1]}
        checks.append({"row": i, **{name: blobs.add(value.cpu().numpy()) for name, value in numbers.items()}})
    return checks


@torch.no_grad()
def encode_rows(model: Model, batch: Batch, contexts: Tensor | None) -> Tensor:
    """(N, D) mean codes of the rows as they are."""
    assert isinstance(model, Autoencoder)
    parts = []
    for start in range(0, len(batch.x), 256):
        part = slice(start, start + 256)
        context = contexts[part] if contexts is not None and model.condition.told else None
        parts.append(model.encode(batch.x[part], context, None if batch.mask is None else batch.mask[part]).mean)
    return torch.cat(parts)


@torch.no_grad()
def describe_pca(run: Run, batch: Batch, blobs: Blobs) -> dict[str, Any] | None:
    """PCA that may say as much of a row, and its network; None where nothing is reconstructed, or without error."""
    if run.segments or (pca := run.pca()) is None:
        return None
    name, mask = run.describe_pca(), {} if batch.mask is None else {"mask": batch.mask[:1]}
    try:
        graph = build_graph(Reconstruction(pca.model).eval(), {"x": batch.x[:1], **mask}, blobs)
    except Untranslatable as error:
        return {"name": name, "graph": None, "reason": f"{name}: {error}"}
    return {"name": name, "graph": graph, "reason": ""}


def find_output_shape(run: Run, batch: Batch) -> list[int]:
    """The shape of what the decoder gives for a row."""
    context = run.learner.context(batch)
    first = None if context is None else context[:1]
    code = encode_rows(run.model, batch._replace(x=batch.x[:1], mask=None if batch.mask is None else batch.mask[:1]),
                       first)  # fmt: skip
    return list(run.model.decode(code, first).shape[1:])


def to_numpy(x: Tensor) -> np.ndarray:
    """float32 on the CPU."""
    return x.detach().cpu().float().numpy()

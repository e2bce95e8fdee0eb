"""All that a page holds of some runs, as plain data."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from aeexp import noises
from aeexp.contracts import Noise
from aeexp.errors import UsageError
from aeexp.evaluation.maps import Name
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import is_normal
from aeexp.explorer.blobs import Blobs
from aeexp.explorer.codes import describe_context, describe_maps, describe_moves, draw_codes
from aeexp.explorer.networks import describe_networks, describe_pca, encode_rows, find_output_shape, to_numpy
from aeexp.explorer.rows import Shown, choose_rows, describe_data
from aeexp.models.nn import unet
from aeexp.runs.folder import RunFolder
from aeexp.tasks import Inpaint, Segment

QUIET = (
    "hydra.",
    "plot",
    "metric",
    "threads=",
    "device=",
    "save_codes",
    "resume=",
    "variant=",
    "tensorboard",
    "dataset/",
)
LONGEST = 160  # characters of a title


class Wanted(NamedTuple):
    """What the page is to show."""

    split: str
    rows: int
    maps: tuple[Name, ...]


class Opened(NamedTuple):
    """A run and its folder."""

    folder: RunFolder
    run: Run


def collect_content(opened: Sequence[Opened], wanted: Wanted, blobs: Blobs) -> dict[str, Any]:
    """Data, rows and runs. Raises UsageError for runs of different rows."""
    first = opened[0]
    for other in opened[1:]:
        check_alike(first, other)
    shown = choose_rows(first.run, wanted.split, wanted.rows)
    runs = [describe_run(each, shown, wanted, blobs) for each in opened]
    return {"data": describe_data(first.run.data, shown, blobs), "runs": runs, "short": blobs.short}


def check_alike(first: Opened, other: Opened) -> None:
    """Raises UsageError unless both were trained on the same rows in the same splits and units."""
    if first.run.data.fingerprint != other.run.data.fingerprint:
        names = f"{first.run.data.name} and {other.run.data.name}"
        raise UsageError(
            f"{other.folder}: its rows, splits or units are not those of {first.folder} ({names}): runs side by side "
            "get the same input; make a page of each"
        )


@torch.no_grad()
def describe_run(opened: Opened, shown: Shown, wanted: Wanted, blobs: Blobs) -> dict[str, Any]:
    """One run: its codes, maps, units, networks, and PCA."""
    run, batch = opened.run, shown.batch
    contexts = run.learner.context(batch)
    codes = to_numpy(encode_rows(run.model, batch, contexts))
    task = run.learner.task
    return {
        "title": describe_title(opened.folder, run),
        "folder": str(opened.folder),
        "facts": list_facts(opened.folder, run),
        "dim": run.model.latent.dim,
        "codes": blobs.add(codes),
        "maps": describe_maps(codes, wanted.maps, run.model.latent.constrained, 0, blobs),
        "moves": describe_moves(run.model, codes, blobs),
        "context": describe_context(run.model, run.data, contexts, blobs),
        "noise": describe_noise(run.learner.objective.noise),
        "hole": float(task.fill) if isinstance(task, Inpaint) else None,
        "masks": list(task.names) if isinstance(task, Segment) else None,
        "output": find_output_shape(run, batch),
        "skips": isinstance(run.model.decoder, unet.Decoder),
        "samples": draw_codes(run.model, blobs),
        "way": run.model.latent.path or "line",
        "arc": run.model.latent.space == "sphere" or (is_normal(run) and not run.model.latent.path),
        "pca": describe_pca(run, batch, blobs),
        **describe_networks(run, batch, contexts, blobs),
    }


def describe_title(folder: RunFolder, run: Run) -> str:
    """The variant and what the user typed beside it; where that cannot be read, the folder's name."""
    try:
        _, typed, choices = folder.read_asked()
    except (OSError, ValueError):
        return folder.path.name
    words = [word for word in typed if not word.startswith(QUIET)]
    words = [re.sub(r"=.*[/\\]", "=", word) for word in words]  # where files lie is nobody else's
    title = " ".join([str(choices.get("variant", "")), *words])
    return textwrap.shorten(title, LONGEST, placeholder=" ...") or folder.path.name


def list_facts(folder: RunFolder, run: Run) -> list[tuple[str, str]]:
    """A few words and numbers on the run."""
    facts = [("code", f"{run.model.latent.dim} units, {type(run.model.latent).__name__.lower()}")]
    try:
        metrics = folder.read_metrics()
        test, pca = metrics.get("test", {}), metrics.get("baseline", {}).get("pca", {})
        for key, name in (("reconstruction/mse", "test error"), ("probe/linear", "linear probe")):
            if isinstance(value := test.get(key), int | float):
                beside = pca.get(key)
                words = f"{value:.4g}" + (f" (PCA {beside:.4g})" if isinstance(beside, int | float) else "")
                facts.append((name, words))
    except (OSError, ValueError, AttributeError):
        pass  # numbers that are gone or damaged are not what the page is about
    return facts


def describe_noise(noise: Noise) -> dict[str, Any]:
    """Of what kind the noise of training is, and how much."""
    part = next(iter(noise.parts.values()), None) if isinstance(noise, noises.Chain) else noise
    kinds = {noises.Gaussian: "gaussian", noises.Masking: "masking", noises.SaltPepper: "salt_pepper"}
    if part is None or type(part) not in kinds:
        return {"kind": "gaussian", "level": 0.0}
    return {"kind": kinds[type(part)], "level": float(part.get_buffer(part.level))}

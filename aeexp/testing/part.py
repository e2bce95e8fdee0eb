"""`check_part`: one part of one group, alone or as a YAML, through the checks that aeexp's own parts go through."""

from __future__ import annotations

import copy
import inspect
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_type_hints

import torch
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf, open_dict

from aeexp.datasets.core.assemble import SHARED, DataSet
from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.evaluation.protocol import describe_numbers
from aeexp.evaluation.run import Run
from aeexp.models.learner import Learner
from aeexp.reference.folders import add_import_paths, find_conf_dir, name_folders
from aeexp.reference.options import read_option
from aeexp.reference.parts import MULTIPLE, find_parts
from aeexp.runs.build import build_learner
from aeexp.runs.composing import compose_run
from aeexp.runs.config import check, make, to_dict
from aeexp.runs.foreign import find_fault, list_foreign, read_name, wants_partial
from aeexp.runs.probing import probe_parts
from aeexp.testing.learners import (
    check_ends,
    check_purity,
    check_resuming,
    check_saving,
    check_sketch,
    check_steps,
    require,
)
from aeexp.testing.toy import make_pictures, make_sequences

LEARNER = ("task", "noise", "condition", "model", "model/encoder", "model/decoder", "latent", "latent/prior",
           "latent/posterior", "likelihood", "regularizer", "objective", "objective/bound")  # fmt: skip
NAME = "checked"  # of a class that no YAML names
SMALL = "trainer.steps=4"


def check_part(
    part: Any, group: str, keys: Mapping[str, Any] | None = None, *, requires: Sequence[str] = ()
) -> None:  # fmt: skip
    """Hold a part against all that its group promises; raises AssertionError or UsageError, which say what to do.

    `part` is a class or function, or the path of its YAML, `conf/<group>/<name>.yaml`, whose folder is looked in for
    its class. `keys` are given to the constructor; `requires` are words that it needs beside it, as in
    ("latent=gaussian",), which a YAML may say itself by `# requires:`. On 24 rows, in seconds: what stands in
    `aeexp.testing.learners` for parts of a model, and for data sets, metrics, plots, trainers, optimizers and schedules
    what each of these gives.
    """
    path = Path(part) if isinstance(part, str | Path) else None
    with _named(path, group):
        if path is not None:
            words = [*read_option(group, path.stem).requires, *requires]
            cfg = _compose(group, [*words, f"{group}={path.stem}"])
            for key, value in (keys or {}).items():
                node = f"{group}.{path.stem}" if group in MULTIPLE else group.replace("/", ".")
                OmegaConf.update(cfg, f"{node}.{key}", value, force_add=True)
        else:
            check_signature(part, group)
            cfg = _compose(group, [*requires, *([f"{group}=none"] if group in MULTIPLE else [])])
            _put(cfg, group, part, dict(keys or {}))
        check(cfg)
        with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
            CHECKS.get(group, _check_learner)(cfg, group, Path(folder))


def check_signature(part: Any, group: str) -> None:
    """A constructor whose keys a configuration can be held against."""
    if (fault := find_fault(part, group)) is not None:
        raise AssertionError(f"{'.'.join(read_name(part))}: {fault}")
    function = part.load if isinstance(part, DataSet) else part.__init__ if inspect.isclass(part) else part
    for name, parameter in inspect.signature(function).parameters.items():
        require(
            parameter.kind is not parameter.VAR_KEYWORD,
            f"{'.'.join(read_name(part))} takes **{name}: a mistyped key would vanish; name its keys",
        )
    try:
        get_type_hints(function)
    except NameError as error:
        raise AssertionError(f"{'.'.join(read_name(part))}: a type of its signature is not there: {error}") from error


@contextmanager
def _named(path: Path | None, group: str) -> Iterator[None]:
    """The folder of options that a YAML lies in, if it is none of aeexp's."""
    if path is None:
        yield
        return
    folder = path.resolve().parents[len(group.split("/"))]
    if not path.is_file() or path.resolve() != folder / f"{group}/{path.name}":
        raise UsageError(f"{path}: a YAML lies in conf/{group}/, as conf/{group}/{path.stem}.yaml")
    folders = [] if folder == Path(find_conf_dir()) else [str(folder)]
    add_import_paths(folders)
    with name_folders(folders):
        yield


def _compose(group: str, words: Sequence[str]) -> DictConfig:
    """As the command composes them, whoever uses Hydra around this."""
    words = [*words] if group == "trainer" else [SMALL, *words]
    return compose_run(words).cfg


def _put(cfg: DictConfig, group: str, part: Any, keys: dict[str, Any]) -> None:
    """A node of a class that no YAML names."""
    short = (each.target for each in find_parts(group) if get_object(each.target) is part)  # as conf/ names it
    node: dict[str, Any] = {"_target_": next(short, ".".join(read_name(part)))}
    node |= {"_partial_": True} if wants_partial(group) is not False else {}
    path = f"{group}.{NAME}" if group in MULTIPLE else group.replace("/", ".")
    if group == "dataset":  # the keys of every data set stay
        node = {**{key: value for key, value in to_dict(cfg.dataset).items() if key in SHARED}, "name": None, **node}
    with open_dict(cfg):
        OmegaConf.update(cfg, path, {**node, **keys}, merge=False, force_add=True)


def _make_build(cfg: DictConfig, data: Data) -> Callable[[int], Learner]:
    def build(seed: int) -> Learner:
        torch.manual_seed(seed)
        return build_learner(cfg, data.facts).train()

    return build


def _check_learner(cfg: DictConfig, group: str, folder: Path) -> None:
    pictures, sequences = make_pictures(), make_sequences()
    data = pictures
    try:
        _make_build(cfg, data)(0)
    except UsageError:
        data = sequences
        try:
            _make_build(cfg, data)(0)
        except UsageError:
            _make_build(cfg, pictures)(0)  # the message that most parts want
    build = _make_build(cfg, data)
    probe_parts(build(0), data, dict(list_foreign(to_dict(cfg))))
    check_steps(build, data)
    check_saving(build, data)
    check_purity(build, data)
    check_sketch(build)
    check_ends(_make_build(cfg, sequences), sequences)
    check_resuming(build, data, folder)


def _make_run(cfg: DictConfig) -> Run:
    data = make_pictures()
    torch.manual_seed(0)
    return Run(_make_build(cfg, data)(0), data, [])


def _check_metric(cfg: DictConfig, group: str, folder: Path) -> None:
    run, metrics = _make_run(cfg), make(cfg, "metric")
    for name, metric in metrics.items():
        for split in ("val", "test"):
            values = metric(run, split)
            require(isinstance(values, dict), f"metric {name} gives {type(values).__name__}, no dict of numbers by key")
            for key, value in values.items():
                is_number = isinstance(value, float | int) and not isinstance(value, bool)
                require(is_number, f"metric {name} gives {key} = {type(value).__name__}, no number: float(...)")
            describe_numbers({name: metric}, values)  # what is not declared is an error there
            again = metric(_make_run(cfg), split)
            same = values.keys() == again.keys() and all(
                a == b or math.isnan(a) and math.isnan(b) for a, b in zip(values.values(), again.values(), strict=True)
            )
            require(same, f"metric {name} gives other numbers when it measures again: draw by a seed among its keys")
        require(not metric.models(run) or isinstance(metric.models(run), dict), f"metric {name}: models are by name")


def _check_plot(cfg: DictConfig, group: str, folder: Path) -> None:
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    from aeexp.drawing.animation import Animation
    from aeexp.drawing.film import align, choose_like

    run, plots = _make_run(cfg), make(cfg, "plot")
    for name, plot in plots.items():
        for _ in range(2):
            for key, figure in plot(run).items():
                fine = isinstance(key, str) and isinstance(figure, Figure | Animation)
                kind = type(figure).__name__
                require(fine, f"plot {name} gives {key!r}: {kind}, no figures by the names of their files")
                if isinstance(figure, Figure):
                    figure.savefig(folder / "figure.png", dpi=40)
        way = "take aeexp.drawing.canvas.figure"
        require(not pyplot.get_fignums(), f"plot {name} leaves figures of pyplot open: {way}")
        if not plot.unfilmed:
            first, last = copy.copy(plot), _make_run(cfg)
            first.like = last
            for pair in zip(first(run).values(), first(last).values(), strict=True):
                require(isinstance(pair[0], Figure), f"plot {name}: an animation is no frame: say why in unfilmed")
                require(choose_like(pair) == [0, 1], f"plot {name}: frames of its film have other panels")
                align(pair)
        for key, picture in plot.sketch(run).items():
            require(picture.ndim == 3 and picture.shape[2] == 3, f"plot {name}: the sketch {key} is not (H, W, 3)")


def _check_dataset(cfg: DictConfig, group: str, folder: Path) -> None:
    data, again = make(cfg, "dataset"), make(cfg, "dataset")
    require(isinstance(data, Data), f"it gives {type(data).__name__}: is @aeexp.datasets.DataSet above the function?")
    require({"train", "val", "test"} <= set(data.splits), f"it has the splits {', '.join(data.splits)} alone")
    for split in data.splits.values():
        batch = next(iter(split.batches(8)))
        require(bool(batch.x.isfinite().all()), "some values are not finite: fill them in, or leave the rows out")
    require(data.fingerprint == again.fingerprint, "loaded again it has other rows: draw by a seed among its keys")
    learner = build_learner(cfg, data.facts)
    learner(next(iter(data["train"].batches(8))))


def _check_training(cfg: DictConfig, group: str, folder: Path) -> None:
    data = make_pictures()
    trainer, optimizer, scheduler = (make(cfg, key) for key in ("trainer", "optimizer", "scheduler"))
    build = _make_build(cfg, data)
    check_resuming(build, data, folder, trainer=trainer, optimizer=optimizer, scheduler=scheduler)


CHECKS: dict[str, Callable[[DictConfig, str, Path], None]] = {
    "metric": _check_metric, "plot": _check_plot, "dataset": _check_dataset, "trainer": _check_training,
    "optimizer": _check_training, "scheduler": _check_training,
}  # fmt: skip

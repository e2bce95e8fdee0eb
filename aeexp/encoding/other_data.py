"""Another data set through the model of a run: what does a model of digits do with letters?"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import torch
from omegaconf import DictConfig

from aeexp.datasets.core.data import Data, make_split
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.spelling import Spelling
from aeexp.encoding.new_rows import (
    check_condition,
    choose_preprocessing,
    compare_values,
    fit_shape,
    fit_spelling,
    renumber_labels,
)
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.runs.config import at_path, make
from aeexp.runs.evaluate import Evaluated, describe_protocol, measure_asked
from aeexp.runs.folder import RunFolder
from aeexp.runs.loading import LoadedRun, build_untrained
from aeexp.runs.measured import open_on_other_data

log = logging.getLogger(__name__)

OWN = ("standardise", "binarise")  # the rows go through the preprocessing of the run


def evaluate_on_other_data(
    folder: RunFolder, cfg: DictConfig, default: DictConfig, words: Sequence[str], device: torch.device,
    fetch: bool = False, trust: Iterable[str] = (),
) -> Evaluated:  # fmt: skip
    """The numbers of `cfg.metric` on `cfg.dataset`, which `words` ask for, into a folder of their own under the run's.

    Shapes and preprocessing are those of the run; PCA and the mean learn from the rows that the run was trained on, as
    its model did, where these are there, and probes from the training rows of the other data.
    What a metric and a figure could not do is among the failures.
    """
    loaded = LoadedRun(folder.path, device.type, fetch, trust)
    data, lacks = load_other_data(loaded, cfg, words)
    untrained = build_untrained(loaded.saved, loaded.trust).to(device)
    run = Run(loaded.learner, data, (), untrained, learned=_load_own(loaded, data), lacks=lacks)
    run.best_step = loaded.saved["progress"]["best_step"]
    place = open_on_other_data(loaded, cfg, words, run)
    return measure_asked(run, place, cfg, default, loaded.make_metrics(), describe_protocol(loaded, run), {})


def load_other_data(loaded: LoadedRun, cfg: DictConfig, words: Sequence[str]) -> tuple[Data, frozenset[str]]:
    """The data set as the run's model takes it, on its device, with "classes" and "response"
    where labels or numbers to predict are not the run's.

    Raises UsageError for rows of another shape, columns of another table, and classes that the model is to be told.
    """
    account = loaded.saved.get("data")
    if account is None:
        raise UsageError(f"{loaded.folder} does not say how its rows were preprocessed: train it again")
    for key in OWN:
        if word := next((word for word in words if word.startswith(f"dataset.{key}=")), None):
            raise UsageError(f"{word}: these rows go through the preprocessing of the run: leave it out")
    scale = _read_scale(words, cfg)
    data = make(cfg, "dataset")
    name = data.name
    _check_columns(loaded, data)
    spelled = {part: fit_spelling(loaded, split.rows, data.spelling, name) for part, split in data.splits.items()}
    parts = {part: fit_shape(loaded, rows, name) for part, rows in spelled.items()}
    parts, classes, places = renumber_labels(loaded, parts, data.classes, name)
    if scale is None:
        preprocessing = choose_preprocessing(account, data.unit, parts["train"], name)
    else:
        own = Preprocessing(**account["preprocessing"])
        preprocessing = Preprocessing(own.scale * (scale / account["unit"]), own.shift, own.binarise, own.clip)
    splits = {part: make_split(rows, preprocessing) for part, rows in parts.items()}
    normal = data.normal if places is None or not data.normal else tuple(int(places[each]) for each in data.normal)
    data = Data(
        name,
        splits,
        classes,
        data.attributes,
        data.residency,
        data.unit,
        normal,
        data.variables,
        data.groups,
        data.response,
        data.table,
        data.spelling and Spelling(account["letters"]),
    ).place(loaded.device)
    for part in data.splits:
        sample = data.sample(part)
        check_condition(loaded, sample, name)
        compare_values(sample, account["limits"], name)
    lacks = {"classes"} if classes and classes != tuple(account["classes"]) else set()
    lacks |= {"response"} if data.response not in ("", account.get("response")) else set()
    return data, frozenset(lacks)


def _read_scale(words: Sequence[str], cfg: DictConfig) -> float | None:
    """What a stored step counts, where the user says so."""
    typed = any(word.startswith("dataset.scale=") for word in words)
    if typed and not isinstance(cfg.dataset.scale, int | float):
        raise UsageError(
            f"dataset.scale={cfg.dataset.scale}: these rows go through the preprocessing of the run: give the value of "
            "a stored step, as in dataset.scale=0.001, or leave it out"
        )
    return float(cfg.dataset.scale) if typed else None


def _check_columns(loaded: LoadedRun, data: Data) -> None:
    """Features of a table mean what its columns and categories say. Raises UsageError for those of another one."""
    if not data.variables:
        return
    with at_path("dataset"):
        own = loaded.load_data("bring the data back: its columns say what the model's features are")
        if own.variables != data.variables:
            names = [variable.name for variable in data.variables if variable not in own.variables]
            names += [variable.name for variable in own.variables if variable not in data.variables]
            raise UsageError(
                f"{data.name}: its columns or categories are not those of {own.name}: "
                f"{', '.join(dict.fromkeys(names)) or 'their order'}: features would change their meaning"
            )


def _load_own(loaded: LoadedRun, data: Data) -> Data | None:
    """The run's own data; None where it is gone, or the same rows."""
    try:
        own = loaded.load_data("")
    except UsageError as error:
        reason = str(error).splitlines()[0]
        log.warning("PCA and the mean learn from %s, and not from what the run was trained on: %s", data.name, reason)
        return None
    return None if own.fingerprint == data.fingerprint else own

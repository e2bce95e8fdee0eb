"""The figure of a metric comes with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Metric
from aeexp.reference.folders import find_conf_dir
from aeexp.runs.composing import compose_run
from aeexp.runs.config import make, to_dict
from aeexp.runs.schema import BESIDE
from aeexp.timing import stage

log = logging.getLogger(__name__)

ALIKE = ("rows", "train_rows", "draws", "seed")  # options that mean the same in metrics and figures


@stage("build")
def make_plots(cfg: DictConfig, metrics: Mapping[str, Metric]) -> dict[str, Plot]:
    """The figures of `cfg.plot`, and where these are the usual ones, those that the metrics name beside them.

    What the metric's keys name, such as the noise and its levels, and which rows are drawn, is the metric's: the figure
    shows what was measured. A figure that cannot be drawn under it is left out, with a word.
    """
    plots: dict[str, Plot] = make(cfg, "plot")
    wanted = {figure: name for name, metric in metrics.items() for figure in metric.figures if figure not in plots}
    if not wanted or plots.keys() != compose_plots("default").keys():
        return plots
    for figure, name in wanted.items():
        own, shared = compose_plots(figure)[figure], (*ALIKE, *metrics[name].in_keys)
        node = own | {key: value for key, value in to_dict(cfg.metric)[name].items() if key in shared and key in own}
        try:
            plots |= make(OmegaConf.create({"plot": {figure: node}}), "plot")
        except UsageError as error:
            log.info("plot=%s, which shows metric=%s, is left out: %s", figure, name, error)
    return plots


def compose_plots(option: str) -> dict[str, Any]:
    """What plot=[option] is, as conf/ has it, or the search path of the command that runs."""
    words = [f"plot=[{option}]"]
    node = to_dict((compose("config", words) if _is_command() else compose_run(words).cfg).plot)
    return {name: part for name, part in node.items() if name not in BESIDE["plot"]}


def _is_command() -> bool:
    """Whether Hydra is in use here by aeexp's own command, and not by an application around it."""
    hydra = GlobalHydra.instance()
    return hydra.is_initialized() and any(
        source.path == find_conf_dir() for source in hydra.config_loader().get_sources()
    )

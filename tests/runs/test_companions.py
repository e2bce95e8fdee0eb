"""The figure of a metric comes with it, where nobody chose figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from composing import CONF, composed

from aeexp import metrics
from aeexp.evaluation.contracts import Metric
from aeexp.noises import Masking
from aeexp.plots.label_budget import LabelBudget
from aeexp.plots.robustness import Robustness
from aeexp.runs.companions import make_plots
from aeexp.runs.config import make
from aeexp.runs.schema import BESIDE

KINDS = [kind for name in metrics.__all__ if issubclass(kind := getattr(metrics, name), Metric)]
PLOTS = {path.stem for path in (CONF / "plot").glob("*.yaml")}


def plots_of(*overrides: str):
    cfg = composed(*overrides)
    return make_plots(cfg, make(cfg, "metric"))


def figures_of(*overrides: str) -> set[str]:
    return {name for name, node in composed(*overrides).plot.items() if name not in BESIDE["plot"]}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_metric_names_options_of_plot_and_all_that_its_docstring_sends_to(kind):
    assert set(kind.figures) <= PLOTS
    assert set(re.findall(r"plot=(\w+)", kind.__doc__.partition("Look at:")[2])) <= set(kind.figures)


@pytest.mark.parametrize("name", [path.stem for path in sorted(Path(CONF / "metric").glob("*.yaml"))])
def test_each_metric_brings_its_figure(name):
    given = plots_of(f"metric=[{name}]")
    measured = make(composed(f"metric=[{name}]"), "metric")
    assert {figure for metric in measured.values() for figure in metric.figures} <= given.keys()
    assert given.keys() >= figures_of()


@pytest.mark.parametrize("chosen", ["plot=none", "plot=[curves]", "plot=[default,neighbours]"])
def test_who_chooses_figures_gets_these(chosen):
    assert plots_of("metric=[default,robustness]", chosen).keys() == figures_of(chosen)


def test_the_figure_shows_what_was_measured():
    plot = plots_of(
        "metric=[robustness]", "noise@metric.robustness.noise=masking", "metric.robustness.levels=[0,0.7]",
        "metric.robustness.rows=77",
    )["robustness"]  # fmt: skip
    assert isinstance(plot, Robustness)
    assert plot.name == "masking" and isinstance(plot.noise, Masking) and plot.levels == [0, 0.7] and plot.rows == 77


def test_budgets_of_labels_bring_their_curve():
    assert "label_budget" not in plots_of("metric=[probe]")
    plot = plots_of("metric=[probe]", "metric.probe.budgets=[7,20]")["label_budget"]
    assert isinstance(plot, LabelBudget) and plot.budgets == [7, 20]


def test_a_figure_that_the_metric_s_options_do_not_allow_is_left_out_with_a_word(caplog):
    caplog.set_level("INFO", logger="aeexp")
    assert "robustness" not in plots_of("metric=[robustness]", "metric.robustness.levels=[0.3]")
    assert "plot=robustness, which shows metric=robustness, is left out: " in caplog.text

"""One nasty text through every input, to every figure, table, page and event file."""

from __future__ import annotations

import contextlib
import csv
import inspect
import io
import json
import shlex
import sys

import numpy as np
import pytest
from drawn import HISTORY, perceptron, rows_of, run_of, save, stochastic
from matplotlib.text import Text
from nasty import NASTY

import aeexp.plots
from aeexp.cli import encode, evaluate, report, train
from aeexp.conditions import Label
from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.splits import Fractions
from aeexp.errors import quote_value
from aeexp.noises import Masking

# Walk is an animation; a plot that must be given options is of a study of its own.
PLOTS = [
    plot for plot in (getattr(aeexp.plots, name) for name in aeexp.plots.__all__)
    if plot.__name__ != "Walk" and all(p.default is not p.empty for p in inspect.signature(plot).parameters.values())
]  # fmt: skip


def draw_all(run) -> dict:
    return {name: figure for plot in PLOTS for name, figure in plot()(run).items()}


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("plain", 8),
        pytest.param("plain", len(NASTY), marks=pytest.mark.slow),  # a colour bar in the place of a legend
        pytest.param("conditional", 8, marks=pytest.mark.slow),
    ],
)
def test_class_names_stand_in_every_figure_as_they_are(kind, count):
    names = NASTY[:count]
    data = rows_of((4,), np.arange(180) % count, names, n=180)
    data.name = NASTY[0]
    if kind == "plain":
        run = run_of(data, perceptron(data, 2), {"masking": Masking(0.3)}, HISTORY)
    else:
        run = stochastic(data, condition=Label())
    figures = draw_all(run)
    assert len(figures) > 5
    for figure in figures.values():
        assert (save(figure) < 128).mean() > 1e-3
        shown = [text.get_text() for text in figure.findobj(Text)]
        assert any(text.startswith(NASTY[0]) for text in shown)
    if kind == "plain" and count == 8:
        legend = [text.get_text().lstrip("\u200b") for each in figures["scatter"].legends for text in each.get_texts()]
        assert legend == list(names)


def test_attribute_names_stand_in_figures_and_make_no_paths(tmp_path):
    x = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    s = np.stack([np.arange(90) % 2, np.arange(90) % 3], 1)
    for pair in (NASTY[:2], ("../../a/b", "_s"), NASTY[8:10]):
        source = Source(Rows(x, None, s), attributes=pair)
        data = assemble(source, name=NASTY[3], split=Fractions([4, 1, 1]))
        for name in ("Scatter", "Traversals", "Reconstructions"):
            for key, figure in getattr(aeexp.plots, name)()(run_of(data, perceptron(data, 2))).items():
                save(figure)
                assert "/" not in key
                if name == "Scatter":  # coloured by the first attribute
                    shown = [text.get_text().lstrip("\u200b") for text in figure.findobj(Text)]
                    assert any(pair[0] in text for text in shown), shown


def call(function, *words: str) -> str:
    said, sys.argv = io.StringIO(), ["aeexp", *words]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            function(*([] if function is train.main else [list(words)]))
        except SystemExit as stop:
            assert not stop.code, said.getvalue()
    assert "Traceback" not in said.getvalue() and "Error" not in said.getvalue(), said.getvalue()
    return said.getvalue()


@pytest.mark.slow
def test_a_table_of_nasty_names_goes_through_all_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    file = "5 $_$ [b] 'x'.csv"
    with open(file, "w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["_y", *NASTY[:6], "a,b"])
        for i in range(240):
            rows.writerow([NASTY[i % 6], *rng.normal(size=6).round(3), NASTY[i % 4]])
    root = "s [b] $_$"
    words = ["dataset=csv", f"dataset.path={quote_value(file)}", f"dataset.name={quote_value(NASTY[3] + NASTY[1])}",
             "dataset.label=_y", f"dataset.attributes={json.dumps(['a,b'])}", "threads=1", "trainer.epochs=1",
             "variant=vae", "likelihood=gaussian", "save_codes=true"]  # fmt: skip
    said = call(
        train.main,
        "-m",
        *words,
        "latent.dim=2,3",
        "plot=[scatter]",
        "metric=[probe]",
        f"hydra.sweep.dir={quote_value(root)}",
    )
    assert "2 of 2 runs finished" in said and NASTY[3] + NASTY[1] in said
    assert f"tensorboard --logdir {shlex.quote(root)}" in said
    said = call(evaluate.main, f"{root}/0", "metric=[probe]", "plot=[scatter,traversals]")
    assert NASTY[3] in said
    said = call(encode.main, f"{root}/0")
    (line,) = [line for line in said.splitlines() if line.startswith("Train on them: ")]
    again = shlex.split(line.removeprefix("Train on them: aeexp "))
    call(train.main, *again, "threads=1", "trainer.epochs=1", "plot=none", "metric=none", "hydra.run.dir=again")
    said = call(report.main, root)
    page = (tmp_path / root / "report.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 2 and NASTY[3] in page

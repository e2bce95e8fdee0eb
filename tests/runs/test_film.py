"""A film of training: the states that it is drawn of, and a training that does not know of it."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest
from commands import aeexp as command
from drawn import perceptron, rows_of, run_of
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import aeexp
from aeexp.cli.explain import look_up
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.metrics.probe import Probe
from aeexp.plots.filters import Filters
from aeexp.plots.manifold import Manifold
from aeexp.plots.scatter import Scatter, project
from aeexp.reference.nodes import Key
from aeexp.runs import film as filming
from aeexp.runs.folder import RunFolder
from aeexp.runs.learning_probe import make_probe
from aeexp.sweeps.selection import asks_for_figures

SMALL = ("dataset=digits", "dataset.limit=300", "latent.dim=2", "trainer.batch_size=32", "trainer.log_every_steps=5",
         "metric=[reconstruction]", "plot=[scatter]", "threads=1")  # fmt: skip
FILM = ("plot.every=log", "trainer.epochs=5")
ASIDE = [f"~hydra.callbacks.{name}" for name in ("report", "gallery", "lineup", "curves")]  # half of the time
CUT = (*FILM, "variant=vae", "trainer.checkpoint_seconds=0")
STEPS = [0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 60]  # 12 steps an epoch, and the last one


def fit(folder: Path, *words: str) -> aeexp.api.fitted.FittedRun:
    return aeexp.fit(*SMALL, *words, folder=folder, progress=False)


def list_probed(run) -> list[tuple[int, float]]:
    return [(row["step"], row["probe/linear"]) for row in run.history[:-2] if "probe/linear" in row]


def drop(rows, head: str) -> list[dict]:
    return [{key: value for key, value in row.items() if not key.startswith(head)} for row in rows]


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """A VAE with film and probe, whose training draws numbers."""
    words = ("variant=vae", "trainer.probe_every_epochs=2", "metric=[reconstruction,probe]", "plot=[scatter,curves]")
    return fit(tmp_path_factory.mktemp("film") / "run", *FILM, *words)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("film") / "run", "trainer.epochs=5", "variant=vae")


def test_steps_of_a_film_are_powers_of_the_root_of_two():
    steps = [step for step in range(5000) if filming.is_on_grid(step)]
    assert steps[:14] == [0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91]
    assert {2**power for power in range(13)} <= set(steps)
    assert all(1.3 < after / before < 1.51 for before, after in zip(steps[2:], steps[3:], strict=False) if before > 2)


def test_training_is_the_same_with_film_and_probe(filmed, plain):
    assert drop(filmed.history[:-2], "probe/") == plain.history[:-2]  # bit for bit: repr of a float is exact
    assert len(plain.history) > 8 and list_probed(filmed)
    one, other = (run.model.state_dict() for run in (filmed, plain))
    assert all(bool((value == other[name]).all()) for name, value in one.items())


def test_a_film_has_a_frame_for_each_step_in_folder_tensorboard_and_python(filmed):
    events = EventAccumulator(str(next(filmed.folder.glob("tensorboard/*"))), {"images": 0}).Reload()
    assert [event.step for event in events.Images("film/scatter")] == STEPS
    with Image.open(filmed.folder / "figures" / "film_scatter.gif") as gif:
        assert gif.n_frames == len(STEPS)
    assert "film_scatter" in filmed.figures and "image/gif" in filmed.figures["film_scatter"]._repr_mimebundle_()
    assert "film_curves" not in filmed.figures
    assert filming.list_frames(RunFolder(filmed.folder)) == []  # states are gone once they are drawn
    frames = [np.asarray(Image.open(io.BytesIO(each.encoded_image_string))) for each in events.Images("film/scatter")]
    assert len({frame.shape for frame in frames}) == 1
    assert all((a != b).any() for a, b in zip(frames, frames[1:], strict=False))


def cut_off(folder: Path, after: int, monkeypatch) -> None:
    """A run that ends behind its frame of this step."""
    keep = filming.Film.keep

    def die(self, step, epoch):
        keep(self, step, epoch)
        if step == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(filming.Film, "keep", die)
        fit(folder, *CUT)


def test_a_run_that_was_cut_off_has_the_same_film(filmed, tmp_path, monkeypatch):
    cut_off(tmp_path / "cut", 23, monkeypatch)
    frames = filming.list_frames(RunFolder(tmp_path / "cut"))
    assert [frame.step for frame in frames] == STEPS[:10]
    fit(tmp_path / "cut", *CUT)
    film = (tmp_path / "cut/figures/film_scatter.gif").read_bytes()
    assert film == (filmed.folder / "figures/film_scatter.gif").read_bytes()


@pytest.mark.slow
def test_a_run_in_another_folder_takes_the_frames_along(filmed, tmp_path, monkeypatch):
    cut_off(tmp_path / "cut", 45, monkeypatch)
    fit(tmp_path / "on", *CUT, f"resume={tmp_path / 'cut'}")
    film = (tmp_path / "on/figures/film_scatter.gif").read_bytes()
    assert film == (filmed.folder / "figures/film_scatter.gif").read_bytes()


def test_epochs_are_frames_where_a_number_is_given_and_stages_each_have_theirs(tmp_path):
    run = fit(tmp_path / "epochs", "trainer.epochs=5", "plot.every=2")
    events = EventAccumulator(str(next(run.folder.glob("tensorboard/*"))), {"images": 0}).Reload()
    assert [event.step for event in events.Images("film/scatter")] == [0, 24, 48, 60]
    words = ("trainer=layerwise", "trainer.pretrain_epochs=1", "trainer.finetune.epochs=1", "~trainer.epochs")
    words = (*SMALL[:3], *SMALL[5:], *words[:3], "model.hidden_dims=[16]", "plot.every=log")
    run = aeexp.fit(*words, folder=tmp_path / "layers", progress=False)
    events = EventAccumulator(str(next(run.folder.glob("tensorboard/*"))), {"images": 0}).Reload()
    own = [1, 2, 3, 4, 6, 8, 11]
    steps = [event.step for event in events.Images("film/scatter")]
    assert steps == [0, *own, *(12 + step for step in own), *(24 + step for step in own), 36]


def test_what_is_chosen_by_codes_is_chosen_by_the_last_frame(digit_data):
    first, last = (run_of(digit_data, perceptron(digit_data, 2)) for _ in range(2))
    for plot in (Manifold(side=4), Filters(most=5)):
        like = copy.copy(plot)
        like.like = last
        alone, as_last, of_last = (each(run) for each, run in ((plot, first), (like, first), (plot, last)))
        for name in alone:
            words = [[text.get_text() for text in each[name].axes[0].findobj(match=type(each[name].axes[0].title))]
                     for each in (alone, as_last, of_last)]  # fmt: skip
            assert words[0] != words[2] and words[1] == words[2]  # ticks, or numbers of units
    wide = run_of(digit_data, perceptron(digit_data, 6))
    shown = copy.copy(Scatter(rows=50))
    shown.like = wide
    (panel,) = shown(wide)["scatter"].axes
    assert "at the end" in panel.get_xlabel()
    codes = wide.codes("test").astype(np.float64)
    assert np.allclose(project(codes + 1, wide).points - project(codes, wide).points,
                       project(codes[:1] + 1, wide).points - project(codes[:1], wide).points)  # fmt: skip


@pytest.mark.parametrize(("words", "message"), [
    (["plot=none"], "plot.every=log: no figure makes a film"),
    (["plot=[curves]"], "curves (it shows every step as it is)"),
    (["variant=pca"], "ClosedForm solves at once, and a film is of steps"),
    (["dataset=wine", "plot=[manifold]"], "manifold (the columns that change most are others at each step)"),
    (["plot.every=0"], "plot.every=0 should be one of log or a whole number of at least 1 or null"),
    (["plot.every=linear"], "plot.every='linear' should be"),
    (["trainer.probe_every_epochs=0"], "trainer.probe_every_epochs=0"),
    (["trainer.probe_every_epochs=1", "dataset=spiral"], "trainer.probe_every_epochs=1: spiral has splits without"),
])  # fmt: skip
def test_what_makes_no_film_or_no_curve_is_refused_before_a_step(words, message, tmp_path):
    words = [*SMALL[:1], *SMALL[5:], "plot.every=log", *words]
    with pytest.raises(UsageError) as error:
        aeexp.fit(*words, folder=tmp_path / "run", progress=False)
    assert message in str(error.value), str(error.value)
    assert not (tmp_path / "run/checkpoints/last.pt").exists()


def test_the_key_of_the_group_is_no_figure():
    assert not asks_for_figures({"plot": {"every": None}}) and not asks_for_figures({"plot": {}})
    assert asks_for_figures({"plot": {"every": "log", "scatter": {"_target_": "aeexp.plots.Scatter"}}})
    (key,) = look_up("plot.every")
    assert isinstance(key, Key) and key.value == "null" and "film" in key.comment


def test_a_finished_run_is_not_filmed(filmed):
    with pytest.raises(UsageError, match=r"plot\.every=log: a film is of training"):
        filmed.evaluate("scatter", "plot.every=log")


def test_a_probe_in_training_reads_what_the_metric_reads_at_the_end(filmed):
    probed = list_probed(filmed)
    assert [step for step, _ in probed] == [24, 48]  # every second epoch of 12 steps
    once = make_probe(1, {}, *(_restore(filmed)))()
    numbers = filmed.metrics["val"]
    assert once["probe/linear"] == numbers["probe/linear"] and once["probe/knn"] == numbers["probe/knn"]


def _restore(fitted):
    run = fitted._loaded
    return run.learner, run.load_data()


def test_a_probe_in_training_never_looks_at_the_test_split(digit_data, monkeypatch):
    seen, rows = set(), Run.rows

    def note(self, split):
        seen.add(split)
        return rows(self, split)

    monkeypatch.setattr(Run, "rows", note)
    learner = run_of(digit_data, perceptron(digit_data, 2)).learner
    numbers = make_probe(3, {"probe": Probe(rows=50, budgets=[10])}, learner, digit_data)()
    assert seen == {"train", "val"}
    assert set(numbers) == {"probe/linear", "probe/knn"}  # none of the budgets
    assert dict(make_probe(None, {}, learner, digit_data)()) == {}


def test_curves_have_a_panel_for_the_probe(filmed):
    from aeexp.plots.curves import group_probes

    rows = [row for row in filmed.history[:-2] if row["split"] == "val"]
    groups = group_probes(rows)
    assert list(groups) == ["probe: accuracy"] and set(groups["probe: accuracy"]) == {"probe/linear", "probe/knn"}
    data = rows_of((4,), np.arange(60) % 2)
    history = [{**row} for row in filmed.history[:-2]]
    from aeexp.plots.curves import Curves

    figure = Curves()(run_of(data, history=history))["curves"]
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[-1] == "probe: accuracy" and titles[0] == "loss" and "probe/linear" not in titles


@pytest.mark.slow
def test_stacked_runs_are_filmed_as_alone_and_two_processes_as_one(tmp_path, filmed):
    words = [*SMALL, *FILM, "variant=vae"]
    sweep = ["-m", "hydra/launcher=stacked", "seed=0,1", *words, f"hydra.sweep.dir={tmp_path / 'm'}"]
    done = command(*sweep, *ASIDE, cwd=tmp_path)
    assert done.returncode == 0 and "#0, #1: trained together" in done.stdout + done.stderr, done.stderr
    two = command(*words, "trainer.processes=2", f"hydra.run.dir={tmp_path / 'two'}", cwd=tmp_path)
    assert two.returncode == 0, two.stderr
    for folder in (tmp_path / "m/0", tmp_path / "two"):
        with (
            Image.open(folder / "figures/film_scatter.gif") as film,
            Image.open(filmed.folder / "figures/film_scatter.gif") as wanted,
        ):
            assert film.n_frames == wanted.n_frames == len(STEPS)
            for place in range(film.n_frames):
                film.seek(place)
                wanted.seek(place)
                pair = [np.asarray(each.convert("L"), float) for each in (film, wanted)]
                # rounding moves a dot by parts of a pixel, and of a thousand pixels a few are at its edge
                assert (np.abs(pair[0] - pair[1]) > 64).mean() < 2e-3, (folder, place)

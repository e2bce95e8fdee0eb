"""samples.png of a multirun: a panel a run, each what the loaded model draws."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import aeexp as command
from composing import run_in
from panels import describe_run

import aeexp
from aeexp.drawing.side_by_side import Panel, draw_side_by_side, sample_grid
from aeexp.runs.folder import RunFolder
from aeexp.sweeps import gallery, selection

QUICK = ["trainer.epochs=1", "metric=none", "plot=curves"]


def job(root: Path, name: str, *overrides: str, plots=("curves",)) -> Path:
    """A finished run as a multirun leaves it; its figures and metrics do not matter here."""
    run_in(root / name, *QUICK, *overrides)
    return describe_run(root / name, overrides, plots)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Jobs 2 and 10 differ in their width, 11 repeats 10, 12 has no figures, 13 failed."""
    root = tmp_path_factory.mktemp("sweep")
    job(root, "10", "variant=vae", "latent.dim=3", "seed=0")
    job(root, "2", "variant=vae", "latent.dim=2", "seed=0")
    for name, more in (("11", ["latent.dim=3", "seed=1"]), ("12", ["latent.dim=4"]), ("13", ["latent.dim=5"])):
        shutil.copytree(root / "10", root / name)
        describe_run(root / name, ["variant=vae", *more], plots=() if name == "12" else ("curves",))
    state = json.loads((root / "13" / "status.json").read_text())
    (root / "13" / "status.json").write_text(json.dumps({**state, "status": "failed"}))
    return root


def sheet(axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def test_a_sheet_says_of_how_many_runs_it_shows_the_first(runs, monkeypatch):
    monkeypatch.setattr(selection, "MOST", 1)
    figure = gallery.draw_gallery(runs)
    assert len(figure.axes) == 1 and "\nthe first 1 of 2 different runs\n" in figure.get_suptitle()
    (title, run), common = selection.choose_shown(runs)[0][0], selection.choose_shown(runs)[1]
    assert run.path == runs / "2" and title == "defaults" and common.endswith("1 of 2 different runs")


def test_lines_that_would_lie_flat_have_a_scale_of_their_own():
    counts = np.linspace(0, 8, 24).reshape(1, 2, 12)
    assert gallery.choose_limits(counts, [0.0, 568.0]) == (0, 8) == gallery.choose_limits(counts, None)
    assert gallery.choose_limits(counts, [0.0, 60.0]) == (0, 60)
    assert gallery.choose_limits(np.full((1, 2, 1, 4, 4), 0.02), [0.0, 1.0]) == (0, 1)  # a dark picture is dark


def test_a_long_override_breaks_behind_its_key():
    pictures = np.zeros((1, 1, 1, 8, 8))
    names = ["variant=dictionary_learning", *(f"variant={i}" for i in range(11))]
    figure = draw_side_by_side("", [Panel(name, "", pictures, (0, 1)) for name in names])
    assert figure.axes[0].get_title() == "variant=\ndictionary_learning" and figure.axes[1].get_title() == "variant=0"


def test_a_panel_is_a_distinct_finished_run_in_the_order_of_the_jobs(runs):
    figure = gallery.draw_gallery(runs)
    assert [axes.get_title() for axes in figure.axes] == ["latent.dim=2", "latent.dim=3"]
    assert figure.get_suptitle() == "digits: new examples, decoded from drawn codes\nvariant=vae\ncodes from the prior"
    model = aeexp.load(runs / "10")
    torch.manual_seed(gallery.SEED)
    expected = model.sample(64)
    for place in (0, 9, 63):
        row, column = divmod(place, 8)
        picture = sheet(figure.axes[1])[9 * row :, 9 * column :][:8, :8]
        np.testing.assert_allclose(picture, expected[place, 0], atol=1e-6)
    assert all(axes.images[0].get_clim() == (0, 1) for axes in figure.axes)


def test_equal_models_give_equal_grids_and_the_generator_stays_where_it_was(runs):
    before = torch.get_rng_state()
    one, two = (gallery.draw_panel(RunFolder(runs / name), name) for name in ("10", "11"))
    np.testing.assert_array_equal(one.pictures, two.pictures)
    assert one.pictures.shape == (8, 8, 1, 8, 8)
    assert torch.equal(before, torch.get_rng_state())


def test_a_run_that_cannot_be_loaded_is_named_and_left_out(runs, tmp_path, caplog):
    root = tmp_path / "sweep"
    shutil.copytree(runs, root)
    (root / "2" / "checkpoints" / "best.pt").write_bytes(b"damaged")
    figure = gallery.draw_gallery(root)
    assert [axes.get_title() for axes in figure.axes] == ["latent.dim=3"]
    assert f"{root / '2'} is not in samples.png" in caplog.text
    for folder in ("10", "11"):
        (root / folder / "metrics.json").unlink()
    assert gallery.draw_gallery(root) is None
    gallery.save_gallery(root)
    assert not (root / "samples.png").exists()


def test_a_row_of_a_conditional_model_is_a_label_and_a_column_a_code(tmp_path):
    model = aeexp.load(job(tmp_path, "0", "variant=cvae"))
    torch.manual_seed(3)
    pictures, words = sample_grid(model)
    assert pictures.shape == (10, 10, 1, 8, 8) and "a row for each label" in words
    torch.manual_seed(3)
    codes = model.sample_codes(10)
    for label in (0, 7):
        torch.testing.assert_close(torch.from_numpy(pictures[label]), model.decode(codes, torch.eye(10)[[label] * 10]))


def test_runs_of_several_shapes_and_ways_of_drawing_share_a_figure(runs, tmp_path):
    root = tmp_path / "sweep"
    shutil.copytree(runs / "2", root / "0")
    describe_run(root / "0", ["variant=vae"])
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(0).random((60, 6, 9)).astype(np.float32))
    job(root, "1", "dataset=npz", f"dataset.path={tmp_path / 'rows.npz'}")
    figure = gallery.draw_gallery(root)
    assert [sheet(axes).shape for axes in figure.axes] == [(71, 71), (8 * 7 - 1, 8 * 10 - 1)]
    assert figure.axes[0].get_title() == "variant=vae" and "dataset=npz" in figure.axes[1].get_title()
    assert "from the prior" in figure.axes[0].get_xlabel() and "one Gaussian" in figure.axes[1].get_xlabel()
    gallery.save_gallery(root)
    assert (root / "samples.png").stat().st_size > 10_000


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 10), (20, 1), (20, 4), (5,)])
@pytest.mark.parametrize("count", [1, 5, 12])
def test_every_kind_of_example_is_drawn_whole(shape, count):
    from drawn import save

    pictures = np.random.default_rng(0).random((8, 8, *shape))
    figure = draw_side_by_side("a title", [Panel("latent.dim=2", "words", pictures, (0, 1))] * count)
    assert sum(axes.get_visible() for axes in figure.axes) == count
    width, height = figure.get_size_inches()
    assert width <= 13
    figure.set_dpi(40)
    save(figure)


def test_a_multirun_leaves_samples_and_keeps_its_last_word_and_exit_code(tmp_path):
    done = command("-m", "latent.dim=2,0", "hydra.sweep.dir=sweep", "threads=1", *QUICK, cwd=tmp_path)
    assert done.returncode == 2
    assert (tmp_path / "sweep" / "samples.png").stat().st_size > 10_000
    output = done.stdout
    assert output.index("samples side by side") < output.index("1 of 2 runs finished")
    assert "Warning" not in done.stderr

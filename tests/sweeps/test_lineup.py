"""reconstructions.png and codes.png of a sweep, and the experiments of a lecture that are made of them."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from commands import aeexp as command
from composing import CONF, composed, run_in
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from panels import describe_run
from representatives import few

import aeexp
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.bundled import digits
from aeexp.drawing import canvas
from aeexp.runs.folder import RunFolder
from aeexp.sweeps import lineup
from aeexp.sweeps.selection import find_drawn_runs, select_distinct

QUICK = ["trainer.epochs=1", "plot=curves"]
LECTURES = {path.stem: path.read_text("utf-8") for path in sorted((CONF / "experiment").glob("lecture_*.yaml"))}
SWEEPS = [name for name, text in LECTURES.items() if "mode: MULTIRUN" in text]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two widths of a VAE that saved their codes, and a repetition of the second."""
    root = tmp_path_factory.mktemp("sweep")
    for name, words in (("0", ["latent.dim=2"]), ("1", ["latent.dim=3"]), ("2", ["latent.dim=2", "model=linear"])):
        run_in(root / name, *QUICK, "variant=vae", "metric=reconstruction", "save_codes=true", *words)
        describe_run(root / name, ["variant=vae", *words])
    shutil.copytree(root / "1", root / "3")
    describe_run(root / "3", ["variant=vae", "latent.dim=3", "seed=1"])
    return root


def named(root: Path) -> list[tuple[str, RunFolder]]:
    return [(" ".join(words[1:]), run) for words, run in select_distinct(find_drawn_runs(root)).items()]


def tile(axes, sheet: int, column: int) -> np.ndarray:
    return np.asarray(axes.images[sheet].get_array())[:8, 9 * column :][:, :8]


def test_each_row_is_a_runs_output_of_the_same_test_rows_and_samples_of_its_own(runs):
    figure = lineup.draw_reconstructions(named(runs), "variant=vae")
    [axes] = figure.axes
    data = digits(name="digits", split=Fractions([8, 1, 1]))
    split = data["test"]
    x = split.batch(torch.from_numpy(canvas.choose_rows(split.y.numpy(), 10, len(split)))).x
    np.testing.assert_allclose(tile(axes, 0, 4), x[4, 0], atol=1e-6)
    for place, name in enumerate("012"):
        model = aeexp.load(runs / name)
        np.testing.assert_allclose(tile(axes, 1 + 2 * place, 4), model.reconstruct(x)[4, 0], atol=1e-5)
        torch.manual_seed(0)
        np.testing.assert_allclose(tile(axes, 2 + 2 * place, 9), model.sample(64)[9, 0], atol=1e-5)
    labels = [text.get_text() for text in axes.get_yticklabels()]
    metrics = json.loads((runs / "1" / "metrics.json").read_text())
    own, pca = (node["reconstruction/mse"] for node in (metrics["test"], metrics["baseline"]["pca"]))
    assert labels[0] == "test rows" and len(labels) == 4
    assert labels[2] == f"latent.dim=3\nerror {canvas.format_number(own)} (PCA {canvas.format_number(pca)})"
    assert figure.get_suptitle().endswith("variant=vae")


def test_codes_of_two_units_are_dots_by_class_on_equal_axes(runs):
    figure = lineup.draw_codes(named(runs), "")
    assert [axes.get_title() for axes in figure.axes] == ["latent.dim=2", "latent.dim=2 model=linear"]
    with np.load(runs / "0" / "codes.npz") as saved:
        codes, labels = saved["codes"], saved["labels"]
    for label, dots in enumerate(figure.axes[0].collections):
        np.testing.assert_allclose(dots.get_offsets(), codes[labels == label], rtol=1e-6)
    assert figure.axes[0].get_aspect() == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [str(i) for i in range(10)]


def test_runs_of_other_data_share_no_rows_and_one_run_compares_with_none(runs, tmp_path):
    root = tmp_path / "sweep"
    shutil.copytree(runs / "0", root / "0")
    lineup.save_lineup(root)
    assert not list(root.glob("*.png"))
    run_in(root / "1", *QUICK, "metric=none", "dataset.limit=200")
    describe_run(root / "1", ["dataset.limit=200"])
    assert lineup.draw_reconstructions(named(root), "") is None


def test_a_run_that_cannot_be_read_is_a_warning(runs, tmp_path, caplog):
    root = tmp_path / "sweep"
    shutil.copytree(runs, root)
    (root / "0" / "checkpoints" / "best.pt").write_bytes(b"damaged")
    assert lineup.draw_reconstructions(named(root), "") is None
    assert "no reconstructions.png" in caplog.text


def test_conditional_models_show_a_sample_of_each_label(tmp_path):
    for name in ("0", "1"):
        run_in(tmp_path / name, *QUICK, "variant=cvae", "metric=none", f"latent.dim={2 + int(name)}")
        describe_run(tmp_path / name, [f"latent.dim={2 + int(name)}"])
    lineup.save_lineup(tmp_path)
    assert (tmp_path / "reconstructions.png").stat().st_size > 10_000
    assert not (tmp_path / "codes.png").exists()


# --- the lecture's experiments


def swept(experiment: str):
    """The values of each swept key, as the experiment says them."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [f"experiment={experiment}"], return_hydra_config=True)
    assert cfg.hydra.mode.name == "MULTIRUN", "one command is enough, without -m"
    parser = OverridesParser.create()
    words = [parser.parse_override(f"{key}={value}") for key, value in cfg.hydra.sweeper.params.items()]
    return {word.key_or_group: list(word.sweep_string_iterator()) for word in words}


@pytest.mark.parametrize("experiment", few(SWEEPS, "lecture_codes", "lecture_memoriser"))
def test_first_and_last_run_of_a_lecture_train_two_steps(experiment, tmp_path):
    values = swept(experiment)
    assert values
    for end in (0, -1):
        train_two_steps(experiment, tmp_path / str(end), *(f"{key}={all_[end]}" for key, all_ in values.items()))


@pytest.mark.parametrize("experiment", few(sorted(LECTURES.keys() - SWEEPS), "lecture_line"))
def test_a_lecture_of_one_run_trains_two_steps(experiment, tmp_path):
    train_two_steps(experiment, tmp_path)


def train_two_steps(experiment: str, folder: Path, *values: str) -> None:
    """Without figures, but those whose keys the experiment sets, and with the error alone."""
    words = [f"experiment={experiment}", *values]
    plots = list((yaml.safe_load(LECTURES[experiment]).get("plot") or {"none": {}}).keys())
    if "steps" in composed(*words).trainer:
        words += ["trainer.steps=2", "trainer.validate_every_steps=1"]
    if "finetune" in composed(*words).trainer:
        words += ["trainer.pretrain_epochs=0", "trainer.finetune.epochs=1"]
    if "metric" not in yaml.safe_load(LECTURES[experiment]):
        words += ["metric=[reconstruction]"]
    assert math.isfinite(run_in(folder, *words, f"plot=[{','.join(plots)}]"))


@pytest.mark.slow
def test_one_command_is_the_whole_lecture(tmp_path):
    assert len(SWEEPS) > 10
    words = ["experiment=lecture_widths", "trainer.steps=2", "trainer.validate_every_steps=1", "plot=[curves]"]
    done = command(*words, "threads=1", "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 runs finished" in done.stdout and "reconstructions side by side" in done.stdout
    figures = {path.name for path in (tmp_path / "sweep").glob("*.png")}
    assert figures == {"samples.png", "reconstructions.png", "sweep.png"}
    assert "Warning" not in done.stderr

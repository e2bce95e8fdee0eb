"""What TensorBoard calls a run: what differs, as a name that every system takes."""

from __future__ import annotations

import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aeexp.runs.folder import RunFolder
from aeexp.runs.titles import LONGEST, clean, join_words, title_run

SAFE = set(string.ascii_letters + string.digits + " ._,=+()@-")


def describe(root, typed, job=None):
    """A run folder as Hydra leaves it: `typed` by the user, `job` of a sweep."""
    run = root / "0" if job is not None else root
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(typed if job is None else job))
    node = {
        "mode": "RUN" if job is None else "MULTIRUN",
        "sweep": {"dir": root.name},
        "runtime": {"cwd": str(root.parent)},
    }
    (run / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": node}))
    if job is not None:
        (root / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"overrides": {"task": typed}}}))
    return RunFolder(run)


@pytest.mark.parametrize(
    ("typed", "job", "title"),
    [
        (["variant=vae", "latent.dim=5", "seed=1"], None, "vae latent.dim=5 seed=1"),
        ([], None, "vae"),
        (["dataset.path=/home/me/my data.csv", "device=cpu", "resume=x"], None, "vae dataset.path=my data.csv"),
        (["noise=[masking,gaussian]"], None, "vae noise=masking,gaussian"),
        (["dataset/split=official"], None, "vae dataset_split=official"),
        (["variant=vae,ae", "latent.dim=2,5", "seed=1"], ["variant=vae", "latent.dim=5", "seed=1"], "vae latent.dim=5"),
        (["experiment=x"], ["experiment=x", "optimizer.lr=0.1"], "vae optimizer.lr=0.1"),
    ],
)  # fmt: skip
def test_a_title_says_what_differs(tmp_path, typed, job, title):
    assert title_run(describe(tmp_path / "s", typed, job), {"variant": "vae"}) == title


def test_a_folder_without_hydra_s_files_has_the_variant_s_name(tmp_path):
    assert title_run(RunFolder(tmp_path), {"variant": "vae"}) == "vae"


@given(st.lists(st.text(max_size=120), min_size=1, max_size=30))
def test_any_words_make_a_folder_name_of_every_system(words):
    name = join_words([clean(word) for word in words])
    assert 0 < len(name) <= LONGEST and set(name) <= SAFE
    assert name == name.strip(" .")  # Windows drops them


def test_what_an_earlier_try_wrote_keeps_its_folder(tmp_path):
    run = RunFolder(tmp_path)
    assert run.find_events("new") == tmp_path / "tensorboard" / "new"
    (tmp_path / "tensorboard" / "old").mkdir(parents=True)
    (tmp_path / "tensorboard" / "old" / "events.out.1").touch()
    assert run.find_events("new") == tmp_path / "tensorboard" / "old"

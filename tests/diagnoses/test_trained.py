"""Runs that were made ill, each in its own way, and two that were not: what they are told at their end."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from composing import run_in
from ill import configure
from representatives import few

from aeexp.diagnoses import Diagnosis, Facts, diagnose

SHORT = ("model.hidden_dims=[64]", "trainer.steps=120", "trainer.validate_every_steps=10")
NUMBERS = "metric=[reconstruction,generalisation,latent]"
# The words that make a run ill. What each illness is of stands in the rule; the numbers are far beyond the threshold.
ILL = {
    "posterior collapse": (*SHORT, "variant=vae", "regularizer.kl.weight=20", NUMBERS),
    "rate too high": (*SHORT, "optimizer.lr=1.0", NUMBERS),
    "next to nothing was learned": (*SHORT, "optimizer.lr=1e-6", NUMBERS),
    "memorised": ("dataset.split.fractions=[1,4,5]", "model.hidden_dims=[512]", "trainer.steps=600",
                  "trainer.validate_every_steps=600", "optimizer.lr=0.003", NUMBERS),
    "worse than PCA": (*SHORT, "variant=contractive", NUMBERS),
    "stopped before it converged": (*SHORT, "trainer.steps=40", NUMBERS),
    "dead units": ("trainer.steps=200", "variant=k_sparse", "regularizer=none", "latent.k=4", NUMBERS),
    "unused codebook": (*SHORT[1:], "variant=vq_vae", "latent.codes=1024", "latent.restart_after=null", NUMBERS),
    "not sparse": (*SHORT, "variant=sparse_kl", "regularizer.kl_sparsity.weight=0", NUMBERS),
    "probes read less than of raw input": (*SHORT, "latent.dim=1", "metric=[probe]"),
    "empty baseline": (*SHORT, "latent.dim=64", NUMBERS),
}  # fmt: skip


def examine(folder: Path, words: tuple[str, ...]) -> list[Diagnosis]:
    run_in(folder, *words, "trainer.checkpoint_seconds=1000")
    return diagnose(Facts(json.loads((folder / "metrics.json").read_text()), configure(*words)))


@pytest.fixture(scope="module")
def healthy(tmp_path_factory) -> list[Diagnosis]:
    """600 steps at a rate that falls: as good as PCA, and through."""
    words = ("metric=[reconstruction,generalisation,latent,probe]", "scheduler=cosine", "optimizer.lr=0.003")
    return examine(tmp_path_factory.mktemp("runs") / "healthy", words)


@pytest.mark.parametrize("name", few(ILL, "posterior collapse", "stopped before it converged", "worse than PCA"))
def test_an_ill_run_is_told_and_the_healthy_one_is_not(name, tmp_path, healthy):
    found = {each.name: each for each in examine(tmp_path / "ill", ILL[name])}
    assert name in found and found[name].cures
    assert name not in [each.name for each in healthy]


def test_the_healthy_run_is_told_nothing(healthy):
    assert list(map(str, healthy)) == []


def test_a_code_that_is_drawn_and_used_has_not_collapsed(tmp_path):
    words = (*SHORT, "variant=vae", "likelihood=gaussian_optimal", "metric=[latent]")
    assert {"posterior collapse", "dead units"}.isdisjoint(each.name for each in examine(tmp_path / "run", words))


def test_the_command_says_what_metrics_json_says_in_three_lines_at_most(tmp_path, caplog):
    words = (*ILL["posterior collapse"][:-1], "metric=[reconstruction,latent]")
    with caplog.at_level(logging.INFO):
        found = examine(tmp_path / "run", words)
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())["diagnoses"]
    assert 1 <= len(told) <= 3 and told[0]["name"] == "posterior collapse"
    assert told[0]["evidence"] == found[0].evidence and told[0]["cure"] == "regularizer.kl.weight=2"
    lines = [record.getMessage() for record in caplog.records]
    (line,) = (line for line in lines if line.startswith("diagnosis: posterior collapse: the code tells "))
    assert line.endswith("; cure: regularizer.kl.weight=2") and "\n" not in line
    assert lines[-1].endswith(f"more: aeexp-doctor {tmp_path / 'run'}") or len(told) == len(found)

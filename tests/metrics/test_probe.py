"""The probe at codes whose accuracy is known: one-hot, constant, noise."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from measured import as_run, coded, drawn_about

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.metrics.probe import Probe
from aeexp.models.pca import identity

LABELS = np.random.default_rng(0).integers(0, 5, 600)


def test_one_hot_codes_of_the_label_are_read_without_error():
    run = coded(np.eye(5)[LABELS], LABELS)
    assert Probe()(run, "test") == {"probe/linear": 1.0, "probe/knn": 1.0}


def test_constant_codes_are_read_at_chance():
    run = coded(np.full((600, 3), 0.7), LABELS)
    values = Probe()(run, "test")
    counts = np.bincount(LABELS)
    # no information: the probe answers with one class for all
    assert values["probe/linear"] == pytest.approx(counts.max() / 600)
    assert values["probe/knn"] in [pytest.approx(count / 600) for count in counts]


def test_codes_of_noise_are_read_at_chance():
    generator = np.random.default_rng(1)
    data = {
        name: Split(Rows(generator.normal(size=(600, 3)).astype(np.float32), generator.integers(0, 5, 600)))
        for name in ("train", "val", "test")
    }
    values = Probe()(as_run(identity(torch.Size([3])), Data("noise", data, ())), "test")
    for accuracy in values.values():
        assert abs(accuracy - 0.2) < 5 * math.sqrt(0.2 * 0.8 / 600)  # binomial


NOISY = np.eye(5)[LABELS] + np.random.default_rng(2).normal(0, 0.4, (600, 5))


@pytest.mark.parametrize("name", ["linear", "knn"])
def test_units_of_very_unequal_scale_and_offset_are_no_disadvantage(name):
    plain = Probe()(coded(NOISY, LABELS), "test")[f"probe/{name}"]
    moved = Probe()(coded(NOISY * [1e-1, 1, 30, 5, 1] + [0, 100, -7, 0, 3], LABELS), "test")[f"probe/{name}"]
    assert 0.5 < plain < 1
    # another penalty may be chosen, which moves the rows near a border: 2 % of them
    assert moved >= plain - 0.02


def test_neighbours_do_not_feel_a_turn_of_codes_that_are_read_as_they_are():
    axes, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(5, 5)))
    plain = Probe()(coded(NOISY, LABELS), "test")["probe/knn"]
    turned = Probe()(coded(3 * NOISY @ axes + 1, LABELS), "test")["probe/knn"]
    # distances keep their order when all are turned and scaled, up to near ties that float32 decides anew
    assert turned == pytest.approx(plain, abs=5 / 600)


def test_validation_rows_choose_and_test_rows_do_not():
    """Labels of the test rows may be anything: the probes are the same."""
    runs = []
    for labels in (LABELS, LABELS[::-1].copy()):
        rows = {"train": LABELS, "val": LABELS, "test": labels}
        splits = {split: Split(Rows(NOISY.astype(np.float32), y)) for split, y in rows.items()}
        runs.append(as_run(identity(torch.Size([5])), Data("coded", splits, ())))
    one, other = (Probe().fit(run)["linear"] for run in runs)
    assert np.array_equal(one[-1].coef_, other[-1].coef_)


def test_only_labelled_rows_are_read_and_only_the_stated_number_is_fitted():
    codes, labels = NOISY.copy(), LABELS.copy()
    labels[::2] = -1
    codes[::2] = 1e6  # would ruin every probe
    half = Probe()(coded(codes, labels), "test")
    assert half == Probe()(coded(NOISY[1::2], LABELS[1::2]), "test")

    few, again, other = (Probe(rows=100, seed=seed).fit(coded(NOISY, LABELS))["knn"] for seed in (0, 0, 1))
    assert few[-1].n_samples_fit_ == 100
    query = NOISY[:50].astype(np.float32)
    distances = [knn[-1].kneighbors(knn[:-1].transform(query))[0] for knn in (few, again, other)]
    assert np.array_equal(distances[0], distances[1]) and not np.array_equal(distances[0], distances[2])


@pytest.mark.parametrize("labels", [None, np.full(600, -1), np.zeros(600, int)])
def test_without_labels_or_classes_the_probe_is_left_out(labels, caplog):
    caplog.set_level(logging.INFO)
    assert Probe()(coded(np.random.default_rng(0).normal(size=(600, 3)), labels), "test") == {}
    # that there are no labels is said once for a whole run (aeexp.runs.run); one class is the probe's own word
    said = [record.message for record in caplog.records]
    assert len(said) == (labels is not None and labels.min() == 0)
    assert all("one class" in message and "coded" in message for message in said)


# ---------------------------------------------------------------- what the posterior's noise hides


@pytest.mark.parametrize("name", ["linear", "knn", "svm_linear", "svm_rbf"])
def test_a_collapsed_code_is_read_at_chance_unless_its_means_are_asked_for(name):
    run, most = drawn_about(1e-4 * np.eye(5)[LABELS], 1.0, LABELS), np.bincount(LABELS).max() / 600
    assert Probe(classifiers=[name], codes="mean")(run, "test")[f"probe/{name}"] == 1.0
    assert Probe(classifiers=[name])(run, "test")[f"probe/{name}"] <= most  # the same answer for all rows


def test_drawn_codes_of_a_collapsed_posterior_are_read_at_chance():
    run = drawn_about(1e-4 * np.eye(5)[LABELS], 1.0, LABELS)
    # 25 weights are fitted to the very draws that they are tested on: some 25 / 600 of the rows more than by chance
    chance = 0.2 + 5 * math.sqrt(0.2 * 0.8 / 600) + 25 / 600
    assert Probe(classifiers=["linear"], codes="sampled")(run, "test")["probe/linear"] < chance


CODES = ("visible", "mean", "sampled")


def test_units_that_are_not_hidden_are_read_as_they_are():
    run = drawn_about(np.hstack([NOISY, 1e-4 * np.eye(5)[LABELS]]), 0.3, LABELS)
    assert run.visible().tolist() == [True] * 5 + [False] * 5
    assert Probe()(run, "test") == Probe()(coded(np.hstack([NOISY, np.zeros((600, 5))]), LABELS), "test")
    assert Probe(codes="mean")(run, "test")["probe/linear"] > Probe()(run, "test")["probe/linear"]
    # sampled codes are noisier than their means
    assert Probe(codes="sampled")(run, "test")["probe/linear"] < Probe()(run, "test")["probe/linear"]


@pytest.mark.parametrize("codes", CODES)
def test_a_code_without_noise_is_read_the_same_whatever_is_asked_for(codes):
    assert Probe(codes=codes)(coded(1e-4 * np.eye(5)[LABELS], LABELS), "test") == {"probe/linear": 1, "probe/knn": 1}

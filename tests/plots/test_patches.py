"""What an encoder makes of the patches that it sees: the others change nothing, and are what the errors are of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from composing import composed
from measured import as_run

from aeexp.plots.patches import Patches, Views
from aeexp.runs.build import build_seeded


@pytest.fixture
def run(digit_data):
    cfg = composed("variant=mae", "dataset=digits", "latent.dim=32", "model.width=8", "model.heads=2")
    return as_run(build_seeded(cfg, digit_data).model.eval(), digit_data)


def test_one_patch_of_four_is_seen_and_what_is_told_from_it_knows_no_other(run):
    views = Patches(examples=6).view(run)
    seen = torch.from_numpy(views.seen).unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)  # of digits of 8x8 2x2 patches
    assert (seen.all(-1) == seen.any(-1)).all() and seen.any(-1).sum((1, 2, 3)).tolist() == [1] * 6
    x = torch.from_numpy(views.whole)
    other = torch.where(torch.from_numpy(views.seen), x, 1 - x)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        numbers, shown = run.model.encoder.see_part(other)
    assert torch.equal(shown, torch.from_numpy(views.seen))
    restored = run.model.decode(run.model.latent(numbers).mean)
    np.testing.assert_array_equal(restored.detach().numpy(), views.restored)


def test_the_error_is_that_of_hidden_values_alone():
    whole, seen = np.zeros((1, 1, 2, 2)), np.array([[[[True, False], [True, False]]]])
    views = Views(whole, seen, np.full((1, 1, 2, 2), 3.0), np.zeros((1, 2, 2)))
    assert views.measure(views.restored).tolist() == [18]


def test_the_figure_stands_there_for_masked_encoders_alone(run, digit_data):
    figure = Patches(examples=3)(run)["patches"]
    assert "75% of the patches hidden" in figure.get_suptitle()
    whole = composed("variant=mae", "dataset=digits", "latent.dim=32", "model.masked=0.0")
    assert Patches()(as_run(build_seeded(whole, digit_data).model.eval(), digit_data)) == {}

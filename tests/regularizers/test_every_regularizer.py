"""Each penalty acts on what it is given, or says in words that it cannot: of masks, of sequences."""

from __future__ import annotations

import pytest
import torch
from composing import composed
from representatives import few

from aeexp.errors import UsageError
from aeexp.reference.options import list_groups
from aeexp.runs.build import build_learner
from aeexp.types import Batch, Facts

ROWS = 6
PICTURES = Facts((3, 16, 16), 2, target=(1, 16, 16), values=(0, 1))
CASES = {
    "masks": (["variant=segmentation", "latent=gaussian"], PICTURES),
    "sequences": (["variant=recurrent_vae"], Facts((6, 2), 2)),
}


@pytest.mark.parametrize("case", few(CASES, "masks"))
@pytest.mark.parametrize("name", few(list_groups()["regularizer"], "picture_critic", "perceptual", "l1"))
def test_a_penalty_acts_or_is_refused_in_words(name, case):
    words, facts = CASES[case]
    try:
        learner = build_learner(composed(*words, f"regularizer={name}"), facts)
    except UsageError:
        return
    generator = torch.Generator().manual_seed(0)
    batch = Batch(
        torch.rand(ROWS, *facts.shape, generator=generator),
        torch.arange(ROWS) % 2,
        target=torch.randint(0, 2, (ROWS, *facts.target), generator=generator) if facts.target else None,
        mask=torch.ones(ROWS, facts.shape[0], dtype=torch.bool) if len(facts.shape) == 2 else None,
    )
    terms, _ = learner.train()(batch)
    assert all(bool(term.isfinite().all()) for term in terms.values()), terms

"""The penalty is what its name says, and a part of its group."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from aeexp_hoyer import Hoyer

from aeexp.testing import check_part


def test_it_is_a_regularizer():
    check_part(Hoyer, "regularizer", {"weight": 0.3})


@pytest.mark.parametrize(("code", "ratio"), [([0.0, 3.0, 0.0, 0.0], 1.0), ([2.0, -2.0, 2.0, 2.0], 2.0)])
def test_one_unit_alone_costs_1_and_all_alike_the_root_of_their_number(code, ratio):
    out = SimpleNamespace(code=SimpleNamespace(mean=torch.tensor([code])))
    # a float32 has 2^-24 of a value; the 1e-8 beside the squares is less
    assert Hoyer()(out, None).item() == pytest.approx(ratio, rel=1e-6)

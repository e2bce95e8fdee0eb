"""One thread, embedded digits, no network: what every test may rely on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from aeexp.data.bundled import digits
from aeexp.data.records import Data
from aeexp.data.splits import Fractions

os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True)
def one_thread_and_a_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def digit_data() -> Data:
    """1,437 / 180 / 180 digits of 8x8 pixels."""
    return digits(name="digits", split=Fractions([8, 1, 1]))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout; the test is skipped where it is missing."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder

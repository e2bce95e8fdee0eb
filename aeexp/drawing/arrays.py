"""From tensors of a run to arrays that are drawn."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from aeexp.evaluation.run import Run
from aeexp.types import Batch


def to_array(values: Tensor) -> np.ndarray:
    """float32 in the host's memory."""
    return values.float().cpu().numpy()


def mask_array(batch: Batch) -> np.ndarray | None:
    """(B, T) which steps of padded sequences are real; None where rows are no sequences, or all of one length."""
    return None if batch.mask is None else batch.mask.cpu().numpy()


def attribute_tensor(run: Run) -> Tensor | None:
    """(N,) or (N, F) attributes of the test rows; None where the data has none."""
    attributes = run.rows("test").s
    return attributes if isinstance(attributes, Tensor) else None

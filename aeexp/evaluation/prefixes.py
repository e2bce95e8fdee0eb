"""What the first units of a code tell alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from aeexp.evaluation.encode import encode
from aeexp.evaluation.run import Run
from aeexp.models.learner import choose_batch_size


@torch.no_grad()
def measure_prefixes(run: Run, split: str, counts: Sequence[int]) -> np.ndarray | None:
    """(C, N) error of each row of a split from its mean code's first so many units, the others at 0; None where such a
    code is none of the latent's."""
    if run.model.latent.constrained or run.model.latent.space != "real":
        return None
    number = torch.arange(run.model.latent.dim, device=run.device)
    parts = []
    for batch in run.rows(split).batches(choose_batch_size(run.data.shape)):
        batch, _, context, code = encode(run.learner, batch)
        outputs = (run.model.parameters_of(code.mean * (number < count), context, code.skips) for count in counts)
        errors = [run.learner.task.error(run.model.likelihood, output, batch) for output in outputs]
        parts.append(torch.stack(errors).cpu().numpy())
    return np.concatenate(parts, 1)

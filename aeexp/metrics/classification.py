"""How well the model itself names the classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from aeexp.evaluate import Run, Values


class Classification:
    """Accuracy and cross-entropy (nats per example) of a model that was trained to predict labels.

    Measured on the labelled rows of `Run.rows`; left out where no part of the learner has `label_scores(out)`.
    """

    @torch.no_grad()
    def __call__(self, run: Run, split: str) -> Values:
        parts = [part for part in run.learner.modules() if hasattr(part, "label_scores")]
        if not parts or not run.data.labelled:
            return {}
        hits = nats = rows = 0.0
        for batch in run.rows(split).batches(1024):
            out = run.forward(batch)
            known = out.batch.y >= 0
            scores, y = parts[0].label_scores(out)[known], out.batch.y[known]
            hits += float((scores.argmax(1) == y).sum())
            nats += float(F.cross_entropy(scores, y, reduction="sum"))
            rows += len(y)
        return {"classification/accuracy": hits / rows, "classification/nats": nats / rows}

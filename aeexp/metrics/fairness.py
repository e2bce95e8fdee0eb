"""What codes keep of an attribute, and what a classifier on them makes of its groups."""

from __future__ import annotations

import logging
from itertools import combinations
from typing import Any, ClassVar, final

import numpy as np
import torch

from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.probes import fit_probe
from aeexp.evaluation.run import Run, Values
from aeexp.ranges import Count, Seed, Several

log = logging.getLogger(__name__)

SAME = 0.9999  # correlation of a feature that is the attribute but for rounding


@final
class Fairness(Metric):
    """Accuracy on the label y, leakage of the attribute s, and the gaps between its groups; on the raw input too.

    A linear probe (logistic regression on standardised codes) and a forest, each fitted on `rows` training rows: an
    attribute that the linear one misses may still be there. `fairness/` with the probe's name at the end:

    - `accuracy`: of y. `leakage`: accuracy of s. What a constant guess has of each is their `majority`.
    - `leakage_balanced`: mean over the values of s of the share found, each taken as equally frequent: 1 / values
      where nothing leaks, however rare a value is.
    - `parity_gap`: largest difference of the share predicted as a class, over classes and pairs of groups; of two
      classes and groups |P(y'=1 | s=0) - P(y'=1 | s=1)| (demographic parity). `parity_gap_labels` is that of y itself:
      a perfect classifier has it.
    - `odds_gap`: the same within the rows of one true class, the largest over classes (equalised odds, Hardt 2016).

    An attribute of quantities (B, F) has no groups: nothing is measured.

    Formula: leakage_balanced: 1 / S Σ_s P(s' = s | s) over the S values; parity_gap: max |P(y' = c | s) - P(y' = c |
    t)|

    Look at: accuracy beside leakage (tradeoff.png of a sweep), and both on raw input.
    """

    of_codes: ClassVar = True
    numbers: ClassVar = (
        Number("fairness/(accuracy_majority|leakage_majority|parity_gap_labels)", None, "share"),  # of the data
        Number(
            "fairness/accuracy_forest", "higher", "share", headline=True, label="accuracy of the label, by a forest"
        ),
        Number("fairness/accuracy_linear", "higher", "share"),
        Number(
            "fairness/leakage_balanced_forest",
            "lower",
            "share",
            headline=True,
            label="balanced accuracy of the attribute, by a forest",
        ),
        Number("fairness/parity_gap_forest", "lower", "share", headline=True),
        Number("fairness/(leakage|leakage_balanced|parity_gap|odds_gap)_(linear|forest)", "lower", "share"),
    )

    def __init__(self, rows: Several = 5000, trees: Count = 100, seed: Seed = 0):
        self.rows = rows
        self.trees = trees
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        if run.data.facts.codes < 2:
            why = run.data.facts.explain_attributes()
            run.compute_once("fairness", lambda: log.info("fairness: left out of %s: %s", run.data.name, why))
            return {}
        probes = run.compute_once(("fairness", self.rows, self.trees, self.seed), lambda: self.fit(run))
        codes, s, y = run.codes(split), attribute(run, split), run.labels(split)
        values: Values = {}
        if "s" in probes:
            values["fairness/leakage_majority"] = share(s, probes["s"]["majority"])
            for name in ("linear", "forest"):
                values |= leakage(probes["s"], name, codes, s)
        if "y" in probes and y is not None:
            known = y >= 0
            values["fairness/accuracy_majority"] = share(y[known], probes["y"]["majority"])
            values["fairness/parity_gap_labels"] = gap(y[known], s[known])
            for name in ("linear", "forest"):
                values |= outcome(name, probes["y"][name].predict(codes[known]), y[known], s[known])
        return values

    def fit(self, run: Run) -> dict[str, dict[str, Any]]:
        """Probes of s and, where there are labels, of y; none of what has one value only."""
        codes, s, y = run.codes("train"), attribute(run, "train"), run.labels("train")
        chosen = np.random.default_rng(self.seed).permutation(len(codes))[: self.rows]
        warn_of_copies(run, chosen, s)
        probes = {"s": self.fit_probes(codes[chosen], s[chosen])}
        if y is not None and run.data.is_labelled:
            labelled = np.flatnonzero(y >= 0)
            chosen = labelled[np.random.default_rng(self.seed).permutation(len(labelled))[: self.rows]]
            probes["y"] = self.fit_probes(codes[chosen], y[chosen])
        return {name: pair for name, pair in probes.items() if pair}

    def fit_probes(self, codes: np.ndarray, target: np.ndarray) -> dict[str, Any]:
        """Both, what a constant guess answers, and the shares of the values; {} of what has one value only."""
        from sklearn.ensemble import RandomForestClassifier

        values, counts = np.unique(target, return_counts=True)
        if len(values) < 2:
            return {}
        forest = RandomForestClassifier(self.trees, random_state=self.seed).fit(codes, target)
        return {
            "linear": fit_probe("linear", codes, target),
            "forest": forest,
            "majority": values[counts.argmax()],
            "shares": counts / len(target),
        }


def attribute(run: Run, split: str) -> np.ndarray:
    """(N,) values of the attribute of `run.rows`, 0, 1, ..."""
    s = run.rows(split).s
    assert s is not None, "data whose attribute is coded has one"
    return s.cpu().numpy()


def leakage(probes: dict[str, Any], name: str, codes: np.ndarray, s: np.ndarray) -> Values:
    """Accuracy as the probe was fitted, and balanced from its likelihood ratios p(s | z) / p(s)."""
    chances = probes[name].predict_proba(codes)
    values = probes[name].classes_
    plain, even = values[chances.argmax(1)], values[(chances / probes["shares"]).argmax(1)]
    each = [share(even[s == value], value) for value in np.unique(s)]
    return {
        f"fairness/leakage_{name}": float((plain == s).mean()),
        f"fairness/leakage_balanced_{name}": float(np.mean(each)),
    }


def outcome(name: str, predicted: np.ndarray, y: np.ndarray, s: np.ndarray) -> Values:
    """Accuracy on y, and the gaps between the groups of s."""
    within = [gap(predicted[y == value], s[y == value]) for value in np.unique(y)]
    return {
        f"fairness/accuracy_{name}": float((predicted == y).mean()),
        f"fairness/parity_gap_{name}": gap(predicted, s),
        f"fairness/odds_gap_{name}": max(within),
    }


def gap(predicted: np.ndarray, s: np.ndarray) -> float:
    """Largest difference between two groups in the share of rows predicted as a class; 0 of a single group."""
    values = np.unique(predicted)
    shares = [np.array([share(predicted[s == group], value) for value in values]) for group in np.unique(s)]
    return float(max((np.abs(a - b).max() for a, b in combinations(shares, 2)), default=0.0))


def share(values: np.ndarray, value: int) -> float:
    """Of the rows that have this value."""
    return float((values == value).mean())


def warn_of_copies(run: Run, chosen: np.ndarray, s: np.ndarray) -> None:
    """A word where a feature of the input is the attribute itself: raw input then leaks it by construction."""
    x = run.rows("train").batch(torch.from_numpy(chosen)).x.flatten(1).cpu().numpy().astype(np.float64)
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-12)
    for value in np.unique(s):
        of = (s[chosen] == value).astype(np.float64)
        likeness = np.abs(x.T @ (of - of.mean())) / len(of) / max(of.std(), 1e-12)
        if likeness.max() > SAME:
            text = "fairness: feature %d of %s is the attribute itself (value %d): leave it out of the input"
            log.warning(text, likeness.argmax(), run.data.name, value)
            return

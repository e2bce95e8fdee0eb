"""What codes keep of an attribute, and what a classifier on them makes of its groups."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, final

import numpy as np
import torch

from aeexp.evaluation.classifiers import Held, fit_probe
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.groups import bound_difference, count_by_group, find_groups, measure_gap
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import measure_balanced, measure_share
from aeexp.ranges import Count, Seed, Several

log = logging.getLogger(__name__)

PROBES = ("forest", "linear", "knn")
CHANCE = "its floor and its p say what chance makes of so few rows"
RISK = 0.05  # of a false warning, over all probes
SAME = 0.9999  # correlation of a feature that is the attribute but for rounding


@final
class Fairness(Metric):
    """Accuracy on the label y, leakage of the attribute s, and the gaps between its groups; on the raw input too.

    A linear probe, a forest and the nearest neighbours, each fitted on `rows` training rows: an attribute that one
    misses may still be there. `fairness/` with the probe's name at the end:

    - `accuracy`: of y. `leakage`: accuracy of s. What a constant guess has of each is their `majority`.
    - `leakage_balanced`: mean over the values of s of the share found, each taken as equally frequent: 1 / values
      where nothing leaks, however rare a value is. `leakage_over_raw`: how far that is, over groups of at least `least`
      rows, above what the same probe has of raw input, and `leakage_over_raw_least` the lower end of its interval (95 %
      for all probes together): above 0 the code makes the attribute more readable (a diagnosis).
    - `parity_gap`: largest difference of the share predicted as a class, over classes and pairs of groups; of two
      classes and groups |P(y'=1 | s=0) - P(y'=1 | s=1)| (demographic parity). `parity_gap_labels` is that of y itself:
      a perfect classifier has it.
    - `odds_gap`: the same within the rows of one true class, the largest over classes (equalised odds, Hardt 2016).
    - `parity_gap_floor`, `odds_gap_floor`: the mean gap where the groups are permuted among the rows, which is what a
      perfectly fair predictor has on so few; `..._p` how often a permutation has at least the gap that was found.

    Groups of fewer than `least` rows are in no gap and are named; `gap_rows` are in it, `gap_rows_least` in the
    smallest group. An attribute of quantities (B, F) has no groups: nothing is measured.

    Formula: leakage_balanced: 1 / S Σ_s P(s' = s | s) over the S values; parity_gap: max |P(y' = c | s) - P(y' = c |
    t)|

    Look at: accuracy beside leakage (tradeoff.png of a sweep), and both on raw input; a gap beside its floor.
    """

    of_codes: ClassVar = True
    reads: ClassVar = ("codes", "factors")
    numbers: ClassVar = (
        # of the data
        Number("fairness/(accuracy|leakage)_majority", None, "share"),
        Number("fairness/parity_gap(_floor|_p)?_labels", None, "share", no_interval=CHANCE),
        Number("fairness/gap_rows(_least)?", None, "rows", no_interval="a count"),
        Number("fairness/accuracy_forest", "higher", "share", headline=True,
               label="accuracy of the label, by a forest"),
        Number("fairness/accuracy_(linear|knn)", "higher", "share"),
        Number("fairness/leakage_balanced_forest", "lower", "share", headline=True,
               label="balanced accuracy of the attribute, by a forest"),
        Number("fairness/leakage_balanced_linear", "lower", "share", label="... of the attribute, by a linear probe"),
        Number("fairness/leakage_balanced_knn", "lower", "share", label="... of the attribute, by neighbours"),
        Number("fairness/parity_gap_forest", "lower", "share", headline=True, no_interval=CHANCE,
               label="parity gap, by a forest"),
        Number("fairness/parity_gap_floor_forest", None, "share", headline=True, no_interval=CHANCE,
               label="... of permuted groups"),
        Number("fairness/(parity|odds)_gap_(floor|p)_(linear|forest|knn)", None, "share", no_interval=CHANCE),
        Number("fairness/(parity|odds)_gap_(linear|forest|knn)", "lower", "share", no_interval=CHANCE),
        Number("fairness/leakage_(linear|forest|knn)", "lower", "share"),
        Number("fairness/leakage_over_raw(_least)?_(linear|forest|knn)", "lower", "share",
               no_interval="its lower end is a number of its own"),
    )  # fmt: skip

    def __init__(
        self, rows: Several = 5000, trees: Count = 100, least: Several = 20, permutations: Count = 1000, seed: Seed = 0
    ):
        self.rows = rows
        self.trees = trees
        self.least = least
        self.permutations = permutations
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        if run.data.facts.codes < 2:
            why = run.data.facts.explain_attributes()
            run.compute_once("fairness", lambda: log.info("fairness: left out of %s: %s", run.data.name, why))
            return {}
        groups = self.find_groups(run, split)
        return self.measure_leakage(run, split, groups) | self.measure_outcome(run, split, groups)

    def find_groups(self, run: Run, split: str) -> np.ndarray:
        """Values of s with at least `least` rows; the others are named, once a split."""
        groups, few = find_groups(attribute(run, split), self.least)
        if few and run.raw() is not run:
            name = run.data.attributes[0] if run.data.attributes else "s"
            named = ", ".join(f"{name}={value} ({count} rows)" for value, count in few.items())
            text = "fairness: %s: fewer than metric.fairness.least=%d rows of the %s split: in no gap"
            run.compute_once(("few", split, self.least), lambda: log.warning(text, named, self.least, split))
        return groups

    def measure_leakage(self, run: Run, split: str, groups: np.ndarray) -> Values:
        """What each probe has of s, and how far above what it has of raw input."""
        found = self.read_attribute(run, split)
        if found is None:
            return {}
        probes, s = self.probes(run)["s"], attribute(run, split)
        values: Values = {"fairness/leakage_majority": measure_share(s == probes["majority"])}
        raw = run.raw()
        for name, (plain, even) in found.items():
            values[f"fairness/leakage_{name}"] = measure_share(plain == s)
            values[f"fairness/leakage_balanced_{name}"] = measure_balanced(even == s, s)
            beside = None if raw is run or "inputs" in run.lacks else self.read_attribute(raw, split)
            if beside is not None and len(groups) > 1:
                more, least = bound_difference(even == s, beside[name][1] == s, s, groups, RISK / len(found))
                values[f"fairness/leakage_over_raw_{name}"] = more
                values[f"fairness/leakage_over_raw_least_{name}"] = least
        return values

    def read_attribute(self, run: Run, split: str) -> dict[str, tuple[np.ndarray, np.ndarray]] | None:
        """By probe the values (N,) of s that it answers as it was fitted, and taking all as equally frequent."""
        if "s" not in self.probes(run):
            return None
        probes, key = self.probes(run)["s"], ("fairness", split, *self.key())
        return run.compute_once(key, lambda: {name: read_value(probes, name, run.codes(split)) for name in PROBES})

    def measure_outcome(self, run: Run, split: str, groups: np.ndarray) -> Values:
        """What each probe makes of y, and the gaps between the groups with their floors."""
        probes, y, s = self.probes(run), run.labels(split), attribute(run, split)
        if "y" not in probes or y is None:
            return {}
        kept = y >= 0
        codes, y, s = run.codes(split)[kept], y[kept], s[kept]
        values: Values = {"fairness/accuracy_majority": measure_share(y == probes["y"]["majority"])}
        answers = {name: probes["y"][name].predict(codes) for name in PROBES}
        values |= {f"fairness/accuracy_{name}": measure_share(answer == y) for name, answer in answers.items()}
        groups = np.intersect1d(groups, find_groups(s, self.least)[0])
        if len(groups) < 2:
            return values
        sizes = [int((s == group).sum()) for group in groups]
        values |= {"fairness/gap_rows": sum(sizes), "fairness/gap_rows_least": min(sizes)}
        for name, answer in {**answers, "labels": y}.items():
            values |= self.measure_gaps("parity", name, [count_by_group(answer, s, groups)])
        within = {value: find_groups(s[y == value], self.least)[0] for value in np.unique(y)}
        within = {value: found for value, found in within.items() if len(found) > 1}
        for name, answer in answers.items():
            tables = [count_by_group(answer[y == value], s[y == value], found) for value, found in within.items()]
            values |= self.measure_gaps("odds", name, tables)
        return values

    def measure_gaps(self, kind: str, name: str, tables: list[np.ndarray]) -> Values:
        """A gap, its floor and its p; none where there is no table."""
        if not tables:
            return {}
        gap = measure_gap(tables, self.permutations, self.seed)
        heads = (f"fairness/{kind}_gap_{part}{name}" for part in ("", "floor_", "p_"))
        return dict(zip(heads, gap, strict=True))

    def key(self) -> tuple[int, ...]:
        """What the probes hang on."""
        return self.rows, self.trees, self.seed

    def probes(self, run: Run) -> dict[str, dict[str, Any]]:
        """Those of a run, fitted once."""
        return run.compute_once(("fairness", *self.key()), lambda: self.fit(run))

    def fit(self, run: Run) -> dict[str, dict[str, Any]]:
        """Probes of s and, where there are labels, of y; none of what has one value only."""
        targets = {"s": {split: attribute(run, split) for split in ("train", "val")}}
        if "model" not in run.lacks:  # else its rows are codes
            warn_of_copies(run, self.choose_rows(targets["s"]["train"], self.rows), targets["s"]["train"])
        y = {split: values for split in ("train", "val") if (values := run.labels(split)) is not None}
        if run.data.is_labelled:
            targets["y"] = y
        probes = {name: self.fit_probes(run, target["train"], target["val"]) for name, target in targets.items()}
        return {name: found for name, found in probes.items() if found}

    def choose_rows(self, target: np.ndarray, most: int) -> np.ndarray:
        """Places of so many rows at most of those whose target is known."""
        known = np.flatnonzero(target >= 0)
        return known[np.random.default_rng(self.seed).permutation(len(known))[:most]]

    def fit_probes(self, run: Run, target: np.ndarray, of_val: np.ndarray) -> dict[str, Any]:
        """All three, what a constant guess answers, and the shares of the values; {} of what has one value only.

        Validation rows, no more than the probes are fitted on, choose penalty and scale.
        """
        from sklearn.ensemble import RandomForestClassifier

        chosen = self.choose_rows(target, self.rows)
        codes, target = run.codes("train")[chosen], target[chosen]
        values, counts = np.unique(target, return_counts=True)
        if len(values) < 2:
            return {}
        few = self.choose_rows(of_val, len(chosen))
        held = Held(run.codes("val")[few], of_val[few]) if len(few) else None
        return {
            "linear": fit_probe("linear", codes, target, held=held),
            "forest": RandomForestClassifier(self.trees, random_state=self.seed).fit(codes, target),
            "knn": fit_probe("knn", codes, target, held=held),
            "majority": values[counts.argmax()],
            "shares": counts / len(target),
        }


def attribute(run: Run, split: str) -> np.ndarray:
    """(N,) values of the attribute of `run.rows`, 0, 1, ..."""
    s = run.rows(split).s
    assert s is not None, "data whose attribute is coded has one"
    return s.cpu().numpy()


def read_value(probes: dict[str, Any], name: str, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (N,) as the probe was fitted, and from its likelihood ratios p(s | z) / p(s)."""
    chances, values = probes[name].predict_proba(codes), probes[name].classes_
    return values[chances.argmax(1)], values[(chances / probes["shares"]).argmax(1)]


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

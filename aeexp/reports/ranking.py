"""What may be said of groups of runs: which is best by a number, by which others, and what the seeds cannot tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from aeexp.reports.declarations import Better, Declarations, is_given_label
from aeexp.reports.grouping import Group, describe_baseline, list_baselines
from aeexp.reports.pairing import compare_groups
from aeexp.reports.statistics import FEWEST, Estimate, Test, holm

LEVEL = 0.05


class Best(NamedTuple):
    """The group with the best mean by one criterion. `ties` were not told apart from it."""

    key: str
    better: Better
    group: Group
    estimate: Estimate
    ties: list[Group]
    tested: bool  # False: too few runs for a test; then `ties` is empty and the mean alone speaks
    untested: list[Group]  # too few pairs with the best group's runs to be told apart or not
    blurred: list[Group]  # not told apart from it over the rows of the test split, whatever the runs say
    beyond: list[str]  # baselines that are better still, as text: "raw input 0.967"


def rank_groups(
    groups: Sequence[Group], criteria: Sequence[str], declarations: Declarations
) -> tuple[list[Best], list[str]]:
    """The best group by each criterion that ranks, and a sentence for each that does not and might."""
    ranking, notes = [], []
    for key in criteria if len(groups) > 1 else ():
        better = declarations.better(key)
        whole = [group for group in groups if is_complete(group, key)]
        reason = declarations.incomparable(key, [record for group in whole for record in group.records])
        if better is None:
            continue
        if len(whole) < 2:
            notes.append(f"{key} is not ranked: {len(whole)} of {len(groups)} groups have it in all runs.")
            continue
        if reason:
            notes.append(f"{key} is not ranked: {reason}.")
            continue
        if len(whole) < len(groups):
            notes.append(f"{key} ranks {len(whole)} of {len(groups)} groups: not all runs of the others have it.")
        ranking.append(find_best(whole, key, better, declarations))
    return ranking, notes


def is_complete(group: Group, key: str) -> bool:
    """Whether every run has the number: a mean without the run that failed at it would flatter."""
    estimate = group.estimate(key)
    return estimate is not None and estimate.runs == len(group.records)


def find_best(groups: Sequence[Group], key: str, better: Better, declarations: Declarations) -> Best:
    """Of groups that all have the number: the best mean, and which others the runs cannot tell from it."""
    sign = 1.0 if better == "lower" else -1.0
    estimates = [(group, estimate) for group in groups if (estimate := group.estimate(key)) is not None]
    first, estimate = min(estimates, key=lambda pair: sign * pair[1].mean)
    rivals = [group for group in groups if group is not first]
    tests = [compare_groups(group, first, key) for group in rivals]
    adjusted = iter(holm([test.p for test in tests if test.p is not None]))
    ties, untested = [], []
    for group, test in zip(rivals, tests, strict=True):
        if test.pairs < FEWEST:
            untested.append(group)
            continue
        apart = next(adjusted) < LEVEL if test.p is not None else differs(test, estimate.mean)
        ties += [] if apart else [group]
    blurred = [group for group, other in estimates if group is not first and is_blurred(estimate, other)]
    best = Best(key, better, first, estimate, ties, len(untested) < len(rivals), untested, blurred, [])
    return best._replace(beyond=list_better_baselines(groups, best, declarations))


def is_blurred(one: Estimate, other: Estimate) -> bool:
    """Whether two means differ by less than their intervals over test rows.

    As of rows that each was tested on by itself: of the same rows, as here, a difference may be surer than that.
    """
    known = one.rows is not None and other.rows is not None
    return known and abs(one.mean - other.mean) <= math.hypot(one.rows or 0.0, other.rows or 0.0)


def differs(test: Test, value: float) -> bool:
    """Of closed forms, which no seed changes: by more than their rounding."""
    return test.difference is not None and abs(test.difference) > 1e-6 * abs(value)


def list_better_baselines(groups: Sequence[Group], best: Best, declarations: Declarations) -> list[str]:
    """Baselines that beat the best group. PCA's loss has no penalties: it is another thing than a loss with them."""
    given = any(is_given_label(run) for group in groups for run in group.records)
    if best.key == "loss" or (given and declarations.is_of_labels(best.key)):
        return []
    sign, names = 1.0 if best.better == "lower" else -1.0, []
    for name in list_baselines(groups):
        means = [(e.mean, group) for group in groups if (e := group.estimate(best.key, "baseline", name)) is not None]
        if not means:
            continue
        mean, group = min(means, key=lambda item: sign * item[0])
        if sign * mean < sign * best.estimate.mean:
            same = len({round(value, 6) for value, _ in means}) == 1 or group is best.group
            names.append(f"{describe_baseline(name, group.records)} {mean:.4g}" + ("" if same else f" ({group.name})"))
    return names


def describe_disagreement(ranking: Sequence[Best]) -> list[str]:
    """Where criteria name different groups, as sentences; only of what the runs can tell, where a test was possible."""
    winners: dict[str, list[Best]] = {}
    for best in ranking:
        winners.setdefault(best.group.name, []).append(best)
    if len(winners) < 2:
        return []
    names = "; ".join(f"{' and '.join(best.key for best in bests)}: {name}" for name, bests in winners.items())
    tops = (group for best in ranking for group in (best.group, *best.ties))
    if (top := next((group for group in tops if all(_is_top(group, best) for best in ranking)), None)) is not None:
        return [f"By their means the criteria name different groups ({names}), but {top.name} is best or "
                "not told apart from the best by all of them."]  # fmt: skip
    sentence = f"Criteria disagree. Best by {names}"
    if contrast := describe_contrast(ranking):
        sentence += f": {contrast}"
    doubt = "" if all(not best.untested for best in ranking) else " By the means alone: too few runs for a test."
    return [f"{sentence}.{doubt}"]


def _is_top(group: Group, best: Best) -> bool:
    return group is best.group or any(group is tie for tie in best.ties)


CONTRASTS = (
    ("reconstruction/", "probe/", "the best reconstruction is not the best code"),
    ("reconstruction/", "generation/", "the best reconstruction is not the best generator"),
    ("reconstruction/", "disentanglement/", "the best reconstruction is not the best disentangled"),
    ("fairness/leakage", "fairness/accuracy", "the least leakage is not the best accuracy"),
    ("reconstruction/", "retrieval/", "the best reconstruction does not retrieve best"),
    ("reconstruction/", "anomaly/", "the best reconstruction is not the best detector"),
)


def describe_contrast(ranking: Sequence[Best]) -> str:
    """The first pair of kinds of criteria of which no group is best, or tied, by both."""
    for one, other, text in CONTRASTS:
        left = [best for best in ranking if best.key.startswith(one)]
        right = [best for best in ranking if best.key.startswith(other)]
        apart = [not any(_is_top(g, b) for g in (a.group, *a.ties)) for a in left for b in right]
        if apart and all(apart):
            return text
    return ""

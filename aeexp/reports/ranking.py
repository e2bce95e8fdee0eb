"""What may be said of groups of runs: which is best by a number, by which others, and what the seeds cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aeexp.evaluation.baselines import named
from aeexp.reports.declarations import Better, Declarations, is_given_label
from aeexp.reports.grouping import Group, baselines
from aeexp.reports.pairing import compared
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
    beyond: list[str]  # baselines that are better still, as words: "raw input 0.967"


def ranked(groups: Sequence[Group], criteria: Sequence[str], declared: Declarations) -> tuple[list[Best], list[str]]:
    """The best group by each criterion that ranks, and a sentence for each that does not and might."""
    found, notes = [], []
    for key in criteria if len(groups) > 1 else ():
        way = declared.better(key)
        whole = [group for group in groups if complete(group, key)]
        reason = declared.incomparable(key, [record for group in whole for record in group.records])
        if way is None:
            continue
        if len(whole) < 2:
            notes.append(f"{key} is not ranked: {len(whole)} of {len(groups)} groups have it in all runs.")
            continue
        if reason:
            notes.append(f"{key} is not ranked: {reason}.")
            continue
        if len(whole) < len(groups):
            notes.append(f"{key} ranks {len(whole)} of {len(groups)} groups: not all runs of the others have it.")
        found.append(best(whole, key, way, declared))
    return found, notes


def complete(group: Group, key: str) -> bool:
    """Whether every run has the number: a mean without the run that failed at it would flatter."""
    made = group.estimate(key)
    return made is not None and made.runs == len(group.records)


def best(groups: Sequence[Group], key: str, way: Better, declared: Declarations) -> Best:
    sign = 1.0 if way == "lower" else -1.0
    first = min(groups, key=lambda group: sign * group.estimate(key).mean)
    rivals = [group for group in groups if group is not first]
    tests = [compared(group, first, key) for group in rivals]
    adjusted = iter(holm([test.p for test in tests if test.p is not None]))
    ties, untested = [], []
    for group, test in zip(rivals, tests, strict=True):
        if test.pairs < FEWEST:
            untested.append(group)
            continue
        told = next(adjusted) < LEVEL if test.p is not None else differ(test, first.estimate(key).mean)
        ties += [] if told else [group]
    tested, better = len(untested) < len(rivals), beyond(groups, key, sign, first, declared)
    return Best(key, way, first, first.estimate(key), ties, tested, untested, better)


def differ(test: Test, value: float) -> bool:
    """Of closed forms, which no seed changes: by more than their rounding."""
    return test.difference is not None and abs(test.difference) > 1e-6 * abs(value)


def beyond(groups: Sequence[Group], key: str, sign: float, first: Group, declared: Declarations) -> list[str]:
    """Baselines that beat the best group. PCA's loss has no penalties: it is another thing than a loss with them."""
    given = any(is_given_label(run) for group in groups for run in group.records)
    if key == "loss" or (given and declared.is_of_labels(key)):
        return []
    found = []
    for name in baselines(groups):
        means = [(made.mean, g) for g in groups if (made := g.estimate(key, "baseline", name)) is not None]
        if not means:
            continue
        mean, group = min(means, key=lambda item: sign * item[0])
        if sign * mean < sign * first.estimate(key).mean:
            same = len({round(value, 6) for value, _ in means}) == 1 or group is first
            found.append(f"{named(name)} {mean:.4g}" + ("" if same else f" ({group.name})"))
    return found


def disagreement(found: Sequence[Best]) -> list[str]:
    """Where criteria name different groups, as sentences; only of what the runs can tell, where a test was possible."""
    winners: dict[str, list[Best]] = {}
    for one in found:
        winners.setdefault(one.group.name, []).append(one)
    if len(winners) < 2:
        return []
    listed = "; ".join(f"{' and '.join(one.key for one in ones)}: {name}" for name, ones in winners.items())
    for one in found:
        if any(all(_top(group, other) for other in found) for group in (one.group, *one.ties)):
            every = [g for g in (one.group, *one.ties) if all(_top(g, other) for other in found)]
            return [f"By their means the criteria name different groups ({listed}), but {every[0].name} is best or "
                    "not told apart from the best by all of them."]  # fmt: skip
    sentence = f"Criteria disagree. Best by {listed}"
    if says := contrast(found):
        sentence += f": {says}"
    doubt = "" if all(not one.untested for one in found) else " By the means alone: too few runs for a test."
    return [f"{sentence}.{doubt}"]


def _top(group: Group, one: Best) -> bool:
    return group is one.group or any(group is tie for tie in one.ties)


CONTRASTS = (
    ("reconstruction/", "probe/", "the best reconstruction is not the best code"),
    ("reconstruction/", "generation/", "the best reconstruction is not the best generator"),
    ("reconstruction/", "disentanglement/", "the best reconstruction is not the best disentangled"),
    ("fairness/leakage", "fairness/accuracy", "the least leakage is not the best accuracy"),
    ("reconstruction/", "retrieval/", "the best reconstruction does not retrieve best"),
    ("reconstruction/", "anomaly/", "the best reconstruction is not the best detector"),
)


def contrast(found: Sequence[Best]) -> str:
    """The first pair of kinds of criteria of which no group is best, or tied, by both."""
    for one, other, words in CONTRASTS:
        left = [best for best in found if best.key.startswith(one)]
        right = [best for best in found if best.key.startswith(other)]
        apart = [not any(_top(g, b) for g in (a.group, *a.ties)) for a in left for b in right]
        if apart and all(apart):
            return words
    return ""

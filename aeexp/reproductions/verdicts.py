"""Whether numbers came out: arithmetic on the values of arms, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from aeexp.evaluation.uncertainty import quantile
from aeexp.reports.statistics import Estimate, estimate
from aeexp.reproductions.studies import Bound, Form, Order, Published

PASS, FAIL, INCOMPLETE = "PASS", "FAIL", "INCOMPLETE"
Values = Mapping[str, Mapping[int, float]]  # arm -> seed -> number
LEAST = 1e-3  # of a number: what rounding on another machine may change where seeds change nothing


class Outcome(NamedTuple):
    """Of one claim."""

    claim: str  # what had to hold
    ours: str
    verdict: str
    why: str  # how the tolerance was derived


def judge(form: Form, values: Values, better: str) -> list[Outcome]:
    """Each claim of a form on the numbers of its arms."""
    return [
        *(judge_published(each, values.get(each.arm, {})) for each in form.published),
        *(judge_order(each, values, better) for each in form.orders),
        *(judge_bound(each, values.get(each.arm, {})) for each in form.bounds),
    ]


def conclude(outcomes: Sequence[Outcome]) -> Literal["PASS", "FAIL", "INCOMPLETE"]:
    """FAIL where a claim failed, whatever is missing; PASS where all hold."""
    verdicts = {each.verdict for each in outcomes}
    if FAIL in verdicts:
        return "FAIL"
    return "PASS" if verdicts == {PASS} else "INCOMPLETE"


def judge_published(claim: Published, values: Mapping[int, float]) -> Outcome:
    """|mean - published| is at most the tolerance; on one side alone where the claim says so."""
    spread = "" if claim.spread is None else f" ± {claim.spread:g}"
    sign = {"both": "", "at_most": "at most ", "at_least": "at least "}[claim.side]
    text = f"{claim.arm}: {sign}{claim.value:g}{spread}, tolerance {claim.tolerance:g}"
    found = estimate(list(values.values()))
    if found is None:
        return Outcome(text, "-", INCOMPLETE, claim.derived)
    above, below = found.mean - claim.value, claim.value - found.mean
    off = {"both": max(above, below), "at_most": above, "at_least": below}[claim.side]
    return Outcome(text, describe(found), PASS if off <= claim.tolerance else FAIL, claim.derived)


def judge_bound(claim: Bound, values: Mapping[int, float]) -> Outcome:
    """The mean is on the right side of the bound, or on it."""
    text = f"{claim.arm}: {claim.side.replace('_', ' ')} {claim.value:g}"
    found = estimate(list(values.values()))
    if found is None:
        return Outcome(text, "-", INCOMPLETE, claim.derived)
    holds = found.mean <= claim.value if claim.side == "at_most" else found.mean >= claim.value
    return Outcome(text, describe(found), PASS if holds else FAIL, claim.derived)


def judge_order(claim: Order, values: Values, better: str) -> Outcome:
    """Of each two arms beside each other the mean difference, seed by seed, is above the margin. A star marks those
    whose 95 % interval leaves 0 out."""
    margin = f" by {claim.margin:g}" if claim.margin else ""
    text = f"{' better than '.join(claim.arms)}{margin}"
    verdict, told = PASS, []
    for difference in compare_neighbours(claim.arms, values, better):
        if difference is None:
            verdict = INCOMPLETE if verdict == PASS else verdict
            told.append("-")
            continue
        verdict = verdict if difference.mean > claim.margin else FAIL
        sure = difference.runs > 1 and abs(difference.mean) > difference.half
        told.append(f"{describe(difference)}{' *' if sure else ''}")
    return Outcome(text, ", ".join(told), verdict, claim.derived)


def compare_neighbours(arms: Sequence[str], values: Values, better: str) -> Iterator[Estimate | None]:
    """How much each arm is better than the next one, over the seeds that both have."""
    for first, second in pairwise(arms):
        seeds = sorted(values.get(first, {}).keys() & values.get(second, {}).keys())
        sign = 1 if better == "lower" else -1
        yield estimate([sign * (values[second][seed] - values[first][seed]) for seed in seeds])


def describe(found: Estimate) -> str:
    """`1.64 ± 0.12`: the mean and half of its 95 % interval over seeds, to the first two digits of the latter."""
    if found.half == 0:
        return f"{found.mean:.4g}"
    places = max(0, 1 - math.floor(math.log10(found.half)))
    return f"{found.mean:.{places}f} ± {found.half:.{places}f}"


class Shift(NamedTuple):
    """An arm's mean now beside the one that was recorded."""

    then: Estimate
    now: Estimate
    allowed: float  # half of the 95 % interval of the difference of two such means

    @property
    def within(self) -> bool:
        """Whether seeds explain the difference."""
        return abs(self.now.mean - self.then.mean) <= self.allowed


def compare_recorded(then: Mapping[int, float], now: Mapping[int, float]) -> Shift | None:
    """Student's interval of the difference of two means with a common variance; of single seeds, or where seeds change
    nothing, LEAST of the number. None where one of them has no value."""
    first, second = estimate(list(then.values())), estimate(list(now.values()))
    if first is None or second is None:
        return None
    freedom = first.runs + second.runs - 2
    squares = (first.runs - 1) * first.sd**2 + (second.runs - 1) * second.sd**2
    error = math.sqrt(squares / freedom * (1 / first.runs + 1 / second.runs)) if freedom else 0.0
    half = quantile(freedom + 1) * error if freedom else 0.0
    return Shift(first, second, max(half, LEAST * abs(first.mean)))

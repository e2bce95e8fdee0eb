"""Tables and sentences of a report, as words that the console, Markdown and a page can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aeexp.reports.comparison import Best, Paired, Report
from aeexp.reports.statistics import CORRECTED, Estimate

DASH = "-"
BEST, TIE = " *", " ≈"


class Grid(NamedTuple):
    """Rows of words; the first `fixed` columns stand before all others, `names` of them name a row."""

    title: str
    head: list[str]
    rows: list[list[str]]
    names: int
    fixed: int
    caption: str


def shown(made: Estimate | None, runs: int | None = None) -> str:
    """Mean and half of the interval; of one run the value. `runs`: how many the number should be of."""
    if made is None:
        return DASH
    words = f"{made.mean:.4g}" if made.runs == 1 else f"{made.mean:.4g} ± {made.half:.2g}"
    return words if runs is None or made.runs == runs else f"{words} (of {made.runs})"


def overview(report: Report) -> Grid:
    """A row a group, a column a criterion; the best and what is not told apart from it are marked."""
    marks = {}
    for one in report.best:
        marks[one.key, id(one.group)] = BEST
        marks |= {(one.key, id(group)): TIE for group in one.ties}
    names = report.columns or ([] if len(report.groups) == 1 else ["group"])
    rows = [
        [
            *(group.columns.get(name, str(i)) for name in names),
            str(len(group.records)),
            *(
                shown(group.estimate(key), len(group.records)) + marks.get((key, id(group)), "")
                for key in report.criteria
            ),
        ]
        for i, group in enumerate(report.groups)
    ]
    several = any(len(group.records) > 1 for group in report.groups)
    data = report.protocol.get("data", "several data sets")
    title = f"{data}, test split" + (": mean over runs and its 95 % interval" if several else "")
    caption = "* best" + (", ≈ not told apart from it" if any(one.ties for one in report.best) else "")
    return Grid(
        title, [*names, "runs", *report.criteria], rows, len(names), len(names) + 1, caption if report.best else ""
    )


def best_words(one: Best) -> str:
    return f"{one.key} ({one.better} is better): {verdict(one, shown(one.estimate))}"


def verdict(one: Best, value: str) -> str:
    """The best group by a criterion with its value, and what it stands beside."""
    head = f"{one.group.name}, {value}"
    if one.ties:
        head += f"; not told apart from {_listed([group.name for group in one.ties])}"
    elif one.tested and not one.untested:
        head += "; told apart from all others"
    if one.tested and one.untested:
        head += f"; with {_listed([group.name for group in one.untested])} too few pairs for a test"
    return head + (f"; better still: {', '.join(one.beyond)}" if one.beyond else "")


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def against(report: Report) -> Grid | None:
    """Differences to the baseline, a row a group, a column a criterion; None where no test is possible."""
    if all(one.test is None for one in report.paired):
        return None
    keys = list(dict.fromkeys(one.key for one in report.paired))
    groups = list({id(one.group): one.group for one in report.paired}.values())
    cells = {(one.key, id(one.group)): one for one in report.paired}
    baselines = list(dict.fromkeys(one.against for one in report.paired))
    names = [f"{name}" for name in report.columns] or ["runs"]
    head = [*names, *(["against"] if len(baselines) > 1 else []), *keys]
    rows = []
    for group in groups:
        own = [cells[key, id(group)] for key in keys if (key, id(group)) in cells]
        first = [group.columns.get(name, str(len(group.records))) for name in names]
        numbers = [difference(cells.get((key, id(group)))) for key in keys]
        rows.append([*first, *([own[0].against] if len(baselines) > 1 else []), *numbers])
    title = f"Difference to {baselines[0] if len(baselines) == 1 else 'the baseline'}"
    return Grid(title, head, rows, len(head) - len(keys), len(head) - len(keys), tests(report.paired))


def difference(one: Paired | None) -> str:
    if one is None or one.difference is None:
        return DASH
    if one.p is None:
        return f"{one.difference:+.3g}, {DASH}"
    return f"{one.difference:+.3g} ± {one.half:.2g}, p {probability(one.adjusted)}"


def probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def tests(found: Sequence[Paired]) -> str:
    """Which test it was, over how many pairs, and once why there is none."""
    names = list(dict.fromkeys(one.test for one in found if one.test))
    words = []
    if names:
        counts = sorted({one.pairs for one in found if one.test})
        pairs = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        words.append(f"{' or '.join(names)} over {pairs} pairs of runs with the same seed and fold: mean difference, "
                     "95 % interval of each alone, two-sided p by Holm over the comparisons of a column.")  # fmt: skip
        words += ["Seeds of one split are averaged first."] if CORRECTED in names else []
    words += [f"{DASH}: {reason}." for reason in dict.fromkeys(one.reason for one in found if one.reason)]
    return " ".join(words)


def sentences(report: Report) -> list[str]:
    """The verdicts: best by each criterion, then what they disagree in."""
    best = [best_words(one) for one in report.best]
    if len(report.best) > 1 and len({id(one.group) for one in report.best}) == 1:
        doubt = "" if any(one.tested for one in report.best) else ", of too few runs for a test"
        best.append(f"{report.best[0].group.name} has the best mean by every criterion that ranks{doubt}.")
    reasons = dict.fromkeys(one.reason for one in report.paired if one.reason)
    untested = bool(report.paired) and all(one.test is None for one in report.paired)
    baseline = " and ".join(dict.fromkeys(one.against for one in report.paired)) if untested else ""
    silent = [f"No test against {baseline}: {'; '.join(reasons)}."] if untested else []
    return [*best, *report.disagreement, *silent]


def without(report: Report) -> list[str]:
    """Runs that have no numbers, each with its last line; of pruned ones, which did as they should, how many."""
    lines = [f"{one.folder} {one.status}: {one.message}" for one in report.failures if one.status != "pruned"]
    pruned = len(report.failures) - len(lines)
    heads = [f"{len(lines)} {'run' if len(lines) == 1 else 'runs'} without numbers:"] if lines else []
    return [*([f"{pruned} runs pruned"] if pruned else []), *heads, *lines]

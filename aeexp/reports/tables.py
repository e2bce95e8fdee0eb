"""Tables and sentences of a report, as text that the console, Markdown and a page can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aeexp.reports.comparison import Best, Paired, Report
from aeexp.reports.statistics import CORRECTED, Estimate

DASH = "-"
BEST, TIE, BLURRED = " *", " ≈", " ~"


class Grid(NamedTuple):
    """Rows of text; the first `fixed` columns stand before all others, `names` of them name a row."""

    title: str
    head: list[str]
    rows: list[list[str]]
    names: int
    fixed: int
    caption: str


def format_estimate(estimate: Estimate | None, runs: int | None = None) -> str:
    """Mean, half of the interval over runs, and in brackets half of that over test rows; of one run the value.

    `runs`: how many the number should be of.
    """
    if estimate is None:
        return DASH
    half = "" if estimate.runs == 1 else f" ± {estimate.half:.2g}"
    count = "" if runs is None or estimate.runs == runs else f" (of {estimate.runs})"
    rows = "" if estimate.rows is None else f" [{estimate.rows:.2g}]"
    return f"{estimate.mean:.4g}{half}{rows}{count}"


def overview(report: Report) -> Grid:
    """A row a group, a column a criterion; the best and what is not told apart from it are marked."""
    marks = {}
    for best in report.best:
        marks[best.key, id(best.group)] = BEST
        marks |= {(best.key, id(group)): BLURRED for group in best.blurred}
        marks |= {(best.key, id(group)): TIE for group in best.ties}
    names = report.columns or ([] if len(report.groups) == 1 else ["group"])
    rows = []
    for i, group in enumerate(report.groups):
        runs = len(group.records)
        numbers = (
            format_estimate(group.estimate(key), runs) + marks.get((key, id(group)), "") for key in report.criteria
        )
        rows.append([*(group.columns.get(name, str(i)) for name in names), str(runs), *numbers])
    several = any(len(group.records) > 1 for group in report.groups)
    data = report.protocol.get("data", "several data sets")
    told = any(e is not None and e.rows is not None for g in report.groups for e in map(g.estimate, report.criteria))
    title = f"{data}, test split" + (": mean over runs and its 95 % interval" if several else "")
    title += (", [over test rows]" if several else ": [95 % interval over its rows]") if told else ""
    caption = f"* best{describe_marks(report.best)}"
    head = [*names, "runs", *report.criteria]
    return Grid(title, head, rows, len(names), len(names) + 1, caption if report.best else "")


def describe_marks(ranking: Sequence[Best]) -> str:
    """What the marks beside the best mean, of those that there are."""
    text = ", ≈ not told apart from it over runs" if any(best.ties for best in ranking) else ""
    if any(id(group) not in map(id, best.ties) for best in ranking for group in best.blurred):
        text += ", ~ not over test rows"
    return text


def describe_best(best: Best) -> str:
    """One sentence on a criterion."""
    return f"{best.key} ({best.better} is better): {verdict(best, format_estimate(best.estimate))}"


def verdict(best: Best, value: str) -> str:
    """The best group by a criterion with its value, and what it stands beside."""
    text = f"{best.group.name}, {value}"
    rest = [group.name for group in best.blurred if id(group) not in map(id, best.ties)]
    if best.ties:
        text += f"; not told apart from {_format_list([group.name for group in best.ties])} over runs"
    elif best.tested and not best.untested:
        text += "; told apart from all others" + (" over runs" if rest else "")
    if rest:
        text += f"; over test rows not told apart from {_format_list(rest)}"
    if best.tested and best.untested:
        text += f"; with {_format_list([group.name for group in best.untested])} too few pairs for a test"
    return text + (f"; better still: {', '.join(best.beyond)}" if best.beyond else "")


def _format_list(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def difference_table(report: Report) -> Grid | None:
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
        numbers = [format_difference(cells.get((key, id(group)))) for key in keys]
        rows.append([*first, *([own[0].against] if len(baselines) > 1 else []), *numbers])
    title = f"Difference to {baselines[0] if len(baselines) == 1 else 'the baseline'}"
    return Grid(title, head, rows, len(head) - len(keys), len(head) - len(keys), describe_tests(report.paired))


def format_difference(one: Paired | None) -> str:
    """Mean difference, half of its interval and p by Holm; a dash in the place of what there is not."""
    if one is None or one.difference is None:
        return DASH
    if one.adjusted is None:
        return f"{one.difference:+.3g}, {DASH}"
    return f"{one.difference:+.3g} ± {one.half:.2g}, p {format_probability(one.adjusted)}"


def format_probability(p: float) -> str:
    """Two digits of a p value."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def describe_tests(pairs: Sequence[Paired]) -> str:
    """Which test it was, over how many pairs, and once why there is none."""
    names = list(dict.fromkeys(one.test for one in pairs if one.test))
    sentences = []
    if names:
        counts = sorted({one.pairs for one in pairs if one.test})
        count = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        pairing = f"{' or '.join(names)} over {count} pairs of runs with the same seed and fold"
        sentences.append(f"{pairing}: mean difference, 95 % interval of each alone, two-sided p by Holm over the "
                         "comparisons of a column.")  # fmt: skip
        sentences += ["Seeds of one split are averaged first."] if CORRECTED in names else []
    sentences += [f"{DASH}: {reason}." for reason in dict.fromkeys(one.reason for one in pairs if one.reason)]
    return " ".join(sentences)


def list_sentences(report: Report) -> list[str]:
    """The verdicts: best by each criterion, then what they disagree in."""
    best = [describe_best(best) for best in report.best]
    if len(report.best) > 1 and len({id(best.group) for best in report.best}) == 1:
        doubt = "" if any(best.tested for best in report.best) else ", of too few runs for a test"
        best.append(f"{report.best[0].group.name} has the best mean by every criterion that ranks{doubt}.")
    reasons = dict.fromkeys(one.reason for one in report.paired if one.reason)
    untested = bool(report.paired) and all(one.test is None for one in report.paired)
    baseline = " and ".join(dict.fromkeys(one.against for one in report.paired)) if untested else ""
    reason = [f"No test against {baseline}: {'; '.join(reasons)}."] if untested else []
    return [*best, *report.disagreement, *reason]


def list_failures(report: Report) -> list[str]:
    """Runs that have no numbers, each with its last line; of pruned ones, which did as they should, how many."""
    lines = [f"{one.folder} {one.status}: {one.message}" for one in report.failures if one.status != "pruned"]
    pruned = len(report.failures) - len(lines)
    heads = [f"{len(lines)} {'run' if len(lines) == 1 else 'runs'} without numbers:"] if lines else []
    return [*([f"{pruned} runs pruned"] if pruned else []), *heads, *lines]

"""The end of a run in words: its illnesses into metrics.json and onto the console, and those of a run folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aeexp.diagnoses import Diagnosis, Facts, choose_told, diagnose, summarise_curve
from aeexp.errors import quote_words
from aeexp.runs.evaluations import merge_evaluations
from aeexp.runs.flat import flatten
from aeexp.runs.folder import RunFolder

log = logging.getLogger(__name__)


def describe_illnesses(metrics: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What metrics.json says of them: `diagnoses`, three at most, and `further_diagnoses`, how many more there are."""
    found = diagnose(Facts(metrics, dict(flatten(config))))
    told = choose_told(found)
    return {"diagnoses": [each.as_table() for each in told], "further_diagnoses": len(found) - len(told)}


def format_illnesses(metrics: Mapping[str, Any], place: str) -> list[str]:
    """A line for each, and where there is more to read."""
    lines = [f"diagnosis: {format_illness(each)}" for each in metrics.get("diagnoses", [])]
    more = metrics.get("further_diagnoses", 0)
    return [*lines, f"{more} more: {quote_words('aeexp-doctor', place)}"] if more else lines


def tell_illnesses(metrics: Mapping[str, Any], place: str) -> None:
    """To a console that hears warnings alone as well."""
    for line in format_illnesses(metrics, place):
        log.warning("%s", line)


def format_illness(table: Mapping[str, Any]) -> str:
    """One of `diagnoses`, in a line."""
    cure = f"; cure: {table['cure']}" if table["cure"] else ""
    return f"{table['name']}: {table['text']}{cure}"


def diagnose_folder(folder: RunFolder) -> list[Diagnosis]:
    """All illnesses of a finished run, by what lies in its folder. Raises OSError, and ValueError, as `RunFolder`."""
    metrics = folder.read_metrics()
    merged = merge_evaluations(metrics) if metrics.get("evaluations") else metrics
    return diagnose(Facts(with_curve(merged, folder), dict(flatten(folder.read_asked()[0]))))


def with_curve(metrics: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """The content of metrics.json with its `curve`, which runs of before there was one have in history.csv alone."""
    monitor = metrics.get("monitor")
    if "curve" in metrics or not isinstance(monitor, str):
        return dict(metrics)
    try:
        rows = folder.read_history()
    except (OSError, ValueError):
        return dict(metrics)
    return {**metrics, "curve": summarise_curve(cut_history(rows), monitor.removeprefix("val/"))}


def cut_history(rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Rows of history.csv as training wrote them, without the last two, which the final evaluation added."""
    return rows[:-2] if rows and rows[-1]["split"] == "test" else rows

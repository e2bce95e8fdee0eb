"""What a metric must offer, and what it may: it sees a whole run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from aeexp.evaluation.run import Run, Values

Better = Literal["lower", "higher"]
Reads = Literal["model", "codes", "labels", "factors", "inputs", "classes", "response", "truth"]


class Number(NamedTuple):
    """What the numbers are whose keys a pattern fits as a whole: declared by the metric, read by reports.

    Of several patterns that fit a key the first counts.
    """

    pattern: str  # regular expression of keys of metrics.json: "probe/(linear|knn)"
    better: Better | None  # None: more is neither better nor worse
    unit: str  # "" of a pure number
    headline: bool = False  # a column of a table where nobody chose any
    alike: tuple[str, ...] = ()  # parts of the configuration that must agree for two runs to be compared: "task."
    of_labels: bool = False  # a code that was told the label scores higher in it
    counts: bool = False  # the K of an estimate, which must agree for two runs to be compared
    no_interval: str = ""  # why it is no `uncertainty.Measured`, which knows its interval over rows; "": it is one
    label: str = ""  # of its row on the console, {name} the key's last part and {k} its K; "" leaves the row out


class Metric(ABC):
    """Numbers of one split of a run under keys `<name>/...`, {} where there is nothing to measure.

    Each is a `Measured`, with its interval over the rows of the split, or declares why it has none.
    """

    of_codes: ClassVar[bool] = False  # reads codes and labels alone, and is measured on the raw input too
    of_pictures: ClassVar[bool] = False  # is left out where the output is a mask
    reads: ClassVar[tuple[Reads, ...]] = ("model",)  # what it cannot do without: codes of any origin have no model
    of_train: ClassVar[bool] = False  # is measured on the training rows too: never one that is fitted on them
    numbers: ClassVar[tuple[Number, ...]]  # of every key that it writes, those of its baselines included
    figures: Sequence[str] = ()  # options of plot that show it: drawn with it where nobody chose figures
    in_keys: ClassVar[tuple[str, ...]] = ()  # options whose values stand in the keys: others give other keys
    needs_classes: ClassVar[bool] = False  # says little or nothing of data whose rows have none
    keeps: ClassVar[bool] = False  # what it says of baselines and models follows from rows, task and width of the code
    harmless: ClassVar[tuple[str, ...]] = ()  # options that change no number, or one that the numbers tell themselves

    @abstractmethod
    def __call__(self, run: Run, split: str) -> Values: ...

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        """Rows of its own under `baseline` in metrics.json, by name."""
        return {}

    def warn(self, numbers: Mapping[str, Any]) -> list[str]:
        """Sentences on what nobody may overlook in these contents of metrics.json: console and reports say them."""
        return []

    def models(self, run: Run) -> dict[str, Run]:
        """Other models by name, on which all metrics of codes are measured as well."""
        return {}

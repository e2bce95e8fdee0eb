"""Many runs at once: those that are alike in stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aeexp.trainers.contracts import Training
from aeexp.trainers.stacking.alike import sort_out
from aeexp.trainers.stacking.fitting import Fitting
from aeexp.trainers.stacking.members import Outcome
from aeexp.trainers.stacking.stack import Unstackable
from aeexp.trainers.stacking.trial import try_out

Tell = Callable[[Sequence[int], str], None]


def fit_together(
    trainings: Sequence[Training], stop: Callable[[], bool], tell: Tell, most_bytes: float, most: int
) -> list[Outcome | None]:
    """What became of each: the progress that `fit` gives, or what it raised; None of those that are to be fitted alone.

    `tell` is told the runs of each stack, with "", and those that are left out, with the reason. A stack has at
    most `most` runs, and takes about `most_bytes` at most. Once `stop` answers true, what is not through ends with
    KeyboardInterrupt.
    """
    outcomes: dict[int, Outcome] = {}
    for numbers, reason in sort_out(trainings):
        unused: list[str] = []
        size = most
        if not reason:
            try:
                unused, needed = try_out([trainings[number] for number in numbers])
                size = max(1, int(min(most, most_bytes / max(needed, 1))))
                reason = "" if size > 1 else "two of them at once would take more memory than they may"
            except Unstackable as error:
                reason = str(error)
        if reason:
            tell(numbers, reason)
            continue
        count = -(-len(numbers) // size)
        for part in (numbers[i::count] for i in range(count)):
            tell(part, "")
            given = {number: trainings[number] for number in part}
            outcomes |= Fitting(given, unused, stop).run()
    return [outcomes.get(number) for number in range(len(trainings))]

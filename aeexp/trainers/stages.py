"""A run of several stages, each trained by the one loop: its checkpoints and its curves are those of the whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aeexp.models.learner import Learner
from aeexp.trainers.checkpoint import Progress, Saved, State, Store


@dataclass
class Past:
    """What the finished stages leave behind: steps are counted on, epochs anew in each stage."""

    steps: int = 0
    samples: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def merge(self, progress: Progress, name: str) -> Progress:
        """Where the run stands when its stage `name` ("" is the last one) stands at `progress`."""
        rows = [{**row, "step": self.steps + row["step"], "split": tag(name, row["split"])} for row in progress.history]
        return replace(
            progress,
            step=self.steps + progress.step,
            best_step=self.steps + progress.best_step,
            samples=self.samples + progress.samples,
            seconds=self.seconds + progress.seconds,
            history=self.history + rows,
        )

    def after(self, progress: Progress, name: str) -> Past:
        """The same once this stage is finished, too."""
        whole = self.merge(progress, name)
        return Past(whole.step, whole.samples, whole.seconds, whole.history)


def tag(name: str, split: str) -> str:
    """layer_1/val: the row's split in history.csv, and the head of its tags in TensorBoard."""
    return f"{name}/{split}" if name else split


@dataclass
class _Dump:
    """What a checkpoint of a stage holds: the whole learner, and beside it the stage's own state."""

    whole: Learner
    state: State
    place: int
    past: Past

    def dump(self) -> Saved:
        content = self.state.dump()
        stage = {"place": self.place, "past": asdict(self.past)}
        if self.state.learner is not self.whole:
            stage["learner"] = content["learner"]
        return {**content, "learner": self.whole.state_dict(), "stage": stage}


class StageStore:
    """The run's store as one stage sees it: what other stages have left there is not its own."""

    def __init__(self, store: Store, whole: Learner, place: int, past: Past):
        self.store = store
        self.whole = whole
        self.place = place
        self.past = past
        if not self._owns(store.best):
            store.best = None

    @property
    def resumed(self) -> Saved | None:
        return _own(self.store.resumed) if self._owns(self.store.resumed) else None

    @property
    def best(self) -> Saved | None:
        return self.store.best and _own(self.store.best)

    def keep_best(self, state: State) -> None:
        self.store.keep_best(self._all(state))

    def save(self, state: State, *, now: bool = False) -> None:
        self.store.save(self._all(state), now=now)

    def _owns(self, saved: Saved | None) -> bool:
        return saved is not None and saved["stage"]["place"] == self.place

    def _all(self, state: State) -> _Dump:
        return _Dump(self.whole, state, self.place, self.past)


def _own(saved: Saved) -> Saved:
    return {**saved, "learner": saved["stage"].get("learner", saved["learner"])}


class StageTrack:
    """The run's tracker as one stage sees it; the run itself has been started."""

    def __init__(self, track, name: str, past: Past):
        self.track = track
        self.name = name
        self.past = past

    def start(self, total: int, progress: Progress) -> None:
        """Nothing: there is one start for all stages."""

    def train(self, step: int, values: Mapping[str, float], lr: float) -> None:
        self.track.train(self.past.steps + step, values, lr, tag(self.name, "train"))

    def evaluation(self, progress: Progress) -> None:
        self.track.evaluation(self.past.merge(progress, self.name))

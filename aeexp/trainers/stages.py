"""A run of several stages, each trained by the one loop: its checkpoints and its curves are those of the whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

from aeexp.models.learner import Learner
from aeexp.trainers.checkpoint import Progress, Saved, Snapshot, State
from aeexp.trainers.contracts import CheckpointStore, Tracker


@final
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

    def finish(self, progress: Progress, name: str) -> Past:
        """The same once this stage is finished, too."""
        whole = self.merge(progress, name)
        return Past(whole.step, whole.samples, whole.seconds, whole.history)


def tag(name: str, split: str) -> str:
    """layer_1/val: the row's split in history.csv, and the head of its tags in TensorBoard."""
    return f"{name}/{split}" if name else split


@final
@dataclass
class _StageSnapshot:
    """What a checkpoint of a stage holds: the whole learner, and beside it the stage's own state."""

    state: Snapshot
    whole: Learner
    place: int
    past: Past

    def dump(self) -> Saved:
        """Of the whole learner; `stage` says which stage it is in, what is past, and has the stage's own learner."""
        content = self.state.dump()
        stage = {"place": self.place, "past": asdict(self.past)}
        if not (isinstance(self.state, State) and self.state.learner is self.whole):
            stage["learner"] = content["learner"]
        return {**content, "learner": self.whole.state_dict(), "stage": stage}


@final
class StageStore:
    """The run's store as one stage sees it: what other stages have left there is not its own."""

    def __init__(self, store: CheckpointStore, whole: Learner, place: int, past: Past):
        self.store = store
        self.whole = whole
        self.place = place
        self.past = past

    @property
    def resumed(self) -> Saved | None:
        """The stage's own state to go on from."""
        return self._pick(self.store.resumed)

    @property
    def best(self) -> Saved | None:
        """The best state of this stage."""
        return self._pick(self.store.best)

    @property
    def extends(self) -> bool:
        """As the run's."""
        return self.store.extends

    def keep_best(self, state: Snapshot) -> None:
        """Remember this state of the stage, and the run around it, as the best one so far."""
        self.store.keep_best(self._with_run(state))

    def save(self, state: Snapshot, *, now: bool = False) -> None:
        """Write this state of the stage, and the run around it."""
        self.store.save(self._with_run(state), now=now)

    def _pick(self, saved: Saved | None) -> Saved | None:
        if saved is None or saved["stage"]["place"] != self.place:
            return None
        return {**saved, "learner": saved["stage"].get("learner", saved["learner"])}

    def _with_run(self, state: Snapshot) -> _StageSnapshot:
        return _StageSnapshot(state, self.whole, self.place, self.past)


@final
class StageTrack(Tracker):
    """The run's tracker as one stage sees it; the run itself has been started."""

    def __init__(self, track: Tracker, name: str, past: Past):
        self.track = track
        self.name = name
        self.past = past

    def start(self, total: int, progress: Progress) -> None:
        """Nothing: there is one start for all stages."""

    def train(self, step: int, values: Mapping[str, float], lr: float, split: str = "train") -> None:
        """Under the run's step, and under tags of the stage's own."""
        self.track.train(self.past.steps + step, values, lr, tag(self.name, split))

    def evaluation(self, progress: Progress) -> None:
        """With the rows of the stages before."""
        self.track.evaluation(self.past.merge(progress, self.name))

    def is_filmed(self, step: int, epoch: float) -> bool:
        """By the stage's own steps: each is filmed as a run is."""
        return self.track.is_filmed(step, epoch)

    def film(self, step: int, epoch: float) -> None:
        """Under the run's step."""
        self.track.film(self.past.steps + step, epoch)

    def probe(self) -> Mapping[str, float]:
        """Of the last stage, which trains the code."""
        return {} if self.name else self.track.probe()

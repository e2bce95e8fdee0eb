"""Greedy pre-training, layer by layer from the input up, then fine-tuning of the whole (Bengio et al. 2007)."""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, final

import torch
from torch.optim import Optimizer

from aeexp.contracts import Noise, Regularizer
from aeexp.errors import UsageError
from aeexp.models.learner import Learner
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.randomness import mix
from aeexp.ranges import Count, NonNegative, Whole
from aeexp.tasks.reconstruct import Reconstruct
from aeexp.trainers.arithmetic import Precision
from aeexp.trainers.checkpoint import Progress
from aeexp.trainers.contracts import CheckpointStore, MakeOptimizer, MakeScheduler, Splits, Tracker, Trainer
from aeexp.trainers.joint import Joint
from aeexp.trainers.shallow import codes_below, encode_split, shallow_autoencoder, stack_of
from aeexp.trainers.stages import Past, StageStore, StageTrack
from aeexp.trainers.unstepped import record
from aeexp.trainers.window import Diverged
from aeexp.types import Facts

log = logging.getLogger(__name__)

N = TypeVar("N", int, float, "float | None")


@final
@dataclass
class Layer:
    """What one layer is trained with."""

    epochs: int
    lr: float | None  # None: the optimizer's own
    noise: float | None  # level; None: that of the noise itself
    weight: float | None  # None: that of the penalty itself


@final
class Layerwise(Trainer):
    """Each layer learns as a shallow autoencoder of the clean codes below it; then `finetune` trains the whole.

    A list has one value for each layer of the encoder, from the input up, the code's own last; one number is for all.
    A layer has noise (`corruption`, at the level `noise`) and a regularizer (`penalty`, with `regularizer_weight`) of
    its own (Vincent et al. 2010: masking of 0.1, 0.2, 0.3); those of the run act in fine-tuning, which minimises the
    run's objective. Optimizer and scheduler are the run's, anew for each stage.
    `pretrain_epochs` 0 leaves a layer as it was drawn, and with 0 for all the run is that of `finetune` alone, bit for
    bit. Without `finetune` the pre-trained network is the result.
    """

    def __init__(
        self,
        *,
        corruption: Mapping[str, Noise],
        penalty: Mapping[str, Regularizer],
        pretrain_epochs: Whole | list[Whole] = 15,
        pretrain_lr: NonNegative | list[NonNegative] | None = None,
        pretrain_batch_size: Count = 128,
        pretrain_min_steps_per_epoch: Count = 1,
        pretrain_patience: Count | None = None,
        pretrain_precision: Precision = "float32",
        noise: NonNegative | list[NonNegative] | None = None,
        regularizer_weight: NonNegative | list[NonNegative] | None = None,
        finetune: Joint | None = None,
    ):
        for level in _several(noise):
            try:
                Chain(corruption).at(level)
            except UsageError as error:
                raise UsageError(f"noise={noise}: {error}") from error
        if any(_several(noise)) and not corruption:
            raise UsageError(
                f"noise={noise} is the level of no corruption: name one by noise@trainer.corruption=masking"
            )
        if any(_several(regularizer_weight)) and not penalty:
            raise UsageError(
                f"regularizer_weight={regularizer_weight} is the weight of no penalty: name one by "
                "regularizer@trainer.penalty=l1"
            )
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_lr = pretrain_lr
        sizes = dict(batch_size=pretrain_batch_size, min_steps_per_epoch=pretrain_min_steps_per_epoch)
        chosen = dict(patience=pretrain_patience, precision=pretrain_precision)
        self.make_stage = functools.partial(Joint, **sizes, **chosen)
        self.corruption = dict(corruption)
        self.noise = noise
        self.penalty = dict(penalty)
        self.regularizer_weight = regularizer_weight
        self.finetune = finetune
        self.steps_key = "" if finetune is None else "trainer.finetune.steps"
        self.monitor = "loss" if finetune is None else finetune.monitor
        if finetune is not None:
            self.checkpoint_seconds = finetune.checkpoint_seconds
            self.probe_every_epochs = finetune.probe_every_epochs
            finetune.steps_key = self.steps_key  # in its messages

    def fit(
        self, learner: Learner, data: Splits, optimizer: MakeOptimizer, scheduler: MakeScheduler,
        store: CheckpointStore, track: Tracker, seed: int, stop: Callable[[], bool] = lambda: False,
    ) -> Progress:  # fmt: skip
        """As `Joint.fit`; steps are counted through all stages."""
        layers = self.plan_layers(len(stack_of(learner.model).encoder))
        for place, layer in enumerate(layers):
            if layer.epochs > 0:
                self._stage(learner, place, layer, seed)  # refused before a minute is spent
        place, past, progress = 0, Past(), Progress()
        if store.resumed:
            learner.load_state_dict(store.resumed["learner"])
            place, past = store.resumed["stage"]["place"], Past(**store.resumed["stage"]["past"])
            progress = past.merge(Progress(**store.resumed["progress"]), "")
        rows = len(data["train"])
        total = sum(self.make_stage(epochs=layer.epochs).count_steps(rows) for layer in layers if layer.epochs > 0)
        track.start(total + (self.finetune.count_steps(rows) if self.finetune else 0), progress)
        parts = (optimizer, scheduler)
        for i in range(place, len(layers)):
            if layers[i].epochs > 0:
                name = f"layer_{i + 1}"
                views = StageStore(store, learner, i, past), StageTrack(track, name, past)
                progress = self.pretrain(learner, i, layers[i], data, *parts, *views, seed, stop)
                past = past.finish(progress, name)
        views = StageStore(store, learner, len(layers), past), StageTrack(track, "", past)
        if self.finetune is None:
            progress = record(learner, data, *views, Progress())
        else:
            progress = self.finetune.fit(learner, data, *parts, *views, seed, stop)
        return past.merge(progress, "")

    def pretrain(
        self, learner: Learner, i: int, layer: Layer, data: Splits, optimizer: MakeOptimizer, scheduler: MakeScheduler,
        store: CheckpointStore, track: Tracker, seed: int, stop: Callable[[], bool],
    ) -> Progress:  # fmt: skip
        """Train encoder layer `i` and its mirror; no other parameter moves."""
        stage = self._stage(learner, i, layer, seed).to(data["train"].device)
        encoder = stack_of(learner.model).encoder
        splits = {name: data[name] for name in ("train", "val")}
        if i > 0:
            code = codes_below(learner.eval(), i)
            splits = {name: encode_split(split, code, encoder[i].in_features) for name, split in splits.items()}
        if layer.lr is not None:
            optimizer = _at_rate(optimizer, layer.lr)
        units = f"{encoder[i].in_features} -> {encoder[i].out_features}"
        log.info("layer %d of %d: %s%s", i + 1, len(encoder), units, self._describe(layer))
        joint = self.make_stage(epochs=layer.epochs)
        try:
            # rows and noise of their own for each layer; fine-tuning has those of trainer=joint
            return joint.fit(stage, splits, optimizer, scheduler, store, track, mix(seed, i + 1), stop)
        except Diverged as error:
            message = f"layer {i + 1} in pre-training: {error} of this layer: take a lower trainer.pretrain_lr"
            raise Diverged(message) from error

    def plan_layers(self, count: int) -> list[Layer]:
        """What each layer is trained with; raises UsageError where a list has another length."""
        columns = (
            _spread("pretrain_epochs", self.pretrain_epochs, count),
            _spread("pretrain_lr", self.pretrain_lr, count),
            _spread("noise", self.noise, count),
            _spread("regularizer_weight", self.regularizer_weight, count),
        )
        return [Layer(*row) for row in zip(*columns, strict=True)]

    def _stage(self, learner: Learner, i: int, layer: Layer, seed: int) -> Learner:
        """Layer `i` as a learner of its own. Raises UsageError where its units are none that a penalty can act on."""
        model = shallow_autoencoder(learner.model, i)
        penalties = {name: copy.deepcopy(part) if layer.weight is None else part.at(layer.weight)
                     for name, part in self.penalty.items()}  # fmt: skip
        facts = Facts((stack_of(learner.model).encoder[i].in_features,))
        with torch.random.fork_rng():  # a penalty may draw weights of its own: the same in a run that goes on
            torch.manual_seed(mix(seed, i + 1))
            for name, penalty in penalties.items():
                try:
                    penalty.check(model)
                    penalty.adapt(model, facts)
                except UsageError as error:
                    place = f"trainer.penalty.{name}: layer {i + 1}"
                    raise UsageError(f"{place}: {error}{_units(learner, i)}") from error
        noise = Chain(self.corruption) if layer.noise is None else Chain(self.corruption).at(layer.noise)
        task = learner.task if i == 0 else Reconstruct()
        return Learner(task, model, Additive(noise, penalties))

    def _describe(self, layer: Layer) -> str:
        noises = ", ".join(self.corruption) if layer.noise is None or layer.noise > 0 else ""
        level = "" if layer.noise is None else f" {layer.noise:g}"
        weight = "" if layer.weight is None else f" {layer.weight:g}"
        penalties = "".join(f", {name}{weight}" for name in self.penalty)
        return f"{f', {noises}{level}' if noises else ''}{penalties}, {layer.epochs} epochs"


def _units(learner: Learner, i: int) -> str:
    """What decides on the units of layer `i`, where it is not the latent."""
    last = len(stack_of(learner.model).encoder) - 1
    return "" if i == last else "; the units of this layer are those of model.activation, such as sigmoid"


def _at_rate(optimizer: MakeOptimizer, lr: float) -> Callable[..., Optimizer]:
    return lambda parameters: optimizer(parameters, lr=lr)


def _several(value: float | Sequence[float] | None) -> Sequence[float]:
    if value is None:
        return []
    return value if isinstance(value, Sequence) else [value]


def _spread(key: str, value: N | Sequence[N], count: int) -> Sequence[N]:
    """One value for each of `count` layers. Raises UsageError on a list of another length."""
    values = value if isinstance(value, Sequence) else [value] * count
    if len(values) != count:
        raise UsageError(
            f"trainer.{key}={value}: the encoder has {count} layers (model.hidden_dims and the code), not "
            f"{len(values)}: give {count} values, or one number for all"
        )
    return values

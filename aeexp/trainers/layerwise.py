"""Greedy pre-training, layer by layer from the input up, then fine-tuning of the whole (Bengio et al. 2007)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.noises import Chain, Gaussian, Masking, SaltPepper
from aeexp.objectives.additive import Additive
from aeexp.randomness import mix
from aeexp.regularizers.code import L1
from aeexp.regularizers.contractive import Contractive
from aeexp.regularizers.sparsity import KLSparsity
from aeexp.tasks.reconstruct import Reconstruct
from aeexp.trainers.checkpoint import Progress, Store
from aeexp.trainers.joint import Joint
from aeexp.trainers.shallow import check, coded, codes_below, shallow
from aeexp.trainers.stages import Past, StageStore, StageTrack
from aeexp.trainers.unstepped import record
from aeexp.trainers.window import Diverged

log = logging.getLogger(__name__)

NOISES = {"masking": Masking, "gaussian": Gaussian, "salt_pepper": SaltPepper}


@dataclass
class Layer:
    """What one layer is trained with."""

    epochs: int
    lr: float | None
    noise: float
    weight: float


class Layerwise:
    """Each layer learns as a shallow autoencoder of the clean codes below it; then `finetune` trains the whole.

    A list has one value for each layer of the encoder, from the input up, the code's own last; one number is for all.
    A layer has noise and a regularizer of its own (Vincent et al. 2010: masking of 0.1, 0.2, 0.3); those of the run act
    in fine-tuning, which minimises the run's objective. Optimizer and scheduler are the run's, anew for each stage.
    `pretrain_epochs` 0 leaves a layer as it was drawn, and with 0 for all the run is that of `finetune` alone, bit for
    bit. Without `finetune` the pre-trained network is the result.
    """

    def __init__(
        self,
        *,
        pretrain_epochs: int | list[int] = 15,
        pretrain_lr: float | list[float] | None = None,
        pretrain_batch_size: int = 128,
        pretrain_patience: int | None = None,
        corruption: Literal["masking", "gaussian", "salt_pepper"] = "masking",
        noise: float | list[float] = 0.0,
        regularizer: Literal["none", "l1", "kl_sparsity", "contractive"] = "none",
        regularizer_weight: float | list[float] = 0.1,
        rho: float = 0.1,
        finetune: Joint | None = None,
    ):
        rates = [0.0] if pretrain_lr is None else _list(pretrain_lr)
        if not min(_list(pretrain_epochs)) >= 0:
            raise UsageError(f"pretrain_epochs={pretrain_epochs} must not be negative")
        if not min(rates) >= 0:
            raise UsageError(f"pretrain_lr={pretrain_lr} must not be negative")
        if not min(_list(regularizer_weight)) >= 0:
            raise UsageError(f"regularizer_weight={regularizer_weight} must not be negative")
        if pretrain_batch_size < 1:
            raise UsageError(f"pretrain_batch_size={pretrain_batch_size} must be at least 1")
        if pretrain_patience is not None and pretrain_patience < 1:
            raise UsageError(f"pretrain_patience={pretrain_patience} must be at least 1")
        if not 0 < rho < 1:
            raise UsageError(f"rho={rho} must lie strictly between 0 and 1")
        for level in _list(noise):
            try:
                NOISES[corruption](level)
            except UsageError as error:
                raise UsageError(f"noise={noise}: {error}") from error
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_lr = pretrain_lr
        self.batch_size = pretrain_batch_size
        self.patience = pretrain_patience
        self.corruption = corruption
        self.noise = noise
        self.regularizer = regularizer
        self.regularizer_weight = regularizer_weight
        self.rho = rho
        self.finetune = finetune

    def fit(
        self, learner: Learner, data: Data, optimizer, scheduler, store: Store, track, seed: int,
        stop: Callable[[], bool] = lambda: False,
    ) -> Progress:  # fmt: skip
        """As `Joint.fit`; steps are counted through all stages."""
        check(learner.model)
        layers = self.layers(len(learner.model.encoder.layers))
        self._fits(learner.model, layers)
        place, past, progress = 0, Past(), Progress()
        if store.resumed:
            learner.load_state_dict(store.resumed["learner"])
            place, past = store.resumed["stage"]["place"], Past(**store.resumed["stage"]["past"])
            progress = past.merge(Progress(**store.resumed["progress"]), "")
        rows = len(data["train"])
        total = sum(layer.epochs for layer in layers) * math.ceil(rows / self.batch_size)
        track.start(total + (self.finetune.total(rows) if self.finetune else 0), progress)
        parts = (optimizer, scheduler)
        for i in range(place, len(layers)):
            if layers[i].epochs > 0:
                name = f"layer_{i + 1}"
                views = StageStore(store, learner, i, past), StageTrack(track, name, past)
                progress = self.pretrain(learner, i, layers[i], data, *parts, *views, seed, stop)
                past = past.after(progress, name)
        views = StageStore(store, learner, len(layers), past), StageTrack(track, "", past)
        if self.finetune is None:
            progress = record(learner, data, *views, Progress())
        else:
            progress = self.finetune.fit(learner, data, *parts, *views, seed, stop)
        return past.merge(progress, "")

    def pretrain(
        self, learner: Learner, i: int, layer: Layer, data: Data, optimizer, scheduler, store, track, seed: int, stop
    ) -> Progress:
        """Train encoder layer `i` and its mirror; no other parameter moves."""
        model = shallow(learner.model, i)
        task = learner.task if i == 0 else Reconstruct()
        noise = Chain({self.corruption: NOISES[self.corruption](layer.noise)})
        objective = Additive(noise, self._penalty(model, layer))
        stage = Learner(task, model, objective).to(data["train"].device)
        splits = {name: data[name] for name in ("train", "val")}
        if i > 0:
            width, code = learner.model.encoder.layers[i].in_features, codes_below(learner.eval(), i)
            splits = {name: coded(split, code, width) for name, split in splits.items()}
        if layer.lr is not None:
            optimizer = _at(optimizer, layer.lr)
        log.info("layer %d of %d: %s", i + 1, len(learner.model.encoder.layers), self._words(model, layer))
        joint = Joint(epochs=layer.epochs, batch_size=self.batch_size, patience=self.patience)
        try:
            # rows and noise of their own for each layer; fine-tuning has those of trainer=joint
            return joint.fit(stage, splits, optimizer, scheduler, store, track, mix(seed, i + 1), stop)
        except Diverged as error:
            words = f"layer {i + 1} in pre-training: {error} of this layer: take a lower trainer.pretrain_lr"
            raise Diverged(words) from error

    def layers(self, count: int) -> list[Layer]:
        """What each layer is trained with; raises UsageError where a list has another length."""
        keys = ("pretrain_epochs", "pretrain_lr", "noise", "regularizer_weight")
        columns = []
        for key in keys:
            value = getattr(self, key)
            values = list(value) if isinstance(value, list | tuple) else [value] * count
            if len(values) != count:
                raise UsageError(
                    f"trainer.{key}={value}: the encoder has {count} layers (model.hidden_dims and the code), not "
                    f"{len(values)}: give {count} values, or one number for all"
                )
            columns.append(values)
        return [Layer(*row) for row in zip(*columns, strict=True)]

    def _penalty(self, model: Autoencoder, layer: Layer) -> dict[str, nn.Module]:
        if self.regularizer == "none":
            return {}
        make = {
            "l1": lambda: L1(layer.weight),
            "kl_sparsity": lambda: KLSparsity(layer.weight, self.rho, model.latent.dim),
            "contractive": lambda: Contractive(layer.weight, "hutchinson"),  # exact: one backward pass a unit
        }
        return {self.regularizer: make[self.regularizer]()}

    def _fits(self, model: Autoencoder, layers: list[Layer]) -> None:
        """Raise UsageError where a layer's units are none that its penalty can act on."""
        for i, layer in enumerate(layers):
            one = shallow(model, i)
            try:
                for penalty in self._penalty(one, layer).values() if layer.epochs else ():
                    penalty.check(one)
            except UsageError as error:
                words = f"trainer.regularizer={self.regularizer}: layer {i + 1} gives no units in (0, 1)"
                way = "take model.activation=sigmoid latent=sigmoid, or trainer.regularizer=l1"
                raise UsageError(f"{words}: {way}") from error

    def _words(self, model: Autoencoder, layer: Layer) -> str:
        penalty = "" if self.regularizer == "none" else f", {self.regularizer} {layer.weight:g}"
        noise = f", {self.corruption} {layer.noise:g}" if layer.noise else ""
        return f"{math.prod(model.decoder.shape)} -> {model.latent.dim}{noise}{penalty}, {layer.epochs} epochs"


def _at(optimizer: Callable, lr: float) -> Callable:
    return lambda parameters: optimizer(parameters, lr=lr)


def _list(value: float | list) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]

"""Autoencoders as scikit-learn transformers: the composed configurations, without a run folder."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.random import RandomState
from omegaconf import DictConfig
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data
from torch import Tensor

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.datasets.formats import arrays
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.models.learner import choose_batch_size
from aeexp.runs.build import build_seeded, choose_device
from aeexp.runs.config import make, to_dict
from aeexp.runs.machine import keep_generators
from aeexp.runs.training import fit_codes, train
from aeexp.runs.warm_start import start_from
from aeexp.sklearn.configuration import compose_configuration
from aeexp.trainers.checkpoint import Store
from aeexp.trainers.contracts import Tracker

FLOATS: Any = [np.float64, np.float32]  # a list, which scikit-learn's own annotations forget


@final
class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """An autoencoder of aeexp as a transformer: codes by `transform`, rows again by `inverse_transform`.

    - `variant`: a name of conf/variant, such as "undercomplete", "denoising", "vae", "pca".
    - `latent_dim`, `epochs`, `batch_size`: None takes the variant's own.
    - `overrides`: further words of aeexp's command line, as in ("noise=gaussian", "optimizer.lr=1e-2").
    - `shape`: of one row, (C, H, W) for pictures and (T, F) for sequences of equal length; None: features (D,).
    - `validation_fraction`: rows that choose the best state and are not trained on; 0: the training rows themselves.
    - `random_state`: split, weights, order of rows and noise follow from it.
    - `device`: auto, cpu, cuda or mps.
    - `config_dir`: a folder with options of your own, as `--config-dir` names it; their classes are found beside it.

    Values are taken as they are: scale them before, as in a Pipeline. Labels y, which are used where the variant wants
    them (regularizer=classifier), are whole numbers or texts; -1 is an unlabelled row. Fractions, or floats of more
    than 100 values, are numbers to predict (regularizer=regressor), NaN where unknown; other y are ignored.
    `model_` is the trained model (`aeexp.models.autoencoder.Autoencoder`), on the CPU; `history_` has a row for each
    evaluation.
    Pickles hold Python objects: load those of your own only.
    """

    n_features_in_: int  # set by validate_data

    def __init__(
        self,
        variant: str = "undercomplete",
        *,
        latent_dim: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        overrides: Sequence[str] = (),
        shape: tuple[int, ...] | None = None,
        validation_fraction: float = 0.1,
        random_state: int | RandomState | None = None,
        device: str = "auto",
        config_dir: str | None = None,
    ):
        self.variant = variant
        self.latent_dim = latent_dim
        self.epochs = epochs
        self.batch_size = batch_size
        self.overrides = overrides
        self.shape = shape
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device
        self.config_dir = config_dir

    def fit(self, X, y=None) -> Autoencoder:
        """Train on rows (N, D). Raises UsageError for a variant that cannot be had of them."""
        X = np.asarray(validate_data(self, X, dtype=np.float32, ensure_min_samples=2))
        seed = int(check_random_state(self.random_state).randint(2**31))
        cfg = self._compose(seed)
        device = choose_device(self.device)
        data = self._split(X, y, seed).place(device)
        # Nothing of this is seen outside: generators go on as if there had been no training.
        with keep_generators(device):
            learner = build_seeded(cfg, data)
            if learner.model.condition.size != 0:
                raise UsageError(
                    "this variant wants side information, which transform does not get: take another variant"
                )
            trainer = make(cfg, "trainer")
            start_from(to_dict(cfg), learner, data, trainer)
            progress = train(cfg, trainer, learner, data, Store(None, {}), Tracker())
            run = Run(learner, data)
            fit_codes(run)
        self.config_ = to_dict(cfg)
        self.history_ = progress.history
        self.model_ = run.model.cpu().requires_grad_(False)
        return self

    def transform(self, X) -> np.ndarray:
        """(N, latent_dim) mean codes, in the type of X where that is float32 or float64."""
        return self._map(self._validate(X), self._row, lambda model, x: model.encode(x).mean)

    def inverse_transform(self, X) -> np.ndarray:
        """(N, n_features_in_) rows decoded from codes (N, latent_dim)."""
        check_is_fitted(self)
        codes = np.asarray(check_array(X, dtype=FLOATS, input_name="X"))
        if codes.shape[1] != self._n_features_out:
            raise UsageError(
                f"X has {codes.shape[1]} features, but the codes of this {type(self).__name__} have "
                f"{self._n_features_out}"
            )
        return self._map(codes, codes.shape[1:], lambda model, z: model.decode(z))

    def reconstruct(self, X) -> np.ndarray:
        """(N, n_features_in_) rows after encoder and decoder."""
        return self._map(self._validate(X), self._row, lambda model, x: model.reconstruct(x))

    def score(self, X, y=None) -> float:
        """Minus the squared error of a reconstruction, summed over features, mean over rows: 0 is the best.

        That is minus `reconstruction/mse` of metrics.json.
        """
        return -float(np.square(self.reconstruct(X) - self._validate(X), dtype=np.float64).sum(1).mean())

    @property
    def _row(self) -> tuple[int, ...]:
        return (self.n_features_in_,) if self.shape is None else tuple(self.shape)

    @property
    def _n_features_out(self) -> int:
        return self.model_.latent.dim

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _compose(self, seed: int) -> DictConfig:
        sizes = (self.latent_dim, self.epochs, self.batch_size)
        return compose_configuration(self.variant, tuple(self.overrides), *sizes, seed, self.config_dir)

    def _split(self, X: np.ndarray, y: Any, seed: int) -> Data:
        x = X if self.shape is None else _fold(X, self.shape)
        response = _read_numbers(X, y)
        y, classes = _number_labels(X, None if response is not None else y)
        rows = Rows(x, y, ids=np.arange(len(x)), response=response)
        share = self.validation_fraction
        if not 0 <= share < 1:
            raise UsageError(f"validation_fraction={share} must lie in [0, 1)")
        count = min(max(1, round(share * len(x))), len(x) - 1) if share else 0
        order = np.random.default_rng(seed).permutation(len(x))
        train = np.sort(order[count:])
        parts = {"train": train, "val": np.sort(order[:count]) if count else train}
        return Data("rows", {name: Split(rows.take(index)) for name, index in parts.items()}, classes,
                    response="" if response is None else "y")  # fmt: skip

    def _validate(self, X) -> np.ndarray:
        check_is_fitted(self)
        return np.asarray(validate_data(self, X, dtype=FLOATS, reset=False))

    @torch.no_grad()
    def _map(self, values: np.ndarray, shape: Sequence[int], function: Callable[..., Tensor]) -> np.ndarray:
        """`function` of the model and rows of this shape, in the type of the values: float64 is not rounded."""
        device = choose_device(self.device)
        rows = torch.from_numpy(np.require(values, requirements=["C", "W"])).view(-1, *shape)
        dtype = torch.float32 if device.type == "mps" else rows.dtype
        model = copy.deepcopy(self.model_).to(device, dtype)
        with torch.random.fork_rng():  # a latent may draw codes beside the mean
            some = rows.split(choose_batch_size(rows.shape[1:]))
            parts = [function(model, part.to(device, dtype)).flatten(1).cpu().numpy() for part in some]
        return np.concatenate(parts).astype(values.dtype, copy=False)


def _fold(X: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Rows (N, *shape) of rows (N, D)."""
    values = math.prod(shape)
    if values != X.shape[1]:
        raise UsageError(f"shape={tuple(shape)} has {values} values, but X has {X.shape[1]} features")
    return X.reshape(len(X), *shape)


def _read_numbers(X: np.ndarray, y: Any) -> np.ndarray | None:
    """(N,) float32 numbers to predict, NaN where unknown; None where y is classes, or nothing that can be read."""
    if y is None:
        return None
    check_consistent_length(X, y)
    y = np.asarray(y)
    if y.ndim != 1 or not arrays.are_measurements(y) or np.isinf(y).any() or np.isnan(y).all():
        return None
    return y.astype(np.float32)


def _number_labels(X: np.ndarray, y: Any) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Class numbers (N,), -1 where y is -1, and the names of the classes; None where y is no such thing."""
    if y is None:
        return None, ()
    check_consistent_length(X, y)
    y = np.asarray(y)
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.round(y)).all():
        y = y.astype(np.int64)
    if y.ndim != 1 or y.dtype.kind not in "biuUSO" or (y.dtype == object and not all(isinstance(v, str) for v in y)):
        return None, ()
    known = np.ones(len(y), bool) if y.dtype.kind in "bUSO" else y != -1
    classes, places = np.unique(y[known], return_inverse=True)
    numbers = np.full(len(y), -1, np.int64)
    numbers[known] = places
    return numbers, tuple(map(str, classes))

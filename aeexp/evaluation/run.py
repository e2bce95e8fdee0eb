"""A trained model as metrics and plots see it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, final

import numpy as np
import torch

from aeexp.contracts import Noise
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.spelling import Spelling
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.stream import Stream
from aeexp.evaluation.cache import Cache
from aeexp.evaluation.columns import Columns
from aeexp.evaluation.components import keep_components
from aeexp.evaluation.encode import Encoded, draw_codes, encode, find_visible, mean_codes, mean_rate
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.comparable import comparable_pca, describe
from aeexp.models.learner import Learner, Means, average, choose_batch_size
from aeexp.models.pca import constant, identity
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.types import Batch, Pass

Values = dict[str, float]
ROUNDING = 1e-10  # of the rows' squares: what float32 leaves of an error that is 0
LOOKED_AT = 5000  # training rows that say which units are visible


@final
class Run:
    """A trained learner with its data, in evaluation mode; codes are computed once.

    `history` holds the rows of history.csv, for learning curves; `untrained` is the model before training. `trained`
    is the part `train` of metrics.json once it is measured, and `best_step` the step of the state it was measured in.
    Baselines learn from the training rows of `learned`, where these are others (those that the model was trained on),
    and act on `inputs`, where the data are codes and these are what was encoded. `lacks`: "model" where codes are
    given, "inputs" where nobody knows what they are codes of, "classes" where those of the data are not the model's.
    `cache` keeps what baselines give for other runs of the same rows.
    """

    def __init__(
        self, learner: Learner, data: Data, history: Sequence[dict] = (), untrained: Autoencoder | None = None, *,
        learned: Data | None = None, inputs: Data | None = None, lacks: frozenset[str] = frozenset(),
        cache: Cache | None = None,
    ):  # fmt: skip
        self.learner = learner.eval()
        self.data = data
        self.history = list(history)
        self.untrained = untrained
        self.trained: dict[str, float | None] = {}
        self.best_step: int | None = None
        self.inputs = inputs or data
        self.learned = learned or self.inputs
        self.lacks = lacks
        self.cache = cache or Cache()
        self._origin: Run | None = None  # of a baseline the run that it stands beside
        self._kept: dict[Hashable, Any] = {}

    @property
    def model(self) -> Autoencoder:
        """The learner's."""
        return self.learner.model

    @property
    def segments(self) -> bool:
        """Whether the target is a mask (task=segment): what the decoder gives is no picture of the data then."""
        return self.learner.task.masks

    @property
    def spelling(self) -> Spelling | None:
        """What the tokens are that the decoder tells, where rows are text; None where it tells anything else."""
        known = self.data.spelling
        return known if known is not None and known.size == self.model.likelihood.levels else None

    @property
    def device(self) -> torch.device:
        """Where model and batches lie."""
        return self.data.device

    @torch.no_grad()
    def forward(self, batch: Batch, noise: Noise | None = None) -> Pass:
        """One pass, decoded from the mean code alone; the target set by the task. Always the same without `noise`.

        Under condition=label encoder (if it is told) and decoder get the row's own label, so that codes may hold it,
        unless the objective infers it: then the label that it finds itself, under noise from the row under noise.
        """
        return self._decode(encode(self.learner, batch, noise))

    def _decode(self, encoded: Encoded) -> Pass:
        batch, x, context, code = encoded
        code = code._replace(z=code.mean)
        return Pass(batch, x, context, code, self.model.parameters_of(code.z, context, code.skips))

    def passes(self, split: str) -> Iterator[Pass]:
        """Passes over all rows that are `measured`, in their order."""
        return self._pass_over(split, self.all_rows(split))

    def all_rows(self, split: str) -> Split | Stream:
        """What loss and errors are means over: all of a split, but of training rows beyond memory a sample."""
        return self.rows(split) if split == "train" else self.data[split]

    def rows(self, split: str) -> Split:
        """What codes, errors and labels speak of: the split, or a sample of one that lies beyond memory."""
        return self.data.sample(split)

    def codes(self, split: str, places: np.ndarray | None = None) -> np.ndarray:
        """(N, D) float32 mean codes of `rows`, or of those at `places` (N,): a few of a baseline's are computed
        alone."""
        if places is not None and self._origin is not None and 2 * len(places) < len(self.rows(split)):
            order = torch.from_numpy(np.sort(places))
            parts = order.split(choose_batch_size(self.data.shape))
            codes = mean_codes(self.learner, map(self.rows(split).batch, parts))
            return codes[np.searchsorted(order.numpy(), places)]
        codes = self.compute_once(("codes", split), lambda: mean_codes(self.learner, self._batches(split)))
        return codes if places is None else codes[places]

    def draws(self, split: str) -> np.ndarray:
        """(N, D) float32: one code a row, drawn from its posterior, the same at every call; without noise the mean."""
        return self.compute_once(("draws", split), lambda: draw_codes(self.learner, self._batches(split))[1])

    def visible(self) -> np.ndarray:
        """(D,) bool: units that the posterior's noise does not hide, told from training rows.

        A mean code of tiny amplitude can be read without a mistake, while a decoder that sees one draw learns nothing
        from it. Of a code without noise all units are visible.
        """

        def compute() -> np.ndarray:
            few = self.rows("train").sample(LOOKED_AT).batches(choose_batch_size(self.data.shape))
            return find_visible(self.learner, few)

        return self.compute_once("visible", compute)

    def errors(self, split: str) -> np.ndarray:
        """(N,) squared error of each reconstruction of `rows`, summed over features; of masks and text, wrong parts."""
        if ("errors", split) not in self._kept:
            for _ in self._pass_over(split, self.rows(split)):
                pass
        return self._kept["errors", split]

    def losses(self, split: str) -> dict[str, float]:
        """Loss and terms as `models.learner.average`: of a pass that was made, where the objective reads them there."""
        return self.compute_once(("losses", split), lambda: average(self.learner, self.all_rows(split)))

    def rate(self, split: str) -> np.ndarray | None:
        """Mean KL from the prior over `rows` in nats, as `mean_rate`; None where the latent has no prior."""
        return self.compute_once(("rate", split), lambda: mean_rate(self.learner, self._batches(split)))

    def measure_error(self, out: Pass) -> np.ndarray:
        """(B,) squared error of a pass, summed over features; of masks, wrong pixels, of text, tokens."""
        return self.learner.task.error(self.model.likelihood, out.output, out.batch).cpu().numpy()

    def labels(self, split: str) -> np.ndarray | None:
        """(N,) int64 labels of `rows`, -1 where unknown; None where the data set has none."""
        return None if (y := self.rows(split).y) is None else y.cpu().numpy()

    def responses(self, split: str) -> np.ndarray | None:
        """(N,) float32 numbers to predict of `rows`, NaN where unknown; None where the data set has none."""
        return None if (response := self.rows(split).response) is None else response.cpu().numpy()

    def _batches(self, split: str) -> Iterator[Batch]:
        return self.rows(split).batches(choose_batch_size(self.data.shape))

    def _pass_over(self, split: str, rows: Split | Stream) -> Iterator[Pass]:
        """Codes and errors of `rows` stay, and the loss where the objective reads it there: a pass is made once."""
        kept, columns, losses = rows is self.rows(split), Columns(len(rows)), Means()
        for batch in rows.batches(choose_batch_size(self.data.shape)):
            with torch.no_grad():
                encoded = encode(self.learner, batch)
                out = self._decode(encoded)
                if encoded.code.z is encoded.code.mean:
                    losses.add(self.learner.objective.read_terms(self.model, out), len(batch.x))
            if kept:
                columns.add("codes", out.code.mean)
                columns.add("errors", self.measure_error(out))
            yield out
        if rows is self.all_rows(split) and losses.rows == len(rows):
            self._kept.setdefault(("losses", split), losses.compute())
        for name, column in columns.arrays().items():
            self._kept.setdefault((name, split), column)

    def compute_once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The value of `compute`, computed at the first call with this key."""
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]

    def pca(self) -> Run | None:
        """PCA of the training split that says as much of a row as this code can, under the same likelihood where its
        output is a mean (`models.comparable`); None where it makes no error.

        A variance that was estimated is PCA's own, from its training error.
        """
        return self.compute_once("pca", self._pca)

    def describe_pca(self) -> str:
        """What `pca` is called, "PCA, width 16"; else why there is none."""
        values = math.prod(self.inputs.shape)
        name = describe(self.model.latent.capacity(), values)
        if self.pca() is None:
            return f"none: {name} makes no error on rows of {values} values"
        masked = next(iter(self.learned["train"].batches(1))).mask is not None
        name = f"masked {name}" if masked else name
        return name if self.learned is self.inputs else f"{name}, of {self.learned.name}"

    def mean(self) -> Run:
        """The mean of the training rows."""
        return self.compute_once("mean", lambda: self._baseline(constant(self.learned["train"])))

    def raw(self) -> Run:
        """The input as its own code; that of a baseline is the run's."""
        if self._origin is not None:
            return self._origin.raw()
        return self.compute_once("raw", lambda: self._baseline(identity(self.inputs.shape).to(self.device)))

    def random(self) -> Run | None:
        """The network before training; None where that is not known, or where the encoder gets side information."""
        if self.untrained is None or self.untrained.condition.told > 0:
            return None
        return self.compute_once("random", self._untrained)

    def _pca(self) -> Run | None:
        capacity, features = self.model.latent.capacity(), math.prod(self.inputs.shape)
        run = self._baseline(comparable_pca(self.learned["train"], capacity, keep_components(self.cache, self.learned)))
        if self.segments or self.spelling:  # its output is no mask and no text: only its codes are read
            return None if run.model.latent.dim >= features else run
        size = sum(float(batch.x.double().square().sum()) for batch in self.inputs.sample("test").batches(1024))
        if run.errors("test").sum(dtype=np.float64) <= ROUNDING * size:
            return None
        if self.model.likelihood.identity_link:
            run.model.likelihood = copy.deepcopy(self.model.likelihood)
            run.model.likelihood.fit(Run(run.learner, self.learned).passes("train"))
            run._kept.pop(("losses", "test"), None)  # of the likelihood before
        return run

    def _untrained(self) -> Run:
        assert self.untrained is not None
        run = self._baseline(self.untrained)  # nobody taught it how much noise it may have: it is read at its best
        run.compute_once("visible", lambda: np.ones(run.model.latent.dim, bool))
        return run

    def _baseline(self, model: Autoencoder) -> Run:
        run = Run(Learner(self.learner.task, model, Additive(Chain({}), {})), self.inputs, lacks=self.lacks & {"model"})
        run._origin = self
        return run

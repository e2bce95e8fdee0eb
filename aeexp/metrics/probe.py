"""What a simple classifier reads from the codes."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, final

import numpy as np

from aeexp.errors import UsageError
from aeexp.evaluation.classifiers import Kind
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.probes import (
    Reading,
    accuracies,
    draw_truth,
    fit_reader,
    hold_out,
    name_regressor,
    select_truth,
)
from aeexp.evaluation.regressors import measure_answers
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import measure_share
from aeexp.ranges import Count, Seed

log = logging.getLogger(__name__)

VARIANCE = "share of the variance"


@final
class Probe(Metric):
    """Accuracy of simple `classifiers`, fitted on `rows` labelled training codes, and on the few of each of `budgets`.

    Of numbers to predict (dataset.target) `linear` is ridge regression and `knn` the mean of the neighbours' numbers;
    R² (``probe/ridge_r2``), RMSE and MAE in the units of the target are told, and support vector machines left out.

    Codes, PCA codes, raw input and the codes of the same network before training (`random`) are read the same way, and
    none is at a disadvantage: the linear probe is logistic regression (L2) on units divided by the geometric mean of
    their own deviation and the largest one, and labelled validation rows, as many as are fitted at most, choose C (of
    the support vector machines too) and whether neighbours are those of the codes as they are or standardised. A
    linear probe that has not converged is told in a warning. Rows are the same for every model of the same data.
    ``probe/linear_n100`` is the mean over `draws` draws of 100 labels.

    Of a stochastic latent mean codes are read without the units that the posterior's noise hides (`codes=visible`): a
    decoder could not read them either. `mean` reads all, `sampled` one drawn code a row.

    Under condition=label an encoder is told the label: codes of such a model hold it whatever it has learnt, unless
    its objective infers labels (semi_supervised), and there is no `random` row.

    Formula: accuracy = share of rows of the split with g(code) = y, g fitted on training codes

    Look at: raw input and `random` beside it: what the code gains over pixels and over no training.
    """

    of_codes: ClassVar = True
    reads: ClassVar = ("codes", "truth")
    numbers: ClassVar = (
        Number("probe/linear", "higher", "accuracy", headline=True, of_labels=True, label="linear probe accuracy"),
        Number("probe/knn", "higher", "accuracy", headline=True, of_labels=True, label="kNN probe accuracy"),
        Number("probe/ridge_r2", "higher", VARIANCE, headline=True, of_labels=True, label="ridge probe R²"),
        Number("probe/knn_r2", "higher", VARIANCE, headline=True, of_labels=True, label="kNN probe R²"),
        Number("probe/(ridge|knn)_(rmse|mae)", "lower", "units of the target", of_labels=True),
        Number(
            r"probe/(ridge|knn)_r2_n\d+",
            "higher",
            VARIANCE,
            of_labels=True,
            no_interval="a mean over draws of the labels",
        ),
        Number("probe/(svm_linear|svm_rbf)", "higher", "accuracy", of_labels=True),
        Number(r"probe/\w+_n\d+", "higher", "accuracy", of_labels=True, no_interval="a mean over draws of the labels"),
    )
    in_keys: ClassVar = ("classifiers", "budgets")

    def __init__(
        self,
        rows: Count = 5000,
        neighbours: Count = 5,
        seed: Seed = 0,
        classifiers: list[Kind] | None = None,
        budgets: list[Count] | None = None,
        draws: Count = 5,
        codes: Reading = "visible",
    ):
        self.classifiers: list[Kind] = ["linear", "knn"] if classifiers is None else list(classifiers)
        self.budgets = sorted(set(budgets or []))
        self.figures = ("label_budget",) if self.budgets else ()
        if not self.classifiers:
            raise UsageError("classifiers=[]: name one, as in [linear], or leave the metric out")
        self.rows = rows
        self.neighbours = neighbours
        self.seed = seed
        self.draws = draws
        self.codes: Reading = codes

    def __call__(self, run: Run, split: str) -> Values:
        if not run.data.is_labelled and not run.data.has_response:
            return {}
        probes = run.compute_once(
            ("probe", self.rows, self.neighbours, self.seed, self.codes, *self.classifiers), lambda: self.fit(run)
        )
        codes, truth = select_truth(run, split, self.codes)
        values: Values = {}
        for name, probe in probes.items():
            answers = probe.predict(codes)
            if run.data.is_labelled:
                values[f"probe/{name}"] = measure_share(answers == truth)
            else:
                key = f"probe/{name_regressor(name)}"
                values |= {f"{key}_{what}": value for what, value in measure_answers(truth, answers).items()}
        for name in probes if self.budgets else ():
            key = f"probe/{name}" if run.data.is_labelled else f"probe/{name_regressor(name)}_r2"
            few = accuracies(run, split, name, self.budgets, self.draws, self.seed, self.neighbours, self.codes)
            values |= {f"{key}_n{budget}": float(np.mean(each)) for budget, each in few.items()}
        return values

    def fit(self, run: Run) -> dict[Kind, Any]:
        """Classifiers by name, or what stands for them of numbers, fitted on `rows` training codes; {} where these are
        of one class."""
        codes, labels = draw_truth(run, "train", self.rows, self.seed, self.codes)
        kinds: list[Kind] = self.classifiers
        if run.data.has_response and not run.data.is_labelled:
            left = [kind for kind in kinds if name_regressor(kind) is None]
            kinds = [kind for kind in kinds if kind not in left]
            if left:
                log.info("probe: %s left out: probes of classes, and the labels are numbers", ", ".join(left))
        elif len(np.unique(labels)) < 2:
            log.info("probe: left out, since the training rows of %s have one class only", run.data.name)
            return {}
        held = hold_out(run, len(labels), self.seed, self.codes)
        return {name: fit_reader(name, codes, labels, self.neighbours, held) for name in kinds}

    def without_budgets(self) -> Probe:
        """The same on all of its rows alone: what is cheap enough to be asked for again and again."""
        return Probe(self.rows, self.neighbours, self.seed, self.classifiers, codes=self.codes)

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        """The same on the codes of the network before training, where the encoder gets no side information."""
        untrained = run.random()
        return {} if untrained is None else {"random": self(untrained, split)}

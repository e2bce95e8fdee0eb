"""Simple classifiers at no disadvantage: scale and penalty are chosen for each code, and for raw input the same way."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from aeexp.evaluation.span import find_span
from aeexp.evaluation.threads import one_thread
from aeexp.timing import stage

log = logging.getLogger(__name__)

Kind = Literal["linear", "knn", "svm_linear", "svm_rbf"]

# Ascending: a fit starts where the last one ended, and the path ends where held rows are read worse.
PENALTIES: dict[Kind, tuple[float, ...]] = {
    "linear": (0.01, 0.1, 1.0, 10.0, 100.0),
    "svm_linear": (0.001, 0.01, 0.1, 1.0, 10.0),
    "svm_rbf": (1.0, 10.0, 100.0),
}
STEPS = 1000  # of the solver for each penalty: what has not converged by then is told
FEWEST = 50  # rows of which a fifth can say which penalty is better; of fewer C is 1 where no other rows are held
COMPARED = 1000  # held rows by which neighbours choose their scale: distances to all fitted rows are the cost
LEAST = 1e-4  # of the largest deviation: units that vary less are constant to a neighbour


class Held(NamedTuple):
    """Rows that no classifier is fitted on: they choose its scale and penalty."""

    codes: np.ndarray  # (N, D)
    labels: np.ndarray  # (N,)


@one_thread()
def fit_probe(kind: Kind, codes: np.ndarray, labels: np.ndarray, neighbours: int = 5, held: Held | None = None) -> Any:
    """One classifier of scikit-learn's on codes (N, D) and labels (N,), behind its scaling, as a pipeline.

    Linear ones divide each unit by the geometric mean of its own deviation and the largest one: half-way between codes
    as they are, whose small units a penalty hides, and standardised ones, whose largest numbers are those of a border
    pixel that is on in one row. `knn` takes codes as they are or standardised. C, or that scaling, is what reads the
    `held` rows best: logistic regression by its likelihood, the others by accuracy. Without them a fifth of the rows
    chooses, and all are fitted then; of fewer than 50 C is 1 and neighbours are those of the codes as they are.

    Never more neighbours than labels a class. All rows of one class: the classifier that always names it.
    """
    with stage("imports"):  # seconds, which no metric of its own takes
        from sklearn.dummy import DummyClassifier

    classes = len(np.unique(labels))
    if classes < 2:
        return DummyClassifier().fit(codes, labels)
    most = max(1, min(neighbours, len(codes) // classes))
    if held is not None and len(held.labels):
        return _fit_best(kind, codes, labels, most, held)
    order = np.random.default_rng(0).permutation(len(labels))
    rest, few = order[len(order) // 5 :], order[: len(order) // 5]
    if len(labels) < FEWEST or len(np.unique(labels[rest])) < 2:
        return _fit(kind, codes, labels, 0.0 if kind == "knn" else 1.0, most)
    best = _fit_best(kind, codes[rest], labels[rest], most, Held(codes[few], labels[few]))
    return _fit(kind, codes, labels, read_choice(best), most)


def read_choice(probe: Any) -> float:
    """What the held rows chose: C, or of `knn` 1 where codes are standardised and 0 where they are as they are."""
    scaler, classifier = (part for _, part in probe.steps)
    return classifier.get_params().get("C", float(scaler.with_std))


def _fit(kind: Kind, codes: np.ndarray, labels: np.ndarray, choice: float, neighbours: int) -> Any:
    return next(_fits(kind, codes, labels, (choice,), neighbours))


def _fit_best(kind: Kind, codes: np.ndarray, labels: np.ndarray, neighbours: int, held: Held) -> Any:
    """The first of the best; a path of penalties ends at the first that reads the held rows worse than the last."""
    if kind == "knn":
        held = Held(held.codes[:COMPARED], held.labels[:COMPARED])
    best, most = None, -np.inf
    for probe in _fits(kind, codes, labels, PENALTIES.get(kind, (0.0, 1.0)), neighbours):
        value = _score(kind, probe, held)
        if value < most:
            break
        if best is None or value > most:
            best, most = probe, value
    _warn_of_steps(kind, best, codes.shape)
    return best


def _fits(
    kind: Kind, codes: np.ndarray, labels: np.ndarray, choices: tuple[float, ...], neighbours: int
) -> Iterator[Any]:
    """Pipelines of fitted parts, one for each choice; a penalty's fit starts from that of the last."""
    with stage("imports"):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import SVC, LinearSVC

    if kind == "knn":
        for choice in choices:
            scaler = fit_scaler(codes, choice)
            yield make_pipeline(scaler, KNeighborsClassifier(neighbours).fit(scaler.transform(codes), labels))
        return
    makers = {
        "linear": lambda: LogisticRegression(max_iter=STEPS, warm_start=True),
        "svm_linear": lambda: LinearSVC(dual="auto", random_state=0),
        "svm_rbf": SVC,
    }
    scaler, classifier = fit_scaler(codes, 0.5), makers[kind]()
    scaled = scaler.transform(codes)
    span = find_span(scaled) if kind == "linear" and len(scaled) < scaled.shape[1] else None
    if span is not None and not span.corner.size:
        span = None  # no row differs from another
    if span is not None:
        classifier.set_params(solver="newton-cg")  # L-BFGS is a thousand steps from the best weights of 12,288 pixels
    for choice in choices:
        classifier.set_params(C=choice)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # told once, of the chosen one
            classifier.fit(scaled if span is None else span.coordinates, labels)
        fitted = copy.deepcopy(classifier)
        if span is not None:
            fitted.coef_, fitted.intercept_ = span.widen(fitted.coef_), fitted.intercept_.astype(scaled.dtype)
            fitted.n_features_in_ = scaled.shape[1]
        yield make_pipeline(scaler, fitted)


def fit_scaler(codes: np.ndarray, power: float) -> Any:
    """Centres units, and divides them by their deviation to a power: 0 leaves all as they are, 1 standardises.

    Powers between take the rest from the largest deviation, so that the scale of all codes never counts.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler(with_std=power > 0).fit(codes)
    if power > 0:
        spread = codes.astype(np.float64).std(0)
        largest = spread.max() or 1.0  # codes that never vary stay as they are
        spread = np.maximum(spread, LEAST * largest)
        scaler.scale_ = spread**power * largest ** (1 - power)
    return scaler


def _score(kind: Kind, probe: Any, held: Held) -> float:
    if kind != "linear":
        return float(probe.score(*held))
    known = np.isin(held.labels, probe.classes_)
    if not known.any():
        return 0.0
    chances = probe.predict_proba(held.codes[known])
    of_truth = chances[np.arange(len(chances)), np.searchsorted(probe.classes_, held.labels[known])]
    return float(np.log(of_truth.astype(np.float64).clip(min=1e-30)).mean())


def _warn_of_steps(kind: Kind, probe: Any, shape: tuple[int, ...]) -> None:
    classifier = probe.steps[-1][1]
    if kind != "knn" and np.max(classifier.n_iter_) >= classifier.max_iter > 0:
        log.warning(
            "%s probe of %d rows and %d units: not converged after %d steps (C = %g): its numbers may still rise",
            kind, *shape, classifier.max_iter, classifier.C,
        )  # fmt: skip

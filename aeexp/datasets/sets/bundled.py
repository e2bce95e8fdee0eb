"""Data sets that ship with aeexp or with scikit-learn: no download."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, Variable


@DataSet
def mnist_small() -> Source:
    """6,000 digits of 28x28 pixels: of each class 500 training and 100 test rows of MNIST (LeCun et al. 1998).

    `benchmarks/write_mnist_small.py` drew them; mnist_small.txt beside the file says whose they are, and the licence.
    """
    with np.load(Path(__file__).with_name("mnist_small.npz"), allow_pickle=False) as file:
        train, test = (
            Rows(file[f"x_{part}"][:, None], file[f"y_{part}"].astype(np.int64)) for part in ("train", "test")
        )
    return Source(train, test, scale=1 / 255, classes=tuple("0123456789"))


@DataSet
def digits() -> Source:
    """1,797 handwritten digits of 8x8 pixels with 17 grey levels (UCI optical recognition, test part)."""
    pictures, labels = read_digits()
    return Source(Rows(pictures[:, None], labels), scale=1 / 16, classes=tuple(map(str, range(10))))


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """(1797, 8, 8) grey levels from 0 to 16 and (1797,) labels, from the file that lies in scikit-learn: importing it
    takes seconds, which a run of the digits would wait for before its first step."""
    package = importlib.util.find_spec("sklearn")
    table = Path((package and package.origin) or "").parent / "datasets" / "data" / "digits.csv.gz"
    if not table.is_file():  # a version that has it elsewhere
        from sklearn.datasets import load_digits

        bunch: Any = load_digits()  # else typed as what it returns with return_X_y=True
        return bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    rows = np.loadtxt(table, delimiter=",", encoding="ascii")
    return rows[:, :-1].reshape(-1, 8, 8).astype(np.uint8), rows[:, -1].astype(np.int64)


@DataSet
def iris() -> Source:
    """150 flowers of 3 species: length and width of sepal and petal in cm (Fisher 1936)."""
    from sklearn.datasets import load_iris

    return _load_measurements(load_iris)


@DataSet
def wine() -> Source:
    """178 wines of 3 growers: 13 chemical measurements (UCI wine)."""
    from sklearn.datasets import load_wine

    return _load_measurements(load_wine)


@DataSet
def breast_cancer() -> Source:
    """569 tumours, malignant or benign: 30 measurements of cell nuclei (UCI, Wisconsin diagnostic)."""
    from sklearn.datasets import load_breast_cancer

    return _load_measurements(load_breast_cancer)


@DataSet
def diabetes() -> Source:
    """442 patients: age, sex, body mass index, blood pressure and 6 serum values (Efron et al. 2004).

    The number to predict is the disease's progression a year later, 25 to 346.
    """
    from sklearn.datasets import load_diabetes

    bunch: Any = load_diabetes(scaled=False)
    rows = Rows(bunch.data.astype(np.float32), response=bunch.target.astype(np.float32))
    return Source(rows, variables=_name_columns(bunch), response="progression")


def _load_measurements(load: Callable[[], Any]) -> Source:
    bunch = load()
    rows = Rows(bunch.data.astype(np.float32), bunch.target.astype(np.int64))
    return Source(rows, classes=tuple(map(str, bunch.target_names)), variables=_name_columns(bunch))


def _name_columns(bunch: Any) -> tuple[Variable, ...]:
    return tuple(Variable(str(name)) for name in bunch.feature_names)

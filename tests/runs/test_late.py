"""scikit-learn without all that it imports: in processes of their own, for it is imported once."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = """
import sys
from aeexp.runs.late import Late, put_off
put_off()
import sklearn
"""


def run(code: str) -> str:
    """What the code prints in a process that imports scikit-learn so."""
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_probes_of_a_run_load_neither_scipy_stats_nor_pandas():
    code = """
import numpy as np
from aeexp.evaluation.classifiers import fit_probe
x = np.random.default_rng(0).normal(size=(90, 20)).astype("f")
y = np.arange(90) % 3
print([fit_probe(kind, x, y).predict(x).shape for kind in ("linear", "knn", "svm_linear", "svm_rbf")])
print("pandas" in sys.modules, "scipy.stats._stats_py" in sys.modules)
"""
    assert run(code).splitlines() == ["[(90,), (90,), (90,), (90,)]", "False False"]


def test_what_is_called_is_scipys_own():
    code = """
from sklearn.metrics import roc_auc_score
from sklearn.metrics._ranking import rankdata
from sklearn.neighbors import KNeighborsClassifier
from sklearn.covariance._robust_covariance import chi2
assert isinstance(sys.modules["scipy.stats"], Late)
print(roc_auc_score([0, 1, 1], [1, 2, 3]), rankdata([3, 1]).tolist(), round(chi2(2).isf(0.5), 4), chi2.name)
assert not isinstance(sys.modules["scipy.stats"], Late)
from scipy.stats import rankdata as own
import scipy
assert scipy.stats is sys.modules["scipy.stats"] and scipy.stats.rankdata is own
print(KNeighborsClassifier(1).fit([[0.0], [1.0]], [0, 1]).predict([[0.9]]))
"""
    assert run(code).splitlines() == ["1.0 [2.0, 1.0] 1.3863 chi2", "[1]"]


@pytest.mark.parametrize("name", ["mstats", "distributions"])
def test_a_module_below_is_the_one_of_the_whole(name):
    code = f"""
import scipy.stats.{name} as below
import scipy.stats
print(scipy.stats.norm.cdf(0), below is sys.modules["scipy.stats.{name}"], getattr(scipy.stats, "{name}") is below)
"""
    assert run(code) == "0.5 True True"


def test_frames_are_taken_as_ever():
    code = """
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.utils import fixes
x = pd.DataFrame(np.eye(6), columns=list("abcdef"))
model = LogisticRegression().fit(x, [0, 1] * 3)
print(list(model.feature_names_in_), fixes.pd.__version__ == pd.__version__)
"""
    assert run(code) == "['a', 'b', 'c', 'd', 'e', 'f'] True"


def test_what_is_there_already_stays():
    code = "import scipy.stats, pandas\n" + BEGIN + "print(sys.modules['scipy.stats'] is scipy.stats, pandas.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True pandas"

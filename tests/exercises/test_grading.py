"""A right solution gets all points, an empty sheet none, and what is half right is told what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from aeexp.cli import new
from aeexp.errors import UsageError
from aeexp.exercises import grade
from aeexp.exercises.laws import EXERCISES
from aeexp.exercises.sheets import read_sheet, write_exercise

HALF = {  # a change of the solution, the laws that it breaks, and words that a student reads
    "kl": ("log_variance.exp()", "(2 * log_variance).exp()", {"what draws say"}, "logarithm of the variance"),
    "sparsity": (".clamp(min=0)", "", {"small values become exactly 0", "it solves its problem"}, "exactly 0"),
    "masking": (
        "torch.rand_like(x) < p, 0.0, x",
        "torch.rand_like(x) < p, 0.0, x / (1 - p)",
        {"the rest stays"},
        "dropout",
    ),
    "sampler": ("root.T", "root.diagonal().diag()", {"their covariance"}, "units of the codes go together"),
    "linear": (".sum(1).mean()", ".mean()", {"the loss is a mean of sums"}, "sum over features"),
}


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_has_all_points_the_skeleton_none_and_half_a_solution_is_told_what_is_wrong(name, tmp_path):
    write_exercise(name, tmp_path, teacher=True)
    full = grade(name, tmp_path / f"{name}_teacher" / f"{name}.py")
    assert full.points == full.of == sum(law.points for law in EXERCISES[name].laws)
    assert not any(verdict.message for verdict in full.verdicts)
    empty = grade(name, tmp_path / name / f"{name}.py")
    assert empty.points == 0 and {verdict.message for verdict in empty.verdicts} == {"not yet written"}
    right, wrong, laws, words = HALF[name]
    assert right in read_sheet(name).solution
    half = tmp_path / "half.py"
    half.write_text(read_sheet(name).solution.replace(right, wrong), encoding="utf-8")
    found = grade(name, half)
    broken = {verdict.law: verdict.message for verdict in found.verdicts if verdict.message}
    assert laws <= broken.keys() and 0 < found.points < found.of
    assert any(words in message for message in broken.values()), broken


FORMULA = "mean.square() + log_variance.exp() - 1 - log_variance"
WRONG = [  # solutions of students, and what they are told
    ("kl", "def kl(mean, log_variance):\n    return (FORMULA).sum(1)", "the factor 1/2 is missing"),
    ("kl", "def kl(mean, log_variance):\n    return -0.5 * (FORMULA).sum(1)", "the sign is wrong"),
    ("kl", "def kl(mean, log_variance):\n    return 0.5 * (FORMULA).mean(1)", "it is a sum over units, no mean"),
    ("kl", "def kl(mean, log_variance):\n    return 0.5 * (FORMULA).sum()", "has (): sum over the units of a row"),
    ("sparsity", "def penalty(z):\n    return z.abs().sum(1)\ndef shrink(a, w):\n    return a * (a.abs() > w)",
     "nearer to 0 by it"),
    ("masking", "def mask(x, p):\n    x[torch.rand_like(x) < p] = 0\n    return x", "the input itself was changed"),
    ("masking", "def mask(x, p):\n    return x * (torch.rand(len(x), 1) >= p)", "values of a row are hidden together"),
    ("masking", "def mask(x, p):\n    return x * (torch.rand(1, x.shape[1]) >= p)", "whole columns are hidden"),
    ("masking", "def mask(x, p):\n    return torch.rand_like(x) < p", "True and False"),
    ("sampler", "def fit(c):\n    return c\ndef draw(c, n):\n    return c[torch.randint(len(c), (n,))]",
     "rows of the codes themselves"),
    ("sampler", "def fit(c):\n    return c.mean(0), torch.linalg.cholesky(c.T.cov())\n"
     "def draw(s, n):\n    return s[0] + torch.randn(n, len(s[0])) @ s[1].T", "makes the covariance singular"),
    ("linear", "def loss(x, w, v):\n    return (x @ w @ v - x).square().sum(1).mean()\n"
     "def train(x, dim):\n    return torch.zeros(x.shape[1], dim), torch.zeros(dim, x.shape[1])",
     "both matrices are 0"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "words"), WRONG, ids=[words for _, _, words in WRONG])
def test_a_common_mistake_is_told_by_its_name(name, text, words, tmp_path):
    path = tmp_path / f"{name}.py"
    path.write_text(f"import torch\n{text.replace('FORMULA', FORMULA)}\n", encoding="utf-8")
    found = grade(name, path)
    assert found.points < found.of
    assert any(words in verdict.message for verdict in found.verdicts), found


@pytest.mark.parametrize("name", ["sampler", "linear"])
def test_what_is_no_number_has_no_points(name, tmp_path):
    """NaN is neither too large nor too small."""
    text = read_sheet(name).solution
    last = {"sampler": "return mean + torch.randn(n, len(mean)) @ root.T", "linear": "return w.detach(), v.detach()"}[
        name
    ]
    nan = {
        "sampler": "return mean + torch.full((n, len(mean)), torch.nan)",
        "linear": "return w * torch.nan, v * torch.nan",
    }
    assert last in text
    path = tmp_path / f"{name}.py"
    path.write_text(text.replace(last, nan[name]), encoding="utf-8")
    kept = {"linear": {"the loss is a mean of sums"}, "sampler": {"new codes at every call"}}[name]
    assert {verdict.law for verdict in grade(name, path).verdicts if verdict.points} <= kept


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def kl(", "the file cannot be read: SyntaxError"),
        ("x = 1", "there is no function kl in the file"),
        (
            "def kl(mean, log_variance):\n    return mean.sum(1) + missing",
            "NameError: name 'missing' is not defined, line 2",
        ),
        ("def kl(mean, log_variance):\n    pass", "should be a tensor, and is None: has the function a return?"),
        ("import sys\nsys.exit(0)", ""),
    ],
)
def test_whatever_a_file_does_is_a_sentence(text, message, tmp_path):
    path = tmp_path / "kl.py"
    path.write_text(text, encoding="utf-8")
    if not message:
        with pytest.raises(SystemExit):  # who ends the process means it
            grade("kl", path)
        return
    assert any(message in verdict.message for verdict in grade("kl", path).verdicts)


def test_the_files_say_points_to_a_person_and_to_a_script(tmp_path):
    write_exercise("kl", tmp_path, teacher=True)
    place = tmp_path / "kl_teacher"
    file = place / "kl.py"
    file.write_text(file.read_text("utf-8").replace("    return", "    print(mean)\n    return"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(place / "test_kl.py")], capture_output=True, text=True, encoding="utf-8", check=True
    )
    told = json.loads(done.stdout)  # what the functions print stands elsewhere
    assert (told["points"], told["of"], len(told["laws"])) == (8, 8, 4)
    notebook = json.loads((tmp_path / "kl" / "kl.ipynb").read_text(encoding="utf-8"))
    assert read_sheet("kl").solution.splitlines()[-1] not in json.dumps(notebook)
    assert sorted(path.name for path in (tmp_path / "kl").iterdir()) == ["kl.ipynb", "kl.py", "test_kl.py"]


def test_nothing_is_written_over_and_other_names_are_refused(tmp_path):
    write_exercise("kl", tmp_path)
    with pytest.raises(UsageError, match="is there already"):
        write_exercise("kl", tmp_path)
    with pytest.raises(UsageError, match="^pca is no exercise: take one of kl, "):
        write_exercise("pca", tmp_path)
    with pytest.raises(SystemExit) as ended:
        new.main(["regularizer", "hoyer", "--teacher", "--folder", str(tmp_path)])
    assert ended.value.code == 2

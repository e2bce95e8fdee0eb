"""The worked example of CONTRIBUTING.md does what it says, in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The one code block of the worked example in that language."""
    (code,) = re.findall(rf"^ *```{language}\n(.*?)^ *```", TEXT, re.DOTALL | re.MULTILINE)
    return textwrap.dedent(code)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A checkout to which the example was added as the text says: one class, one YAML."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("aeexp", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    noises = folder / "aeexp" / "noises.py"
    noises.write_text(f"{noises.read_text(encoding='utf-8')}\n\n{block('python')}", encoding="utf-8")
    (folder / "conf" / "noise" / "dropout.yaml").write_text(block("yaml"), encoding="utf-8")
    return folder


def command(module: str, *words: str, copy: Path, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", module, *words], cwd=cwd, capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONIOENCODING": "utf-8"}, check=False,
    )  # fmt: skip


QUICK = ("dataset=digits", "dataset.limit=60", "trainer.steps=2", "metric=reconstruction", "plot=none", "threads=1")


@pytest.mark.slow
def test_the_example_trains_alone_and_with_another(copy, tmp_path):
    done = command("aeexp", "noise=dropout", "noise.dropout.p=0.5", *QUICK, copy=copy, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    words = ("-m", "noise=none,dropout,[dropout,gaussian]", "hydra.sweep.dir=sweep", *QUICK)
    done = command("aeexp", *words, copy=copy, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(tmp_path.glob("sweep/*/metrics.json"))) == 3


def test_a_wrong_value_is_refused_with_its_path(copy, tmp_path):
    done = command("aeexp", "noise=dropout", "noise.dropout.p=2", *QUICK, copy=copy, cwd=tmp_path)
    assert done.returncode == 2 and "noise.dropout.p=2" in done.stdout + done.stderr


def test_the_example_is_explained(copy, tmp_path):
    done = command("aeexp.cli.explain", "dropout", copy=copy, cwd=tmp_path)
    assert done.returncode == 0 and "Srivastava et al. 2014" in done.stdout and "noise.dropout.p=0.2" in done.stdout


def test_what_the_text_names_is_there():
    """Paths in backticks exist, but for those that stand for a new one."""
    names = re.findall(r"`([\w./<>*]+?(?:\.py|\.yaml|/))`", TEXT)
    known = [name for name in names if not re.search(r"[<>*]|\bx\.|dropout", name)]
    assert len(known) > 20
    missing = [
        name for name in known if not (ROOT / name).exists() and not any((ROOT / "aeexp").rglob(name.strip("/")))
    ]
    assert missing == []

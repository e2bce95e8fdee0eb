"""examples/extension, installed into a folder of its own: its options are there as aeexp's are, and it is trusted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import QUICK, ROOT, aeexp, command

EXAMPLE = ROOT / "examples/extension"
ESTIMATOR = """
import numpy as np
from aeexp.reference.options import list_groups
from aeexp.sklearn.autoencoder import Autoencoder

x = np.random.default_rng(0).random((40, 6), dtype=np.float32)
model = Autoencoder(latent_dim=2, epochs=1, overrides=("regularizer=hoyer",), random_state=0).fit(x)
print(model.config_["regularizer"]["hoyer"]["_target_"], "hoyer" in list_groups()["regularizer"])
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """What pip installs of it, beside nothing else; a copy is built, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index", "--quiet",
             "--disable-pip-version-check", "--no-cache-dir", "--target", str(folder), str(EXAMPLE)]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    if "No module named pip" in done.stderr:
        pytest.skip("needs pip")
    assert done.returncode == 0, done.stderr
    assert (folder / "aeexp_hoyer/conf/regularizer/hoyer.yaml").is_file()
    return folder


def run(module: str, *words: str, site: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return command(module, *words, cwd=cwd, PYTHONPATH=f"{ROOT}{os.pathsep}{site}")


@pytest.mark.slow
def test_it_trains_and_its_run_is_read_without_a_word_on_trust(site, tmp_path):
    path = f"{ROOT}{os.pathsep}{site}"
    done = aeexp("regularizer=hoyer", "hydra.run.dir=run", *QUICK, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run("aeexp.cli.encode", "run", site=site, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    bare = aeexp("regularizer=hoyer", *QUICK, cwd=tmp_path)
    assert bare.returncode == 2 and "regularizer=hoyer: there is no such option" in bare.stderr
    refused = command("aeexp.cli.encode", "run", "--force", cwd=tmp_path)
    assert refused.returncode == 2 and "aeexp_hoyer.Hoyer (aeexp_hoyer 0.1.0)" in refused.stderr


def test_it_is_explained_listed_completed_and_known_to_the_estimator(site, tmp_path):
    explained = run("aeexp.cli.explain", "hoyer", site=site, cwd=tmp_path).stdout
    assert (
        "Hoyer 2004, section 3.1" in explained and "plot=activations" in explained and "aeexp_hoyer.Hoyer" in explained
    )
    path = f"{ROOT}{os.pathsep}{site}"
    assert "The ratio of the code's two norms" in aeexp("--help", cwd=tmp_path, PYTHONPATH=path).stdout
    completed = aeexp("-sc", "query=bash", cwd=tmp_path, PYTHONPATH=path, COMP_LINE="aeexp regularizer=ho")
    assert completed.stdout.split() == ["regularizer=hoyer"]
    done = subprocess.run(
        [sys.executable, "-c", ESTIMATOR], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.stdout.split() == ["aeexp_hoyer.Hoyer", "True"], done.stderr


@pytest.mark.slow
def test_its_own_tests_pass(site, tmp_path):
    words = ["pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(EXAMPLE / "tests")]
    done = run(words[0], *words[1:], site=site, cwd=tmp_path)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr

"""Options of a user's own, as he types them: train, sweep in processes, evaluate, encode, explain, complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import QUICK, ROOT, aeexp, command
from own_parts import write_option, write_penalty

METRIC = """
from aeexp.evaluation.contracts import Metric, Number


class Spread(Metric):
    '''Standard deviation of all numbers of all codes.'''

    numbers = (Number("spread", None, "", no_interval="one number of all rows"),)

    def __call__(self, run, split):
        return {"spread": float(run.codes(split).std())}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with conf/, parts beside it, and a run."""
    folder = tmp_path_factory.mktemp("project")
    write_penalty(folder)
    (folder / "spread.py").write_text(METRIC)
    write_option(folder, "metric/spread", "spread:\n  _target_: spread.Spread\n")
    words = ("--config-dir", "conf", "regularizer=hoyer", "hydra.run.dir=run", *QUICK)
    done = aeexp(*words, cwd=folder, AEEXP_TRUST="")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_run_is_read_where_its_package_is_trusted_and_nowhere_else(project, tmp_path):
    run = str(project / "run")
    refused = command("aeexp.cli.encode", run, "--output", "x.npz", cwd=tmp_path)
    assert refused.returncode == 2 and "hoyer.Hoyer" in refused.stderr and "--trust hoyer" in refused.stderr
    assert not (tmp_path / "x.npz").exists() and "Traceback" not in refused.stderr
    missing = command("aeexp.cli.encode", run, "--output", "x.npz", "--trust", "hoyer", cwd=tmp_path)
    assert missing.returncode == 2 and "there is no package hoyer" in missing.stderr
    path = f"{ROOT}{os.pathsep}{project}"
    for words, env in ((["--trust=hoyer"], {}), ([], {"AEEXP_TRUST": "hoyer"})):
        done = command("aeexp.cli.encode", run, "--output", "x.npz", "--force", *words, cwd=tmp_path,
                       **{"PYTHONPATH": path, **env})  # fmt: skip
        assert done.returncode == 0, done.stderr
    beside = command("aeexp.cli.encode", run, "--output", "y.npz", "--config-dir", str(project / "conf"), cwd=tmp_path)
    assert beside.returncode == 0, beside.stderr


def test_an_own_metric_measures_a_finished_run(project):
    done = command("aeexp.cli.evaluate", "--config-dir", "conf", "run", "metric=[spread]", cwd=project)
    assert done.returncode == 0 and "spread" in done.stdout, done.stderr
    refused = command("aeexp.cli.evaluate", "run", "metric=[reconstruction]", cwd=project)
    assert refused.returncode == 2 and "--trust hoyer" in refused.stderr
    done = command("aeexp.cli.evaluate", "run", "metric=[reconstruction]", "--trust", "hoyer", cwd=project)
    assert done.returncode == 0, done.stderr
    report = command("aeexp.cli.report", "run", cwd=project)
    assert report.returncode == 0 and "regularizer=hoyer" in report.stdout


def test_own_options_are_explained_listed_and_completed(project):
    done = command("aeexp.cli.explain", "--config-dir", "conf", "hoyer", cwd=project)
    assert (
        "Hoyer 2004" in done.stdout and "|z|_1 / |z|_2" in done.stdout and "regularizer.hoyer.weight=0.1" in done.stdout
    )
    assert "hoyer" in aeexp("--config-dir", "conf", "--help", cwd=project).stdout
    assert command("aeexp.cli.explain", "hoyer", cwd=project).returncode == 2
    line = "aeexp --config-dir conf regularizer=h"
    assert aeexp("-sc", "query=bash", cwd=project, COMP_LINE=line).stdout.split() == ["regularizer=hoyer"]


@pytest.mark.slow
def test_a_sweep_in_processes_of_their_own_knows_them_and_draws_its_runs(project):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["-m", "--config-dir", "conf", "regularizer=hoyer", "seed=0,1", "hydra/launcher=joblib",
             "hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep", "metric=reconstruction", "plot=loss_curves",
             "trainer.steps=2", "dataset.limit=60", "threads=1"]  # fmt: skip
    words = [word for word in words if not word.startswith("plot")] + ["plot=[curves]"]
    done = aeexp(*words, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 runs finished" in done.stdout + done.stderr
    assert (project / "sweep/samples.png").is_file() and "is not in samples.png" not in done.stdout + done.stderr


def test_what_an_own_part_raises_is_told_in_its_own_lines(tmp_path):
    write_penalty(tmp_path, "wrong", "z @ z")
    done = aeexp("--config-dir", "conf", "regularizer=hoyer", *QUICK, cwd=tmp_path)
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "wrong.Hoyer raised RuntimeError" in text and "wrong.py, line" in text
    assert "return z @ z" in text and "aeexp/" not in text.replace("aeexp/cli", "").split("Traceback of that code")[1]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    done = aeexp("--config-dir", "absent", *QUICK, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.strip().startswith("--config-dir absent: there is no such folder")
    done = aeexp("--trust", "os", *QUICK, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.strip() == "trust=os: no part is built of it"

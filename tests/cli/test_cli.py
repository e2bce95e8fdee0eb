"""The command as a person types it: exit codes, words, multiruns."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from commands import QUICK, ROOT, aeexp
from composing import on_digits


def test_a_run_ends_with_the_table_and_where_to_look(tmp_path):
    done = aeexp("threads=1", "plot=none", "trainer.epochs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (
        "test error",
        "PCA, width 16",
        "raw input",
        "samples/s",
        "run folder: outputs/",
        "tensorboard --logdir",
    ):
        assert words in done.stdout
    assert done.stderr == ""
    folder = next((tmp_path / "outputs").glob("*/*"))
    log = (folder / "train.log").read_text()
    assert "PCA, width 16" in log, "train.log is what the console showed"
    assert len(folder.name.split("-")) == 4, "microseconds keep two runs of one second apart"


BAD = [
    (["latent.dim=0"], "latent.dim=0 should be a whole number of at least 1"),
    (["model.hidden_dim=[3]"], "model.hidden_dim=[3]: model as chosen has no such key: did you mean hidden_dims?"),
    (
        ["noise.masking.p=0.5"],
        "noise.masking.p=0.5: masking is not among your noise options; add it",
    ),
    (
        ["variant=vae", "regularizer.kl.wieght=2"],
        "regularizer.kl.wieght=2: regularizer.kl as chosen has no such key: did you mean weight?",
    ),
    (
        ["latent/prior=mixture"],
        "latent as chosen has no prior: choose another option of latent, or leave latent/prior out",
    ),
    (["model.upsample=subpixel"], "model as chosen has no such key; it has hidden_dims, activation, tied"),
    (["optimizer.lr=-1"], "optimizer.lr=-1 should be a number above 0"),
    (
        ["-m", "seed=0,1", "variant=undercomplete,pca"],
        "trainer.epochs=1: under variant=pca trainer as chosen has no such",
    ),
    (["model=cnn"], "model=cnn: there is no such option; it has conv, dictionary, gru, linear, memoriser, mlp, resnet"),
    (["variant=denoisin"], "variant=denoisin: there is no such option: did you mean denoising?"),
    (["noise=null"], "take the option none, as in noise=none"),
    (["dataset.name=Käse neu"], "stands in quotes of its own:\n\"dataset.name='Käse neu'\""),
    (["model.hidden_dims=["], "Hydra cannot read this value"),
]
# each line anew, as main() is started; the imports, which take most of the time, once
EACH = """
import contextlib, io, json, sys
from aeexp.cli.train import main
for words in json.loads(sys.argv[1]):
    sys.argv, said, code = ["aeexp", *words], io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    print(json.dumps([code, said.getvalue()]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> list[tuple[int, str]]:
    """Exit code and words of the command for each bad line."""
    lines = json.dumps([on_digits([*words, *QUICK]) for words, _ in BAD])
    done = subprocess.run(
        [sys.executable, "-c", EACH, lines], cwd=tmp_path_factory.mktemp("bad"), capture_output=True, text=True,
        timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("i", range(len(BAD)), ids=[" ".join(words) for words, _ in BAD])
def test_a_bad_line_exits_with_2_and_no_traceback(answers, i):
    code, output = answers[i]
    assert code == 2
    assert BAD[i][1] in output
    assert "Traceback" not in output
    assert len(output.strip().splitlines()) <= 2


def test_the_traceback_is_there_when_asked_for(tmp_path):
    done = aeexp(*QUICK, "latent.dim=0", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert done.returncode == 2
    assert "Traceback" in done.stdout + done.stderr


def test_a_failed_run_says_so_in_its_folder(tmp_path):
    done = aeexp(*QUICK, "optimizer=sgd", "optimizer.lr=1e20", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 1
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert status["status"] == "failed" and status["exit_code"] == 1
    assert "at step" in status["message"]
    assert status["message"] in (tmp_path / "run/train.log").read_text()
    assert not (tmp_path / "run/metrics.json").exists()


def test_a_run_whose_figure_fails_has_its_numbers_and_says_which_figure(tmp_path):
    words = ["plot=traversals", "plot.traversals.example=5000", "hydra.run.dir=run"]
    done = aeexp("threads=1", "metric=none", "trainer.epochs=1", *words, cwd=tmp_path)
    assert done.returncode == 1
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert status["status"] == "failed" and status["message"].startswith("plot=traversals failed: ")
    assert status["message"].count("\n") == 1 and "example=5000: there are 180 test rows only" in done.stdout
    assert json.loads((tmp_path / "run/metrics.json").read_text())["test"]["loss"] > 0


def test_a_failed_job_does_not_hide_the_others(tmp_path):
    done = aeexp("-m", *QUICK, "latent.dim=0,2,-1,3", "hydra.sweep.dir=sweep with space", cwd=tmp_path)
    states = [json.loads((tmp_path / f"sweep with space/{i}/status.json").read_text())["status"] for i in range(4)]
    assert states == ["failed", "finished", "failed", "finished"]
    assert done.returncode == 2
    assert "2 of 4 runs finished" in done.stdout
    for words in ("latent.dim=0 should be", "latent.dim=-1 should be"):
        assert done.stdout.count(words) == 2, "in the job and in the last word"


def test_interrupt_saves_and_names_what_goes_on(tmp_path):
    words = ["dataset=digits", "threads=1", "plot=none", "metric=none", "trainer.epochs=4000", "hydra.run.dir=run"]
    with subprocess.Popen(
        [sys.executable, "-m", "aeexp", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as running:  # fmt: skip
        deadline = time.monotonic() + 120
        while "step" not in running.stdout.readline() and time.monotonic() < deadline:
            pass
        running.send_signal(signal.SIGINT)
        rest = running.communicate(timeout=60)[0]
    assert running.returncode == 130, rest
    assert json.loads((tmp_path / "run/status.json").read_text())["status"] == "interrupted"
    assert "resume=" in rest and "Traceback" not in rest


@pytest.mark.slow
def test_the_first_step_of_a_run_waits_for_nothing_that_it_does_without(tmp_path):
    code = """
import os, sys
from aeexp.cli.train import main
from aeexp.trainers.window import Window

heavy = {"sklearn", "pandas", "scipy", "sympy", "pyarrow", "torch._dynamo.eval_frame", sys.argv[1]}

def add(self, names, terms):  # what the first step gave
    print(sorted(heavy & set(sys.modules)), flush=True)
    os._exit(0)

Window.add, sys.argv = add, ["aeexp", "threads=1", "hydra.run.dir=run", *sys.argv[2:]]
main()
"""
    for words in (["sklearn"], ["matplotlib", "plot=none", "variant=vae"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr
        shutil.rmtree(tmp_path / "run")


def test_help_and_views_do_not_wait_for_torch(tmp_path):
    code = (
        "import sys, aeexp.cli.train as t; sys.argv = ['aeexp', '--cfg', 'job'];\n"
        "t.main(); assert not {'torch', 'matplotlib', 'numpy', 'sklearn', 'pandas', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "hidden_dims" in done.stdout
    overview = aeexp("--help", cwd=tmp_path)
    assert overview.returncode == 0
    assert "variant: " in overview.stdout and "k_sparse" in overview.stdout

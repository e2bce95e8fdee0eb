"""aeexp.fit is the command without its process: the same run, and a caller who finds all as it was."""

from __future__ import annotations

import base64
import importlib.util
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from commands import ROOT, aeexp
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import aeexp as package
from aeexp.api.showing import Picture
from aeexp.errors import UsageError
from aeexp.reference.options import find_conf_dir
from aeexp.runs.claim import Taken
from aeexp.runs.status import Status
from aeexp.trainers.window import Diverged

X, Y = load_digits(return_X_y=True)
X = (X.reshape(-1, 8, 8) / 16).astype(np.float32)
SMALL = ("dataset=digits", "dataset.limit=60", "trainer.steps=3", "latent.dim=2")
QUICK = (*SMALL, "plot=none", "metric=none")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on digits with all its figures."""
    words = (
        "dataset=digits",
        "dataset.limit=300",
        "latent.dim=2",
        "trainer.steps=20",
        "metric=[reconstruction,probe]",
        "plot=[scatter,reconstructions,walk]",
    )
    return package.fit(*words, folder=tmp_path_factory.mktemp("fit") / "run", progress=False)


def look() -> dict[str, object]:
    """Whatever of the process a caller may have set up."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    return {
        "threads": (torch.get_num_threads(), threading.active_count()),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "torch": (torch.get_rng_state().numpy().tobytes(), torch.get_default_dtype(), torch.is_grad_enabled()),
        "numpy": (str(np.random.get_state()), np.geterr()),
        "random": random.getstate(),
        "environment": dict(os.environ),
        "places": (os.getcwd(), list(sys.argv), sys.stdout, sys.stderr),
        "warnings": list(warnings.filters),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook),
        "logging": {each.name: (each.level, each.handlers[:], each.propagate, each.disabled) for each in loggers},
        "figures": {key: value for key, value in dict.items(matplotlib.rcParams) if key != "backend_fallback"},
        "hydra": (GlobalHydra.instance().hydra, HydraConfig.instance().cfg),
    }  # fmt: skip


def differences(before: dict, after: dict) -> dict:
    """What is other than it was; loggers of modules that were imported meanwhile are none of the caller's."""
    known = {name: after["logging"][name] for name in before["logging"]}
    now = {**after, "logging": known}
    return {key: (before[key], now[key]) for key in before if before[key] != now[key]}


@contextmanager
def caller(seed: int, threads: int, deterministic: bool, level: int, own_signal: bool):
    """A process that somebody has set up, and that is as it was afterwards."""
    logger = logging.getLogger("aeexp")
    before = signal.getsignal(signal.SIGTERM)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "of the caller's own")
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        logger.setLevel(level)
        if own_signal:
            signal.signal(signal.SIGTERM, lambda number, frame: None)
        try:
            yield
        finally:
            torch.set_num_threads(1)
            torch.use_deterministic_algorithms(False)
            logger.setLevel(logging.NOTSET)
            signal.signal(signal.SIGTERM, before)


WORDS = st.lists(
    st.sampled_from(["threads=2", "deterministic=true", "variant=vae", "noise=masking", "seed=3", "optimizer=lbfgs"]),
    unique=True, max_size=3,
)  # fmt: skip


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WORDS, st.integers(0, 9), st.sampled_from([1, 2]), st.booleans(), st.sampled_from([0, 10, 30]), st.booleans(),
       st.booleans())  # fmt: skip
def test_a_caller_finds_all_as_it_was(tmp_path_factory, words, seed, threads, deterministic, level, own, in_thread):
    place = tmp_path_factory.mktemp("p")
    look()  # what imports bring has come

    def work() -> tuple[dict, dict]:
        before = look()
        package.fit(*QUICK, *words, folder=place / "run")
        with pytest.raises(UsageError):
            package.fit(*QUICK, *words, "latent.dim=0", folder=place / "wrong")
        return before, look()

    with caller(seed, threads, deterministic, level, own):
        if in_thread:
            with ThreadPoolExecutor(1) as pool:
                before, after = pool.submit(work).result()
        else:
            before, after = work()
    assert differences(before, after) == {}


def test_figures_metrics_evaluation_and_codes_leave_a_caller_as_it_was_too(tmp_path):
    package.fit(*SMALL, folder=tmp_path / "first", progress=False)  # libraries load what they load
    before = look()
    run = package.fit(*SMALL, "seed=1", folder=tmp_path / "run", progress=False)
    run.evaluate("latent", "plot=[scatter]")
    run.encode(X[:3]), run.model, repr(run), run._repr_html_()
    package.sweep({"seed": [0, 1]}, *QUICK, folder=tmp_path / "sweep", progress=False)
    after = look()
    assert differences(before, after) == {}


def test_the_run_is_that_of_the_command_bit_for_bit(tmp_path):
    """The command in a process of its own; here after other draws, and in two threads at once with another run."""
    words = ("variant=vae", *SMALL, "plot=none", "metric=[reconstruction,latent]", "threads=1")
    done = aeexp(*words, "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    torch.rand(5)
    with ThreadPoolExecutor(3) as pool:
        places = [(words, "a"), ((*words, "seed=1"), "b"), (words, "c")]
        runs = list(pool.map(lambda each: package.fit(*each[0], folder=tmp_path / each[1]), places))
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for run in (package.open(tmp_path / "run"), runs[0], runs[2]):
        assert {**run.metrics, "timing": 0} == {**told, "timing": 0}
        assert run.history == package.open(tmp_path / "run").history
    assert runs[1].metrics["test"] != told["test"]


def test_a_run_has_its_numbers_curves_figures_and_model(run):
    assert run.metrics["test"]["reconstruction/mse"] == run.metrics.frame.loc["reconstruction/mse", "test"]
    assert {"train", "val", "test", "PCA, width 2", "raw input"} <= set(run.metrics.frame.columns)
    assert json.loads(json.dumps(run.metrics)) == json.loads((run.folder / "metrics.json").read_text())
    assert {row["split"] for row in run.history} == {"train", "val", "test"} == set(run.history.frame["split"])
    assert run.folder.is_absolute() and "digits" in repr(run)
    assert "<td>linear probe accuracy</td>" in run._repr_html_() and "<th>PCA, width 2</th>" in run._repr_html_()
    codes = run.encode(X[:5])
    assert torch.equal(run.model.encode(torch.from_numpy(X[:5, None])).mean, torch.from_numpy(codes))
    assert np.array_equal(run.encode(X[:5].reshape(5, 64)), codes) and not run.model.training
    assert run.config["latent"]["dim"] == 2
    log = (run.folder / "train.log").read_text()
    assert "[INFO] digits: 240 train + 30 val + 30 test rows" in log and "run folder" in log


def test_figures_are_shown_inline(run):
    assert sorted(run.figures) == ["reconstructions", "scatter", "walk"] == run.figures._ipython_key_completions_()
    shown = run.figures["scatter"]._repr_mimebundle_()
    assert base64.b64decode(shown["image/png"]) == (run.folder / "figures" / "scatter.png").read_bytes()
    assert base64.b64decode(run.figures["walk"]._repr_mimebundle_()["image/gif"])[:3] == b"GIF"
    assert isinstance(run.figures["scatter"], Picture) and run.figures._repr_html_().count("<img") == 3
    with pytest.raises(KeyError, match="did you mean scatter"):
        run.figures["scater"]


def test_an_evaluation_is_returned_and_kept(run):
    found = run.evaluate("clustering", "plot=[curves]")
    assert found["test"].keys() >= {"clustering/nmi"} and "curves" in run.figures
    assert "raw input" in found.frame.columns
    assert run.metrics.frame.loc["clustering/nmi", "test"] == found["test"]["clustering/nmi"]
    other = run.evaluate("probe", "metric.probe.draws=1", "metric.probe.budgets=[10]")
    assert any(key.endswith("[draws=1]") for key in other["test"])
    assert package.open(run.folder).metrics == run.metrics
    with pytest.raises(UsageError, match="there is no such option: did you mean clustering"):
        run.evaluate("clustring")


def test_the_same_call_goes_on_and_another_one_is_refused(tmp_path):
    first = package.fit(*QUICK, folder=tmp_path / "run")
    when = (first.folder / "metrics.json").stat().st_mtime_ns
    assert package.fit(*QUICK, folder=tmp_path / "run").metrics == first.metrics
    with pytest.raises(Taken, match=r"folder=.* holds a finished run of another configuration"):
        package.fit(*QUICK, "seed=1", folder=tmp_path / "run")
    assert (first.folder / "metrics.json").stat().st_mtime_ns == when


def test_what_goes_wrong_is_raised_and_stands_in_the_folder(tmp_path, caplog):
    with pytest.raises(Diverged):
        package.fit(*QUICK, "optimizer=sgd", "optimizer.lr=1e20", folder=tmp_path / "run")
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["status"], status["exit_code"]) == ("failed", 1) and "became" in status["message"]
    assert "Traceback" in (tmp_path / "run" / "train.log").read_text() and caplog.text == ""
    with pytest.raises(UsageError, match="run is not finished"):
        package.open(tmp_path / "run")


@pytest.fixture
def signalled(monkeypatch):
    """signalled(number): this signal comes once, while the run that is started next trains."""

    def arm(number: int) -> None:
        update, left = Status.update, [number]

        def update_and_signal(self, **values):
            update(self, **values)
            if values.get("step") and left:
                signal.raise_signal(left.pop())

        monkeypatch.setattr(Status, "update", update_and_signal)

    return arm


LONGER = ("dataset=digits", "dataset.limit=60", "latent.dim=2", "trainer.steps=8", "trainer.validate_every_steps=2",
          "plot=none", "metric=[reconstruction]")  # fmt: skip


def test_ctrl_c_ends_a_run_between_two_steps_and_the_same_call_goes_on(tmp_path, signalled):
    whole = package.fit(*LONGER, folder=tmp_path / "whole")
    signalled(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        package.fit(*LONGER, folder=tmp_path / "run")
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["status"], status["step"]) == ("interrupted", 2)
    assert package.fit(*LONGER, folder=tmp_path / "run").metrics["test"] == whole.metrics["test"]


def test_a_callers_own_handler_is_called_while_a_run_trains(tmp_path, signalled):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        signalled(signal.SIGTERM)
        run = package.fit(*LONGER, folder=tmp_path / "run")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM] and run.files.is_finished()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("latnt.dim=2",), "did you mean latent"),
        (("variant=va",), "there is no such option: did you mean vae"),
        (("hydra.run.dir=x",), "where a run lies says folder="),
        (("-m",), "overrides are words"),
        (("latent.dim=2,4",), "aeexp.sweep"),
        (("experiment=lecture_widths",), "aeexp.sweep"),
        (("dataset=npz", "dataset.path=nowhere.npz"), "no such file"),
        (("latent.dim=0",), "latent.dim=0 should be a whole number of at least 1"),
    ],
)
def test_words_that_do_not_do_are_told(tmp_path, words, message):
    with pytest.raises(UsageError, match=message) as told:
        package.fit(*words, folder=tmp_path / "run")
    assert len(str(told.value).splitlines()) <= 2


def test_hydra_around_it_stays_in_use(tmp_path):
    with initialize_config_dir(find_conf_dir(), version_base="1.3"):
        outer = GlobalHydra.instance().hydra
        package.fit(*SMALL, "plot=none", "metric=[robustness]", "noise=masking", folder=tmp_path / "run")
        assert GlobalHydra.instance().hydra is outer
    assert not GlobalHydra.instance().is_initialized()


def test_own_options_lie_in_a_folder_of_ones_own(tmp_path):
    (tmp_path / "conf" / "variant").mkdir(parents=True)
    text = "# @package _global_\ndefaults: [vae]\nlatent: {dim: 3}\n"
    (tmp_path / "conf" / "variant" / "mine.yaml").write_text(text, encoding="utf-8")
    words = ("variant=mine", *QUICK[:3], "plot=none", "metric=none")
    run = package.fit(*words, folder=tmp_path / "run", config_dir=tmp_path / "conf")
    assert run.model.latent.dim == 3
    with pytest.raises(UsageError, match="config_dir=.*no such folder"):
        package.fit(*words, folder=tmp_path / "run", config_dir=tmp_path / "cnf")


@pytest.mark.parametrize("level", [logging.WARNING, logging.INFO])
def test_a_callers_handlers_get_what_their_levels_say(tmp_path, caplog, level):
    with caplog.at_level(level):
        package.fit(*SMALL, "plot=none", "metric=[reconstruction]", folder=tmp_path / "run")
    assert ("digits: " in caplog.text) is (level == logging.INFO) and "next to nothing" in caplog.text
    assert "digits: " in (tmp_path / "run" / "train.log").read_text()


NOTEBOOK = """
import os, sys, types
class Shell:
    config = {"IPKernelApp": {}}
python = types.ModuleType("IPython")
python.get_ipython, python.version_info = lambda: Shell, (9, 0)
sys.modules["IPython"] = python
import aeexp
assert "torch" not in sys.modules, "import aeexp brings torch in"
run = aeexp.fit("trainer.steps=60", "dataset.limit=60", "latent.dim=2", "metric=none", "plot=[scatter]", folder="run")
assert len(run.figures["scatter"].encode()) > 1000
import matplotlib
print(dict.get(matplotlib.rcParams, "backend"), os.environ["MPLBACKEND"], sep="\\n")
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", ["own_inline", "matplotlib_inline.backend_inline"])
def test_under_the_backend_of_a_notebook_with_a_bar(tmp_path, module):
    """The first is there, the second is not: a script that a notebook starts in another environment has its variable.

    Without ipywidgets tqdm draws its bar as text, on a stderr that is no terminal.
    """
    (tmp_path / "own_inline.py").write_text("", encoding="utf-8")
    env = {**os.environ, "MPLBACKEND": f"module://{module}", "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-W", "ignore", "-c", NOTEBOOK]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    backend, variable = done.stdout.splitlines()
    assert "step/s" in done.stderr and variable == f"module://{module}"
    there = module == "own_inline" or importlib.util.find_spec("matplotlib_inline") is not None
    assert (backend == variable) is there


def test_hugging_faces_library_is_as_it_was(tmp_path, monkeypatch):
    """The loader takes it off the network, and keeps it quiet; who calls from a notebook uses it for other things."""
    datasets = pytest.importorskip("datasets", reason="needs datasets: pip install aeexp[huggingface]")
    constants = pytest.importorskip("huggingface_hub.constants")
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame(X[:60].reshape(60, 64), columns=[f"p{i}" for i in range(64)]).to_parquet(tmp_path / "rows.parquet")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    level, bars = datasets.logging.get_verbosity(), datasets.utils.is_progress_bar_enabled()
    datasets.logging.set_verbosity(datasets.logging.INFO)
    datasets.enable_progress_bars()

    def read() -> tuple:
        settings = datasets.logging.get_verbosity(), datasets.utils.is_progress_bar_enabled()
        return datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE, os.environ.get("HF_HUB_OFFLINE"), *settings

    before = read()
    words = ("dataset=huggingface", f"dataset.path={tmp_path / 'rows.parquet'}", "dataset.x=[p1,p2,p3]")
    try:
        package.fit(*words, *QUICK[1:], folder=tmp_path / "run", progress=False)
        assert read() == before
    finally:
        datasets.logging.set_verbosity(level)
        (datasets.enable_progress_bars if bars else datasets.disable_progress_bars)()


def test_the_package_is_a_command_and_names_what_it_offers(tmp_path):
    done = aeexp("--help", cwd=tmp_path)
    assert done.returncode == 0 and "variant" in done.stdout
    assert {"fit", "sweep", "open", "report", "load"} <= set(dir(package)) and set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="nothing"):
        package.nothing  # noqa: B018
    assert Path(package.__file__).is_file()

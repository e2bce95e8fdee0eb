"""One thread, embedded digits, no network: what every test may rely on."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch: workers and their commands share the cores

import numpy as np
import pytest
import torch
from hypothesis import settings

from aeexp.conditions import Unconditional
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.bundled import digits
from aeexp.latents.deterministic import Deterministic
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.models.nn.mlp import mlp
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.regularizers import KLSparsity
from aeexp.tasks.reconstruct import Reconstruct
from aeexp.trainers.checkpoint import Progress
from aeexp.trainers.contracts import Tracker
from aeexp.types import Facts

os.environ.setdefault("MPLBACKEND", "Agg")

# What a shell ignores for a process in the background (nohup, &) is handled here as in a terminal, and so by the
# commands that are started: they leave alone what was ignored.
if threading.current_thread() is threading.main_thread():
    for name, handler in {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}.items():
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_session(tmp_path_factory):
    """Nothing is written into the home directory, and nothing is read from it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEEXP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def one_thread_and_a_seed(request):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for module in (request.module, sys.modules.get("samples")):
        if hasattr(module, "RNG"):  # what a test draws does not depend on which tests ran before it
            module.RNG = np.random.default_rng(1)  # not 0, by which a file's own rows are drawn


@pytest.fixture(scope="session")
def digit_data() -> Data:
    """1,437 / 180 / 180 digits of 8x8 pixels."""
    return digits(name="digits", split=Fractions([8, 1, 1]))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout; the test is skipped where it is missing."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium with an empty profile; what it needs is on this machine, nothing is fetched."""
    names = ("chromium", "chromium-browser", "google-chrome")
    binary, driver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip(f"needs Chromium and chromedriver on the PATH: found {binary or 'no chromium'}, {driver}")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install aeexp[dev]")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    profile = tmp_path_factory.mktemp("profile")
    flags = ["headless", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update"]
    flags += ["disable-sync", "enable-unsafe-swiftshader", "window-size=1600,1000", f"user-data-dir={profile}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("no-sandbox")
    for flag in flags:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})  # what a page asks for
    chromium = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield chromium
    finally:
        chromium.quit()


# hypothesis: the same examples at every run, so that a statistical bound cannot fail by chance on a later day
settings.register_profile("aeexp", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("aeexp")


class Quiet(Tracker):
    """A tracker that keeps what it is told, and dies at the `dies`-th word if asked to."""

    def __init__(self, dies: int | None = None):
        self.dies = dies
        self.words = 0
        self.lines: list[tuple[int, dict[str, float], float]] = []  # step, means, learning rate

    def start(self, total: int, progress: Progress) -> None:
        self.total = total

    def train(self, step: int, values: Mapping[str, float], lr: float, split: str = "train") -> None:
        self.lines.append((step, dict(values), lr))
        self._word()

    def evaluation(self, progress: Progress) -> None:
        self._word()

    def _word(self) -> None:
        self.words += 1
        if self.words == self.dies:
            raise Killed


class Killed(Exception):
    """Stands for a signal that leaves no time to tidy up."""


@pytest.fixture(scope="session")
def quiet() -> type[Quiet]:
    return Quiet


@pytest.fixture(scope="session")
def killed() -> type[Killed]:
    return Killed


@pytest.fixture(scope="session")
def build_learner():
    """learner(shape, dim, network=mlp, latent=..., ...): parts by name, weights by seed, no hidden layer by default."""

    def build(
        shape, dim=3, network=mlp, *, latent=None, likelihood=None, noises=None, regularizers=None, seed=0, **options
    ) -> Learner:  # fmt: skip
        torch.manual_seed(seed)
        latent = latent or Deterministic(dim)
        if network is mlp:
            options = {"hidden_dims": [], **options}
        encoder, decoder = network(tuple(shape), latent.params, latent.dim, 0, **options)
        regularizers = dict(regularizers or {})
        model = Autoencoder(encoder, latent, decoder, likelihood or Gaussian(), Unconditional())
        for part in regularizers.values():
            if isinstance(part, KLSparsity):
                part.adapt(model, Facts(tuple(shape)))
        return Learner(Reconstruct(), model, Additive(Chain(noises or {}), regularizers))

    return build


@pytest.fixture(scope="session")
def as_data():
    """data(train, val, test, y=...): arrays as they are become the splits; val and test default to train."""

    def make(train, val=None, test=None, *, y=None, scale=1.0, classes=()) -> Data:
        arrays = {"train": train, "val": train if val is None else val, "test": train if test is None else test}
        rows = {name: Rows(np.asarray(x), y, None, np.arange(len(x))) for name, x in arrays.items()}
        return Data("toy", {name: Split(part, Preprocessing(scale)) for name, part in rows.items()}, tuple(classes))

    return make

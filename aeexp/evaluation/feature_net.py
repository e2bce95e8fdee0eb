"""A small network that sees what rows of one data set are about: features for distances between sets of rows.

It is trained on the training split and on nothing else, so it is the same for every model of the same data, and is
kept on disk. Its version, its settings and the data's fingerprint make its id: numbers under other ids do not compare.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path

import torch

from aeexp import files
from aeexp.datasets.core.data import Data
from aeexp.models.nn.features import BATCH, HIDDEN, MAPS, RATE, ROWS, SEED, UNITS, FeatureNet, teach

log = logging.getLogger(__name__)

VERSION = "v1"  # another one for every change of what follows, and of models.nn.features
STEPS = 500


def feature_net(data: Data) -> tuple[FeatureNet, str]:
    """The network of this data, from the cache if it is there, and its id; on the CPU, in evaluation mode.

    On another machine the same id may be rounded otherwise. The run's own draws stay as they were.
    """
    classes, shape = _classes(data), tuple(data.shape)
    settings = (UNITS, MAPS, HIDDEN, STEPS, BATCH, RATE, SEED, ROWS, classes, shape, data.fingerprint)
    name = f"{VERSION}-{hashlib.blake2b(repr(settings).encode(), digest_size=4).hexdigest()}"
    path = cache_folder() / "features" / f"{name}.pt"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order in which numbers are added depends on them
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            net = _restore(FeatureNet(shape, classes), path)
            if net is None:
                torch.manual_seed(SEED)
                net = FeatureNet(shape, classes)
                train(net, data)
                _keep(net, path)
    finally:
        torch.set_num_threads(threads)
    return net.eval().requires_grad_(False), name


def train(net: FeatureNet, data: Data) -> None:
    """`STEPS` on the training split."""
    teach(net, data["train"], STEPS)


def cache_folder() -> Path:
    """Where what is costly and can be made again is kept: AEEXP_CACHE, else the platform's place; for a user without a
    home folder that of temporary files."""
    if own := os.environ.get("AEEXP_CACHE"):
        return Path(files.expand_home(own))
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "aeexp"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "aeexp"


def _classes(data: Data) -> int:
    """How many classes the training rows can tell apart; 0 where there is nothing to classify."""
    y = data["train"].y
    known = [] if y is None else y[y >= 0].unique().tolist()
    return max(known) + 1 if len(known) >= 2 else 0


def _restore(net: FeatureNet, path: Path) -> FeatureNet | None:
    if not path.is_file():
        return None
    try:
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception:  # a damaged file raises anything
        log.warning("%s is damaged: the feature net is trained anew", path)
        return None
    return net


def _keep(net: FeatureNet, path: Path) -> None:
    try:
        files.write(path, lambda file: torch.save(net.state_dict(), file))
    except OSError as error:
        log.warning("the feature net cannot be kept (%s): every run trains it anew; set AEEXP_CACHE to a folder", error)

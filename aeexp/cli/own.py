"""Options of a user's own, and packages that he trusts, as every command takes them."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aeexp.errors import UsageError
from aeexp.files import expand_home
from aeexp.reference.folders import VARIABLE, use_folders

TRUST = "package whose parts a run may be built of, as mypkg: its code runs here (AEEXP_TRUST=mypkg says the same)"
CONFIG_DIR = "folder with options of your own, conf/<group>/<name>.yaml; their classes are looked for beside it"


def add_config_dir(parser: ArgumentParser) -> None:
    """The flag that names folders of options."""
    parser.add_argument("--config-dir", "-cd", metavar="DIR", action="append", default=[], help=CONFIG_DIR)


def add_own(parser: ArgumentParser) -> None:
    """The flags of a command that builds what a run folder says."""
    add_config_dir(parser)
    parser.add_argument("--trust", metavar="PACKAGE", action="append", default=[], help=TRUST)


@contextmanager
def own_options(config_dirs: Sequence[str], trust: Sequence[str] = ()) -> Iterator[None]:
    """Inside, options of these folders are there, and Python finds the packages beside them; those of `trust` in the
    current folder too. Raises UsageError for a folder that is not there."""
    with use_folders(config_dirs, "--config-dir ", here=bool(trust or os.environ.get(VARIABLE))):
        if trust:
            from aeexp.runs.trust import read_trust  # with Hydra, which --help does without

            read_trust(trust)  # what is no package is told before anything is loaded
        yield


def take_flags(words: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Of the words of a Hydra command line: the folders of --config-dir, the packages of --trust, and the words without
    --trust, which Hydra does not know. Raises UsageError."""
    folders, trust, left, rest = [], [], [], iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag not in ("--config-dir", "-cd", "--trust"):
            left.append(word)
            continue
        if not equals and (value := next(rest, "")) == "":
            raise UsageError(f"{flag}: say which, as in {flag} {'mypkg' if flag == '--trust' else 'conf'}")
        if flag == "--trust":
            trust.append(value)
        else:
            folders.append(value)
            left += ["--config-dir", expand_home(value)]
    return folders, trust, left

"""The command `aeexp-explore`: a page in which codes of finished runs are moved by hand. Exit codes: 0 done, 1 failed,
2 a mistake of the user."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from aeexp.cli.command import FETCH, require_memory, run_command
from aeexp.cli.own import add_own, own_options
from aeexp.errors import UsageError, quote_words
from aeexp.files import expand_home

MAPS = ("pca", "tsne", "umap", "pacmap")
SPLITS = ("train", "val", "test")
MOST = 8  # runs side by side
NAME = "explorer.html"


def build_parser() -> argparse.ArgumentParser:
    """Flags and their help."""
    parser = argparse.ArgumentParser(
        "aeexp-explore",
        description="One HTML page of finished runs that needs no network: codes on a map, moved by hand and decoded "
        "as they move; digits that are drawn, put under noise and encoded; walks, samples, labels swapped. Several "
        "runs get the same input side by side.",
        epilog="The page computes the networks itself. Of one that it cannot compute it says so and shows the map.",
    )
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", help="folder of a finished run, or of a multirun: all finished runs below")
    where = f"file to write; default {NAME} in the folder of one run, else here"
    add("--output", metavar="FILE", type=lambda text: Path(expand_home(text)), help=where)
    add("--rows", metavar="N", type=int, default=1000, help="rows on the map, drawn of the split; default 1000")
    add("--split", choices=SPLITS, default="test", help="which rows; default test")
    maps = "beside the code itself, as in pca,tsne (the default); umap and pacmap need aeexp[maps]"
    add("--maps", metavar="NAMES", default="pca,tsne", help=maps)
    add("--fetch", action="store_true", help=FETCH)
    add_own(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    words = sys.argv[1:] if argv is None else list(argv)
    run_command(lambda: explore(build_parser().parse_intermixed_args(words), words))


def explore(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    """Write the page, and say what it holds."""
    if arguments.rows < 1:
        raise UsageError(f"--rows {arguments.rows} must be at least 1")
    maps = tuple(dict.fromkeys(name for name in arguments.maps.replace(",", " ").split() if name != "none"))
    if unknown := [name for name in maps if name not in MAPS]:
        raise UsageError(f"--maps {arguments.maps}: {unknown[0]} is no map: take some of {', '.join(MAPS)}, or none")
    require_memory()
    logging.basicConfig(format="%(message)s")
    import torch

    from aeexp.evaluation.maps import require
    from aeexp.explorer.content import Opened, Wanted
    from aeexp.explorer.page import write_page
    from aeexp.runs.evaluate import restore_run, select_runs

    require(maps)
    folders = select_runs([Path(expand_home(word)) for word in arguments.runs])
    if len(folders) > MOST:
        raise UsageError(f"RUN: {len(folders)} runs are more than {MOST} side by side: name those to look at")
    path = arguments.output or Path(folders[0].path if len(folders) == 1 else "") / NAME
    with own_options(arguments.config_dir, arguments.trust):
        device = torch.device("cpu")
        opened = [
            Opened(folder, restore_run(folder, device, arguments.fetch, arguments.trust)[1]) for folder in folders
        ]
        wanted = Wanted(arguments.split, arguments.rows, maps)
        content = write_page(opened, wanted, path, quote_words("aeexp-explore", *words))
    for run in content["runs"]:
        beside = [] if run["pca"] is None or not run["pca"]["reason"] else [run["pca"]["reason"]]
        for line in [*run["refusals"], *beside]:
            print(f"{run['folder']}: not computed in the page: {line}", file=sys.stderr)
    digits = ", networks in float16" if content["short"] else ""
    print(f"{path}: {len(folders)} run{'s' if len(folders) > 1 else ''}, {content['data']['count']} rows, "
          f"{path.stat().st_size / 1e6:.1f} MB{digits}; open it in a browser")  # fmt: skip


if __name__ == "__main__":
    main()

"""The command `aeexp-encode`: codes of a finished run. Exit codes: 0 done, 1 failed, 2 a mistake of the user."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aeexp.cli.command import FETCH, require_memory, run_command
from aeexp.cli.own import add_own, own_options
from aeexp.errors import UsageError, quote_override
from aeexp.files import expand_home

# Which modes read what; all others say so.
MODES = {"k": ("neighbours",), "radius": ("neighbours",), "index": ("neighbours",), "tolerance": ("duplicates",)}


def build_parser() -> argparse.ArgumentParser:
    """Flags and their help."""
    parser = argparse.ArgumentParser(
        "aeexp-encode", description="Codes of a run's own data, of new rows, and the model."
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished run")
    rows = "new rows: .npz, .npy, .csv, IDX, a folder of pictures; without it all splits of the run's own data"
    add("data", metavar="DATA", nargs="?", help=rows)
    add("keys", metavar="KEY=VALUE", nargs="*", help="how DATA is read: keys of its loader: y=label")
    add(
        "--output",
        metavar="FILE",
        type=lambda text: Path(expand_home(text)),
        help="file to write; default RUN/encoded.npz, and stdout for tables",
    )
    add("--force", action="store_true", help="write over a file that is there")
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    add("--fetch", action="store_true", help=FETCH)
    add_own(parser)
    instead = parser.add_mutually_exclusive_group()
    model = "write encoder and decoder, as .onnx or .pt2, into the folder --output; default RUN/export"
    instead.add_argument("--export", choices=("onnx", "torch"), help=model)
    near = "table of the rows of DATA (default: the training split) whose codes are nearest to those of these rows"
    instead.add_argument("--neighbours", metavar="QUERIES", help=near)
    same = "table of rows with equal codes of bits and equal pixels, in DATA or across the run's splits"
    instead.add_argument("--duplicates", action="store_true", help=same)
    add("--k", type=int, help="neighbours of each query; default 10, or all within --radius")
    add("--radius", type=float, help="neighbours within this distance: bits (latent=binary), else Euclidean")
    add(
        "--index",
        metavar="FILE",
        type=lambda text: Path(expand_home(text)),
        help="look for neighbours in codes that this command wrote",
    )
    add("--tolerance", type=float, help="duplicates: how much a value may differ; default 0")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    run_command(lambda: encode(build_parser().parse_intermixed_args(argv)))


def encode(arguments: argparse.Namespace) -> None:
    """Codes, tables or the model, as the flags say."""
    require_memory()
    for name in ("run", "data", "neighbours"):
        if vars(arguments)[name] is not None:
            setattr(arguments, name, expand_home(vars(arguments)[name]))
    if arguments.data is not None and "=" in arguments.data and not Path(arguments.data).exists():
        arguments.keys, arguments.data = [arguments.data, *arguments.keys], None
    mode = "export" if arguments.export else "duplicates" if arguments.duplicates else "neighbours"
    mode = mode if arguments.export or arguments.duplicates or arguments.neighbours is not None else "codes"
    for name, modes in MODES.items():
        if vars(arguments)[name] is not None and mode not in modes:
            raise UsageError(f"--{name}: only {' and '.join(modes)} take it: leave it out")
    with own_options(arguments.config_dir, arguments.trust):
        if mode == "export":
            export(arguments)
        elif mode == "codes":
            write_codes(arguments)
        else:
            write_table(arguments)


def write_codes(arguments: argparse.Namespace) -> None:
    """Codes as .npz, bits packed. Without --output beside the run's other files, by the name of DATA."""
    if not arguments.data and arguments.keys:
        raise UsageError(f"{' '.join(arguments.keys)}: keys read DATA: give it before them")
    name = "encoded" if arguments.data is None else f"encoded_{Path(arguments.data).stem}"
    output = arguments.output or Path(arguments.run) / f"{name}.npz"
    if output.suffix != ".npz":
        raise UsageError(f"--output {output}: codes are written as .npz: give such a name")
    check_free(output, arguments.force)
    from aeexp.encoding.codes import encode_splits, save_arrays
    from aeexp.encoding.neighbours import count_bits, pack_codes
    from aeexp.encoding.new_rows import load_rows
    from aeexp.runs.loading import LoadedRun

    run = LoadedRun(arguments.run, arguments.device, arguments.fetch, arguments.trust)
    if arguments.data is None:
        data = run.load_data()
        arrays = encode_splits(run.learner, data.splits, data.classes)
    else:
        arrays = encode_splits(run.learner, *load_rows(run, arguments.data, arguments.keys))
    dim = count_bits(run)
    arrays = arrays if dim is None else pack_codes(arrays, dim)
    save_arrays(output, arrays)
    shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items() if name[:2] in ("x", "x_"))
    how = ("" if "x" in arrays else " dataset/split=official") + ("" if dim is None else f" dataset.unpack={dim}")
    numbers = next((name for name in ("target", "target_train") if name in arrays), None)
    how += "" if numbers is None else f" dataset.target={numbers}"
    train = f"aeexp dataset=npz {quote_override('dataset.path', output)}{how}"
    print(f"{output}: {shapes}\nTrain on them: {train}")


def export(arguments: argparse.Namespace) -> None:
    """Encoder and decoder as files."""
    if arguments.data is not None:
        raise UsageError(f"{arguments.data}: --export writes the model and needs no rows: leave DATA out")
    from aeexp.encoding.export import export_model
    from aeexp.runs.loading import LoadedRun

    folder = arguments.output or Path(arguments.run) / "export"
    run = LoadedRun(arguments.run, "cpu", trust=arguments.trust)
    for path in export_model(run, folder, arguments.export, arguments.force):
        print(path)


def write_table(arguments: argparse.Namespace) -> None:
    """Tables of neighbours or duplicates, as CSV on stdout or in --output."""
    if arguments.output is not None:
        check_free(arguments.output, arguments.force)
    if arguments.index is not None and arguments.data is not None:
        raise UsageError("--index is searched instead of DATA: give one of them")
    from aeexp import files
    from aeexp.encoding.neighbours import tabulate_duplicates, tabulate_neighbours
    from aeexp.runs.loading import LoadedRun

    run = LoadedRun(arguments.run, arguments.device, arguments.fetch, arguments.trust)
    if arguments.duplicates:
        if arguments.index is not None:
            raise UsageError("--duplicates compares pixels, which --index does not hold: give DATA")
        table = tabulate_duplicates(run, arguments.data, arguments.keys, arguments.tolerance or 0.0)
    else:
        k = 10 if arguments.k is None and arguments.radius is None else arguments.k
        where = arguments.data, arguments.index
        table = tabulate_neighbours(run, *where, arguments.neighbours, arguments.keys, k, arguments.radius)
    text = files.csv_text(*table)
    if text.count("\n") == 1:
        print("none found", file=sys.stderr)
    if arguments.output is None:
        print(text, end="")
    else:
        files.write_text(arguments.output, text)


def check_free(path: Path, force: bool) -> None:
    """Raises UsageError where a file would be written over."""
    if not force and path.exists():
        raise UsageError(f"{path} is there already: give another file by --output, or --force to write over it")


if __name__ == "__main__":
    main()

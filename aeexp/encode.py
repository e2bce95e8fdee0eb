"""The command `aeexp-encode`: codes of a finished run. Exit codes: 0 done, 1 failed, 2 a mistake of the user."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from aeexp.errors import UsageError, require


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("aeexp-encode", description="Codes of a run's own data, of new rows, and the model.")
    made.add_argument("run", metavar="RUN", help="folder of a finished run")
    made.add_argument("data", metavar="DATA", nargs="?", help="new rows: .npz, .npy, .csv, IDX, a folder of pictures; "
                      "without it all splits of the run's own data")  # fmt: skip
    made.add_argument(
        "keys", metavar="KEY=VALUE", nargs="*", help="how DATA is read: keys of its loader, as in y=label"
    )
    made.add_argument("--output", metavar="FILE", type=Path, help="file to write; default RUN/encoded.npz")
    made.add_argument("--export", choices=("onnx", "torch"), help="write encoder and decoder, as .onnx or .pt2, "
                      "into --output (a folder; default RUN/export)")  # fmt: skip
    made.add_argument("--force", action="store_true", help="write over a file that is there")
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    return made


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    try:
        work(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        told = isinstance(error, UsageError)
        if not told:
            traceback.print_exc()
        print(error if told else f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2 if told else 1)


def default(arguments: argparse.Namespace) -> Path:
    """Beside the run's other files: encoded.npz for its own rows, encoded_NAME.npz for those of a file NAME.csv."""
    name = "encoded" if arguments.data is None else f"encoded_{Path(arguments.data).stem}"
    return Path(arguments.run) / f"{name}.npz"


def work(arguments: argparse.Namespace) -> None:
    if arguments.export is not None:
        return exported(arguments)
    output = arguments.output or default(arguments)
    require(output.suffix == ".npz", f"--output {output}: codes are written as .npz: give such a name")
    words = f"{output} is there already: give another file by --output, or --force to write over it"
    require(arguments.force or not output.exists(), words)
    from aeexp.encoding import Finished, by_split, save
    from aeexp.unseen import splits

    run = Finished(arguments.run, arguments.device)
    if arguments.data is None:
        data = run.data()
        arrays = by_split(run.model, data.splits, data.classes)
    else:
        arrays = by_split(run.model, *splits(run, arguments.data, arguments.keys))
    save(output, arrays)
    shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items() if name[:2] in ("x", "x_"))
    official = "" if "x" in arrays else " dataset/split=official"
    print(f"{output}: {shapes}\nTrain on them: aeexp dataset=npz dataset.path={output}{official}")


def exported(arguments: argparse.Namespace) -> None:
    words = f"{arguments.data}: --export writes the model, which needs no rows: leave DATA out"
    require(arguments.data is None, words)
    from aeexp.encoding import Finished
    from aeexp.export import export

    run = Finished(arguments.run, "cpu")
    folder = arguments.output or Path(arguments.run) / "export"
    for path in export(run, folder, arguments.export, arguments.force):
        print(path)


if __name__ == "__main__":
    main()

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
    made.add_argument("--output", metavar="FILE", type=Path, help="file to write; default RUN/encoded.npz")
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


def work(arguments: argparse.Namespace) -> None:
    output = arguments.output or Path(arguments.run) / "encoded.npz"
    require(output.suffix == ".npz", f"--output {output}: codes are written as .npz: give such a name")
    words = f"--output {output} is there already: give another file, or --force to write over it"
    require(arguments.force or not output.exists(), words)
    from aeexp.encoding import Finished, by_split, save

    run = Finished(arguments.run, arguments.device)
    arrays = by_split(run.model, run.data())
    save(output, arrays)
    shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items() if name.startswith("x_"))
    print(f"{output}: {shapes}\nTrain on them: aeexp dataset=npz dataset.path={output} dataset/split=official")


if __name__ == "__main__":
    main()

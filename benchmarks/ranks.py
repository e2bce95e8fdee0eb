"""How far the losses of several processes that train one model are from those of one, and what a step takes.

python benchmarks/ranks.py [--variants vae,codebook] [--resume vae] [--processes 2] [--steps 200] [--keep DIR] [KEY=...]

Each variant is trained by one process and by several, of the same seed: the largest difference between their training
and validation losses until 10, 50 and 200 steps, of the loss's size where that is above 1. Of the variants in --resume
a run that several processes began and left half-way is gone on with by one (`resumed`). Runs of digits; gloo on the
CPU, NCCL where device=cuda is given.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from pathlib import Path

VARIANTS = {
    "undercomplete": "",
    "denoising": "",
    "contractive": "",
    "sparse_kl": "",
    "vae": "",
    "free_bits": "variant=vae regularizer.kl.free_bits=0.1",
    "iwae": "",
    "optimal_variance": "variant=vae likelihood=gaussian_optimal",
    "codebook": "variant=undercomplete latent=vq latent.codes=8",
    "conv": "",
    "adversary": "variant=vae regularizer=[kl,adversary] regularizer.adversary.against=label",
}
UNTIL = (10, 50, 200)  # steps


def train(folder: Path, *words: str) -> dict[tuple[str, int], float]:
    """A run, and the loss of each split by step."""
    import aeexp  # the processes that are begun import this file

    aeexp.fit(*words, folder=folder, progress=False)
    return read_losses(folder)


def read_losses(folder: Path) -> dict[tuple[str, int], float]:
    """Of history.csv."""
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        return {(row["split"], int(row["step"])): float(row["loss"]) for row in csv.DictReader(file)}


def differ(one: dict[tuple[str, int], float], other: dict[tuple[str, int], float], until: int) -> float:
    """The largest difference, of the loss's size. Exits where they are not of the same steps."""
    if one.keys() != other.keys():
        raise SystemExit("the histories have unlike steps")
    return max(abs(one[key] - other[key]) / max(1.0, abs(one[key])) for key in one if key[1] <= until)


def time_step(folder: Path) -> float:
    """Milliseconds of a step, with its share of the validations."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    steps = json.loads((folder / "status.json").read_text(encoding="utf-8"))["step"]
    return 1e3 * metrics["timing"]["fit_seconds"] / steps


def compare(name: str, words: list[str], arguments: argparse.Namespace, place: Path) -> str:
    """A line of the table."""
    every = max(1, arguments.steps // 20)
    common = [*words, f"dataset.limit={arguments.rows}", f"trainer.validate_every_steps={every}", "threads=1",
              "plot=none", "metric=none", *arguments.words]  # fmt: skip
    whole, several = f"trainer.steps={arguments.steps}", f"trainer.processes={arguments.processes}"
    one = train(place / "one", *common, whole)
    two = train(place / "two", *common, whole, several)
    cells = [f"{differ(one, two, until):.1e}" for until in UNTIL if until <= arguments.steps]
    resumed = "-"
    if name in arguments.resume.split(","):
        begun = place / "begun"
        train(begun, *common, f"trainer.steps={arguments.steps // 2}", several)
        resumed = f"{differ(one, train(place / 'resumed', *common, whole, f'resume={begun}'), arguments.steps):.1e}"
    cells.append(f"{resumed:>7}")
    times = [f"{time_step(place / which):.2f}" for which in ("one", "two")]
    return " | ".join([f"{name:20}", *cells, *times])


def main() -> None:
    """A table, a line a variant."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("words", nargs="*", help="further overrides, as device=cuda")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="between commas: of those above, or any")
    parser.add_argument("--resume", default="denoising,vae,codebook", help="of which a run is gone on with by one")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--keep", type=Path, help="where the runs stay; else they are removed")
    arguments = parser.parse_args()
    until = [f"to {step}" for step in UNTIL if step <= arguments.steps]
    print(" | ".join([f"{'variant':20}", *until, "resumed", "ms/step of 1", f"of {arguments.processes}"]), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.variants.split(","):
            words = VARIANTS.get(name, "") or f"variant={name}"
            place = (arguments.keep or Path(temporary)) / name
            place.mkdir(parents=True, exist_ok=True)
            print(compare(name, words.split(), arguments, place), flush=True)


if __name__ == "__main__":
    main()

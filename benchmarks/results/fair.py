"""README's tables of fair codes, as Markdown: what probes read of label and attribute, seeds 0, 1, 2, mean (deviation).

python benchmarks/results/fair.py colored_digits weak_attribute
python benchmarks/results/fair.py adult --adult ../shared/data/adult

Each row is one command, which is printed; runs that are finished already below --output are read, not trained.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STUDIES = {
    "adult": ["experiment=fair_adult", "dataset.limit=10000"],
    "colored_digits": ["experiment=fair_colored_digits"],
    "weak_attribute": ["variant=fair_vae", "dataset=weak_attribute", "metric=fairness", "latent.dim=8",
                       "trainer.epochs=30"],
}  # fmt: skip
ROWS = {
    "VAE": ["condition=none", "regularizer=[kl]"],
    "encoder told, fair_mmd.weight=100": ["condition=attribute", "regularizer.fair_mmd.weight=100"],
    "encoder told, 1000": ["condition=attribute", "regularizer.fair_mmd.weight=1000"],
    "fair_vae, fair_mmd.weight=0": ["regularizer.fair_mmd.weight=0"],
    "100": ["regularizer.fair_mmd.weight=100"],
    "1000 (default)": ["regularizer.fair_mmd.weight=1000"],
    "10000": ["regularizer.fair_mmd.weight=10000"],
}
COLUMNS = {
    "label, forest": "accuracy_forest",
    "attribute, forest": "leakage_balanced_forest",
    "linear": "leakage_balanced_linear",
    "kNN": "leakage_balanced_knn",
    "gap": "parity_gap_forest",
    "gap by chance": "parity_gap_floor_forest",
}


def train(study: Sequence[str], row: Sequence[str], seeds: str, folder: Path) -> list[dict[str, Any]]:
    """metrics.json of a row's seeds."""
    words = ["-m", *study, *row, f"seed={seeds}", "plot=none"]
    print("aeexp", shlex.join(words), file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "aeexp", *words, f"hydra.sweep.dir={folder}"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/metrics.json"))]


def cells(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Mean and, of several rows, standard deviation of each column."""
    texts = []
    for key in COLUMNS.values():
        values = [row[f"fairness/{key}"] for row in rows]
        spread = f" ({statistics.stdev(values):.3f})" if len(values) > 1 else ""
        texts.append(f"{statistics.fmean(values):.3f}{spread}")
    return texts


def main() -> None:
    """Train what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("studies", nargs="+", choices=STUDIES)
    parser.add_argument("--adult", type=Path, help="folder of adult_train.csv and adult_test.csv")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", type=Path, default=Path("outputs/fair"))
    given = parser.parse_args()
    for name in given.studies:
        study = list(STUDIES[name])
        if name == "adult":
            if given.adult is None:
                parser.error("adult needs --adult FOLDER")
            folder = given.adult.resolve()
            study += [f"dataset.path={folder / 'adult_train.csv'}", f"dataset.test={folder / 'adult_test.csv'}"]
        tables: dict[str, list[str]] = {}
        for row in given.rows:
            place = given.output.resolve() / name / re.sub(r"\W+", "_", row)
            runs = train(study, ROWS[row], given.seeds, place)
            for title, key in (("raw input", "raw"), ("PCA", "pca")):
                tables.setdefault(title, cells([runs[0]["baseline"][key]]))
            tables[row] = cells([run["test"] for run in runs])
        print(f"| `{' '.join(STUDIES[name])}` | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
        for title, texts in tables.items():
            print(f"| {title} | {' | '.join(texts)} |")
        print(flush=True)


if __name__ == "__main__":
    main()

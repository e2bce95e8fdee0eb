"""Seconds that `aeexp-encode` takes beside those of reading the rows and passing them through the encoder.

python benchmarks/encoding.py RUN [DATA] [--rounds 3]

Of a finished run, as `aeexp variant=deep dataset=mnist dataset.root=... trainer.epochs=1`, and a file of rows; without
one the run's own data. The command has a process of its own; what is inside it is measured by its CPU, which other
processes change less. Medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def work(run: str, data: str | None, output: str) -> None:
    """What the command does, stage by stage, and the passes alone; prints the seconds of CPU."""
    seconds: dict[str, float] = {}
    since = 0.0

    def lap(name: str) -> None:
        nonlocal since
        seconds[name] = time.process_time() - since
        since = time.process_time()

    import torch

    lap("import of torch")
    from aeexp.encoding.codes import encode_splits, save_arrays
    from aeexp.encoding.new_rows import load_rows
    from aeexp.models.learner import choose_batch_size
    from aeexp.runs.loading import LoadedRun

    lap("other imports")
    loaded = LoadedRun(run, "cpu")
    lap("loading the run")
    if data is None:
        own = loaded.load_data()
        splits, classes = own.splits, own.classes
    else:
        splits, classes = load_rows(loaded, data)
    lap("reading")
    with torch.no_grad():
        for split in splits.values():
            for batch in split.batches(choose_batch_size(split.shape)):
                context = loaded.learner.context(batch) if loaded.model.condition.told else None
                loaded.model.encode(batch.x, context, batch.mask)
    lap("passes alone")
    arrays = encode_splits(loaded.learner, splits, classes)
    lap("codes")
    save_arrays(Path(output), arrays)
    lap("file")
    print(json.dumps({"rows": sum(len(split) for split in splits.values()), **seconds}))


def main() -> None:
    """Print the stages, and the ratio of the command to reading and passes."""
    if sys.argv[1:2] == ["--work"]:
        run, data, output = sys.argv[2:]
        return work(run, data or None, output)
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("data", metavar="DATA", nargs="?", default="")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(options.rounds):
            words = [sys.executable, __file__, "--work", options.run, options.data, f"{folder}/{i}.npz"]
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr[-4000:])
            rounds.append(json.loads(done.stdout.splitlines()[-1]))
    found = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    print(f"{found.pop('rows'):,.0f} rows; seconds of CPU")
    for name, seconds in found.items():
        print(f"{name:18}{seconds:7.2f}")
    least = found["reading"] + found["passes alone"]
    whole = sum(found.values()) - found["passes alone"]
    print(f"the command takes {whole:.2f}, {whole / least:.2f} of reading and passes; "
          f"without the import of torch {(whole - found['import of torch']) / least:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()

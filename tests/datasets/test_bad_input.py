"""Data that is no good, by the command: two lines at most, exit code 2, and the run folder says failed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import samples
from commands import QUICK, aeexp
from composing import run_in
from PIL import Image

from aeexp.errors import UsageError


def npz_files(folder: Path) -> dict[str, str]:
    good = np.random.default_rng(0).random((30, 4))
    arrays = {"nan": (good.copy(), "row 7 .*NaN or infinity"), "inf": (good.copy(), "row 7 .*NaN or infinity")}
    arrays["nan"][0][7, 2], arrays["inf"][0][7, 2] = np.nan, np.inf
    arrays["objects"] = (np.array([{}, []] * 10, dtype=object), "nothing is unpickled")
    arrays["texts"] = (np.array([["a", "b"]] * 10), "numbers are needed")
    expected = {f"{name}.npz": message for name, (_, message) in arrays.items()}
    for name, (x, _) in arrays.items():
        np.savez(folder / f"{name}.npz", x=x)
    whole = (folder / "nan.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    np.savez(folder / "other_key.npz", data=good)
    return {**expected, "cut.npz": "no readable .npz", "other_key.npz": "data", "missing.npz": "no such file"}


def csv_files(folder: Path) -> dict[str, str]:
    (folder / "no_label.csv").write_text("a,b\n1,2\n3,4\n")
    (folder / "ragged.csv").write_text("a,label\n1,x\n2\n")
    (folder / "gap.csv").write_text("a,label\n1,x\n?,y\n3,x\n")
    (folder / "empty.csv").write_text("")
    return {"no_label.csv": "label=label", "ragged.csv": "line 3", "gap.csv": "missing=", "empty.csv": "empty"}


def picture_folders(folder: Path) -> dict[str, str]:
    for name in ("broken", "mixed", "empty"):
        (folder / name).mkdir()
    samples.write_pictures(folder / "broken")
    (folder / "broken" / "a" / "0.png").write_bytes(b"no picture")
    for side in (8, 9):
        Image.fromarray(np.zeros((side, 8), np.uint8)).save(folder / "mixed" / f"{side}.png")
    return {"broken": "0.png", "mixed": r"dataset\.size=", "empty": "no pictures"}


def idx_files(folder: Path) -> dict[str, str]:
    header = bytes([0, 0, 8, 2, 0, 0, 0, 30, 0, 0, 0, 4])
    (folder / "cut").write_bytes(header + bytes(50))
    (folder / "huge").write_bytes(bytes([0, 0, 8, 2]) + b"\xff" * 8 + bytes(50))
    (folder / "text").write_bytes(b"hello, world, I am no IDX file")
    return {"cut": "cut", "huge": "huge", "text": "text"}


FILES = {"npz": npz_files, "csv": csv_files, "folder": picture_folders, "idx": idx_files}


@pytest.mark.parametrize("option", FILES)
def test_every_bad_file_is_told_in_two_lines_and_the_others_go_on(option, tmp_path):
    expected, folder = FILES[option](tmp_path), tmp_path
    paths = ",".join(f"'{folder / name}'" for name in expected)
    more = ["dataset.label=label"] if option == "csv" else []
    words = ["-m", f"dataset={option}", f"dataset.path={paths}", *more, f"hydra.sweep.dir={folder}/sweep"]
    done = aeexp(*words, *QUICK, cwd=folder)
    assert done.returncode == 2 and "Traceback" not in done.stdout + done.stderr, done.stderr
    for job, (name, message) in enumerate(expected.items()):
        status = json.loads((folder / "sweep" / str(job) / "status.json").read_text())
        assert (status["status"], status["exit_code"]) == ("failed", 2), name
        assert status["message"].startswith("dataset.") and status["message"].count("\n") <= 1, status["message"]
        assert name in status["message"] and re.search(message, status["message"]), status["message"]
        assert not (folder / "sweep" / str(job) / "metrics.json").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset/split=kfold", "dataset.split.folds=2000"], r"^dataset\.split\.folds=2000: there are 1797 rows only"),
        (["dataset.split.stratify=always", "dataset.limit=12"], r"^dataset\.split\.stratify=always: class 0 has 1 of"),
        (["dataset.classes=[11]"], r"^dataset\.classes=\[11\]: there is no class 11; there are 0, 1, 2"),
        (["dataset.labelled=5000"], r"^dataset\.labelled=5000: take a share"),
        (["dataset.residency=disk"], r"^dataset\.residency=disk: the rows of digits can lie on device or host"),
        (
            ["dataset.standardise=true", "dataset.binarise=fixed"],
            r"^dataset\.binarise=fixed .*dataset\.standardise=false",
        ),
    ],
)
def test_a_wish_that_the_rows_cannot_fulfil(overrides, message, tmp_path):
    with pytest.raises(UsageError) as caught:
        run_in(tmp_path, *overrides)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert str(caught.value).count("\n") <= 1


def test_a_path_with_spaces_and_umlauts_is_a_path(tmp_path):
    overrides = samples.write("npz", tmp_path / "Öl und Käse (neu)")
    path = next(word for word in overrides if word.startswith("dataset.path=")).removeprefix("dataset.path=")
    assert np.isfinite(run_in(tmp_path / "run", "dataset=npz", f"dataset.path='{path}'", *QUICK))

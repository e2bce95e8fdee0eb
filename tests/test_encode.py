"""aeexp-encode: codes of the run's own splits and of new rows, with what a user may get wrong told in words."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from composing import composed, run_in

from aeexp.config import make
from aeexp.data.data import Data
from aeexp.encode import main
from aeexp.encoding import Finished, by_split

QUICK = ("trainer.steps=3", "metric=none", "latent.dim=4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on digits; 50 labels of its training split were known to it."""
    made = tmp_path_factory.mktemp("runs") / "digits"
    run_in(made, *QUICK, "dataset.labelled=50")
    return made


def refused(capsys, *argv) -> str:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in argv])
    told = capsys.readouterr().err
    assert end.value.code == 2 and len(told.strip().splitlines()) <= 2
    return told


def read(path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def test_codes_of_all_splits_are_those_of_the_model_row_by_row(folder, capsys):
    main([str(folder), "--device", "cpu"])
    assert "dataset/split=official" in capsys.readouterr().out
    found = read(folder / "encoded.npz")
    run = Finished(folder, "cpu")
    data = run.data()
    for name, split in data.splits.items():
        batch = split.batch(slice(0, 5))
        assert found[f"x_{name}"].shape == (len(split), 4) and found[f"x_{name}"].dtype == np.float32
        # float32 sums of at most 128 products in another order: a few 1e-6 of values near 1
        assert np.allclose(found[f"x_{name}"][:5], run.model.encode(batch.x).mean, atol=1e-5)
        assert np.array_equal(found[f"ids_{name}"], split.ids)
        assert np.array_equal(found[f"y_{name}"], split.y)
    assert (found["y_train"] >= 0).sum() == 50 and (found["y_test"] >= 0).all()
    assert found["classes"].tolist() == list("0123456789")


def test_a_run_trains_on_the_codes_of_another(folder, tmp_path):
    main([str(folder), "--output", str(tmp_path / "codes.npz"), "--device", "cpu"])
    words = ["dataset=npz", f"dataset.path={tmp_path / 'codes.npz'}", "dataset/split=official"]
    assert np.isfinite(run_in(tmp_path / "second", *QUICK, *words))
    data: Data = make(composed(*words), "dataset")
    assert [len(split) for split in data.splits.values()] == [1437, 180, 180]
    assert len(data.classes) == 10 and int((data["train"].y >= 0).sum()) == 50  # what was hidden stays so


def test_a_split_without_labels_is_unlabelled_beside_one_that_has_them(folder):
    run = Finished(folder, "cpu")
    data = run.data()
    data["val"].y = None
    found = by_split(run.model, data)
    assert (found["y_val"] == -1).all() and found["y_val"].dtype == np.int64


def test_a_file_that_is_there_stays_unless_forced(folder, tmp_path, capsys):
    there = tmp_path / "there.npz"
    there.write_bytes(b"mine")
    assert "--force" in refused(capsys, folder, "--output", there)
    assert there.read_bytes() == b"mine"
    main([str(folder), "--output", str(there), "--force", "--device", "cpu"])
    assert "x_test" in read(there)


def test_what_is_no_run_is_told(folder, tmp_path, capsys):
    assert "is no run folder" in refused(capsys, tmp_path)
    assert "such a name" in refused(capsys, folder, "--output", tmp_path / "codes.txt")


def test_data_that_has_changed_since_is_refused(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    run_in(tmp_path / "run", *QUICK, "dataset=npz", f"dataset.path={tmp_path / 'x.npz'}")
    np.savez(tmp_path / "x.npz", x=x[::-1])
    assert "the data has changed since" in refused(capsys, tmp_path / "run")


def test_the_command_stands_alone_and_its_help_needs_no_torch():
    quick = "import sys; sys.argv=['aeexp-encode', '--help']\nfrom aeexp.encode import main\ntry: main()\n"
    code = quick + "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("usage: aeexp-encode") and said.strip().endswith("0 False")

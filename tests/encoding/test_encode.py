"""aeexp-encode: codes of the run's own splits and of new rows, with what a user may get wrong told in words."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import samples
from composing import composed, run_in

from aeexp.cli.encode import main
from aeexp.datasets.core.data import Data
from aeexp.encoding.codes import encode_splits
from aeexp.runs.config import make
from aeexp.runs.loading import LoadedRun

QUICK = ("trainer.steps=3", "metric=none", "latent.dim=4")
GRU = ("model=gru", "model.hidden=4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on digits; 50 labels of its training split were known to it."""
    run_folder = tmp_path_factory.mktemp("runs") / "digits"
    run_in(run_folder, *QUICK, "dataset.labelled=50")
    return run_folder


def expect_refusal(capsys, *argv) -> str:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in argv])
    stderr = capsys.readouterr().err
    assert end.value.code == 2 and len(stderr.strip().splitlines()) <= 2
    return stderr


def read(path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def test_codes_of_all_splits_are_those_of_the_model_row_by_row(folder, capsys):
    main([str(folder), "--device", "cpu"])
    assert "dataset/split=official" in capsys.readouterr().out
    arrays = read(folder / "encoded.npz")
    run = LoadedRun(folder, "cpu")
    data = run.load_data()
    for name, split in data.splits.items():
        batch = split.batch(slice(0, 5))
        assert arrays[f"x_{name}"].shape == (len(split), 4) and arrays[f"x_{name}"].dtype == np.float32
        # float32 sums of at most 128 products in another order: a few 1e-6 of values near 1
        assert np.allclose(arrays[f"x_{name}"][:5], run.model.encode(batch.x).mean, atol=1e-5)
        assert np.array_equal(arrays[f"ids_{name}"], split.ids)
        assert np.array_equal(arrays[f"y_{name}"], split.y)
    assert (arrays["y_train"] >= 0).sum() == 50 and (arrays["y_test"] >= 0).all()
    assert arrays["classes"].tolist() == list("0123456789")


def test_a_run_trains_on_the_codes_of_another(folder, tmp_path):
    main([str(folder), "--output", str(tmp_path / "codes.npz"), "--device", "cpu"])
    words = ["dataset=npz", f"dataset.path={tmp_path / 'codes.npz'}", "dataset/split=official"]
    assert np.isfinite(run_in(tmp_path / "second", *QUICK, *words))
    data: Data = make(composed(*words), "dataset")
    assert [len(split) for split in data.splits.values()] == [1437, 180, 180]
    assert len(data.classes) == 10 and int((data["train"].y >= 0).sum()) == 50  # what was hidden stays so


def test_a_split_without_labels_is_unlabelled_beside_one_that_has_them(folder):
    run = LoadedRun(folder, "cpu")
    data = run.load_data()
    data["val"].y = None
    arrays = encode_splits(run.learner, data.splits, data.classes)
    assert (arrays["y_val"] == -1).all() and arrays["y_val"].dtype == np.int64


def test_a_file_that_is_there_stays_unless_forced(folder, tmp_path, capsys):
    there = tmp_path / "there.npz"
    there.write_bytes(b"mine")
    assert "--force" in expect_refusal(capsys, folder, "--output", there)
    assert there.read_bytes() == b"mine"
    main([str(folder), "--output", str(there), "--force", "--device", "cpu"])
    assert "x_test" in read(there)


def test_what_is_no_run_is_told(folder, tmp_path, capsys):
    assert "is no run folder" in expect_refusal(capsys, tmp_path)
    assert "such a name" in expect_refusal(capsys, folder, "--output", tmp_path / "codes.txt")


def test_data_that_has_changed_since_is_refused(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    run_in(tmp_path / "run", *QUICK, "dataset=npz", f"dataset.path={tmp_path / 'x.npz'}")
    np.savez(tmp_path / "x.npz", x=x[::-1])
    assert "the data has changed since" in expect_refusal(capsys, tmp_path / "run")


def test_the_command_stands_alone_and_its_help_needs_no_torch():
    quick = "import sys; sys.argv=['aeexp-encode', '--help']\nfrom aeexp.cli.encode import main\ntry: main()\n"
    code = quick + "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    stdout = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert stdout.startswith("usage: aeexp-encode") and stdout.strip().endswith("0 False")


def trained(tmp_path, option, *words):
    """A run on one of the small files of `samples`, and the words that name that file."""
    named = samples.write(option, tmp_path / "rows")
    run_in(tmp_path / "run", *QUICK, *named, *words)
    return tmp_path / "run"


def encoded(run, *words) -> dict[str, np.ndarray]:
    output = run.parent / "codes.npz"
    main([str(run), *map(str, words), "--output", str(output), "--force", "--device", "cpu"])
    return read(output)


@pytest.mark.parametrize("words", [(), ("dataset.standardise=true",), ("dataset.scale=unit",)])
def test_new_rows_go_through_the_preprocessing_of_the_training_split(tmp_path, words):
    """The same bytes, brought as a file, have the same codes in every format; a batch rounds sums its own way."""
    run = trained(tmp_path, "npz", *words)
    own = encoded(run)
    order = np.argsort(np.concatenate([own[f"ids_{part}"] for part in ("train", "val", "test")]))
    codes = np.concatenate([own[f"x_{part}"] for part in ("train", "val", "test")])[order]
    new = encoded(run, tmp_path / "rows" / "rows.npz")
    assert new["ids"].tolist() == list(range(40)) and new["classes"].tolist() == ["0", "1"]
    assert np.allclose(new["x"], codes, atol=1e-5) and np.array_equal(new["y"], samples.LABELS)
    samples.write_npy(tmp_path), samples.write_idx(tmp_path / "rows"), samples.write_pictures(tmp_path / "rows")
    assert np.allclose(encoded(run, tmp_path / "x.npy")["x"], codes, atol=1e-5)
    assert np.allclose(encoded(run, tmp_path / "rows")["x"], codes, atol=1e-5)  # IDX
    (tmp_path / "rows" / "train-images-idx3-ubyte").unlink()
    pictures = encoded(run, tmp_path / "rows", "mode=grey")  # by class, and 10.png before 2.png
    names = sorted(range(40), key=lambda i: ("ab"[samples.LABELS[i]], f"{i}.png"))
    assert np.allclose(pictures["x"], codes[names], atol=1e-5)
    assert pictures["classes"].tolist() == ["a", "b"]


def test_rows_of_another_type_are_brought_to_the_units_of_training(tmp_path, caplog):
    run = trained(tmp_path, "npz", "dataset.standardise=true")
    plain = encoded(run, tmp_path / "rows" / "rows.npz")["x"]
    np.save(tmp_path / "float.npy", samples.PICTURES.astype(np.float32) / 255)
    assert np.allclose(encoded(run, tmp_path / "float.npy")["x"], plain, atol=1e-5)
    assert "float32 rows, where training had uint8" in caplog.text and "are the units the same" not in caplog.text
    np.save(tmp_path / "float.npy", samples.PICTURES.astype(np.float32))
    encoded(run, tmp_path / "float.npy")
    assert "are the units the same" in caplog.text


def test_a_table_is_filled_and_coded_as_in_training(tmp_path):
    run = trained(tmp_path, "csv")
    lines = (tmp_path / "rows" / "rows.csv").read_text().splitlines()
    (tmp_path / "new.csv").write_text("\n".join([lines[0], *lines[5:8]]))  # one has no row of each kind
    own, new = encoded(run), encoded(run, tmp_path / "new.csv")
    ids = np.concatenate([own[f"ids_{part}"] for part in ("train", "val", "test")])
    codes = np.concatenate([own[f"x_{part}"] for part in ("train", "val", "test")])
    assert np.allclose(new["x"], codes[np.argsort(ids)][4:7], atol=1e-5)
    assert new["y"].tolist() == samples.LABELS[4:7].tolist()


def test_conditioned_models_need_their_labels_and_know_them_by_name(tmp_path, capsys):
    run = trained(tmp_path, "npz", "condition=label")
    both = encoded(run, tmp_path / "rows" / "rows.npz")["x"]
    ones = samples.LABELS == 1
    np.savez(tmp_path / "ones.npz", x=samples.PICTURES[ones], y=samples.LABELS[ones])  # its first class is the second
    assert np.allclose(encoded(run, tmp_path / "ones.npz")["x"], both[ones], atol=1e-5)
    np.savez(tmp_path / "none.npz", x=samples.PICTURES)
    assert "these rows have no labels" in expect_refusal(capsys, run, tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", x=samples.PICTURES, y=samples.LABELS + 7)
    assert "knows no class 7, 8" in expect_refusal(capsys, run, tmp_path / "other.npz")


def test_sequences_keep_their_lengths(tmp_path, capsys):
    x, offsets = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32), np.arange(0, 101, 5)
    offsets[3] += 2
    np.savez(tmp_path / "x.npz", x=x, offsets=offsets)
    words = [
        "dataset=npz",
        f"dataset.path={tmp_path / 'x.npz'}",
        "dataset.offsets=offsets",
        "model=gru",
        "model.hidden=4",
    ]
    run = tmp_path / "run"
    run_in(run, *QUICK, *words)
    own, new = encoded(run), encoded(run, tmp_path / "x.npz")
    assert np.allclose(new["x"][own["ids_test"]], own["x_test"], atol=1e-5)
    np.savez(tmp_path / "short.npz", x=x[:10], offsets=[0, 5, 10])  # the first two: five steps of up to seven
    assert np.allclose(encoded(run, tmp_path / "short.npz")["x"], new["x"][:2], atol=1e-5)
    np.savez(tmp_path / "long.npz", x=x, offsets=[0, 50, 100])
    assert "was trained on (7, 2)" in expect_refusal(capsys, run, tmp_path / "long.npz")


def test_what_is_wrong_with_new_rows_is_told(folder, tmp_path, capsys):
    np.savez(tmp_path / "flat.npz", x=np.zeros((5, 64), np.uint8))
    assert "add shape=[1,8,8]" in expect_refusal(capsys, folder, tmp_path / "flat.npz")
    assert encoded_shape(folder, tmp_path, "shape=[1,8,8]") == (5, 4)
    np.save(tmp_path / "wide.npy", np.zeros((5, 9, 9), np.uint8))
    assert "was trained on (1, 8, 8)" in expect_refusal(capsys, folder, tmp_path / "wide.npy")
    assert "did you mean labels?" in expect_refusal(capsys, folder, tmp_path / "wide.npy", "label=a")
    assert "should be a list of whole numbers" in expect_refusal(capsys, folder, tmp_path / "flat.npz", "shape=8")
    assert "keys of its loader" in expect_refusal(capsys, folder, tmp_path / "wide.npy", "label")
    assert "there is no such file" in expect_refusal(capsys, folder, tmp_path / "nix.npy")
    (tmp_path / "x.pdf").write_bytes(b"")
    assert "rows of this kind are not known" in expect_refusal(capsys, folder, tmp_path / "x.pdf")
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    assert "nothing is unpickled" in expect_refusal(capsys, folder, tmp_path / "objects.npz")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    assert "are no columns of a table" in expect_refusal(capsys, folder, tmp_path / "x.csv")


def encoded_shape(folder, tmp_path, word):
    main([str(folder), str(tmp_path / "flat.npz"), word, "--output", str(tmp_path / "out.npz"), "--device", "cpu"])
    return read(tmp_path / "out.npz")["x"].shape

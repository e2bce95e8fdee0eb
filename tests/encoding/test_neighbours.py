"""Neighbours and duplicates by their codes: laws on drawn codes, and the command's tables."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import samples
from composing import composed, run_in

from aeexp.cli.encode import main
from aeexp.encoding.neighbours import find_neighbours
from aeexp.runs.config import make

QUICK = ("trainer.steps=3", "metric=none")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bits of 40 pictures, of which the last two repeat the first two, one of them with a pixel changed by 1/255."""
    path = tmp_path_factory.mktemp("bits")
    x = samples.PICTURES.copy()
    x[38:] = x[:2]
    x[39, 0, 0] ^= 1
    np.savez(path / "rows.npz", x=x, y=samples.LABELS)
    words = ["latent=binary", "latent.dim=12", "dataset=npz", f"dataset.path={path / 'rows.npz'}"]
    run_in(path / "run", *QUICK, *words)
    return path


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(("k", "radius"), [(3, None), (None, 2), (4, 3)])
def test_neighbours_are_those_of_all_distances(binary, k, radius):
    database, queries = (RNG.integers(0, 2, (n, 9)).astype(np.float32) for n in (60, 5))
    if not binary:
        database, queries = database + RNG.normal(size=(60, 9)), queries + RNG.normal(size=(5, 9))
    result = list(find_neighbours(database, queries, binary, k, radius))
    assert len(result) == 5
    for query, (rows, far) in zip(queries, result, strict=True):
        every = np.abs(database - query).sum(1) if binary else np.sqrt(np.square(database - query).sum(1))
        expected = np.sort(every[every <= (np.inf if radius is None else radius)])[:k]
        assert np.allclose(far, expected) and np.allclose(every[rows], far)


def table(capsys, *argv) -> list[dict[str, str]]:
    main([*map(str, argv), "--device", "cpu"])
    return list(csv.DictReader(capsys.readouterr().out.splitlines()))


def expect_refusal(capsys, *argv) -> str:
    with pytest.raises(SystemExit) as end:
        main([*map(str, argv), "--device", "cpu"])
    stderr = capsys.readouterr().err
    assert end.value.code == 2 and len(stderr.strip().splitlines()) <= 2
    return stderr


def test_bits_are_packed_and_are_a_data_set(folder, capsys):
    output = folder / "codes.npz"
    main([str(folder / "run"), "--output", str(output), "--force", "--device", "cpu"])
    assert "dataset.unpack=12" in capsys.readouterr().out
    with np.load(output, allow_pickle=False) as archive:
        assert archive["x_train"].shape == (32, 2) and archive["x_train"].dtype == np.uint8 and archive["bits"] == 12
    words = ["dataset=npz", f"dataset.path={output}", "dataset/split=official", "dataset.unpack=12"]
    data = make(composed(*words), "dataset")
    assert tuple(data.shape) == (12,) and data.limits == (0.0, 1.0)


def test_a_row_is_its_own_nearest_neighbour_also_in_a_file_of_codes(folder, capsys):
    run, rows = folder / "run", folder / "rows.npz"
    result = table(capsys, run, rows, "--neighbours", rows, "--radius", 0)
    assert {(line["query"], line["row"]) for line in result} >= {(str(i), str(i)) for i in range(40)}
    assert {line["distance"] for line in result} == {"0"}
    main([str(run), str(rows), "--output", str(folder / "index.npz"), "--force", "--device", "cpu"])
    capsys.readouterr()
    assert table(capsys, run, "--index", folder / "index.npz", "--neighbours", rows, "--radius", 0) == result
    nearest = table(capsys, run, "--neighbours", rows, "--k", 3)
    assert len(nearest) == 40 * 3 and {line["split"] for line in nearest} == {"train"}


def test_codes_that_are_numbers_are_an_index_too(folder, tmp_path, capsys):
    run, rows = tmp_path / "run", folder / "rows.npz"
    run_in(run, *QUICK, "latent.dim=3", "dataset=npz", f"dataset.path={rows}")
    main([str(run), str(rows), "--output", str(tmp_path / "index.npz"), "--device", "cpu"])
    capsys.readouterr()
    nearest = table(capsys, run, "--index", tmp_path / "index.npz", "--neighbours", rows, "--k", 1)
    assert [line["query"] for line in nearest] == [str(i) for i in range(40)]
    assert max(float(line["distance"]) for line in nearest) < 1e-3  # float32 squares of nearly equal codes


def test_duplicates_are_groups_of_equal_pixels_across_the_splits(folder, capsys):
    run = folder / "run"
    exact = table(capsys, run, "--duplicates")
    assert {line["row"] for line in exact} == {"0", "38"} and len({line["group"] for line in exact}) == 1
    # a pixel that differs by 1/255 may turn a bit of the code: the group is found where it does not
    near = table(capsys, run, "--duplicates", "--tolerance", 0.01)
    assert {line["row"] for line in near} >= {"0", "38"} and {line["row"] for line in near} <= {"0", "1", "38", "39"}
    assert [line["row"] for line in table(capsys, run, folder / "rows.npz", "--duplicates")] == ["0", "38"]


def test_mistakes_are_told(folder, tmp_path, capsys):
    run, rows = folder / "run", folder / "rows.npz"
    assert "whole numbers of bits" in expect_refusal(capsys, run, "--neighbours", rows, "--radius", 0.5)
    assert "--k 0" in expect_refusal(capsys, run, "--neighbours", rows, "--k", 0)
    assert "give one of them" in expect_refusal(capsys, run, rows, "--neighbours", rows, "--index", rows)
    assert "no bits, those of the run 12" in expect_refusal(capsys, run, "--neighbours", rows, "--index", rows)
    np.savez(tmp_path / "bad.npz", x=np.zeros((3, 5), np.uint8), ids=np.arange(3), bits=np.array(12))
    assert "no codes of this run" in expect_refusal(capsys, run, "--neighbours", rows, "--index", tmp_path / "bad.npz")
    run_in(tmp_path / "run", *QUICK, "dataset=npz", f"dataset.path={rows}")
    assert "latent=binary" in expect_refusal(capsys, tmp_path / "run", "--duplicates")

"""Words for Parquet and Arrow files that are no rows: rows that do not fit, damage, the network, a missing library."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pytest
from arrow_files import PICTURES, N, X, Y, arrow, datasets, load, nested, parquet, png, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.datasets.formats.hf import import_datasets
from aeexp.errors import UsageError

pytestmark = pytest.mark.usefixtures("arrow_cache")
BOTH = pytest.mark.parametrize("streaming", [False, True])


@BOTH
def test_the_choice_of_columns_is_explained(arrow_folder, tmp_path, streaming):
    message = refused(arrow_folder, "x=null", streaming=streaming)
    assert all(name in message for name in ("v (list", "img (binary)", "a (float)", "b (double)", "text (string)"))
    path = parquet(tmp_path / "x.parquet", a=X[:, 0], label=Y)
    assert "no column" in refused(path, "x=null", streaming=streaming)
    assert "v, a, b" in refused(arrow_folder, "x=w", x="w", streaming=streaming)
    assert "v, a, b" in refused(arrow_folder, "y=w", x="v", y="w", streaming=streaming)
    assert "string" in refused(arrow_folder, "x=text", x="text", streaming=streaming)
    assert "list" in refused(arrow_folder, "x=v", x=["a", "v"], streaming=streaming)
    refused(arrow_folder, "x=", x=["a", "a"], streaming=streaming)
    refused(arrow_folder, "x=", x=[], streaming=streaming)
    assert "list" in refused(arrow_folder, "y=v", x="img", y="v", streaming=streaming)
    refused(arrow_folder, "size=", x="v", size=[2, 2], streaming=streaming)


RAGGED = [*X[:11].tolist(), [1.0, 2.0], *X[12:].tolist()]
HOLE = [*X[:11].tolist(), None, *X[12:].tolist()]
INNER = [*X[:11].tolist(), [1.0, None, *[0.0] * 4], *X[12:].tolist()]
DEEP = [[[1.0, 2.0], [3.0, 4.0]]] * 11 + [[[1.0, 2.0], [3.0]]] + [[[1.0, 2.0], [3.0, 4.0]]] * (N - 12)
BROKEN = [*map(png, PICTURES[:11]), b"no picture", *map(png, PICTURES[12:])]
UNEQUAL = [*map(png, PICTURES[:11]), png(PICTURES[0][:3]), *map(png, PICTURES[12:])]
LOST = [*map(png, PICTURES[:11]), None, *map(png, PICTURES[12:])]
NUMBER = [*X[:11, 0].tolist(), None, *X[12:, 0].tolist()]


@BOTH
@pytest.mark.parametrize(
    "column",
    [RAGGED, HOLE, INNER, DEEP, BROKEN, UNEQUAL, LOST, NUMBER],
    ids=["ragged", "null row", "null in a row", "ragged inside", "no picture", "unequal", "no bytes", "null number"],
)
def test_a_row_that_does_not_fit_is_named(tmp_path, column, streaming):
    path = parquet(tmp_path / "x.parquet", v=column)
    assert "row 11 " in refused(path, "x=v: ", x="v", streaming=streaming)


@BOTH
def test_nan_and_infinity_are_refused_with_their_row(tmp_path, streaming):
    for value in (np.nan, 1e300):  # the second is infinity in float32
        x = X.astype(np.float64)
        x[13, 2] = value
        assert "row 13 " in refused(parquet(tmp_path / "x.parquet", v=nested(x)), streaming=streaming)


@BOTH
def test_five_axes_and_empty_lists_are_refused(tmp_path, streaming):
    deep = parquet(tmp_path / "d.parquet", v=nested(np.ones((4, 1, 1, 2, 2))))
    assert "(1, 1, 2, 2)" in refused(deep, "x=v", streaming=streaming)
    refused(parquet(tmp_path / "e.parquet", v=pa.array([[]] * 3, pa.list_(pa.float32()))), "x=v", streaming=streaming)
    nothing = parquet(tmp_path / "n.parquet", v=pa.array([], pa.list_(pa.float32())))
    assert "no rows" in refused(nothing, streaming=streaming)


@BOTH
@pytest.mark.parametrize("form", ["parquet", "stream", "file", "disk"])
@pytest.mark.parametrize("share", [0, 0.3, 0.9, -9])
def test_a_file_that_lost_its_end_is_refused_by_name(tmp_path, form, share, streaming):
    if form == "disk":
        datasets.Dataset.from_dict({"v": X, "label": Y}).save_to_disk(tmp_path / "d", num_shards=2)
        path, file = tmp_path / "d", tmp_path / "d" / "data-00001-of-00002.arrow"
    elif form == "parquet":
        path = file = parquet(tmp_path / "d.parquet", v=nested(X), label=Y)
    else:
        path = file = arrow(tmp_path / "d.arrow", form, v=nested(X), label=Y)
    content = file.read_bytes()
    file.write_bytes(content[:share] if share < 0 else content[: int(share * len(content))])
    assert str(path) in refused(path, streaming=streaming)


@BOTH
@settings(max_examples=40)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255), form=st.sampled_from(["parquet", "stream"]))
def test_a_changed_byte_is_refused_or_keeps_the_number_of_rows(tmp_path_factory, streaming, place, byte, form):
    """Neither format has checksums here: values may change unseen, but nothing else is raised and nothing crashes."""
    path = tmp_path_factory.getbasetemp() / ("flipped." + ("parquet" if form == "parquet" else "arrow"))
    file = parquet(path, v=nested(X), label=Y) if form == "parquet" else arrow(path, form, v=nested(X), label=Y)
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= byte
    path.write_bytes(content)
    try:
        x = load(path, streaming=streaming).rows.x.read()
    except UsageError as error:
        assert 1 <= len(str(error).splitlines()) <= 2 and "=" in str(error).split()[0]
    else:
        assert len(x) == N


def test_paths_formats_and_keys_that_do_not_fit_are_refused(tmp_path, arrow_folder):
    assert "no such file" in refused(tmp_path / "none.parquet")
    refused(tmp_path)
    refused(None, "path is empty")
    refused("", "path is empty")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    assert "format=" in refused(tmp_path / "x.csv")
    refused(tmp_path / "x.csv", format="parquet")
    refused(arrow_folder, format="arrow")
    refused(arrow_folder, format="disk")
    refused(arrow_folder / "0.parquet", "format=imagefolder", format="imagefolder")
    (tmp_path / "m").mkdir()
    parquet(tmp_path / "m" / "x.parquet", v=nested(X))
    arrow(tmp_path / "m" / "x.arrow", "stream", v=nested(X))
    refused(tmp_path / "m", "format=auto")
    refused(arrow_folder, "size=", x="img", size=[0, 3])
    refused(arrow_folder, "test=", x="v", test=str(tmp_path / "none"))
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "readme.txt").write_text("no picture")
    refused(tmp_path / "words")


@BOTH
def test_files_and_parts_unlike_the_first_are_refused(tmp_path, arrow_folder, streaming):
    other = parquet(tmp_path / "0.parquet", v=nested(X[:, :2]), label=Y)
    assert "(2,)" in refused(arrow_folder, "test=", x="v", test=str(other), streaming=streaming)
    parquet(tmp_path / "1.parquet", w=nested(X), label=Y)
    refused(tmp_path, x="v", streaming=streaming)


def test_the_network_is_off_whoever_imported_the_library_before(monkeypatch):
    from huggingface_hub import constants, is_offline_mode

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    import_datasets()
    assert datasets.config.HF_HUB_OFFLINE and is_offline_mode()


def test_a_missing_library_is_named_with_the_way_to_install_it(arrow_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'aeexp[huggingface]'" in refused(arrow_folder, "dataset=huggingface", x="v")

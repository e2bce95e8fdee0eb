"""Tables as people have them: signs in numbers, an index, names that stand twice, Parquet, and all problems at once."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest
from csv_files import DEFECTS, draw_table, features, load, refused, write_table
from hypothesis import assume, given
from hypothesis import strategies as st

from aeexp.datasets.formats.numerals import KNOWN, PLAIN, Numerals, find_numerals
from aeexp.errors import UsageError

WAYS = [Numerals(d, t) for d in ".," for t in ("", ",", ".", " ", "\u202f", "'") if d != t]
VALUES = st.lists(st.integers(-(10**9), 10**9).map(lambda n: n / 4), min_size=1, max_size=8)


def write_number(value: float, way: Numerals) -> str:
    return f"{value:,.2f}".translate(str.maketrans({",": way.thousands, ".": way.decimal}))


@pytest.mark.parametrize("way", WAYS, ids=repr)
@given(values=VALUES, other=VALUES)
def test_numbers_are_read_however_they_are_written(csv_file, way, values, other):
    """Two digits behind the sign of fractions: no other reading is left."""
    n = min(len(values), len(other))
    columns = {"a": values[:n], "b": other[:n]}
    text = {name: [write_number(value, way) for value in column] for name, column in columns.items()}
    path = csv_file(write_table({**text, "n": [str(i) for i in range(n)], "c": ["x"] * n}))
    expected = np.stack([*columns.values(), range(n)], 1)
    assert load(path).rows.x[:, :3].tolist() == expected.tolist()
    said = load(path, decimal=way.decimal, thousands=way.thousands or None)
    assert said.rows.x[:, :3].tolist() == expected.tolist()


@given(st.lists(st.text("0123456789.,' -+e", max_size=7), max_size=6), st.lists(st.integers(0, 99), max_size=3))
def test_found_signs_give_the_one_value_that_any_way_gives(texts, others):
    """What is not refused has no second reading; tables that points read are never read otherwise."""
    columns = {"a": set(texts), "b": {str(n) for n in others}}
    ways = [way for way in KNOWN if texts and all(way.parse(text) is not None for text in texts)]
    try:
        found = find_numerals(columns, "path=t.csv")
    except UsageError:
        assert PLAIN not in ways
        return
    if PLAIN in ways or not ways:
        assert found == PLAIN
    else:
        assert {repr(way.parse(text)) for way in ways for text in texts} == {repr(found.parse(text)) for text in texts}


def test_a_column_that_only_looks_so_is_text(csv_file):
    path = csv_file('a;b\n"1,5";x\n"2,25";y\n')
    assert load(path, delimiter=";", decimal=".").rows.x[:, 0].tolist() == [0, 1]
    assert load(path, delimiter=";").rows.x[:, 0].tolist() == [1.5, 2.25]
    accounts = csv_file("a;b\n012,345;x\n012,346;y\n")
    assert load(accounts, delimiter=";").rows.x[:, 0].tolist() == [12.345, 12.346]


def test_an_index_without_a_name_is_left_out_with_a_word(csv_file, caplog):
    with caplog.at_level(logging.INFO):
        source = load(csv_file(",a,b\n7,1,2\n9,3,4\n"), test=str(csv_file("a,b\n5,6\n", "test.csv")))
    assert source.rows.x.tolist() == [[1, 2], [3, 4]] and source.test.x.tolist() == [[5, 6]]
    assert "column 1 without a name is an index and left out" in caplog.text
    assert load(csv_file("Unnamed: 0,a\n4,1\n2,3\n")).rows.x.tolist() == [[1], [3]]
    assert load(csv_file("Unnamed: 0,a\n4,1\n4,3\n")).rows.x.tolist() == [[4, 1], [4, 3]]  # no index: it is not unique
    assert load(csv_file("a,b,\n1,2,\n3,4,\n")).rows.x.tolist() == [[1, 2], [3, 4]]  # a separator behind each line


@given(st.lists(st.sampled_from(["a", "a.1", "b", "a.2"]), min_size=2, max_size=7))
def test_names_that_stand_twice_are_numbered_and_none_stands_twice(csv_file, header):
    assume("a" in header)
    row = [str(place) for place in range(len(header))]
    path = csv_file("\n".join([",".join(header), ",".join(row)]) + "\n")
    assert load(path).rows.x.tolist() == [list(map(float, row))]
    for place, name in enumerate(header):  # each first one keeps its name
        if header.index(name) == place:
            assert load(path, columns=(name,)).rows.x.tolist() == [[float(place)]]


def test_columns_names_the_features_in_the_order_of_the_file(csv_file):
    path = csv_file("a,b,c,s,y\n1,2,3,0,u\n4,5,,1,v\n")
    source = load(path, columns=("b", "a", "y"), label="y", attributes=("s",))
    assert source.rows.x.tolist() == [[1, 2], [4, 5]] and source.classes == ("u", "v")
    assert source.rows.s.tolist() == [0, 1]


@given(st.lists(st.sampled_from(list(DEFECTS)), min_size=2, max_size=6))
def test_every_problem_is_told_at_once_and_the_way_out_is_one(csv_file, kinds):
    """What the last line proposes makes the table load."""
    cells = [str(i % 3) for i in range(42)]
    columns = {f"c{i} {kind}": DEFECTS[kind](cells) for i, kind in enumerate(kinds)} | {"good": cells}
    path = csv_file(write_table(columns))
    wrong = [name for name in columns if not name.endswith(("fine", "good"))]
    if not wrong:
        assert load(path).rows.x.shape == (42, len(columns))
        return
    message = refused(path)
    assert all(f"'{name}'" in message for name in wrong)
    if len(wrong) > 1:
        assert load(path, **read_way_out(message)).rows.x.shape[0] == 42


def read_way_out(message: str) -> dict:
    way = message.splitlines()[-1]
    lists = {
        key: tuple(re.findall(r"'([^']*)'", names)) for key, names in re.findall(r"dataset\.(\w+)=\[([^]]*)\]", way)
    }
    return lists | dict(re.findall(r"dataset\.(missing)=(\w+)", way))


# ---------------------------------------------------------------- Parquet


@given(st.integers(0, 10**6), st.sampled_from(["drop", "mean", "median", "most_frequent"]))
def test_parquet_is_read_as_the_csv_file_of_the_same_cells(csv_file, seed, missing):
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    columns = draw_table(seed)
    path = csv_file(write_table(columns))
    typed = {name: [(float(cell) if name[0] == "n" else cell) if cell else None for cell in cells]
             for name, cells in columns.items()}  # fmt: skip
    stored = path.with_name("data.parquet")
    pq.write_table(pa.table(typed), stored)
    one, other = (load(each, missing=missing, label="c2") for each in (path, stored))
    assert one.classes == other.classes and one.rows.y.tolist() == other.rows.y.tolist()
    assert np.array_equal(features(one), features(other)) and one.continuous.tolist() == other.continuous.tolist()


def test_types_of_parquet_are_numbers_texts_or_refused(csv_file, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    path = tmp_path / "t.parquet"
    index = pa.array([5, 6])
    table = {"f": pa.array([0.1, None], pa.float32()), "i": pa.array([2**60, 1]), "b": [True, False],
             "d": pa.array(["u", "v"]).dictionary_encode(), "__index_level_0__": index}  # fmt: skip
    pq.write_table(pa.table(table), path)
    source = load(path, missing="mean")
    assert source.rows.x[0].tolist() == [0.1, 2.0**60, 1, 0] and np.isnan(source.rows.x[1, 0])
    assert "column 'f' has no value (path=" in (message := refused(path)) and "row 1; 1 in all" in message
    pq.write_table(pa.table({"a": [1, 2], "v": [[1.0], [2.0]]}), path)
    assert "column 'v' is list<" in (message := refused(path)) and "set dataset.drop=[v]" in message
    assert load(path, drop=("v",)).rows.x.tolist() == [[1], [2]]
    path.write_bytes(b"PAR1 no more")
    assert "could not be read" in refused(path)

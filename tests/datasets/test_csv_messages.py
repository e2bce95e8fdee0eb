"""Words for each file that is no table; whatever else it holds, it is refused or a table."""

from __future__ import annotations

import csv as stdlib
import io

import numpy as np
import pytest
from csv_files import GOOD, check_message, draw_table, load, refused, write_table
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aeexp.errors import UsageError

MANY = "a,b\n" + "".join(f"{i},{i}\n" for i in range(150))
MISTAKES = {
    "empty": ("", {}, "the file is empty"),
    "blank": ("\n \n", {}, "the file is empty"),
    "no row": ("a,b\n", {}, "no row"),
    "no header": ("1,2\n3,4\n", {}, "line 1 holds numbers only; put a header line"),
    "two numbers as names": ("7,b,7\n1,2,3\n", {}, "columns 1 and 3 are both named '7'; rename one, or put a header"),
    "two gaps as names": ("?,b,?\n1,2,3\n", {}, "columns 1 and 3 are both named '?'"),
    "no name": ("a,,c\n1,2,3\n", {}, "column 2 of 3 has no name"),
    "too few": ("a,b\n1,2\n\n3\n", {}, "line 4 has 1 cell, but the header 2"),
    "some of another length": ("a,b\n1,2\n3\n4,5,6\n7\n", {}, "line 3 has 1 cell, but the header 2; so have 2 more, at"
                               " lines 4, 5; quote"),
    "too many": ('a,b\n1,"2\n2"\n3,4,5\n', {}, "line 4 has 3 cells, but the header 2"),
    "latin 1": ("a,b\n1,Größe\n".encode("latin-1"), {}, "byte 8 (0xf6, line 2) is no UTF-8; save the file as UTF-8"),
    "latin 1, mark": (b"\xef\xbb\xbfa\n\xe4\n", {}, "byte 5 (0xe4, line 2)"),
    "NUL": ("a\n1\n\0\n", {}, "line 3 holds a NUL"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16-le"), {}, "save it as UTF-8"),
    "open quote": ('a,b\n1,2\n3,"4\n5,6\n', {}, "the row at line 3 cannot be read (a quote left open?)"),
    "text after a quote": ('a,b\n"1"x,2\n', {}, "the row at line 2 cannot be read"),
    "huge cell": ("a,b\n1,2\n3," + "x" * 140_000, {}, "the row at line 3 cannot be read"),
    "infinity": ("a,b\n1,2\n1,-inf\n", {}, "line 3: column 'b' holds '-inf', no finite"),
    "overflow": ("a,b\n1,2\n1e39,3\n", {}, "line 3: column 'a' holds '1e39'"),
    "NAN": ("a,b\n1,2\nNAN,3\n", {}, "'NAN', no finite float32 number; mend it, or add it to dataset.missing_values"),
    "stray": (MANY + "oops,3\n", {}, "column 'a': 150 of 151 cells are numbers, 'oops' (line 152) is none.\nMend it"),
    "stray's way out": (MANY + "oops,3\n", {"categorical": ("b",), "max_categories": 200},
                        "or set dataset.categorical=[b,a]."),
    "typo": ("a,b\n1,2\n1O,2\n3,4\n", {}, "column 'a': 2 of 3 cells are numbers, '1O' (line 3) is none"),
    "comma among points": ("a;b\n1.5;2\n0,5;2\n3.5;4\n", {"delimiter": ";"}, "'0,5' (line 3) is none (decimal comma?)"),
    "commas and points": ("a;b\n0,5;2.5\n", {"delimiter": ";"}, "numbers are written as '0,5' in column 'a' and as"
                          " '2.5' in column 'b'.\nSet \"dataset.decimal=','\""),
    "Berlin or London": ("a;b\n1,234;2\n", {"delimiter": ";"}, "column 'a' holds numbers such as '1,234', which may be"
                         " 1.234 or 1234.\nSet \"dataset.decimal=','\" or \"dataset.thousands=','\""),
    "one sign for both": (GOOD, {"decimal": ",", "thousands": ","}, "thousands=',' is the sign of fractions too"),
    "a letter as sign": (GOOD, {"decimal": "e"}, "decimal='e' must be one sign"),
    "two signs": (GOOD, {"thousands": ".."}, "thousands='..' must be one sign"),
    "shares": ("b,a b\n" + "".join(f"2,{i}%\n" for i in range(21)), {},
               "set \"dataset.drop=['a b']\" or \"dataset.categorical=['a b']\"."),
    "odd name": ('"a\rb",b\n,2\n1,2\n', {}, r"""or 'dataset.drop=['"'"'a\rb'"'"']'."""),
    "text attribute": ("b,a\n" + "".join(f"2,{i}%\n" for i in range(21)), {"attributes": ("a",)},
                       "numbers, or set dataset.categorical=[a]."),
    "measured label": ("a,y\n" + "".join(f"1,{i / 8}\n" for i in range(-5, 6)), {"label": "y"},
                       "label=y: 11 different labels in 11 rows, such as -0.625, are no classes; take them as"
                       " numbers to predict (dataset.label=null dataset.target=y)"),
    "archive": (b"PK\3\4zip", {}, "is a .zip or .npz archive, no text: take dataset=npz"),
    "forced": (MANY, {"categorical": ("b",)}, "column 'b' has 150 different values.\n"),
    "attribute": (MANY + "oops,3\n", {"attributes": ("a",)}, "column 'a': 150 of 151 cells are numbers"),
    "label": (MANY + MANY[4:], {"label": "b"}, "label=b: 150 different values, above max_categories=100, are no"
              " classes"),
    "label's way out": (MANY + MANY[4:], {"label": "b"}, "Set dataset.label=null dataset.target=b, or"
                        " dataset.max_categories=150."),
    "a label for each row": (MANY, {"label": "b"}, "label=b: 150 different labels in 150 rows, such as '0', name rows,"
                             " no classes (a label for each row); set dataset.label=null dataset.drop=[b]"),
    "no label": (GOOD, {"label": "Y1"}, "label=Y1: data.csv has no column 'Y1'; "),
    "no attribute": ("income,b\n1,2\n", {"attributes": ("incme",)}, "attributes=[incme]: data.csv has no column"
                     " 'incme'; did you mean 'income'?"),
    "no drop": (GOOD, {"drop": ("a", "zzz")}, "drop=[a,zzz]: data.csv has no column 'zzz'; there are a,b,c,y"),
    "no categorical": (GOOD, {"categorical": ("zzz",)}, "categorical=[zzz]: "),
    "twice": (GOOD, {"label": "y", "drop": ("y",)}, "drop=[y]: column 'y' is named also in label"),
    "twice in a list": (GOOD, {"drop": ("a", "a")}, "drop=[a,a]: column 'a' is named twice"),
    "label and attribute": (GOOD, {"label": "y", "attributes": ("y",)}, "attributes=[y]: column 'y' is named also"),
    "nothing left": ("a,b\n1,2\n", {"label": "a", "drop": ("b",)}, "no column is left as a feature"),
    "missing": (GOOD, {"label": "y", "drop": ("c",)}, "missing=error: column 'b' has no value (path="),
    "two that miss": (GOOD, {"label": "y"}, "2 problems\n- missing=error: column 'b' has no value (line 5; 1 in all)\n"
                      "- missing=error: column 'c' has no value (line 3; 1 in all)\nMend the table, or set"
                      " dataset.missing=most_frequent."),
    "never a value": ("a,b\n,1\n,2\n", {}, "column 'a' has no value (path="),
    "two names that are not there": (GOOD, {"label": "Y1", "drop": ("zz",)}, "2 problems\n- label=Y1: data.csv has no"),
    "kept and dropped": (GOOD, {"columns": ("a", "b"), "drop": ("b",)}, "columns=[a,b]: column 'b' is named also in"),
    "nothing kept": (GOOD, {"columns": ("y",), "label": "y"}, "columns=[y]: no column is left as a feature"),
    "no such column kept": (GOOD, {"columns": ("q",)}, "columns=[q]: data.csv has no column 'q'"),
    "missing's line": (GOOD, {"label": "y", "drop": ("b",)}, "line 3; 1 in all).\nSet"
                       " dataset.missing=most_frequent, mean"),
    "missing attribute": (GOOD, {"label": "y", "attributes": ("c",), "missing": "mean"}, "attributes=[c]: column 'c'"
                          " has no value"),
    "missing attribute, error": (GOOD, {"drop": ("y", "b"), "attributes": ("c",)}, "set dataset.missing=drop"),
    "dropped all": ("a,b\n1,\n2,\n", {"missing": "drop"}, "missing=drop leaves no row of path="),
    "dropped all, worst": ("a,b\n1,\n,\n", {"missing": "drop"}, "column 'b' lacks most"),
    "never a mean": ("a,b\n1,\n2,\n", {"missing": "mean"}, "missing=mean: column 'b' has no value in the training"),
    "never a category": ("a,b\n1,\n2,\n", {"missing": "most_frequent", "categorical": ("b",)},
                         "missing=most_frequent: column 'b' has no value in the training split"),
    "other sign": ("a;b\n1;2\n", {}, "Set \"dataset.delimiter=';'\","),
    "long sign": (GOOD, {"delimiter": ";;"}, "delimiter=';;' must be one character"),
    "no sign": (GOOD, {"delimiter": ""}, "delimiter='' must be one character"),
    "quote as sign": (GOOD, {"delimiter": '"'}, "must be one character"),
    "break as sign": (GOOD, {"delimiter": "\n"}, "must be one character"),
    "no such filling": (GOOD, {"missing": "mode"}, "missing=mode must be one of error, drop, mean"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_a_way_out(csv_file, case):
    content, keys, expected = MISTAKES[case]
    message = refused(csv_file(content), **keys)
    assert expected in message, message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n", "the header has 2 columns, that of path="),
        ("a,b,d,y\n1,x,2,no\n", "column 3 of the header is 'd', but 'c' in path="),
        ("a,c,b,y\n1,2,x,no\n", "column 2 of the header is 'c', but 'b'"),
        ("a,b,c,y\n1,x\n", "line 2 has 2 cells"),
        ("", "is empty"),
    ],
)
@pytest.mark.parametrize("key", ["test", "val"])
def test_a_second_file_unlike_the_first_is_refused_under_its_key(csv_file, key, content, expected):
    message = refused(csv_file(GOOD), missing="mean", **{key: str(csv_file(content, "other.csv"))})
    assert message.startswith(f"{key}=") and "other.csv" in message and expected in message


def test_a_test_file_of_which_nothing_is_left_is_named(csv_file):
    message = refused(csv_file("a\n1\n"), missing="drop", test=str(csv_file('a\n""\n', "other.csv")))
    assert "leaves no row of test=" in message


def test_no_file_and_a_folder_are_refused(tmp_path):
    assert "no such file" in refused(tmp_path / "none.csv")
    assert "is a folder" in refused(tmp_path)
    with pytest.raises(UsageError, match="^path is empty"):
        load("")
    assert "cannot be read" in refused(tmp_path / ("x" * 300))


# ---------------------------------------------------------------- anything else


def refused_or_sound(path, **keys) -> None:
    try:
        source = load(path, **keys)
        transform = source.fit(source.rows.x)
        x = transform(source.rows.x)
    except UsageError as error:
        check_message(str(error))
        return
    n, width = len(source.rows.x), len(source.continuous)
    assert x.shape == (n, width) and x.dtype == np.float32 and np.isfinite(x).all() and n >= 1 and width >= 1
    if source.rows.y is not None:
        assert source.rows.y.shape == (n,) and source.rows.y.max() < max(len(source.classes), 1)
    if source.rows.s is not None:
        assert len(source.rows.s) == n and np.isfinite(source.rows.s).all()
    assert np.array_equal(transform(source.rows.x[:1]), x[:1])


WAYS = st.sampled_from(["error", "drop", "mean", "median", "most_frequent"])
WELL = write_table(draw_table(0)).encode()


@settings(max_examples=200)
@given(st.binary(max_size=80) | st.text('",\n\r ab1.é\u2028\x85', max_size=60).map(str.encode), WAYS)
@example(b"a\n" + b"9" * 5000, "mean")
def test_arbitrary_bytes_are_refused_or_a_table(csv_file, content, missing):
    refused_or_sound(csv_file(content), missing=missing)


@settings(max_examples=200)
@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(b'",\n\r;? 19ea\0\xff')), max_size=4),
    WAYS,
    st.sampled_from([{}, {"label": "c1"}, {"label": "n2", "attributes": ("c2",)}, {"attributes": ("n1", "c1")}]),
)
def test_a_cut_or_damaged_file_is_refused_or_a_table(csv_file, share, changes, missing, keys):
    content = bytearray(WELL)
    for place, byte in changes:
        content[int(place * len(content))] = byte
    refused_or_sound(csv_file(bytes(content[: int(share * len(content))])), missing=missing, **keys)


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["1", "-2.5", "1e400", "nan", "NAN", "inf", "1_0", "", "?", 'a"b', "x,y", "p\nq", "\r", "١٢", "0x1", " 3 "]
)


@settings(max_examples=200)
@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=8)),
       WAYS, st.booleans(), st.booleans())  # fmt: skip
def test_arbitrary_cells_are_refused_or_a_table(csv_file, rows, missing, named, labelled):
    header = [list("abcd")[: len(rows[0])]] if named and rows else []
    text = io.StringIO()
    stdlib.writer(text).writerows(header + rows)
    refused_or_sound(csv_file(text.getvalue()), missing=missing, label="a" if labelled else None, max_categories=5)

"""The user's own table: what scikit-learn makes of it by hand, and words for each file that is none."""

from __future__ import annotations

import csv as stdlib
import io
import logging

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.formats.csv import csv
from aeexp.errors import UsageError

KEYS = ("path", "test", "val", "label", "attributes", "drop", "categorical", "missing", "delimiter", "max_categories")
GOOD = "a,b,c,y\n1,red,0.5,no\n2,blue,,yes\n3,red,1.5,no\n4,?,2.5,\n"


def load(path, **keys):
    """The source, before anything is split."""
    return csv.load(str(path), **keys)


def features(source) -> np.ndarray:
    return source.fit(source.rows.x)(source.rows.x)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """file(text or bytes, name): a path that holds it, overwritten by the next call of this name."""
    folder = tmp_path_factory.mktemp("csv") / "zwei Wörter"
    folder.mkdir()

    def save(content: str | bytes, name: str = "data.csv"):
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return save


def refused(path, **keys) -> str:
    with pytest.raises(UsageError) as error:
        source = load(path, **keys)
        features(source)
    message = str(error.value)
    well_told(message)
    return message


def well_told(message: str) -> None:
    """One or two lines that start with a key."""
    assert 1 <= len(message.splitlines()) <= 2, message
    assert message.startswith(tuple(f"{key}{after}" for key in KEYS for after in ("=", " is empty"))), message


def table(seed: int, n: int = 60):
    """Header, random numbers and texts with gaps; one in seven cells of a column is missing."""
    rng = np.random.default_rng(seed)
    columns = {
        "n1": rng.normal(50, 9, n).round(3).astype(str).astype(object),
        "c1": rng.choice(["red", "green", "blue, dark", 'say "hi"', "two\nlines"], n).astype(object),
        "n2": rng.integers(-5, 5, n).astype(str).astype(object),
        "c2": rng.choice(["7", "x", "y"], n, p=[0.2, 0.4, 0.4]).astype(object),
    }
    for cells in columns.values():
        cells[rng.random(n) < 1 / 7] = ""
    columns["n1"][:2] = "1.5"
    columns["c1"][:5] = ["red", "green", "blue, dark", 'say "hi"', "two\nlines"]
    columns["c2"][:2] = ["7", "x"]
    columns["c2"][2:4] = "y"
    return columns


def written(columns) -> str:
    text = io.StringIO()
    writer = stdlib.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


# ---------------------------------------------------------------- laws


@given(st.integers(0, 10**6), st.sampled_from(["mean", "median", "most_frequent"]))
def test_features_are_those_of_scikit_learns_own_pipeline_on_the_raw_cells(file, seed, missing):
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    columns = table(seed)
    source = load(file(written(columns)), missing=missing)
    train = np.random.default_rng(seed).permutation(60)[:40]
    got = source.fit(source.rows.x[train])(source.rows.x)
    blocks = []
    for name, cells in columns.items():
        if name[0] == "n":
            x = np.array([float(cell or "nan") for cell in cells])[:, None]
            blocks.append(SimpleImputer(strategy=missing).fit(x[train]).transform(x))
            continue
        x = np.array([cell or None for cell in cells], object)[:, None]
        words = sorted(set(cells) - {""})
        if missing == "most_frequent":
            x = SimpleImputer(missing_values=None, strategy=missing).fit(x[train]).transform(x)
        else:  # a category of its own, the last
            x[np.equal(x, None)] = "~"
            words += ["~"] if "" in cells else []
        blocks.append(OneHotEncoder(categories=[words], sparse_output=False).fit(x[train]).transform(x))
    # the same operations in float64, rounded once
    assert np.array_equal(got, np.hstack(blocks).astype(np.float32))
    assert source.continuous.tolist() == [name[0] == "n" for name, b in zip(columns, blocks, strict=True)
                                          for _ in range(b.shape[1])]  # fmt: skip


def test_columns_keep_the_order_of_the_file_and_a_one_hot_block_sums_to_one(file):
    source = load(file("c,a,k,b\nx,1,2,5\ny,2,10,6\nz,3,2,7\n"), categorical=("k",))
    expected = [[1, 0, 0, 1, 1, 0, 5], [0, 1, 0, 2, 0, 1, 6], [0, 0, 1, 3, 1, 0, 7]]  # 2 before 10: by value
    assert features(source).tolist() == expected
    assert source.continuous.tolist() == [False] * 3 + [True, False, False, True]
    assert source.rows.x.shape == (3, 4) and source.rows.y is None and source.classes == ()


@given(st.integers(0, 10**6), st.sampled_from(["mean", "median", "most_frequent"]))
def test_every_one_hot_row_sums_to_one_per_column(file, seed, missing):
    source = load(file(written(table(seed))), missing=missing)
    x = features(source)
    assert (x[:, ~source.continuous].sum(1) == 2).all()  # two columns of categories
    assert set(np.unique(x[:, ~source.continuous])) == {0, 1}


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=20), st.integers(-1000, 1000))
def test_the_mean_is_that_of_the_training_rows_whatever_the_test_rows_are(file, train, other):
    rows = "".join(f"{value},u\n" for value in train)
    fills = []
    for value in (other, other + 7):
        test = file(f"n,c\n{value},u\n,u\n", "test.csv")
        source = load(file("n,c\n" + rows), test=str(test), missing="mean")
        fills.append(source.fit(source.rows.x)(source.test.x)[1, 0])
    assert fills[0] == fills[1] == np.float32(np.sum(train) / len(train))  # integers: an exact sum, one division


def test_a_fold_without_a_category_has_the_same_width(file):
    source = load(file("c\nred\nblue\n"), test=str(file("c\ngreen\n", "test.csv")), missing="mean")
    transform = source.fit(source.rows.x[:1])
    assert transform(source.rows.x).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert transform(source.test.x).tolist() == [[0, 1, 0]]


def test_missing_categories_get_their_own_place_or_the_commonest(file):
    path = file("c,n\nb,1\n?,2\na,3\nb,NA\n")
    assert features(load(path, missing="mean")).tolist() == [[0, 1, 0, 1], [0, 0, 1, 2], [1, 0, 0, 3], [0, 1, 0, 2]]
    assert features(load(path, missing="most_frequent"))[1].tolist() == [0, 1, 2]
    dropped = load(path, missing="drop")
    assert features(dropped).tolist() == [[0, 1, 1], [1, 0, 3]]


def test_a_text_that_is_not_among_the_missing_values_is_a_category(file):
    assert features(load(file("c\n?\nb\n"), missing_values=("",))).tolist() == [[1, 0], [0, 1]]
    assert features(load(file("n\n1_0\n2\n"))).tolist() == [[1, 0], [0, 1]]  # Python alone reads 1_0 as 10
    source = load(file("n\n-999\n1\n3\n"), missing_values=(-999,), missing="mean")
    assert features(source).tolist() == [[2], [1], [3]]


@pytest.mark.parametrize(
    ("cells", "classes", "y"),
    [
        ("10 9 -1 9", ("-1", "9", "10"), [2, 1, 0, 1]),
        ("1 1.0 0.5 1", ("0.5", "1"), [1, 1, 0, 1]),
        ("b a ? b", ("a", "b"), [1, 0, -1, 1]),
        ("10 9 x 9", ("10", "9", "x"), [0, 1, 2, 1]),
        ("? ? ? ?", (), [-1] * 4),
    ],
)
def test_labels_are_numbered_in_their_order_and_a_missing_one_is_unlabelled(file, cells, classes, y):
    path = file("x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells.split())))
    for missing in ("error", "drop", "mean", "most_frequent"):
        source = load(path, label="y", missing=missing)
        assert source.classes == classes and source.rows.y.tolist() == y and source.rows.y.dtype == np.int64


def test_train_test_and_val_share_classes_and_codes(file):
    test, val = file("x,y\n1,a\n", "test.csv"), file("x,y\n2,c\n3,\n", "val.csv")
    source = load(file("x,y\n0,b\n"), test=str(test), val=str(val), label="y")
    assert source.classes == ("a", "b", "c")
    assert [part.y.tolist() for part in (source.rows, source.test, source.val)] == [[1], [0], [2, -1]]
    assert source.val.x.tolist() == [[2], [3]]


def test_attributes_lie_beside_the_rows(file, caplog):
    path = file("x,sex,age,y\n1,m,30,0\n2,f,40.5,1\n")
    both = load(path, attributes=("age", "sex"), label="y")
    assert both.attributes == ("age", "sex") and both.rows.s.tolist() == [[30, 1], [40.5, 0]]
    assert both.rows.s.dtype == np.float32 and both.rows.x.tolist() == [[1], [2]]
    with caplog.at_level(logging.INFO):
        one = load(path, attributes=("sex",), drop=("y", "age"))
    assert one.rows.s.tolist() == [1, 0] and one.rows.s.dtype == np.int64
    assert "attribute sex: 0 f,1 m" in caplog.text


def test_quotes_blanks_line_breaks_marks_and_signs_are_read(file):
    quoted = '\ufeffa , "b, c"\r\n\r\n 1 , "x\r\ny" \r\n2,z\r\n\r\n'.replace(' "x\r\ny" ', ' "x\r\ny"')
    source = load(file(quoted))
    assert features(source).tolist() == [[1, 1, 0], [2, 0, 1]]
    semicolons = load(file("a;b\n1;2,5\n"), delimiter=";", drop=("b",))
    assert features(semicolons).tolist() == [[1]]
    for tab in ("\t", r"\t"):
        assert features(load(file("a\tb\n1\t2\n"), delimiter=tab)).tolist() == [[1, 2]]
    assert features(load(file("a b\n1 2\n"), delimiter=" ")).tolist() == [[1, 2]]
    assert features(load(file("a\r1\r2\r"))).tolist() == [[1], [2]]


def test_drop_and_columns_of_one_value_are_logged(file, caplog):
    with caplog.at_level(logging.INFO):
        source = load(file("a,b\n1,x\n,x\n3,x\n"), missing="drop")
    assert "leaves out 1 of 3 rows" in caplog.text and "one value only: b" in caplog.text
    assert features(source).tolist() == [[1, 1], [3, 1]]


def test_columns_of_few_texts_are_categories_and_told(file, caplog):
    rows = "".join(f"{'1,5' if i % 2 else 2.5},{i % 21}x,{i}\n".replace("1,5", '"1,5"') for i in range(42))
    with caplog.at_level(logging.INFO):
        source = load(file("half,many,n\n" + rows))  # half the cells are no most of them, nor 21 of 42 texts
    assert "columns taken as categories: half (2 values),many (21 values)" in caplog.text
    assert source.continuous.tolist() == [False] * 23 + [True]
    wanted = load(file("a,b\n1,2\nx,3\n4,5\n"), categorical=("a",))
    assert features(wanted)[:, :3].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_a_cell_that_is_missing_in_a_dropped_column_or_the_label_drops_no_row(file):
    source = load(file("a,b,y\n1,,0\n2,5,\n"), missing="drop", drop=("b",), label="y")
    assert source.rows.x.tolist() == [[1], [2]] and source.rows.y.tolist() == [0, -1]


def test_as_a_data_set_numbers_are_standardised_on_the_training_rows_and_one_hot_is_not(file):
    path = file(written(table(3)))
    data = csv(path=str(path), missing="mean", standardise=True, name="csv", split=Fractions([8, 1, 1]))
    x = data["train"].batch(slice(None)).x.numpy()
    numbers = load(path, missing="mean").continuous
    # the sum of 48 float32 roundings of values of some units: 2^-24 * 48 * 4 < 2e-5
    np.testing.assert_allclose(x[:, numbers].mean(0), 0, atol=2e-5)
    np.testing.assert_allclose(x[:, numbers].std(0), 1, atol=2e-5)
    assert set(np.unique(x[:, ~numbers])) == {0, 1}


# ---------------------------------------------------------------- Adult


@pytest.fixture(scope="module")
def adult(shared_data):
    def of(missing):
        train, test = (str(shared_data / "adult" / f"adult_{part}.csv") for part in ("train", "test"))
        return load(train, test=test, label="income", missing=missing)

    return of


def test_adult_has_its_published_counts(adult):
    source = adult("drop")
    assert len(source.rows.x) == 32561 - 2399 and len(source.test.x) == 16281 - 1221
    assert source.rows.x.shape[1] == 14 and source.classes == ("<=50K", ">50K") and source.continuous.sum() == 6


@pytest.mark.slow
def test_a_linear_classifier_of_adult_is_as_good_as_published_ones(adult):
    from sklearn.linear_model import LogisticRegression

    source = adult("most_frequent")
    assert np.bincount(source.rows.y).tolist() == [24720, 7841] and np.bincount(source.test.y).tolist() == [12435, 3846]
    transform = source.fit(source.rows.x)
    train, test = transform(source.rows.x), transform(source.test.x)
    assert train.dtype == np.float32 and np.isfinite(train).all() and np.isfinite(test).all()
    mean, deviation = (np.where(source.continuous, f(train, axis=0), other) for f, other in ((np.mean, 0), (np.std, 1)))
    classifier = LogisticRegression(max_iter=500).fit((train - mean) / deviation, source.rows.y)
    # 0.851 here; one standard error of a share of 16,281 rows is 0.003, and the majority has 0.764
    assert 0.84 <= classifier.score((test - mean) / deviation, source.test.y) <= 0.855


# ---------------------------------------------------------------- messages

MANY = "a,b\n" + "".join(f"{i},{i}\n" for i in range(150))
MISTAKES = {
    "empty": ("", {}, "the file is empty"),
    "blank": ("\n \n", {}, "the file is empty"),
    "no row": ("a,b\n", {}, "no row"),
    "no header": ("1,2\n3,4\n", {}, "line 1 holds numbers only; put a header line"),
    "two names": ("a,b,a\n1,2,3\n", {}, "columns 1 and 3 are both named 'a'"),
    "no name": ("a,,c\n1,2,3\n", {}, "column 2 of 3 has no name"),
    "too few": ("a,b\n1,2\n\n3\n", {}, "line 4 has 1 cell, but the header 2"),
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
    "comma among numbers": ("a;b\n1;2\n0,5;2\n3;4\n", {"delimiter": ";"}, "'0,5' (line 3) is none (decimal comma?)"),
    "commas": ("a;b\n" + "".join(f"{i},5;2\n" for i in range(21)), {"delimiter": ";"},
               "column 'a' has 21 different texts in 21 rows, such as '0,5' (line 2) (decimal comma?).\nMake them"
               " numbers, or set dataset.drop=[a] or dataset.categorical=[a]."),
    "shares": ("b,a b\n" + "".join(f"2,{i}%\n" for i in range(21)), {},
               "set \"dataset.drop=['a b']\" or \"dataset.categorical=['a b']\"."),
    "odd name": ('"a\rb",b\n,2\n', {}, "or \"dataset.drop=['a\\rb']\"."),
    "text attribute": ("b,a\n" + "".join(f"2,{i}%\n" for i in range(21)), {"attributes": ("a",)},
                       "numbers, or set dataset.categorical=[a]."),
    "measured label": ("a,y\n" + "".join(f"1,{i / 8}\n" for i in range(-5, 6)), {"label": "y"},
                       "label=y: 11 different labels in 11 rows, such as -0.625, are no classes; take them as"
                       " attributes (dataset.attributes=[y] dataset.label=null)"),
    "archive": (b"PK\3\4zip", {}, "is a .zip or .npz archive, no text: take dataset=npz"),
    "forced": (MANY, {"categorical": ("b",)}, "column 'b' has 150 different values.\n"),
    "attribute": (MANY + "oops,3\n", {"attributes": ("a",)}, "column 'a': 150 of 151 cells are numbers"),
    "label": (MANY, {"label": "b"}, "label=b: 150 different values, above max_categories=100, are no classes"),
    "label's way out": (MANY, {"label": "b"}, "Set dataset.label=null dataset.attributes=[b], or"
                        " dataset.max_categories=150."),
    "no label": (GOOD, {"label": "Y1"}, "label=Y1: data.csv has no column 'Y1'; "),
    "no attribute": ("income,b\n1,2\n", {"attributes": ("incme",)}, "attributes=[incme]: data.csv has no column"
                     " 'incme'; did you mean 'income'?"),
    "no drop": (GOOD, {"drop": ("a", "zzz")}, "drop=[a,zzz]: data.csv has no column 'zzz'; there are a,b,c,y"),
    "no categorical": (GOOD, {"categorical": ("zzz",)}, "categorical=[zzz]: "),
    "twice": (GOOD, {"label": "y", "drop": ("y",)}, "drop=[y]: column 'y' is named also in label"),
    "twice in a list": (GOOD, {"drop": ("a", "a")}, "drop=[a,a]: column 'a' is named twice"),
    "label and attribute": (GOOD, {"label": "y", "attributes": ("y",)}, "attributes=[y]: column 'y' is named also"),
    "nothing left": ("a,b\n1,2\n", {"label": "a", "drop": ("b",)}, "no column is left as a feature"),
    "missing": (GOOD, {"label": "y"}, "missing=error: column 'b' has no value (path="),
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
    "no categories": (GOOD, {"max_categories": 0}, "max_categories=0 must be at least 1"),
    "no such filling": (GOOD, {"missing": "mode"}, "missing=mode must be one of error, drop, mean"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_a_way_out(file, case):
    content, keys, words = MISTAKES[case]
    message = refused(file(content), **keys)
    assert words in message, message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n", "the header has 2 columns, that of path="),
        ("a,b,d,y\n1,x,2,no\n", "column 3 of the header is 'd', but 'c' in path="),
        ("a,c,b,y\n1,2,x,no\n", "column 2 of the header is 'c', but 'b'"),
        ("a,b,c,y\n1,x\n", "line 2 has 2 cells"),
        ("", "is empty"),
    ],
)
@pytest.mark.parametrize("key", ["test", "val"])
def test_a_second_file_unlike_the_first_is_refused_under_its_key(file, key, content, words):
    message = refused(file(GOOD), missing="mean", **{key: str(file(content, "other.csv"))})
    assert message.startswith(f"{key}=") and "other.csv" in message and words in message


def test_a_test_file_of_which_nothing_is_left_is_named(file):
    message = refused(file("a\n1\n"), missing="drop", test=str(file('a\n""\n', "other.csv")))
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
        well_told(str(error))
        return
    n, width = len(source.rows.x), len(source.continuous)
    assert x.shape == (n, width) and x.dtype == np.float32 and np.isfinite(x).all() and n >= 1 and width >= 1
    if source.rows.y is not None:
        assert source.rows.y.shape == (n,) and source.rows.y.max() < max(len(source.classes), 1)
    if source.rows.s is not None:
        assert len(source.rows.s) == n and np.isfinite(source.rows.s).all()
    assert np.array_equal(transform(source.rows.x[:1]), x[:1])


WAYS = st.sampled_from(["error", "drop", "mean", "median", "most_frequent"])
WELL = written(table(0)).encode()


@settings(max_examples=200)
@given(st.binary(max_size=80) | st.text('",\n\r ab1.é\u2028\x85', max_size=60).map(str.encode), WAYS)
@example(b"a\n" + b"9" * 5000, "mean")
def test_arbitrary_bytes_are_refused_or_a_table(file, content, missing):
    refused_or_sound(file(content), missing=missing)


@settings(max_examples=200)
@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(b'",\n\r;? 19ea\0\xff')), max_size=4),
    WAYS,
    st.sampled_from([{}, {"label": "c1"}, {"label": "n2", "attributes": ("c2",)}, {"attributes": ("n1", "c1")}]),
)
def test_a_cut_or_damaged_file_is_refused_or_a_table(file, share, changes, missing, keys):
    content = bytearray(WELL)
    for place, byte in changes:
        content[int(place * len(content))] = byte
    refused_or_sound(file(bytes(content[: int(share * len(content))])), missing=missing, **keys)


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["1", "-2.5", "1e400", "nan", "NAN", "inf", "1_0", "", "?", 'a"b', "x,y", "p\nq", "\r", "١٢", "0x1", " 3 "]
)


@settings(max_examples=200)
@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=8)),
       WAYS, st.booleans(), st.booleans())  # fmt: skip
def test_arbitrary_cells_are_refused_or_a_table(file, rows, missing, named, labelled):
    header = [list("abcd")[: len(rows[0])]] if named and rows else []
    text = io.StringIO()
    stdlib.writer(text).writerows(header + rows)
    refused_or_sound(file(text.getvalue()), missing=missing, label="a" if labelled else None, max_categories=5)

"""The user's own table: what scikit-learn makes of it by hand."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from csv_files import draw_table, features, load, write_table
from hypothesis import given
from hypothesis import strategies as st

from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.formats.csv import csv


@given(st.integers(0, 10**6), st.sampled_from(["mean", "median", "most_frequent"]))
def test_features_are_those_of_scikit_learns_own_pipeline_on_the_raw_cells(csv_file, seed, missing):
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    columns = draw_table(seed)
    source = load(csv_file(write_table(columns)), missing=missing)
    train = np.random.default_rng(seed).permutation(60)[:40]
    got = source.fit(source.rows.x[train])(source.rows.x)
    blocks = []
    for name, cells in columns.items():
        if name[0] == "n":
            x = np.array([float(cell or "nan") for cell in cells])[:, None]
            blocks.append(SimpleImputer(strategy=missing).fit(x[train]).transform(x))
            continue
        x = np.array([cell or None for cell in cells], object)[:, None]
        categories = sorted(set(cells) - {""})
        if missing == "most_frequent":
            x = SimpleImputer(missing_values=None, strategy=missing).fit(x[train]).transform(x)
        else:  # a category of its own, the last
            x[np.equal(x, None)] = "~"
            categories += ["~"] if "" in cells else []
        blocks.append(OneHotEncoder(categories=[categories], sparse_output=False).fit(x[train]).transform(x))
    # the same operations in float64, rounded once
    assert np.array_equal(got, np.hstack(blocks).astype(np.float32))
    assert source.continuous.tolist() == [name[0] == "n" for name, b in zip(columns, blocks, strict=True)
                                          for _ in range(b.shape[1])]  # fmt: skip


def test_columns_keep_the_order_of_the_file_and_a_one_hot_block_sums_to_one(csv_file):
    source = load(csv_file("c,a,k,b\nx,1,2,5\ny,2,10,6\nz,3,2,7\n"), categorical=("k",))
    expected = [[1, 0, 0, 1, 1, 0, 5], [0, 1, 0, 2, 0, 1, 6], [0, 0, 1, 3, 1, 0, 7]]  # 2 before 10: by value
    assert features(source).tolist() == expected
    assert source.continuous.tolist() == [False] * 3 + [True, False, False, True]
    assert source.rows.x.shape == (3, 4) and source.rows.y is None and source.classes == ()


@given(st.integers(0, 10**6), st.sampled_from(["mean", "median", "most_frequent"]))
def test_every_one_hot_row_sums_to_one_per_column(csv_file, seed, missing):
    source = load(csv_file(write_table(draw_table(seed))), missing=missing)
    x = features(source)
    assert (x[:, ~source.continuous].sum(1) == 2).all()  # two columns of categories
    assert set(np.unique(x[:, ~source.continuous])) == {0, 1}


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=20), st.integers(-1000, 1000))
def test_the_mean_is_that_of_the_training_rows_whatever_the_test_rows_are(csv_file, train, other):
    rows = "".join(f"{value},u\n" for value in train)
    fills = []
    for value in (other, other + 7):
        test = csv_file(f"n,c\n{value},u\n,u\n", "test.csv")
        source = load(csv_file("n,c\n" + rows), test=str(test), missing="mean")
        fills.append(source.fit(source.rows.x)(source.test.x)[1, 0])
    assert fills[0] == fills[1] == np.float32(np.sum(train) / len(train))  # integers: an exact sum, one division


def test_a_fold_without_a_category_has_the_same_width(csv_file):
    source = load(csv_file("c\nred\nblue\n"), test=str(csv_file("c\ngreen\n", "test.csv")), missing="mean")
    transform = source.fit(source.rows.x[:1])
    assert transform(source.rows.x).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert transform(source.test.x).tolist() == [[0, 1, 0]]


def test_missing_categories_get_their_own_place_or_the_commonest(csv_file):
    path = csv_file("c,n\nb,1\n?,2\na,3\nb,NA\n")
    assert features(load(path, missing="mean")).tolist() == [[0, 1, 0, 1], [0, 0, 1, 2], [1, 0, 0, 3], [0, 1, 0, 2]]
    assert features(load(path, missing="most_frequent"))[1].tolist() == [0, 1, 2]
    dropped = load(path, missing="drop")
    assert features(dropped).tolist() == [[0, 1, 1], [1, 0, 3]]


def test_a_text_that_is_not_among_the_missing_values_is_a_category(csv_file):
    assert features(load(csv_file("c\n?\nb\n"), missing_values=("",))).tolist() == [[1, 0], [0, 1]]
    assert features(load(csv_file("n\n1_0\n2\n"))).tolist() == [[1, 0], [0, 1]]  # Python alone reads 1_0 as 10
    source = load(csv_file("n\n-999\n1\n3\n"), missing_values=(-999,), missing="mean")
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
def test_labels_are_numbered_in_their_order_and_a_missing_one_is_unlabelled(csv_file, cells, classes, y):
    path = csv_file("x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells.split())))
    for missing in ("error", "drop", "mean", "most_frequent"):
        source = load(path, label="y", missing=missing)
        assert source.classes == classes and source.rows.y.tolist() == y and source.rows.y.dtype == np.int64


def test_train_test_and_val_share_classes_and_codes(csv_file):
    test, val = csv_file("x,y\n1,a\n", "test.csv"), csv_file("x,y\n2,c\n3,\n", "val.csv")
    source = load(csv_file("x,y\n0,b\n"), test=str(test), val=str(val), label="y")
    assert source.classes == ("a", "b", "c")
    assert [part.y.tolist() for part in (source.rows, source.test, source.val)] == [[1], [0], [2, -1]]
    assert source.val.x.tolist() == [[2], [3]]


def test_attributes_lie_beside_the_rows(csv_file, caplog):
    path = csv_file("x,sex,age,y\n1,m,30,0\n2,f,40.5,1\n")
    both = load(path, attributes=("age", "sex"), label="y")
    assert both.attributes == ("age", "sex") and both.rows.s.tolist() == [[30, 1], [40.5, 0]]
    assert both.rows.s.dtype == np.float32 and both.rows.x.tolist() == [[1], [2]]
    with caplog.at_level(logging.INFO):
        one = load(path, attributes=("sex",), drop=("y", "age"))
    assert one.rows.s.tolist() == [1, 0] and one.rows.s.dtype == np.int64
    assert "attribute sex: 0 f,1 m" in caplog.text


def test_quotes_blanks_line_breaks_marks_and_signs_are_read(csv_file):
    quoted = '\ufeffa , "b, c"\r\n\r\n 1 , "x\r\ny" \r\n2,z\r\n\r\n'.replace(' "x\r\ny" ', ' "x\r\ny"')
    source = load(csv_file(quoted))
    assert features(source).tolist() == [[1, 1, 0], [2, 0, 1]]
    semicolons = load(csv_file("a;b\n1;2,5\n"), delimiter=";", drop=("b",))
    assert features(semicolons).tolist() == [[1]]
    for tab in ("\t", r"\t"):
        assert features(load(csv_file("a\tb\n1\t2\n"), delimiter=tab)).tolist() == [[1, 2]]
    assert features(load(csv_file("a b\n1 2\n"), delimiter=" ")).tolist() == [[1, 2]]
    assert features(load(csv_file("a\r1\r2\r"))).tolist() == [[1], [2]]


def test_drop_and_columns_of_one_value_are_logged(csv_file, caplog):
    with caplog.at_level(logging.INFO):
        source = load(csv_file("a,b\n1,x\n,x\n3,x\n"), missing="drop")
    assert "leaves out 1 of 3 rows" in caplog.text and "one value only: b" in caplog.text
    assert features(source).tolist() == [[1, 1], [3, 1]]


def test_columns_of_few_texts_are_categories_and_told(csv_file, caplog):
    rows = "".join(f"{'1,5' if i % 2 else 2.5},{i % 21}x,{i}\n".replace("1,5", '"1,5"') for i in range(42))
    with caplog.at_level(logging.INFO):
        source = load(csv_file("half,many,n\n" + rows))  # half the cells are no most of them, nor 21 of 42 texts
    assert "columns taken as categories: half (2 values),many (21 values)" in caplog.text
    assert source.continuous.tolist() == [False] * 23 + [True]
    wanted = load(csv_file("a,b\n1,2\nx,3\n4,5\n"), categorical=("a",))
    assert features(wanted)[:, :3].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_a_cell_that_is_missing_in_a_dropped_column_or_the_label_drops_no_row(csv_file):
    source = load(csv_file("a,b,y\n1,,0\n2,5,\n"), missing="drop", drop=("b",), label="y")
    assert source.rows.x.tolist() == [[1], [2]] and source.rows.y.tolist() == [0, -1]


def test_as_a_data_set_numbers_are_standardised_on_the_training_rows_and_one_hot_is_not(csv_file):
    path = csv_file(write_table(draw_table(3)))
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

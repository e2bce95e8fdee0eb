"""A run knows its table: new rows get the codes of training, whatever else the file holds or lacks."""

from __future__ import annotations

import csv as text
from pathlib import Path

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.cli.encode import main
from aeexp.datasets.core.tabular import TableColumn, Tabular
from aeexp.datasets.formats.columns import Column
from aeexp.datasets.formats.features import Features
from aeexp.errors import UsageError
from aeexp.runs.header import read_header
from aeexp.runs.loading import LoadedRun
from aeexp.trainers.checkpoint import load

QUICK = ("trainer.steps=3", "metric=none", "plot=none", "latent.dim=3")
COLUMNS = ["age", "job", "zip", "income", "sex", "hours"]
ADULT = Path(__file__).resolve().parents[3] / "shared" / "data" / "adult"


def make_rows(count: int = 60) -> list[dict[str, str]]:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        job = rng.choice(["clerk", "farmer", "?"] if i else ["clerk"])
        hours = "" if i % 9 == 4 else f"{rng.integers(10, 60)}"
        rows.append({"age": f"{rng.integers(18, 80)}", "job": str(job), "zip": str(rng.choice(["1", "2", "7"])),
                     "income": str(rng.choice(["high", "low"])), "sex": str(rng.choice(["f", "m"])),
                     "hours": hours})  # fmt: skip
    return rows


def write(path: Path, rows: list[dict[str, str]], columns: list[str], delimiter: str = ",") -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = text.DictWriter(file, columns, extrasaction="ignore", delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def encode(run: Path, *words: object) -> dict[str, np.ndarray]:
    output = run.parent / "codes.npz"
    main([str(run), *map(str, words), "--output", str(output), "--force", "--device", "cpu"])
    with np.load(output, allow_pickle=False) as archive:
        return dict(archive)


def refused(capsys, run: Path, *words: object) -> str:
    with pytest.raises(SystemExit) as end:
        encode(run, *words)
    assert end.value.code == 2
    return capsys.readouterr().err


def train(folder: Path, *words: str) -> tuple[Path, np.ndarray]:
    """A run whose table is gone, and the codes of all its rows in their order."""
    path = write(folder / "rows.csv", make_rows(), COLUMNS)
    run = folder / "run"
    run_in(run, *QUICK, "dataset=csv", f"dataset.path={path}", "dataset.label=income", *words)
    own = encode(run)
    parts = ("train", "val", "test")
    ids = np.concatenate([own[f"ids_{part}"] for part in parts])
    codes = np.concatenate([own[f"x_{part}"] for part in parts])
    path.unlink()
    return run, codes[np.argsort(ids)]


@pytest.fixture(scope="module", params=["mean", "median", "most_frequent"])
def trained(request, tmp_path_factory):
    return train(tmp_path_factory.mktemp("tables"), f"dataset.missing={request.param}", "dataset.attributes=[sex]",
                 "dataset.categorical=[zip]")  # fmt: skip


def test_rows_without_label_in_another_order_and_without_the_training_file_get_the_codes_of_training(trained, tmp_path):
    run, codes = trained
    columns = ["hours", "note", "zip", "age", "job"]
    rows = [{**row, "note": "x"} for row in make_rows()]
    new = encode(run, write(tmp_path / "new.csv", rows, columns))
    # the same features bit by bit: what is left is float32 sums in batches of other sizes
    assert np.allclose(new["x"], codes, atol=1e-5)
    assert new.keys() == {"x", "ids"}


def test_what_the_file_has_of_label_and_attribute_comes_along(trained, tmp_path):
    new = encode(trained[0], write(tmp_path / "new.csv", make_rows(), COLUMNS))
    rows = make_rows()
    assert new["classes"][new["y"]].tolist() == [row["income"] for row in rows]
    assert new["s"].tolist() == [int(row["sex"] == "m") for row in rows]


def test_other_signs_of_a_file_are_said_at_the_command(trained, tmp_path):
    run, codes = trained
    rows = [{**row, "age": f"{row['age']},0", "zip": f"{row['zip']}.0"} for row in make_rows()]
    path = write(tmp_path / "new.csv", rows, COLUMNS, ";")
    new = encode(run, path, "delimiter=;", "decimal=','")
    assert np.allclose(new["x"], codes, atol=1e-5)  # 1.0 is the category 1


def test_a_category_never_seen_is_named_and_counts_as_unknown(trained, tmp_path, caplog):
    run, codes = trained
    rows = make_rows()[:3]
    rows[1]["job"] = rows[2]["job"] = "astronaut"
    new = encode(run, write(tmp_path / "new.csv", rows, COLUMNS))
    assert "column 'job' holds what training never saw, which counts as unknown: 'astronaut' in 2 rows" in caplog.text
    assert np.allclose(new["x"][0], codes[0], atol=1e-5)
    loaded = LoadedRun(run, "cpu")
    assert loaded.header.data is not None and (table := loaded.header.data.table) is not None
    place = next(i for i, column in enumerate(table.features) if column.name == "job")
    start = sum(column.width for column in table.features[:place])
    seen = [row for row in make_rows() if row["job"] == "?"][:1]
    if table.features[place].gap:  # that of an empty cell
        rows[1]["job"] = "?"
        other = encode(run, write(tmp_path / "other.csv", [*rows[:2], *seen], COLUMNS))
        assert np.allclose(new["x"][1], other["x"][1], atol=1e-5)
    unknown = table(np.array([[30.0, -1.0, 0.0, 40.0]]))[0, start : start + table.features[place].width]
    assert unknown.tolist() == [0.0, 0.0] + [1.0] * table.features[place].gap


def test_what_a_table_lacks_is_told_at_once(trained, tmp_path, capsys):
    run, _ = trained
    path = write(tmp_path / "new.csv", make_rows(), ["jobs", "zip", "age"])
    message = refused(capsys, run, path)
    assert "no columns job,hours, which the run was trained on; is it 'jobs' for 'job'?" in message.replace(
        "hours,job", "job,hours"
    )
    rows = make_rows()
    rows[1]["age"] = "old"
    assert "'old', no number" in refused(capsys, run, write(path, rows, COLUMNS))
    assert "did you mean label?" in refused(capsys, run, path, "labels=a")
    assert "rows of csv have the keys label, target" in refused(capsys, run, path, "categorical=[age]")
    assert "label=wage: the table has no such column" in refused(
        capsys, run, write(path, make_rows(), COLUMNS), "label=wage"
    )


def test_a_run_that_fills_nothing_refuses_gaps_or_leaves_them_out(tmp_path, capsys):
    run, codes = train(tmp_path, "dataset.missing=drop", "dataset.drop=[sex]")
    path = write(tmp_path / "new.csv", rows := make_rows(), ["zip", "job", "age", "hours"])
    assert "missing=drop leaves such rows out" in refused(capsys, run, path)
    new = encode(run, path, "missing=drop")
    full = [i for i, row in enumerate(rows) if row["hours"] and row["job"] != "?"]
    assert new["ids"].tolist() == full and np.allclose(new["x"], codes, atol=1e-5)


def test_a_conditioned_run_needs_its_attribute(tmp_path, capsys):
    words = ("dataset.attributes=[sex]", "condition=attribute", "dataset.missing=mean")
    run, codes = train(tmp_path, *words)
    path = write(tmp_path / "new.csv", make_rows(), ["sex", "zip", "job", "age", "hours"])
    assert np.allclose(encode(run, path)["x"], codes, atol=1e-5)
    assert "no column sex, which" in refused(capsys, run, write(path, make_rows(), ["zip", "job", "age", "hours"]))
    rows = make_rows()
    rows[4]["sex"] = "x"
    message = refused(capsys, run, write(path, rows, COLUMNS))
    assert "line 6" in message and "attribute 'sex' holds 'x', new to the run" in message


def test_data_that_ship_with_named_columns_take_tables_too(tmp_path):
    run = tmp_path / "run"
    run_in(run, *QUICK, "dataset=iris")
    names = [column.name for column in LoadedRun(run, "cpu").header.data.table.features]  # pyright: ignore
    path = write(tmp_path / "flowers.csv", [dict(zip(names, "1234", strict=True))], names[::-1])
    np.save(tmp_path / "flowers.npy", np.array([[1, 2, 3, 4]], np.float32))
    assert np.allclose(encode(run, path)["x"], encode(run, tmp_path / "flowers.npy")["x"], atol=1e-6)


HOSTILE = {
    "width": {"features": [{"name": "a"}, {"name": "b"}]},
    "fill": {"features": [{"name": "a", "fill": float("inf")}]},
    "place": {"features": [{"name": "a", "categories": ["x"], "fill": 5.0}]},
    "gap": {"features": [{"name": "a", "gap": True}]},
    "missing": {"features": [{"name": "a"}], "missing": "eval"},
    "delimiter": {"features": [{"name": "a"}], "delimiter": "ab"},
    "decimal": {"features": [{"name": "a"}], "decimal": "12"},
    "type": {"features": [{"name": 3}]},
    "nothing": {"features": 7},
    "more": {"features": [{"name": "a", "_target_": "os.system"}]},
    "none": [],
}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """The checkpoint of a run on one column of numbers."""
    folder = tmp_path_factory.mktemp("narrow")
    rows = [{"a": str(i)} for i in range(20)]
    run_in(folder / "run", *QUICK, "dataset=csv", f"dataset.path={write(folder / 'a.csv', rows, ['a'])}",
           "latent.dim=1")  # fmt: skip
    return load(folder / "run" / "checkpoints" / "best.pt")


@pytest.mark.parametrize("case", HOSTILE)
def test_a_table_that_no_training_writes_is_refused(narrow, case):
    assert read_header(narrow).data.table.width == 1  # pyright: ignore
    with pytest.raises(UsageError):
        read_header({**narrow, "data": {**narrow["data"], "table": HOSTILE[case]}})


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_filling_and_coding_are_those_of_scikit_learn(data):
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    missing = data.draw(st.sampled_from(["mean", "median", "most_frequent"]))
    numbers = data.draw(st.lists(st.one_of(st.none(), st.integers(-5, 5)), min_size=3, max_size=12))
    places = data.draw(st.lists(st.one_of(st.none(), st.integers(0, 2)), min_size=len(numbers), max_size=len(numbers)))
    x = np.array([numbers, places], np.float64).T
    if np.isnan(x).all(0).any():
        return
    columns = [Column("n", x[:, 0]), Column("c", x[:, 1], ("u", "v", "w"))]
    mine = Features(columns, missing, Tabular(())).fit(x)(x)
    filled = SimpleImputer(strategy=missing).fit_transform(x[:, :1])
    codes = x[:, 1:]
    categories: list[float] = [0, 1, 2]
    if missing == "most_frequent":
        codes = SimpleImputer(strategy=missing).fit_transform(codes)
    elif np.isnan(codes).any():
        categories.append(np.nan)
    onehot = OneHotEncoder(categories=[np.array(categories)], sparse_output=False).fit_transform(codes)  # pyright: ignore
    assert np.array_equal(mine, np.hstack([filled, onehot]).astype(np.float32))


def test_the_description_survives_the_checkpoint(tmp_path):
    table = Tabular((TableColumn("a", fill=1.5), TableColumn("b", ("x", "y"), gap=True)), label="c", decimal=",")
    torch.save(table.to_dict(), tmp_path / "t.pt")
    back = torch.load(tmp_path / "t.pt", weights_only=True)
    assert back["features"][1] == {"name": "b", "categories": ["x", "y"], "gap": True, "fill": None}


@pytest.mark.skipif(not ADULT.is_dir(), reason="Adult is not beside the checkout")
def test_rows_of_adult_are_encoded_without_label_and_training_file(tmp_path):
    lines = (ADULT / "adult_train.csv").read_text(encoding="utf-8").splitlines()[:1501]
    train = tmp_path / "train.csv"
    train.write_text("\n".join(lines), encoding="utf-8")
    run_in(tmp_path / "run", *QUICK, "dataset=csv", f"dataset.path={train}", "dataset.label=income",
           "dataset.missing=most_frequent")  # fmt: skip
    own = encode(tmp_path / "run")
    train.unlink()
    rows = list(text.DictReader(lines))
    header = lines[0].split(",")[-2::-1]  # backwards, without income
    new = encode(tmp_path / "run", write(tmp_path / "new.csv", rows, header))
    assert np.allclose(new["x"][own["ids_test"]], own["x_test"], atol=1e-4) and "y" not in new

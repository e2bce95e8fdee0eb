"""Rows of classes that training did not see: who is left out of which split, and how well scores tell them."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st

from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.splits import Fractions, KFold, Official
from aeexp.datasets.sets.bundled import digits
from aeexp.errors import UsageError
from aeexp.evaluation import outliers
from aeexp.evaluation.protocol import baselines
from aeexp.evaluation.run import Run
from aeexp.metrics.anomaly import Anomaly, rank_scores
from aeexp.plots import anomaly as drawn

NAMES = ("a", "b", "c")


def source(n=90, test=None, unlabelled=0) -> Source:
    def some(n, seed):
        y = np.arange(n) % 3
        y[:unlabelled] = -1
        return Rows(
            np.random.default_rng(seed).random((n, 5), np.float32) + 3 * (y == 2)[:, None].astype(np.float32), y
        )

    return Source(some(n, 0), None if test is None else some(test, 1), classes=NAMES)


def made(normal, split=None, **keys):
    given = {"source": source(), **keys}
    return assemble(
        given.pop("source"), name="toy", split=split or Fractions([6, 2, 2]), normal_classes=normal, **given
    )


@pytest.mark.parametrize("split", [Fractions([6, 2, 2]), KFold(3), Official()])
def test_other_classes_leave_train_and_val_and_the_test_split_stays(split):
    origin = source(test=30)
    data, whole = made(["a", 1], split, source=origin), made(None, split, source=origin)
    assert data.normal == (0, 1) and whole.normal is None
    for part in ("train", "val"):
        kept = whole[part].y < 2
        assert torch.equal(data[part].x, whole[part].x[kept]) and torch.equal(data[part].y, whole[part].y[kept])
        assert np.array_equal(data[part].ids, whole[part].ids[kept.numpy()]) and 0 < kept.sum() < len(kept)
    assert torch.equal(data["test"].x, whole["test"].x) and torch.equal(data["test"].y, whole["test"].y)
    assert data.classes == NAMES and data.facts.classes == 3
    assert data.fingerprint != whole.fingerprint


def test_it_follows_classes_limit_and_labelled():
    chosen = made(["c"], classes=["b", "c"])  # numbered anew by classes
    assert chosen.classes == ("b", "c") and chosen.normal == (1,) and (chosen["train"].y == 1).all()
    limited = made(["a"], limit=45)
    assert sum(map(len, limited.splits.values())) < 45 and len(limited["test"]) == 9
    hidden = made(["a", "b"], labelled=6)
    assert int((hidden["train"].y >= 0).sum()) == 6 and len(hidden["train"]) == 36
    official_val = Source(*source(test=30)[:4], val=source(24).rows)
    assert (made(["a"], Official(), source=official_val._replace(classes=NAMES))["val"].y == 0).all()


def test_a_row_without_a_label_is_neither_trained_on_nor_measured(build_learner):
    data = made(["a", "b"], source=source(120, unlabelled=20))
    assert (data["train"].y >= 0).all() and (data["val"].y >= 0).all() and (data["test"].y < 0).any()
    run = Run(build_learner((5,)), data)
    truth = outliers.find_abnormal(run)
    assert len(truth) == int((data["test"].y >= 0).sum()) == len(outliers.score_by_model(run)[""])
    assert all(len(score) == len(truth) for score in outliers.score_without_model(run, 50).values())
    for figure in drawn.Anomaly()(run).values():
        figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize(
    ("normal", "keys", "message"),
    [
        (["d"], {}, r"^normal_classes=\['d'\]: there is no class d; there are a, b, c$"),
        ([7], {}, r"^normal_classes=\[7\]: there is no class 7"),
        ([], {}, r"^normal_classes=\[\]: name at least one class, or leave dataset\.normal_classes=null"),
        (["a", "b", "c"], {}, r"^normal_classes=.*all classes are normal, and none is an anomaly; leave one out"),
        (["a"], {"source": Source(Rows(np.ones((9, 2), np.float32)))}, r"^normal_classes=.*the data has no labels"),
        (["a"], {"source": Source(source(30).rows._replace(y=np.repeat([1, 2], 15)), classes=NAMES)},
         r"^normal_classes=\['a'\]: the train split has no row of them"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(normal, keys, message):
    with pytest.raises(UsageError, match=message):
        made(normal, **keys)


@given(seed=st.integers(0, 1000), n=st.integers(4, 200))
def test_the_truth_as_its_own_score_is_1_a_constant_one_half_and_the_opposite_0(seed, n):
    truth = np.random.default_rng(seed).random(n) < 0.3
    truth[:2] = [True, False]
    assert rank_scores(truth, truth.astype(float)) == {"anomaly/auroc": 1.0, "anomaly/average_precision": 1.0}
    constant = rank_scores(truth, np.full(n, 3.0))
    assert constant["anomaly/auroc"] == 0.5
    assert constant["anomaly/average_precision"] == pytest.approx(truth.mean())  # rounding
    assert rank_scores(truth, -truth.astype(float))["anomaly/auroc"] == 0.0
    assert math.isnan(rank_scores(truth, np.full(n, np.nan))["anomaly/auroc"])


def test_a_class_that_lies_far_away_is_found_by_model_and_baselines(build_learner):
    data = made(["a", "b"], source=source(300))  # class c lies three units away in every feature
    run = Run(build_learner((5,), dim=1), data)
    assert Anomaly()(run, "train") == Anomaly()(run, "val") == {}
    rows = baselines(run, {"anomaly": Anomaly()})
    assert set(rows) == {"pca", "raw", "isolation_forest", "nearest_neighbour"} and rows["raw"] == {}
    assert rows["nearest_neighbour"]["anomaly/auroc"] == 1.0 and rows["isolation_forest"]["anomaly/auroc"] > 0.99
    found = Anomaly()(run, "test")
    assert found["anomaly/share"] == pytest.approx(1 / 3) and 0 <= found["anomaly/auroc"] <= 1
    errors, truth = run.errors("test"), (data["test"].y == 2).numpy()
    above = errors[truth][:, None] > errors[~truth]
    assert found["anomaly/auroc"] == pytest.approx(above.mean())  # its meaning: a pair in the right order


def test_without_normal_classes_or_without_an_anomaly_it_is_left_out(digit_data, build_learner, caplog):
    run = Run(build_learner((1, 8, 8)), digit_data)
    assert Anomaly()(run, "test") == Anomaly().baselines(run, "test") == drawn.Anomaly()(run) == {}
    caplog.set_level("INFO")
    alike = made(
        ["a"], Official(), source=source(test=30)._replace(test=Rows(np.ones((4, 5), np.float32), np.zeros(4, int)))
    )
    assert Anomaly()(Run(build_learner((5,)), alike), "test") == {}
    assert "the test rows of toy are all of one kind" in caplog.text


@pytest.mark.parametrize(
    "words",
    [
        ["variant=vae", "latent.dim=4"],
        pytest.param(["variant=cvae", "latent.dim=4"], marks=pytest.mark.slow),
        pytest.param(["regularizer=classifier"], marks=pytest.mark.slow),
    ],
)
def test_a_run_with_a_class_left_out_is_measured_and_drawn_whole(words, tmp_path, caplog):
    caplog.set_level("INFO")
    run_in(tmp_path, *words, "dataset.normal_classes=[0,1,2,3,4,5,6,7,8]", "metric=[default,anomaly]",
           "plot=[anomaly,scatter,reconstructions]", "trainer.steps=5", "trainer.validate_every_steps=5")  # fmt: skip
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    found = {key for key in metrics["test"] if key.startswith("anomaly/")}
    both = {"anomaly/auroc", "anomaly/average_precision", "anomaly/share"}
    cvae, vae = "variant=cvae" in words, "variant=vae" in words
    assert found == (
        set() if cvae else both | ({f"anomaly/{m}_elbo" for m in ("auroc", "average_precision")} if vae else set())
    )
    assert ("condition=label tells the model" in caplog.text) == cvae
    assert not any(key.startswith("anomaly/") for key in metrics["val"])
    assert (tmp_path / "figures" / "anomaly.png").is_file() != cvae
    assert metrics["test"]["probe/linear"] <= 0.9 + 0.05  # digits are not named that were never seen


def test_the_rows_of_the_figure_are_the_extremes(build_learner):
    data = digits(name="digits", split=Fractions([8, 1, 1]), normal_classes=[0, 1, 2, 3, 4, 5, 6, 7, 8])
    run = Run(build_learner((1, 8, 8)), data)
    figures = drawn.Anomaly(examples=4)(run)
    assert set(figures) == {"anomaly", "anomaly_rows"}
    texts = [text.get_text().split("\n") for text in figures["anomaly_rows"].axes[0].texts]
    errors = np.array([float(error) for error, _ in texts]).reshape(3, 4)
    assert [name for _, name in texts[:8]] == ["9"] * 8 and all(name != "9" for _, name in texts[8:])
    assert (np.diff(errors[0]) <= 0).all() and (np.diff(errors[1]) >= 0).all() and (np.diff(errors[2]) <= 0).all()
    nine = run.errors("test")[run.labels("test") == 9]
    assert errors[0, 0] == pytest.approx(nine.max(), rel=1e-2) and errors[1, 0] == pytest.approx(nine.min(), rel=1e-2)
    histogram, roc = figures["anomaly"].axes
    assert "9" in figures["anomaly"].get_suptitle() and "%" in histogram.get_ylabel() and len(roc.lines) == 5

"""Disentanglement scores at codes whose scores are known: the factors, noise, rotations, copies."""

from __future__ import annotations

import functools
import logging
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import drawn_about
from sklearn.metrics import mutual_info_score

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.sprites import sprites
from aeexp.evaluation.factors import Table, concentration, factor_vae, gap, information, thresholds
from aeexp.evaluation.run import Run
from aeexp.metrics.disentanglement import Disentanglement
from aeexp.models.learner import Learner
from aeexp.models.pca import identity
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.tasks.reconstruct import Reconstruct

COUNTS = (3, 4, 8, 10)
FACTORS = np.indices(COUNTS).reshape(4, -1).T.astype(np.float32)  # (960, 4) every combination once
STANDARD = (FACTORS - FACTORS.mean(0)) / FACTORS.std(0)
N, F = FACTORS.shape
KEYS = (
    "mig",
    "dci_disentanglement",
    "dci_completeness",
    "dci_informativeness",
    "sap",
    "factor_vae",
    "mcc",
    "irs",
    "modularity",
)
ACTIVE = tuple(f"{key}_active" for key in KEYS)


def coded(codes: np.ndarray, factors: np.ndarray | None) -> Run:
    """A run whose codes are these, the same in every split."""
    rows = Rows(codes.astype(np.float32), None, factors)
    data = Data("coded", {name: Split(rows) for name in ("train", "val", "test")})
    return Run(Learner(Reconstruct(), identity(data.shape), Additive(Chain({}), {})), data)


def score(codes: np.ndarray, factors: np.ndarray | None = FACTORS, *, seed: int = 0) -> dict[str, float]:
    values = Disentanglement(trees=10, seed=seed)(coded(codes, factors), "test")
    known = [
        key for key in (*KEYS, *ACTIVE) if factors is None or factors.size > len(factors) or "modularity" not in key
    ]
    assert set(values) == {f"disentanglement/{key}" for key in known}
    values = {key.split("/")[1]: value for key, value in values.items()}
    # nothing hides a unit of a code without noise
    assert {key.removesuffix("_active"): values.pop(key) for key in known if key in ACTIVE} == values
    return values


def rotated(seed: int) -> np.ndarray:
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(F, F)))
    return STANDARD @ axes


def noise(seed: int, units: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, units))


@functools.cache
def mixed() -> dict[str, float]:
    """Scores of one rotation; a copy is to be taken where they are changed."""
    return score(rotated(3))


# Noise, at five standard deviations. MIG: the largest of several counted informations, of which 2 N I is chi-square
# with (20 - 1)(K - 1) degrees of freedom. SAP: held-out accuracy, a mean of K recalls of N / 2K rows each, has
# variance 2 (1 / K)(1 - 1 / K) / N; scaled by 1 - 1 / K its deviation is sqrt(2 / (N (K - 1))).
FREE = [19 * (k - 1) for k in COUNTS]
MIG_NOISE = float(
    np.mean([(df + 5 * math.sqrt(2 * df)) / (2 * N * math.log(k)) for df, k in zip(FREE, COUNTS, strict=True)])
)
SAP_NOISE = float(np.mean([5 * math.sqrt(2 / (N * (k - 1))) for k in COUNTS]))
DCI_NOISE = 0.05  # measured: at most 0.01 over 20 seeds

# ---------------------------------------------------------------- both ends, and between


@pytest.mark.parametrize("seed", [0, 1])
def test_the_factors_themselves_score_one(seed):
    values = score(FACTORS, seed=seed)
    # every combination is there once: other units tell nothing, and 20 bins resolve up to 20 values
    assert values.pop("mig") == pytest.approx(1, abs=1e-12)
    # the best unit has 1; the second is noise that held-out rows see through
    assert 1 - SAP_NOISE < values.pop("sap") <= 1
    # A node of several values gains most by a cut at the factor's own unit, which splits it cleanly, and a pure node
    # is cut no more: no importance elsewhere. The fixed factor's unit has variance 0, and that another's 64 rows are
    # equal has a probability below 3^-63.
    assert values == pytest.approx(dict.fromkeys(values, 1), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_noise_scores_nothing(seed):
    values = score(noise(seed), seed=seed)
    assert 0 <= values["mig"] < MIG_NOISE < 0.2
    assert 0 <= values["sap"] < SAP_NOISE < 0.2
    assert 0 <= values["dci_disentanglement"] < DCI_NOISE
    assert 0 <= values["dci_completeness"] < DCI_NOISE
    # binomial on N / 2 rows for each factor; the mean of four is no wider
    assert abs(values["dci_informativeness"] - np.mean([1 / k for k in COUNTS])) < 5 * math.sqrt(0.25 / (N / 2))
    # the largest of some 24 rank correlations of N rows, each of deviation 1 / sqrt(N): four of them
    assert 0 <= values["mcc"] < 4 / math.sqrt(N)
    # a value has N / 10 rows at least: their 99th percentile is off by a tenth of the whole's
    assert 0 <= values["irs"] < 0.15
    assert values["modularity"] == 0  # one unit of noise in ten thousand would count
    # binomial on 800 votes, and what one table's groups have by chance (measured: 0.045 with both over 20 seeds)
    assert abs(values["factor_vae"] - 1 / F) < 5 * math.sqrt(0.25 * 0.75 / 800) + 0.05


@pytest.mark.parametrize("seed", range(3))
def test_rotated_factors_lie_strictly_between(seed):
    values, idle = score(rotated(seed)), score(noise(seed, F))
    assert 1.5 * idle["mcc"] < values["mcc"] < 0.95 and values["modularity"] < 1 and values["irs"] < 0.8
    for key in ("mig", "sap", "dci_disentanglement"):
        # The factors have 1 (above). Over 20 rotations the scores were 0.03 to 0.5, those of noise up to 0.016; a
        # rotation that nearly permutes would come closer to 1.
        assert 1.5 * idle[key] < values[key] < 0.8, key
    assert values["dci_informativeness"] > 2 * np.mean([1 / k for k in COUNTS])  # the information is all there


def test_more_rotation_scores_less():
    # Noise, without which 20 bins of a unit tell three values of one factor and four of another apart.
    codes = STANDARD + 0.3 * noise(0, F)

    def turned(angle: float) -> np.ndarray:
        """The first factor towards the second and the third towards the fourth."""
        c, s = math.cos(angle), math.sin(angle)
        return codes @ np.kron(np.eye(2), [[c, -s], [s, c]])

    none, some, half = (score(turned(angle)) for angle in (0, math.pi / 8, math.pi / 4))
    for key in ("mig", "sap", "dci_disentanglement"):
        assert none[key] > some[key] > half[key], key
    assert half["mig"] < MIG_NOISE + 0.02 < none["mig"]  # both units of a pair tell the same of each factor


# ---------------------------------------------------------------- laws


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 3, 0, 2]])
def test_the_order_of_units_changes_nothing(order):
    assert score(rotated(3)[:, order]) == mixed()
    assert score(FACTORS[:, order], seed=2) == score(FACTORS, seed=2)  # many ties


def test_a_units_scale_and_offset_change_nothing():
    codes = np.round(rotated(3) * 64) / 64  # so that float32 holds all of them exactly
    moved = codes * [0.25, 4, 1, 2] + [8, 0, -3, 16]
    plain, other = score(codes), score(moved)
    for key in ("mig", "sap", "factor_vae"):
        assert other[key] == pytest.approx(plain[key], abs=1e-12)
    # trees of few rows meet cuts that are equally good, and take the first
    assert other["dci_disentanglement"] == pytest.approx(plain["dci_disentanglement"], abs=0.05)


@pytest.mark.parametrize("constant", [0.0, 0.7, 1e6])
def test_a_constant_unit_only_makes_the_code_wider(constant):
    plain = dict(mixed())
    wider = score(np.insert(rotated(3), 1, constant, axis=1))
    # completeness is 1 - entropy / log of the width
    left = (1 - plain.pop("dci_completeness")) * math.log(F) / math.log(F + 1)
    assert wider.pop("dci_completeness") == pytest.approx(1 - left)
    assert wider == plain


def test_units_of_noise_beside_the_factors_take_little():
    values = score(np.concatenate([noise(0), FACTORS], 1))
    assert values["mig"] > 1 - MIG_NOISE and values["sap"] > 1 - SAP_NOISE
    # clean cuts leave noise no importance, so that it has no weight in the mean over units, and is never voted for
    rest = {key: values[key] for key in KEYS if key not in ("mig", "sap", "irs")}
    assert values["irs"] < 1, "a mean over all units that vary, noise among them"
    assert rest == pytest.approx(dict.fromkeys(rest, 1), abs=1e-12)


def test_units_that_come_twice_leave_no_gap():
    values = score(np.concatenate([FACTORS, FACTORS], 1))
    assert values["mig"] == values["sap"] == 0
    # each unit still tells of one factor, but a factor of two units: their even share costs log 2
    assert values["dci_disentanglement"] == pytest.approx(1)
    assert 1 - math.log(2) / math.log(2 * F) - 1e-12 <= values["dci_completeness"] < 0.9


def test_a_factor_in_two_units_and_two_factors_in_a_unit_tell_the_dci_scores_apart():
    both = np.stack([FACTORS[:, 0] * 4 + FACTORS[:, 1], FACTORS[:, 2] * 10 + FACTORS[:, 3]], 1)
    values = score(both)
    assert values["dci_completeness"] > 0.95  # each factor lies in one unit (cuts in small nodes may go astray)
    assert values["dci_disentanglement"] < 0.6  # and each unit holds two of four: 1 - log 2 / log 4
    assert values["mig"] > 0.2  # the other unit tells nothing


@pytest.mark.parametrize("units", [1, 4])
def test_codes_that_never_vary_score_zero_and_are_read_at_chance(units):
    values = score(np.full((N, units), 0.7))
    informativeness = values.pop("dci_informativeness")
    assert values == dict.fromkeys(values, 0.0)
    assert abs(informativeness - np.mean([1 / k for k in COUNTS])) < 5 * math.sqrt(0.25 / (N / 2))


def test_one_unit_that_is_the_only_factor_has_no_rival():
    factor = np.arange(500) % 5
    assert score(factor[:, None] * 2.5, factor) == pytest.approx(dict.fromkeys(KEYS[:-1], 1), abs=1e-12)
    assert score(factor[:, None] * 2.5, factor[:, None].astype(np.float32)) == score(factor[:, None] * 2.5, factor)


def test_gaps_of_a_binary_factor_are_those_by_hand():
    factor = np.arange(2000) % 2
    worse = np.where(np.arange(2000) // 2 % 5 == 0, 1 - factor, factor)  # wrong in a fifth of each value's rows
    values = score(np.stack([worse, factor], 1), factor)
    # the channel's information is log 2 less the entropy of a fifth
    assert values["mig"] == pytest.approx(-(0.2 * math.log(0.2) + 0.8 * math.log(0.8)) / math.log(2))
    # accuracies 1 and 0.8 are 1 and 0.6 above chance; the second is seen on 1000 rows
    assert values["sap"] == pytest.approx(0.4, abs=2 * 5 * math.sqrt(0.16 / 1000))


def test_rare_values_weigh_as_much_as_frequent_ones():
    draw = np.random.default_rng(0)
    factor = (draw.random(4000) < 0.1).astype(int)
    # The best threshold lies midway between means one deviation apart: accuracy Phi(1/2) for either value. Guessing
    # the frequent one would have 0. About 200 held-out rows have the rare value, 1800 the other.
    best = 2 * 0.5 * (1 + math.erf(0.5 / math.sqrt(2))) - 1
    assert thresholds(draw.normal(size=4000) + factor, factor) == pytest.approx(
        best, abs=5 * math.sqrt(0.25 / 200 + 0.25 / 1800)
    )


def test_votes_are_counted_apart_from_those_that_made_the_classifier():
    table = Table.of(noise(0, 60), FACTORS.astype(int))
    # few votes among 60 units: most stand alone and would be right about themselves
    share = np.mean([factor_vae(table, votes=20, batch=64, seed=seed) for seed in range(20)])
    assert abs(share - 1 / F) < 5 * math.sqrt(0.25 * 0.75 / 400) + 0.05  # as for noise above, on 400 votes


@given(st.integers(2, 20), st.integers(2, 9), st.integers(0, 1000))
def test_information_agrees_with_scikit_learn_on_counts(cells, values, seed):
    draw = np.random.default_rng(seed)
    a, b = draw.integers(cells, size=300), draw.integers(values, size=300)
    b = np.where(draw.random(300) < 0.5, a % values, b)
    assert information(a, b) == pytest.approx(mutual_info_score(a, b), abs=1e-12)
    assert information(a, b) == pytest.approx(information(b, a), abs=1e-12)


def test_the_parts_by_hand():
    assert gap([0.2, 0.9, 0.5]) == pytest.approx(0.4) and gap([0.3]) == 0.3 and gap([]) == 0
    rows = np.array([[3.0, 0, 0, 0], [1, 1, 0, 0], [2, 2, 2, 2], [0, 0, 0, 0]])
    assert concentration(rows, 4) == pytest.approx([1, 0.5, 0, 0], abs=1e-12)
    # A value that only the fitted half has is not asked for, and where one is left there is nothing to read.
    half = np.arange(50) % 2
    assert thresholds(np.r_[half, half].astype(float), np.r_[half, half]) == 1
    assert thresholds(np.r_[half, half].astype(float), np.r_[half, 0 * half]) == 0
    table = Table.of(np.c_[half, 1e-9 * half, np.full(50, 0.1)], half[:, None])
    assert table.codes.shape == (50, 1) and table.width == 3


# ---------------------------------------------------------------- units that the posterior's noise hides


def test_a_collapsed_code_of_tiny_means_scores_nothing_by_its_active_units():
    """A mean of amplitude 1e-4 under a deviation of 1 scores 1 by scores that take no notice of scale."""
    run = drawn_about(1e-4 * STANDARD, 1.0, factors=FACTORS)
    values = Disentanglement(trees=10)(run, "test")
    assert min(values["disentanglement/mig"], values["disentanglement/factor_vae"]) > 0.99
    for key in ("mig", "sap", "dci_disentanglement", "dci_completeness", "factor_vae"):
        assert values[f"disentanglement/{key}_active"] == 0, key
    # draws are noise: by chance alone, as above
    drawn = Disentanglement(trees=10, codes="sampled")(run, "test")
    assert drawn["disentanglement/mig"] < MIG_NOISE and drawn["disentanglement/sap"] < SAP_NOISE
    assert abs(drawn["disentanglement/factor_vae"] - 1 / F) < 5 * math.sqrt(0.25 * 0.75 / 800) + 0.05
    both = Disentanglement(trees=10, codes="both")(run, "test")
    beside = {key.removesuffix("_sampled"): value for key, value in both.items() if key.endswith("_sampled")}
    assert {key: value for key, value in both.items() if not key.endswith("_sampled")} == values
    assert beside == {key: drawn[key] for key in beside} and len(beside) > 8


@given(st.integers(1, F - 1), st.integers(0, 20))
@settings(max_examples=10)
def test_active_scores_are_those_of_the_code_without_the_collapsed_units(hidden, seed):
    order = np.random.default_rng(seed).permutation(F)
    amplitude = np.where(np.arange(F) < hidden, 1e-3, 1.0)[order]
    values = Disentanglement(trees=3)(drawn_about(rotated(3) * amplitude, 0.1, factors=FACTORS), "test")
    alone = Disentanglement(trees=3)(coded(rotated(3)[:, amplitude == 1], FACTORS), "test")
    for key in KEYS:
        assert values[f"disentanglement/{key}_active"] == pytest.approx(alone[f"disentanglement/{key}"], abs=1e-12)


@pytest.mark.parametrize(("ratio", "visible"), [(0.05, False), (0.2, True), (5.0, True)])
def test_a_unit_is_visible_by_its_variance_against_that_of_its_noise(ratio, visible):
    """At a ratio of deviations of 0.1 the unit has 0.005 nats. Whatever the units' own scale is."""
    for scale in (1e-3, 1.0, 1e3):
        run = drawn_about(scale * ratio * STANDARD, scale)
        assert run.visible().tolist() == [visible] * F


# ---------------------------------------------------------------- what is measured


@pytest.mark.parametrize(
    "factors",
    [None, FACTORS + 0.5, np.where(FACTORS == 2, np.nan, FACTORS), np.zeros((N, 2)), np.zeros(N, np.int64)],
    ids=["none", "fractions", "nan", "constant", "one constant"],
)
def test_without_factors_it_is_left_out(factors):
    assert Disentanglement()(coded(noise(0), factors), "test") == {}


def test_factors_of_too_many_values_for_the_rows_are_left_out_with_a_word(caplog):
    caplog.set_level(logging.INFO)
    metric = Disentanglement(rows=99)
    assert metric(coded(FACTORS, FACTORS), "test") == {}  # ten values need 100 rows
    assert "99 rows of coded (test)" in caplog.text and "10 values" in caplog.text
    assert Disentanglement(rows=100)(coded(FACTORS, FACTORS), "test")


def test_a_constant_factor_and_the_numbers_that_stand_for_values_do_not_count():
    more = np.c_[FACTORS[:, 0] * -3 + 7, FACTORS[:, 1:], np.full(N, 4)]
    plain, other = mixed(), score(rotated(3), more)
    # values in reverse order: sums and ties of trees come in another order
    for key in KEYS:
        assert other[key] == pytest.approx(plain[key], abs=1e-12 if key in ("mig", "factor_vae") else 0.05)


def test_a_seed_settles_everything_and_only_the_stated_rows_are_measured():
    assert score(rotated(3)) == mixed() != score(rotated(3), seed=1)
    tables = [
        Table.of(*Disentanglement(rows=300, seed=seed).select(coded(rotated(1), FACTORS), "test")) for seed in (0, 0, 1)
    ]
    assert all(len(table.codes) == len(table.factors) == 300 for table in tables)
    assert np.array_equal(tables[0].codes, tables[1].codes) and not np.array_equal(tables[0].codes, tables[2].codes)
    assert len(np.unique(tables[0].factors, axis=0)) == 300  # drawn without repetition


def test_each_row_keeps_its_own_factors():
    table = Table.of(*Disentanglement(rows=300).select(coded(FACTORS, FACTORS), "test"))
    columns = {column.tobytes() for column in table.codes.T}
    assert columns == {column.astype(np.float64).tobytes() for column in table.factors.T}


def test_pca_of_sprites_is_scored_by_the_figures_factors(build_learner):
    data = sprites(name="sprites", split=Fractions([6, 2, 2]), orientations=4, positions=4)
    values = Disentanglement()(Run(build_learner((1, 32, 32), 4), data).pca(), "train")
    assert len(values) == 2 * len(KEYS) and all(0 <= value <= 1 for value in values.values())
    # linear components see where a figure lies: far above 0.25 for places, about chance for the angle
    assert values["disentanglement/dci_informativeness"] > 0.4

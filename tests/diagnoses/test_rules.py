"""Each rule at its threshold, by hand; and what holds of all: three lines, numbers of metrics.json, silence without
them, cures that compose."""

from __future__ import annotations

import copy
import fnmatch
import json
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ill import CASES, DRAWN, ERROR, HEALTHY, Case, configure, facts, merge

from aeexp.diagnoses import RULES, Facts, choose_told, diagnose
from aeexp.diagnoses.units import normal_sparsity
from aeexp.metrics.latent import sparsity

NAMES = [rule.name for rule in RULES]
CONFIGS = [configure(*words) for words in ((), ("variant=vae",), ("variant=k_sparse",), ("variant=sparse_l1",))]


def named(found: Facts) -> list[str]:
    return [each.name for each in diagnose(found)]


def test_every_rule_has_a_run_that_is_ill_and_says_what_it_reads_and_why():
    assert [case.name for case in CASES] == NAMES and len(set(NAMES)) == len(NAMES)
    assert all(rule.reads and rule.threshold and rule.reason for rule in RULES)
    assert all(name in NAMES for rule in RULES for name in rule.follows)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_rule_tells_the_ill_run_by_a_hair_and_not_the_healthy_one(case: Case):
    assert case.name in named(facts(case, case.ill))
    assert case.name not in named(facts(case, case.ill, case.well))


@pytest.mark.parametrize("words", [(), ("variant=conv",), ("variant=rae_l2",)])
def test_a_healthy_run_is_told_nothing(words):
    assert diagnose(Facts(HEALTHY, configure(*words))) == []
    assert diagnose(Facts(merge(HEALTHY, DRAWN), configure("variant=vae"))) == []


def look_up(metrics: dict[str, Any], key: str) -> float:
    """Where a key of evidence lies in metrics.json."""
    for part in (("baseline", "pca"), ("baseline", "mean"), ("baseline", "raw"), ("train",), ("curve",)):
        head = "/".join(part) + "/"
        if key.startswith(head):
            node = metrics
            for name in part:
                node = node[name]
            return node[key.removeprefix(head)]
    return metrics[key] if key in metrics else metrics["test"][key]


def remove(metrics: dict[str, Any], pattern: str) -> dict[str, Any]:
    """Without what a rule says that it reads."""
    metrics = copy.deepcopy(metrics)
    for part in ("baseline/pca", "baseline/mean", "baseline/raw", "train", "curve", ""):
        if pattern.startswith(part):
            node: Any = metrics
            for name in part.split("/") if part else ("test",):
                node = node.get(name, {})
            for key in fnmatch.filter(list(node), pattern.removeprefix(part).strip("/")):
                del node[key]
            metrics.pop(pattern, None)
            return metrics
    raise LookupError(pattern)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_evidence_is_what_metrics_json_has_and_without_it_the_rule_is_silent(case: Case):
    found = facts(case, case.ill)
    (each,) = (each for each in diagnose(found) if each.name == case.name)
    (rule,) = (rule for rule in RULES if rule.name == case.name)
    assert each.evidence
    for key, value in each.evidence.items():
        assert look_up(dict(found.metrics), key) == value
        assert any(fnmatch.fnmatch(key, pattern) for pattern in rule.reads), f"{key} is not among {rule.reads}"
        others = diagnose(Facts(remove(dict(found.metrics), key), found.config))
        assert all(key not in other.evidence for other in others if other.name == case.name)
    bare = dict(found.metrics)
    for pattern in rule.reads:
        bare = remove(bare, pattern)
    assert case.name not in named(Facts(bare, found.config)) and case.name not in named(Facts({}, found.config))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_cure_is_a_word_that_composes_with_the_runs_own(case: Case):
    """What it sets is there, and it changes something."""
    found = facts(case, case.ill)
    (each,) = (each for each in diagnose(found) if each.name == case.name)
    assert each.cures and all(cure.why for cure in each.cures)
    for cure in each.cures:
        words = [word for text in cure.words for word in shlex.split(text)]
        kept = [word for word in case.words if word.split("=")[0] not in [other.split("=")[0] for other in words]]
        assert configure(*kept, *words) != found.config, cure


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_a_configuration_nothing_is_advised_that_needs_one(case: Case):
    for each in diagnose(Facts(facts(case, case.ill).metrics, {})):
        assert not any(word.partition("=")[0] in ("latent.k", "regularizer.kl.weight", "optimizer.lr", "latent.dim")
                       for cure in each.cures for word in cure.words)  # fmt: skip


@pytest.mark.parametrize(("pca", "first"), [(0.9, "latent.dim=64"), (0.98, "likelihood=gaussian_optimal")])
def test_a_code_in_which_pca_reads_no_more_is_too_narrow(pca: float, first: str):
    told = {"test": {"probe/linear": 0.8, "probe/knn": 0.8, "reconstruction/cross_entropy": 90.0}}
    tree = merge(merge(merge(HEALTHY, DRAWN), told), {"baseline": {"pca": {"probe/linear": pca, "probe/knn": pca}}})
    found = diagnose(Facts(tree, configure("variant=vae")))
    assert [each.cure for each in found if each.name == "probes read less than of raw input"] == [first]


@pytest.mark.parametrize(
    ("words", "pca", "told"),
    [
        (("variant=denoising",), 0.234, False),  # of a mean of 4.7: 4.98 %
        (("variant=denoising",), 0.236, True),
        (("latent.dim=48",), 0.234, True),  # nothing forbids it to copy
        (("variant=sparse_pca",), 0.5, False),  # PCA is the best of its kind
        (("variant=count_vae",), 0.5, False),
        (("variant=count_vae", "likelihood=poisson"), 0.5, False),
        (("variant=count_vae", "likelihood=gaussian_optimal"), 0.5, True),
    ],
)
def test_pca_that_copies_is_held_against_no_code_that_must_not(words: tuple[str, ...], pca: float, told: bool):
    tree = merge(HEALTHY, {"baseline": {"pca": {ERROR: pca}}, "intervals": {"baseline": {"pca": None}}})
    assert ("worse than PCA" in named(Facts(tree, configure(*words)))) == told


def test_pca_has_less_error_of_counts_than_the_law_that_they_were_drawn_from():
    """Why it is held against no model of counts: means of 0.1 to 126, variance m + m² / 2."""
    generator = np.random.default_rng(0)
    mean = np.exp(generator.normal(0, 1, 100)) * 5 * np.exp(generator.normal(0, 0.4, (1000, 1)))
    counts = generator.poisson(generator.gamma(2.0, mean / 2.0))
    train, test = counts[:500] - counts[:500].mean(0), counts[500:] - counts[:500].mean(0)
    axes = np.linalg.svd(train, full_matrices=False)[2][:10]
    copied = np.square(test - test @ axes.T @ axes).sum(1).mean()
    assert copied < 0.8 * np.square(counts[500:] - mean[500:]).sum(1).mean()


@pytest.mark.parametrize(("masked", "told"), [(0.75, False), (0.0, True)])
def test_the_error_of_whole_pictures_is_not_what_a_masked_autoencoder_learns(masked: float, told: bool):
    tree = merge(HEALTHY, {"test": {ERROR: 9.0}, "val": {ERROR: 9.0}})
    found = named(Facts(tree, configure("variant=mae", f"model.masked={masked}")))
    assert bool({"next to nothing was learned", "worse than PCA"} & set(found)) == told


@pytest.mark.parametrize(
    ("case", "words", "first"),
    [
        ("worse than PCA", ("variant=vae",), "likelihood=gaussian_optimal"),
        ("worse than PCA", ("variant=beta_vae",), "regularizer.kl.weight=0.4"),  # 4: dearer than any likelihood mends
        ("worse than PCA", ("variant=gated_sae",), "trainer.steps=2400"),  # fewer speak: PCA has fewer components too
        ("dead units", ("latent=topk", "latent.dim=64"), "'regularizer=[aux_k]'"),
        ("dead units", ("variant=k_sparse", "latent.dim=64", "latent.dead_after=200"), "latent.dead_after=30"),
    ],
)
def test_the_surest_cure_comes_first(case: str, words: tuple[str, ...], first: str):
    (ill,) = (each.ill for each in CASES if each.name == case)
    grey = {"test": {"reconstruction/cross_entropy": 90.0, "loss/kl": 6.0}}
    tree = merge(merge(merge(HEALTHY, DRAWN if "vae" in words[0] else {}), ill), grey if "vae" in words[0] else {})
    (found,) = (each for each in diagnose(Facts(tree, configure(*words))) if each.name == case)
    assert found.cure == first


@pytest.mark.parametrize(("monitor", "told"), [("loss", "the best step was"), ("null", "the state of the last step")])
def test_the_last_step_is_called_the_best_where_a_best_one_is_chosen(monitor: str, told: str):
    (case,) = (each for each in CASES if each.name == "stopped before it converged")
    found = diagnose(Facts(merge(HEALTHY, case.ill), configure(f"trainer.monitor={monitor}")))
    assert {each.name: each.sentence for each in found}[case.name].startswith(told)


def cure_pca(*words: str, **changed: Any) -> str | None:
    (ill,) = (each.ill for each in CASES if each.name == "worse than PCA")
    found = diagnose(Facts(merge(merge(HEALTHY, ill), changed), configure(*words)))
    return {each.name: each.cure for each in found}["worse than PCA"]


def test_more_steps_cure_nothing_that_was_best_in_the_first_half_of_them():
    steps = HEALTHY["curve"]["steps"]
    assert "steps" in (cure_pca(best_step=0.6 * steps) or "")
    assert not {"steps", "lr"} & set((cure_pca(best_step=0.4 * steps) or "").replace("=", ".").split("."))


@pytest.mark.parametrize(("entropy", "first"), [(-40.0, "latent.entropy=0.1"), (-0.01, "trainer.steps")])
def test_an_entropy_that_is_most_of_the_loss_is_made_lighter_first(entropy: float, first: str):
    told = cure_pca("variant=lfq_vae", test={"loss/entropy": entropy, "loss/reconstruction": 7.0})
    assert (told or "").startswith(first)


VALUES = st.one_of(
    st.floats(0, 8), st.sampled_from([0.0, 0.5, 0.69, 0.7, 1.0, 2.5, 9.0, 40.0, 600.0]),
    st.sampled_from([None, "text", [], {}, math.nan, math.inf, True, 10**400, -1, [1, 2, 3]]),
)  # fmt: skip


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    """Of all illnesses at once, some of them changed, some of them no numbers."""
    tree = merge(HEALTHY, DRAWN)
    for case in draw(st.lists(st.sampled_from(CASES), max_size=6)):
        tree = merge(tree, case.ill)
    for part in draw(st.lists(st.sampled_from([("test",), ("val",), ("train",), ("curve",), ("baseline", "pca"), ()]))):
        node = tree
        for name in part:
            node = node.setdefault(name, {}) if isinstance(node, dict) else {}
        if isinstance(node, dict) and node:
            node[draw(st.sampled_from(sorted(node)))] = draw(VALUES)
    return tree


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(numbers(), st.sampled_from(CONFIGS))
def test_never_more_than_three_lines_and_never_an_exception(metrics, config):
    found = diagnose(Facts(metrics, config))
    told = choose_told(found)
    assert len(told) <= 3 and all("\n" not in str(each) for each in found)
    assert [each.name for each in found if each.name in NAMES] == sorted((each.name for each in found), key=NAMES.index)
    assert not any(each.follows for each in told)
    assert (not told) == (not found), "whoever is ill is told something"
    for each in found:
        json.dumps(each.as_table())
        assert all(look_up(metrics, key) == value for key, value in each.evidence.items())


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.sampled_from(sorted(CONFIGS[0])), VALUES), st.sampled_from(CASES))
def test_a_configuration_that_someone_wrote_into_breaks_nothing_and_is_quoted(change, case):
    metrics = merge(merge(HEALTHY, DRAWN), case.ill)
    for each in diagnose(
        Facts(metrics, {**CONFIGS[0], **change, "noise.a; rm -rf ~.p": 0.5, "noise.a; rm -rf ~._target_": "x"})
    ):
        for cure in each.cures:
            assert all(len(shlex.split(word)) == 1 for word in cure.words)


def test_what_another_illness_explains_is_not_told_beside_it():
    case = CASES[1]
    found = diagnose(facts(case, case.ill, {"test": {ERROR: 4.5}, "val": {ERROR: 4.5}}))
    assert [each.name for each in choose_told(found)] == ["posterior collapse"]
    assert {each.name: each.follows for each in found}["worse than PCA"] == "posterior collapse"


def test_what_a_metric_warns_of_is_told_first():
    found = diagnose(Facts(HEALTHY | {"warnings": ["look\nout", 3]}, CONFIGS[0]))
    assert [str(each) for each in found] == ["warning: lookout"]


def test_normal_units_have_the_sparsity_that_is_said():
    """Of 4,000 rows: the mean of a value whose deviation is about 0.06 is good to 0.001; Jensen's gap is below 0.01."""
    import numpy as np

    for dim in (16, 64):
        drawn = np.random.default_rng(0).normal(size=(4000, dim))
        assert sparsity(drawn) == pytest.approx(normal_sparsity(dim), abs=0.02)


def test_the_page_on_diagnoses_says_of_each_rule_what_the_rule_says():
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "diagnoses.md").read_text(encoding="utf-8")
    page = " ".join(page.split())
    for rule in RULES:
        assert f"### {rule.name} " in page and rule.threshold in page and rule.reason in page
        assert all(f"`{key}`" in page for key in rule.reads)


@pytest.mark.parametrize(
    ("words", "cures"),
    [
        (("variant=topk_sae", "regularizer=[none]"), ["'regularizer=[aux_k]'", "latent.resample_every=1200"]),
        (("variant=topk_sae", "latent.dead_after=200"), ["latent.dead_after=150",
                                                         "latent.resample_every=1200 latent.dead_after=150"]),
        (("variant=topk_sae",), ["regularizer.aux_k.weight=0.31", "latent.resample_every=1200"]),
        (("variant=relu_sae",), ["latent.resample_every=1200 latent.dead_after=150"]),
        (("variant=jumprelu_sae",), ["latent.resample_every=1200 latent.dead_after=150"]),
        (("variant=k_sparse", "latent.dead_after=200"), ["latent.dead_after=150"]),
        (("variant=k_sparse", "regularizer=[none]"), ["'regularizer=[aux_k]'"]),
        (("variant=undercomplete",), []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("steps", [3000, 2000])
def test_dead_units_of_a_sparse_latent_are_told_what_revives_them_in_time(words, cures, steps):
    """New units only where there are steps enough to make good what they cost."""
    ill = {"test": {"latent/dead_units": 1000.0}, "val": {"latent/dead_units": 1000.0}, "curve": {"steps": steps}}
    (dead,) = (each for each in diagnose(Facts(merge(HEALTHY, ill), configure(*words))) if each.name == "dead units")
    texts = [cure.text for cure in dead.cures]
    if steps == 2000:
        assert not any("resample" in text for text in texts)
        return
    assert texts[: len(cures)] == cures
    assert not any("aux_k" in text or "resample" in text for text in texts[len(cures) :])


@pytest.mark.parametrize(
    ("variant", "penalty"), [("relu_sae", "regularizer.l1.weight"), ("gated_sae", "regularizer.gate.weight")]
)
def test_a_lighter_penalty_comes_before_rows_as_new_units(variant: str, penalty: str):
    """Of 101 dead units of gated_sae it left 37, new units 102."""
    config = configure(f"variant={variant}")
    ill = {"test": {"latent/dead_units": 1000.0, f"loss/{penalty.split('.')[1]}": 0.5},
           "val": {"latent/dead_units": 1000.0}, "curve": {"steps": 3000}}  # fmt: skip
    (dead,) = (each for each in diagnose(Facts(merge(HEALTHY, ill), config)) if each.name == "dead units")
    first, second = (cure.text for cure in dead.cures[:2])
    assert first == f"{penalty}={config[penalty] / 10:g}" and second.startswith("latent.resample_every=1200")

"""Every number of metrics.json is declared by the metric that writes it."""

from __future__ import annotations

import inspect
import json

import pytest
import torch
from composing import composed, run_in

from aeexp import metrics
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.protocol import describe_numbers, describe_options
from aeexp.evaluation.run import Run
from aeexp.evaluation.uncertainty import Measured
from aeexp.reference import options
from aeexp.runs.config import make
from aeexp.runs.measuring import measure_run
from aeexp.runs.run import load_data_and_learner

ALL = {name.lower(): getattr(metrics, name) for name in metrics.__all__}

# What the metrics write; names that end in a number, a class or a feature net stand for all.
HEADLINES_HIGHER = """
anomaly/auroc anomaly/average_precision classification/accuracy clustering/nmi
disentanglement/dci_disentanglement_active disentanglement/factor_vae_active disentanglement/mig_active
disentanglement/sap_active fairness/accuracy_forest probe/knn probe/linear retrieval/map retrieval/precision_radius_2
segmentation/mean_iou segmentation/pixel_accuracy
""".split()
HIGHER = """
anomaly/auroc_elbo anomaly/average_precision_elbo clustering/ari clustering/accuracy disentanglement/dci_completeness
disentanglement/mig disentanglement/factor_vae disentanglement/dci_disentanglement disentanglement/sap
disentanglement/dci_informativeness fairness/accuracy_linear generation/elbo generation/elbo_fixed
generation/elbo_density_fixed generation/elbo_given_label generation/cross_entropy_elbo
generation/cross_entropy_elbo_given_attribute inpainting/psnr maps/trustworthiness_pca_input maps/continuity_tsne_code
maps/trustworthiness_code_input probe/knn_n10 probe/svm_linear probe/svm_rbf_n100 reconstruction/psnr
reconstruction/ssim robustness/masking_linear_0.2 robustness/salt_pepper_linear_1e-05 segmentation/dice
segmentation/iou_0 segmentation/iou_road
""".split()
HEADLINES_LOWER = """
fairness/leakage_balanced_forest fairness/parity_gap_forest generation/cross_entropy_bound
generation/cross_entropy_bound_given_label generation/nll generation/nll_density_fixed generation/nll_fixed
generation/nll_given_attribute generation/nll_given_label_per_step generation/nll_per_epoch inpainting/mse loss
reconstruction/mse
""".split()
LOWER = """
classification/nats fairness/leakage_forest fairness/leakage_linear fairness/leakage_balanced_linear
fairness/odds_gap_forest fairness/odds_gap_linear fairness/parity_gap_linear generation/frechet_prior_n1000_v1-3fe2af4d
generation/frechet_reconstruction_n180_v1-ba15e5da generation/elbo_bits_per_dim generation/nll_bits_per_dim
generation/nll_fixed_bits_per_dim inpainting/mse_per_feature reconstruction/bits_per_dim_given_code
reconstruction/bits_per_dim_given_code_fixed reconstruction/cross_entropy reconstruction/cross_entropy_per_step
reconstruction/mse_per_feature reconstruction/nats reconstruction/nats_fixed reconstruction/nats_density_per_epoch
reconstruction/nats_per_step robustness/gaussian_mse_0.5
""".split()
NEITHER = """
anomaly/share fairness/accuracy_majority fairness/leakage_majority fairness/parity_gap_labels
generalisation/gap_bits_per_dim_given_code_fixed generalisation/gap_cross_entropy generalisation/gap_mse
generalisation/gap_mse_per_feature generalisation/gap_nats generalisation/gap_nats_density_fixed_per_step
generalisation/gap_psnr generalisation/gap_ssim generalisation/ratio_mse generation/cross_entropy_bound_given_label_se
generation/frechet_floor_n1000_v1-3fe2af4d generation/nll_k generation/nll_se latent/active_units latent/codes_used
latent/dead_units latent/effective_rank latent/jacobian_norm latent/kl latent/kl_largest_unit latent/kl_smallest_unit
latent/effective_rank_singular latent/kl_unit_3 latent/l0 latent/mean_activation latent/sparsity
latent/total_correlation_gaussian latent/perplexity loss/kl loss/reconstruction loss/adversary retrieval/duplicates
retrieval/empty_radius_2
""".split()
KEYS = [*HEADLINES_HIGHER, *HIGHER, *HEADLINES_LOWER, *LOWER, *NEITHER]
NATS = {"likelihood._target_", "task."}


def describe(*keys: str) -> dict[str, dict]:
    return describe_numbers(ALL, keys)


@pytest.mark.parametrize(
    ("keys", "better", "headline"),
    [
        (HEADLINES_HIGHER, "higher", True),
        (HIGHER, "higher", False),
        (HEADLINES_LOWER, "lower", True),
        (LOWER, "lower", False),
        (NEITHER, None, False),
    ],
)
def test_every_number_has_a_direction_or_deliberately_none(keys, better, headline):
    for key, number in describe(*keys).items():
        assert (number["better"], number["headline"]) == (better, headline), key
        assert isinstance(number["unit"], str)


def test_what_must_agree_for_two_runs_to_be_compared():
    numbers = describe(*KEYS)
    unlike = {key: set(number["alike"]) for key, number in numbers.items() if number["alike"]}
    loss = {"objective.", "likelihood.", "regularizer.", "task.", "condition.", "latent."}
    for key in KEYS:
        group, name = key.split("/") if "/" in key else (key, "")
        if key == "loss":
            expected = loss
        elif "bits_per_dim" in name and group == "generation":
            expected = {"task."}
        elif (group == "reconstruction" and name.startswith(("nats", "cross", "bits"))) or (
            group == "generation" and not name.startswith("frechet")
        ):
            expected = NATS
        else:
            pixels = ("reconstruction", "inpainting", "segmentation", "generalisation", "robustness")
            expected = {"task."} if group in pixels else set()
        assert unlike.get(key, set()) == expected, key
        assert numbers[key]["of_labels"] == (group in ("probe", "retrieval", "clustering", "robustness")), key
        assert numbers[key]["counts"] == (key == "generation/nll_k"), key
    # a code has a term of its own
    assert "latent." not in describe("loss", "loss/reconstruction")["loss"]["alike"]


def test_a_number_of_nobody_is_a_mistake_of_the_metric():
    with pytest.raises(LookupError, match=r"^probe/speed: none of .*probe.* declares"):
        describe("probe/linear", "probe/speed")
    with pytest.raises(LookupError, match=r"^probe/linear: none of no metrics declares"):
        describe_numbers({}, ["loss", "probe/linear"])


def test_options_that_may_differ_are_options_of_the_metric():
    options = describe_options(ALL)
    assert options["probe"] == {"in_keys": ["classifiers", "budgets"], "harmless": []}
    assert options["robustness"]["in_keys"] == ["noise", "levels"] and options["maps"]["in_keys"] == ["maps"]
    assert options["generation"] == {"in_keys": [], "harmless": ["chunk", "samples"]}
    for name, metric in ALL.items():
        assert issubclass(metric, Metric) and metric.numbers
        assert all("{" not in number.label.format(name="nll", k=1.0) for number in metric.numbers), name
        known = inspect.signature(metric).parameters
        assert {*metric.in_keys, *metric.harmless} <= set(known), name


def test_metrics_json_says_what_its_numbers_are(tmp_path):
    run_in(tmp_path, "variant=vae", "dataset.limit=200", "trainer.steps=2", "metric=[default,generation,kernel_pca]",
           "metric.generation.samples=3", "metric.frechet.rows=50", "metric.kernel_pca.rows=50")  # fmt: skip
    written = json.loads((tmp_path / "metrics.json").read_text())
    rows = [written["val"], written["test"], written["train"], *written["baseline"].values()]
    assert written["numbers"].keys() == {key for row in rows for key in row}
    assert written["numbers"]["reconstruction/mse"] == {
        "better": "lower", "unit": "squared error per example", "headline": True, "alike": ["task."],
        "of_labels": False, "counts": False, "no_interval": "", "label": "test error (squared, per example)",
    }  # fmt: skip
    for part in ("val", "test", "train"):
        assert written["intervals"][part].keys() <= written[part].keys()
    for key, (low, high) in written["intervals"]["test"].items():
        assert low <= written["test"][key] <= high, key
    assert written["intervals"]["baseline"]["pca"]["probe/linear"]
    assert written["metrics"]["generation"]["harmless"] == ["chunk", "samples"]


@pytest.fixture(scope="module")
def run() -> Run:
    data, learner = load_data_and_learner(composed("variant=vae", "dataset.limit=200"), torch.device("cpu"))
    return Run(learner, data, untrained=learner.model)


@pytest.mark.parametrize("name", options.list_groups()["metric"])
def test_what_any_metric_writes_is_declared(name, run):
    small = [f"metric.{name}.rows=50"] if name in ("frechet", "kernel_pca") else []
    measured = measure_run(run, make(composed(f"metric={name}", *small), "metric"), ("val", "test"), losses=False)
    assert {*measured["val"], *measured["test"]} <= measured["numbers"].keys()
    parts = [measured["val"], measured["test"], *measured["baseline"].values()]
    for key, value in ((key, value) for part in parts for key, value in part.items()):
        if value is not None and not key.startswith(FLOORED):
            assert isinstance(value, Measured) != bool(measured["numbers"][key]["no_interval"]), key


FLOORED = "fairness/"  # these gaps stand beside what chance gives of so many rows

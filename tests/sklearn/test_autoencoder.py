"""aeexp.sklearn.Autoencoder is a scikit-learn transformer in good standing, and the same model as the command's."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from composing import run_in
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from aeexp.errors import UsageError
from aeexp.reference.options import find_conf_dir
from aeexp.runs.loading import load
from aeexp.sklearn.autoencoder import Autoencoder

X, Y = load_digits(return_X_y=True)
X, Y = (X[:300] / 16).astype(np.float32), Y[:300]


def quick(variant: str = "undercomplete", **keys) -> Autoencoder:
    return Autoencoder(variant, **{"latent_dim": 4, "epochs": 2, "random_state": 0, "device": "cpu", **keys})


@parametrize_with_checks([quick(latent_dim=2)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("variant", "keys"),
    [
        ("denoising", {}),
        ("vae", {}),
        ("k_sparse", {"latent_dim": 16}),
        ("sparse_kl", {}),
        ("contractive", {}),
        ("linear", {}),
        ("pca", {"epochs": None}),
        ("conv", {"shape": (1, 8, 8)}),
        ("vq_vae", {"shape": (1, 8, 8), "latent_dim": 32}),
        ("recurrent_vae", {"shape": (8, 8), "overrides": ("model.hidden=4",)}),
    ],
)
def test_variants_go_there_and_back_and_survive_a_pickle(variant, keys):
    model = quick(variant, **keys).fit(X)
    codes = model.transform(X)
    assert codes.shape == (len(X), model.model_.latent.dim) and codes.dtype == np.float32
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.transform(X), codes)
    rows = model.inverse_transform(codes)
    assert rows.shape == X.shape and np.isfinite(rows).all()
    # the mean code is what the decoder gets; both come from the same float32 numbers
    assert np.allclose(rows, model.reconstruct(X), atol=1e-6)
    assert model.score(X) == pytest.approx(-np.square(rows - X).sum(1).mean(), rel=1e-5)
    assert list(model.get_feature_names_out())[:2] == ["autoencoder0", "autoencoder1"]


def test_the_closed_form_is_scikit_learns_pca():
    model = quick("pca", epochs=None, validation_fraction=0.0).fit(X)
    pca = PCA(4).fit(X.astype(np.float64))
    error = np.square(pca.inverse_transform(pca.transform(X)) - X).sum(1).mean()
    assert model.score(X.astype(np.float64)) == pytest.approx(-error, rel=1e-4)  # float32 eigenvectors


def test_random_state_decides_all_and_nothing_else_is_touched():
    torch.manual_seed(7)
    expected, state = torch.rand(3), np.random.get_state()[1].copy()
    torch.manual_seed(7)
    first, second, other = (quick("vae", random_state=seed).fit(X).transform(X) for seed in (1, 1, 2))
    assert np.array_equal(first, second) and not np.allclose(first, other)
    assert torch.equal(torch.rand(3), expected) and np.array_equal(np.random.get_state()[1], state)


def test_a_pipeline_and_a_search_over_variants(tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.chdir(tmp_path)
    pipeline = make_pipeline(MinMaxScaler(), quick(), KNeighborsClassifier())
    grid = {"autoencoder__variant": ["undercomplete", "denoising"], "autoencoder__latent_dim": [2, 8]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, Y)
    assert search.best_score_ > 0.2 and len(search.cv_results_["params"]) == 4  # chance is 0.1
    assert GridSearchCV(quick(), {"latent_dim": [1, 8]}, cv=2).fit(X).best_params_["latent_dim"] in (1, 8)
    assert not list(tmp_path.iterdir()) and capsys.readouterr() == ("", "")


def test_training_improves_the_score_and_best_state_is_kept():
    short, longer = quick(epochs=1).fit(X), quick(epochs=15).fit(X)
    assert longer.score(X) > short.score(X)
    assert len([row for row in longer.history_ if row["split"] == "val"]) == 15


def test_labels_serve_a_classifier_on_the_code_and_may_be_missing():
    keys = {"overrides": ("regularizer=classifier",), "epochs": 3}
    with_labels = quick(**keys).fit(X, Y).transform(X)
    some = np.where(np.arange(len(Y)) % 2, Y, -1)
    assert not np.allclose(with_labels, quick(**keys).fit(X, some).transform(X))
    named = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])[Y]
    assert quick(**keys).fit(X, named).model_ is not None
    with pytest.raises(ValueError, match="label"):
        quick(**keys).fit(X)


def test_hydra_is_left_as_it_was():
    assert not GlobalHydra.instance().is_initialized()
    quick(epochs=1).fit(X[:20])
    assert not GlobalHydra.instance().is_initialized()
    with initialize_config_dir(find_conf_dir(), version_base="1.3"):
        outer = GlobalHydra.instance().hydra
        quick(epochs=1).fit(X[:20])
        assert GlobalHydra.instance().hydra is outer


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"variant": "cvae"}, "take another variant"),
        ({"variant": "nix"}, "variant=nix"),
        ({"overrides": ("dataset=mnist",)}, "the rows are those given to fit"),
        ({"overrides": ("optimizer.lr=fast",)}, "optimizer.lr='fast' should be a number"),
        ({"shape": (1, 5, 5)}, "has 25 values, but X has 64"),
        ({"latent_dim": 0}, "dim=0"),
        ({"validation_fraction": 1.0}, "validation_fraction=1.0"),
        ({"variant": "pca", "epochs": 3}, "epochs=3: variant=pca has none"),
    ],
)
def test_mistakes_are_told(keys, words):
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        quick(**keys).fit(X, Y)


def test_values_that_the_likelihood_cannot_explain_are_refused():
    with pytest.raises(ValueError, match="bernoulli|0 and 1|0 to 1"):
        quick("vae").fit(3 * X)


def test_parameters_are_cloned_and_set():
    model = clone(quick("denoising", overrides=("noise.masking.p=0.3",)).set_params(latent_dim=3))
    assert model.get_params()["overrides"] == ("noise.masking.p=0.3",)
    assert model.fit(X).transform(X).shape == (300, 3) and model.config_["noise"]["masking"]["p"] == 0.3
    with pytest.raises(UsageError, match="3"):
        model.inverse_transform(np.zeros((2, 5)))


def test_numbers_serve_a_regressor_on_the_code():
    keys = {"overrides": ("regularizer=regressor",), "epochs": 2}
    numbers = X[:, 20] + np.linspace(0, 0.5, len(X))
    model = quick(**keys).fit(X, numbers)
    some = np.where(np.arange(len(X)) % 2, numbers, np.nan)
    assert not np.allclose(model.transform(X), quick(**keys).fit(X, some).transform(X))
    with pytest.raises(ValueError, match="take regularizer=classifier"):
        quick(**keys).fit(X, Y)


def test_an_estimator_starts_from_a_run(tmp_path):
    """A frozen encoder gives the codes of that run, whatever the new decoder has learnt."""
    words = ("model.hidden_dims=[8]", "latent.dim=3", "trainer.steps=20", "metric=none", "dataset.name=rows")
    np.savez(tmp_path / "x.npz", x=X)
    run_in(tmp_path / "run", "dataset=npz", f"dataset.path={tmp_path / 'x.npz'}", *words)
    start = (f"init.from={tmp_path / 'run'}", "init.parts=[encoder]", "init.freeze=true")
    model = quick(latent_dim=3, overrides=("model.hidden_dims=[8]", *start)).fit(X)
    with torch.no_grad():
        wanted = load(tmp_path / "run").encode(torch.from_numpy(X)).mean.numpy()
    assert np.array_equal(model.transform(X), wanted)


def test_own_options_are_read_anew_and_a_folder_that_is_not_there_is_told(tmp_path):
    variant = tmp_path / "conf" / "variant"
    variant.mkdir(parents=True)
    for dim in (3, 2):
        text = f"# @package _global_\ndefaults: [undercomplete]\nlatent: {{dim: {dim}}}\n"
        (variant / "own.yaml").write_text(text, encoding="utf-8")
        model = quick(variant="own", latent_dim=None, config_dir=str(tmp_path / "conf")).fit(X)
        assert model.transform(X).shape[1] == dim
    with pytest.raises(UsageError, match="config_dir=/nowhere: there is no such folder"):
        quick(variant="own", config_dir="/nowhere").fit(X)

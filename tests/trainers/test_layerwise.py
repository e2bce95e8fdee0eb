"""Layers trained one by one: each stage moves its own layer, and lands where its law says."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import pytest
import torch
from composing import composed, run_in
from interrupted import same
from training import ADAM, FINE, HEADER, LAYERS, layerwise

from aeexp import noises, schedulers
from aeexp.conditions import Label, Unconditional
from aeexp.errors import UsageError
from aeexp.latents.deterministic import Deterministic, Sigmoid
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.priors import Standard
from aeexp.likelihoods.bernoulli import Bernoulli
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.nn.conv import conv
from aeexp.models.nn.mlp import mlp
from aeexp.models.pca import pca
from aeexp.regularizers import L1, Adversary, Contractive, KLSparsity, Orthogonality
from aeexp.trainers import shallow as layers
from aeexp.trainers.arithmetic import Arithmetic
from aeexp.trainers.checkpoint import Progress, Store
from aeexp.trainers.closed_form import ClosedForm
from aeexp.trainers.joint import Joint
from aeexp.trainers.window import Diverged

# ---------------------------------------------------------------- where a stage lands


def test_one_linear_stage_spans_the_subspace_of_pca(run_layers, build_learner, as_data):
    """Baldi and Hornik 1989; the gap of the third and fourth variance, 1 to 0.09, lets Adam get there."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]
    x = torch.randn(400, 8, generator=generator) * torch.tensor([3.0, 2.0, 1.0, *[0.3] * 5]) @ basis
    data = as_data(x.numpy())
    learner = build_learner((8,), 3)
    trainer = layerwise(pretrain_epochs=40, pretrain_lr=0.05, pretrain_batch_size=50)
    run_layers("pca", trainer, ADAM, schedulers.cosine, learner=learner, data=data)
    found = torch.linalg.qr(learner.model.decoder.layers[0].weight.detach())[0]
    best = pca(data["train"], 3).decoder.layers[0].weight.detach()
    cosines = torch.linalg.svdvals(found.T @ best)
    # 1 - cos is half the squared angle; the cosine schedule ends at rate 0, which leaves angles far below 0.03
    assert float(cosines.min()) > 1 - 0.03**2 / 2


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh"])
@pytest.mark.parametrize("tied", [False, True])
def test_pre_training_brings_every_layer_far_below_random_weights(
    activation, tied, digit_data, build_learner, run_layers
):
    """On clean codes below, against the same shallow autoencoder of random weights on the same codes.

    The excess over the entropy that a cross-entropy cannot go below, where codes lie in (0, 1).
    """

    def learner():
        return build_learner((1, 8, 8), 16, hidden_dims=[48, 32], activation=activation, tied=tied)

    trained, random = learner(), learner()
    # 8 epochs of 12 batches: some 100 steps of Adam at 0.01 are enough for most of the way
    run_layers("d", layerwise(pretrain_epochs=8, noise=0.1), learner=trained, data=digit_data)
    for place in range(3):
        code = layers.codes_below(trained, place)
        models = [layers.shallow_autoencoder(learner.model, place) for learner in (trained, random)]
        errors = [excess(model, digit_data["val"], code) for model in models]
        assert errors[0] < 0.5 * errors[1], (place, errors)


@torch.no_grad()
def excess(model, split, code) -> float:
    (batch,) = split.batches(1000)
    target = code(batch)
    output = model.decoder(model.encode(target).z).flatten(1)
    out = model.likelihood.distortion(output, target)
    if isinstance(model.likelihood, Bernoulli):
        out = out + (torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target)).sum(1)
    return float(out.mean())


# ---------------------------------------------------------------- what a stage touches


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("place", range(3))
def test_a_stage_moves_its_own_layer_and_nothing_else(tied, place, run_layers, deep):
    learner, before = deep(tied=tied), deep(tied=tied).state_dict()
    epochs = [0, 0, 0]
    epochs[place] = 2
    run_layers("one", layerwise(pretrain_epochs=epochs, pretrain_batch_size=8, noise=0.2), learner=learner)
    moved = {name for name, value in learner.state_dict().items() if not torch.equal(value, before[name])}
    mirror = f"model.decoder.layers.{2 - place}"
    own = {f"model.encoder.layers.{place}.{part}" for part in ("weight", "bias")} | {f"{mirror}.bias"}
    own |= {f"{mirror}.source.{part}" for part in ("weight", "bias")} if tied else {f"{mirror}.weight"}
    assert moved == own


def test_layers_below_keep_their_bits(run_layers, deep):
    """Later stages do not change what earlier ones have learnt: the first two stages of three are those of two."""
    both, three = deep(), deep()
    run_layers("two", layerwise(pretrain_epochs=[2, 2, 0], pretrain_batch_size=8), learner=both)
    run_layers("three", layerwise(pretrain_epochs=[2, 2, 2], pretrain_batch_size=8), learner=three)
    for place in (0, 1):
        for one, other in ((both.model.encoder.layers[place], three.model.encoder.layers[place]),
                           (both.model.decoder.layers[2 - place], three.model.decoder.layers[2 - place])):  # fmt: skip
            assert same(dict(one.state_dict()), dict(other.state_dict()))


@pytest.mark.parametrize("precision", ["medium", "bf16"])
def test_pre_training_has_a_precision_of_its_own(precision, run_layers, monkeypatch):
    told = []

    def prepare(self, *given):
        told.append(self.precision)
        return real(self, *given)

    real = Arithmetic.prepare
    monkeypatch.setattr(Arithmetic, "prepare", prepare)
    run_layers("one", layerwise(pretrain_epochs=1, pretrain_precision=precision, finetune=Joint(**FINE)))
    assert told == [precision] * 3 + ["float32"]


def test_without_pre_training_the_run_is_that_of_the_joint_trainer(run_layers):
    joint = run_layers("joint", Joint(**FINE))
    none = run_layers("none", layerwise(pretrain_epochs=0, finetune=Joint(**FINE)))
    assert same(none.learner.state_dict(), joint.learner.state_dict())
    seconds = ("seconds",)
    ours, theirs = ({k: v for k, v in vars(r.progress).items() if k not in seconds} for r in (none, joint))
    assert ours == theirs and none.track.lines == joint.track.lines


def test_each_stage_has_noise_rate_and_penalty_of_its_own(toy, deep, quiet, tmp_path, monkeypatch):
    seen = []

    def fit(self, learner, data, optimizer, *rest) -> Progress:
        seen.append((learner, data, optimizer(learner.parameters()).param_groups[0]["lr"]))
        return Progress()

    monkeypatch.setattr(Joint, "fit", fit)
    trainer = layerwise(
        {"gaussian": noises.Gaussian(0.0)}, {"kl_sparsity": KLSparsity(0.0, 0.2)}, pretrain_epochs=1,
        pretrain_lr=[0.3, 0.2, 0.1], noise=[0.1, 0.2, 0.3], regularizer_weight=[1, 2, 3],
    )  # fmt: skip
    trainer.fit(deep(), toy, ADAM, schedulers.constant, Store(tmp_path, HEADER), quiet(), 0)
    assert [lr for _, _, lr in seen] == [0.3, 0.2, 0.1]
    objectives = [learner.objective for learner, _, _ in seen]
    assert [float(o.noise.noises["gaussian"].std) for o in objectives] == pytest.approx([0.1, 0.2, 0.3])
    assert [float(o.regularizers["kl_sparsity"].weight) for o in objectives] == [1, 2, 3]
    assert [data["train"].shape[0] for _, data, _ in seen] == [6, 5, 4]


PENALTIES = {
    "l1": L1(0.1),
    "kl_sparsity": KLSparsity(0.1, 0.1),
    "contractive": Contractive(0.1, "hutchinson"),
    "adversary": Adversary(0.1, [4]),
    "orthogonality": Orthogonality(0.1),
}


@pytest.mark.parametrize("regularizer", PENALTIES)
def test_a_layers_penalty_is_a_term_of_its_stage_and_of_no_other(regularizer, run_layers, deep):
    latent = Deterministic(3) if regularizer == "adversary" else Sigmoid(3)
    activation = "tanh" if regularizer == "adversary" else "sigmoid"
    trainer = layerwise(None, {regularizer: PENALTIES[regularizer]}, **{**LAYERS, "finetune": Joint(**FINE)})
    rows = run_layers("p", trainer, learner=deep(latent=latent, activation=activation)).progress.history
    assert all((regularizer in row) == (row["split"].startswith("layer_") or regularizer == "l1") for row in rows)


def test_codes_that_are_not_held_are_those_that_are(run_layers, monkeypatch, toy, deep):
    """The same rows and values; the order of an epoch is that of the split, held or not."""
    code = layers.codes_below(deep(), 2)
    held = layers.encode_split(toy["train"], code, 4)
    monkeypatch.setattr(layers, "KEPT", 0)
    fresh = layers.encode_split(toy["train"], code, 4)
    assert isinstance(fresh, layers.Coded) and not isinstance(held, layers.Coded)
    assert len(held) == len(fresh) == 26 and held.shape == fresh.shape
    for one, other in zip(held.epoch(1, 2, 8, 1), fresh.epoch(1, 2, 8, 1), strict=True):
        # a product of another number of rows may round otherwise
        torch.testing.assert_close(one.x, other.x, rtol=1e-6, atol=1e-6)
    result = run_layers("fresh")
    assert math.isfinite(result.progress.best)


# ---------------------------------------------------------------- what is refused


def test_divergence_names_the_layer(run_layers, deep):
    def wild(parameters, lr=0.01):
        return torch.optim.SGD(parameters, lr=lr)

    trainer = layerwise(**{**LAYERS, "pretrain_lr": [0.01, 1e30, 0.01], "finetune": Joint(**FINE)})
    with pytest.raises(Diverged, match=r"^layer 2 in pre-training: .*trainer\.pretrain_lr$"):
        run_layers("wild", trainer, wild, schedulers.constant, learner=deep(activation="relu", latent=Deterministic(3)))


def other(network, shape, latent, condition=None, **options):
    condition = condition or Unconditional()
    encoder, decoder = network(shape, latent.params, latent.dim, condition.size, **options)
    return Autoencoder(encoder, latent, decoder, Bernoulli(), condition)


def test_what_has_no_layers_to_stack_is_refused_in_one_line():
    conditional = Label()
    conditional.adapt(SimpleNamespace(classes=3, codes=0, columns=0))
    prior = Standard()
    models = {
        "model=mlp": other(conv, (1, 8, 8), Deterministic(4), channels=[4, 8], kernel=4, stride=2, upsample="nearest",
                           activation="relu", spatial=False),
        "latent=deterministic": other(mlp, (6,), Gaussian(3, prior), hidden_dims=[5]),
        "condition=none": other(mlp, (6,), Deterministic(3), conditional, hidden_dims=[5]),
    }  # fmt: skip
    for way, model in models.items():
        with pytest.raises(UsageError, match=f"^trainer=layerwise .*{way}") as error:
            layers.stack_of(model)
        assert "trainer=joint" in str(error.value) and "\n" not in str(error.value)


MASKING = "noise@trainer.corruption=masking"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=conv"], r"^trainer=layerwise .*take model=mlp, or trainer=joint$"),
        (["latent=gaussian"], r"^trainer=layerwise needs a code that is not drawn: take latent=deterministic"),
        (["condition=label"], r"^trainer=layerwise .*condition=none"),
        (
            [MASKING, "trainer.noise=[0.1,0.2]"],
            r"^trainer\.noise=\[0\.1, 0\.2\]: .* 3 layers.*, not 2: give 3 values, or",
        ),
        ([MASKING, "trainer.noise=[0.1,1.5,0]"], r"^trainer\.noise=\[0\.1, 1\.5, 0\]: p=1\.5 must lie from 0 to 1"),
        (
            [MASKING, "trainer.corruption.masking.p=2"],
            r"^trainer\.corruption\.masking\.p=2 should be a number from 0 to 1",
        ),
        ([MASKING, "trainer.corruption.masking.p=x"], r"^trainer\.corruption\.masking\.p='x' should be a number"),
        (["+trainer.corruption.evil._target_=os.system"], r"^trainer\.corruption\.evil\._target_=os.system: only"),
        (["+trainer.corruption.masking.p=0.1"], r"^trainer\.corruption\.masking names no class to build"),
        (["trainer.corruption=masking"], r"^trainer\.corruption='masking': .* noise@trainer\.corruption=masking$"),
        (
            ["trainer.noise=0.1"],
            r"^trainer\.noise=0\.1 is the level of no corruption: .*noise@trainer\.corruption=masking",
        ),
        (["trainer.regularizer_weight=1"], r"^trainer\.regularizer_weight=1 .* regularizer@trainer\.penalty=l1$"),
        (
            ["trainer.pretrain_epochs=-1"],
            r"^trainer\.pretrain_epochs=-1 should be a whole number of at least 0 or a list of",
        ),
        (
            ["trainer.pretrain_epochs=many"],
            r"^trainer\.pretrain_epochs='many' should be a whole number of at least 0 or a list",
        ),
        (["trainer.finetune.epochs=0"], r"^trainer\.finetune\.epochs=0 should be a whole number of at least 1"),
        (["regularizer@trainer.penalty=kl_sparsity"], r"^trainer\.penalty\.kl_sparsity: layer 1: .*model\.activation"),
        (["regularizer@trainer.penalty=kl"], r"^trainer\.penalty\.kl: layer 1: kl needs a stochastic code"),
        (["regularizer@trainer.penalty=classifier"], r"^trainer\.penalty\.classifier: layer 1: .*labelled data"),
    ],
)
def test_a_mistake_is_told_before_training(words, message, tmp_path):
    with pytest.raises(UsageError) as error:
        run_in(tmp_path, "trainer=layerwise", *words)
    assert re.search(message, str(error.value)), str(error.value)
    assert not any((tmp_path / "checkpoints").iterdir())


def test_the_study_says_what_vincent_et_al_did():
    cfg = composed("experiment=sdae_mnist")
    assert cfg.dataset.name == "mnist" and cfg.model.hidden_dims == [1000, 1000] and cfg.latent.dim == 1000
    assert cfg.trainer.noise == [0.1, 0.2, 0.3] and list(cfg.trainer.corruption) == ["masking"]
    assert cfg.objective.reconstruction_weight == 0 and list(cfg.regularizer) == ["classifier"]


def test_what_picks_the_best_state_is_what_fine_tuning_monitors():
    assert layerwise(finetune=Joint(monitor="reconstruction")).monitor == "reconstruction"
    assert layerwise().monitor == Joint().monitor == ClosedForm().monitor == "loss"

"""Layers trained one by one: each stage moves its own layer, lands where its law says, and goes on bit for bit."""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
from types import SimpleNamespace

import pytest
import torch
from composing import composed, run_in
from interrupted import files_of, same, stops_after
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import aeexp
from aeexp import files, schedulers
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
from aeexp.noises import Masking
from aeexp.regularizers.code import L1
from aeexp.runs.folder import RunFolder
from aeexp.runs.tracking import Tracker
from aeexp.trainers import shallow as layers
from aeexp.trainers.checkpoint import Progress, Store, load
from aeexp.trainers.joint import Joint
from aeexp.trainers.layerwise import Layerwise
from aeexp.trainers.window import Diverged

ADAM = functools.partial(torch.optim.Adam, lr=0.01)
HEADER = {"run_id": "a1"}
PRE = dict(pretrain_epochs=[2, 3, 1], pretrain_batch_size=8, noise=[0.1, 0.2, 0.3], finetune=None)
FINE = dict(epochs=2, batch_size=8, validate_every_steps=3, log_every_steps=2)


@pytest.fixture
def toy(as_data):
    """26 rows: batches of 8, 8, 8 and 2."""
    generator = torch.Generator().manual_seed(3)
    return as_data(*(torch.rand(n, 6, generator=generator).numpy() for n in (26, 10)))


@pytest.fixture
def deep(build_learner):
    """deep(...): 6-5-4-3 with its mirror; noise and a penalty that act in fine-tuning alone."""

    def make(seed=0, latent=None, **options):
        options = {"hidden_dims": [5, 4], "activation": "sigmoid", **options}
        parts = dict(noises={"masking": Masking(0.3)}, regularizers={"l1": L1(0.1)})
        return build_learner((6,), latent=latent or Sigmoid(3), seed=seed, **parts, **options)

    return make


@pytest.fixture
def run(deep, toy, quiet, tmp_path):
    """run(folder, trainer, ...): what a command does with a fresh learner; goes on where the folder has a last.pt."""

    def start(
        folder="run", trainer=None, optimizer=ADAM, scheduler=schedulers.cosine, *, learner=None, data=toy, seed=0,
        every_seconds=math.inf, track=None, stop=lambda: False,
    ) -> SimpleNamespace:  # fmt: skip
        learner, folder, track = learner or deep(), tmp_path / folder, track or quiet()
        store = Store(folder, HEADER, every_seconds)
        if (folder / "last.pt").is_file():
            store.resume(folder)
        torch.manual_seed(torch.seed())  # whatever the process drew before must not matter
        trainer = trainer or Layerwise(**{**PRE, "finetune": Joint(**FINE)})
        progress = trainer.fit(learner, data, optimizer, scheduler, store, track, seed, stop)
        return SimpleNamespace(learner=learner, progress=progress, track=track, folder=folder, store=store)

    return start


# ---------------------------------------------------------------- where a stage lands


def test_one_linear_stage_spans_the_subspace_of_pca(run, build_learner, as_data):
    """Baldi and Hornik 1989; the gap of the third and fourth variance, 1 to 0.09, lets Adam get there."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]
    x = torch.randn(400, 8, generator=generator) * torch.tensor([3.0, 2.0, 1.0, *[0.3] * 5]) @ basis
    data = as_data(x.numpy())
    learner = build_learner((8,), 3)
    trainer = Layerwise(pretrain_epochs=40, pretrain_lr=0.05, pretrain_batch_size=50)
    run("pca", trainer, ADAM, schedulers.cosine, learner=learner, data=data)
    found = torch.linalg.qr(learner.model.decoder.layers[0].weight.detach())[0]
    best = pca(data["train"], 3).decoder.layers[0].weight.detach()
    cosines = torch.linalg.svdvals(found.T @ best)
    # 1 - cos is half the squared angle; the cosine schedule ends at rate 0, which leaves angles far below 0.03
    assert float(cosines.min()) > 1 - 0.03**2 / 2


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh"])
@pytest.mark.parametrize("tied", [False, True])
def test_pre_training_brings_every_layer_far_below_random_weights(activation, tied, digit_data, build_learner, run):
    """On clean codes below, against the same shallow autoencoder of random weights on the same codes.

    The excess over the entropy that a cross-entropy cannot go below, where codes lie in (0, 1).
    """

    def learner():
        return build_learner((1, 8, 8), 16, hidden_dims=[48, 32], activation=activation, tied=tied)

    trained, random = learner(), learner()
    # 8 epochs of 12 batches: some 100 steps of Adam at 0.01 are enough for most of the way
    run("d", Layerwise(pretrain_epochs=8, noise=0.1), learner=trained, data=digit_data)
    for place in range(3):
        code = layers.codes_below(trained, place)
        errors = [excess(layers.shallow(one.model, place), digit_data["val"], code) for one in (trained, random)]
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
def test_a_stage_moves_its_own_layer_and_nothing_else(tied, place, run, deep):
    learner, before = deep(tied=tied), deep(tied=tied).state_dict()
    epochs = [0, 0, 0]
    epochs[place] = 2
    run("one", Layerwise(pretrain_epochs=epochs, pretrain_batch_size=8, noise=0.2), learner=learner)
    moved = {name for name, value in learner.state_dict().items() if not torch.equal(value, before[name])}
    mirror = f"model.decoder.layers.{2 - place}"
    own = {f"model.encoder.layers.{place}.{part}" for part in ("weight", "bias")} | {f"{mirror}.bias"}
    own |= {f"{mirror}.source.{part}" for part in ("weight", "bias")} if tied else {f"{mirror}.weight"}
    assert moved == own


def test_layers_below_keep_their_bits(run, deep):
    """Later stages do not change what earlier ones have learnt: the first two stages of three are those of two."""
    both, three = deep(), deep()
    run("two", Layerwise(pretrain_epochs=[2, 2, 0], pretrain_batch_size=8), learner=both)
    run("three", Layerwise(pretrain_epochs=[2, 2, 2], pretrain_batch_size=8), learner=three)
    for place in (0, 1):
        for one, other in ((both.model.encoder.layers[place], three.model.encoder.layers[place]),
                           (both.model.decoder.layers[2 - place], three.model.decoder.layers[2 - place])):  # fmt: skip
            assert same(dict(one.state_dict()), dict(other.state_dict()))


def test_without_pre_training_the_run_is_that_of_the_joint_trainer(run):
    joint = run("joint", Joint(**FINE))
    none = run("none", Layerwise(pretrain_epochs=0, finetune=Joint(**FINE)))
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
    trainer = Layerwise(pretrain_epochs=1, pretrain_lr=[0.3, 0.2, 0.1], corruption="gaussian", noise=[0.1, 0.2, 0.3],
                        regularizer="kl_sparsity", regularizer_weight=[1, 2, 3], rho=0.2, finetune=None)  # fmt: skip
    trainer.fit(deep(), toy, ADAM, schedulers.constant, Store(tmp_path, HEADER), quiet(), 0)
    assert [lr for _, _, lr in seen] == [0.3, 0.2, 0.1]
    objectives = [learner.objective for learner, _, _ in seen]
    assert [float(o.noise.noises["gaussian"].std) for o in objectives] == pytest.approx([0.1, 0.2, 0.3])
    assert [float(o.regularizers["kl_sparsity"].weight) for o in objectives] == [1, 2, 3]
    assert [data["train"].shape[0] for _, data, _ in seen] == [6, 5, 4]


@pytest.mark.parametrize("regularizer", ["l1", "kl_sparsity", "contractive"])
def test_a_layers_penalty_is_a_term_of_its_stage_and_of_no_other(regularizer, run):
    trainer = Layerwise(**{**PRE, "regularizer": regularizer, "finetune": Joint(**FINE)})
    rows = run("p", trainer).progress.history
    assert all((regularizer in row) == (row["split"].startswith("layer_") or regularizer == "l1") for row in rows)


def test_codes_that_are_not_held_are_those_that_are(run, monkeypatch, toy, deep):
    """The same rows and values; the order of an epoch is that of the split, held or not."""
    code = layers.codes_below(deep(), 2)
    held = layers.coded(toy["train"], code, 4)
    monkeypatch.setattr(layers, "HELD", 0)
    fresh = layers.coded(toy["train"], code, 4)
    assert isinstance(fresh, layers.Coded) and not isinstance(held, layers.Coded)
    assert len(held) == len(fresh) == 26 and held.shape == fresh.shape
    for one, other in zip(held.epoch(1, 2, 8, 1), fresh.epoch(1, 2, 8, 1), strict=True):
        # a product of another number of rows may round otherwise
        torch.testing.assert_close(one.x, other.x, rtol=1e-6, atol=1e-6)
    result = run("fresh")
    assert math.isfinite(result.progress.best)


# ---------------------------------------------------------------- the run as a whole


def test_steps_run_on_through_the_stages_and_rows_name_them(run):
    result = run()
    rows = result.progress.history
    assert list(dict.fromkeys(row["split"] for row in rows)) == [
        *(f"layer_{k}/{split}" for k in (1, 2, 3) for split in ("train", "val")), "train", "val",
    ]  # fmt: skip
    steps = [row["step"] for row in rows if row["split"].endswith("val")]
    assert steps == [4, 8, 12, 16, 20, 24, 27, 30, 32]  # 4 steps an epoch; then every 3rd step of fine-tuning
    assert result.progress.step == 32 == result.track.total
    assert 24 < result.progress.best_step <= 32 and 1 <= result.progress.best_epoch <= 2
    assert result.progress.samples == 26 * 8
    best = min((row for row in rows if row["split"] == "val"), key=lambda row: row["loss"])
    assert (result.progress.best, result.progress.best_step) == (best["loss"], best["step"])


def test_tensorboard_keeps_the_stages_apart(run, tmp_path):
    track = Tracker(RunFolder(tmp_path), {}, bar=False, on_step=lambda step: None)
    run(track=track)
    track.close(True)
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    points = {tag: [e.step for e in shown.Scalars(tag)] for tag in shown.Tags()["scalars"] if tag.endswith("loss")}
    assert points["layer_1/val/loss"] == [4, 8] and points["layer_2/val/loss"] == [12, 16, 20]
    assert points["val/loss"] == [27, 30, 32] and min(points["train/loss"]) > 24


def test_a_run_stopped_in_any_stage_and_taken_up_again_ends_with_the_same_bits(run, deep):
    whole = run("whole")
    for step in (1, 3, 8, 9, 13, 20, 21, 24, 25, 29, 31, 32):  # layers end after 8, 20 and 24
        with pytest.raises(KeyboardInterrupt):
            run(f"stopped-{step}", stop=stops_after(step))
        again = run(f"stopped-{step}", learner=deep(seed=99))
        assert same(again.learner.state_dict(), whole.learner.state_dict())
        assert again.progress.history == whole.progress.history
        assert same(_files(again.folder), _files(whole.folder))


@pytest.mark.parametrize(("every_seconds", "finetune"), [(0.0, Joint(**FINE)), (math.inf, Joint(**FINE)), (0.0, None)])
def test_a_run_killed_at_any_word_to_the_tracker_ends_with_the_same_bits(
    every_seconds, finetune, run, deep, quiet, killed
):
    trainer = Layerwise(**{**PRE, "finetune": finetune})
    whole = run("whole", trainer)
    for word in range(1, whole.track.words + 1, 1 if finetune is None else 2):
        with pytest.raises(killed):
            run(f"{word}", trainer, track=quiet(dies=word), every_seconds=every_seconds)
        again = run(f"{word}", trainer, learner=deep(seed=99))
        assert same(again.learner.state_dict(), whole.learner.state_dict())
        assert same(_files(again.folder), _files(whole.folder))


def test_a_run_killed_between_two_files_ends_with_the_same_bits(run, deep, monkeypatch, killed):
    whole, write = run("whole"), files.write
    for last in range(2, 40, 5):
        count = itertools.count(1)

        def cut(path, content, last=last, count=count):
            if next(count) == last:
                raise killed
            write(path, content)

        monkeypatch.setattr(files, "write", cut)
        try:
            run(f"{last}", every_seconds=0.0)
        except killed:
            monkeypatch.setattr(files, "write", write)
            again = run(f"{last}", learner=deep(seed=99))
            assert same(again.learner.state_dict(), whole.learner.state_dict())
            assert same(_files(again.folder), _files(whole.folder))
    monkeypatch.setattr(files, "write", write)


def _files(folder) -> dict:
    content = files_of(folder)
    for saved in content.values():
        del saved["stage"]["past"]["seconds"]
    return content


def test_the_best_state_of_fine_tuning_is_kept_and_loaded(tmp_path):
    words = ["variant=stacked_denoising", "model.hidden_dims=[32,16]", "latent.dim=8", "trainer.pretrain_epochs=2",
             "trainer.finetune.epochs=2", "plot=curves"]  # fmt: skip
    run_in(tmp_path, *words)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    saved = load(tmp_path / "checkpoints" / "best.pt")
    assert metrics["monitor"] == "val/loss" and metrics["best_step"] == 72 + saved["progress"]["best_step"]
    weights = aeexp.load(tmp_path).encoder.layers[1].weight
    assert torch.equal(weights, saved["learner"]["model.encoder.layers.1.weight"])
    assert {p.stem for p in (tmp_path / "figures").glob("*.png")} == {"curves", "curves_layers"}


def test_pre_trained_only(tmp_path):
    words = ["variant=stacked", "model.hidden_dims=[32,16]", "latent.dim=8", "trainer.pretrain_epochs=1"]
    best = run_in(tmp_path, *words, "trainer.finetune=null")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["best"] == best == pytest.approx(metrics["val"]["loss"], rel=1e-6)
    assert metrics["best_step"] == 36 and metrics["monitor"] == "val/loss"


def test_a_classifier_on_top_learns_from_labels_in_fine_tuning_alone(tmp_path):
    words = ["variant=stacked_denoising", "regularizer=classifier", "objective.reconstruction_weight=0",
             "metric=classification", "trainer.pretrain_epochs=3", "trainer.finetune.epochs=8"]  # fmt: skip
    run_in(tmp_path, *words)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    # a linear probe of the pixels reads 96 % of these digits: a trained network is not far below
    assert metrics["test"]["classification/accuracy"] > 0.85


# ---------------------------------------------------------------- what is refused


def test_divergence_names_the_layer(run, deep):
    def wild(parameters, lr=0.01):
        return torch.optim.SGD(parameters, lr=lr)

    trainer = Layerwise(**{**PRE, "pretrain_lr": [0.01, 1e30, 0.01], "finetune": Joint(**FINE)})
    with pytest.raises(Diverged, match=r"^layer 2 in pre-training: .*trainer\.pretrain_lr$"):
        run("wild", trainer, wild, schedulers.constant, learner=deep(activation="relu", latent=Deterministic(3)))


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
            layers.check(model)
        assert "trainer=joint" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=conv"], r"^trainer=layerwise .*take model=mlp, or trainer=joint$"),
        (["latent=gaussian"], r"^trainer=layerwise needs a code that is not drawn: take latent=deterministic"),
        (["condition=label"], r"^trainer=layerwise .*condition=none"),
        (["trainer.noise=[0.1,0.2]"], r"^trainer\.noise=\[0\.1, 0\.2\]: .* 3 layers.*, not 2: give 3 values, or one"),
        (["trainer.noise=[0.1,1.5,0]"], r"^trainer\.noise=\[0\.1, 1\.5, 0\]: p=1\.5 is no probability"),
        (["trainer.pretrain_epochs=-1"], r"^trainer\.pretrain_epochs=-1 must not be negative"),
        (["trainer.pretrain_epochs=many"], r"^trainer\.pretrain_epochs='many' should be a whole number or a list"),
        (["trainer.corruption=block"], r"^trainer\.corruption='block' should be one of masking"),
        (["trainer.finetune.epochs=0"], r"^trainer\.finetune\.epochs=0 must be at least 1"),
        (["trainer.regularizer=kl_sparsity"], r"^trainer\.regularizer=kl_sparsity: layer 1 .*activation=sigmoid"),
    ],
)
def test_a_mistake_is_told_before_training(words, message, tmp_path):
    with pytest.raises(UsageError) as error:
        run_in(tmp_path, "trainer=layerwise", *words)
    assert re.search(message, str(error.value)), str(error.value)
    assert not (tmp_path / "checkpoints").exists()


def test_the_study_says_what_vincent_et_al_did():
    cfg = composed("experiment=sdae_mnist")
    assert cfg.dataset.name == "mnist" and cfg.model.hidden_dims == [1000, 1000] and cfg.latent.dim == 1000
    assert cfg.trainer.noise == [0.1, 0.2, 0.3] and cfg.trainer.corruption == "masking"
    assert cfg.objective.reconstruction_weight == 0 and list(cfg.regularizer) == ["classifier"]

"""Every YAML composes, passes the checks and builds; what a user mistypes is told in words."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import samples
import torch
from composing import CONF, composed, run_in
from hydra.errors import HydraException
from omegaconf import OmegaConf
from representatives import few
from test_conformance import GROUPS

from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.errors import UsageError
from aeexp.models.learner import average
from aeexp.reference.options import list_options, read_option
from aeexp.runs import build
from aeexp.runs.config import MULTIPLE, PARTS, check, make
from aeexp.trainers.window import Diverged
from aeexp.types import Facts

SHARED = {"hydra", "common", "reproduce"}  # no options of a group
FILES = sorted(p for p in CONF.rglob("*.yaml") if not SHARED & set(p.parts) and p.parent != CONF)
OPTIONS = [(path.parent.relative_to(CONF).as_posix(), path.stem) for path in FILES]
VARIANTS = sorted(path.stem for path in (CONF / "variant").glob("*.yaml"))
SEVERAL = ("metric", "plot")  # groups whose options are built beside each other
SAME = [(group, option) for group, option in OPTIONS if group not in (*GROUPS, *SEVERAL)]  # GROUPS: test_conformance
DIGITS = Facts((1, 8, 8), 10)
FACTS = {  # of data that is not as digits are, by its name
    "adult": Facts((100,), 2, 2),
    "diabetes": Facts((10,), 0, response=(0.0, 1.0)),
    "camvid": Facts((3, 96, 128), target=(96, 128), values=tuple(range(12))),
    "colored_digits": Facts((3, 16, 16), 10, 2),
    "sentences": Facts((48, 1), 6, tokens=59),
    "sine_waves": Facts((48, 1), 4),
    "textured_digits": Facts((3, 16, 16), 10, target=(16, 16), values=(0, 1)),
}


def test_the_walk_saw_every_group_and_option():
    seen = {group for group, _ in OPTIONS}
    assert seen >= {*PARTS, *MULTIPLE, "variant", "experiment", "dataset/split"}
    assert len(OPTIONS) >= 130
    assert len(VARIANTS) >= 26


def build_parts(*overrides: str) -> None:
    """Every part of such a run, for the data that it names."""
    cfg = composed(*overrides)
    check(cfg)
    torch.manual_seed(0)
    learner = build.build_learner(cfg, FACTS.get(cfg.dataset.name, DIGITS))
    for key in ("trainer", "metric", "plot"):
        make(cfg, key)
    optimizer = make(cfg, "optimizer")(learner.parameters())
    assert make(cfg, "scheduler")(optimizer, 10) is not None


@pytest.mark.parametrize(("group", "option"), SAME)
def test_every_option_composes_and_builds(group, option, tmp_path):
    own = [f"{group}={option}"]
    if group == "dataset" and option in samples.WRITERS:
        own = samples.write(option, tmp_path)
    build_parts(*read_option(group, option).requires, *own)


def list_beside(group: str) -> list[tuple[str, ...]]:
    """The words for all options of a group that need the same beside them; of a list of them (default), alone."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in [option for kind, option in OPTIONS if kind == group]:
        option = read_option(group, name)
        alike.setdefault(option.requires if option.target else (name,), []).append(name)
    return [(*(key if len(key) != 1 or key[0] not in names else ()), f"{group}=[{','.join(names)}]")
            for key, names in alike.items()]  # fmt: skip


@pytest.mark.parametrize("words", [words for group in SEVERAL for words in list_beside(group)], ids=" ".join)
def test_options_of_a_group_compose_and_build_beside_each_other(words):
    build_parts(*words)


# A trainer meets its model in `fit` alone: the mistakes below have trainer=closed_form.
NEEDY = [option for option in list_options() if option.requires and option.group != "trainer"]


@pytest.mark.parametrize("option", NEEDY, ids=lambda option: option.word)
def test_what_an_option_requires_it_does_not_build_without(option):
    for left_out in option.requires:
        words = [word for word in option.requires if word != left_out]
        with pytest.raises((UsageError, HydraException)):
            build_parts(*words, option.word)


@pytest.mark.parametrize(
    "option", few((option for group, option in OPTIONS if group == "dataset"), "csv", "digits", "sine_waves")
)
def test_every_dataset_that_needs_no_download_trains_two_steps(option, tmp_path):
    words = [f"dataset={option}"] if option not in samples.WRITERS else samples.write(option, tmp_path / "rows")
    if "root" in composed(*words).dataset:
        return  # public sets, tested in test_vision.py from files of their own format
    budget = ["trainer.steps=2", "trainer.validate_every_steps=1", "metric=reconstruction"]
    assert math.isfinite(run_in(tmp_path / "run", *words, "dataset.limit=100", *budget))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert math.isfinite(metrics["test"]["reconstruction/mse"])
    assert metrics["data"]["shape"] and len(metrics["data"]["fingerprint"]) == 16


@pytest.mark.parametrize(("group", "option"), [o for o in OPTIONS if o[0] in PARTS and o[1] not in samples.WRITERS])
def test_a_key_that_no_constructor_takes_is_refused(group, option):
    """It would parse and do nothing."""
    cfg = composed(f"{group}={option}")  # as the tests above, once more
    OmegaConf.update(cfg, f"{group}.misspelt", 1, force_add=True)
    with pytest.raises(UsageError, match=rf"^{group}\.misspelt=1"):
        check(cfg)


@pytest.mark.parametrize("variant", few(VARIANTS, "pca", "stacked_denoising", "vae", "vq_vae"))
def test_every_variant_trains_two_steps_with_finite_terms(variant, tmp_path):
    solved = composed(f"variant={variant}").trainer._target_ == "aeexp.trainers.ClosedForm"
    budget = [] if solved else ["trainer.steps=2", "trainer.validate_every_steps=1"]
    if composed(f"variant={variant}").trainer.get("finetune"):
        budget = ["trainer.pretrain_epochs=1", *(word.replace("trainer.", "trainer.finetune.") for word in budget)]
    best = run_in(tmp_path, f"variant={variant}", *budget)
    assert math.isfinite(best)
    rows = (tmp_path / "history.csv").read_text().splitlines()
    losses = [float(row.split(",")[4]) for row in rows[1:]]
    assert len(losses) >= 4 and all(map(math.isfinite, losses))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["latent.dim=0"], r"^latent\.dim=0 should be a whole number of at least 1"),
        (["latent=topk", "latent.k=65"], r"^latent\.k=65 must lie between 1 and latent\.dim=64"),
        (["noise=masking", "noise.masking.p=1.5"], r"^noise\.masking\.p=1\.5 should be a number from 0 to 1"),
        (["trainer.epochs=abc"], r"^trainer\.epochs='abc' should be a whole number"),
        (["trainer.epochs=1.5"], r"^trainer\.epochs=1\.5 should be a whole number"),
        (["trainer.epochs=0"], r"^trainer\.epochs=0 should be a whole number of at least 1"),
        (["trainer.monitor=accuracy"], r"^trainer\.monitor=accuracy is none of the terms.*loss, reconstruction"),
        (["optimizer.lr=fast"], r"^optimizer\.lr='fast' should be a number"),
        (["model.activation=swish"], r"^model\.activation='swish' should be one of relu"),
        (["model.hidden_dims=3"], r"^model\.hidden_dims=3 should be a list of whole numbers"),
        (["model=conv", "model.kernel=1"], r"^model\.kernel=1 must be at least stride=2"),
        (["model=conv", "model.channels=[8,8,8,8,8]"], r"^model\.channels=.*to nothing: take fewer"),
        (["latent=vq", "latent.width=5"], r"^latent\.width=5 must divide latent\.dim=16: take latent\.dim=20"),
        (["model=conv", "model.spatial=true", "latent.dim=10"], r"^model\.spatial=true .*latent\.dim=12$"),
        (["variant=deep", "model=conv"], r"^model\.hidden_dims=.*model as chosen has no such key; it has channels"),
        (["+foo=1"], r"^foo=1 is no key of aeexp"),
        (["+sed=1"], r"^sed=1 is no key of aeexp: did you mean seed\?"),
        (
            ["likelihood=categorical"],
            r"^likelihood\.levels=256, but the data has values of 17 kinds.*take likelihood\.levels=17",
        ),
        (["likelihood.estimate=best"], r"^likelihood\.estimate='best' should be one of fixed, learned, optimal"),
        (
            ["plot=[traversals]", "plot.traversals.units=0"],
            r"^plot\.traversals\.units=0 should be a whole number from 1 to 40",
        ),
        (["plot=[scatter]", "plot.scatter.maps=[isomap]"], r"^plot\.scatter\.maps=\['isomap'\] .* names out of pca"),
        (["plot=[interpolation]", "plot.interpolation.path=arc"], r"path='arc' should be one of auto, line, slerp"),
        (["variant=iwae", "objective.samples=0"], r"^objective\.samples=0 should be a whole number of at least 1"),
        (["seed=null"], r"^seed=None should be a whole number"),
        (["device=tpu"], r"^device='tpu' should be one of auto"),
        (["threads=0"], r"^threads=0 should be a whole number from 1 to 1024"),
        (["+regularizer.l1.weight=3"], r"^regularizer\.l1 is set, but l1 is not among your regularizer options"),
        (["model=gru"], r"^model=gru needs sequences.*\(1, 8, 8\).*take dataset=sine_waves"),
        (["regularizer=kl"], r"kl needs a stochastic code.*latent=gaussian"),
        (["condition=attribute"], r"condition=attribute needs data with attributes"),
        (["variant=iwae", "regularizer=[kl]"], r"leave kl out of the regularizers"),
        (
            ["variant=iwae", "likelihood=gaussian_optimal"],
            r"^objective\.samples=5: .*take likelihood\.estimate",
        ),
        (["variant=wae", "latent=vq"], r"mmd holds codes against N\(0, I\).*take latent=deterministic"),
        (["variant=iwae", "latent=vq"], r"^objective: samples are drawn codes.*take latent=gaussian"),
        (
            ["variant=iwae", "latent=categorical", "objective.gradient=doubly_reparameterized"],
            r"^objective\.gradient=doubly_reparameterized needs codes drawn from a density",
        ),
        (
            ["variant=aae", "regularizer.adversary.against=attribute"],
            r"^regularizer\.adversary\.against=attribute: the",
        ),
        (["regularizer=kl_sparsity"], r"kl_sparsity needs units in \(0, 1\).*latent=sigmoid"),
        (["trainer=closed_form"], r"trainer=closed_form solves model=linear"),
        (["dataset/split=official"], r"^dataset\.split=official: this dataset comes without a test set"),
        (["dataset.split.fractions=[1,2]"], r"^dataset\.split\.fractions=\[1, 2\] must be three positive shares"),
        (["dataset.limit=1"], r"^dataset\.limit=1 should be a whole number of at least 3"),
        (["dataset=npz"], r"^dataset\.path must be given"),
        (["dataset=npz", "dataset.path=/no/where.npz"], r"^dataset\.path=/no/where\.npz: no such file"),
        (["dataset=mnist", "dataset.root=/no/where"], r"(?s)train-images-idx3-ubyte.*dataset\.download=true"),
        (["dataset.normal_classes=[42]"], r"^dataset\.normal_classes=\[42\]: there is no class 42; there are 0, 1"),
        (["task=inpaint", "task.size=2"], r"^task\.size=2 should be a number above 0 and below 1"),
        (["task=inpaint", "task.shape=half", "task.size=0.3"], r"^task\.size=0\.3: shape=half takes half"),
        (["optimizer._target_=os.system"], r"^optimizer\._target_=os\.system: only aeexp and torch"),
        (["optimizer._target_=torch.optim.Adma"], r"^optimizer\._target_=torch\.optim\.Adma does not exist"),
        (["task=segment"], r"^task=segment needs masks: take dataset=textured_digits"),
        (
            ["variant=segmentation", "likelihood=gaussian"],
            r"^task=segment: .* 2 classes: take.*=bernoulli$",
        ),
        (["variant=segmentation", "likelihood=categorical"], r"^task=segment: the masks have 2 classes: take"),
        (
            ["variant=segmentation", "likelihood=bernoulli", "task.names=[a,b,c]"],
            r"^task=segment: the masks have 3 classes: .*levels=3$",
        ),
        (["likelihood=categorical_classes"], r"^likelihood\.levels=null are the classes of task=segment"),
        (["variant=segmentation", "task.names=[a,a]"], r"^task\.names=\['a', 'a'\]: name two classes or more"),
        (["variant=segmentation", "task.ignore=1"], r"^task\.ignore=1: the masks hold the values 0: two classes"),
        (["variant=segmentation", "trainer=closed_form", "model=linear"], r"^trainer=closed_form .*not of masks"),
        (["model=unet", "model.channels=[8]"], r"^model\.channels=\[8\] needs two numbers"),
        (["model=unet", "model.channels=[4,4,4,4,4]"], r"^model\.channels=.*8x8 to nothing: take fewer"),
        (["resume=/no/where"], r"/no/where/checkpoints/last\.pt: there is no such checkpoint"),
    ],
)
def test_a_mistake_is_told_with_key_value_and_way_out(overrides, message, tmp_path):
    with pytest.raises(UsageError) as caught:
        run_in(tmp_path, *overrides)
    text = str(caught.value)
    assert re.search(message, text), text
    assert text.count("\n") <= 1, "one or two lines"


def test_bernoulli_and_conv_refuse_data_that_does_not_fit(tmp_path):
    np.savez(tmp_path / "flat.npz", x=np.random.default_rng(0).normal(size=(30, 6)))
    data = ["dataset=npz", f"dataset.path={tmp_path / 'flat.npz'}"]
    with pytest.raises(UsageError, match=r"likelihood=bernoulli needs values in \[0, 1\].*take likelihood=gaussian"):
        run_in(tmp_path / "a", "likelihood=bernoulli", *data)
    with pytest.raises(UsageError, match=r"^model=conv needs pictures.*\(6,\).*take model=mlp"):
        run_in(tmp_path / "b", "model=conv", *data)


def test_a_loss_that_is_no_number_names_its_step_and_keeps_a_good_checkpoint(tmp_path):
    with pytest.raises(Diverged, match=r"at step \d+"):
        run_in(tmp_path, "optimizer=sgd", "optimizer.lr=1e20")
    saved = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in saved["learner"].values())
    assert not (tmp_path / "metrics.json").exists()


def test_every_pair_of_noise_and_regularizer_composes_on_both_networks():
    count = 0
    penalties = [composed(f"regularizer={name}") for name in ("none", "l1", "decoder_l2", "[l1,contractive]")]
    for model in ("mlp", "conv"):
        for noise in ("none", "gaussian", "masking", "salt_pepper", "block", "[masking,gaussian]"):
            for penalty in penalties:  # a composition takes 0.3 s: its parts are put together here
                cfg = composed(f"model={model}")
                cfg.noise, cfg.regularizer = composed(f"noise={noise}").noise, penalty.regularizer
                check(cfg)
                build.build_learner(cfg, Facts((1, 8, 8), 10, 2))
                count += 1
    assert count == 48


PRIORS = {"gaussian": ("standard", "mixture", "vamp"), "hyperspherical": ("uniform", "vamp"),
          "categorical": ("uniform", "vamp")}  # fmt: skip


@pytest.mark.parametrize(("latent", "prior"), [(latent, prior) for latent, all_ in PRIORS.items() for prior in all_])
@pytest.mark.parametrize("condition", few(["none", "label", "attribute"], "label"))
def test_every_stochastic_code_learns_under_every_condition_and_objective(latent, prior, condition):
    """A gradient step on both objectives, and finite terms in evaluation."""
    told = composed(f"condition={condition}").condition  # one composition for each part
    code = composed(f"latent={latent}", f"latent/prior={prior}", "latent.dim=8").latent
    for objective, regularizer in (("additive", "[kl,mmd,adversary]"), ("iwae", "[mmd]")):
        own = composed(f"objective={objective}", f"regularizer={regularizer}", "likelihood=bernoulli")
        for network in ("mlp", "conv"):
            cfg = own.copy()
            cfg.condition, cfg.latent, cfg.model = told, code, composed(f"model={network}").model
            check(cfg)
            torch.manual_seed(0)
            learner = build.build_learner(cfg, Facts((1, 8, 8), 3, 2))
            rows = Rows(
                np.random.default_rng(0).random((40, 1, 8, 8), np.float32), np.arange(40) % 3, np.arange(40) % 2
            )
            split = Split(rows)
            learner.before_step(split, 0)
            terms, out = learner.train()(split.batch(slice(0, 16)))
            sum(term.mean() for term in terms.values()).backward()
            assert all(torch.isfinite(p.grad).all() for p in learner.parameters() if p.grad is not None)
            assert learner.model.sample_codes(3).shape == (3, 8)
            values = average(learner, split)
            assert all(map(math.isfinite, values.values()))

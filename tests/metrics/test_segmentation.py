"""Masks as targets: their classes, what counts, how it is measured and drawn, and what leaves itself out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st
from representatives import few
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

import aeexp
from aeexp.contracts import Decoder
from aeexp.datasets.core.splits import Fractions, Official
from aeexp.datasets.formats.npz import npz
from aeexp.datasets.sets.painted import textured_digits
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.latents.gaussian import Gaussian as GaussianLatent
from aeexp.latents.posteriors import standard_log_prob
from aeexp.latents.priors import Standard
from aeexp.likelihoods.bernoulli import Bernoulli
from aeexp.likelihoods.categorical import Categorical
from aeexp.metrics.segmentation import Segmentation, confusion, scores
from aeexp.models.nn.resnet import resnet
from aeexp.models.nn.unet import unet
from aeexp.noises import Masking
from aeexp.objectives.bounds import log_weights
from aeexp.plots.segmentation import CLASSES, palette
from aeexp.regularizers.contractive import Contractive
from aeexp.tasks.segment import Segment
from aeexp.types import Batch, Facts

SHAPE = (1, 5, 6)


@pytest.fixture(scope="module")
def digits_with_masks():
    return textured_digits(name="textured_digits", split=Fractions([8, 1, 1]), size=8, limit=300)


def segment(values, shape=SHAPE, **options) -> Segment:
    task = Segment(**options)
    task.adapt(Facts(shape, target=tuple(shape[1:]), values=tuple(values)))
    return task


def batch_of(mask, shape=SHAPE) -> Batch:
    mask = torch.as_tensor(mask)
    return Batch(torch.rand(len(mask), *shape), target=mask)


masks = st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 3)), min_size=1, max_size=60)


@given(masks)
def test_the_measures_are_those_of_scikit_learn_over_the_classes_that_occur(pairs):
    truth, found = np.array(pairs).T
    made = scores(confusion(truth, found, 4))
    truth, found = truth[truth >= 0], found[truth >= 0]
    if len(truth) == 0:
        assert math.isnan(made.mean_iou) and math.isnan(made.pixel_accuracy)
        return
    there = np.unique(truth)
    options = dict(labels=there, average="macro", zero_division=0)
    assert made.mean_iou == pytest.approx(jaccard_score(truth, found, **options))
    assert made.dice == pytest.approx(f1_score(truth, found, **options))
    assert made.pixel_accuracy == pytest.approx(accuracy_score(truth, found))
    each = jaccard_score(truth, found, labels=range(4), average=None, zero_division=0)
    either = np.isin(np.arange(4), np.concatenate([truth, found]))
    np.testing.assert_allclose(made.iou[either], each[either])
    assert np.isnan(made.iou[~either]).all()


def test_the_truth_scores_1_and_a_constant_its_share():
    truth = np.repeat([0, 1, 2], [50, 30, 20])
    exact, constant = (scores(confusion(truth, found, 3)) for found in (truth, np.zeros_like(truth)))
    assert exact.mean_iou == exact.dice == exact.pixel_accuracy == 1
    assert constant.pixel_accuracy == 0.5 and constant.mean_iou == pytest.approx(0.5 / 3)


def test_the_confusion_is_that_of_the_split_and_not_a_mean_over_batches():
    generator = np.random.default_rng(0)
    truth, found = generator.integers(-1, 3, 40), generator.integers(3, size=40)
    parts = sum(confusion(truth[at], found[at], 3) for at in (slice(0, 7), slice(7, 40)))
    np.testing.assert_array_equal(parts, confusion(truth, found, 3))


@pytest.mark.parametrize(
    ("values", "options", "classes", "names"),
    [
        ((0, 1), {}, 2, ("0", "1")),
        ((0, 255), {}, 2, ("0", "255")),
        ((0, 1, 2, 5), {}, 6, ("0", "1", "2", "3", "4", "5")),  # a class may be missing
        ((0, 1, 2, 255), {"ignore": 255}, 3, ("0", "1", "2")),
        ((1, 2, 255), {"ignore": 255, "names": ["a", "b", "c"]}, 3, ("a", "b", "c")),
    ],
)
def test_classes_of_masks_come_back_as_they_were(values, options, classes, names):
    task = segment(values, **options)
    mask = torch.tensor(values, dtype=torch.uint8).repeat(30)[: 2 * 30].reshape(2, 5, 6)
    target = task(batch_of(mask)).target
    assert task.classes == classes and task.names == names
    assert target.shape == (2, *SHAPE) and target.dtype == torch.float32
    truth = task.truth(target)
    ignored = mask.long() == options.get("ignore", -1)
    assert torch.equal(target[:, 0] == -1, ignored) and torch.equal(truth == -1, ignored)
    back = truth * (values[1] - values[0]) if len(values) == 2 else truth
    assert torch.equal(back[~ignored], mask[~ignored].long())
    assert 0 <= target[:, 0][~ignored].min() and target.max() <= 1


@pytest.mark.parametrize("classes", [2, 3, 11, 12])
def test_a_prediction_is_the_largest_logit(classes):
    """Every class number survives the way over class / (classes - 1) in float32."""
    task = segment(range(classes))
    likelihood = Categorical(classes)
    wanted = torch.arange(30).reshape(1, 5, 6) % classes
    logits = torch.nn.functional.one_hot(wanted, classes).movedim(-1, 1).float()
    assert torch.equal(task.predict(likelihood, logits), wanted)
    assert torch.equal(task.truth(task(batch_of(wanted)).target), wanted)
    if classes == 2:
        signs = 2.0 * wanted[:, None] - 1
        assert torch.equal(task.predict(Bernoulli(), signs), wanted)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Categorical(2), Categorical(4)])
def test_an_ignored_pixel_costs_nothing_and_teaches_nothing(likelihood):
    levels = likelihood.levels
    task = segment((*range(levels), 9), ignore=9, names=[*"abcd"[:levels]])
    mask = torch.randint(levels, (3, 5, 6))
    void = torch.rand(3, 5, 6) < 0.4
    output = torch.randn(3, *likelihood.output(SHAPE), requires_grad=True)
    whole = task(batch_of(mask)).target
    some = task(batch_of(torch.where(void, 9, mask))).target
    value = likelihood.distortion(output, some)
    # pixels are independent: the loss of one is what it adds when all others are void
    each = torch.stack([likelihood.distortion(output, torch.where(pixel, whole, -1.0))
                        for pixel in torch.eye(30, dtype=bool).reshape(30, 1, *SHAPE)], -1)  # fmt: skip
    torch.testing.assert_close(value, (each * ~void.flatten(1)).sum(1))
    (gradient,) = torch.autograd.grad(value.sum(), output)
    touched = (gradient.reshape(3, -1, 5, 6) != 0).any(1)
    assert torch.equal(touched, ~void)


@pytest.mark.parametrize(
    ("facts", "options", "message"),
    [
        (Facts((3, 8, 8)), {}, "task=segment needs masks: take dataset=textured_digits"),
        (Facts((6,), target=(6,), values=(0, 1)), {}, "needs pictures with masks of their size, not rows of shape"),
        (Facts((3, 8, 8), target=(4, 4), values=(0, 1)), {}, "targets of shape"),
        (Facts((3, 8, 8), target=(8, 8)), {}, "needs masks of whole numbers"),
        (
            Facts((3, 8, 8), target=(8, 8), values=(0, 11)),
            {"ignore": 11},
            "ignore=11: the masks hold the values 0: two",
        ),
        (Facts((3, 8, 8), target=(8, 8), values=(0, 1, 2)), {"names": ["a", "b"]}, "are no numbers of 2 classes"),
        (Facts((3, 8, 8), target=(8, 8), values=(-1, 0, 1)), {}, "two classes or more are needed, from 0 on"),
    ],
)
def test_masks_that_are_none_are_refused(facts, options, message):
    with pytest.raises(UsageError, match=message):
        Segment(**options).adapt(facts)


@pytest.mark.parametrize("size", [(5, 6), (8, 8), (7, 13)])
@pytest.mark.parametrize("upsample", ["transposed", "nearest", "bilinear", "subpixel"])
@pytest.mark.parametrize("spatial", [False, True])
def test_a_unet_gives_maps_of_any_size(size, upsample, spatial):
    places = (size[0] // 4) * (size[1] // 4)
    dim = 2 * places
    encoder, decoder = unet((3, *size), 2 * dim, dim, 4, (5, *size), channels=[4, 8, 8], upsample=upsample,
                            spatial=spatial)  # fmt: skip
    x, context = torch.rand(2, 3, *size), torch.rand(2, 4)
    h, skips = encoder(x, context)
    assert h.shape == (2, 2 * dim) and [tuple(s.shape[2:]) for s in skips] == [size, (size[0] // 2, size[1] // 2)]
    y = decoder(h[:, :dim], context, skips)
    assert y.shape == (2, 5, *size)
    y.square().sum().backward()
    parameters = [p for part in (encoder, decoder) for p in part.parameters()]
    assert all(p.grad is not None and p.grad.any() for p in parameters)


def test_a_code_alone_is_decoded_with_empty_maps_beside_it(build_learner):
    model = build_learner(SHAPE, network=unet, channels=[4, 8]).model.eval()
    x = torch.rand(3, *SHAPE)
    code = model.encode(x)
    empty = tuple(torch.zeros_like(maps) for maps in code.skips)
    torch.testing.assert_close(model.decode(code.z), model.decode(code.z, None, empty))
    assert not torch.allclose(model.decode(code.z), model.reconstruct(x), atol=1e-3)
    torch.testing.assert_close(model.reconstruct(x), model(Batch(x, target=x)).output)
    assert model.sample(2).shape == (2, *SHAPE)


@torch.no_grad()
@pytest.mark.parametrize("network", [unet, resnet])
def test_a_jacobian_is_had_of_grey_pictures_whose_strides_pass_for_channels_last(network, build_learner):
    model = build_learner(SHAPE, network=network, channels=[8, 16], norm="group").model.eval()
    x = torch.rand(4, *SHAPE)
    odd = torch.empty_strided(x.shape, (30, 1, 6, 1)).copy_(x)
    norms = [Contractive(1.0)(model(Batch(rows, target=rows)), model) for rows in (x, odd)]
    torch.testing.assert_close(*norms)


def test_importance_weights_give_every_row_its_own_maps(build_learner):
    prior = Standard()
    prior.adapt(3, SHAPE)
    model = build_learner(SHAPE, network=unet, latent=GaussianLatent(3, prior), channels=[4, 8]).model.eval()
    x = torch.rand(4, *SHAPE)
    batch = Batch(x, target=x)
    weights, z, out = log_weights(model, batch, x, 5)
    for k in range(5):
        output = model.parameters_of(z[k], None, out.code.skips)
        ratio = standard_log_prob(z[k]) - out.code.posterior.log_prob(z[k])
        exact = -model.likelihood.distortion(output, x) + ratio
        torch.testing.assert_close(weights[k], exact, rtol=1e-4, atol=1e-4)  # float32, 30 terms of size 1


def test_noise_is_done_to_the_picture_and_never_to_the_mask(build_learner):
    learner = build_learner(SHAPE, network=unet, likelihood=Bernoulli(), noises={"m": Masking(1.0)}, channels=[4, 8])
    learner.task = segment((0, 1))
    batch = batch_of(torch.randint(2, (7, 5, 6)))
    _, out = learner.train()(batch)
    assert not out.x.any() and torch.equal(out.batch.target[:, 0], batch.target.float())
    _, out = learner.eval()(batch)
    assert torch.equal(out.x, batch.x)


class Given(Decoder):
    """A decoder that says what it was given, whatever the code is."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, z, context=None, skips=()):
        return self.output


def test_baselines_are_the_most_frequent_class_and_single_pixels(build_learner, digits_with_masks):
    """A single pixel says much, and far from all: that is what the data was made for."""
    data = digits_with_masks
    learner = build_learner(tuple(data.shape), likelihood=Bernoulli())
    learner.task = Segment()
    learner.task.adapt(data.facts)
    target = data["test"].target
    learner.model.decoder = Given(2.0 * target[:, None] - 1)
    run = Run(learner, data)
    exact = Segmentation()(run, "test")
    assert exact["segmentation/iou_1"] == exact["segmentation/pixel_accuracy"] == 1
    assert (run.errors("test") == 0).all()
    rows = Segmentation().baselines(run, "test")
    share = 1 - float(target.float().mean())
    constant, single = rows["most_frequent"], rows["pixelwise"]
    assert constant["segmentation/pixel_accuracy"] == pytest.approx(share) and constant["segmentation/iou_1"] == 0
    assert constant["segmentation/mean_iou"] == pytest.approx(share / 2)
    assert share + 0.05 < single["segmentation/pixel_accuracy"] < 0.95


def test_a_variational_unet_learns_masks_and_what_speaks_of_pictures_is_left_out(tmp_path):
    words = ["variant=segmentation", "dataset.size=8", "dataset.limit=300", "model.channels=[8,16]", "latent=gaussian",
             "regularizer=[kl]", "noise=gaussian", "trainer.epochs=6", "trainer.batch_size=16", "optimizer.lr=3e-3",
             "metric=[reconstruction,probe,latent,generation,segmentation]",
             "plot=[reconstructions,samples,traversals,segmentation]"]  # fmt: skip
    run_in(tmp_path, *words)
    made = json.loads((tmp_path / "metrics.json").read_text())
    test, rows = made["test"], made["baseline"]
    assert test["segmentation/mean_iou"] > rows["pixelwise"]["segmentation/mean_iou"] > 0.5
    assert "reconstruction/nats" in test and not [key for key in test if "mse" in key or key.startswith("generation")]
    assert test["reconstruction/nats"] == pytest.approx(test["loss/reconstruction"], rel=0.1)  # mean code for a drawn
    assert {key.split("/")[0] for key in rows["pca"]} == {key.split("/")[0] for key in rows["raw"]} == {"probe"}
    figures = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert "segmentation" in figures and not figures & {"reconstructions", "samples", "interpolation", "traversals"}
    model = aeexp.load(tmp_path)
    shown = model.reconstruct(torch.rand(2, 3, 8, 8))
    assert shown.shape == (2, 1, 8, 8) and set(shown.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("model", few(["unet", "conv", "mlp"], "conv"))
def test_masks_of_several_classes_with_void_by_every_network(model, tmp_path):
    """The class is the picture's brightness in thirds: 60 steps beat the most frequent class."""
    generator = np.random.default_rng(0)
    x = generator.random((60, 4, 4)).repeat(2, 1).repeat(2, 2)
    y = np.minimum((3 * x).astype(np.uint8), 2)
    y[:, 0] = 7
    np.savez(tmp_path / "masks.npz", x=x.astype(np.float32), m=y)
    words = ["task=segment", "task.ignore=7", "task.names=[dark,middle,bright]", "likelihood=categorical",
             "likelihood.levels=3", f"model={model}", "dataset=npz", f"dataset.path={tmp_path / 'masks.npz'}",
             "dataset.target=m", "trainer.epochs=20", "trainer.batch_size=16", "optimizer.lr=1e-2",
             "metric=segmentation", "plot=segmentation"]  # fmt: skip
    run_in(tmp_path / model, *words)
    made = json.loads((tmp_path / model / "metrics.json").read_text())
    assert made["test"]["segmentation/mean_iou"] > made["baseline"]["most_frequent"]["segmentation/mean_iou"]
    assert {"segmentation/iou_dark", "segmentation/iou_middle", "segmentation/iou_bright"} <= made["test"].keys()
    assert (tmp_path / model / "figures" / "segmentation.png").is_file()


def test_colours_of_classes_differ():
    assert len(np.unique(palette(12), axis=0)) == 13 and len(np.unique(palette(24), axis=0)) == 25
    assert len(palette(2)) == 3 and len(CLASSES) == 12


def test_camvid_has_eleven_classes_and_void(shared_data):
    path = shared_data / "camvid" / "camvid_96x128.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    data = npz(name="camvid", split=Official(), path=str(path), y="none", target="y_train")
    assert [len(data[part]) for part in ("train", "val", "test")] == [367, 101, 233]
    assert data.facts.values == tuple(range(12)) and data.facts.target == (96, 128)
    task = Segment(ignore=11)
    task.adapt(data.facts)
    counts = torch.bincount(data["train"].target.flatten())
    assert task.classes == 11 and int(counts.argmax()) == 3  # road: 29 % of all pixels, says the data's README
    assert float(counts[3] / counts.sum()) == pytest.approx(0.29, abs=0.03)

"""Figures are read back: what a tile, a point or a line shows must be what the run holds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import perceptron, rows_of, run_of, save, stochastic
from torch import nn

from aeexp.conditions import Attribute, Label
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.painted import colored_digits
from aeexp.drawing import canvas
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.latents.binary import Binary
from aeexp.latents.bounded import Categorical
from aeexp.latents.priors import Uniform
from aeexp.latents.quantised import VQ
from aeexp.latents.sparse import TopK
from aeexp.models.nn.conv import conv
from aeexp.models.nn.mlp import mlp
from aeexp.models.nn.resnet import resnet
from aeexp.noises import Masking
from aeexp.plots.activations import Activations
from aeexp.plots.curves import Curves
from aeexp.plots.filters import Filters, choose_strongest, impulse_response
from aeexp.plots.interpolation import Interpolation
from aeexp.plots.label_swap import LabelSwap
from aeexp.plots.manifold import Manifold
from aeexp.plots.reconstructions import Reconstructions
from aeexp.plots.samples import Samples
from aeexp.plots.scatter import Scatter
from aeexp.plots.segmentation import Segmentation
from aeexp.plots.traversals import Traversals
from aeexp.regularizers.mmd import MMD

HISTORY = [
    {"step": 10 * i, "epoch": i / 2, "split": split, "lr": 1e-3, "loss": loss, "reconstruction": loss - 0.1, "l1": 0.1}
    for i, loss in enumerate((90.0, 5.0, 2.0, 3.0), start=1)
    for split in ("train", "val")
]


def first_code(run: Run) -> torch.Tensor:
    """(1, D) of the first example that figures show."""
    chosen = canvas.choose_rows(run.labels("test"), 1, len(run.data["test"]))
    return run.forward(run.data["test"].batch(torch.from_numpy(chosen))).code.mean


def decoded(run: Run, code: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return run.model.decode(code)[0, 0].numpy()


def convolutional(data: Data, upsample: str, dim: int = 4):
    return dim, *conv(data.shape, dim, dim, 0, channels=[5, 6], upsample=upsample)


def tile(image, row: int, column: int, side: int = 8) -> np.ndarray:
    """One picture out of a sheet of pictures with gaps of one pixel."""
    sheet = np.asarray(image.get_array())
    return sheet[row * (side + 1) :, column * (side + 1) :][:side, :side]


def test_reconstructions_show_the_inputs_the_outputs_and_their_errors(digit_data):
    run = run_of(digit_data)
    axes = Reconstructions(examples=10)(run)["reconstructions"].axes[0]
    chosen = canvas.choose_rows(run.labels("test"), 10, len(digit_data["test"]))
    x = digit_data["test"].batch(torch.from_numpy(chosen)).x
    assert run.labels("test")[chosen].tolist() == list(range(10))
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "input", "output", "its error", "PCA, same width", "its error"
    ]  # fmt: skip
    with torch.no_grad():
        output, pca = run.model.reconstruct(x), run.pca().model.reconstruct(x)
    for place, shown in enumerate((x, output, output - x, pca, pca - x)):
        for column in (0, 7):
            np.testing.assert_allclose(tile(axes.images[place], 0, column), shown[column, 0], atol=1e-5)
    errors = [float(text.get_text()) for text in axes.texts]
    expected = np.concatenate([run.errors("test")[chosen], run.pca().errors("test")[chosen]])
    np.testing.assert_allclose(errors, expected, rtol=6e-3)
    assert axes.images[0].get_clim() == digit_data.limits
    low, high = axes.images[2].get_clim()
    assert low == -high and axes.images[4].get_clim() == (low, high)


def test_reconstructions_of_a_run_with_noise_start_from_one_reproducible_corruption(digit_data):
    run = run_of(digit_data, noises={"masking": Masking(0.5)})
    before = torch.get_rng_state()
    rows, again = Reconstructions(examples=5).reconstruct(run), Reconstructions(examples=5).reconstruct(run)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(rows.corrupted, again.corrupted)
    assert (Reconstructions(examples=5, seed=1).reconstruct(run).corrupted != rows.corrupted).any()
    changed = rows.corrupted != rows.target
    assert (rows.corrupted[changed] == 0).all() and 0.3 < changed.sum() / (rows.target != 0).sum() < 0.7
    with torch.no_grad():
        for shown, model in ((rows.output, run.model), (rows.pca, run.pca().model)):
            np.testing.assert_allclose(shown, model.reconstruct(torch.from_numpy(rows.corrupted)), atol=1e-6)
    axes = Reconstructions(examples=5)(run)["reconstructions"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][1:3] == ["corrupted", "output\nfrom corrupted"]


def test_flat_examples_are_overlaid_lines():
    run = run_of(rows_of((4,)))
    panels = Reconstructions(examples=7)(run)["reconstructions"].axes
    x = run.data["test"].x
    for i in range(7):
        lines = {line.get_label(): line.get_ydata() for line in panels[i].lines}
        np.testing.assert_array_equal(lines["input"], x[i])
        assert set(lines) == {"input", "output", "PCA, same width"}
        np.testing.assert_allclose(((lines["output"] - lines["input"]) ** 2).sum(), run.errors("test")[i], rtol=1e-4)
    assert not any(axes.get_visible() for axes in panels[7:])


def test_a_code_of_two_units_is_shown_as_it_is(digit_data):
    run = run_of(digit_data, perceptron(digit_data, 2))
    (plain,) = Scatter()(run)["scatter"].axes
    points = np.concatenate([np.asarray(part.get_offsets()) for part in plain.collections])
    order = np.argsort(run.labels("test"), kind="stable")
    np.testing.assert_allclose(np.sort(points, 0), np.sort(run.codes("test")[order], 0), rtol=1e-6)
    for label, part in enumerate(plain.collections):
        assert len(part.get_offsets()) == (run.labels("test") == label).sum() and part.get_label() == str(label)


def test_scatter_shows_principal_components_of_at_most_so_many_rows(digit_data):
    run = run_of(digit_data, perceptron(digit_data, 6))
    plane = Scatter(rows=50)(run)["scatter"].axes[0]
    points = np.concatenate([np.asarray(part.get_offsets()) for part in plane.collections])
    assert len(points) == 50
    covariance = np.cov(points.T)
    assert abs(covariance[0, 1]) < 1e-6 * covariance[0, 0] and covariance[0, 0] >= covariance[1, 1]
    chosen = np.random.default_rng(0).permutation(180)[:50]
    largest = np.linalg.eigvalsh(np.cov(run.codes("test")[chosen].T.astype(float)))[::-1]
    np.testing.assert_allclose(np.diag(covariance), largest[:2], rtol=1e-4)
    assert f"({largest[0] / largest.sum():.0%} of" in plane.get_xlabel()


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_scatter_without_labels_and_with_many_classes(dim):
    unlabelled = rows_of((4,))
    figure = Scatter()(run_of(unlabelled, perceptron(unlabelled, dim)))["scatter"]
    save(figure)
    assert not figure.legends and len(figure.axes[0].collections) == 1
    labels = np.arange(240) % 12 - 1  # 11 classes and some unknown
    many = rows_of((4,), labels=labels, classes=tuple("abcdefghijk"), n=240)
    figure = Scatter()(run_of(many, perceptron(many, dim)))["scatter"]
    save(figure)
    if dim == 1:
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == ["unlabelled", "a"]
    else:
        bar = figure.axes[-1]
        assert bar.get_ylabel() == "class" and "a" in [label.get_text() for label in bar.get_yticklabels()]


def test_a_collapsed_code_still_gives_a_figure(digit_data):
    run = run_of(digit_data)
    for parameter in run.model.encoder.parameters():
        nn.init.zeros_(parameter)
    save(Scatter()(run)["scatter"])


@pytest.mark.parametrize("path", ["line", "slerp", "both"])
def test_interpolation_runs_from_one_input_to_another(digit_data, path):
    run = run_of(digit_data)
    axes = Interpolation(pairs=4, steps=5, path=path)(run)["interpolation"].axes[0]
    chosen = canvas.choose_rows(run.labels("test"), 8, len(digit_data["test"]))
    x = digit_data["test"].batch(torch.from_numpy(chosen)).x
    labels = run.labels("test")[chosen]
    assert (labels[0::2] != labels[1::2]).all()
    names = ["line", "slerp"] if path == "both" else [path]
    assert [label.get_text() for label in axes.get_yticklabels()] == 4 * [*names, "input mix"]
    with torch.no_grad():
        codes = run.model.encode(x).mean
        ends = run.model.reconstruct(x)
        angles = torch.nn.functional.cosine_similarity(codes[0::2], codes[1::2]).acos()
        half = codes.unflatten(0, (4, 2)).mean(1)
        # at t = 1/2 both shares of the arc are sin(w / 2) / sin(w) = 1 / (2 cos(w / 2))
        centres = {"line": run.model.decode(half), "slerp": run.model.decode(half / torch.cos(angles / 2)[:, None])}
    for pair in range(4):
        middle, left, right = axes.images[3 * pair : 3 * pair + 3]
        np.testing.assert_array_equal(tile(left, 0, 0), x[2 * pair, 0])
        np.testing.assert_array_equal(tile(right, 0, 0), x[2 * pair + 1, 0])
        for row, name in enumerate(names):
            for column, shown in ((0, ends[2 * pair]), (2, centres[name][pair]), (4, ends[2 * pair + 1])):
                np.testing.assert_allclose(tile(middle, row, column), shown[0], atol=1e-5)
        mixed = x[2 * pair] / 4 + 3 * x[2 * pair + 1] / 4
        np.testing.assert_allclose(tile(middle, len(names), 3), mixed[0], atol=1e-6)


def test_interpolation_takes_the_arc_too_where_the_prior_gives_codes_their_length(digit_data):
    def rows(run):
        axes = Interpolation(pairs=1)(run)["interpolation"].axes[0]
        return [label.get_text() for label in axes.get_yticklabels()]

    assert rows(stochastic(digit_data)) == ["line", "slerp", "input mix"]
    assert rows(run_of(digit_data)) == ["line", "input mix"]
    run = run_of(digit_data, regularizers={"mmd": MMD(1.0)})
    assert rows(run) == ["line", "slerp", "input mix"], "held against N(0, I) by a penalty"
    run = run_of(digit_data, latent=Binary(dim=4))
    assert rows(run) == ["bit by bit", "input mix"]


def test_a_traversal_moves_one_unit_and_no_other(digit_data):
    run = run_of(digit_data)
    axes = Traversals(units=3, steps=5, example=7)(run)["traversals"].axes[0]
    chosen = int(np.flatnonzero(run.labels("test") == 7)[0])
    x = digit_data["test"].batch(torch.tensor([chosen])).x
    code = run.model.encode(x).mean.detach()
    order = np.argsort(-run.codes("test").std(0))[:3]
    example, *rows = axes.images
    np.testing.assert_array_equal(tile(example, 0, 0), x[0, 0])
    np.testing.assert_allclose(tile(example, 0, 1), run.model.decode(code).detach()[0, 0], atol=1e-5)
    assert len(rows) == 3
    for row, unit, label in zip(rows, order, axes.get_yticklabels(), strict=True):
        low, high = np.percentile(run.codes("train")[:, unit], (1, 99))
        assert label.get_text().startswith(f"unit {unit + 1}\nsd {run.codes('test')[:, unit].std():.2g}"[:12])
        assert {canvas.format_number(low, 2), canvas.format_number(high, 2)} <= {text.get_text() for text in axes.texts}
        for column, value in enumerate(np.linspace(low, high, 5)):
            moved = code.clone()
            moved[0, unit] = float(value)
            np.testing.assert_allclose(tile(row, 0, column), run.model.decode(moved).detach()[0, 0], atol=1e-5)
    for mark, unit in zip(axes.lines, order, strict=True):
        low, high = np.percentile(run.codes("train")[:, unit], (1, 99))
        place = np.clip((float(code[0, unit]) - low) / (high - low) * 4, -0.4, 4.4)
        assert mark.get_xdata()[0] == pytest.approx(place, abs=1e-4)


def test_traversals_of_a_vae_are_ordered_by_kl_and_a_unit_that_fell_back_does_not_move(digit_data):
    run = stochastic(digit_data)
    last = run.model.encoder.layers[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    last.bias.data[1], last.bias.data[3] = 1.0, 2.0  # KL mean^2 / 2 from N(0, 1), the other units have none
    figure = Traversals(steps=5)(run)["traversals"]
    axes = figure.axes[0]
    names = ["unit 4\n2.00 nats", "unit 2\n0.50 nats", "unit 1\n0.00 nats", "unit 3\n0.00 nats"]
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert "the 4 of 5 units with the largest KL; 3 fell back to the prior" in figure.get_suptitle()
    with torch.no_grad():
        picture = run.model.decode(torch.tensor([[0.0, 1, 0, 2, 0]]))
    for column in range(5):  # every row has this code: all percentiles are the one value there is
        np.testing.assert_allclose(tile(axes.images[1], 0, column), picture[0, 0], atol=1e-5)


def test_a_traversal_of_bits_sets_each_to_0_and_to_1(digit_data):
    run = run_of(digit_data, latent=Binary(dim=4))
    axes = Traversals(units=2)(run)["traversals"].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "change"]
    code = first_code(run)
    order = np.argsort(-run.codes("test").std(0), kind="stable")[:2]
    for image, change, mark, bit in zip(axes.images[1:3], axes.images[3:], axes.lines, order, strict=True):
        np.testing.assert_allclose(tile(change, 0, 0), tile(image, 0, 1) - tile(image, 0, 0), atol=1e-5)
        for value in (0, 1):
            code_moved = code.clone()
            code_moved[0, bit] = value
            np.testing.assert_allclose(tile(image, 0, value), decoded(run, code_moved), atol=1e-5)
        assert mark.get_xdata()[0] == code[0, bit]


def test_a_traversal_of_a_categorical_code_sets_each_group_to_each_value(digit_data):
    run = run_of(digit_data, latent=Categorical(6, Uniform(), classes=3))
    axes = Traversals()(run)["traversals"].axes[0]
    assert sorted(label.get_text()[:7] for label in axes.get_yticklabels()) == ["group 1", "group 2"]
    code = run.model.latent.project(first_code(run))
    for image, label, mark in zip(axes.images[1:], axes.get_yticklabels(), axes.lines, strict=True):
        start = 3 * (int(label.get_text()[6]) - 1)
        for value in range(3):
            code_moved = code.clone()
            code_moved[0, start : start + 3] = torch.eye(3)[value]
            np.testing.assert_allclose(tile(image, 0, value), decoded(run, code_moved), atol=1e-5)
        assert mark.get_xdata()[0] == code[0, start : start + 3].argmax()


def test_a_traversal_of_a_quantised_code_sets_each_place_to_the_vectors_used_most(digit_data):
    run = run_of(digit_data, latent=VQ(4, codes=7, width=2))
    axes = Traversals(steps=3)(run)["traversals"].axes[0]
    used = np.unique(run.codes("train").reshape(-1, 2), axis=0, return_counts=True)
    most = used[0][np.argsort(-used[1])][:3]
    shown = [int(label.get_text()) - 1 for label in axes.get_xticklabels()]
    counts = sorted(used[1])[-3:]
    assert len(shown) == 3 and len(set(shown)) == 3
    for entry, vector, count in zip(shown, most, counts[::-1], strict=True):
        found = (run.codes("train").reshape(-1, 2) == run.model.latent.vectors[entry].numpy()).all(1).sum()
        assert found == count and len(vector) == 2
    assert len(axes.images) == 3, "the example, and two places"


@pytest.mark.parametrize("latent", [None, TopK(24, 5), Binary(dim=24)], ids=["dense", "sparse", "bits"])
def test_activations_are_counted_unit_by_unit_and_averaged_class_by_class(digit_data, latent):
    run = run_of(digit_data, latent=latent)
    figures = Activations(units=12)(run)
    codes, labels = run.codes("test").astype(float), run.labels("test")
    order = np.argsort(-codes.std(0), kind="stable")[:12]
    axes = figures["activations"].axes[0]
    names = [text.get_text() for text in axes.texts]
    assert [int(name.removeprefix("unit ").split(":")[0]) - 1 for name in names] == order[: len(names)].tolist()
    shapes = [path.vertices for path in axes.collections[0].get_paths()]
    heights = np.array([shape[:, 1].max() - shape[:, 1] for shape in shapes]).max(1)
    assert heights.max() == pytest.approx(0.66), "the highest bar of all is as high as its cell"
    if isinstance(latent, TopK):
        assert [name.split("active ")[1] for name in names] == [f"{(codes[:, u] != 0).mean():.0%}" for u in order]
    boards = figures["activations_by_class"].axes
    means = np.array([codes[labels == label][:, order].mean(0) for label in range(10)])
    shown = next(axes for axes in boards if axes.get_ylabel() == "mean of class").images[0].get_array()
    np.testing.assert_allclose(shown, means, atol=1e-6)
    rows = np.asarray(boards[0].images[0].get_array())
    np.testing.assert_allclose(rows, codes[np.argsort(labels, kind="stable")][:, order], atol=1e-6)
    for figure in figures.values():
        save(figure)


def test_dead_units_are_counted_and_told(digit_data):
    run = run_of(digit_data)
    run.model.encoder.layers[-1].weight.data[1:] = 0
    for figure in Activations()(run).values():
        said = " ".join(figure.get_suptitle().split())  # it breaks where the figure ends
        assert "the 3 of 4 units with the largest standard deviation; 3 never vary" in said
    unlabelled = rows_of((4,))
    for figure in Activations()(run_of(unlabelled, perceptron(unlabelled, 1))).values():
        save(figure)


def test_traversals_stay_among_the_codes_that_a_latent_can_give(digit_data):
    run = run_of(digit_data)
    run.model.latent.project = lambda z: nn.functional.one_hot(z.argmax(1), 4).float()
    axes = Traversals(steps=3)(run)["traversals"].axes[0]
    with torch.no_grad():
        corners = run.model.decode(torch.eye(4))[:, 0].numpy()
    for image in axes.images[1:]:
        for column in range(3):
            assert np.abs(tile(image, 0, column) - corners).max((1, 2)).min() < 1e-5


def test_a_traversal_keeps_the_side_information_of_the_example(digit_data):
    run = stochastic(digit_data, 2, Label())
    axes = Traversals(steps=3, example=4)(run)["traversals"].axes[0]
    chosen = int(np.flatnonzero(run.labels("test") == 4)[0])
    out = run.forward(digit_data["test"].batch(torch.tensor([chosen])))
    unit = int(axes.get_yticklabels()[0].get_text()[5]) - 1
    code = out.code.mean.clone()
    code[0, unit] = float(np.percentile(run.codes("train")[:, unit], 99))
    with torch.no_grad():
        picture = run.model.decode(code, torch.eye(10)[4:5])
    np.testing.assert_allclose(tile(axes.images[1], 0, 2), picture[0, 0], atol=1e-5)


def test_an_example_that_is_not_there_is_named(digit_data):
    with pytest.raises(UsageError, match=r"^example=180: there are 180 test rows only"):
        Traversals(example=180)(run_of(digit_data))


def test_a_label_swap_shows_one_code_under_every_label_and_frames_its_own(digit_data):
    run = stochastic(digit_data, condition=Label())
    axes = LabelSwap()(run)["label_swap"].axes[0]
    inputs, swapped = axes.images
    chosen = canvas.choose_rows(run.labels("test"), 10, len(digit_data["test"]))
    out = run.forward(digit_data["test"].batch(torch.from_numpy(chosen)))
    with torch.no_grad():
        own = run.model.reconstruct(out.batch.x, out.context)
        third = run.model.decode(out.code.mean, torch.eye(10)[3].expand(10, -1))
    for row in range(10):
        np.testing.assert_array_equal(tile(inputs, row, 0), out.batch.x[row, 0])
        np.testing.assert_allclose(tile(swapped, row, row), own[row, 0], atol=1e-5)
        np.testing.assert_allclose(tile(swapped, row, 3), third[row, 0], atol=1e-5)
    first = swapped.get_extent()[0]
    assert [round(frame.get_x() - axes.patches[0].get_x()) for frame in axes.patches] == list(range(10))
    assert axes.patches[0].get_x() == pytest.approx(first, abs=0.1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["input", *map(str, range(10))]


def test_a_label_swap_of_many_labels_shows_examples_of_those_that_it_shows(digit_data):
    axes = LabelSwap(labels=4, examples=6)(stochastic(digit_data, condition=Label()))["label_swap"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3", "0", "1"]


def test_attributes_with_a_number_are_swapped_and_quantities_and_unconditional_models_are_not(digit_data):
    colors = colored_digits(size=8, name="colors", split=Fractions([8, 1, 1]))
    axes = LabelSwap(examples=4)(stochastic(colors, condition=Attribute()))["label_swap"].axes[0]
    assert axes.get_ylabel() == "own color"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "0", "1"]
    amounts = rows_of((1, 5, 5), s=np.random.default_rng(0).random((60, 2)).astype(np.float32))
    assert LabelSwap()(stochastic(amounts, condition=Attribute())) == {}
    assert LabelSwap()(stochastic(digit_data)) == {} == LabelSwap()(run_of(digit_data))


def test_the_manifold_spans_the_percentiles_of_a_code_of_two_units(digit_data):
    assert Manifold()(run_of(digit_data, perceptron(digit_data, 3))) == {}
    run = run_of(digit_data, perceptron(digit_data, 2))
    axes = Manifold(side=6)(run)["manifold"].axes[0]
    (left, below), (right, above) = np.percentile(run.codes("train"), (1, 99), axis=0)
    for (row, column), code in {(5, 0): (left, below), (0, 0): (left, above), (5, 5): (right, below)}.items():
        with torch.no_grad():
            picture = run.model.decode(torch.tensor([code], dtype=torch.float32))
        np.testing.assert_allclose(tile(axes.images[0], row, column), picture[0, 0], atol=1e-5)
    assert axes.get_xticklabels()[0].get_text() == canvas.format_number(left)
    assert axes.get_yticklabels()[0].get_text() == canvas.format_number(below) and axes.get_yticks()[0] == 5


def test_filters_of_pca_are_its_components(digit_data):
    run = run_of(digit_data).pca()
    x = run.data["train"].batch(slice(None)).x.flatten(1).numpy()
    components = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:4]
    figures = Filters()(run)
    assert set(figures) == {"filters_encoder", "filters_decoder"}
    for figure in figures.values():
        for unit in range(4):
            shown = tile(figure.axes[0].images[0], 0, unit).ravel()
            assert abs(shown @ components[unit]) == pytest.approx(1, abs=1e-4)


def test_filters_of_a_tied_perceptron_mirror_each_other(digit_data):
    figures = Filters(most=7)(run_of(digit_data, perceptron(digit_data, 3, tied=True)))
    encoder, decoder = (figure.axes[0].images[0].get_array() for figure in figures.values())
    np.testing.assert_array_equal(encoder, decoder)
    assert "the 7 of 16" in figures["filters_encoder"].get_suptitle()


def test_the_strongest_filters_are_kept_in_order():
    filters = np.array([1.0, 5.0, 2.0, 4.0])[:, None, None, None] * np.ones((4, 1, 2, 2))
    assert choose_strongest(filters, 3).tolist() == [1, 2, 3]
    assert choose_strongest(filters, 9).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("upsample", ["transposed", "nearest", "bilinear", "subpixel"])
def test_filters_of_convolutions(digit_data, upsample):
    dim, encoder, decoder = convolutional(digit_data, upsample)
    run = run_of(digit_data, (dim, encoder, decoder))
    step = decoder.steps[-1]
    with torch.no_grad():
        shown = impulse_response(step, (4, 4))
    if upsample == "transposed":
        assert torch.equal(shown, step.weight)
    else:
        # Interpolation spreads a 1 over stride^2 pixels, shuffling puts each kernel down once.
        times = 1 if upsample == "subpixel" else 4
        total = times * step.convolution.weight.sum((0, 2, 3))
        torch.testing.assert_close(shown.sum((1, 2, 3)), total.detach(), atol=1e-5, rtol=1e-5)
    figures = Filters()(run)
    image = figures["filters_encoder"].axes[0].images[0]
    np.testing.assert_array_equal(tile(image, 0, 3, side=4), encoder.convolutions[0].weight[3, 0].detach())
    drawn = figures["filters_decoder"].axes[0].images[0]
    np.testing.assert_array_equal(tile(drawn, 0, 1, side=shown.shape[-1]), shown[1, 0])
    for figure in figures.values():
        low, high = figure.axes[0].images[0].get_clim()
        assert low == -high


def test_filters_of_flat_data_are_a_heat_map_and_of_an_unknown_architecture_nothing():
    run = run_of(rows_of((4,)))
    image = Filters()(run)["filters_decoder"].axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), run.model.decoder.layers[-1].weight.T.detach())
    run.model.encoder, run.model.decoder = nn.Identity(), nn.Identity()
    assert Filters()(run) == {}


def test_filters_of_a_residual_network_are_kernels_and_of_several_numbers_a_value_those_of_the_encoder(digit_data):
    encoder, decoder = resnet(digit_data.shape, 4, 4, 0, channels=[3, 5])
    figures = Filters()(run_of(digit_data, (4, encoder, decoder)))
    image = figures["filters_encoder"].axes[0].images[0]
    np.testing.assert_array_equal(tile(image, 0, 2, side=4), encoder.convolutions[0].weight[2, 0].detach())
    assert set(figures) == {"filters_encoder", "filters_decoder"}
    for network, options in ((mlp, {"hidden_dims": [16]}), (conv, {"channels": [3]})):
        encoder, decoder = network(digit_data.shape, 4, 4, 0, (2, 8, 8), **options)
        assert set(Filters()(run_of(digit_data, (4, encoder, decoder)))) == {"filters_encoder"}


def test_curves_mark_the_lowest_validation_loss(digit_data):
    figure = Curves()(run_of(digit_data, history=HISTORY))["curves"]
    assert [axes.get_title() for axes in figure.axes] == ["loss", "reconstruction", "l1"]
    for axes, best in zip(figure.axes, (2.0, 1.9, 0.1), strict=True):
        training, validation, mark, dot = axes.lines
        assert list(validation.get_xdata()) == list(training.get_xdata()) == [10, 20, 30, 40]
        assert list(mark.get_xdata()) == [30, 30] and dot.get_xydata().tolist() == [[30, pytest.approx(best)]]
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log", "linear"]
    assert list(figure.axes[0].lines[1].get_ydata()) == [90, 5, 2, 3]
    assert "2 at step 30 (epoch 1.5)" in figure.legends[0].get_texts()[2].get_text()


def test_curves_show_the_training_rows_of_the_state_that_is_kept(digit_data):
    run = run_of(digit_data, history=HISTORY)
    run.trained, run.best_step = {"loss": 7.5}, HISTORY[-1]["step"]
    axes = Curves()(run)["curves"].axes[0]
    [mark] = [line for line in axes.lines if line.get_label().startswith("training rows")]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([HISTORY[-1]["step"]], [7.5])


def test_curves_of_one_term_have_one_panel_and_of_a_closed_form_none(digit_data):
    short = [{key: value for key, value in row.items() if key != "l1"} for row in HISTORY]
    assert len(Curves()(run_of(digit_data, history=short))["curves"].axes) == 1
    assert Curves()(run_of(digit_data, history=HISTORY[:2])) == {}
    assert Curves()(run_of(digit_data)) == {}


def test_examples_are_spread_over_the_classes():
    labels = np.array([0, 0, 0, -1, 2, 2, 1])
    assert canvas.choose_rows(labels, 5, 7).tolist() == [0, 6, 4, 1, 5]
    assert canvas.choose_rows(labels, 99, 7).tolist() == [0, 6, 4, 1, 5, 2, 3]
    assert canvas.choose_rows(None, 3, 7).tolist() == canvas.choose_rows(np.full(7, -1), 3, 7).tolist() == [0, 1, 2]


def test_pictures_in_colour_are_drawn_in_colour():
    run = run_of(rows_of((3, 6, 9)))
    axes = Reconstructions(examples=4)(run)["reconstructions"].axes[0]
    low, high = run.data.limits
    shown = np.asarray(axes.images[0].get_array())[:6, :9]
    np.testing.assert_allclose(shown * (high - low) + low, run.data["test"].x[0].movedim(0, -1), atol=1e-5)
    error = np.asarray(axes.images[2].get_array())[:6, :9]
    assert math.sqrt((error**2).sum() * 3) == pytest.approx(math.sqrt(run.errors("test")[0]), rel=1e-4)


ALL = (
    Reconstructions(examples=5), Samples(count=5), Scatter(rows=50), Interpolation(), Manifold(side=8), Filters(),
    Curves(), Traversals(units=3), LabelSwap(), Activations(),
)  # fmt: skip


@pytest.mark.parametrize("case", ["digits", "flat", "colour"])
def test_every_figure_is_saved_whole_and_without_a_warning(digit_data, case):
    data = {"digits": digit_data, "flat": rows_of((4,)), "colour": rows_of((3, 12, 10), np.arange(60) % 4)}[case]
    parts = convolutional(data, "subpixel", 2) if case == "colour" else perceptron(data, 2)
    run = run_of(data, parts, {"masking": Masking(0.3)}, HISTORY)
    figures = {name: figure for plot in ALL for name, figure in plot(run).items()}
    assert set(figures) == {
        "reconstructions", "samples", "scatter", "interpolation", "manifold", "filters_encoder", "filters_decoder",
        "curves", "traversals", "activations", "activations_by_class",
    }  # fmt: skip
    for figure in figures.values():
        assert figure.get_suptitle().startswith(f"{data.name}: ")
        assert (save(figure) < 128).mean() > 1e-3
        assert figure.canvas.buffer_rgba() is not None  # what TensorBoard reads


def test_figures_of_a_conditional_model_are_whole(digit_data):
    named = rows_of((3, 6, 9), np.arange(60) % 3, ("a long class name", "b", "c"))
    for data in (digit_data, named, rows_of((5,), np.arange(60) % 2, ("a", "b"))):
        for plot in (Traversals(), LabelSwap(), Samples(count=5)):
            for figure in plot(stochastic(data, condition=Label())).values():
                save(figure)


@pytest.mark.parametrize("shape", [(4,), (1, 5, 5)])
def test_three_rows_are_enough(shape):
    data = rows_of(shape, n=3)
    run = run_of(data, perceptron(data, 2), {"masking": Masking(0.3)})
    for plot in (Reconstructions(), Scatter(), Traversals()):
        for figure in plot(run).values():
            save(figure)
    assert Interpolation()(run) == {}  # one test row makes no pair


@pytest.mark.parametrize("dim", [1, 2])
def test_long_class_names_fit(dim):
    names = tuple(f"a rather long class name {i}" for i in range(9))
    data = rows_of((1, 5, 5), np.arange(60) % 9, names)
    save(Scatter()(run_of(data, perceptron(data, dim)))["scatter"])
    assert len({canvas.class_name(run_of(data), label) for label in range(9)}) == 9


def test_few_filters_and_long_series_fit(digit_data):
    save(Filters()(run_of(digit_data, perceptron(digit_data, 1, hidden_dims=[])))["filters_encoder"])
    series = run_of(rows_of((150,)))
    save(Reconstructions(examples=3)(series)["reconstructions"])
    save(Filters()(series)["filters_decoder"])


@pytest.mark.parametrize(
    "build",
    [
        lambda: Reconstructions(examples=0), lambda: Scatter(rows=1), lambda: Scatter(perplexity=0),
        lambda: Interpolation(pairs=0), lambda: Interpolation(steps=1), lambda: Manifold(side=1),
        lambda: Filters(most=0), lambda: Traversals(units=0), lambda: Traversals(steps=1),
        lambda: LabelSwap(examples=0), lambda: LabelSwap(labels=1),
        lambda: Scatter(rows=5001), lambda: Activations(units=0),
    ],
)  # fmt: skip
def test_a_bad_option_is_named(build):
    with pytest.raises(UsageError, match=r"^\w+=\d"):
        build()


def test_every_yaml_builds_its_plot():
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    folder = Path(__file__).resolve().parents[2] / "conf"
    with initialize_config_dir(str(folder), version_base="1.3"):
        every = compose(overrides=["+plot=default"]).plot
        names = {path.stem for path in (folder / "plot").glob("*.yaml")} - {"default", "none"}
        assert set(every) < names and len(every) == 10  # figures of a task of their own are not among them
        built = {type(plot) for plot in instantiate(every).values()}
        assert built == {Segmentation, *(type(plot) for plot in ALL)} - {Activations}  # a second and more
        assert "plot" not in (none := compose(overrides=["+plot=none"])) or not none.plot
        for name in names:
            assert set(compose(overrides=[f"+plot=[{name}]"]).plot) == {name}

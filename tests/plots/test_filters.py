"""plot=filters: pictures of the weights of the first and the last layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import convolutional, perceptron, rows_of, run_of, tile
from torch import nn

from aeexp.models.nn.conv import conv
from aeexp.models.nn.mlp import mlp
from aeexp.models.nn.resnet import resnet
from aeexp.plots.filters import Filters, choose_strongest, impulse_response


def test_filters_of_pca_are_its_components(digit_data):
    run = run_of(digit_data).pca()
    x = run.data["train"].batch(slice(None)).x.flatten(1).numpy()
    components = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:4]
    figures = Filters()(run)
    assert set(figures) == {"filters_encoder", "filters_decoder"}
    for figure in figures.values():
        for unit in range(4):
            pixels = tile(figure.axes[0].images[0], 0, unit).ravel()
            assert abs(pixels @ components[unit]) == pytest.approx(1, abs=1e-4)


def test_filters_of_a_tied_perceptron_mirror_each_other(digit_data):
    figures = Filters(most=7)(run_of(digit_data, perceptron(digit_data, 3, tied=True)))
    encoder, decoder = (figure.axes[0].images[0].get_array() for figure in figures.values())
    np.testing.assert_array_equal(encoder, decoder)
    assert "the 7 of 16" in figures["filters_encoder"].get_suptitle()


def test_the_strongest_filters_are_kept_in_order():
    filters = np.array([1.0, 5.0, 2.0, 4.0])[:, None, None, None] * np.ones((4, 1, 2, 2))
    assert choose_strongest(filters, 3).tolist() == [1, 2, 3]
    assert choose_strongest(filters, 9).tolist() == [0, 1, 2, 3]
    assert choose_strongest(filters, 2, np.array([1.0, 1.0, 9.0, 0.0])).tolist() == [1, 2]


@pytest.mark.parametrize("upsample", ["transposed", "nearest", "bilinear", "subpixel"])
def test_filters_of_convolutions(digit_data, upsample):
    dim, encoder, decoder = convolutional(digit_data, upsample)
    run = run_of(digit_data, (dim, encoder, decoder))
    step = decoder.steps[-1]
    with torch.no_grad():
        response = impulse_response(step, (4, 4))
    if upsample == "transposed":
        assert torch.equal(response, step.weight)
    else:
        # Interpolation spreads a 1 over stride^2 pixels, shuffling puts each kernel down once.
        times = 1 if upsample == "subpixel" else 4
        total = times * step.convolution.weight.sum((0, 2, 3))
        torch.testing.assert_close(response.sum((1, 2, 3)), total.detach(), atol=1e-5, rtol=1e-5)
    figures = Filters()(run)
    image = figures["filters_encoder"].axes[0].images[0]
    np.testing.assert_array_equal(tile(image, 0, 3, side=4), encoder.convolutions[0].weight[3, 0].detach())
    drawn = figures["filters_decoder"].axes[0].images[0]
    np.testing.assert_array_equal(tile(drawn, 0, 1, side=response.shape[-1]), response[1, 0])
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

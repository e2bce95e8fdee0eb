"""What the page computes is what PyTorch computes, of every variant and of layers that a user may have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from composing import composed
from page_code import evaluate, expected
from torch import nn

from aeexp.explorer.blobs import Blobs
from aeexp.explorer.graph import Untranslatable
from aeexp.explorer.halves import Decoding, Reconstruction, Way
from aeexp.explorer.tracing import build_graph
from aeexp.reference.options import list_groups
from aeexp.runs.build import build_autoencoder, build_task
from aeexp.types import Facts

DIGIT, WAVE = (1, 8, 8), (6, 2)
FAST = {
    "gelu": (DIGIT, ["latent.dim=3", "model.activation=gelu"]),
    "spatial": (DIGIT, ["model=conv", "model.spatial=true", "latent.dim=8", "variant=vae"]),
    "unet": (DIGIT, ["model=unet", "likelihood=bernoulli"]),
    "vq": (DIGIT, ["variant=vq_vae", "latent.dim=32"]),
    "recurrent": (WAVE, ["variant=recurrent_vae", "model.hidden=4", "model.layers=2"]),
}
SLOW = {
    "elu": (DIGIT, ["latent.dim=3", "model.activation=elu"]),
    "silu": (DIGIT, ["latent.dim=3", "model.activation=silu"]),
    "leaky": (DIGIT, ["latent.dim=3", "model.activation=leaky_relu"]),
    "nearest": ((3, 14, 10), ["model=conv", "model.upsample=nearest"]),
    "bilinear": ((1, 14, 10), ["model=conv", "model.upsample=bilinear"]),
    "subpixel": ((1, 15, 10), ["model=conv", "model.upsample=subpixel"]),
    "resnet": (DIGIT, ["model=resnet", "model.norm=group"]),
    "batch_topk": (DIGIT, ["latent=batch_topk", "latent.k=3"]),
    "categorical": ((5,), ["latent=categorical"]),
    "levels": (DIGIT, ["likelihood=categorical", "likelihood.levels=17"]),
    "continuous": (DIGIT, ["likelihood=continuous_bernoulli"]),
    "sphere": ((5,), ["latent=hyperspherical"]),
    "autoregressive": (WAVE, ["variant=recurrent_vae", "model.hidden=4", "model.teacher_forcing=true"]),
}


MASKS = ("segmentation", "segnet")  # variants whose output is a mask


def build(shape, words):
    cfg = composed(*words)
    torch.manual_seed(0)
    masks = (
        {"target": (1, *shape[1:]), "values": (0, 1, 2, 3)}
        if {f"variant={name}" for name in MASKS} & set(words)
        else {}
    )
    facts = Facts(shape, 10, 2)._replace(**masks)
    model = build_autoencoder(cfg, facts, build_task(cfg, facts)).eval().requires_grad_(False)
    for parameter in model.parameters():  # biases and last layers that start at 0 would hide a mistake
        parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def rows_of(model, shape):
    """Two rows; of sequences one that has ended."""
    torch.manual_seed(1)
    side = {"context": torch.eye(model.condition.size)[1:2]} if model.condition.size else {}
    masks = [{"mask": torch.arange(shape[0])[None] < shape[0] - end} if len(shape) == 2 else {} for end in (0, 2)]
    return [{"x": torch.rand(1, *shape), **side, **mask} for mask in masks]


def compare(jobs, folder):
    """float32 sums of some hundred products near 1, in another order: some 1e-6 of numbers of some units."""
    for found, (module, rows) in zip(evaluate(jobs, folder), jobs, strict=True):
        for ours, row in zip(found, rows, strict=True):
            for one, other in zip(ours, expected(module, row), strict=True):
                np.testing.assert_allclose(one, other, atol=2e-5, rtol=2e-5)


def compare_model(model, shape, folder):
    rows = rows_of(model, shape)
    whole = Reconstruction(model)
    codes = [torch.from_numpy(expected(whole, row)[0]).float()[None] for row in rows]
    side = {"context": rows[0]["context"]} if "context" in rows[0] else {}
    shares = [{"a": codes[0], "b": codes[1], "share": torch.tensor([[share]])} for share in (0.0, 0.3)]
    made_up = [{"z": code + 0.1, **side} for code in codes]
    compare([(whole, rows), (Decoding(model), made_up), (Way(model), shares)], folder)


@pytest.mark.parametrize("case", FAST)
def test_encoder_decoder_and_ways_are_those_of_pytorch(case, tmp_path):
    shape, words = FAST[case]
    compare_model(build(shape, words), shape, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW)
def test_further_parts_are_those_of_pytorch(case, tmp_path):
    shape, words = SLOW[case]
    compare_model(build(shape, words), shape, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", list_groups()["variant"])
def test_every_variant_is_computed_as_pytorch_computes_it(name, tmp_path):
    shape = WAVE if name in ("recurrent_vae", "transformer_vae") else DIGIT
    shape = (6, 1) if name == "text_vae" else shape
    shape = (3, 12, 12) if name in MASKS else shape
    model = build(shape, [f"variant={name}"])
    if name == "segnet":  # the places of its pooling go round the code
        with pytest.raises(Untranslatable, match="max_pool2d_with_indices"):
            compare_model(model, shape, tmp_path)
        return
    compare_model(model, shape, tmp_path)


class Theirs(nn.Module):
    """Layers that no network of aeexp has."""

    def __init__(self):
        super().__init__()
        self.along = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1, dilation=1), nn.BatchNorm1d(4), nn.SiLU())
        self.pooled = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2, stride=2, padding=1), nn.AvgPool2d(2))
        self.norm = nn.LayerNorm(5)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        h = self.along(x[:, 0])  # (1, 4, 8)
        told, _ = self.attention(h.mT, h.mT, h.mT)
        maps = self.pooled(x.repeat(1, 4, 4, 1)[:, :, :8])
        softened = self.norm(h.flatten()[:5]).softmax(0).cumsum(0)
        largest, place = h.max(1)
        best = h.topk(3, dim=2).values
        padded = torch.nn.functional.pad(h, (1, 2), value=3)
        square = h.mT @ h
        square.diagonal(dim1=1, dim2=2).add_(1.0)
        solved = torch.linalg.solve(square, h.mT)
        return told.flip(1), maps, softened, largest.abs().log1p().erf(), place, best, padded, solved


def test_layers_of_a_users_own_are_those_of_pytorch(tmp_path):
    torch.manual_seed(0)
    module = Theirs().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    compare([(module, [{"x": torch.rand(1, 1, 2, 8)} for _ in range(2)])], tmp_path)


def test_short_numbers_keep_three_digits(tmp_path):
    module = nn.Sequential(nn.Linear(20, 5)).eval()
    wrapped = Reply(module)
    row = {"x": torch.rand(1, 20)}
    ((found,),) = evaluate([(wrapped, [row])], tmp_path, short=True)
    # 20 products of weights below 1/4, each rounded by 2^-11 of itself
    np.testing.assert_allclose(found[0], expected(wrapped, row)[0], atol=20 * 0.25 * 2**-11)


def test_bounds_and_whole_numbers_are_none_that_may_be_short(tmp_path):
    """A length that is kept above 0, and places beyond 2,048, which float16 cannot count to."""

    class Counting(nn.Module):
        def forward(self, x):
            h = nn.functional.normalize(x, dim=1)
            return h, (h + torch.tensor([3001.0]) == torch.arange(5000.0)).float().argmax(1, keepdim=True)

    jobs = [(Counting(), [{"x": torch.zeros(1, 1)}])]
    (((length, place),),) = evaluate(jobs, tmp_path, short=True)
    assert list(length) == [0] and list(place) == [3001]


@pytest.mark.parametrize("groups", [1, 2])
def test_a_weight_of_convolutions_there_and_back_is_read_both_ways(groups, tmp_path):
    layer = nn.Conv2d(4, 4, 3, groups=groups).requires_grad_(False)

    class There(nn.Module):
        def forward(self, x):
            return (nn.functional.conv_transpose2d(layer(x), layer.weight, groups=groups),)

    compare([(There(), [{"x": torch.rand(1, 4, 5, 5)}])], tmp_path)


class Reply(nn.Module):
    """One output, as a tuple."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return (self.module(x),)


@pytest.mark.parametrize(("layer", "named"), [
    (lambda x: torch.special.i0(x), "aten.i0 is none"), (lambda x: x + torch.rand_like(x), "rand"),
    (lambda x: x.sum() if x.sum() > 0 else x, "torch.export cannot trace it"),
    (lambda x: torch.nn.functional.pad(x, (1, 0), value=-torch.inf), "no number"),
])  # fmt: skip
def test_what_the_page_cannot_compute_is_named(layer, named):
    class Odd(nn.Module):
        def forward(self, x):
            return (layer(x),)

    with pytest.raises(Untranslatable, match=named):
        build_graph(Odd(), {"x": torch.ones(1, 3)}, Blobs())


def test_a_weight_is_stored_once():
    module = nn.Linear(50, 40, bias=False)
    both = Tied(module)
    blobs = Blobs()
    build_graph(both, {"x": torch.rand(1, 50)}, blobs)
    build_graph(Reply(module), {"x": torch.rand(1, 50)}, blobs)
    assert 4 * 50 * 40 <= blobs.size < 1.1 * 4 * 50 * 40


class Tied(nn.Module):
    """There and back by one weight."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return (torch.nn.functional.linear(self.layer(x), self.layer.weight.t()),)

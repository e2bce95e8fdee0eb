"""Distance by features: 0 of equal rows, learned once, and of the decoder alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from composing import run_in
from torch import nn

from aeexp.errors import UsageError
from aeexp.models.nn.lpips import Lpips
from aeexp.regularizers.perceptual import Perceptual
from aeexp.runs.loading import LoadedRun
from aeexp.types import Facts


def made(build_learner, data, steps=60):
    learner = build_learner(tuple(data.shape), 3)
    penalty = Perceptual(1.0, steps)
    penalty.adapt(learner.model, data.facts)
    penalty.before_step(learner.model, data["train"], 0)
    batch = learner.task(next(data["train"].batches(20)))
    return learner.model, penalty, learner.model(batch)


def test_equal_rows_are_0_apart_and_noise_is_the_further_the_more_there_is(build_learner, digit_data):
    model, penalty, out = made(build_learner, digit_data)
    x = out.batch.targets
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    far = [penalty(out._replace(output=x + level * noise), model) for level in (0.0, 0.1, 0.4)]
    assert not far[0].any() and (far[1] > 0).all() and float(far[2].mean()) > 2 * float(far[1].mean())


def test_the_network_learns_once_from_the_rows_alone_and_gets_no_gradient(build_learner, digit_data):
    model, penalty, out = made(build_learner, digit_data)
    torch.manual_seed(5)
    _, other, _ = made(build_learner, digit_data)
    first = {name: value.clone() for name, value in penalty.state_dict().items()}
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in first.items())
    penalty.before_step(model, digit_data["train"], 1)
    assert all(torch.equal(value, first[name]) for name, value in penalty.state_dict().items())
    penalty(out, model).mean().backward()
    assert all(p.grad is None and not p.requires_grad for p in penalty.net.parameters())
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    x = next(digit_data["test"].batches(500))
    right = (penalty.net.head(penalty.net.extract(x.x)).argmax(1) == x.y).float().mean()
    assert right > 0.4, "it tells digits apart after a few steps"


def test_rows_that_are_no_pictures_have_a_hidden_layer_alone(build_learner):
    learner = build_learner((6,))
    penalty = Perceptual()
    penalty.adapt(learner.model, Facts((6,)))
    assert [tuple(part.shape) for part in penalty.net.look(torch.randn(4, 6))] == [(4, 64)]


# -- LPIPS by a file


class Layers(nn.Module):
    """The layers of torchvision's networks, by their numbers, written once more: where a map is seen, it is named."""

    def __init__(self, net: str):
        super().__init__()
        if net == "vgg":
            widths = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512]
            layers: list[nn.Module] = []
            inputs = 3
            for width in widths:
                if isinstance(width, str):
                    layers.append(nn.MaxPool2d(2, 2))
                else:
                    layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                    inputs = width
            self.ends = (3, 8, 15, 22, 29)
        else:
            layers = [
                nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
                nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1),
                nn.ReLU(), nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
            ]  # fmt: skip
            self.ends = (1, 4, 7, 9, 11)
        self.features = nn.Sequential(*layers)

    def distance(self, a, b, weights):
        shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        a, b = ((2 * x.expand(-1, 3, -1, -1) - 1 - shift[:, None, None]) / scale[:, None, None] for x in (a, b))
        total = 0
        for number, layer in enumerate(self.features):
            a, b = layer(a), layer(b)
            if number in self.ends:
                unit = [x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b)]
                total = total + F.conv2d((unit[0] - unit[1]) ** 2, weights[self.ends.index(number)]).mean((1, 2, 3))
        return total


def write_lpips(path, net):
    """Random weights under the names of the package lpips, and the hand-written distance by them."""
    torch.manual_seed(1)
    layers = Layers(net)
    channels = [layers.features[end - 1].out_channels for end in layers.ends]
    weights = [torch.rand(1, width, 1, 1) for width in channels]
    saved = {f"lin{number}.model.1.weight": each for number, each in enumerate(weights)}
    for place, layer in enumerate(layers.features):
        if isinstance(layer, nn.Conv2d):
            head = f"net.slice{1 + sum(end < place for end in layers.ends)}.{place}"
            saved |= {f"{head}.weight": layer.weight.detach(), f"{head}.bias": layer.bias.detach()}
    saved |= {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}  # the package writes its constants too
    torch.save(saved, path)
    return lambda a, b: layers.distance(a, b, weights)


@pytest.mark.parametrize("net, shape", [("vgg", (1, 16, 20)), ("alex", (3, 31, 40))])
def test_lpips_is_that_of_the_paper_with_any_weights_and_0_of_equal_pictures(net, shape, tmp_path):
    by_hand = write_lpips(tmp_path / "lpips.pt", net)
    lpips = Lpips(net)
    lpips.load(str(tmp_path / "lpips.pt"))
    a, b = torch.rand(2, 2, *shape)
    with torch.no_grad():
        # the same products in the same order, but for the place of the mean: some thousand float32 near 1
        torch.testing.assert_close(lpips(a, b), by_hand(a, b), rtol=1e-4, atol=1e-7)
        assert (lpips(a, b) > 1e-3).all() and not lpips(a, a).any()


def test_a_run_by_lpips_weights_keeps_them_and_needs_no_file_afterwards(tmp_path):
    by_hand = write_lpips(tmp_path / "lpips.pt", "vgg")
    words = ["dataset=sprites", "dataset.limit=40", "trainer.steps=2", "latent.dim=2", "metric=none"]
    words += ["plot=none", "regularizer=[perceptual]", f"regularizer.perceptual.weights={tmp_path / 'lpips.pt'}"]
    run_in(tmp_path / "run", *words)
    (tmp_path / "lpips.pt").unlink()
    penalty = LoadedRun(tmp_path / "run").learner.objective.regularizers["perceptual"]
    a, b = torch.rand(2, 3, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(penalty.net(a, b), by_hand(a, b), rtol=1e-4, atol=1e-7)
    assert not any(parameter.requires_grad for parameter in penalty.parameters())


def test_a_file_of_anything_else_is_refused_and_so_are_pictures_that_lpips_does_not_take(
    build_learner, digit_data, tmp_path
):
    path = tmp_path / "lpips.pt"
    with pytest.raises(UsageError, match="^weights=.*no such file"):
        Lpips("vgg").load(str(path))
    write_lpips(path, "alex")
    with pytest.raises(UsageError, match=r'^weights=.*net.slice1.0.weight.*net=vgg.*lpips.LPIPS\(net="vgg"\)'):
        Lpips("vgg").load(str(path))
    torch.save({"net": Lpips("alex")}, path)  # code: it would have to be unpickled
    with pytest.raises(UsageError, match="^weights=.*holds no weights alone"):
        Lpips("alex").load(str(path))
    penalty = Perceptual(1.0, weights=str(path), net="alex")
    for shape, words in (((1, 8, 8), "net=alex takes pictures of at least 31"), ((1, 28, 28), "take net=vgg"),
                         ((4, 32, 32), "LPIPS is of grey or coloured"), ((64,), "LPIPS is of grey")):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            penalty.adapt(build_learner((1, 8, 8)).model, Facts(shape))

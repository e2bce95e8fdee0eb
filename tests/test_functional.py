"""A stack of learners under vmap is those learners one by one: in value, in gradient, in its own noise."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from representatives import few
from torch.func import functional_call, stack_module_state

from aeexp.conditions import Label
from aeexp.latents.bounded import Categorical, Hyperspherical
from aeexp.latents.deterministic import Deterministic, Sigmoid
from aeexp.latents.gaussian import Gaussian as GaussianLatent
from aeexp.latents.priors import Mixture, Standard, Uniform, Vamp
from aeexp.latents.quantised import VQ
from aeexp.latents.sparse import TopK
from aeexp.likelihoods.gaussian import Gaussian as GaussianLikelihood
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner, means
from aeexp.models.nn.conv import conv
from aeexp.models.nn.mlp import mlp
from aeexp.models.nn.resnet import resnet
from aeexp.models.nn.unet import unet
from aeexp.noises import Block, Chain, Gaussian, Masking, SaltPepper
from aeexp.objectives.additive import Additive
from aeexp.objectives.iwae import ImportanceWeighted
from aeexp.objectives.semi_supervised import SemiSupervised
from aeexp.regularizers.adversary import Adversary
from aeexp.regularizers.classifier import Classifier
from aeexp.regularizers.code import L1, CodeL2
from aeexp.regularizers.contractive import Contractive
from aeexp.regularizers.decoder import DecoderL2, GradientPenalty, Orthogonality
from aeexp.regularizers.kl import KL
from aeexp.regularizers.mmd import MMD
from aeexp.regularizers.sparsity import KLSparsity
from aeexp.regularizers.total_correlation import TotalCorrelation
from aeexp.tasks.inpaint import Inpaint
from aeexp.tasks.reconstruct import Reconstruct
from aeexp.types import Batch, Facts

# without gru: nn.GRU has no vmap rule
NETWORKS = {
    "mlp": (mlp, {"hidden_dims": [5], "activation": "tanh"}),
    "tied": (mlp, {"hidden_dims": [5], "activation": "tanh", "tied": True}),
    **{
        u: (conv, {"channels": [2, 3], "activation": "tanh", "upsample": u})
        for u in ("transposed", "nearest", "bilinear", "subpixel")
    },
    # 2x2 places for the 4 units
    "spatial": (conv, {"channels": [3], "kernel": 6, "stride": 3, "activation": "tanh", "spatial": True}),
    "resnet": (resnet, {"channels": [2, 4], "blocks": 1, "norm": "group", "activation": "tanh"}),
    "unet": (unet, {"channels": [2, 3], "norm": "none", "activation": "tanh"}),
}
LATENTS = {
    "deterministic": lambda i: Deterministic(4),
    "sigmoid": lambda i: Sigmoid(4),
    "topk": lambda i: TopK(4, 1 + i),  # another k for each model of the stack
    "vq": lambda i: VQ(4, codes=3, width=2, codebook="gradient", commitment=0.1 * (1 + i)),
}
PENALTIES = {
    "l1": lambda weight, i: L1(weight),
    "kl_sparsity": lambda weight, i: KLSparsity(weight, 0.1 * (1 + i)),
    "contractive": lambda weight, i: Contractive(weight),
    "decoder_l2": lambda weight, i: DecoderL2(weight),
    "orthogonality": lambda weight, i: Orthogonality(weight),
}
SHAPE = (1, 5, 6)
# float32: a vectorised product may add its terms in another order. Some hundred terms of size 1: 300 * 2^-24.
CLOSE = {"rtol": 2e-5, "atol": 2e-5}


def stacked(learners):
    parameters, buffers = stack_module_state(learners)
    return copy.deepcopy(learners[0]).to("meta"), parameters, buffers


# every pair that makes sense: kl_sparsity needs units in (0, 1)
PAIRS = [(latent, p) for latent in LATENTS for p in PENALTIES if p != "kl_sparsity" or latent == "sigmoid"]


@pytest.mark.parametrize(("latent", "penalty"), PAIRS)
@pytest.mark.parametrize("network", few(NETWORKS, "mlp", "nearest"))
def test_a_stack_of_models_is_the_models_one_by_one(network, latent, penalty, build_learner):
    make, options = NETWORKS[network]
    learners = [
        build_learner(
            SHAPE, network=make, latent=LATENTS[latent](i), seed=i,
            regularizers={penalty: PENALTIES[penalty](0.1 * (1 + i), i)}, **options,
        ).eval()
        for i in range(3)
    ]  # fmt: skip
    dtype = torch.float32
    if network == "resnet":  # GroupNorm divides by the scale of few numbers: second derivatives of some hundreds
        dtype, learners = torch.float64, [learner.double() for learner in learners]
    batch = Batch(torch.rand(7, *SHAPE, dtype=dtype))
    skeleton, parameters, buffers = stacked(learners)

    def terms(parameters, buffers):
        return means(functional_call(skeleton, (parameters, buffers), (batch,))[0])

    together = torch.vmap(terms)(parameters, buffers)
    alone = torch.stack([means(learner(batch)[0]) for learner in learners])
    terms = 4 if latent == "vq" else 2
    assert together.shape == (3, terms) and len(alone.unique()) == 3 * terms  # no two models or terms agree by chance
    torch.testing.assert_close(together, alone, **CLOSE)

    ours = torch.autograd.grad(together.sum(), list(parameters.values()))
    theirs = [torch.autograd.grad(row.sum(), list(learner.parameters()), retain_graph=True)
              for row, learner in zip(alone, learners, strict=True)]  # fmt: skip
    assert list(parameters) == [name for name, _ in learners[0].named_parameters()]
    for gradient, each in zip(ours, zip(*theirs, strict=True), strict=True):
        torch.testing.assert_close(gradient, torch.stack(each), **CLOSE)


@pytest.mark.parametrize("noise", [Gaussian, Masking, SaltPepper, Block])
@pytest.mark.parametrize("network", NETWORKS)
def test_in_training_every_model_of_a_stack_draws_its_own_noise_at_its_own_level(network, noise, build_learner):
    make, options = NETWORKS[network]
    levels = (0.0, 0.5, 0.5, 0.9)
    learners = [
        build_learner(SHAPE, network=make, latent=Sigmoid(4), seed=0, noises={"n": noise(level)}, **options)
        for level in levels
    ]
    batch = Batch(torch.rand(40, *SHAPE) + 1)
    skeleton, parameters, buffers = stacked(learners)

    def run(parameters, buffers):
        terms, out = functional_call(skeleton, (parameters, buffers), (batch,))
        return means(terms), out.x, out.output

    loss, seen, output = torch.vmap(run, randomness="different")(parameters, buffers)
    assert torch.equal(seen[0], batch.x)
    assert not torch.equal(seen[1], seen[2])  # equal weights, equal level, other draws
    changed = (seen != batch.x).float().mean((1, 2, 3, 4))
    assert changed[0] == 0 < changed[1]
    if noise is not Gaussian:
        assert changed[1] < changed[3] and abs(changed[1] - changed[2]) < 0.2
    for x, y, value in zip(seen, output, loss, strict=True):  # and each decodes what it saw
        exact = learners[0].model(batch, x)
        torch.testing.assert_close(y, exact.output, **CLOSE)
        squared = (exact.output - batch.x).square().flatten(1).sum(1).mean()
        torch.testing.assert_close(value[0], squared, **CLOSE)
    gradients = torch.autograd.grad(loss.sum(), list(parameters.values()))
    assert any(not torch.equal(g[1], g[2]) for g in gradients)


@pytest.mark.parametrize("shape", ["block", "half", "random"])
def test_a_stack_of_inpainting_models_has_a_hole_of_its_own_in_training_and_the_rows_in_evaluation(
    shape, build_learner
):
    learners = [build_learner(SHAPE, seed=i) for i in range(3)]
    for i, learner in enumerate(learners):
        learner.task = Inpaint(shape, None if shape == "half" else 0.3 + 0.2 * i, fill=-i)
    batch = Batch(torch.rand(40, *SHAPE) + 1, ids=torch.arange(40))

    def run(parameters, buffers):
        terms, out = functional_call(skeleton, (parameters, buffers), (batch,))
        return means(terms), out.x, out.batch.hole

    for training in (True, False):
        skeleton, parameters, buffers = stacked([learner.train(training) for learner in learners])
        loss, seen, hole = torch.vmap(run, randomness="different")(parameters, buffers)
        for i, learner in enumerate(learners):
            assert torch.equal(seen[i], torch.where(hole[i], -torch.tensor(float(i)), batch.x))
            exact = learner.model(batch, seen[i])
            squared = (exact.output - batch.x).square().flatten(1).sum(1).mean()
            torch.testing.assert_close(loss[i][0], squared, **CLOSE)
            assert training or torch.equal(hole[i], learner.task(batch).hole)
        assert not torch.equal(hole[0], hole[1]) or (shape == "half" and not training)


def gaussian(prior) -> GaussianLatent:
    prior.adapt(4, SHAPE)
    return GaussianLatent(4, prior)


def critical(penalty, latent):
    """A regularizer that needs to know the model's width."""
    penalty.adapt(SimpleNamespace(latent=latent), Facts(SHAPE, 2, 2))
    return penalty


STOCHASTIC = {
    "kl": (lambda i: gaussian(Standard()), lambda w: {"kl": KL(w, free_bits=0.01)}),
    "mixture": (lambda i: gaussian(Mixture(3)), lambda w: {"kl": KL(w)}),
    "vamp": (lambda i: gaussian(Vamp(3)), lambda w: {"kl": KL(w)}),
    "total_correlation": (lambda i: gaussian(Standard()), lambda w: {"tc": TotalCorrelation(w, [])}),
    "factor_vae": (lambda i: gaussian(Standard()), lambda w: {"tc": TotalCorrelation(w, [5], "critic")}),
    "mmd": (lambda i: Deterministic(4), lambda w: {"mmd": MMD(w)}),
    "fair_mmd": (lambda i: gaussian(Standard()), lambda w: {"mmd": MMD(w, against="attribute")}),
    "aae": (lambda i: Deterministic(4), lambda w: {"adversary": Adversary(w, [5])}),
    "fair": (lambda i: Deterministic(4), lambda w: {"adversary": Adversary(w, [5], "label")}),
    "classifier": (lambda i: Deterministic(4), lambda w: {"classifier": Classifier(w, [5])}),
    "rae_gp": (lambda i: Deterministic(4), lambda w: {"gp": GradientPenalty(w), "l2": CodeL2(w)}),
    "hutchinson": (lambda i: Deterministic(4), lambda w: {"gp": GradientPenalty(w, "hutchinson")}),
    "iwae": (lambda i: gaussian(Standard()), lambda w: {}),
    "dreg": (lambda i: gaussian(Standard()), lambda w: {}),
}


@pytest.mark.parametrize("name", STOCHASTIC)
def test_what_draws_is_drawn_alike_in_a_stack_and_alone(name, build_learner):
    """Under randomness="same" a stack draws once for all: what each of its models draws alone from that seed."""
    latent, penalties = STOCHASTIC[name]
    learners = []
    for i in range(3):
        torch.manual_seed(i)
        code = latent(i)
        regularizers = {key: critical(part, code) for key, part in penalties(0.1 * (1 + i)).items()}
        learner = build_learner(SHAPE, latent=code, seed=i, regularizers=regularizers, hidden_dims=[5])
        if name in ("iwae", "dreg"):
            gradient = {"iwae": "standard", "dreg": "doubly_reparameterized"}[name]
            learner.objective = ImportanceWeighted(Chain({}), {}, samples=3, gradient=gradient)
        learners.append(learner.train())
    batch = Batch(torch.rand(7, *SHAPE), torch.arange(7) % 2, torch.arange(7) % 2)
    skeleton, parameters, buffers = stacked(learners)

    def terms(parameters, buffers):
        return means(functional_call(skeleton, (parameters, buffers), (batch,))[0])

    torch.manual_seed(5)
    together = torch.vmap(terms, randomness="same")(parameters, buffers)
    ours = torch.autograd.grad(together.sum(), list(parameters.values()), allow_unused=True)
    alone, theirs = [], []
    for learner in learners:
        torch.manual_seed(5)
        alone.append(means(learner(batch)[0]))
        theirs.append(torch.autograd.grad(alone[-1].sum(), list(learner.parameters()), allow_unused=True))
    torch.testing.assert_close(together, torch.stack(alone), **CLOSE)
    for gradient, each in zip(ours, zip(*theirs, strict=True), strict=True):
        assert (gradient is None) == (each[0] is None)
        if gradient is not None:
            torch.testing.assert_close(gradient, torch.stack(each), **CLOSE)


def semi_supervised(seed: int, bound) -> Learner:
    """M2 with another weight of the labels in each model."""
    torch.manual_seed(seed)
    latent, condition, facts = gaussian(Standard()), Label(), Facts(SHAPE, 3)
    condition.adapt(facts)
    encoder, decoder = mlp(SHAPE, latent.params, latent.dim, 3, hidden_dims=[5])
    model = Autoencoder(encoder, latent, decoder, GaussianLikelihood(), condition)
    regularizers = {"kl": KL()} if bound is Additive else {}
    objective = SemiSupervised(Chain({}), regularizers, bound=bound, hidden_dims=[4], alpha=0.1 * (1 + seed))
    objective.adapt(model, facts)
    return Learner(Reconstruct(), model, objective).train()


@pytest.mark.parametrize("bound", [Additive, ImportanceWeighted])
def test_labels_are_tried_alike_in_a_stack_and_alone_even_on_rows_of_its_own(bound):
    """No shape hangs on which rows are labelled: each model may have another batch."""
    learners = [semi_supervised(seed, bound) for seed in range(3)]
    skeleton, parameters, buffers = stacked(learners)
    x, y = torch.rand(3, 7, *SHAPE), torch.arange(21).view(3, 7) % 4 - 1

    def terms(parameters, buffers, x, y):
        return means(functional_call(skeleton, (parameters, buffers), (Batch(x, y),))[0])

    torch.manual_seed(5)
    together = torch.vmap(terms, randomness="same")(parameters, buffers, x, y)
    ours = torch.autograd.grad(together.sum(), list(parameters.values()))
    for i, learner in enumerate(learners):
        torch.manual_seed(5)
        alone = means(learner(Batch(x[i], y[i]))[0])
        torch.testing.assert_close(together[i], alone, **CLOSE)
        theirs = torch.autograd.grad(alone.sum(), list(learner.parameters()))
        for gradient, each in zip(ours, theirs, strict=True):
            torch.testing.assert_close(gradient[i], each, **CLOSE)


DRAWN = {
    "gaussian": lambda temperature: GaussianLatent(4, Standard()),
    "hyperspherical": lambda temperature: Hyperspherical(4, Uniform()),
    "categorical": lambda temperature: Categorical(4, Uniform(), 2, temperature, temperature),
}


# Gamma, which a draw on the sphere is made of, has no batching rule for its gradient: torch goes through the stack
# model by model there, with the same result, and says so. randomness="same" is not to be had for it.
@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("latent", DRAWN)
def test_in_training_every_model_of_a_stack_draws_its_own_codes(latent, build_learner):
    learners = [
        build_learner(SHAPE, latent=DRAWN[latent](temperature), seed=seed, regularizers={"kl": KL()}, hidden_dims=[5])
        for seed, temperature in ((0, 0.1), (0, 5.0), (1, 0.1))
    ]
    batch = Batch(torch.rand(40, *SHAPE))
    skeleton, parameters, buffers = stacked(learners)

    def run(parameters, buffers):
        terms, out = functional_call(skeleton, (parameters, buffers), (batch,))
        return means(terms), out.code.z, out.output

    loss, z, output = torch.vmap(run, randomness="different")(parameters, buffers)
    assert not torch.equal(z[0], z[1])  # equal weights, other draws
    if latent == "categorical":
        assert z[0].max(-1).values.mean() > 0.95 > 0.75 > z[1].max(-1).values.mean()  # each at its own temperature
    for learner, code, decoded, value in zip(learners, z, output, loss, strict=True):
        torch.testing.assert_close(decoded, learner.model.decoder(code), **CLOSE)
        torch.testing.assert_close(value[1], means(learner(batch)[0])[1], **CLOSE)  # the KL's closed form
    gradients = torch.autograd.grad(loss.sum(), list(parameters.values()))
    assert all(g.isfinite().all() and g.flatten(1).any(1).all() for g in gradients)


def test_a_stack_takes_the_step_that_each_of_its_models_would_take(build_learner):
    def make():
        return [
            build_learner((6,), latent=Sigmoid(4), hidden_dims=[5], tied=True, seed=i,
                          regularizers={"l1": L1(0.1 * i), "jacobian": Contractive(0.2)}).eval()
            for i in range(3)
        ]  # fmt: skip

    batch, rate = Batch(torch.rand(20, 6)), 0.1
    skeleton, parameters, buffers = stacked(make())
    for _ in range(5):
        loss = torch.vmap(lambda p, b: means(functional_call(skeleton, (p, b), (batch,))[0]).sum())(parameters, buffers)
        gradients = torch.autograd.grad(loss.sum(), list(parameters.values()))
        parameters = {
            name: (p - rate * g).detach().requires_grad_()
            for (name, p), g in zip(parameters.items(), gradients, strict=True)
        }
    alone = make()
    for learner in alone:
        optimizer = torch.optim.SGD(learner.parameters(), lr=rate)
        for _ in range(5):
            optimizer.zero_grad()
            means(learner(batch)[0]).sum().backward()
            optimizer.step()
    for name, stack in parameters.items():
        torch.testing.assert_close(stack, torch.stack([learner.get_parameter(name) for learner in alone]), **CLOSE)

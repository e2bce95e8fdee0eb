"""A code of vectors out of a codebook: what it loses, how the book moves, and what it is said to use."""

from __future__ import annotations

import copy
import functools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp import schedulers
from aeexp.contracts import Decoder, Encoder
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.latents.books import SMOOTHING, perplexity, tell_usage
from aeexp.latents.levels import FSQ, LFQ
from aeexp.latents.quantised import VQ, turn
from aeexp.metrics.latent import Latent
from aeexp.trainers.checkpoint import Store, load
from aeexp.trainers.joint import Joint
from aeexp.types import Batch, Pass

KINDS = ["ema", "gradient"]


def seen(latent: VQ, h: torch.Tensor) -> Pass:
    """One step of training, as far as the codebook knows of it."""
    batch = Batch(h)
    with torch.no_grad():
        out = Pass(batch, h, None, latent(h), h)
        latent.observe(out)
    return out


def apart(vectors: int, width: int) -> torch.Tensor:
    """(vectors, width) that lie at least 1 from each other."""
    return torch.arange(vectors * 1.0)[:, None] + torch.rand(vectors, width) * 0.1


# ---------------------------------------------------------------- the code


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6))
def test_codes_that_are_in_the_book_lose_nothing(parts, width, rows):
    latent = VQ(parts * width, codes=8, width=width)
    latent.books[0].vectors[0].copy_(apart(8, width))
    h = latent.books[0].vectors[0][torch.randint(8, (rows, parts))].flatten(1)
    code = latent(h)
    assert torch.equal(code.z, h) and torch.equal(code.mean, h) and torch.equal(latent.project(h), h)
    assert not code.losses["commitment"].any()


def test_every_vector_becomes_the_nearest_one_and_a_made_up_code_the_nearest_valid_one():
    latent = VQ(6, codes=5, width=2)
    h = torch.randn(40, 6)
    code = latent(h)
    distance = torch.cdist(h.view(40, 3, 2), latent.books[0].vectors[0].expand(40, -1, -1))
    assert torch.equal(code.posterior.entries, distance.argmin(-1))
    torch.testing.assert_close(code.losses["commitment"], 0.25 * distance.amin(-1).square().sum(1))
    assert torch.equal(code.z, latent.books[0].vectors[0][distance.argmin(-1)].flatten(1))
    assert torch.equal(latent.project(h), code.z) and torch.equal(latent.project(code.z), code.z)
    assert torch.equal(latent.project(h.view(4, 10, 6)), code.z.view(4, 10, 6))
    assert latent.prior is None  # which is how the project tells a stochastic code


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_the_code_is_that_of_the_identity(kind):
    latent = VQ(6, codes=5, width=3, codebook=kind)
    h, direction = torch.randn(7, 6, requires_grad=True), torch.randn(7, 6)
    for value in (latent(h).z, latent(h).mean):
        (gradient,) = torch.autograd.grad((value * direction).sum(), h)
        assert torch.equal(gradient, direction)
    assert all(p.grad is None for p in latent.parameters())  # the reconstruction does not move the book


@pytest.mark.parametrize("kind", KINDS)
def test_commitment_pulls_the_encoder_and_the_codebook_term_the_book(kind):
    latent = VQ(6, codes=5, width=3, codebook=kind, commitment=0.5)
    h = torch.randn(7, 6, requires_grad=True)
    code = latent(h)
    (pull,) = torch.autograd.grad(code.losses["commitment"].sum(), h, retain_graph=True)
    torch.testing.assert_close(pull, 0.5 * 2 * (h - code.z.detach()))
    assert set(code.losses) == {"commitment", *(["codebook"] if kind == "gradient" else [])}
    if kind == "gradient":
        term = code.losses["codebook"]
        assert not torch.autograd.grad(term.sum(), h, retain_graph=True, allow_unused=True)[0]
        torch.testing.assert_close(term.detach(), 2 * code.losses["commitment"].detach())


def test_descent_on_the_codebook_term_ends_at_the_means_of_the_assigned_vectors():
    latent = VQ(2, codes=3, width=2, codebook="gradient")
    with torch.no_grad():
        latent.books[0].vectors[0].copy_(10 * apart(3, 2))
    h = (latent.books[0].vectors[0][torch.arange(60) % 3] + 0.5 * torch.randn(60, 2)).detach()
    optimizer = torch.optim.SGD(latent.parameters(), lr=0.5)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        term = latent(h).losses["codebook"].mean()
        term.backward()
        optimizer.step()
        losses.append(float(term.detach()))
    means = torch.stack([h[i::3].mean(0) for i in range(3)])
    # a step keeps 1 - 0.5 * 2 / 3 of the distance: 40 of them 1e-7
    torch.testing.assert_close(latent.books[0].vectors[0].detach(), means, rtol=0, atol=1e-4)
    assert all(b <= a + 1e-6 for a, b in zip(losses, losses[1:], strict=False)) and losses[-1] < losses[0]


@given(st.floats(0, 0.99), st.integers(0, 20))
def test_the_running_means_rest_at_the_means_of_the_assigned_vectors(decay, seed):
    torch.manual_seed(seed)
    latent = VQ(2, codes=4, width=2, decay=decay)
    latent.books[0].vectors[0].copy_(10 * apart(4, 2))
    unused = latent.books[0].vectors[0][3].clone()
    h = latent.books[0].vectors[0][torch.arange(60) % 3] + 0.5 * torch.randn(60, 2)
    for _ in range(3):
        seen(latent, h)
    means = torch.stack([h[i::3].mean(0) for i in range(3)])
    # the smoothing takes a share of SMOOTHING / 20 from a vector of 20 counts, whose size is at most 40
    torch.testing.assert_close(latent.books[0].vectors[0][:3], means, rtol=0, atol=40 * SMOOTHING + 1e-4)
    assert torch.equal(latent.books[0].vectors[0][3], unused)


def test_the_running_means_forget_at_the_rate_of_the_decay():
    latent = VQ(1, codes=1, width=1, decay=0.5)
    for value, expected in ((0.0, 0.0), (1.0, 1 / 1.5), (1.0, 1.5 / 1.75)):
        seen(latent, torch.full((4, 1), value))
        assert float(latent.books[0].vectors[0]) == pytest.approx(expected, abs=1e-4)  # smoothing: 1e-5 of 4 counts


# ---------------------------------------------------------------- dead codes


@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_code_starts_anew_as_a_vector_of_the_batch_and_a_live_one_stays(kind):
    latent = VQ(4, codes=6, width=2, codebook=kind, restart_after=3)
    with torch.no_grad():
        latent.books[0].vectors[0].copy_(100 * apart(6, 2))
    h = latent.books[0].vectors[0][torch.randint(2, (10, 2))].detach().flatten(1) + torch.rand(
        10, 4
    )  # the first two alone
    before = latent.books[0].vectors[0].detach().clone()
    for _ in range(2):
        seen(latent, h)
        assert torch.equal(latent.books[0].vectors[0][2:], before[2:])
    alive = latent.books[0].vectors[0][:2].detach().clone()
    out = seen(latent, h)
    offered = {tuple(row) for row in out.code.posterior.before.flatten(0, 1).tolist()}
    assert all(tuple(row) in offered for row in latent.books[0].vectors[0][2:].tolist())
    torch.testing.assert_close(
        latent.books[0].vectors[0][:2].detach(), alive, rtol=1e-4, atol=0
    )  # at rest but for the smoothing
    assert not latent.books[0].unused[0].any()
    seen(latent, h)
    assert len(latent(h).posterior.entries.unique()) > 2  # and are used from then on


@pytest.mark.parametrize("kind", KINDS)
def test_without_restarts_a_dead_code_stays_dead(kind):
    latent = VQ(2, codes=3, width=2, codebook=kind, restart_after=None)
    with torch.no_grad():
        latent.books[0].vectors[0].copy_(100 * apart(3, 2))
    kept = latent.books[0].vectors[0][1:].detach().clone()
    for _ in range(20):
        seen(latent, torch.zeros(5, 2))
    assert torch.equal(latent.books[0].vectors[0][1:].detach(), kept) and latent.books[0].unused[0].tolist() == [
        0,
        20,
        20,
    ]


# ---------------------------------------------------------------- what is used


@given(st.integers(1, 300), st.floats(0.01, 1e6))
def test_the_perplexity_of_uniform_use_is_the_number_of_codes_and_of_one_code_one(codes, count):
    # float32: a sum of 300 terms of the entropy, at most 300 * 2^-24 of log 300, and its exp
    assert float(perplexity(torch.full((codes,), count))) == pytest.approx(codes, rel=2e-4)
    single = torch.zeros(codes)
    single[codes // 2] = count
    assert float(perplexity(single)) == pytest.approx(1, abs=1e-5)


class SameEncoder(Encoder):
    def forward(self, x, context=None, mask=None):
        return x


class SameDecoder(Decoder):
    def forward(self, z, context=None, skips=()):
        return z


def test_readings_and_metric_count_what_is_used(build_learner, as_data):
    latent = VQ(4, codes=8, width=2, restart_after=None)
    learner = build_learner((4,), latent=latent)
    latent.books[0].vectors[0].copy_(apart(8, 2))
    learner.model.encoder, learner.model.decoder = SameEncoder(), SameDecoder()
    used = latent.books[0].vectors[0][torch.tensor([[0, 1], [1, 0], [2, 3], [3, 2]])].flatten(1)
    for _ in range(3):
        seen(latent, used)
    assert learner.readings() == {"perplexity": pytest.approx(4, rel=1e-5), "codes_used": 4}
    values = Latent()(Run(learner, as_data(used.numpy())), "test")
    assert values["latent/perplexity"] == pytest.approx(4, rel=1e-5) and values["latent/codes_used"] == 4
    for steps, expected in ((99, 4), (1, 2)):  # 1 / (1 - 0.99) steps are remembered
        for _ in range(steps):
            seen(latent, used[:2])
        assert learner.readings()["codes_used"] == expected


# ---------------------------------------------------------------- in a run


@pytest.fixture
def trained(build_learner, as_data, quiet, tmp_path):
    """trained(folder, kind, stop): the learner, the tracker and last.pt of a short run; goes on where one was cut."""
    data = as_data(torch.rand(26, 6, generator=torch.Generator().manual_seed(3)).numpy())

    def start(folder, kind, stop=lambda: False, seed=0):
        latent = VQ(4, codes=12, width=2, codebook=kind, restart_after=3)
        learner = build_learner((6,), latent=latent, hidden_dims=[5], seed=seed)
        store = Store(tmp_path / folder, {"run_id": "a"}, math.inf)
        if (tmp_path / folder / "last.pt").is_file():
            store.resume(tmp_path / folder)
        track = quiet()
        adam = functools.partial(torch.optim.Adam, lr=0.05)
        trainer = Joint(steps=14, batch_size=8, validate_every_steps=4, log_every_steps=2)
        progress = trainer.fit(learner, data, adam, schedulers.constant, store, track, 0, stop)
        saved = load(tmp_path / folder / "last.pt")
        return learner, track, saved, progress

    return start


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_cut_off_resumes_with_the_same_codebook(kind, trained):
    whole, _, saved, progress = trained("whole", kind)
    assert {f"model.latent.books.0.{name}" for name in ("vectors", "use_counts", "unused")} < saved["learner"].keys()
    for step in (1, 3, 4, 7, 13):  # before, at and after a restart, between two validations
        left = iter(range(1, step + 1))
        with pytest.raises(KeyboardInterrupt):
            trained(f"cut-{step}", kind, stop=lambda left=left, step=step: next(left) == step)
        again, _, other, history = trained(f"cut-{step}", kind, seed=99)
        assert saved["learner"].keys() == other["learner"].keys()
        for name, value in saved["learner"].items():
            assert torch.equal(value, other["learner"][name]), name
        assert history.history == progress.history


@pytest.mark.parametrize("kind", KINDS)
def test_readings_stand_beside_the_training_terms_and_in_no_loss(kind, trained):
    _, track, _, progress = trained("run", kind)
    names = {"perplexity", "codes_used"}
    terms = {"reconstruction", "commitment", *(["codebook"] if kind == "gradient" else [])}
    rows = {split: [row for row in progress.history if row["split"] == split] for split in ("train", "val")}
    for row in (*rows["train"], *(line for _, line, _ in track.lines)):
        assert names < row.keys() and 1 <= row["perplexity"] <= 12 and row["codes_used"] in range(1, 13)
        assert row["loss"] == pytest.approx(sum(row[name] for name in terms), rel=1e-12)
    for row in rows["val"]:
        assert not names & row.keys() and row["loss"] == pytest.approx(sum(row[name] for name in terms), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_book_starts_as_encoder_outputs_of_training_rows_and_once(kind, build_learner, as_data):
    learner = build_learner((6,), latent=VQ(4, codes=5, width=2, codebook=kind))
    data = as_data(torch.rand(30, 6).numpy())
    learner.before_step(data["train"], 0)
    latent = learner.model.latent
    with torch.no_grad():
        offered = learner.model.encoder(data["train"].x).view(-1, 2)
    # a batch of another size may add up in another order
    assert float(torch.cdist(latent.books[0].vectors[0].detach(), offered).amin(1).max()) < 1e-5
    assert len(latent.books[0].vectors[0].unique(dim=0)) == 5
    kept = copy.deepcopy(latent.state_dict())
    learner.before_step(data["train"], 1)
    assert all(torch.equal(kept[name], value) for name, value in latent.state_dict().items())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"dim": 12}, r"^width=8 must divide latent\.dim=12: take latent\.dim=16"),
    ],
)
def test_a_codebook_that_makes_no_sense_is_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        VQ(**{"dim": 16, **keys})


def test_an_entry_without_use_stays_where_it_is():
    """Its running mean is a ratio of two numbers that fade alike; what keeps the ratio from 0 / 0 must not move it."""
    latent = VQ(2, codes=3, width=2, restart_after=None, decay=0.5)
    latent.books[0].vectors[0].copy_(torch.tensor([[0.0, 0.0], [5.0, 5.0], [9.0, 9.0]]))
    far = latent(torch.tensor([[5.0, 5.0]]))
    near = latent(torch.tensor([[0.0, 0.0]]))
    passes = [Pass(Batch(code.mean), code.mean, None, code, code.mean) for code in (far, near)]
    latent.observe(passes[0])
    for _ in range(200):
        latent.observe(passes[1])
    torch.testing.assert_close(latent.books[0].vectors[0][1], torch.tensor([5.0, 5.0]), atol=1e-3, rtol=0)


# ---------------------------------------------------------------- several books, other gradients, fixed grids


def test_the_error_falls_with_the_depth(as_data, build_learner):
    """Residual books that start as what those before have left of training rows."""
    rows, errors = torch.rand(400, 8), []
    for depth in (1, 2, 4):
        latent = VQ(8, codes=16, width=4, depth=depth)
        learner = build_learner((8,), latent=latent)
        learner.model.encoder = SameEncoder()
        learner.before_step(as_data(rows.numpy())["train"], 0)
        errors.append(float((latent(rows).z - rows).square().sum(1).mean()))
        assert latent.capacity().bits == 2 * 4 * depth and latent(rows).posterior.entries.shape == (400, 2 * depth)
    # what is left has some 16^(2/4) = 4 times less of its square with each book of 16 vectors of 4 numbers, less what
    # unlucky vectors lose
    assert errors[1] < 0.75 * errors[0] and errors[2] < 0.75 * errors[1]


@pytest.mark.parametrize(
    "latent",
    [VQ(6, codes=5, width=2), VQ(6, codes=5, width=2, depth=3), VQ(6, codes=5, width=2, books="places"),
     VQ(6, codes=5, width=2, depth=2, books="places", codebook="simvq"), FSQ(6, [4, 3, 5]), LFQ(6, width=3)],
    ids=["vq", "residual", "product", "simvq", "fsq", "lfq"],
)  # fmt: skip
def test_tokens_spell_the_code_they_are_of(latent):
    code, alphabet = latent(torch.randn(50, 6)), latent.alphabet()
    tokens = code.posterior.entries
    assert tokens.shape == (50, alphabet.tokens) and 0 <= int(tokens.min()) <= int(tokens.max()) < alphabet.values
    # a sum of three vectors in another order
    torch.testing.assert_close(latent.spell(tokens), code.z.detach(), rtol=0, atol=1e-6)
    assert math.ceil(alphabet.tokens * math.log2(alphabet.values) - 1e-9) == latent.capacity().bits


def test_books_of_places_are_quantisers_of_their_own():
    latent = VQ(6, codes=5, width=2, books="places")
    h = torch.randn(40, 6)
    z = latent(h).z.view(40, 3, 2)
    for place in range(3):
        book = latent.books[0].vectors[place]
        assert torch.equal(z[:, place], book[torch.cdist(h.view(40, 3, 2)[:, place], book).argmin(1)])


def test_a_rotated_gradient_keeps_its_angle_to_the_vector():
    """The map that takes h to e takes the gradient at e back: <gradient, h> = <wanted, e>, lengths by |e| / |h|."""
    h, onto, wanted = torch.randn(3, 20, 4, dtype=torch.float64)
    h.requires_grad_()
    turned = turn(h, onto)
    torch.testing.assert_close(turned.detach(), onto)
    (gradient,) = torch.autograd.grad((turned * wanted).sum(), h)
    torch.testing.assert_close((gradient * h).sum(-1).detach(), (wanted * onto).sum(-1))
    scale = (onto.norm(dim=-1) / h.norm(dim=-1)).detach()
    torch.testing.assert_close(gradient.norm(dim=-1), wanted.norm(dim=-1) * scale)
    assert torch.equal(turn(torch.zeros(2, 4), torch.ones(2, 4)), torch.zeros(2, 4))


def test_simvq_moves_all_vectors_at_once():
    latent = VQ(4, codes=9, width=2, codebook="simvq")
    start = latent.books[0].entries().detach().clone()
    stepper = torch.optim.SGD(latent.parameters(), lr=0.1)
    latent(torch.randn(3, 4)).losses["codebook"].sum().backward()
    stepper.step()
    moved = (latent.books[0].entries().detach() - start).norm(dim=-1)
    assert bool((moved > 0).all()) and not any(
        "vectors" in name for name, _ in latent.named_parameters()
    )  # of three rows at most six vectors are used


@given(st.lists(st.integers(2, 9), min_size=1, max_size=3), st.integers(0, 30))
def test_levels_are_the_grid_and_their_gradient_that_of_the_bounded_unit(levels, seed):
    torch.manual_seed(seed)
    latent = FSQ(2 * len(levels), levels)
    h = (4 * torch.randn(200, latent.dim)).requires_grad_()
    z = latent(h).z
    for unit, size in enumerate(levels * 2):
        grid = (torch.arange(size) - size // 2) / (size // 2)
        assert bool(torch.isin(z.detach()[:, unit], grid).all())
    assert torch.equal(latent.project(z.detach()), z.detach())
    (gradient,) = torch.autograd.grad(z.sum(), h)
    bounded = latent._bound(h) / latent._half()
    torch.testing.assert_close(gradient, torch.autograd.grad(bounded.sum(), h)[0])


@given(st.integers(2, 1 << 14), st.floats(0.1, 1e4))
def test_of_any_number_of_levels_no_code_lies_beyond_them(size, wide):
    latent = FSQ(1, [size])
    code = latent(torch.linspace(-wide, wide, 101)[:, None])
    tokens = code.posterior.entries
    assert 0 <= int(tokens.min()) and int(tokens.max()) < size
    assert torch.equal(latent.spell(tokens), code.z) and torch.equal(latent.project(code.z), code.z)


def test_all_values_of_a_token_are_reached_and_counted():
    latent = FSQ(2, [4, 3])
    h = 3 * torch.cartesian_prod(torch.linspace(-2, 2, 60), torch.linspace(-2, 2, 60))
    code = latent(h)
    assert len(code.posterior.entries.unique()) == 12
    assert latent.usage([Pass(Batch(h), h, None, code, h)])["codes_used"] == 12
    counts = torch.tensor([[5.0, 5.0, 0.0, 0.0]])
    told = tell_usage(counts, 3)
    assert told["perplexity"] == pytest.approx(2) and told["codebook_use"] == 0.5
    assert told["bits_entropy"] == pytest.approx(3)


def test_signs_pass_the_gradient_and_their_entropy_is_that_of_the_softmax_over_corners():
    latent = LFQ(4, width=2, entropy=1.0, temperature=0.8).double()
    h = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    code = latent(h)
    assert torch.equal(code.z.detach(), torch.where(h > 0, 1.0, -1.0).double())
    (gradient,) = torch.autograd.grad(code.z.sum(), h, retain_graph=True)
    assert torch.equal(gradient, torch.ones_like(h))
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 2)
    q = torch.softmax(-(h.view(7, 2, 1, 2) - corners).square().sum(-1) / 0.8, -1)
    each = torch.special.entr(q).sum((-2, -1)).mean()
    together = torch.special.entr(q.mean((0, 1))).sum()
    torch.testing.assert_close(code.losses["entropy"], each - 2 * together)

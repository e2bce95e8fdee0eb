"""A law over the tokens of a quantised code, learned after training: each token given those before it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import NamedTuple, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.contracts import Alphabet
from aeexp.evaluation.encode import encode
from aeexp.evaluation.run import Run
from aeexp.models.learner import choose_batch_size

ROWS = 10_000  # training rows whose tokens it learns from
LOOKS = 6  # at validation rows, of which the best one is kept
RATE = 5e-3
START = 0.3  # deviation of what stands for tokens, and of what for places: as large, that neither hides the other
MOST = 1 << 14  # values of a token, above which a table of them is none for so few rows


class Plan(NamedTuple):
    """How large the network is, and how long it is trained."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    steps: int = 600
    batch_size: int = 64
    seed: int = 0


PLAN = Plan()


@final
class CausalTransformer(nn.Module):
    """log p(t_i | t_1 ... t_{i-1}) of rows of tokens (B, T), in their order (Vaswani et al. 2017; Oord et al. 2017,
    section 3.3, has a PixelCNN in its place)."""

    def __init__(self, alphabet: Alphabet, plan: Plan):
        super().__init__()
        self.values = alphabet.values
        self.token = nn.Embedding(alphabet.values + 1, plan.width)  # the last one stands before the first token
        nn.init.normal_(self.token.weight, 0, START)
        self.place = nn.Parameter(START * torch.randn(alphabet.tokens, plan.width))
        layer = nn.TransformerEncoderLayer(
            plan.width, plan.heads, 4 * plan.width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, plan.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(plan.width)
        self.head = nn.Linear(plan.width, alphabet.values)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T + 1, values) logits of each token given those before it (B, T), and of one more where there is room."""
        start = tokens.new_full((len(tokens), 1), self.values)
        shifted = torch.cat([start, tokens], 1)[:, : len(self.place)]
        length = shifted.shape[1]
        mask = torch.full((length, length), -math.inf, device=tokens.device).triu(1)
        h = self.token(shifted) + self.place[:length]
        return self.head(self.norm(self.layers(h, mask=mask, is_causal=True)))

    def nats(self, tokens: Tensor) -> Tensor:
        """(B,) -log p of whole rows (B, T)."""
        return F.cross_entropy(self(tokens).transpose(1, 2), tokens, reduction="none").sum(1)

    @torch.no_grad()
    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, T) tokens, one after another."""
        tokens = torch.zeros(n, 0, dtype=torch.int64, device=self.place.device)
        for _ in range(len(self.place)):
            chances = self(tokens)[:, -1].softmax(-1).cpu()
            drawn = torch.multinomial(chances, 1, generator=generator)
            tokens = torch.cat([tokens, drawn.to(tokens.device)], 1)
        return tokens


def find_alphabet(run: Run) -> Alphabet | None:
    """That of the run's latent, where a network can be taught it."""
    alphabet = run.model.latent.alphabet()
    return alphabet if alphabet is not None and alphabet.values <= MOST else None


@torch.no_grad()
def read_tokens(run: Run, split: str, rows: int = ROWS) -> Tensor:
    """(N, T) of at most so many rows of a split."""
    chosen = run.rows(split).sample(rows).batches(choose_batch_size(run.data.shape))
    return torch.cat([encode(run.learner, batch).code.posterior.entries for batch in chosen])


def fit_code_prior(run: Run, plan: Plan = PLAN) -> CausalTransformer | None:
    """The law of the training tokens that is best on validation rows; None of a code without tokens. Learned once."""
    alphabet = find_alphabet(run)
    if alphabet is None:
        return None
    return run.compute_once(("code_prior", plan), lambda: _fit(run, alphabet, plan))


def _fit(run: Run, alphabet: Alphabet, plan: Plan) -> CausalTransformer:
    train, val = read_tokens(run, "train"), read_tokens(run, "val", 1000)
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(plan.seed)
        network = CausalTransformer(alphabet, plan).to(train.device)
        optimizer = torch.optim.Adam(network.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, plan.steps)
        best, least = copy.deepcopy(network.state_dict()), math.inf
        every = max(1, plan.steps // LOOKS)
        for step, batch in zip(range(1, plan.steps + 1), _shuffle(train, plan), strict=False):
            optimizer.zero_grad()
            network.nats(batch).mean().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), alphabet.tokens**0.5)
            optimizer.step()
            schedule.step()
            if step % every == 0 or step == plan.steps:
                value = float(measure_nats(network, val).mean())
                if value < least:
                    best, least = copy.deepcopy(network.state_dict()), value
    network.load_state_dict(best)
    return network.eval()


def fit_places(run: Run) -> Tensor:
    """(T, values) log of how often each place has each token in training rows, half a row added to each count
    (Krichevsky and Trofimov 1981): what is known of a row whose places say nothing of each other."""
    alphabet = run.model.latent.alphabet()
    assert alphabet is not None
    tokens = read_tokens(run, "train")
    counts = torch.stack([torch.bincount(place, minlength=alphabet.values) for place in tokens.T]) + 0.5
    return (counts / counts.sum(1, keepdim=True)).log()


def _shuffle(rows: Tensor, plan: Plan) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(plan.seed)
    while True:
        yield from rows[torch.randperm(len(rows), generator=generator).to(rows.device)].split(plan.batch_size)


@torch.no_grad()
def measure_nats(network: CausalTransformer, tokens: Tensor) -> np.ndarray:
    """(N,) -log p of rows of tokens, float64."""
    was_training = network.training
    network.eval()
    nats = torch.cat([network.nats(part) for part in tokens.split(256)]).double().cpu().numpy()
    network.train(was_training)
    return nats

"""Small runs to draw, and figures that are read back."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from aeexp.conditions import Unconditional
from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.splits import Fractions
from aeexp.evaluation.run import Run
from aeexp.latents.deterministic import Deterministic
from aeexp.latents.gaussian import Gaussian as Stochastic
from aeexp.latents.priors import Standard
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.models.nn.conv import conv
from aeexp.models.nn.mlp import mlp
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.tasks.reconstruct import Reconstruct

HISTORY = [
    {"step": 10 * i, "epoch": i / 2, "split": split, "lr": 1e-3, "loss": loss, "reconstruction": loss - 0.1, "l1": 0.1}
    for i, loss in enumerate((90.0, 5.0, 2.0, 3.0), start=1)
    for split in ("train", "val")
]


def run_of(data: Data, parts=None, noises=None, history=(), latent=None, regularizers=None) -> Run:
    """An untrained model: what figures show does not depend on how good it is."""
    if latent is not None:
        parts = latent.dim, *mlp(data.shape, latent.params, latent.dim, 0, hidden_dims=[16])
    dim, encoder, decoder = parts or perceptron(data, 4)
    model = Autoencoder(encoder, latent or Deterministic(dim), decoder, Gaussian(), Unconditional())
    return Run(Learner(Reconstruct(), model, Additive(Chain(noises or {}), regularizers or {})), data, history)


def perceptron(data: Data, dim: int, **options):
    """Parts of a small fully connected autoencoder: width, encoder, decoder."""
    return dim, *mlp(data.shape, dim, dim, 0, **{"hidden_dims": [16], **options})


def rows_of(shape: tuple[int, ...], labels=None, classes=(), n: int = 60, s=None) -> Data:
    """Noise in rows of that shape, split 4 : 1 : 1."""
    x = np.random.default_rng(0).uniform(-1, 2, (n, *shape)).astype(np.float32)
    return assemble(Source(Rows(x, labels, s), classes=classes), name="made", split=Fractions([4, 1, 1]))


def stochastic(data: Data, dim: int = 5, condition=None) -> Run:
    """An untrained VAE, conditional if asked for."""
    condition, prior = condition or Unconditional(), Standard()
    condition.adapt(data.facts)
    prior.adapt(dim, tuple(data.shape))
    encoder, decoder = mlp(data.shape, 2 * dim, dim, condition.size, hidden_dims=[16])
    model = Autoencoder(encoder, Stochastic(dim, prior), decoder, Gaussian(), condition)
    return Run(Learner(Reconstruct(), model, Additive(Chain({}), {})), data)


def save(figure) -> np.ndarray:
    """The pixels of the PNG; warnings are errors here."""
    figure.savefig(buffer := io.BytesIO(), format="png")
    pixels = np.asarray(Image.open(buffer).convert("L"))
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (edge == 255).all(), "something is cut off at the edge"
    assert len(buffer.getvalue()) < 500_000
    return pixels


def convolutional(data: Data, upsample, dim: int = 4):
    """Parts of a small convolutional autoencoder: width, encoder, decoder."""
    return dim, *conv(data.shape, dim, dim, 0, channels=[5, 6], upsample=upsample)


def tile(image, row: int, column: int, side: int = 8) -> np.ndarray:
    """One picture out of a sheet of pictures with gaps of one pixel."""
    sheet = np.asarray(image.get_array())
    return sheet[row * (side + 1) :, column * (side + 1) :][:side, :side]

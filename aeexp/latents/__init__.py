"""Codes: what becomes of the encoder's output."""

from aeexp.latents.binary import Binary
from aeexp.latents.bounded import Categorical, Hyperspherical
from aeexp.latents.deterministic import Deterministic, Sigmoid
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.levels import FSQ, LFQ
from aeexp.latents.priors import Mixture, Standard, Uniform, Vamp
from aeexp.latents.quantised import VQ
from aeexp.latents.rectified import Gated, JumpRelu, Relu
from aeexp.latents.sparse import BatchTopK, TopK

__all__ = [
    "BatchTopK",
    "Binary",
    "Categorical",
    "Deterministic",
    "Gated",
    "FSQ",
    "Gaussian",
    "Hyperspherical",
    "JumpRelu",
    "LFQ",
    "Mixture",
    "Relu",
    "Sigmoid",
    "Standard",
    "TopK",
    "Uniform",
    "VQ",
    "Vamp",
]

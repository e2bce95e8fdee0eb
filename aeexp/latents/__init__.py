"""Codes: what becomes of the encoder's output."""

from aeexp.latents.binary import Binary
from aeexp.latents.bounded import Categorical, Hyperspherical
from aeexp.latents.deterministic import Deterministic, Sigmoid
from aeexp.latents.families import IAF, Diagonal, Planar
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.ladder import Ladder
from aeexp.latents.levels import FSQ, LFQ
from aeexp.latents.priors import Flow, Mixture, Standard, Uniform, Vamp
from aeexp.latents.quantised import VQ
from aeexp.latents.rectified import Gated, JumpRelu, Relu
from aeexp.latents.sparse import BatchTopK, TopK

__all__ = [
    "BatchTopK",
    "Binary",
    "Categorical",
    "Deterministic",
    "Diagonal",
    "FSQ",
    "Flow",
    "Gated",
    "Gaussian",
    "Hyperspherical",
    "IAF",
    "JumpRelu",
    "LFQ",
    "Ladder",
    "Mixture",
    "Planar",
    "Relu",
    "Sigmoid",
    "Standard",
    "TopK",
    "Uniform",
    "VQ",
    "Vamp",
]

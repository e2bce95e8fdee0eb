"""Penalties beside the reconstruction."""

from aeexp.regularizers.adversary import Adversary
from aeexp.regularizers.classifier import Classifier
from aeexp.regularizers.code import L1, CodeL2
from aeexp.regularizers.contractive import Contractive
from aeexp.regularizers.decoder import DecoderL2, GradientPenalty, Orthogonality
from aeexp.regularizers.kl import KL
from aeexp.regularizers.mmd import MMD
from aeexp.regularizers.regressor import Regressor
from aeexp.regularizers.sparse import AuxK, Gate, Matryoshka
from aeexp.regularizers.sparsity import KLSparsity
from aeexp.regularizers.total_correlation import TotalCorrelation

__all__ = [
    "Adversary",
    "AuxK",
    "Classifier",
    "CodeL2",
    "Contractive",
    "DecoderL2",
    "Gate",
    "GradientPenalty",
    "KL",
    "KLSparsity",
    "L1",
    "MMD",
    "Matryoshka",
    "Orthogonality",
    "Regressor",
    "TotalCorrelation",
]

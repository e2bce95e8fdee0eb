"""Penalties beside the reconstruction."""

from aeexp.regularizers.adversary import Adversary
from aeexp.regularizers.classifier import Classifier
from aeexp.regularizers.code import L1, CodeL2
from aeexp.regularizers.contractive import Contractive
from aeexp.regularizers.decoder import DecoderL2, GradientPenalty, Orthogonality
from aeexp.regularizers.dip import DIP
from aeexp.regularizers.kl import KL
from aeexp.regularizers.mmd import MMD
from aeexp.regularizers.perceptual import Perceptual
from aeexp.regularizers.picture_critic import PictureCritic
from aeexp.regularizers.regressor import Regressor
from aeexp.regularizers.sliced import SlicedWasserstein
from aeexp.regularizers.sparse import AuxK, Gate, Matryoshka
from aeexp.regularizers.sparsity import KLSparsity
from aeexp.regularizers.total_correlation import TotalCorrelation

__all__ = [
    "Adversary",
    "AuxK",
    "Classifier",
    "CodeL2",
    "Contractive",
    "DIP",
    "DecoderL2",
    "Gate",
    "GradientPenalty",
    "KL",
    "KLSparsity",
    "L1",
    "MMD",
    "Matryoshka",
    "Orthogonality",
    "Perceptual",
    "PictureCritic",
    "Regressor",
    "SlicedWasserstein",
    "TotalCorrelation",
]

"""Encoders and decoders, and the one model class."""

from aeexp.models.nn.conv import conv
from aeexp.models.nn.dictionary import dictionary
from aeexp.models.nn.gru import gru
from aeexp.models.nn.memoriser import memoriser
from aeexp.models.nn.mlp import mlp
from aeexp.models.nn.resnet import resnet
from aeexp.models.nn.transformer import transformer
from aeexp.models.nn.unet import unet
from aeexp.models.nn.vit import vit
from aeexp.models.nn.yours import LinearDecoder, LinearEncoder, yours

__all__ = [
    "LinearDecoder", "LinearEncoder", "conv", "dictionary", "gru", "memoriser", "mlp", "resnet", "transformer", "unet",
    "vit", "yours",
]  # fmt: skip

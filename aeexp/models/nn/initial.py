"""Weights before the first step."""

from __future__ import annotations

from torch import nn


def glorot(*networks: nn.Module) -> None:
    """Glorot and Bengio 2010, uniform; biases 0.

    torch's own default shrinks the signal at every layer: a deep autoencoder then spends its first epochs on the
    mean picture.
    """
    for network in networks:
        for parameter in network.parameters():
            if parameter.dim() >= 2:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)

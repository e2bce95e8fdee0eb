"""Autoencoders as scikit-learn transformers."""

from aeexp.sklearn.autoencoder import Autoencoder

__all__ = ["Autoencoder"]

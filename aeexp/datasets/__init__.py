"""Rows: what ships, what is downloaded, what a user brings, and how they are split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aeexp.datasets.core.assemble import DataSet
    from aeexp.datasets.core.records import Rows, Source
    from aeexp.datasets.core.splits import Fractions, KFold, Official
    from aeexp.datasets.formats.audio import audio
    from aeexp.datasets.formats.csv import csv
    from aeexp.datasets.formats.factors import cars3d, dsprites, mpi3d, shapes3d, small_norb
    from aeexp.datasets.formats.folder import folder
    from aeexp.datasets.formats.huggingface import huggingface
    from aeexp.datasets.formats.idx import idx
    from aeexp.datasets.formats.npy import npy
    from aeexp.datasets.formats.npz import npz
    from aeexp.datasets.formats.sparse import sparse
    from aeexp.datasets.formats.text import text
    from aeexp.datasets.formats.video import video
    from aeexp.datasets.formats.webdataset import webdataset
    from aeexp.datasets.sets.binarized_mnist import binarized_mnist
    from aeexp.datasets.sets.bundled import breast_cancer, diabetes, digits, iris, mnist_small, wine
    from aeexp.datasets.sets.celeba import celeba
    from aeexp.datasets.sets.cells import cells
    from aeexp.datasets.sets.generated import moons, s_curve, sine_waves, swiss_roll, weak_attribute
    from aeexp.datasets.sets.painted import colored_digits, textured_digits
    from aeexp.datasets.sets.planar import rings, spiral, xor
    from aeexp.datasets.sets.sentences import sentences
    from aeexp.datasets.sets.sprites import sprites
    from aeexp.datasets.sets.vision import emnist, fashion_mnist, kmnist, mnist, usps
    from aeexp.datasets.sets.vision_color import cifar10, svhn

__all__ = [
    "DataSet",
    "Fractions",
    "KFold",
    "Official",
    "Rows",
    "Source",
    "audio",
    "binarized_mnist",
    "breast_cancer",
    "cars3d",
    "celeba",
    "cells",
    "cifar10",
    "colored_digits",
    "csv",
    "diabetes",
    "digits",
    "dsprites",
    "emnist",
    "fashion_mnist",
    "folder",
    "huggingface",
    "idx",
    "iris",
    "kmnist",
    "mnist",
    "mnist_small",
    "moons",
    "mpi3d",
    "npy",
    "npz",
    "rings",
    "s_curve",
    "sentences",
    "shapes3d",
    "sine_waves",
    "small_norb",
    "sparse",
    "spiral",
    "sprites",
    "svhn",
    "swiss_roll",
    "text",
    "textured_digits",
    "usps",
    "video",
    "weak_attribute",
    "webdataset",
    "wine",
    "xor",
]

_PLACES = {
    "core.assemble": "DataSet",
    "core.records": "Rows Source",
    "core.splits": "Fractions KFold Official",
    "formats.audio": "audio",
    "formats.csv": "csv",
    "formats.factors": "cars3d dsprites mpi3d shapes3d small_norb",
    "formats.folder": "folder",
    "formats.huggingface": "huggingface",
    "formats.idx": "idx",
    "formats.npy": "npy",
    "formats.npz": "npz",
    "formats.sparse": "sparse",
    "formats.text": "text",
    "formats.video": "video",
    "formats.webdataset": "webdataset",
    "sets.binarized_mnist": "binarized_mnist",
    "sets.bundled": "breast_cancer diabetes digits iris mnist_small wine",
    "sets.celeba": "celeba",
    "sets.cells": "cells",
    "sets.generated": "moons s_curve sine_waves swiss_roll weak_attribute",
    "sets.painted": "colored_digits textured_digits",
    "sets.planar": "rings spiral xor",
    "sets.sentences": "sentences",
    "sets.sprites": "sprites",
    "sets.vision": "emnist fashion_mnist kmnist mnist usps",
    "sets.vision_color": "cifar10 svhn",
}


def __getattr__(name: str) -> Any:
    """What needs torch is brought in when it is used: processes that decode pictures do without."""
    module = next((place for place, names in _PLACES.items() if name in names.split()), None)
    if module is None:
        raise AttributeError(f"module 'aeexp.datasets' has no attribute {name!r}")
    import importlib

    return vars(importlib.import_module(f"aeexp.datasets.{module}"))[name]


def __dir__() -> list[str]:
    return [*globals(), *__all__]

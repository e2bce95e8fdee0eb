"""Matrix factorisations of scikit-learn as autoencoders: what a trained code of the same width is held against."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from aeexp.contracts import Examples
from aeexp.errors import UsageError
from aeexp.latents.deterministic import Deterministic
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.independence import unmix
from aeexp.models.nn import dictionary
from aeexp.models.pca import linear_ends, solve

log = logging.getLogger(__name__)

Method = Literal["pca", "ica", "sparse_pca", "nmf", "dictionary"]
ROWS = 10_000  # drawn rows that are factorised, where there are more
RIDGE = 0.01  # by which sparse components are inverted, as in scikit-learn


@torch.no_grad()
def factorise(model: Autoencoder, split: Examples, method: Method, *, alpha: float, max_iter: int, seed: int) -> None:
    """Set the weights of a linear model to a factorisation of the rows of a split.

    `pca`, `ica` (FastICA, Hyvarinen 1999) and `sparse_pca` (Zou et al. 2006, by Mairal et al. 2009) are linear both
    ways; `nmf` (Lee and Seung 1999) and `dictionary` (Olshausen and Field 1996, by Mairal et al. 2009) need
    model=dictionary, which searches for the code of a row. Raises UsageError where the model or the rows are others.
    """
    if method == "pca":
        return solve(model, split)
    if next(iter(split.batches(1))).mask is not None:
        raise UsageError(f"method={method} factorises rows of one length: take trainer=joint")
    rows = torch.cat([batch.x.flatten(1).cpu() for batch in split.sample(ROWS).batches(1024)]).double().numpy()
    width = min(model.latent.dim, *rows.shape)
    if method in ("ica", "sparse_pca"):
        encoder, decoder = linear_ends(model, split)
        if method == "ica":
            there, back, settled = unmix(rows, width, max_iter, seed)
            _tell(settled)
        else:
            there, back = _sparsen(rows, width, alpha, max_iter, seed)
        _set_linear(encoder, decoder, there, back, rows.mean(0))
        return
    layer, sparsity = _find_dictionary(model, method)
    if method == "nmf":
        atoms, origin = _split_positive(rows, width, max_iter, seed), np.zeros(rows.shape[1])
    else:
        origin = rows.mean(0)
        atoms = _learn_atoms(rows - origin, width, sparsity, max_iter, seed)
    layer.weight.zero_()
    layer.weight[:, : len(atoms)] = torch.from_numpy(atoms.T).to(layer.weight)
    layer.bias.copy_(torch.from_numpy(origin))


def _find_dictionary(model: Autoencoder, method: Method) -> tuple[nn.Linear, float]:
    encoder, decoder = model.encoder, model.decoder
    if not (isinstance(encoder, dictionary.Encoder) and isinstance(decoder, dictionary.Decoder)) or not isinstance(
        model.latent, Deterministic
    ):
        raise UsageError(
            f"method={method} searches for the code of a row: take model=dictionary with latent=deterministic, or "
            "method=pca"
        )
    sparsity = float(encoder.get_buffer("sparsity"))
    if (method == "nmf") != encoder.positive:
        raise UsageError(
            f"method={method} has codes {'that are not below 0' if method == 'nmf' else 'of either sign'}: take "
            f"model.positive={str(method == 'nmf').lower()}"
        )
    if method == "nmf" and sparsity:
        raise UsageError(f"method=nmf has no price for its codes: take model.sparsity=0, not {sparsity:g}")
    return decoder.layer, sparsity


def _set_linear(encoder: nn.Linear, decoder: nn.Linear, there: np.ndarray, back: np.ndarray, mean: np.ndarray) -> None:
    """Codes there @ (x - mean), (K, F), and rows mean + back @ z, (F, K); units beyond K stay 0."""

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(encoder.weight)

    for parameter in (encoder.weight, encoder.bias, decoder.weight, decoder.bias):
        parameter.zero_()
    encoder.weight[: len(there)] = tensor(there)
    encoder.bias[: len(there)] = tensor(-there @ mean)
    decoder.weight[:, : len(there)] = tensor(back)
    decoder.bias.copy_(tensor(mean))


def _fit(make: Callable[[], Any], rows: np.ndarray) -> Any:
    """The estimator fitted, with a word where it did not converge."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        fitted = make().fit(rows)
    _tell(not any(issubclass(each.category, ConvergenceWarning) for each in caught))
    return fitted


def _tell(converged: bool) -> None:
    if not converged:
        log.warning("the factorisation has not converged: give it more rounds by trainer.max_iter")


def _sparsen(rows: np.ndarray, width: int, alpha: float, max_iter: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.decomposition import MiniBatchSparsePCA

    build: Any = MiniBatchSparsePCA  # whose types are guessed from its defaults: alpha may be any number

    def make() -> Any:
        return build(width, alpha=alpha, ridge_alpha=RIDGE, max_iter=max_iter, batch_size=256,
                                  random_state=seed)  # fmt: skip

    components = _fit(make, rows).components_
    inverse = np.linalg.solve(components @ components.T + RIDGE * np.eye(len(components)), components)
    return inverse, components.T


def _split_positive(rows: np.ndarray, width: int, max_iter: int, seed: int) -> np.ndarray:
    from sklearn.decomposition import NMF

    if rows.min() < 0:
        raise UsageError(
            f"method=nmf has parts that only add up, and these rows go down to {rows.min():.3g}: take "
            "dataset.scale=minmax, or method=ica"
        )
    build: Any = NMF  # whose types are guessed from its defaults
    atoms = _fit(lambda: build(width, init="nndsvda", max_iter=max_iter, random_state=seed), rows).components_
    return _shorten(atoms)


def _learn_atoms(rows: np.ndarray, width: int, sparsity: float, max_iter: int, seed: int) -> np.ndarray:
    from sklearn.decomposition import MiniBatchDictionaryLearning

    build: Any = MiniBatchDictionaryLearning  # whose types are guessed from its defaults

    def make() -> Any:
        return build(width, alpha=sparsity, max_iter=max_iter, batch_size=256,
                                           fit_algorithm="cd", random_state=seed)  # fmt: skip

    return _fit(make, rows).components_


def _shorten(atoms: np.ndarray) -> np.ndarray:
    """(K, F) of length 1: the code carries how much there is of each."""
    length = np.linalg.norm(atoms, axis=1, keepdims=True)
    return atoms / np.where(length > 0, length, 1)

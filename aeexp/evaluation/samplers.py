"""Ways of drawing new codes after training, for every model, stochastic or not: (n, D) float32."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch

from aeexp.contracts import Regularizer
from aeexp.evaluation.code_prior import fit_code_prior
from aeexp.evaluation.densities import Draw, fit_diffusion, fit_flow, fit_two_stage
from aeexp.evaluation.run import Run
from aeexp.evaluation.threads import one_thread
from aeexp.latents.priors import Standard

ROWS = 10_000  # training codes that a density is fitted to
COMPONENTS = 10  # of the mixture, as in Ghosh et al. 2020
WIDE = 64  # units up to which each of its covariances is full


def prior(run: Run, n: int, seed: int) -> np.ndarray | None:
    """From the latent's prior, or from N(0, I) where a penalty held the codes against it; None without either."""
    latent = run.model.latent
    if latent.prior is None and not is_held_against_prior(run):
        return None
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        if latent.prior is not None:
            return latent.prior.sample(n, run.model).cpu().numpy()
        return torch.randn(n, latent.dim).numpy()


def is_held_against_prior(run: Run) -> bool:
    """Whether a penalty held all codes together against N(0, I)."""
    return any(isinstance(part, Regularizer) and part.holds_against_prior for part in run.learner.objective.modules())


def is_normal(run: Run) -> bool:
    """Whether codes should be distributed as N(0, I): by their own prior, or where they have none by a penalty."""
    prior = run.model.latent.prior
    return is_held_against_prior(run) if prior is None else isinstance(prior, Standard)


def has_one_length(run: Run) -> bool:
    """Whether the law of codes gives them a length, so that a straight line between two leads through none: N(0, I) in
    many dimensions, and the sphere."""
    return is_normal(run) or run.model.latent.space == "sphere"


def gaussian(run: Run, n: int, seed: int) -> np.ndarray:
    """From one Gaussian with mean and covariance of the training codes."""
    return _valid(run, _gaussian(_codes(run), n, seed))


def _gaussian(codes: np.ndarray, n: int, seed: int) -> np.ndarray:
    covariance = np.atleast_2d(np.cov(codes.T)) if len(codes) > 1 else np.zeros((codes.shape[1],) * 2)
    return np.random.default_rng(seed).multivariate_normal(codes.mean(0), covariance, n, method="eigh")


@one_thread()
def mixture(run: Run, n: int, seed: int) -> np.ndarray:
    """From a mixture of ten Gaussians with full covariances (Ghosh et al. 2020, section 4).

    Above 64 units the covariances are diagonal along the principal axes of all codes: full ones would take minutes.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    codes = _codes(run)
    if len(codes) < 2:
        return gaussian(run, n, seed)
    components = max(1, min(COMPONENTS, len(codes) // (2 * codes.shape[1])))

    def fit():
        axes, kind = np.eye(codes.shape[1]), "full"
        if codes.shape[1] > WIDE:
            axes, kind = np.linalg.eigh(np.cov(codes.T))[1], "diag"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred rounds of EM are the protocol
            density = GaussianMixture(components, covariance_type=kind, random_state=seed, reg_covar=1e-6)
            return density.fit(codes @ axes), axes

    density, axes = run.compute_once(("mixture", seed), fit)
    return _valid(run, density.sample(n)[0] @ axes.T)


def kernel(run: Run, n: int, seed: int) -> np.ndarray:
    """From a kernel density of the training codes: a drawn code plus noise of Scott's width, along their covariance."""
    codes = _codes(run)
    generator = np.random.default_rng(seed)
    width = len(codes) ** (-1 / (codes.shape[1] + 4))
    covariance = np.atleast_2d(np.cov(codes.T)) if len(codes) > 1 else np.zeros((codes.shape[1],) * 2)
    noise = generator.multivariate_normal(np.zeros(codes.shape[1]), covariance * width**2, n, method="eigh")
    return _valid(run, codes[generator.integers(len(codes), size=n)] + noise)


def autoregressive(run: Run, n: int, seed: int) -> np.ndarray | None:
    """From a causal transformer over the tokens of a quantised code (`evaluation.code_prior`); None of any other."""
    network = fit_code_prior(run)
    if network is None:
        return None
    with torch.no_grad():
        tokens = network.draw(n, torch.Generator().manual_seed(seed))
        return run.model.latent.spell(tokens).cpu().numpy()


def flow(run: Run, n: int, seed: int) -> np.ndarray:
    """From coupling layers that are fitted to the training codes (RealNVP, Dinh et al. 2017)."""
    return _draw_trained(run, "flow", fit_flow, n, seed)


def two_stage(run: Run, n: int, seed: int) -> np.ndarray:
    """From a second VAE, of the training codes (Dai and Wipf 2019)."""
    return _draw_trained(run, "two_stage", fit_two_stage, n, seed)


def diffusion(run: Run, n: int, seed: int) -> np.ndarray:
    """From a diffusion of the training codes (Ho et al. 2020; Rombach et al. 2022)."""
    return _draw_trained(run, "diffusion", fit_diffusion, n, seed)


@one_thread()
def _draw_trained(run: Run, name: str, fit: Callable[[np.ndarray, int], Draw], n: int, seed: int) -> np.ndarray:
    codes = _codes(run)
    if len(codes) < 2 or not np.ptp(codes, 0).any():
        return gaussian(run, n, seed)
    draw = run.compute_once((name, seed), lambda: fit(codes, seed))
    return _valid(run, draw(n, seed))


def _codes(run: Run) -> np.ndarray:
    codes = run.codes("train")
    if len(codes) > ROWS:  # drawn: the first of a sorted source are of its first classes
        codes = codes[np.sort(np.random.default_rng(0).permutation(len(codes))[:ROWS])]
    return codes.astype(np.float64)


@torch.no_grad()
def _valid(run: Run, codes: np.ndarray) -> np.ndarray:
    """What a density of vectors draws is brought to the nearest codes of the latent."""
    return run.model.latent.project(torch.from_numpy(codes.astype(np.float32)).to(run.device)).cpu().numpy()


Sampler = Literal["prior", "gaussian", "mixture", "kernel", "flow", "two_stage", "diffusion", "autoregressive"]
SAMPLERS: dict[str, Callable[[Run, int, int], np.ndarray | None]] = {
    "prior": prior, "gaussian": gaussian, "mixture": mixture, "kernel": kernel, "flow": flow, "two_stage": two_stage,
    "diffusion": diffusion, "autoregressive": autoregressive,
}  # fmt: skip
QUICK: Sequence[Sampler] = ("prior", "gaussian", "mixture", "kernel")
"""Those that are fitted in a second; the others are trained for some."""

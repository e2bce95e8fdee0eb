"""What a good reconstruction means."""

from aeexp.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from aeexp.likelihoods.categorical import Categorical
from aeexp.likelihoods.counts import NegativeBinomial, Poisson
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.likelihoods.laplace import Laplace, LogCosh
from aeexp.likelihoods.ms_ssim import MSSSIM

__all__ = [
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "Gaussian",
    "Laplace",
    "LogCosh",
    "MSSSIM",
    "NegativeBinomial",
    "Poisson",
]

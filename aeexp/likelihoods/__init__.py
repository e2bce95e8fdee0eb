"""What a good reconstruction means."""

from aeexp.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from aeexp.likelihoods.categorical import Categorical
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.likelihoods.laplace import Laplace

__all__ = ["Bernoulli", "Categorical", "ContinuousBernoulli", "Gaussian", "Laplace"]

"""Numbers for metrics.json."""

from aeexp.metrics.anomaly import Anomaly
from aeexp.metrics.classification import Classification
from aeexp.metrics.clustering import Clustering
from aeexp.metrics.code_noise import CodeNoise
from aeexp.metrics.code_prior import CodePrior
from aeexp.metrics.disentanglement import Disentanglement
from aeexp.metrics.fairness import Fairness
from aeexp.metrics.frechet import Frechet
from aeexp.metrics.generalisation import Generalisation
from aeexp.metrics.generation import Generation
from aeexp.metrics.inpainting import Inpainting
from aeexp.metrics.kernel_pca import KernelPCA
from aeexp.metrics.latent import Latent
from aeexp.metrics.maps import Maps
from aeexp.metrics.marginal import Marginal
from aeexp.metrics.predictive import Predictive
from aeexp.metrics.prefix import Prefix
from aeexp.metrics.probe import Probe
from aeexp.metrics.reconstruction import Reconstruction
from aeexp.metrics.regression import Regression
from aeexp.metrics.retrieval import Retrieval
from aeexp.metrics.robustness import Robustness
from aeexp.metrics.segmentation import Segmentation

__all__ = [
    "Anomaly",
    "Classification",
    "Clustering",
    "CodeNoise",
    "CodePrior",
    "Disentanglement",
    "Fairness",
    "Frechet",
    "Generalisation",
    "Generation",
    "Inpainting",
    "KernelPCA",
    "Latent",
    "Maps",
    "Marginal",
    "Predictive",
    "Prefix",
    "Probe",
    "Reconstruction",
    "Regression",
    "Retrieval",
    "Robustness",
    "Segmentation",
]

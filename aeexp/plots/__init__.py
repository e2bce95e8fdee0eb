"""Figures for figures/ and TensorBoard."""

from aeexp.plots.activations import Activations
from aeexp.plots.anomaly import Anomaly
from aeexp.plots.checkerboard import Checkerboard
from aeexp.plots.class_error import ClassError
from aeexp.plots.code_noise import CodeNoise
from aeexp.plots.columns import Columns
from aeexp.plots.contours import Contours
from aeexp.plots.curves import Curves
from aeexp.plots.densities import Densities
from aeexp.plots.dictionary import Dictionary
from aeexp.plots.displacement import Displacement
from aeexp.plots.distances import Distances
from aeexp.plots.field import Field
from aeexp.plots.filters import Filters
from aeexp.plots.inpainting import Inpainting
from aeexp.plots.interpolation import Interpolation
from aeexp.plots.label_budget import LabelBudget
from aeexp.plots.label_swap import LabelSwap
from aeexp.plots.manifold import Manifold
from aeexp.plots.neighbours import Neighbours
from aeexp.plots.patches import Patches
from aeexp.plots.predictive import Predictive
from aeexp.plots.prefix import Prefix
from aeexp.plots.reconstructions import Reconstructions
from aeexp.plots.robustness import Robustness
from aeexp.plots.samples import Samples
from aeexp.plots.scatter import Scatter
from aeexp.plots.segmentation import Segmentation
from aeexp.plots.text import Text
from aeexp.plots.traversals import Traversals
from aeexp.plots.walk import Walk

__all__ = [
    "Activations",
    "Anomaly",
    "Checkerboard",
    "ClassError",
    "CodeNoise",
    "Columns",
    "Contours",
    "Curves",
    "Densities",
    "Dictionary",
    "Displacement",
    "Distances",
    "Field",
    "Filters",
    "Inpainting",
    "Interpolation",
    "LabelBudget",
    "LabelSwap",
    "Manifold",
    "Neighbours",
    "Patches",
    "Predictive",
    "Prefix",
    "Reconstructions",
    "Robustness",
    "Samples",
    "Scatter",
    "Segmentation",
    "Text",
    "Traversals",
    "Walk",
]

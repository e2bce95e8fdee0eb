"""How the terms make a loss."""

from aeexp.objectives.additive import Additive
from aeexp.objectives.iwae import ImportanceWeighted
from aeexp.objectives.semi_supervised import SemiSupervised

__all__ = ["Additive", "ImportanceWeighted", "SemiSupervised"]

"""How the parameters move: one loop, and what is made of it."""

from aeexp.trainers.closed_form import ClosedForm
from aeexp.trainers.joint import Joint
from aeexp.trainers.layerwise import Layerwise

__all__ = ["ClosedForm", "Joint", "Layerwise"]

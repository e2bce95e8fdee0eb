"""What the output is compared with."""

from aeexp.tasks.inpaint import Inpaint
from aeexp.tasks.reconstruct import Reconstruct
from aeexp.tasks.segment import Segment

__all__ = ["Inpaint", "Reconstruct", "Segment"]

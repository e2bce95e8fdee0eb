"""The jobs of a sweep trained together: `hydra/launcher=stacked` and `auto` (the plugin in `hydra_plugins`)."""

from aeexp.sweeps.stacking.group import Stacking
from aeexp.sweeps.stacking.launching import launch

__all__ = ["Stacking", "launch"]

"""The jobs of a sweep in processes of their own, here or on other machines: `hydra/launcher=processes`, `slurm`,
`submitit_local` and `ray` (the plugin in `hydra_plugins`)."""

from aeexp.sweeps.cluster.launching import Sharing, launch
from aeexp.sweeps.cluster.processes import Processes
from aeexp.sweeps.cluster.rays import Ray
from aeexp.sweeps.cluster.submitted import Submitit

__all__ = ["Processes", "Ray", "Sharing", "Submitit", "launch"]

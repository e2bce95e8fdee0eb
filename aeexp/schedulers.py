"""Learning-rate schedules over the whole run: each takes the optimizer and the run's number of steps.

`Plateau` steps at validations, the others after every optimizer step.
"""

from __future__ import annotations

from torch.optim import Optimizer, lr_scheduler

from aeexp.ranges import Count, NonNegative, Share

Scheduler = lr_scheduler.LRScheduler


def constant(optimizer: Optimizer, steps: int) -> Scheduler:
    """The learning rate stays as it is: the null object of the group."""
    return lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)


def cosine(optimizer: Optimizer, steps: int, *, floor: NonNegative = 0.0) -> Scheduler:
    """Half a cosine from the optimizer's rate down to `floor` (Loshchilov and Hutter 2017, without restarts)."""
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=floor)


def step(optimizer: Optimizer, steps: int, *, drops: Count = 2, factor: Share = 0.1) -> Scheduler:
    """Multiply the rate by `factor` at `drops` equally spaced points of the run."""
    milestones = [max(1, round(steps * (i + 1) / (drops + 1))) for i in range(drops)]
    return lr_scheduler.MultiStepLR(optimizer, milestones=milestones, gamma=factor)


def warmup_cosine(optimizer: Optimizer, steps: int, *, warmup: Share = 0.05, floor: NonNegative = 0.0) -> Scheduler:
    """Linear rise over the share `warmup` of the run, then half a cosine down to `floor`."""
    rise = max(1, round(steps * warmup))
    rising = lr_scheduler.LinearLR(optimizer, start_factor=1 / (rise + 1), total_iters=rise)
    falling = lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, steps - rise), eta_min=floor)
    return lr_scheduler.SequentialLR(optimizer, [rising, falling], milestones=[rise])


def plateau(optimizer: Optimizer, steps: int, *, factor: Share = 0.5, patience: Count = 5) -> Scheduler:
    """Multiply the rate by `factor` after `patience` validations without a lower loss."""
    # torch reduces at the first validation beyond its patience, and by default wants more than a lower loss
    return lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience - 1, threshold=0.0)

"""What one of several processes draws for its rows, and means over them: the numbers that one process would have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from aeexp.tensors import own_rows, whole_mean, whole_rows

LIKE = {torch.randn_like: torch.randn, torch.rand_like: torch.rand}
SHAPED = {torch.randn, torch.rand}
Add = Callable[[Tensor], Tensor]  # over all processes


@final
class ShareOfDraws(TorchFunctionMode):
    """Inside, what draws a number for each of the rows `first` to `last` of a batch of `rows` draws it for all of them,
    and takes its share: so torch's generators go on as in one process.

    A draw is one for each row where its first or second size is their number, or its first size a multiple of it.
    Any other is the same in all processes. A mean that is to be that of the whole batch (`tensors.whole_mean`) is the
    sum of `counted` shares of it, by `add`; so are rows that are to be those of all (`whole_rows`, `own_rows`).
    """

    def __init__(self, rows: int, first: int, last: int, counted: float = 1.0, add: Add = lambda mean: mean):
        super().__init__()
        self.rows, self.first, self.last = rows, first, last
        self.counted, self.add = counted, add

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """torch's call for each of its functions."""
        kwargs = kwargs or {}
        if func in LIKE:
            like = args[0]
            kept = {"dtype": like.dtype, "device": like.device, **kwargs}
            kept.pop("memory_format", None)
            return self._draw(lambda shape: LIKE[func](shape, **kept), like.shape)
        if func in SHAPED and args and kwargs.get("generator") is None:
            sizes = args[0] if isinstance(args[0], Sequence) else args
            return self._draw(lambda shape: func(shape, **kwargs), sizes)
        if func is F.dropout:
            return self._drop(*args, **kwargs)
        if func is whole_mean:  # each process's own rows give its gradient: the sum of all is that of the whole
            mean = args[0]
            return mean + (self.add(mean.detach() * self.counted) - mean).detach()
        if func is whole_rows:
            return self._join(args[0])
        if func is own_rows:
            own = args[0][self.first : self.last]
            more = args[0].mean(0) - own.mean(0)
            return own + (more - more.detach())
        return func(*args, **kwargs)

    def _join(self, mine: Tensor) -> Tensor:
        """The rows of all. A term that all make of them counts with each one's share of the rows: so that a row has its
        whole gradient, which its own process alone gives, that is so much larger. A sum with zeros has the rows'
        bits."""
        if len(mine) != self.last - self.first:  # several for each row: the trial before training refuses it
            self.add(mine)
            return mine
        place = slice(self.first, self.last if self.counted else self.first)  # a row that counts nothing is another's
        whole = mine.new_zeros(self.rows, *mine.shape[1:])
        whole[place] = mine.detach()[: place.stop - place.start]
        whole = self.add(whole)
        if not self.counted:
            return whole
        own = mine.detach() + (mine - mine.detach()) / self.counted
        return torch.cat([whole[: self.first], own, whole[self.last :]])

    def _draw(self, draw: Callable[[list[int]], Tensor], sizes: Sequence[int]) -> Tensor:
        place = find_rows(sizes, self.last - self.first)
        if place is None:
            return draw(list(sizes))
        dim, times = place
        whole = list(sizes)
        whole[dim] = self.rows * times
        return draw(whole).narrow(dim, self.first * times, (self.last - self.first) * times)

    def _drop(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0 or p == 1 or x.device.type != "cpu":  # a GPU draws in the kernel that multiplies
            return F.dropout(x, p, training, inplace)
        kept = self._draw(lambda shape: torch.empty(shape, dtype=x.dtype).bernoulli_(1 - p).div_(1 - p), x.shape)
        return x * kept


def find_rows(sizes: Sequence[int], rows: int) -> tuple[int, int] | None:
    """Which dimension of a draw is that of the rows, and how many times they are in it; None where none is."""
    for dim, size in enumerate(sizes[:2]):
        if size == rows:
            return dim, 1
    if sizes and rows and sizes[0] and sizes[0] % rows == 0:
        return 0, sizes[0] // rows
    return None

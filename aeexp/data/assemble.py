"""From what a loader found to the data of a run: the keys that every data set has, in one place."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import get_type_hints

import numpy as np

from aeexp.data.records import Data, Rows, Source, Split
from aeexp.data.splits import draw
from aeexp.errors import require

Splitter = Callable[[Rows, Rows | None], dict[str, Rows]]


def assemble(source: Source, *, name: str, split: Splitter, limit: int | None = None) -> Data:
    """Cut the rows into splits; `limit` keeps that many of them, drawn by label, before the cut.

    An official test set stays whole: its numbers can be compared.
    """
    require(limit is None or limit >= 3, f"limit={limit} must leave a row each for train, val and test")
    rows, test = (r if r is None else r._replace(ids=np.arange(len(r.x))) for r in (source.rows, source.test))
    require(len(rows.x) >= 3, f"name={name}: {len(rows.x)} rows are too few for train, val and test")
    if limit is not None and limit < len(rows.x):
        rows = draw(rows, limit, seed=0)[1]
    splits = {part: Split(taken, source.scale) for part, taken in split(rows, test).items()}
    return Data(name, splits, source.classes)


def dataset(load: Callable[..., Source]) -> Callable[..., Data]:
    """Make a loader a data set: it takes the keys of `assemble` beside its own, all by name, all checked."""

    @functools.wraps(load)
    def build(*, name: str, split: Splitter, limit: int | None = None, **own: object) -> Data:
        return assemble(load(**own), name=name, split=split, limit=limit)

    own = inspect.signature(load)
    common = list(inspect.signature(assemble).parameters.values())[1:]
    keys = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own.parameters.values(), *common)]
    keys.sort(key=lambda p: p.default is not inspect.Parameter.empty)
    build.__signature__ = inspect.Signature(keys)
    build.__annotations__ = {**get_type_hints(load), **get_type_hints(assemble)}
    return build

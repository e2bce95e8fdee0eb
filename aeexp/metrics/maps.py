"""How far maps of the codes into the plane can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, final

import numpy as np
from annotated_types import Interval

from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.maps import Name, embed, is_mappable, require, trustworthiness
from aeexp.evaluation.run import Run, Values
from aeexp.ranges import Count, Positive, Seed


@final
class Maps(Metric):
    """Trustworthiness and continuity (Venna and Kaski 2001) of each map of the codes, 1 at best, about 1/2 by chance.

    `trustworthiness_tsne_input` falls with points that are neighbours in the map but not in the input space,
    `continuity_tsne_input` with neighbours in the input space that the map tears apart; `..._tsne_code` holds the same
    map against the code space: what encoder and map lose together, and what the map loses alone. `code` is the code
    itself, of whatever width, against the input; a code of two units needs no PCA. On at most `rows` rows of the split,
    since time and memory grow with their square; t-SNE takes most of it.

    Formula: trustworthiness = 1 - 2 / (n k (2n - 3k - 1)) Σ_i Σ_j max(0, r(i, j) - k) over the k neighbours j of i in
    the map, r the rank of j among the neighbours of i in the space; continuity: the two exchanged

    Look at: plot=scatter with equal maps: how far a picture may be believed.
    """

    of_codes: ClassVar = True
    reads: ClassVar = ("codes", "inputs")
    figures = ("scatter",)
    numbers: ClassVar = (
        Number(
            r"maps/(trustworthiness|continuity)_\w+", "higher", "", no_interval="a row drawn twice is its own neighbour"
        ),
    )
    in_keys: ClassVar = ("maps",)

    def __init__(
        self,
        *,
        maps: Sequence[Name],
        neighbours: Count = 5,
        rows: Annotated[int, Interval(ge=3)] = 1000,
        perplexity: Positive = 30.0,
        seed: Seed = 0,
    ):
        require(maps)
        if rows <= 2 * neighbours:
            raise UsageError(f"rows={rows} must be more than twice neighbours={neighbours}")
        self.maps = list(maps)
        self.neighbours = neighbours
        self.rows = rows
        self.perplexity = perplexity
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        inputs, codes = (each.codes(split).astype(np.float64) for each in (run.raw(), run))
        chosen = np.random.default_rng(self.seed).permutation(len(codes))[: self.rows]
        inputs, codes = inputs[chosen], codes[chosen]
        if len(codes) <= 2 * self.neighbours:
            return {}
        values = self.measure_map(inputs, codes, "code_input")
        for name in self.maps:
            if not is_mappable(name, codes) or (name == "pca" and codes.shape[1] <= 2):
                continue  # the code itself is in the plane
            points = embed(name, codes, self.seed, self.perplexity)
            values |= self.measure_map(inputs, points, f"{name}_input") | self.measure_map(
                codes, points, f"{name}_code"
            )
        return values

    def measure_map(self, space: np.ndarray, points: np.ndarray, name: str) -> Values:
        """Continuity is trustworthiness with the two spaces exchanged."""
        k = self.neighbours
        values = {"trustworthiness": trustworthiness(space, points, k), "continuity": trustworthiness(points, space, k)}
        return {f"maps/{kind}_{name}": value for kind, value in values.items() if value is not None}

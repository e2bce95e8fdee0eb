"""Whether each unit of a code tells of one factor, and each factor of one unit."""

from __future__ import annotations

import logging
from typing import Annotated, ClassVar, Literal, final

import numpy as np
from annotated_types import Interval

from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.factors import Table, dci, factor_vae, irs, mcc, mig, modularity, sap
from aeexp.evaluation.run import Run, Values
from aeexp.ranges import Count, Seed, Several

log = logging.getLogger(__name__)

PER_VALUE = 10  # rows that each value of a factor needs on average: below that every score counts chance

HALVES = "half the rows fit what the other half tests: rows drawn twice would be in both"
REPEATS = "rows that are drawn twice raise it"


@final
class Disentanglement(Metric):
    """MIG, DCI, SAP, the FactorVAE score, MCC, IRS and modularity of the codes of one split, by its factors `s`, of all
    units and of active.

    All lie between 0 and 1, and 1 is reached where the code is the factors themselves. Codes without information
    score 0, or what chance leaves of it, but for two that are accuracies and then stay at chance:
    `dci_informativeness` and, with F factors, `factor_vae` at 1 / F. Codes that never vary have a `factor_vae` of 0.

    All scores but DCI's informativeness, and IRS, which weighs units by their variance, take no notice of a unit's
    scale: a mean code of tiny amplitude, which the posterior's noise hides from the decoder, can score 1. So `_active`
    scores those units alone whose mean code varies by more than a hundredth of the posterior's variance, as if the
    others did not exist: compare by these. With `codes=sampled` one drawn code a row is scored in place of the mean,
    with `codes=both` beside it (`_sampled`).

    Left out ({}) where the factors are no whole numbers, where none varies, or where rows are fewer than 10 for each
    value of a factor. Rows are the same for every model of the same data. Time grows with units times factors:
    some 2 s for 5,000 rows, 10 units and 5 factors.

    MIG: Chen et al. 2018; DCI: Eastwood and Williams 2018; SAP: Kumar et al. 2018; FactorVAE: Kim and Mnih 2018; MCC:
    Khemakhem et al. 2020; IRS: Suter et al. 2019; modularity: Ridgeway and Mozer 2018, which a single factor has not.
    UDR (Duan et al. 2020) needs several seeds and no factors: the report of runs with save_codes=true has it.

    Formula: MIG: mean over factors of (I(z_a; s) - I(z_b; s)) / H(s), a and b the two units with the most

    Look at: traversals (plot=traversals): one factor a unit; the error beside it, which it is bought with.
    """

    figures = ("traversals",)
    reads: ClassVar = ("codes", "factors")
    numbers: ClassVar = (
        Number("disentanglement/mig_active", "higher", "", headline=True, no_interval=REPEATS),
        Number("disentanglement/(dci_disentanglement|sap)_active", "higher", "", headline=True, no_interval=HALVES),
        Number("disentanglement/factor_vae_active", "higher", "share", headline=True, no_interval=REPEATS),
        Number("disentanglement/mig(_sampled)?", "higher", "", no_interval=REPEATS),
        Number("disentanglement/(mcc|irs|modularity)(_active|_sampled)?", "higher", "", no_interval=REPEATS),
        Number(
            "disentanglement/(dci_disentanglement|dci_completeness|sap)(_active|_sampled)?",
            "higher",
            "",
            no_interval=HALVES,
        ),
        Number("disentanglement/factor_vae(_sampled)?", "higher", "share", no_interval=REPEATS),
        Number("disentanglement/dci_informativeness(_active|_sampled)?", "higher", "share", no_interval=HALVES),
    )

    def __init__(
        self,
        rows: Annotated[int, Interval(ge=4)] = 5000,
        bins: Several = 20,
        trees: Count = 20,
        depth: Count = 8,
        votes: Count = 800,
        batch: Several = 64,
        seed: Seed = 0,
        codes: Literal["mean", "sampled", "both"] = "mean",
    ):
        self.rows = rows
        self.bins = bins
        self.trees = trees
        self.depth = depth
        self.votes = votes
        self.batch = batch
        self.seed = seed
        self.codes = codes

    def __call__(self, run: Run, split: str) -> Values:
        measured = self.select(run, split, self.codes == "sampled")
        if measured is None:
            return {}
        codes, factors = measured
        values = self.score(Table.of(codes, factors))
        active = values if run.visible().all() else self.score(Table.of(codes[:, run.visible()], factors))
        names = {**values, **{f"{name}_active": value for name, value in active.items()}}
        if self.codes == "both" and (beside := self.select(run, split, True)) is not None:
            names |= {f"{name}_sampled": value for name, value in self.score(Table.of(*beside)).items()}
        return {f"disentanglement/{name}": value for name, value in names.items()}

    def score(self, table: Table) -> Values:
        """Each by its name, between 0 and 1."""
        return {
            "mig": mig(table, self.bins),
            **dci(table, self.trees, self.depth, self.seed),
            "sap": sap(table),
            "factor_vae": factor_vae(table, self.votes, self.batch, self.seed),
            "mcc": mcc(table),
            "irs": irs(table),
            **({"modularity": modularity(table, self.bins)} if table.factors.shape[1] > 1 else {}),
        }

    def select(self, run: Run, split: str, drawn: bool = False) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean or drawn codes (N, D) and factors (N, F) of the rows that are measured; None where there is nothing to
        measure by."""
        s = run.rows(split).s
        if s is None:
            log.info("disentanglement: left out, since %s has no factors", run.data.name)
            return None
        s = s.cpu().numpy().reshape(len(s), -1)
        if not (np.isfinite(s).all() and (s == np.round(s)).all()):
            return None
        chosen = np.random.default_rng(self.seed).permutation(len(s))[: self.rows]
        factors = [np.unique(column, return_inverse=True)[1] for column in s[chosen].T]
        factors = [factor for factor in factors if factor.any()]  # one value only: nothing to tell
        if not factors:
            return None
        most = 1 + max(int(factor.max()) for factor in factors)
        if len(chosen) < PER_VALUE * most:
            log.info(
                "disentanglement: left out, since %d rows of %s (%s) are too few for a factor of %d values",
                len(chosen), run.data.name, split, most,
            )  # fmt: skip
            return None
        codes = run.draws(split) if drawn else run.codes(split)
        return codes[chosen], np.stack(factors, 1)

"""Illnesses of units: dead, never used, or at work where they should rest."""

from __future__ import annotations

import math

from aeexp.diagnoses.facts import Facts, override
from aeexp.diagnoses.learning import SPEAKING, lower_penalties, make_dearer
from aeexp.diagnoses.rules import Cure, Finding, require

DEAD = 0.25  # of the units
SOON = 20  # steps in which a unit is not yet dead
SETTLING = 1000  # steps in which the error comes down again after units have started anew
SILENT = 0.5  # of the units of a code that is drawn
UNUSED = 0.25  # of a codebook
RARE = 0.25  # mean activation up to which a target is one of sparse units
TWICE = 2.0  # a target of mean activation
DENSE = 1.25  # times the sparsity of normal units
SPARSE = ("TopK", "BatchTopK")
REVIVED = (*SPARSE, *SPEAKING)  # whose dead units may start anew as rows


def count_units(facts: Facts) -> tuple[str, float] | None:
    """Key and number of the units that say nothing."""
    key = "latent/dead_units" if facts.number("latent/kl") is None else "latent/collapsed_units"
    count = facts.number(key)
    return None if count is None else (key, count)


def find_dead(facts: Facts) -> Finding | None:
    """A share of the units, larger where the prior may put some to sleep; on validation rows as well."""
    counted, dim = count_units(facts), facts.option("latent.dim")
    if counted is None or not dim or facts.part("latent") == "VQ":
        return None
    key, count = counted
    most = (DEAD if key == "latent/dead_units" else SILENT) * dim
    val = facts.number(key, "val")
    if min(count, count if val is None else val) <= most:
        return None
    what = "never change" if key == "latent/dead_units" else "say less than 0.01 nats"
    return Finding({key: count}, f"{count:.0f} of {dim:.0f} units {what}; up to {most:.0f} are none the worse")


def cure_dead(facts: Facts, finding: Finding) -> list[Cure]:
    """By what put them to sleep."""
    [(key, count)] = finding.evidence.items()
    dim, k = int(facts.option("latent.dim") or 0), facts.option("latent.k")
    lighter = make_dearer(facts) if key == "latent/collapsed_units" else lower_penalties(facts)
    cures = revive(facts) if key == "latent/dead_units" else []
    if k and facts.part("latent") in SPARSE:
        cures.append(Cure((override("latent.k", min(dim, 2 * int(k))),), "more units of a row get a gradient"))
    cures = [*lighter, *cures] if facts.part("latent") in SPEAKING else [*cures, *lighter]
    left = max(1, dim - int(count))
    return [*cures, Cure((override("latent.dim", left),), "as many units as are in use")]


def revive(facts: Facts) -> list[Cure]:
    """What brings back dead units of a sparse latent, where its network lets it, in time for the steps there are:
    aux_k, and rows as new units."""
    latent, steps = facts.part("latent"), int(facts.number("steps", "curve") or 0)
    if latent not in REVIVED or steps < 2 * SOON:
        return []
    after, words = int(facts.option("latent.dead_after") or steps), ()
    if after > (most := max(SOON, steps // 20)):
        after, words = most, (override("latent.dead_after", most),)
    cures, weight = [], facts.option("regularizer.aux_k.weight")
    penalties = [name for name in facts.parts("regularizer") if name.isidentifier()]
    if weight is not None and words:
        cures.append(Cure(words, "dead units are found sooner, and learn by aux_k"))
    elif weight:
        cures.append(Cure((override("regularizer.aux_k.weight", 10 * weight),), "dead units learn more by aux_k"))
    elif latent in SPARSE and weight is None and facts.part("likelihood").startswith("Gaussian"):
        why = "dead units explain what the others leave, and get a gradient"
        cures.append(Cure((override("regularizer", [*penalties, "aux_k"]), *words), why))
    linear = facts.config.get("model.hidden_dims") == [] and facts.config.get("model.tied") is False
    often = max(after, 2 * steps // 5)  # twice: the error jumps each time
    if facts.option("latent.resample_every") is None and linear and often >= SETTLING:
        why = "dead units start anew as rows that are explained badly"
        cures.append(Cure((override("latent.resample_every", often), *words), why))
    return cures


def find_unused(facts: Facts) -> Finding | None:
    """Of a codebook."""
    found = require({"latent/codes_used": facts.number("latent/codes_used")})
    size, val = facts.option("latent.codes"), facts.number("latent/codes_used", "val") or 0.0
    if found is None or not size or max(found["latent/codes_used"], val) >= UNUSED * expect_used(facts, size):
        return None
    return Finding(found, f"{found['latent/codes_used']:.0f} of {size:.0f} vectors of the codebook are used")


def expect_used(facts: Facts, size: float) -> float:
    """Vectors that the places of all test rows meet where each takes any of them as often: few rows cannot meet all."""
    rows, dim, width = facts.number("test", "data", "rows"), facts.option("latent.dim"), facts.option("latent.width")
    return size * (1 - math.exp(-rows * dim / width / size)) if rows and dim and width else size


def cure_unused(facts: Facts, finding: Finding) -> list[Cure]:
    """Vectors that start anew, or fewer of them."""
    used, restart = int(finding.evidence["latent/codes_used"]), facts.option("latent.restart_after")
    often = max(1, int(restart) // 5) if restart else 20
    return [
        Cure((override("latent.restart_after", often),), "an unused vector soon starts anew at a code in use"),
        Cure((override("latent.codes", max(2, used)),), "as many vectors as are in use"),
    ]


def normal_sparsity(dim: float) -> float:
    """Hoyer's of independent normal units: that of a code that nobody made sparse."""
    root = math.sqrt(dim)
    return root * (1 - math.sqrt(2 / math.pi)) / (root - 1)


def find_not_sparse(facts: Facts) -> Finding | None:
    """Of a code that was to be sparse: by its penalty's own target, or by Hoyer's measure."""
    dim, rho = facts.option("latent.dim"), facts.option("regularizer.kl_sparsity.rho")
    if not dim or dim < 4:
        return None
    if rho is not None and rho <= RARE:
        key, least = "latent/mean_activation", TWICE * rho
        value = facts.number(key)
        if value is None or min(value, facts.number(key, "val") or value) <= least:
            return None
        return Finding({key: value}, f"units are at {value:.2g} on average, more than twice their target {rho:.2g}")
    if facts.option("regularizer.l1.weight") is None and facts.part("latent") not in SPARSE:
        return None
    key, normal = "latent/sparsity", normal_sparsity(dim)
    value = facts.number(key)
    if value is None or max(value, facts.number(key, "val") or value) >= DENSE * normal:
        return None
    return Finding({key: value}, f"sparsity {value:.2g} (Hoyer), normal units have {normal:.2g}")


def cure_not_sparse(facts: Facts, finding: Finding) -> list[Cure]:
    """More of what makes it sparse. What L1 makes small under no rectifier the decoder makes large again: a heavier one
    changes the scale, and no unit is at 0."""
    cures, l1 = [], facts.option("regularizer.l1.weight")
    if l1 is not None and facts.part("latent") == "Deterministic" and (dim := facts.option("latent.dim")):
        words = (override("latent", "relu"), override("latent.dim", int(dim)))
        cures.append(Cure(words, "units that can be at 0: a heavier penalty is undone by larger weights behind it"))
    for name in ("kl_sparsity", "l1"):
        weight = facts.option(f"regularizer.{name}.weight")
        if weight is not None:
            more = 10 * weight if weight else 1.0
            cures.append(Cure((override(f"regularizer.{name}.weight", float(more)),), "a penalty that counts"))
    if (k := facts.option("latent.k")) and facts.part("latent") in SPARSE:
        cures.append(Cure((override("latent.k", max(1, int(k) // 4)),), "fewer units of a row"))
    return cures

"""Illnesses of codes: units that say nothing, or all of them at once; what cannot be drawn or read; what leaks."""

from __future__ import annotations

import math

from aeexp.diagnoses.facts import ERROR, Facts, override
from aeexp.diagnoses.learning import choose_likelihood, lower_penalties, take_more_steps
from aeexp.diagnoses.rules import Cure, Finding, require

BIT = math.log(2)  # nats
DEAD = 0.25  # of the units
SILENT = 0.5  # of the units of a code that is drawn
UNUSED = 0.25  # of a codebook
RARE = 0.25  # mean activation up to which a target is one of sparse units
TWICE = 2.0  # a target of mean activation
DENSE = 1.25  # times the sparsity of normal units
FAR = 4.0
PROBES = ("probe/linear", "probe/knn", "probe/ridge_r2", "probe/knn_r2")
SPARSE = ("TopK", "BatchTopK")


def find_collapse(facts: Facts) -> Finding | None:
    """Less than one bit a row, on test and validation rows."""
    found = require({"latent/kl": facts.number("latent/kl")})
    if found is None or max(found["latent/kl"], facts.number("latent/kl", "val") or 0.0) >= BIT:
        return None
    return Finding(found, f"the code tells {found['latent/kl']:.2g} nats a row, less than one bit ({BIT:.2g})")


def cure_collapse(facts: Facts, finding: Finding) -> list[Cure]:
    """A code that costs less, or is worth more."""
    weight, dim = facts.option("regularizer.kl.weight"), facts.option("latent.dim")
    cures = []
    if weight:
        cures.append(Cure((override("regularizer.kl.weight", weight / 10),), "a code that costs less"))
        if facts.config.get("regularizer.kl.capacity") is None and dim:
            bits = max(4 / dim, 2 * (facts.option("regularizer.kl.free_bits") or 0.0))
            cures.append(Cure((override("regularizer.kl.free_bits", float(bits)),), "nats of each unit that are free"))
    cures = (
        [*choose_likelihood(facts), *cures] if weight is None or weight <= 1 else [*cures, *choose_likelihood(facts)]
    )
    if weight and facts.config.get("regularizer.kl.warmup") == "none":
        steps = int(facts.number("steps", "curve") or 0)
        words = (override("regularizer.kl.warmup", "linear"), override("regularizer.kl.warmup_steps", steps // 2))
        cures += [Cure(words, "the code is used before it is held back")] if steps > 1 else []
    if facts.config.get("model.teacher_forcing") is True:
        cures.append(Cure((override("model.teacher_forcing", False),), "a decoder that has to ask the code"))
    return cures


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
    cures = []
    if k and facts.part("latent") in SPARSE:
        cures.append(Cure((override("latent.k", min(dim, 2 * int(k))),), "more units of a row get a gradient"))
    if key == "latent/collapsed_units":
        cures += choose_likelihood(facts)
    cures += lower_penalties(facts)
    left = max(1, dim - int(count))
    return [*cures, Cure((override("latent.dim", left),), "as many units as are in use")]


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
    """More of what makes it sparse."""
    cures = []
    for name in ("kl_sparsity", "l1"):
        weight = facts.option(f"regularizer.{name}.weight")
        if weight is not None:
            more = 10 * weight if weight else 1.0
            cures.append(Cure((override(f"regularizer.{name}.weight", float(more)),), "a penalty that counts"))
    if (k := facts.option("latent.k")) and facts.part("latent") in SPARSE:
        cures.append(Cure((override("latent.k", max(1, int(k) // 4)),), "fewer units of a row"))
    return cures


def find_probe(facts: Facts) -> Finding | None:
    """Every probe that was measured reads less from the code than from raw input, by more than chance."""
    if facts.part("condition") not in ("", "Unconditional"):
        return None
    worst: tuple[float, str, dict[str, float], float] | None = None
    for key in PROBES:
        found = require({key: facts.number(key), f"baseline/raw/{key}": facts.number(key, "baseline", "raw")})
        if found is None:
            continue
        own, raw = found.values()
        off = math.hypot(facts.half(key), facts.half(key, "baseline", "raw"))
        if raw - own <= max(off, 1e-9):
            return None
        if worst is None or raw - own - off > worst[0]:
            worst = raw - own - off, key, found, off
    if worst is None:
        return None
    _, key, found, off = worst
    own, raw = found.values()
    return Finding(found, f"{key} {own:.3g}, of raw input {raw:.3g}: less by {raw - own:.2g}, chance ± {off:.2g}")


def cure_probe(facts: Facts, finding: Finding) -> list[Cure]:
    """A code that keeps more, or is told what to keep."""
    dim, features = facts.option("latent.dim"), facts.features
    cures = [*choose_likelihood(facts), *lower_penalties(facts)]
    if dim and features and dim < features and facts.part("latent") not in SPARSE:
        cures.append(Cure((override("latent.dim", int(min(features, 4 * dim))),), "a code that has room for more"))
    return [*cures, *take_more_steps(facts, 4)]


def find_unreachable(facts: Facts) -> Finding | None:
    """Of all samplers the best one is still far, beside what the decoder makes of real rows and what chance allows."""
    keys = [key for key in facts.keys() if key.startswith("generation/frechet_")]
    values = {key: value for key in keys if (value := facts.number(key)) is not None}
    heads = ("prior", "gaussian", "mixture", "kernel")
    drawn = {key: value for key, value in values.items() if key.split("_")[1] in heads}
    own = [(key, value) for key, value in values.items() if key.split("_")[1] == "reconstruction"]
    floors = [value for key, value in values.items() if key.split("_")[1] == "floor"]
    if not drawn or not own or not floors:
        return None
    key = min(drawn, key=drawn.__getitem__)
    near = own[0][1] + floors[0]
    if drawn[key] <= FAR * near:
        return None
    text = (
        f"the nearest sampler ({key.split('_')[1]}) is {drawn[key]:.3g} from real rows, reconstructions {own[0][1]:.3g}"
    )
    return Finding({key: drawn[key], own[0][0]: own[0][1]}, f"{text}, chance {floors[0]:.2g}")


def cure_unreachable(facts: Facts, finding: Finding) -> list[Cure]:
    """Hold the codes where a sampler looks."""
    cures = []
    for name in ("kl", "mmd", "adversary"):
        weight = facts.option(f"regularizer.{name}.weight")
        if weight and facts.config.get(f"regularizer.{name}.against", "prior") == "prior":
            cures.append(Cure((override(f"regularizer.{name}.weight", 10 * weight),), "codes held nearer to the prior"))
    if not cures and facts.part("latent") == "Deterministic" and not facts.parts("regularizer"):
        cures.append(Cure((override("regularizer", ["mmd"]),), "all codes together held against the prior"))
    return cures


def find_leakage(facts: Facts) -> Finding | None:
    """The attribute is read better from the code than from raw input, by more than chance in any of the probes."""
    head = "fairness/leakage_over_raw_least_"
    more = {key: value for key in facts.keys() if key.startswith(head) and (value := facts.number(key)) and value > 0}
    if not more:
        return None
    key = max(more, key=more.__getitem__)
    probe = key.removeprefix(head)
    by = f"fairness/leakage_over_raw_{probe}"
    own = require({by: facts.number(by), key: more[key]})
    if own is None:
        return None
    text = f"the code tells more of the attribute than raw input does: balanced accuracy of {probe} higher by"
    return Finding(own, f"{text} {own[by]:.3f}, {own[key]:.3f} at least")


def cure_leakage(facts: Facts, finding: Finding) -> list[Cure]:
    """More of what takes it out."""
    cures = []
    if facts.part("condition") == "Attribute" and facts.config.get("condition.encoder") is True:
        cures.append(Cure((override("condition.encoder", False),), "an encoder that is told writes it into the code"))
    for name in ("fair_mmd", "adversary"):
        weight = facts.option(f"regularizer.{name}.weight")
        if weight and facts.config.get(f"regularizer.{name}.against") == "attribute":
            cures.append(Cure((override(f"regularizer.{name}.weight", 10 * weight),), "more of what takes it out"))
    if not facts.config.get("regularizer.fair_mmd._target_"):
        penalties = [*(name for name in facts.parts("regularizer") if name.isidentifier()), "fair_mmd"]
        cures.append(Cure((override("regularizer", penalties),), "codes that are alike for each of its values"))
    return cures


def find_empty_baseline(facts: Facts) -> Finding | None:
    """The code is as wide as the data, and nothing forbids it to copy: neither the error nor PCA says anything."""
    dim, features = facts.option("latent.dim"), facts.features
    free = facts.part("latent") == "Deterministic" and facts.part("task") == "Reconstruct"
    if not dim or features is None or dim < features or not free or facts.parts("noise") or facts.parts("regularizer"):
        return None
    if facts.number(ERROR) is None or facts.number(ERROR, "baseline", "pca") is not None:
        return None
    text = f"a code of {dim:.0f} numbers for rows of {features} may copy them, and PCA of this width makes no error"
    return Finding({ERROR: facts.number(ERROR) or 0.0}, text)


def cure_empty_baseline(facts: Facts, finding: Finding) -> list[Cure]:
    """A narrower code, or one that cannot copy."""
    cures = [Cure((override("latent.dim", max(1, (facts.features or 4) // 4)),), "a code that has to choose")]
    if facts.part("trainer") == "Joint":
        cures.append(Cure((override("noise", ["masking"]),), "an input that is not worth copying"))
    return cures

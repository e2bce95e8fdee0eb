"""Illnesses of codes as a whole: that say nothing, cannot be drawn or read, leak, or copy."""

from __future__ import annotations

import math

from aeexp.diagnoses.facts import ERROR, Facts, override
from aeexp.diagnoses.learning import choose_likelihood, make_dearer, take_more_steps
from aeexp.diagnoses.rules import Cure, Finding, require
from aeexp.diagnoses.units import SPARSE

BIT = math.log(2)  # nats
FAR = 4.0
PROBES = ("probe/linear", "probe/knn", "probe/ridge_r2", "probe/knn_r2")


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
    if str(facts.config.get("model._target_", "")).endswith(".memoriser"):
        words = ("model=mlp", "trainer=joint", override("latent.dim", 16))
        return [Cure(words, "a row's number says nothing of it: an encoder that has to find what rows share")]
    dim, features = facts.option("latent.dim"), facts.features
    wider = []
    if dim and features and dim < features and facts.part("latent") not in SPARSE:
        wider = [Cure((override("latent.dim", int(min(features, 4 * dim))),), "a code that has room for more")]
    key = next(iter(finding.evidence))
    pca, raw = facts.number(key, "baseline", "pca"), finding.evidence[f"baseline/raw/{key}"]
    narrow = pca is not None and raw - pca > math.hypot(
        facts.half(key, "baseline", "pca"), facts.half(key, "baseline", "raw")
    )
    others = make_dearer(facts)
    return [*(wider + others if narrow else others + wider), *take_more_steps(facts, 4)]


def find_unreachable(facts: Facts) -> Finding | None:
    """Of all samplers the best one is still far, beside what the decoder makes of real rows and what chance allows."""
    keys = [key for key in facts.keys() if key.startswith("generation/frechet_")]
    values = {key: value for key in keys if (value := facts.number(key)) is not None}
    apart = ("reconstruction", "floor")  # no draws
    drawn = {key: value for key, value in values.items() if key.split("_")[1] not in apart}
    own = [(key, value) for key, value in values.items() if key.split("_")[1] == "reconstruction"]
    floors = [value for key, value in values.items() if key.split("_")[1] == "floor"]
    if not drawn or not own or not floors:
        return None
    key = min(drawn, key=drawn.__getitem__)
    near = own[0][1] + floors[0]
    if drawn[key] <= FAR * near:
        return None
    who = key.partition("_")[2].rpartition("_n")[0]
    text = f"the nearest sampler ({who}) is {drawn[key]:.3g} from real rows, reconstructions {own[0][1]:.3g}"
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

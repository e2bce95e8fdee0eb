"""Illnesses of training: what was not learned, learned by heart, or not yet."""

from __future__ import annotations

import math

from aeexp.diagnoses.facts import ERROR, Facts, override, shorten
from aeexp.diagnoses.rules import Cure, Finding, require

HARDLY = 0.9  # of the mean's error
FEW = 1000  # steps that most networks take to leave the mean behind
ABLE = 2.0  # test error over that of the training rows
COPIES = 0.05  # of the mean's error: what PCA leaves of rows that it all but copies
NOTED = 0.01  # of the mean's error: a gap below it is none that anyone sees
STILL = 0.03  # of the whole fall, in the last quarter
SWINGS = 1.0  # of the whole fall
LEVELS = ("p", "std", "size")  # of a noise
SPEAKING = ("Relu", "JumpRelu", "Gated")  # latents beside which PCA keeps as many components as speak in a row
COUNTS = ("Poisson", "NegativeBinomial")  # likelihoods under which a large value is expected to be far off


def steps_key(facts: Facts) -> str:
    """Path of the number of steps, "" where there is none."""
    if facts.part("trainer") == "Layerwise":
        return "trainer.finetune.steps" if "trainer.finetune.batch_size" in facts.config else ""
    return "trainer.steps" if facts.part("trainer") == "Joint" else ""


def find_last_step(facts: Facts) -> float | None:
    """Number of the last step, with those of stages before it."""
    steps = facts.number("steps", "curve")
    return None if steps is None else steps + (facts.number("earlier_steps", "curve") or 0.0)


def take_more_steps(facts: Facts, factor: int) -> list[Cure]:
    """So many times as many, FEW at least where the factor is more than 2."""
    key, steps = steps_key(facts), facts.number("steps", "curve")
    if not key or not steps:
        return []
    more = max(FEW if factor > 2 else 0, factor * int(steps))
    return [Cure((override(key, more),), f"{factor} times as many steps, or {FEW}" if factor > 2 else "twice as many")]


def change_rate(facts: Facts, factor: float, why: str) -> list[Cure]:
    """Of the optimizer."""
    rate = facts.option("optimizer.lr")
    return [Cure((override("optimizer.lr", float(rate * factor)),), why)] if rate and steps_key(facts) else []


def is_grey(facts: Facts) -> bool:
    """Whether a Bernoulli likelihood is of grey values, where it is none: metrics.json calls it a cross entropy."""
    return any(key.startswith("reconstruction/cross_entropy") for key in facts.keys())


def choose_likelihood(facts: Facts) -> list[Cure]:
    """One whose width is learned, for a code that is drawn and pays for its nats."""
    drawn = facts.number("latent/kl") is not None
    wide = facts.part("likelihood") == "Gaussian" and facts.config.get("likelihood.estimate") == "fixed"
    if is_grey(facts) and not drawn:
        return [Cure(("likelihood=gaussian",), "squared error: Bernoulli is no likelihood of grey values")]
    if drawn and (is_grey(facts) or wide):
        why = "a likelihood whose variance is the error itself: a code that tells more then pays for itself"
        return [Cure(("likelihood=gaussian_optimal",), why)]
    return []


def lower_penalties(facts: Facts, least: float = 0.05) -> list[Cure]:
    """Each penalty that is so much of the reconstruction's loss at a tenth of its weight, the largest first."""
    whole = abs(facts.number("loss/reconstruction") or 0.0)
    sizes = {name: abs(facts.number(f"loss/{name}") or 0.0) for name in facts.parts("regularizer")}
    cures = []
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        weight = facts.option(f"regularizer.{name}.weight")
        if weight and size > 0 and size >= least * whole:
            key = f"regularizer.{name}.weight"
            cures.append(Cure((override(key, weight / 10),), f"its penalty is {size:.3g} of a loss that begins with "
                              f"{whole:.3g} of reconstruction"))  # fmt: skip
    return cures


def make_dearer(facts: Facts) -> list[Cure]:
    """What makes an error dearer beside the rest: another likelihood, and penalties at a tenth; these first where the
    KL costs more than in the ELBO, whatever the likelihood."""
    weight = facts.option("regularizer.kl.weight")
    if weight is not None and weight > 1:
        return [*lower_penalties(facts), *choose_likelihood(facts)]
    return [*choose_likelihood(facts), *lower_penalties(facts)]


def lower_noise(facts: Facts) -> list[Cure]:
    """A quarter of each noise."""
    levels = ((f"noise.{name}.{level}", facts.option(f"noise.{name}.{level}"))
              for name in facts.parts("noise") for level in LEVELS)  # fmt: skip
    words = tuple(override(key, value / 4) for key, value in levels if value)
    return [Cure(words, "less is taken from the input")] if words else []


def narrow_network(facts: Facts, factor: int) -> list[Cure]:
    """Layers of so many times fewer units, or channels."""
    for key in ("model.hidden_dims", "model.channels"):
        sizes = facts.config.get(key)
        if isinstance(sizes, list) and sizes and all(type(size) is int and size > 1 for size in sizes):
            return [Cure((override(key, [max(2, size // factor) for size in sizes]),), "a network that holds less")]
    return []


def find_nothing_learned(facts: Facts) -> Finding | None:
    """The test error, and that of the validation rows, against that of the mean."""
    found = require({ERROR: facts.number(ERROR), f"baseline/mean/{ERROR}": facts.number(ERROR, "baseline", "mean")})
    if found is None or facts.option("model.masked"):  # trained on some patches, it is measured on all
        return None
    own, mean = found.values()
    val = facts.number(ERROR, "val")
    if min(own, own if val is None else val) <= HARDLY * mean:
        return None
    return Finding(found, f"test error {own:.4g}, the mean of the training rows {mean:.4g}")


def cure_nothing_learned(facts: Facts, finding: Finding) -> list[Cure]:
    """By what else is known of the run."""
    cures = []
    steps, mean = facts.number("steps", "curve"), finding.evidence[f"baseline/mean/{ERROR}"]
    pca, width = facts.number(ERROR, "baseline", "pca"), facts.option("latent.dim")
    if steps is not None and (steps < FEW or is_improving(facts)):
        cures += take_more_steps(facts, 4)
    elif pca is not None and pca > HARDLY * mean and width:
        cures.append(Cure((override("latent.dim", 4 * int(width)),), f"PCA does no better ({pca:.4g}): a wider code"))
    cures += change_rate(facts, 0.1, "a rate at which nothing is learned may be too high")
    return [*cures, *change_rate(facts, 10.0, "or too low"), *lower_penalties(facts)]


def find_worse_than_pca(facts: Facts) -> Finding | None:
    """Above PCA's error by more than the two intervals over the same rows allow, each taken as if the other were of
    other rows, which is more than it needs. Not where PCA is so wide that it copies, and noise or a penalty forbids
    that; nor of a factorisation, which is PCA with one wish more."""
    found = require({ERROR: facts.number(ERROR), f"baseline/pca/{ERROR}": facts.number(ERROR, "baseline", "pca")})
    if found is None or facts.part("trainer") == "ClosedForm" or facts.option("model.masked"):
        return None
    if facts.part("likelihood") in COUNTS:
        return None
    own, pca = found.values()
    off = math.hypot(facts.half(ERROR), facts.half(ERROR, "baseline", "pca"))
    if own - pca <= max(off, 0.01 * pca):
        return None
    mean = facts.number(ERROR, "baseline", "mean")
    if mean is not None and pca < COPIES * mean and (facts.parts("noise") or facts.parts("regularizer")):
        return None
    name = facts.name("pca", "PCA")
    return Finding(found, f"test error {own:.4g}, {name} {pca:.4g}: more by {own - pca:.2g}, chance ± {off:.2g}")


def cure_worse_than_pca(facts: Facts, finding: Finding) -> list[Cure]:
    """What holds the error up: likelihood, penalty, noise, or that it was not trained to the end. A lighter penalty on
    units that may be silent is none: more of them speak, and PCA keeps as many more components. Nor are more steps one
    where the best state lies in the first half of them."""
    cures = choose_likelihood(facts) if facts.part("latent") in SPEAKING else make_dearer(facts)
    entropy = facts.option("latent.entropy")  # of LFQ
    if entropy and abs(facts.number("loss/entropy") or 0.0) > abs(facts.number("loss/reconstruction") or 0.0):
        cures.append(Cure((override("latent.entropy", entropy / 10),), "its entropy is most of the loss"))
    best, last = facts.top("best_step"), find_last_step(facts)
    if best is not None and last is not None and best < last / 2:
        return [*cures, *lower_noise(facts)]
    cures += [*take_more_steps(facts, 4), *lower_noise(facts)]
    return [*cures, *change_rate(facts, 3.0, "a higher rate gets further in as many steps")]


def find_memorised(facts: Facts) -> Finding | None:
    """More than half of the test error is the gap to the training rows, and the gap is one that can be seen."""
    key = "generalisation/ratio_mse"
    found = require({
        key: facts.number(key), ERROR: facts.number(ERROR), f"train/{ERROR}": facts.number(ERROR, "train"),
    })  # fmt: skip
    low, mean = facts.low(key), facts.number(ERROR, "baseline", "mean")
    if found is None or low is None or low <= ABLE:
        return None
    ratio, own, train = found.values()
    if mean is not None and own - train <= NOTED * mean:
        return None
    return Finding(found, f"test error {own:.4g}, {ratio:.3g} times that of the training rows {train:.4g}")


def cure_memorised(facts: Facts, finding: Finding) -> list[Cure]:
    """Less to learn by heart with, or rows that are never the same."""
    cures = narrow_network(facts, 8)
    if not facts.parts("noise") and facts.part("task") == "Reconstruct" and facts.part("trainer") == "Joint":
        cures.append(Cure((override("noise", ["masking"]),), "rows that are never the same twice"))
    decay = facts.option("optimizer.weight_decay")
    if decay is not None and facts.part("optimizer").startswith("Adam"):
        cures.append(Cure((override("optimizer.weight_decay", max(1e-3, 10 * decay)),), "weights that stay small"))
    return cures


def is_improving(facts: Facts) -> bool:
    """Whether the best step was the last of several validations, and the last quarter still told."""
    best, share = facts.top("best_step"), facts.number("last_quarter", "curve")
    if best is None or share is None:
        return False
    return best == find_last_step(facts) and share > STILL


def find_stopped(facts: Facts) -> Finding | None:
    """The best state is the last one, as it always is where none is chosen (`trainer.monitor=null`), and the last
    quarter of the steps brought more than noise."""
    if not steps_key(facts) or not is_improving(facts):
        return None
    found = require({"best_step": facts.top("best_step"), "curve/last_quarter": facts.number("last_quarter", "curve")})
    if found is None:
        return None
    best, share = found.values()
    chosen = facts.config.get(f"{steps_key(facts).rpartition('.')[0]}.monitor", "loss") is not None
    told = "the best step was the last one" if chosen else "the state of the last step is kept"
    return Finding(found, f"{told}, {best:.0f}: {share:.1%} of the whole fall came in the last quarter")


def find_rate(facts: Facts) -> Finding | None:
    """The training loss went up and down by more than it fell; or the network died of a step that was too large: where
    all its rectifiers are at 0, no unit changes with the row any more."""
    rate, dim, dead = facts.option("optimizer.lr"), facts.option("latent.dim"), facts.number("latent/dead_units")
    swing = facts.number("swing", "curve")
    if not rate or not steps_key(facts):
        return None
    if dim and dead is not None and dead >= dim and (facts.number("latent/dead_units", "val") or dim) >= dim:
        return Finding({"latent/dead_units": dead}, f"at {shorten(rate):g} the network died: none of {dim:.0f} units "
                       "changes with the row")  # fmt: skip
    if swing is None or swing <= SWINGS:
        return None
    text = f"at {shorten(rate):g} the training loss swung up and down by {swing:.3g} times its fall"
    return Finding({"curve/swing": swing}, text)


def cure_stopped(facts: Facts, finding: Finding) -> list[Cure]:
    """More of the same."""
    return take_more_steps(facts, 2)


def cure_rate(facts: Facts, finding: Finding) -> list[Cure]:
    """Less of it, all the way or towards the end."""
    return change_rate(facts, 0.1, "a tenth of the rate")

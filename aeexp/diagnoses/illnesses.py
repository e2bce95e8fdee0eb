"""The rules, the gravest illness first, and what they find in a run."""

from __future__ import annotations

from aeexp.diagnoses import codes, learning, units
from aeexp.diagnoses.facts import ERROR, Facts
from aeexp.diagnoses.rules import Diagnosis, Rule

MOST = 3  # lines at the end of a run
WARNING = "warning"  # of a metric, by its `warn`

RULES = (
    Rule(
        "rate too high",
        ("curve/swing", "latent/dead_units"),
        f"swings above {learning.SWINGS:g} times the fall, or all units dead",
        "a loss that goes up and down by more than it falls leaps over its goal, and what is dead learns no more",
        learning.find_rate,
        learning.cure_rate,
    ),
    Rule(
        "posterior collapse",
        ("latent/kl",),
        f"below log 2 = {codes.BIT:.2f} nats, on test and validation rows",
        "less than one bit cannot even tell two kinds of rows apart",
        codes.find_collapse,
        codes.cure_collapse,
        follows=("rate too high",),
    ),
    Rule(
        "next to nothing was learned",
        (ERROR, f"baseline/mean/{ERROR}"),
        f"above {learning.HARDLY:g} of the mean's error, on test and validation rows",
        "the mean of the training rows needs no code: a code that tells something leaves it well behind",
        learning.find_nothing_learned,
        learning.cure_nothing_learned,
        follows=("posterior collapse", "rate too high", "memorised"),
    ),
    Rule(
        "memorised",
        ("generalisation/ratio_mse", ERROR, f"train/{ERROR}"),
        f"the interval's lower end above {learning.ABLE:g}, and a gap above {learning.NOTED:g} of the mean's error",
        "then more than half of the test error is what training rows do not have",
        learning.find_memorised,
        learning.cure_memorised,
    ),
    Rule(
        "attribute leaks",
        ("fairness/leakage_over_raw_least_*", "fairness/leakage_over_raw_*"),
        "the interval's lower end above 0 (95 % for all probes together)",
        "a code that was made to hide it makes it easier to read than the rows themselves",
        codes.find_leakage,
        codes.cure_leakage,
    ),
    Rule(
        "worse than PCA",
        (ERROR, f"baseline/pca/{ERROR}"),
        "above PCA's error by more than both 95 % intervals, added in quadrature; under noise or a penalty only where "
        f"PCA leaves {learning.COPIES:.0%} of the mean's error at least; never under trainer=closed_form, "
        "nor a likelihood of counts",
        "the best linear code that may say as much costs no training; the rows are the same, so that chance is less; "
        "what noise or a penalty forbids to copy is not held against a copy, nor a factorisation against the best one; "
        "of counts PCA copies the largest with their noise, and has less error than the law that they were drawn from",
        learning.find_worse_than_pca,
        learning.cure_worse_than_pca,
        follows=("posterior collapse", "rate too high", "next to nothing was learned"),
    ),
    Rule(
        "stopped before it converged",
        ("best_step", "curve/last_quarter", "curve/steps", "curve/earlier_steps"),
        f"the best step the last one, and above {learning.STILL:.0%} of the whole fall in the last quarter of steps",
        "a fall like the logarithm of the steps then gains 7 % more by twice as many; a good default still gains 5 %",
        learning.find_stopped,
        learning.cure_stopped,
    ),
    Rule(
        "dead units",
        ("latent/dead_units", "latent/collapsed_units"),
        f"above {units.DEAD:.0%} of the units, of a code that is drawn {units.SILENT:.0%}, on test and validation rows",
        "a unit that never changes is width paid for; but a prior puts those to sleep that are not worth their nats",
        units.find_dead,
        units.cure_dead,
        follows=("posterior collapse", "rate too high", "next to nothing was learned"),
    ),
    Rule(
        "unused codebook",
        ("latent/codes_used",),
        f"below {units.UNUSED:.0%} of what as many places would meet by chance, on test and validation rows",
        "two bits of each place are then lost for certain",
        units.find_unused,
        units.cure_unused,
    ),
    Rule(
        "not sparse",
        ("latent/mean_activation", "latent/sparsity"),
        f"mean activation above {units.TWICE:g} times its target; without a target Hoyer's sparsity below "
        f"{units.DENSE:g} times that of independent normal units",
        "a code that nobody made sparse has as much",
        units.find_not_sparse,
        units.cure_not_sparse,
    ),
    Rule(
        "no sampler reaches the codes",
        ("generation/frechet_*",),
        f"the best sampler above {codes.FAR:g} times reconstructions and chance together (metric=frechet)",
        "what is drawn is then far from the data not for the decoder's sake, but for that of the codes",
        codes.find_unreachable,
        codes.cure_unreachable,
        follows=("next to nothing was learned", "posterior collapse"),
    ),
    Rule(
        "probes read less than of raw input",
        tuple(name for key in codes.PROBES for name in (key, f"baseline/raw/{key}")),
        "every probe below that of raw input by more than both 95 % intervals, added in quadrature",
        "the code has lost what the label hangs on; one that keeps it is easier to read, or as easy",
        codes.find_probe,
        codes.cure_probe,
        follows=("posterior collapse", "next to nothing was learned", "rate too high"),
    ),
    Rule(
        "empty baseline",
        (ERROR,),
        "a deterministic code at least as wide as a row, without noise and without penalty",
        "the identity is such a code: its error of 0 says nothing, and neither does PCA's",
        codes.find_empty_baseline,
        codes.cure_empty_baseline,
    ),
)


def diagnose(facts: Facts) -> list[Diagnosis]:
    """All illnesses of a run, the gravest first; one that another explains says which (`follows`)."""
    found = [(rule, finding) for rule in RULES if (finding := rule.find(facts)) is not None]
    names = {rule.name for rule, _ in found}
    warned = [Diagnosis(WARNING, text, {}, "", "a metric says so by its own rule", ()) for text in facts.warnings]
    return warned + [
        Diagnosis(
            rule.name, finding.sentence, finding.evidence, rule.threshold, rule.reason,
            tuple(rule.cures(facts, finding)), next((name for name in rule.follows if name in names), ""),
        )
        for rule, finding in found
    ]  # fmt: skip


def choose_told(diagnoses: list[Diagnosis], most: int = MOST) -> list[Diagnosis]:
    """What is told in a few lines: the gravest of those that no other explains."""
    return [each for each in diagnoses if not each.follows][:most]

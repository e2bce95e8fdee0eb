"""What a run suffers from, by its own numbers: rules with evidence and cures. Without torch."""

from aeexp.diagnoses.curve import summarise_curve
from aeexp.diagnoses.facts import Facts
from aeexp.diagnoses.illnesses import MOST, RULES, choose_told, diagnose
from aeexp.diagnoses.rules import Cure, Diagnosis, Rule

__all__ = ["MOST", "RULES", "Cure", "Diagnosis", "Facts", "Rule", "choose_told", "diagnose", "summarise_curve"]

"""A project of a user's own: a folder with conf/ and a module of parts."""

from __future__ import annotations

import textwrap
from pathlib import Path

PENALTY = """
from aeexp.contracts import Regularizer


class Hoyer(Regularizer):
    '''Hoyer's ratio of the norms of a code (Hoyer 2004).

    Formula: |z|_1 / |z|_2
    '''

    def __init__(self, weight: float = 0.1):
        super().__init__(weight)

    def forward(self, out, model):
        z = out.code.mean
        return {body}
"""
HOYER = "z.abs().sum(1) / (z.square().sum(1) + 1e-6).sqrt()"


def write_penalty(folder: Path, module: str = "hoyer", body: str = HOYER) -> Path:
    """`regularizer=hoyer` of `module.Hoyer`; returns the folder of options."""
    (folder / f"{module}.py").write_text(PENALTY.format(body=body), encoding="utf-8")
    return write_option(folder, "regularizer/hoyer", f"hoyer:\n  _target_: {module}.Hoyer\n  weight: 0.1 # of it\n")


def write_option(folder: Path, name: str, text: str) -> Path:
    """conf/NAME.yaml; returns conf/."""
    path = folder / "conf" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder / "conf"

"""What a figure calls a run and its classes."""

from __future__ import annotations

from aeexp.evaluation.run import Run


def heading(run: Run, content: str) -> str:
    """The title of a figure: the data, what the figure holds, and the width of the code."""
    units = run.model.latent.dim
    return f"{run.data.name}: {content} (code of {units} unit{'s' if units > 1 else ''})"


def class_name(run: Run, label: int) -> str:
    """The name of a class, short enough for a legend."""
    name = run.data.classes[label] if 0 <= label < len(run.data.classes) else str(label)
    return name if len(name) <= 20 else f"{name[:12]}…{name[-7:]}"

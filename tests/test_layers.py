"""Imports point down: each file knows only what lies below it, and few know hydra or the tracker's libraries."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# From the ground up; what is not named is a command, or a part of one, and lies above all of them.
LAYERS = [
    ["errors", "files", "randomness"],
    ["types", "needs", "hashing", "itq"],
    ["schedulers", "gif"],
    ["distributions", "distributions_bounded", "critics", "holes"],
    [
        "nn/*",
        "latents",
        "latents_bounded",
        "latents_thresholded",
        "quantised",
        "likelihoods",
        "categorical",
        "noises",
        "tasks",
        "conditions",
        "regularizers",
        "decoder_penalties",
        "divergences",
        "discrepancies",
        "adversaries",
        "classifiers",
        "priors",
        "data/*",
    ],
    ["model"],
    ["bounds"],
    ["objectives", "pca", "kernel_pca", "semi_supervised"],
    ["evaluate", "training/*"],
    ["samplers", "feature_net", "fills", "outliers", "probes", "units", "maps", "paths", "tours", "spectra"],
    ["robustness", "measures"],
    ["tracking", "metrics/*", "plots/*"],
]
WITHIN = {"nn/*", "data/*", "training/*"}  # folders whose files may know each other
# what the others of their folder may know
SHARED = {
    "plots/canvas", "plots/ranking", "plots/dots",
    "metrics/factors", "metrics/forest", "metrics/reconstruction", "metrics/probe",
}  # fmt: skip
FRAMEWORKS = {"hydra", "omegaconf"}
TRACKERS = {"tensorboard", "torch.utils.tensorboard", "tqdm"}


def files() -> dict[str, Path]:
    """`nn/mlp` -> its path."""
    package = ROOT / "aeexp"
    return {path.relative_to(package).with_suffix("").as_posix(): path for path in package.rglob("*.py")}


def drawer(name: str) -> str:
    return f"{name.split('/')[0]}/*" if "/" in name else name


def layer(name: str) -> int:
    places = [i for i, drawers in enumerate(LAYERS) if drawer(name) in drawers]
    return places[0] if places else len(LAYERS)


def imports(path: Path) -> Iterator[str]:
    """Dotted names, wherever in the file: `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(target: str, known: dict[str, Path]) -> str | None:
    """The file that `aeexp.nn.mlp.Encoder` lies in: `nn/mlp`."""
    parts = target.split(".")[1:]
    return next((n for n in ("/".join(parts[:i]) for i in range(len(parts), 0, -1)) if n in known), None)


def allowed(source: str, target: str) -> bool:
    if layer(source) == len(LAYERS) or layer(target) < layer(source):
        return True
    same_folder = drawer(source) == drawer(target)
    return same_folder and (drawer(source) in WITHIN or target in SHARED)


def within(target: str, libraries: set[str]) -> bool:
    return any(target == library or target.startswith(f"{library}.") for library in libraries)


def test_imports_point_down_and_drawers_do_not_know_each_other():
    known, seen = files(), []
    for source, path in known.items():
        for target in imports(path):
            if target.split(".")[0] == "aeexp" and (found := own(target, known)) is not None:
                seen.append((source, found))
    wrong = [f"{source} imports {target}" for source, target in seen if not allowed(source, target)]
    assert not wrong
    # the test sees what it speaks of
    assert len(known) > 20 and len(seen) > 60
    assert ("pca", "nn/mlp") in seen and ("plots/curves", "plots/canvas") in seen and ("training/loop", "types") in seen
    named = {name for drawers in LAYERS for name in drawers}
    assert named == {drawer(name) for name in known if layer(name) < len(LAYERS)}


def test_only_commands_know_hydra_and_only_the_tracker_its_libraries():
    for name, path in files().items():
        for target in imports(path):
            assert layer(name) == len(LAYERS) or not within(target, FRAMEWORKS), f"{name} imports {target}"
            assert name == "tracking" or not within(target, TRACKERS), f"{name} imports {target}"
    assert any(within(target, TRACKERS) for target in imports(ROOT / "aeexp" / "tracking.py"))


def test_the_rules_would_see_a_breach():
    assert not allowed("latents", "noises") and not allowed("model", "pca") and not allowed("nn/mlp", "data/splits")
    assert not allowed("plots/curves", "plots/scatter") and not allowed("metrics/probe", "plots/canvas")
    assert allowed("metrics/probe", "evaluate") and allowed("train", "build") and allowed("nn/conv", "nn/activations")
    assert within("torch.utils.tensorboard.SummaryWriter", TRACKERS) and not within("torch.utils.data", TRACKERS)

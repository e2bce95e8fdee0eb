"""Imports point down, rooms are those that stand here, and no circle exists; what is not named is an error."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# From the ground up. A name is a file or a folder of the package; every file lies in exactly one.
LAYERS = [
    ["__init__", "errors", "files", "randomness", "ranges", "signals", "timing"],
    ["types", "tensors", "holes", "schedulers", "reference", "diagnoses"],
    ["contracts"],
    ["noises", "conditions", "tasks", "latents", "likelihoods", "datasets/core"],
    ["datasets/formats"],
    ["datasets/sets"],
    ["datasets/__init__"],
    ["models"],
    ["regularizers", "objectives"],
    ["trainers"],
    ["evaluation"],
    ["drawing"],
    ["metrics", "plots"],
    ["runs"],
    ["reports", "encoding", "sklearn"],
    ["sweeps", "testing", "explorer", "reproductions", "lectures", "exercises"],
    ["api"],
    ["cli"],
    ["__main__"],
]
# Rooms of parts that stand beside each other: these files alone may be known to the others of the room.
DRAWERS = {
    "tasks": set(),
    "latents": {"priors", "posteriors", "bounded_posteriors", "silence", "books", "spread", "flows", "families"},
    "likelihoods": set(),
    "datasets/sets": {"vision", "bundled", "generated"},
    "regularizers": {"needs"},
    "objectives": {"bounds", "additive"},
    "metrics": {"reconstruction"},
    "plots": set(),
    "cli": {"command", "own"},
}
PACKAGE_MAY = {"__init__": {"runs", "api", "timing"}}  # `aeexp.load` and `aeexp.fit` come when they are asked for
COMMANDS = (  # these know hydra
    "runs", "reports", "encoding", "sklearn", "sweeps", "testing", "explorer", "reproductions",
    "lectures", "exercises", "api", "cli", "__main__",
)  # fmt: skip
TRACKER = "runs/tracking"
FRAMEWORKS = {"hydra", "omegaconf"}
TRACKERS = {"tensorboard", "torch.utils.tensorboard", "tqdm"}


def files() -> dict[str, Path]:
    """`models/nn/mlp` -> its path."""
    package = ROOT / "aeexp"
    return {path.relative_to(package).with_suffix("").as_posix(): path for path in package.rglob("*.py")}


def rooms(name: str) -> list[str]:
    """The names of LAYERS that a file lies in; the longest are meant where folders stand in folders."""
    named = [room for layer in LAYERS for room in layer if name == room or name.startswith(f"{room}/")]
    return [room for room in named if len(room) == max(map(len, named))]


def layer(name: str) -> int:
    (room,) = rooms(name)
    return next(i for i, each in enumerate(LAYERS) if room in each)


def imports(path: Path) -> Iterator[str]:
    """Dotted names, wherever in the file: `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(target: str, known: dict[str, Path]) -> str | None:
    """The file that `aeexp.models.nn.mlp.Encoder` lies in: `models/nn/mlp`; of a package its `__init__`."""
    parts = target.split(".")
    if parts[0] != "aeexp":
        return None
    paths = ("/".join(parts[1:i]) for i in range(len(parts), 0, -1))
    return next(n for path in paths for n in (path, f"{path}/__init__".lstrip("/")) if n in known)


def graph() -> dict[str, set[str]]:
    known = files()
    return {name: {found for t in imports(path) if (found := own(t, known))} for name, path in known.items()}


def allowed(source: str, target: str) -> bool:
    (here,), (there,) = rooms(source), rooms(target)
    if here in PACKAGE_MAY:
        return there in PACKAGE_MAY[here]
    if here != there:
        return layer(target) < layer(source)
    inside = target.removeprefix(f"{there}/")
    return here not in DRAWERS or source.endswith("__init__") or inside in DRAWERS[here]


def circles(edges: dict[str, set[str]]) -> list[str]:
    """Files that are left when those that know nobody else are taken away, again and again."""
    left = {name: set(targets) - {name} for name, targets in edges.items()}
    while ends := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in ends:
            del left[name]
    return sorted(left)


def within(target: str, libraries: set[str]) -> bool:
    return any(target == library or target.startswith(f"{library}.") for library in libraries)


def test_every_file_lies_in_exactly_one_room_and_every_room_is_there():
    known = files()
    assert {name: rooms(name) for name in known if len(rooms(name)) != 1} == {}
    assert {room for each in LAYERS for room in each} == {room for name in known for room in rooms(name)}
    assert all(f"{room}/{name}" in known for room, names in DRAWERS.items() for name in names)


def test_imports_point_down_and_parts_that_stand_side_by_side_do_not_know_each_other():
    edges = [(source, target) for source, targets in graph().items() for target in targets]
    assert [f"{source} imports {target}" for source, target in edges if not allowed(source, target)] == []
    assert len(edges) > 300  # the test sees what it speaks of
    assert ("models/pca", "models/nn/mlp") in edges and ("plots/curves", "drawing/canvas") in edges


def test_no_circle_of_imports_lazy_ones_counted():
    edges = graph()
    edges["__init__"] = set()  # `aeexp.load` is fetched when it is asked for
    assert circles(edges) == []


def test_only_commands_know_hydra_and_only_the_tracker_its_libraries():
    for name, path in files().items():
        for target in imports(path):
            assert rooms(name)[0] in COMMANDS or not within(target, FRAMEWORKS), f"{name} imports {target}"
            assert name == TRACKER or not within(target, TRACKERS), f"{name} imports {target}"
    assert any(within(target, TRACKERS) for target in imports(files()[TRACKER]))


def test_an_option_lies_where_its_group_is():
    """conf/<group>/x.yaml builds aeexp.<group>s.X, torch's optimizers apart: one place to look first."""
    wrong, seen = [], 0
    for path in (ROOT / "conf").rglob("*.yaml"):
        group = path.relative_to(ROOT / "conf").parts[0]
        for line in path.read_text(encoding="utf-8").splitlines():
            target = line.partition("#")[0].partition("_target_:")[2].strip(" }")
            seen += bool(target)
            if target and group not in ("hydra", "config.yaml", "optimizer"):
                drawer, _, name = target.removeprefix("aeexp.").partition(".")
                wrong += [f"{path}: {target}"] if drawer != f"{group}s" or "." in name else []
    assert wrong == [] and seen > 100


def test_few_files_lie_at_the_top():
    assert sum("/" not in name for name in files()) <= 15


def test_the_rules_would_see_a_breach():
    assert not allowed("latents/gaussian", "noises") and not allowed("models/autoencoder", "trainers/joint")
    assert not allowed("latents/gaussian", "latents/quantised") and allowed("latents/gaussian", "latents/priors")
    assert not allowed("plots/curves", "plots/scatter")
    assert not allowed("cli/train", "cli/report") and not allowed("runs/run", "reports/page")
    assert allowed("metrics/probe", "evaluation/run") and allowed("cli/train", "runs/build")
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]
    assert rooms("strange") == [] and rooms("datasets/strange") == []
    assert within("torch.utils.tensorboard.SummaryWriter", TRACKERS) and not within("torch.utils.data", TRACKERS)


def test_what_measures_alone_loads_nothing_that_draws():
    code = "import sys, aeexp.metrics, aeexp.runs.evaluate, aeexp.runs.run; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

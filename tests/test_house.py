"""What holds of every file of the package: contracts instead of hooks by name, docstrings, sizes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*(ROOT / "aeexp").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")])
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
# A name in quotes where no contract can say it: another library's, and why.
BY_NAME = {
    ("aeexp/evaluation/hashing.py", "bitwise_count"),  # numpy before 2.0 has none
    ("aeexp/reference/folders.py", "find_distributions"),  # which a finder of sys.meta_path may offer to importlib
}

# Longer than a screenful or five, and why.
LONG = {
    "aeexp/contracts.py",  # a part knows its model, a model its parts: in files of their own they would be a circle
}


def bases(node: ast.ClassDef) -> list[str]:
    """Last words of the bases: `Encoder` of `contracts.Encoder`, `Generic` of `Generic[T]`."""
    names = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    return [name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "") for name in names]


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for name, tree in TREES.items():
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def is_abstract(node: ast.ClassDef) -> bool:
    return bool({"ABC", "Protocol"} & set(bases(node)))


ABSTRACT = {
    node.name for name, node in classes()
    if is_abstract(node) or (name.endswith("contracts.py") and "NamedTuple" not in bases(node))
}  # fmt: skip
RECORDS = {"NamedTuple", "TypedDict", "Enum"}


def is_error(node: ast.ClassDef) -> bool:
    return any(base.endswith(("Error", "Exception", "Interrupt")) for base in bases(node))


def test_a_class_is_abstract_or_final():
    """Final: nobody inherits from it, and a reader need not look for who does."""
    loose = [
        f"{name}: {node.name}"
        for name, node in classes()
        if node.name not in ABSTRACT and not RECORDS & set(bases(node)) and not is_error(node)
        and "final" not in {getattr(mark, "id", getattr(mark, "attr", "")) for mark in node.decorator_list}
    ]  # fmt: skip
    assert loose == []
    assert len(list(classes())) > 150 and len(ABSTRACT) > 12


def test_what_is_looked_for_by_its_name_is_another_librarys():
    found = set()
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            called = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("hasattr", "getattr")
            if called and isinstance(node.args[1], ast.Constant | ast.JoinedStr):
                value = node.args[1].value if isinstance(node.args[1], ast.Constant) else ast.unparse(node.args[1])
                found.add((name, value))
    assert found == BY_NAME


def public(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Functions, classes and their methods that a reader may call."""
    for node in tree.body:
        if isinstance(node, (*FUNCTION, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, FUNCTION) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


# a method of this name is explained where the contract offers it
OFFERED = {
    inner.name
    for _, node in classes() if node.name in ABSTRACT
    for inner in node.body if isinstance(inner, FUNCTION)
}  # fmt: skip


def test_what_is_public_says_what_it_is():
    missing = [
        f"{name}: {where}" for name, tree in TREES.items() for where, node in public(tree)
        if not ast.get_docstring(node) and not ("." in where and where.rpartition(".")[2] in OFFERED)
    ]  # fmt: skip
    missing += [name for name, tree in TREES.items() if not ast.get_docstring(tree)]
    assert missing == []


def test_files_and_functions_are_of_a_size_to_be_read():
    long = {name for name, path in zip(TREES, FILES, strict=True) if len(path.read_text("utf-8").splitlines()) > 260}
    assert long == LONG
    functions = [
        f"{name}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for name, tree in TREES.items() for node in ast.walk(tree)
        if isinstance(node, FUNCTION) and node.end_lineno - node.lineno + 1 > 50
    ]  # fmt: skip
    assert functions == []


def test_no_table_reads_markup_in_what_it_is_given():
    """A data set may be called `[/b]` and a class `:smile:`; the one page that has markup escapes what it prints."""
    calls = [
        (name, {word.arg: ast.unparse(word.value) for word in node.keywords})
        for name, tree in TREES.items() for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Console" and "reference/" not in name
    ]  # fmt: skip
    assert len(calls) >= 2
    assert [name for name, given in calls if (given.get("markup"), given.get("emoji")) != ("False", "False")] == []


def calls(*names: str) -> Iterator[tuple[str, str, ast.Call]]:
    """File, name and node of every call of a function or method of one of these names."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in names:
                    yield name, called, node


def test_every_text_file_is_read_and_written_in_a_named_encoding():
    """What a machine's language says is GBK in one place and ASCII in another."""
    loose, seen = [], 0
    for name, called, node in calls(
        "open", "fdopen", "read_text", "write_text", "loadtxt", "genfromtxt", "run", "Popen"
    ):
        whole = ast.unparse(node)
        given = {word.arg for word in node.keywords}
        place = 0 if isinstance(node.func, ast.Attribute) and not whole.startswith(("gzip.", "os.")) else 1
        mode = next((word.value for word in node.keywords if word.arg == "mode"), (*node.args, None, None)[place])
        binary = isinstance(mode, ast.Constant) and "b" in str(mode.value)
        other = called == "open" and whole.startswith(
            ("Image.", "os.", "av.", "tarfile.", "gzip.open(opened)", "file.zip.", "self._")
        )
        process = called in ("run", "Popen") and not given & {"text", "universal_newlines"}
        ours = whole.startswith("files.") or ast.unparse(node.func) in ("read_text", "write_text")  # in UTF-8, always
        seen += 1
        loose += [] if "encoding" in given or binary or other or process or ours else [f"{name}: {whole}"]
    assert loose == [] and seen > 30


READERS = {  # of what no user writes, or of what was read already
    ("aeexp/cli/new.py", "read_text"),  # the package's own templates
    ("aeexp/explorer/page.py", "read_text"),  # the page's own style and scripts
    ("aeexp/reports/page.py", "read_text"),  # the page's own style and script
    ("aeexp/runs/idle.py", "load"),  # conf/
    ("aeexp/runs/places.py", "open"),  # a note that is not there yet, to be written
    ("aeexp/sweeps/search/study.py", "loads"),  # of the store
}


def test_the_files_of_a_run_are_read_in_one_place():
    """`aeexp/files.py` bounds size and depth and waits for no pipe; `RunFolder` alone asks it for a run's files."""
    where = ("aeexp/runs/", "aeexp/reports/", "aeexp/explorer/", "aeexp/sweeps/", "aeexp/cli/")
    found = {
        (name, called) for name, called, node in calls("open", "read_text", "read_bytes", "load", "loads", "safe_load")
        if name.startswith(where) and name != "aeexp/runs/folder.py"
        and ast.unparse(node.func) not in ("os.open", "load") and not ast.unparse(node.func).startswith("files.")
        and not (called == "open" and ast.unparse(node).startswith(("Image.open(io.", "Image.open(buffer")))
    }  # fmt: skip
    assert found == READERS

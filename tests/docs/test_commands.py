"""What README and the documentation tell a reader to type is true: commands compose, flags, keys and options exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from command_pages import find_main, read_help, read_scripts
from commands import ROOT
from composing import compose_as_typed
from option_pages import list_groups
from representatives import few
from settled import settle

from aeexp.cli.encode import build_parser as build_encode_parser
from aeexp.cli.explain import main as explain
from aeexp.cli.new import main as new
from aeexp.cli.report import build_parser as build_report_parser
from aeexp.reference import options
from aeexp.runs.asked import compose_evaluation, split_data_words
from aeexp.runs.config import check

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "docs").rglob("*.ipynb"))]
SHELL = re.compile(r"^ *```bash\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^ {4,}((?:aeexp|make|tensorboard)(?:-\w+)?(?: .*)?)$", re.MULTILINE)
QUOTED = re.compile(r"(?<!`)`((?:aeexp(?:-\w+)?|pip install)\s[^`]+)`")
OWN = {"--help", "--cfg", "-sc", "--config-dir"}  # tests/cli hold these
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


class Line(NamedTuple):
    """A command line, and where it stands."""

    page: str
    words: tuple[str, ...]


def read(path: Path) -> str:
    """A page as Markdown; of a notebook the texts, and its lines of the shell as a block."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        typed = [line[1:] for line in source.splitlines() if line.startswith("!")]
        parts += [source] if cell["cell_type"] == "markdown" else [f"```bash\n{line}\n```\n" for line in typed]
    return "\n\n".join(parts)


def find_lines(path: Path) -> Iterator[Line]:
    """Each command of a page once: those of blocks, and those between backticks."""
    text = read(path).replace("\\\n", " ")
    blocks = [line.strip() for block in SHELL.findall(text) for line in block.splitlines()]
    found = [*blocks, *INDENTED.findall(SHELL.sub("", text)), *map(" ".join, map(str.split, QUOTED.findall(text)))]
    page = path.relative_to(ROOT).as_posix()
    for line in dict.fromkeys(found):
        words = shlex.split(re.split(r"\s2>&1| \| ", line)[0], comments=True)
        if words and not any(word.endswith("...") for word in words):  # a pattern of a line
            yield Line(page, tuple(words))


LINES = [line for path in PAGES for line in find_lines(path)]
FIRST = ("README.md", "docs/index.md", "docs/how-to/compose.md")  # pages whose commands are held at every run


def compose(words: list[str]) -> None:
    """As `aeexp` does; a check of the whole but for the folders and files that the line names."""
    if not OWN & set(words):
        check(compose_as_typed(*settle(words)))


def compose_measuring(words: list[str]) -> None:
    """As `aeexp-evaluate` does."""
    given = [word for word in words if "=" in word and not word.startswith("-")]
    if "--codes" in words:
        assert words[words.index("--codes") + 1].endswith(".npz")
        assert [word.partition("=")[0] for word in given] in (["metric"], ["metric", "plot"])
        return
    asked, other = split_data_words(given)
    compose_evaluation(asked, beside=other)


def check_line(words: tuple[str, ...], folder: Path) -> str:
    """Holds one line against what it names, and says how: composed, run, parsed, or left ("")."""
    name, rest = words[0], list(words[1:])
    if name == "aeexp":
        compose(rest)
        return "left to tests/cli" if OWN & set(rest) else "composed"
    if name == "torchrun":
        compose(rest[rest.index("aeexp") + 1 :])
        return "composed"
    if name == "aeexp-evaluate":
        compose_measuring(rest)
        return "composed"
    if name == "aeexp-explain":
        explain([word for word in rest if not word.endswith(".csv")])  # of a table: tests/datasets
        return "run"
    if name == "aeexp-new":
        new([*rest, "--folder", str(folder)])
        return "run"
    if name in ("aeexp-encode", "aeexp-report"):
        (build_encode_parser() if name == "aeexp-encode" else build_report_parser()).parse_intermixed_args(rest)
        return "parsed"
    if name.startswith("aeexp-"):
        text = read_help(read_scripts()[name])
        assert all(word.partition("=")[0] in text for word in rest if word.startswith("--"))
        return "parsed"
    return check_other(name, rest)


def check_other(name: str, rest: list[str]) -> str:
    """A line of another program's: what of aeexp's it names."""
    if name == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return "parsed"
    if name == "pip":
        for extra in re.findall(r"aeexp\[([\w,]+)\]", " ".join(rest)):
            assert all(re.search(rf"^{each} = \[", PROJECT, re.MULTILINE) for each in extra.split(","))
        return "parsed"
    if name == "python":
        file = rest[1].replace(".", "/") if rest[0] == "-m" else rest[0]
        assert (ROOT / file).exists() or (ROOT / f"{file}.py").exists()
        return "parsed"
    assert name in ("tensorboard", "pytest", "source", "eval", "ls", "jupyter"), f"{name}: a command that no test holds"
    return ""


@pytest.mark.parametrize(
    "line", few(LINES, *(line for line in LINES if line.page in FIRST)),
    ids=lambda line: f"{line.page}: {' '.join(line.words)}"[:120],
)  # fmt: skip
def test_a_command_is_true(line, tmp_path, capsys):
    check_line(line.words, tmp_path)


def test_nearly_all_commands_are_composed_or_run():
    """The walk saw them; what is left is another program's."""
    assert len(LINES) > 120 and len([line for line in LINES if line.page == "README.md"]) >= 12
    other = [line for line in LINES if line.words[0] in ("tensorboard", "pytest", "source", "eval", "ls", "jupyter")]
    assert len(other) < len(LINES) / 20


def test_readme_is_of_one_screen():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


@cache
def find_keys() -> set[str]:
    """Every key that a user may set, by YAML; and those of config.yaml's own part for Hydra, of a user's own part."""
    keys = {key.path for each in options.list_options() for key in each.keys if not key.path.startswith("hydra")}
    keys |= {key.path for key in options.list_values()}
    for group, names in list_groups().items():
        if group.startswith("hydra/"):
            keys |= {key.path for name in names for key in options.read_option(group, name).keys}
    keys |= {"hydra.run.dir", "hydra.sweep.dir", "hydra.sweeper.params", "hydra.mode", "group.key"}
    keys |= {"hydra.callbacks.curves.metrics", "hydra.callbacks.curves.tradeoff"}
    return keys | {"trainer.finetune", "regularizer.hoyer"}


WORD = re.compile(r"(?<![`\w])`[+'\"]*([a-z_]+(?:[./@][\w@./]+)?)=([^`\s][^`]*)`")


def words() -> Iterator[tuple[str, str, str]]:
    """Each `key=value` that a page has between backticks, apart from whole commands."""
    for path in PAGES:
        for key, value in WORD.findall(SHELL.sub("", read(path))):
            yield path.relative_to(ROOT).as_posix(), key, value


def test_a_word_between_backticks_names_a_key_or_an_option_that_exists():
    wrong, seen, groups, keys = [], 0, list_groups(), find_keys()
    for page, key, value in words():
        group = key.partition("@")[0]
        if "." not in key and "/" not in key and key not in groups:
            continue  # a key below one that the text is about, a column, an argument of Python
        seen += 1
        if group in groups:
            named = re.split(r"[\[\],'\"]+", value.split()[0])
            known = [one for one in named if one and one[0].isalpha() and not one[0].isupper() and "(" not in one]
            wrong += [(page, key, one) for one in known if one not in (*groups[group], "hoyer", "auto")]
        elif key not in keys and not any(key.startswith(f"{known}.") for known in keys):
            wrong.append((page, key, value))
    assert seen > 80 and not wrong, wrong


def calls(tree: ast.AST) -> Iterator[list[str]]:
    """The words of each call of aeexp.fit or aeexp.sweep that are written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("aeexp.fit", "aeexp.sweep"):
            yield [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def blocks() -> list[str]:
    pages = [path for path in PAGES if path.suffix == ".md"]
    return [code for path in pages for code in PYTHON.findall(path.read_text(encoding="utf-8"))]


def test_python_that_is_shown_is_python_and_its_words_compose():
    found = [words for code in blocks() for words in calls(ast.parse(code))]
    for each in found:
        check(compose_as_typed(*settle(each)))
    assert len(blocks()) > 3 and len(found) > 2


@pytest.mark.parametrize("name", read_scripts())
def test_a_command_of_the_project_is_one_that_can_be_called(name):
    assert callable(find_main(read_scripts()[name]))


def test_the_site_names_what_is_installed_by_an_extra():
    """mkdocs.yml's plugins and extensions are those of the extra `docs`."""
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    needed = {"search": "mkdocs-material", "offline": "mkdocs-material", "mkdocstrings": "mkdocstrings"}
    plugins = [next(iter(each)) if isinstance(each, dict) else each for each in yaml.safe_load(site)["plugins"]]
    extra = re.search(r"^docs = \[(.*?)\]\n", PROJECT, re.DOTALL | re.MULTILINE)
    assert extra is not None and all(needed[name] in extra[1] for name in plugins)


@pytest.mark.slow
def test_the_commands_that_need_no_run_say_something():
    for words in (["-m", "aeexp", "--help"], ["-m", "aeexp.cli.explain", "vae"]):
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and "kl" in done.stdout

"""The command `aeexp-new`: a part of your own to start from, as class, YAML and test, or an exercise for a course. Exit
codes: 0 done, 2 a mistake of the user."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

from aeexp.cli.command import run_command
from aeexp.errors import UsageError, quote_words
from aeexp.files import expand_home, write_text
from aeexp.reference import options
from aeexp.reference.folders import find_root
from aeexp.reference.parts import MULTIPLE

TEMPLATES = Path(__file__).parent / "templates"
EXERCISE = "exercise"  # no group of parts
SEVERAL = ("model",)  # templates of more than one class
FUNCTIONS = ("dataset", "scheduler")  # groups whose parts are functions
EXAMPLES = """examples:
  aeexp-new regularizer hoyer
  aeexp --config-dir conf regularizer=hoyer
  pytest test_hoyer.py
  aeexp-new exercise kl --teacher"""
TEST = '''"""The $group $name keeps what its group promises."""

from pathlib import Path

from aeexp.testing import check_part

OPTION = Path(__file__).parent / "conf/$group/$name.yaml"


def test_${name}_is_a_$group():
    check_part(OPTION, "$group")
'''


def build_parser() -> argparse.ArgumentParser:
    """Flags and their help."""
    about = (
        "Writes a part of your own, with conf/GROUP/NAME.yaml and a test, for you to go on from; or an exercise, as "
        "notebook, file to fill in, and test that grades it."
    )
    parser = argparse.ArgumentParser(
        "aeexp-new", description=about, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    groups = list_groups()
    parser.add_argument("group", metavar="GROUP", help=f"what kind of part: {', '.join(groups)}; or exercise")
    names = "kl, sparsity, masking, sampler or linear"
    parser.add_argument("name", metavar="NAME", help=f"of the option, in small letters: hoyer; of an exercise {names}")
    parser.add_argument("--folder", metavar="DIR", default=".", help="where to write; default here")
    package = "write the class into this package, as mypkg/hoyer.py; default hoyer.py"
    parser.add_argument(
        "--teacher", action="store_true", help="of an exercise: its solution too, in a folder of its own"
    )
    parser.add_argument("--package", metavar="PACKAGE", default="", help=package)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""

    def create() -> None:
        arguments = build_parser().parse_args(argv)
        folder = Path(expand_home(arguments.folder))
        if arguments.group == EXERCISE:
            create_exercise(arguments.name, folder, arguments.teacher, arguments.package)
            return
        if arguments.teacher:
            raise UsageError("--teacher is for exercises alone, as that of kl: leave it out")
        for path in write_part(arguments.group, arguments.name, folder, arguments.package):
            print(path)
        print(describe_next(arguments.group, arguments.name, folder))

    run_command(create)


def create_exercise(name: str, folder: Path, teacher: bool, package: str) -> None:
    """Write one, and say how it is graded."""
    from aeexp.exercises.sheets import write_exercise

    if package:
        raise UsageError(f"--package {package}: an exercise is a folder by itself: leave it out")
    for path in write_exercise(name, folder, teacher):
        print(path)
    test = folder / name / f"test_{name}.py"
    print(f"Fill in {name}.py, then:\n  {quote_words('pytest', test)}\n  {quote_words('python', test)}")


def list_groups() -> list[str]:
    """Groups that there is a template for, in the order of config.yaml."""
    known = {path.stem for path in TEMPLATES.glob("*.txt")}
    return [group for group in options.list_groups() if group in known]


def write_part(group: str, name: str, folder: Path, package: str = "") -> list[Path]:
    """Class, YAML and test of a part; returns their paths. Raises UsageError where one of them is there already."""
    check_names(group, name, folder, package)
    module = f"{package}.{name}" if package else name
    kind = name if group in FUNCTIONS else "".join(word.capitalize() for word in name.split("_"))
    words = {"name": name, "Class": kind, "target": f"{module}.{kind}", "group": group}
    code, _, option = (TEMPLATES / f"{group}.txt").read_text(encoding="utf-8").partition("\n---\n")
    classes = f"{kind}Encoder and {kind}Decoder" if group in SEVERAL else kind
    head = f'"""{classes}: {group}={name}."""\n\nfrom __future__ import annotations\n\n'
    texts = {
        folder / package / f"{name}.py": f"{head}{Template(code).substitute(words)}\n",
        folder / "conf" / group / f"{name}.yaml": Template(option).substitute(words),
        folder / f"test_{name}.py": Template(TEST).substitute(words),
    }
    if package and not (folder / package / "__init__.py").exists():
        texts[folder / package / "__init__.py"] = '"""Parts of my own."""\n\n__version__ = "0.1.0"\n'
    if taken := [path for path in texts if path.exists()]:
        raise UsageError(f"{taken[0]} is there already: nothing is written; take another name, or move it away")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return list(texts)


def check_names(group: str, name: str, folder: Path, package: str) -> None:
    """Refuse names that could not be imported, or would hide something. Raises UsageError."""
    if group not in list_groups():
        raise UsageError(f"{group}: there is no such group of parts: take one of {', '.join(list_groups())}")
    for word in filter(None, (name, package)):
        if not word.isidentifier() or not word.isascii() or word != word.lower() or word.startswith("_"):
            raise UsageError(f"{word}: a name of small letters, digits and _ is wanted, as in hoyer or my_penalty")
    if name in options.list_groups()[group]:
        raise UsageError(f"{group}={name} is an option already: aeexp-explain {group}={name} shows it")
    top = package or name
    found = None if top in sys.builtin_module_names else find_root(top)
    own = found is not None and found.resolve().is_relative_to(folder.resolve())
    if top in sys.stdlib_module_names or (found is not None and not own):
        raise UsageError(f"{top}: a package of this name is installed, which yours would be taken for: take another")


def describe_next(group: str, name: str, folder: Path) -> str:
    """Commands to go on with."""
    value = f"{group}=[{name}]" if group in MULTIPLE else f"{group}={name}"
    train = quote_words("aeexp", "--config-dir", folder / "conf", value)
    return f"Fill in your lines, then:\n  {quote_words('pytest', folder / f'test_{name}.py')}\n  {train}"


if __name__ == "__main__":
    main()

"""Pages of the reference, made of conf/ and docstrings by what `aeexp-explain` reads: one for each option and group."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.utils import get_object

from aeexp.evaluation.contracts import Metric
from aeexp.reference import options
from aeexp.reference.docstrings import read_docstring
from aeexp.reference.meaning import describe, list_loss_terms, list_papers, list_parts, list_picks
from aeexp.reference.options import Option
from aeexp.runs.config import find_keys
from aeexp.runs.schema import BESIDE, INIT, VALUES
from aeexp.runs.values import describe_type

DOCS = Path(__file__).resolve().parents[1]
GROUPS = DOCS / "tools" / "groups"  # what stands at the head of a group's page, where there is more to say
OF_HYDRA = ("hydra/launcher", "hydra/sweeper", "hydra/sweeper/sampler", "hydra/sweeper/pruner")
FIGURES_OF = {"task=inpaint": "inpainting", "task=segment": "segmentation"}
SETS = ("variant", "experiment")  # whose keys are those of other groups


def list_groups() -> dict[str, list[str]]:
    """Group -> its options; with those of Hydra's own groups that this package brings."""
    root = Path(options.find_conf_dir())
    own = {group: sorted(path.stem for path in (root / group).glob("*.yaml")) for group in OF_HYDRA}
    return options.list_groups() | own


def name_page(group: str, option: str = "index") -> str:
    """The page of an option, or of a group, below docs/."""
    return f"reference/{group}/{option}.md"


def build_pages() -> dict[str, str]:
    """Path -> Markdown of all pages."""
    pages = {}
    for group, names in list_groups().items():
        pages[name_page(group)] = "\n".join(_write_group(group, names))
        for name in names:
            pages[name_page(group, name)] = "\n\n".join(_write_option(options.read_option(group, name)))
    return pages | {"reference/index.md": "\n".join(_write_index())}


def escape(text: str) -> str:
    """Text of a docstring or a comment: what is not between backticks is no HTML and no emphasis."""
    parts = re.split(r"(`+[^`]*`+)", text)
    return "".join(part if part.startswith("`") else _escape_plain(part) for part in parts)


def _escape_plain(text: str) -> str:
    return re.sub(r"([*\[\]])", r"\\\1", html.escape(text, quote=False))


def cell(text: str) -> str:
    """In a table."""
    return " ".join(escape(text).split()).replace("|", "\\|")


def code(text: str) -> str:
    """A name or value as it is typed, in a table."""
    if not text or not {"`", "|"} & set(text):
        return f"`{text}`" if text else ""
    safe = re.sub(r"[|*_`\[\]]", lambda sign: f"&#{ord(sign[0])};", html.escape(text, quote=False))
    return f"<code>{safe}</code>"


def write_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def link(option: Option, page: str) -> str:
    """To an option's page from another page below docs/reference."""
    return f"[`{option.word}`]({'../' * (page.count('/') - 1)}{option.group}/{option.name}.md)"


def _write_index() -> Iterator[str]:
    yield "# Every option\n"
    yield (
        "A run is made of one option of each group, or several of `noise`, `regularizer`, `metric` and `plot`. These "
        "pages are made of the YAML and the docstrings that a run reads, as `aeexp --help` and `aeexp-explain` are.\n"
    )
    defaults = options.read_defaults()
    for group, names in list_groups().items():
        chosen, about = defaults.get(group, ((), ""))
        yield f"## [{group}]({group}/index.md)\n"
        if about:
            yield f"{escape(about)}\n"
        words = [f"[`{name}`]({group}/{name}.md){' (default)' if name in chosen else ''}" for name in names]
        yield f"{', '.join(words)}\n"
    yield "## Values of the run itself\n"
    rows = [(key.path, key.value, _find_type(key.path, key.path, None), key.comment) for key in options.list_values()]
    yield _write_keys(rows)


def _write_group(group: str, names: Sequence[str]) -> Iterator[str]:
    chosen, about = options.read_defaults().get(group, ((), ""))
    yield f"# {group}\n"
    if about:
        yield f"{escape(about)[:1].upper()}{escape(about)[1:]}.\n"
    head = GROUPS / f"{group.replace('/', '-')}.md"
    if head.is_file():
        yield f"{head.read_text(encoding='utf-8')}"
    rows = []
    for name in names:
        first = describe(options.read_option(group, name))
        rows.append((f"[`{name}`]({name}.md){' *default*' if name in chosen else ''}", cell(first)))
    yield write_table((f"{group}=", "is"), rows)


def _write_option(option: Option) -> Iterator[str]:
    page, text = name_page(option.group, option.name), read_docstring(option.target)
    yield f"# {option.word}"
    yield from _write_words(option)
    yield from _write_figure(option, page)
    if text.formula:
        yield f"## Formula\n\n```text\n{' '.join(text.formula.split())}\n```"
    if option.group == "variant":
        terms = [(cell(name), code(" ".join(formula.split()))) for name, formula in list_loss_terms(option)]
        table = write_table(("term", "formula"), terms)
        yield f"## Loss\n\nThe sum of these terms, each the mean over rows.\n\n{table}"
    yield from _write_picks(option, page)
    if option.keys:
        rows = [(key.path, key.value, _find_type(*_place(option, key.path)), key.comment) for key in option.keys]
        yield f"## {'Sets' if option.group in SETS else 'Keys'}\n\n{_write_keys(rows)}"
    yield from _write_numbers(option)
    looks = [look for look in (text.look, *(read_docstring(part.target).look for part in list_parts(option))) if look]
    if looks:
        yield "## Look at\n\n" + "\n".join(f"- {escape(look)}" for look in looks)
    if papers := list_papers(option):
        yield "## Papers\n\n" + "\n".join(f"- {escape(paper)}" for paper in papers)
    if (option.target or "").startswith("torch."):
        address = f"https://docs.pytorch.org/docs/stable/generated/{option.target}.html"
        yield f"[{option.target} in PyTorch's documentation]({address})"
    if users := _find_users(option):
        yield f"## Picked by\n\n{', '.join(link(user, page) for user in users)}"
    built = f", which builds `{option.target}`" if option.target else ""
    yield f"---\n\n*`conf/{option.group}/{option.name}.yaml`{built}.*"


def _write_words(option: Option) -> Iterator[str]:
    """What it is: the YAML's comment, and the docstring."""
    text = read_docstring(option.target).text
    header = escape(" ".join(option.header))
    if header:
        yield header
    if option.requires:
        yield f"Needs {' and '.join(f'`{word}`' for word in option.requires)}."
    if text:
        yield _escape_paragraphs(text)
    if not header and not text:
        first = describe(option)
        yield f"{escape(first)[:1].upper()}{escape(first)[1:]}."
    line = write_line(option)
    if line:
        yield f"```bash\n{line}\n```"


def _escape_paragraphs(text: str) -> str:
    """Paragraphs and lists of a docstring; a list has an empty line before it in Markdown."""
    escaped = escape(text)
    return re.sub(r"(?m)(?<!^)(?<!\n)\n(?=- )", "\n\n", escaped, count=1)


def write_line(option: Option) -> str:
    """A command that chooses the option; "" of one that needs a file of the user's."""
    if any(key.value == "???" for key in option.keys) or option.name == "none":
        return ""
    if option.group.startswith("hydra/"):
        return ""
    return " ".join(["aeexp", *option.requires, option.word])


def _write_figure(option: Option, page: str) -> Iterator[str]:
    found = find_figure(option)
    if found is None:
        return
    owner, path = found
    below = "../" * page.count("/")
    about = f"A figure of {owner.word}" if owner != option else f"{option.word}"
    yield f"![{about}]({below}{path.relative_to(DOCS).as_posix()})"
    if owner != option:
        yield f"*Of {link(owner, page)}.*"


def find_figure(option: Option) -> tuple[Option, Path] | None:
    """An option's own figure; else that of a plot which belongs to it, or of a variant that picks it."""
    own = [option, *_list_companions(option), *_find_users(option)]
    paths = ((each, DOCS / "figures" / f"{each.group.replace('/', '_')}-{each.name}.png") for each in own)
    return next(((each, path) for each, path in paths if path.is_file()), None)


def _list_companions(option: Option) -> list[Option]:
    if option.group == "metric" and option.target:
        return [options.read_option("plot", name) for name in get_object(option.target).figures]
    if option.word in FIGURES_OF:
        return [options.read_option("plot", FIGURES_OF[option.word])]
    return []


@cache
def _list_users() -> list[Option]:
    return [options.read_option(group, name) for group in SETS for name in options.list_groups()[group]]


def _find_users(option: Option) -> list[Option]:
    """Variants and experiments that pick it, those that are nothing else first."""
    found = [each for each in _list_users() if option.name in each.picks.get(option.group, ()) and each != option]
    return sorted(found, key=lambda each: (each.group != "variant", len(each.picks)))


def _write_picks(option: Option, page: str) -> Iterator[str]:
    if option.includes:
        parts = [options.read_option(option.group, name) for name in option.includes]
        rows = [(link(part, page), cell(describe(part))) for part in parts]
        yield f"## With\n\n{write_table(('option', 'is'), rows)}"
    if option.picks:
        rows = []
        for part in list_picks(option):
            about = read_docstring(part.target).first or describe(part)
            note = option.notes.get(part.group)
            known = "@" not in part.group
            rows.append((link(part, page) if known else f"`{part.word}`", cell(f"{about} ({note})" if note else about)))
        yield f"## Picks\n\n{write_table(('option', 'is'), rows)}"


def _write_keys(rows: Iterable[Sequence[str]]) -> str:
    cells = [(code(path), code(value), cell(kind), cell(comment)) for path, value, kind, comment in rows]
    typed = any(kind for _, _, kind, _ in cells)
    head = ("key", "default", "type", "what") if typed else ("key", "value", "what")
    return write_table(head, cells if typed else [(path, value, comment) for path, value, _, comment in cells])


def _place(option: Option, path: str) -> tuple[str, str, Option | None]:
    """A key's path, its name below the option, and the option where its constructor takes it."""
    prefix = f"{option.group.replace('/', '.')}."
    nested = f"{prefix}{option.name}."
    name = path.removeprefix(nested if path.startswith(nested) else prefix)
    return path, name, None if option.group in SETS else option


def _find_type(path: str, name: str, option: Option | None) -> str:
    """In words, from the signature of what the option builds; "" where that does not say it."""
    if option is None:
        hints: dict[str, Any] = VALUES | {f"init.{key}": hint for key, hint in INIT.items()}
        hints |= {f"{group}.{key}": hint for group, keys in BESIDE.items() for key, hint in keys.items()}
    elif option.target and not option.target.startswith(("torch.optim.lr", "hydra")):
        hints = _read_hints(option.target)
    else:
        return ""
    if name not in hints:
        return ""
    try:
        return describe_type(hints[name])
    except (TypeError, IndexError, ValueError):
        return ""


@cache
def _read_hints(target: str) -> dict[str, Any]:
    return find_keys(get_object(target), target.startswith(("torch.optim.", "aeexp.models.")))[1]


def _write_numbers(option: Option) -> Iterator[str]:
    if option.group != "metric" or not option.target:
        return
    yield f"## Numbers\n\n{write_numbers(get_object(option.target))}"


def write_numbers(metric: type[Metric]) -> str:
    """A table of the keys that a metric declares."""
    better = {"lower": "lower", "higher": "higher", None: ""}
    rows = [
        (code(show_pattern(each.pattern)), better[each.better], cell(each.unit or "pure number"),
         cell(re.sub(r"\{(\w+)\}", r"\1", each.label)), "" if each.no_interval else "yes")
        for each in metric.numbers
    ]  # fmt: skip
    return write_table(("key", "better", "unit", "on the console", "interval over rows"), rows)


def show_pattern(pattern: str) -> str:
    """A regular expression of keys for people: probe/NAME_nN of probe/\\w+_n\\d+; {a,b} of (a|b)."""
    text = re.sub(r"\\d\+", "N", pattern)
    text = re.sub(r"\\w\+|\.\*|\.\+|\[[^\]]*\][+*]", "NAME", text)
    text = re.sub(r"\(\?:", "(", text)
    while (changed := re.sub(r"\(([^()]*)\)(\??)", _brace, text)) != text:
        text = changed
    return text.replace("\\", "")


def _brace(found: re.Match[str]) -> str:
    return "{" + "," * bool(found[2]) + found[1].replace("|", ",") + "}"

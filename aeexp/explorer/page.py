"""The page that `aeexp-explore` writes: one file without network."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from aeexp import files
from aeexp.errors import UsageError
from aeexp.explorer.blobs import Blobs
from aeexp.explorer.content import Opened, Wanted, collect_content

HERE = Path(__file__).resolve().parent / "html"
SCRIPTS = ("elements", "layers", "evaluator", "drawing", "state", "input", "map", "panels", "run", "main")
LIMIT = 19_000_000  # bytes of a page: it can be sent to a class


def write_page(opened: Sequence[Opened], wanted: Wanted, path: Path, command: str) -> dict[str, Any]:
    """Write the page and return what it holds. Numbers of networks are float32, or float16 where they would be too
    large for a page. Raises UsageError where that is not enough."""
    for short in (False, True):
        blobs = Blobs(short)
        content = collect_content(opened, wanted, blobs)
        text = render(content, blobs, command)
        if len(text) <= LIMIT:
            files.write_text(path, text)
            return content
    raise UsageError(
        f"the page would have {len(text) / 1e6:.0f} MB, and {LIMIT / 1e6:.0f} MB is as much as it may: give fewer runs "
        f"at once, or fewer rows than --rows {wanted.rows}"
    )


def render(content: dict[str, Any], blobs: Blobs, command: str) -> str:
    """HTML. What a user called something is in JSON alone, whose letters close no element."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    scripts = "\n".join((HERE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return environment.get_template("explorer.html").render(
        title=f"{content['data']['name']}: codes in the hand",
        content={**content, "places": blobs.places, "made": made, "command": command},
        blobs=blobs.encode(),
        style=Markup((HERE / "explorer.css").read_text(encoding="utf-8")),
        script=Markup(f'"use strict";\n{scripts}'),
    )

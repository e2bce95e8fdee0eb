"""A notebook as a page of Markdown: texts as they are, code with its stored outputs, pictures as files beside it."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import Any

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def convert(text: str, name: str) -> tuple[str, dict[str, bytes]]:
    """The page, and the content of each picture by its file name, NAME-1.png and so on."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for each in json.loads(text)["cells"]:
        source = "".join(each["source"]).strip()
        if each["cell_type"] == "markdown":
            parts.append(source)
        elif source:
            parts.append(f"```python\n{source}\n```")
        for output in each.get("outputs", []):
            parts.append(_write_output(output, name, pictures))
    return "\n\n".join(part for part in parts if part) + "\n", pictures


def _write_output(output: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    if output["output_type"] == "stream":
        return _write_text("".join(output["text"]))
    if output["output_type"] == "error":
        raise ValueError(f"{name} was stored with an error: {output['ename']}: {output['evalue']}")
    data = {kind: "".join(value) if isinstance(value, list) else value for kind, value in output["data"].items()}
    if "image/png" in data:
        file = f"{name}-{len(pictures) + 1}.png"
        pictures[file] = base64.b64decode(data["image/png"])
        return f"![Output of the cell above]({file}){{ .output }}"
    if "text/html" in data:  # a table
        return f'<div class="output">{_strip(data["text/html"])}</div>'
    return _write_text(data.get("text/plain", ""))


def _write_text(text: str) -> str:
    text = ANSI.sub("", text).rstrip()
    return f'<div class="output"><pre>{html.escape(text, quote=False)}</pre></div>' if text else ""


def _strip(text: str) -> str:
    """Without styles; lines of a table are joined, and those of a text that is set line by line are kept."""
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL).strip()
    return text if "<pre" in text else "".join(line.strip() for line in text.splitlines())

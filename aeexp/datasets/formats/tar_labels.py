"""Labels of samples in tar shards: a text, a number, or a field of JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, final

from aeexp.datasets.formats.wording import quote
from aeexp.errors import UsageError

LONGEST = 2**24  # bytes of a JSON file that is read for its label


@final
class LabelName:
    """Where a label stands: `cls`, `json.label`, `meta.json.person.id`.

    A file of that whole name comes first; else what follows `json` is the way through the JSON of the file before it.
    """

    def __init__(self, name: str):
        self.name = name
        parts = name.split(".")
        ways = [place + 1 for place, part in enumerate(parts) if part.lower() == "json"]
        self.fields = {".".join(parts[:end]).lower(): parts[end:] for end in reversed(ways)}
        self.files = tuple(dict.fromkeys([name.lower(), *self.fields]))  # extensions that are read

    def read(self, sample: dict[str, Any], file: Path) -> str | None:
        """The label of a sample as `tars` groups it; None where it has none."""
        extension = next((each for each in self.files if each in sample), None)
        if extension is None:
            return None
        key, content = sample["__key__"], sample[extension][2]
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"y: the label of sample {key} in {file} is no text") from error
        fields = self.fields.get(extension)
        text = text.strip() if fields is None else self._find(text, extension, fields, f"sample {key} in {file}")
        return None if text is None else sys.intern(text)  # one object a class

    def _find(self, text: str, extension: str, fields: list[str], where: str) -> str | None:
        value = _parse(text, f"y={self.name}: {where}")
        way = extension
        for field in fields:
            if not isinstance(value, dict):
                raise UsageError(f"y={self.name}: {way} of {where} is {_name_kind(value)}, which has no field {field}")
            if field not in value:
                return None
            value, way = value[field], f"{way}.{field}"
        if isinstance(value, dict):
            names = [name for name, each in value.items() if isinstance(each, str | int | float)] or list(value)
            example = f", as in dataset.y={way}.{names[0]}" if names else ""
            raise UsageError(
                f"y={self.name}: {way} of {where} is an object, no label; it has "
                f"{', '.join(map(quote, value)) or 'nothing'}: name a field{example}"
            )
        if isinstance(value, list):
            raise UsageError(
                f"y={self.name}: {way} of {where} is a list, no label: name another field, or dataset.y=none"
            )
        if value is None:
            return None
        return str(value).strip() if isinstance(value, str) else json.dumps(value)


def _parse(text: str, name: str) -> Any:
    if len(text) > LONGEST:
        raise UsageError(f"{name} has {len(text)} characters of JSON, too many to look for a label in them")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON; numbers of thousands of digits; nested too deep
        raise UsageError(f"{name} is no readable JSON: {' '.join(str(error).split())[:100]}") from error


def _name_kind(value: object) -> str:
    return "null" if value is None else {list: "a list", str: "a text"}.get(type(value), "a number")

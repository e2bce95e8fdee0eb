"""The one error a user can mend, and how its way out is written. Imports little: the command line answers fast."""

from __future__ import annotations

import re
import shlex


class UsageError(ValueError):
    """A value that a user gave and can change: says key, value and way out in one or two lines.

    Constructors begin the message with ``name=value``; the command puts the config path in front.
    """


def quote_words(*words: object) -> str:
    """A command line, or a part of one, that a shell reads as these words: each one that is suggested is made here."""
    return " ".join(map(_quote_word, map(str, words)))


def _quote_word(word: str) -> str:
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)


def quote_value(value: object) -> str:
    """A text as a value of an override: in Hydra's quotes where it would be read as something else."""
    text = str(value)
    if re.fullmatch(r"[\w/.+-]+", text, re.ASCII):
        return text
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return "'" + escaped.replace("${", "\\${") + "'"


def quote_override(key: str, value: object) -> str:
    """`key=value` for a shell, whatever the text: quoted for Hydra and for the shell, where that is needed."""
    return quote_words(f"{key}={quote_value(value)}")

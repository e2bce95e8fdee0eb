"""A command line that is suggested works when it is pasted."""

from __future__ import annotations

import ast
import re
import shlex

from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from test_house import TREES

from aeexp.errors import quote_override, quote_value, quote_words

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)
SUGGESTS = re.compile(r"((^|[\s:`'])aeexp(-\w+)? |tensorboard (--logdir )?$|the same command with )")


@example("null").via("read as something else")
@example("True").via("read as something else")
@example("1e3").via("read as something else")
@example("\\${a}").via("a backslash before an interpolation")
@example("1E5").via("read as something else")
@example("-5").via("read as something else")
@given(TEXTS | st.text(st.sampled_from("\\'\"$` {}[](),=~*!?#&|;<>:é5 a_.-"), min_size=1))
def test_any_text_comes_through_the_shell_and_hydra(text):
    (word,) = shlex.split(quote_override("dataset.name", text))
    (override,) = OverridesParser.create().parse_overrides([word])
    value = override.value()
    assert not isinstance(value, bool | int | float | None)
    assert OmegaConf.create({"name": str(value)}).name == text


@given(st.lists(TEXTS | st.just("")))
def test_words_come_through_the_shell(words):
    assert shlex.split(quote_words(*words)) == words


def test_what_needs_no_quotes_has_none():
    assert quote_override("resume", "outputs/2026-01-31/12-00-00-000000") == "resume=outputs/2026-01-31/12-00-00-000000"
    assert quote_value("a b") == "'a b'" and quote_words("a", "b c") == "a 'b c'"


def test_every_command_line_with_a_users_text_in_it_is_quoted_by_the_one_helper():
    loose, seen = [], 0
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            parts = node.values if isinstance(node, ast.JoinedStr) else ()
            for before, part in zip(parts, parts[1:], strict=False):
                told = isinstance(before, ast.Constant) and SUGGESTS.search(str(before.value).splitlines()[-1:][0])
                if told and isinstance(part, ast.FormattedValue):
                    seen += 1
                    loose += (
                        []
                        if {"quote_", "group"} & {ast.unparse(part.value)[:6], ast.unparse(part.value)}
                        else [f"{name}: {ast.unparse(node)}"]
                    )
    assert loose == [] and seen >= 5

"""What `aeexp-explain table.csv` says of a table, and that the command it gives loads it."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from csv_files import DEFECTS, draw_table, load, write_table
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hypothesis import given
from hypothesis import strategies as st

from aeexp.cli.explain import main
from aeexp.datasets.formats.table_summary import find_delimiter, summarise

NAMES = st.text(st.sampled_from("ab c=[],'\"$`\\ä:{}()!#"), min_size=1, max_size=5).map(str.strip).filter(bool)


def run(command: str):
    """The source that a pasted command loads: through the shell's rules and Hydra's."""
    program, option, *words = shlex.split(command)
    assert (program, option) == ("aeexp", "dataset=csv")
    given = {each.key_or_group: each.value() for each in OverridesParser.create().parse_overrides(words)}
    keys = {key.removeprefix("dataset."): value for key, value in given.items()}
    return load(**{key: str(v) if isinstance(v, QuotedString) else tuple(map(str, v)) if isinstance(v, list) else v
                   for key, v in keys.items()})  # fmt: skip


@given(
    st.lists(st.tuples(NAMES, st.sampled_from(list(DEFECTS))), min_size=1, max_size=5, unique_by=lambda pair: pair[0]),
    st.sampled_from(",;\t|"),
)
def test_the_command_loads_the_table_whatever_is_wrong_and_however_it_is_called(csv_file, columns, delimiter):
    cells = [str(i % 3) for i in range(42)]
    table = {name: DEFECTS[kind](cells) for name, kind in columns} | {"more": cells, "class": ["u", "v"] * 21}
    path = csv_file(
        write_table(table).replace(",", delimiter) if delimiter != "," else write_table(table), "it's $1.csv"
    )
    if delimiter != "," and any("," in name for name, _ in columns):
        return
    assert find_delimiter(str(path)) == delimiter
    summary = summarise(str(path))
    assert summary.rows == 42 and [name for name, _ in summary.columns] == list(table)
    source = run(summary.command)
    assert len(source.rows.x) == 42 and source.classes == ("u", "v")


@given(st.integers(0, 10**6))
def test_tables_with_gaps_and_odd_texts_load_as_proposed(csv_file, seed):
    columns = draw_table(seed)
    summary = summarise(str(path := csv_file(write_table(columns))))
    assert len(run(summary.command).rows.x) == 60 and "dataset.missing=most_frequent" in summary.command
    said = dict(summary.columns)
    for name, cells in columns.items():
        gaps = int((np.array(cells) == "").sum())
        assert (f"{gaps} gap" in said[name]) == (gaps > 0)
    assert path.name in summary.command


def test_columns_are_told_by_what_they_hold(csv_file):
    rows = "".join(
        f'{i},{i}.5,u{i},{"v" if i % 2 else "w"},7,,{i if i else "oops"},"1,{i:02}",{i % 2}\n' for i in range(30)
    )
    summary = summarise(str(csv_file("n,f,text,kind,one,none,stray,comma,y\n" + rows)))
    assert dict(summary.columns) == {
        "n": "whole numbers from 0 to 29", "f": "numbers from 0.5 to 29.5",
        "text": "texts, 30 different ones: 'u0', 'u1', 'u10', ...", "kind": "2 categories: 'v', 'w'",
        "one": "the number 7 in every row", "none": "no value in any row",
        "stray": "numbers but for 1 text, such as 'oops'",
        "comma": "texts, 30 different ones: '1,00', '1,01', '1,02', ...",
        "y": "whole numbers from 0 to 1",
    }  # fmt: skip
    assert "numbers are written as '1,00' in column 'comma' and as '0.5' in column 'f'" in summary.problems, (
        summary.problems
    )


def test_the_command_line_prints_it_and_refuses_what_is_no_table(csv_file, capsys):
    path = csv_file("a;b\n1,5;x\n2,25;\n")
    main([str(path)])
    out = capsys.readouterr().out
    assert "2 rows, 2 columns" in out and "numbers from 1.5 to 2.25" in out and "to start from:" in out
    with pytest.raises(SystemExit) as end:
        main([str(path.with_name("none.csv"))])
    assert end.value.code == 2 and "none.csv" in capsys.readouterr().err


def test_a_target_of_many_numbers_is_proposed_as_such(tmp_path):
    rows = "".join(f"{i % 7},{i + 0.5}\n" for i in range(40))
    (tmp_path / "t.csv").write_text(f"a,target\n{rows}")
    assert "dataset.target=target" in summarise(str(tmp_path / "t.csv")).command

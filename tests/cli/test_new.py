"""`aeexp-new`: which names it takes, what it writes, and that it writes over nothing."""

from __future__ import annotations

import pytest

from aeexp.cli import new
from aeexp.errors import UsageError

NAMES = {
    ("regularizer", "l1"): "regularizer=l1 is an option already",
    ("regularizer", "Hoyer"): "a name of small letters",
    ("regularizer", "my-penalty"): "a name of small letters",
    ("regularizer", "höyer"): "a name of small letters",
    ("regularizer", "_hoyer"): "a name of small letters",
    ("regularizer", "../hoyer"): "a name of small letters",
    ("noise", "random"): "a package of this name is installed",
    ("noise", "torch"): "a package of this name is installed",
    ("noise", "aeexp"): "a package of this name is installed",
    ("penalty", "hoyer"): "there is no such group of parts",
    ("dataset/split", "x"): "there is no such group of parts",
}


@pytest.mark.parametrize(("names", "message"), NAMES.items(), ids=map("=".join, NAMES))
def test_a_name_that_would_not_do_is_refused_and_nothing_is_written(names, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        new.write_part(*names, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "test_hoyer_of_mine.py").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        new.write_part("regularizer", "hoyer_of_mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test_hoyer_of_mine.py"]


def test_parts_of_one_package_lie_beside_each_other(tmp_path):
    new.write_part("regularizer", "one", tmp_path, "parts_of_mine")
    new.write_part("noise", "other", tmp_path, "parts_of_mine")
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert found == {
        "parts_of_mine/__init__.py", "parts_of_mine/one.py", "parts_of_mine/other.py", "conf/regularizer/one.yaml",
        "conf/noise/other.yaml", "test_one.py", "test_other.py",
    }  # fmt: skip
    assert "_target_: parts_of_mine.one.One" in (tmp_path / "conf/regularizer/one.yaml").read_text()


def test_the_command_says_how_to_go_on(tmp_path, capsys):
    new.main(["noise", "rough", "--folder", str(tmp_path)])
    said = capsys.readouterr().out
    assert f"{tmp_path}/rough.py" in said and f"aeexp --config-dir {tmp_path}/conf 'noise=[rough]'" in said
    with pytest.raises(SystemExit) as error:
        new.main(["noise", "rough", "--folder", str(tmp_path)])
    assert error.value.code == 2

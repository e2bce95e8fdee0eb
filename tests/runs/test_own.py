"""Parts of a user's own: composed, tried, trained, written down, and loaded where they are trusted."""

from __future__ import annotations

import itertools
import logging
import sys

import pytest
from composing import composed, run_in
from own_parts import HOYER, write_option, write_penalty

import aeexp
from aeexp.errors import UsageError
from aeexp.reference import options
from aeexp.reference.folders import name_folders
from aeexp.runs.blame import find_blame
from aeexp.runs.config import check, to_dict
from aeexp.runs.loading import LoadedRun
from aeexp.runs.provenance import describe_provenance
from aeexp.trainers.checkpoint import load

WORDS = ("trainer.steps=2", "dataset.limit=60", "metric=none", "optimizer.lr=1e-3")
numbers = itertools.count()


@pytest.fixture
def module() -> str:
    """A name that no other test has imported."""
    return f"own_module_{next(numbers)}"


@pytest.fixture
def project(tmp_path, monkeypatch, module):
    """project(body): `regularizer=hoyer` whose penalty is `body`; its options are there until the test ends."""
    monkeypatch.syspath_prepend(tmp_path)
    with name_folders([tmp_path / "conf"]):
        yield lambda body=HOYER: write_penalty(tmp_path, module, body)
    sys.modules.pop(module, None)


def test_an_own_penalty_trains_and_its_run_is_built_where_it_is_trusted(project, module, tmp_path, monkeypatch):
    project()
    run_in(tmp_path / "run", "regularizer=hoyer", *WORDS)
    (origin,) = load(tmp_path / "run/checkpoints/best.pt")["foreign"].items()
    assert origin[0] == f"{module}.Hoyer" and origin[1]["package"] == module and len(origin[1]["source"]) == 64
    aeexp.load(tmp_path / "run")  # the model is aeexp's own: the penalty is no part of it
    del sys.modules[module]
    assert LoadedRun(tmp_path / "run", "cpu").learner  # its own options are named here, and so trusted
    monkeypatch.setattr("aeexp.runs.trust.list_named", tuple)
    with pytest.raises(UsageError) as error:
        LoadedRun(tmp_path / "run", "cpu")
    assert f"{module}.Hoyer" in str(error.value) and f"--trust {module}" in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "run")) and len(str(error.value).splitlines()) == 2
    assert LoadedRun(tmp_path / "run", "cpu", trust=[module]).learner
    monkeypatch.setenv("AEEXP_TRUST", f"other,{module}")
    assert LoadedRun(tmp_path / "run", "cpu").learner


def test_a_part_that_has_changed_warns_when_it_is_loaded_and_when_its_run_goes_on(project, module, tmp_path, caplog):
    project()
    run_in(tmp_path / "run", "regularizer=hoyer", *WORDS)
    with caplog.at_level(logging.WARNING):
        LoadedRun(tmp_path / "run", "cpu", trust=[module])
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        project("z.square().sum(1)")
        del sys.modules[module]
        LoadedRun(tmp_path / "run", "cpu", trust=[module])
        assert f"{module}.Hoyer has changed since the run was trained" in caplog.text
        caplog.clear()
        run_in(tmp_path / "next", "regularizer=hoyer", f"resume={tmp_path / 'run'}", *WORDS)
        assert f"{module}.Hoyer has changed" in caplog.text


def test_a_package_that_is_gone_is_named_with_its_version(project, module, tmp_path):
    project()
    with open(tmp_path / f"{module}.py", "a") as file:
        file.write("__version__ = '0.3'\n")
    run_in(tmp_path / "run", "regularizer=hoyer", *WORDS)
    del sys.modules[module]
    (tmp_path / f"{module}.py").unlink()
    with pytest.raises(UsageError) as error:
        LoadedRun(tmp_path / "run", "cpu", trust=[module])
    assert f"no package {module}" in str(error.value) and f"trained with {module} 0.3" in str(error.value)


FAULTS = {
    "z.abs()": "`forward` returned (B, D); a penalty is (B,) or ()",
    "z.abs().sum(0)": "`forward` returned (D,); a penalty is (B,) or ()",
    "z.abs().sum(1, keepdim=True)": "`forward` returned (B, 1); a penalty is (B,) or ()",
    "None": "`forward` returned nothing: is there a return?; a penalty is (B,) or ()",
    "z.detach().sum().item()": "`forward` returned float, no tensor; a penalty is (B,) or ()",
    "(z.square().sum(1) * 0).log() * 0": "`forward` returned NaN in 5 of 5 rows",
    "z.square().sum(1) / 0": "`forward` returned infinity in 5 of 5 rows",
}


@pytest.mark.parametrize(("body", "message"), FAULTS.items(), ids=FAULTS)
def test_what_a_part_gives_is_tried_before_anything_is_trained(body, message, project, module, tmp_path):
    project(body)
    with pytest.raises(UsageError) as error:
        run_in(tmp_path / "run", "regularizer=hoyer", *WORDS)
    assert f"regularizer.hoyer: {module}.Hoyer: {message}" in str(error.value)
    assert f"{tmp_path / module}.py, line " in str(error.value)
    assert not (tmp_path / "run/checkpoints/last.pt").exists()


def blamed(project, tmp_path, body):
    project(body)
    cfg = composed("regularizer=hoyer", *WORDS)
    with pytest.raises(Exception) as error:
        run_in(tmp_path / "run", "regularizer=hoyer", *WORDS)
    return find_blame(error.value, to_dict(cfg))


def test_what_a_part_raises_is_told_with_its_own_lines_alone(project, module, tmp_path):
    blame = blamed(project, tmp_path, "z @ z.new_zeros(3, 3)")
    assert blame is not None
    assert blame.message.startswith(f"regularizer.hoyer: {module}.Hoyer raised RuntimeError: mat1 and mat2")
    assert f"{tmp_path / module}.py, line" in blame.message and "in forward" in blame.message
    assert "z @ z.new_zeros(3, 3)" in blame.lines and "aeexp/" not in blame.lines and "torch/nn" not in blame.lines


def test_a_mistake_that_a_part_explains_itself_is_no_failure_of_its_code(project, tmp_path):
    raising = "(_ for _ in ()).throw(__import__('aeexp.errors').errors.UsageError('weight=1 is not for this'))"
    assert blamed(project, tmp_path, raising) is None


NAMES = {
    "{}.Missing": "the module {0} has no Missing",
    "{}.Hoyr": "did you mean {0}.Hoyer?",
    "{}.Regularizer": "not defined there",
    "{}.absent.Hoyer": "there is no module {0}.absent",
    "absent_package.Hoyer": "there is no package absent_package",
    "os.system": "only aeexp and torch.optim may be instantiated, and own parts",
    "hydra.utils.get_method": "only aeexp and torch.optim may be instantiated, and own parts",
}


@pytest.mark.parametrize(("name", "message"), NAMES.items(), ids=NAMES)
def test_a_name_that_leads_to_no_part_is_told_when_it_is_composed(name, message, project, module):
    project()
    cfg = composed("regularizer=hoyer", f"regularizer.hoyer._target_={name.format(module)}")
    with pytest.raises(UsageError) as error:
        check(cfg)
    assert message.format(module) in str(error.value)
    assert str(error.value).startswith("regularizer.hoyer._target_=")


@pytest.mark.parametrize(
    ("text", "message"),
    [("import absent_package", "needs the package absent_package, which is not installed"),
     ("1 / 0", "importing {0} fails: ZeroDivisionError"), ("def f(:", "importing {0} fails: SyntaxError")],
)  # fmt: skip
def test_a_module_that_cannot_be_imported_says_why(text, message, project, module, tmp_path):
    project()
    (tmp_path / f"{module}.py").write_text(text)
    cfg = composed("regularizer=hoyer")
    with pytest.raises(UsageError, match=message.format(module)) as error:
        check(cfg)
    blame = find_blame(error.value, to_dict(cfg))
    assert blame is not None and text in blame.lines


def test_keys_of_an_own_part_are_held_against_its_signature(project):
    project()
    with pytest.raises(UsageError, match=r"regularizer\.hoyer\.wieght=1: .* did you mean weight"):
        check(composed("regularizer=hoyer", "+regularizer.hoyer.wieght=1"))
    with pytest.raises(UsageError, match=r"regularizer\.hoyer\.weight='x' should be a number"):
        check(composed("regularizer=hoyer", "regularizer.hoyer.weight=x"))


def test_own_options_are_listed_and_explained_where_their_folder_is_named(project, module, tmp_path):
    project()
    write_option(tmp_path, "notes/x", "a: 1\n")  # no group of aeexp
    assert "hoyer" in options.list_groups()["regularizer"] and "notes" not in options.list_groups()
    option = options.read_option("regularizer", "hoyer")
    assert option.target == f"{module}.Hoyer" and option.keys[1 - 1].comment == "of it"
    assert options.list_groups()["regularizer"] == sorted(options.list_groups()["regularizer"])


def test_nothing_of_it_is_there_elsewhere():
    assert "hoyer" not in options.list_groups()["regularizer"]
    with pytest.raises(Exception, match="hoyer"):
        composed("regularizer=hoyer")


def test_a_class_of_the_main_program_is_known_by_its_source():
    assert describe_provenance({"regularizer": {"x": {"_target_": "os.system"}}}) == {}

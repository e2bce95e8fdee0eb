"""What is shipped and what stands around it: the wheel, the citation, the hooks and workflows."""

from __future__ import annotations

import email
import json
import re
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest
import yaml
from commands import QUICK, ROOT, aeexp

WORKFLOWS = sorted((ROOT / ".github").rglob("*.yml"))
HOOKS = ROOT / ".pre-commit-config.yaml"
# Citation File Format 1.2.0: what may stand at the top, what must, and what an entity among the authors may have
CITATION = set(
    "abstract authors cff-version commit contact date-released doi identifiers keywords license license-url message "
    "preferred-citation references repository repository-artifact repository-code title type url version".split()
)
ENTITY = set(
    "address alias city country date-end date-start email fax location name orcid post-code region tel website".split()
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder that holds the unpacked wheel and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT)]
    result = subprocess.run(build, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    with zipfile.ZipFile(next((folder / "dist").glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def metadata(site) -> Message:
    """What pyproject.toml says of the project, as the wheel carries it."""
    return email.message_from_string(next(site.glob("*.dist-info/METADATA")).read_text(encoding="utf-8"))


def test_the_wheel_has_its_configuration_its_types_and_its_plugin(site):
    names = {path.relative_to(site / "aeexp/conf").as_posix() for path in site.rglob("*.yaml")}
    assert names == {path.relative_to(ROOT / "conf").as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    assert (site / "aeexp/py.typed").is_file() and (site / "aeexp/datasets/sets/mnist_small.txt").is_file()
    assert (site / "hydra_plugins/aeexp_optuna/sweeper.py").is_file()


@pytest.mark.slow
def test_an_installed_wheel_runs_on_the_digits_that_it_carries(site, tmp_path):
    assert (site / "aeexp/datasets/sets/mnist_small.npz").stat().st_size <= 1_600_000
    result = aeexp(*QUICK, "dataset=mnist_small", cwd=tmp_path, PYTHONPATH=str(site))
    assert result.returncode == 0, result.stderr
    assert json.loads(next((tmp_path / "outputs").glob("*/*/status.json")).read_text())["status"] == "finished"


def test_the_citation_says_what_the_project_says(metadata):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert {"authors", "cff-version", "message", "title"} <= set(citation) <= CITATION
    assert citation["authors"] and all(set(author) <= ENTITY and author["name"] for author in citation["authors"])
    said = {key: citation[key] for key in ("title", "version", "abstract", "license")}
    assert said == dict(
        title=metadata["Name"],
        version=metadata["Version"],
        abstract=metadata["Summary"],
        license=metadata["License-Expression"].removesuffix(
            " AND CC-BY-SA-3.0"
        ),  # of the software; the digits' is another
    )


@pytest.mark.parametrize("path", [*WORKFLOWS, HOOKS], ids=lambda path: path.name)
def test_a_workflow_form_or_hook_is_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


def test_every_make_target_that_is_called_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    callers = [*WORKFLOWS, HOOKS, ROOT / ".github/pull_request_template.md", ROOT / ".ci/run"]
    calls = {
        (path.name, word)
        for path in callers
        for line in re.findall(r"(?:run: |`|^)make ([^`\n]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        for word in line.split()
        if "=" not in word  # a variable
    }
    assert {("ci.yml", "lint"), ("ci.yml", "test-all"), ("ci.yml", "smoke"), ("run", "test-all")} <= calls
    assert {call for call in calls if call[1] not in targets} == set()


def test_hooks_call_the_tools_of_the_lock_file():
    locked = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    (source,) = yaml.safe_load(HOOKS.read_text(encoding="utf-8"))["repos"]
    assert source["repo"] == "local"
    for hook in source["hooks"]:
        assert hook["language"] == "system"
        assert Path(hook["entry"].split()[0]).name in locked

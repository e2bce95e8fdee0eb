"""What is shipped and what stands around it: the wheel, the citation, the hooks and workflows."""

from __future__ import annotations

import email
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.message import Message
from pathlib import Path

import pytest
import yaml
from commands import QUICK, ROOT, aeexp

WORKFLOWS = sorted((ROOT / ".github").rglob("*.yml"))
DATA = (".css", ".html", ".js", ".npz", ".txt", ".typed", ".yaml")  # what the package has beside its code
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
def dist(tmp_path_factory) -> Path:
    """A folder with the sdist, and the wheel that is built from it: what the one lacks the other cannot have."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(build, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def site(dist, tmp_path_factory) -> Path:
    """A folder that holds the unpacked wheel and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory) -> Path:
    """The commands of an environment of its own, into which pip installed the wheel. What aeexp needs it finds beside
    it, where this environment has it: nothing is fetched."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    venv.create(folder, symlinks=os.name != "nt")
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    python = commands / "python"
    own = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    (Path(own.strip()) / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    wheel = next(dist.glob("*.whl"))
    words = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", str(wheel)]
    result = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return commands


@pytest.fixture(scope="module")
def metadata(site) -> Message:
    """What pyproject.toml says of the project, as the wheel carries it."""
    return email.message_from_string(next(site.glob("*.dist-info/METADATA")).read_text(encoding="utf-8"))


def test_the_wheel_has_its_configuration_its_types_and_its_plugin(site):
    names = {path.relative_to(site / "aeexp/conf").as_posix() for path in (site / "aeexp/conf").rglob("*.yaml")}
    assert names == {path.relative_to(ROOT / "conf").as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    assert (site / "aeexp/py.typed").is_file() and (site / "aeexp/datasets/sets/mnist_small.txt").is_file()
    assert (site / "hydra_plugins/aeexp_optuna/sweeper.py").is_file()
    own = {path.relative_to(ROOT) for path in (ROOT / "aeexp").rglob("*") if path.suffix in DATA}
    assert len(own) > 20 and [path for path in own if not (site / path).is_file()] == []


@pytest.mark.slow
def test_an_installed_wheel_runs_on_the_digits_that_it_carries(site, tmp_path):
    assert (site / "aeexp/datasets/sets/mnist_small.npz").stat().st_size <= 1_600_000
    result = aeexp(*QUICK, "dataset=mnist_small", cwd=tmp_path, PYTHONPATH=str(site))
    assert result.returncode == 0, result.stderr
    assert json.loads(next((tmp_path / "outputs").glob("*/*/status.json")).read_text())["status"] == "finished"


def test_both_files_are_small_and_have_what_they_need_and_nothing_else(dist):
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    assert wheel.name == "aeexp-0.1.0-py3-none-any.whl" and sdist.name == "aeexp-0.1.0.tar.gz"
    assert max(wheel.stat().st_size, sdist.stat().st_size) < 5_000_000
    with zipfile.ZipFile(wheel) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {
            "aeexp",
            "hydra_plugins",
            "aeexp-0.1.0.dist-info",
        }
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "conf/config.yaml"} <= names
    assert not {"outputs", "tests", "docs", ".venv"} & {name.split("/")[0] for name in names}


def test_what_was_tested_stands_in_the_metadata_and_no_more(metadata):
    """The lock file's head says on which Python all tests were run with these versions."""
    head = (ROOT / "requirements.lock").read_text(encoding="utf-8").split("==")[0]
    tested = set(re.findall(r"Python (3\.\d+)", head))
    stated = {text.rpartition(" ")[2] for text in metadata.get_all("Classifier", []) if "Python :: 3." in text}
    assert stated == tested != set()
    assert metadata["Requires-Python"] == ">=3.10"


@pytest.mark.slow
def test_from_an_empty_folder_the_installed_commands_and_the_first_tutorial_run(installed, tmp_path):
    around = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MPLBACKEND")}
    around["PATH"] = os.pathsep.join([str(installed), around.get("PATH", "")])

    def call(command: str, *words: str) -> str:
        done = subprocess.run(
            [installed / command, *words], cwd=tmp_path, env=around, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command} {words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    place = Path(call("python", "-c", "import aeexp; print(aeexp.__file__)").strip())
    assert installed.parent in place.parents and ROOT not in place.parents
    assert "Kingma and Welling 2014" in call("aeexp-explain", "vae") and "regularizer" in call("aeexp", "--help")
    quick = ("trainer.steps=60", "threads=1")
    assert "linear probe accuracy" in call("aeexp", *quick, "hydra.run.dir=one")
    assert (tmp_path / "one/figures/reconstructions.png").is_file()
    few = ("metric=[reconstruction]", "plot=[reconstructions]", "hydra.sweep.dir=several")
    assert "2 of 2 runs finished" in call("aeexp", "-m", *quick, *few, "latent.dim=2,8")
    assert "latent.dim" in call("aeexp-report", "several", "--output", "out")
    assert (tmp_path / "out/report.html").is_file() and "converge" in call("aeexp-doctor", "several")
    tutorial = json.loads((ROOT / "docs/tutorials/01-first-run.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in tutorial["cells"] if cell["cell_type"] == "code"]
    code = "\n".join(cells).replace("trainer.steps=800", "trainer.steps=60")
    call("python", "-c", f"{code}\nassert tuple(codes.shape) == (5, 16), codes.shape")
    assert call("aeexp-new", "regularizer", "hoyer") and list(tmp_path.rglob("hoyer.yaml"))


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

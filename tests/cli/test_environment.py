"""Every command in environments that are not the developer's: a notebook's, other locales, a user without a home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import QUICK, ROOT

pytestmark = pytest.mark.slow  # eight commands in each
QUIET = ["threads=1", "metric=none", "trainer.epochs=2", "variant=vae"]
# module, words, exit code, what is in the output
COMMANDS = {
    "help": ("aeexp.cli.train", ["--help"], 0, "Groups, chosen as group=option"),
    "explain": ("aeexp.cli.explain", ["vae", "kl"], 0, "regularizer.kl.weight"),
    "mistake": ("aeexp.cli.train", ["latent.dim=0"], 2, "should be a whole number of at least 1"),
    "run": ("aeexp.cli.train", [*QUIET, "plot=[curves]", "hydra.run.dir=run"], 0, "run folder: run"),
    "evaluate": ("aeexp.cli.evaluate", ["run", "metric=[reconstruction]", "plot=[samples]"], 0, "samples.png"),
    "encode": ("aeexp.cli.encode", ["run"], 0, "Train on them: aeexp"),
    "sweep": ("aeexp.cli.train", ["-m", *QUICK, "latent.dim=2,3", "hydra.sweep.dir=s"], 0, "2 of 2 runs finished"),
    "report": ("aeexp.cli.report", ["s", "--output", "report"], 0, "report.html"),
}
NO_HOME = """
import pwd
def getpwuid(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = getpwuid
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
ENVIRONMENTS = {
    "a notebook's shell in ASCII, nobody at home": {**ASCII, **NOTEBOOK, "HOME": "", "USER": "", "LOGNAME": ""},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "GBK": {"LC_ALL": "zh_CN.GBK", "PYTHONUTF8": "0"},
    "EUC-JP": {"LC_ALL": "ja_JP.EUC-JP", "PYTHONUTF8": "0"},
}
EACH = """
import importlib, io, json, sys
for module, words in json.loads(sys.argv[1]):
    sys.argv, code = ["aeexp", *words], 0
    try:
        importlib.import_module(module).main(*([] if module.endswith("train") else [words]))
    except SystemExit as stop:
        code = stop.code
    print("\\nEXIT", code or 0, flush=True)
"""


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def answers(request, tmp_path_factory) -> tuple[Path, dict[str, tuple[int, str]]]:
    """What each command said in this environment, one after the other in one process."""
    folder, env = tmp_path_factory.mktemp("environment"), {**os.environ, **ENVIRONMENTS[request.param]}
    if request.param in ("GBK", "EUC-JP"):
        if shutil.which("localedef") is None:
            pytest.skip("needs localedef to make the locale")
        language, charmap = env["LC_ALL"].split(".")
        made = [shutil.which("localedef"), "-c", "-i", language, "-f", charmap, str(folder / env["LC_ALL"])]
        if subprocess.run(made, capture_output=True, check=False).returncode:
            pytest.skip(f"no sources of {env['LC_ALL']} on this machine")
        env["LOCPATH"] = str(folder)
    if not env["HOME"]:
        (folder / "sitecustomize.py").write_text(NO_HOME, encoding="utf-8")
        for key in ("HOME", "USER", "LOGNAME"):
            del env[key]
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(folder)])
    words = json.dumps([command[:2] for command in COMMANDS.values()])
    done = subprocess.run([sys.executable, "-c", EACH, words], cwd=folder, capture_output=True, timeout=600, env=env)
    parts = done.stdout.decode("utf-8", "replace").split("\nEXIT ")
    errors = done.stderr.decode("utf-8", "replace")
    assert "Traceback" not in errors and "Logging error" not in errors and "raised" not in errors, errors
    codes = [int(part.splitlines()[0]) for part in parts[1:]]
    said = {name: (code, part) for name, code, part in zip(COMMANDS, codes, parts, strict=False)}
    said["mistake"] = (said["mistake"][0], said["mistake"][1] + errors)
    return folder, said


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_does_the_same_in_every_environment(answers, name):
    code, said = answers[1][name]
    assert code == COMMANDS[name][2] and COMMANDS[name][3] in said


def test_files_are_utf_8_in_every_environment(answers):
    folder, _ = answers
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "Student’s" in page or "Test split" in page
    assert "run folder: run" in (folder / "run" / "train.log").read_text(encoding="utf-8")
    assert (folder / "run" / "figures" / "curves.png").is_file()

"""aeexp-doctor: what runs suffer from, and exit codes like the other commands'."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from composing import composed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ill import CASES, DRAWN, HEALTHY, merge
from omegaconf import OmegaConf
from reported import job

import aeexp
from aeexp.cli.doctor import compose_again, main
from aeexp.diagnoses import RULES, Cure


def write(folder, *words: str, **change):
    """A finished run with numbers by hand, and the configuration that it had."""
    job(folder, *words, loss=1.0)
    config = json.dumps(OmegaConf.to_container(composed(*words)))
    (folder / ".hydra" / "config.yaml").write_text(config)
    numbers = merge(merge(HEALTHY, DRAWN if words else {}), change)
    known = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**known, **numbers}))
    return folder


def call(capsys, *words) -> tuple[int, str, str]:
    code = 0
    try:
        main(list(map(str, words)))
    except SystemExit as end:
        code = int(end.code or 0)
    return (code, *capsys.readouterr())


def test_each_run_is_told_its_illnesses_with_evidence_threshold_reason_and_cures(tmp_path, capsys):
    write(tmp_path / "0", "variant=vae", "latent.dim=8", **{"test": {"latent/kl": 0.3}, "val": {"latent/kl": 0.3}})
    write(tmp_path / "1")
    code, text, wrong = call(capsys, tmp_path)
    ill, well = text.strip().split("\n\n")
    assert (code, wrong) == (0, "") and well.endswith("no illness found in what was measured")
    assert ill.startswith(f"{tmp_path / '0'}: variant=vae latent.dim=8\n  1. posterior collapse\n")
    for part in ("latent/kl 0.3", "below log 2 = 0.69", "one bit", "regularizer.kl.free_bits=0.5"):
        assert part in ill
    assert ill.splitlines()[-1].strip() == "again     aeexp variant=vae latent.dim=8 regularizer.kl.weight=0.1"


def test_a_cure_takes_the_place_of_what_was_typed():
    typed = ("variant=vae", "regularizer.kl.weight=4", "+x=it's")
    cure = Cure(("regularizer.kl.weight=0.4", "regularizer.kl.warmup=linear"), "")
    assert (
        compose_again(typed, cure)
        == 'aeexp variant=vae "+x=it\'s" regularizer.kl.weight=0.4 regularizer.kl.warmup=linear'
    )
    assert compose_again((), Cure(("latent.dim=4",), "")) == "aeexp latent.dim=4"


def test_an_old_run_is_told_by_its_numbers_and_its_history(tmp_path, capsys):
    """Without `curve` and `diagnoses` in metrics.json; the best step was the last one."""
    folder = write(tmp_path / "old", **{"curve": None, "best_step": 40})
    rows = [
        "step,epoch,split,loss",
        *(f"{10 * i},1,{split},{50 - 10 * i}" for i in range(1, 5) for split in ("train", "val")),
    ]
    (folder / "history.csv").write_text("\n".join([*rows, "40,1,val,10", "40,1,test,10"]) + "\n")
    code, text, _ = call(capsys, folder)
    assert code == 0 and "stopped before it converged" in text and "33.3% of the whole fall" in " ".join(text.split())
    assert "trainer.steps=80" in text
    (folder / "history.csv").write_text("no,table\n1\n")
    assert "no illness found" in call(capsys, folder)[1]


def test_exit_codes(tmp_path, capsys):
    folder = write(tmp_path / "run")
    assert call(capsys, tmp_path / "nowhere")[0] == 2 and call(capsys)[0] == 2
    job(tmp_path / "failed", "seed=1", status="failed", message="Diverged: the loss is nan")
    code, text, _ = call(capsys, tmp_path)
    assert code == 0 and "failed: Diverged: the loss is nan" in text
    (folder / "metrics.json").write_text("{")
    code, _, wrong = call(capsys, folder)
    assert code == 1 and "unreadable" in wrong and "Traceback" not in wrong


def test_rules_are_told_without_a_run(capsys):
    code, text, _ = call(capsys, "--rules")
    assert code == 0 and all(rule.name in text for rule in RULES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.sampled_from(CASES), st.sampled_from([None, [], "x\x1b[31m", 1e308, {"a": 1}, True]), st.data())
def test_whatever_lies_in_a_folder_is_a_line_and_no_exception(tmp_path_factory, capsys, case, bad, data):
    folder = tmp_path_factory.mktemp("run") / "run"
    job(folder, "seed=1", loss=1.0)
    tree = {**json.loads((folder / "metrics.json").read_text()), **merge(HEALTHY, case.ill)}
    part = data.draw(st.sampled_from(sorted(tree)))
    tree[part] = bad
    (folder / "metrics.json").write_text(json.dumps(tree))
    code, text, wrong = call(capsys, folder)
    assert code in (0, 1) and "Traceback" not in wrong and "\x1b" not in text


def test_a_run_in_python_tells_the_same(tmp_path):
    folder = write(tmp_path / "run", **{"curve": {"swing": 3.0}})
    (ill,) = aeexp.open(folder).diagnoses
    assert ill.name == "rate too high" and ill.evidence == {"curve/swing": 3.0}
    assert ill.cure == "optimizer.lr=0.0001" and str(aeexp.open(folder).diagnoses) == str(ill)
    assert "<li>rate too high" in aeexp.open(folder).diagnoses._repr_html_()


def test_help_comes_without_torch():
    code = "import sys; from aeexp.cli.doctor import main\ntry: main(['-h'])\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: aeexp-doctor") and done.stdout.strip().endswith("False")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_doctor_says_no_less_than_the_end_of_the_run(case, tmp_path, capsys):
    from ill import facts

    found = facts(case, case.ill)
    folder = tmp_path / "run"
    job(folder, *case.words, loss=1.0)
    (folder / "metrics.json").write_text(
        json.dumps({**json.loads((folder / "metrics.json").read_text()), **found.metrics})
    )
    (folder / ".hydra" / "config.yaml").write_text(json.dumps(OmegaConf.to_container(composed(*case.words))))
    assert f" {case.name}" in call(capsys, folder)[1]

"""`hydra/launcher=processes`, `slurm`, `submitit_local`, `ray`: whatever ends a job, the others go on, and so does the
same command."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from commands import aeexp
from composing import CONF
from disturbed import KILLED, find_trainer, finish, make_words, read_finished, read_states, run_twice, start

from aeexp.errors import UsageError
from aeexp.sweeps.cluster import Ray, Submitit, launching
from aeexp.sweeps.cluster.part import Part
from aeexp.sweeps.cluster.pool import Ending, Lost
from aeexp.sweeps.refusals import take_refusals

LAUNCHERS = {path.stem: yaml.safe_load(path.read_text()) for path in (CONF / "hydra" / "launcher").glob("*.yaml")}
CLUSTER = {name: node for name, node in LAUNCHERS.items() if "aeexp_cluster" in node["_target_"]}
JOBS = 6


def test_each_key_of_a_launcher_is_one_of_its_own_and_in_its_range():
    from hydra.utils import instantiate

    assert CLUSTER.keys() == {"processes", "slurm", "submitit_local", "ray"}
    for node in CLUSTER.values():
        launcher = instantiate({**node, **({"submitit_folder": "x"} if "submitit_folder" in node else {})})
        launching.make(launcher.pool, launcher.given)
        launching.make("Sharing", launcher.sharing)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("hydra/launcher=processes hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs=0 should be"),
        ("hydra/launcher=slurm hydra.launcher.timeout_min=-1", "hydra.launcher.timeout_min=-1 should be"),
        ("hydra/launcher=ray hydra.launcher.max_retries=-1", "hydra.launcher.max_retries=-1 should be"),
        ("hydra/launcher=processes hydra.launcher.most=1", "hydra.launcher.most=1 should be"),
    ],
)
def test_a_key_out_of_its_range_is_told_before_anything_runs(word, message, tmp_path):
    done = aeexp("-m", *word.split(), "seed=0,1", "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "sweep" / "0").exists() and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "pool"), [("submitit", Submitit(cluster="local", submitit_folder="x")), ("ray", Ray())]
)
def test_a_package_that_is_missing_is_named_with_the_way_to_it(name, pool, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        UsageError, match=rf"is not installed: pip install 'aeexp\[{'slurm' if name == 'submitit' else name}\]'"
    ):
        pool.run([], Ending())


def test_a_ray_cluster_that_is_gone_is_told_at_once():
    pytest.importorskip("ray")
    with socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(UsageError, match=rf"hydra.launcher.address={address}: no Ray cluster answers there"):
            Ray(address=address).run([], Ending())


def test_without_slurm_the_launcher_says_so(monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="there is no sbatch on this machine"):
        Submitit(cluster="slurm", submitit_folder="x").run([], Ending())


def test_a_job_that_was_lost_has_a_word_and_no_value(tmp_path, caplog):
    jobs = [(0, ["seed=0"]), (1, ["seed=1"]), (2, ["a=1"])]
    parts = [SimpleNamespace(jobs=jobs[:2], name="#0, #1"), SimpleNamespace(jobs=jobs[2:], name="#2")]
    own = tmp_path / "at" / "seed=1"  # a folder of the user's own choice
    (own / ".hydra").mkdir(parents=True)
    (own / "status.json").write_text("{}")
    for name, text in (("overrides.yaml", "[seed=1]"), ("config.yaml", "{}"), ("hydra.yaml", "{}")):
        (own / ".hydra" / name).write_text(text)
    results = launching.collect(tmp_path, jobs, parts, [Lost("its node died"), {2: 0.5}])  # pyright: ignore[reportArgumentType] -- stand-ins
    values = [result.return_value for result in results]
    assert values[2] == 0.5 and values[0] != values[0] and values[1] != values[1]
    assert {number: state["message"] for number, state in take_refusals(tmp_path).items()} == {0: "its node died"}
    assert "#0, #1: its node died" in caplog.text


def test_a_part_knows_the_variables_that_are_ours_alone(monkeypatch):
    monkeypatch.setenv("AEEXP_TRUST", "own")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    part = Part({}, None, None, None, [(3, ["a=1"])], results=Path("r"))  # pyright: ignore[reportArgumentType] -- none is asked
    assert part.environment["AEEXP_TRUST"] == "own" and "SECRET_TOKEN" not in part.environment
    assert part.place == Path("r", "values-3.json")


def test_jobs_in_processes_leave_what_one_by_one_leaves(tmp_path):
    words = ["seed=0,1", "latent.dim=4,0", "trainer.epochs=1", "threads=1", "plot=none", "metric=reconstruction",
             *(f"~hydra.callbacks.{name}" for name in ("report", "gallery", "lineup", "curves"))]  # fmt: skip
    done = aeexp("-m", "hydra/launcher=processes", *words, "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "2 of 4 runs finished" in done.stdout and "latent.dim=0 should be" in done.stdout
    assert aeexp("-m", *words, "hydra.sweep.dir=plain", cwd=tmp_path).returncode == 2
    ours, plain = (read_finished(tmp_path / name) for name in ("sweep", "plain"))
    assert {number: test for number, (_, test) in ours.items()} == {number: test for number, (_, test) in plain.items()}


@pytest.mark.slow
def test_a_signal_ends_all_and_the_same_command_goes_on(tmp_path):
    root, words = tmp_path / "sweep", ["hydra/launcher=processes", *make_words(4, 3000)]
    command = start(root, *words)
    find_trainer(root, 0)
    os.kill(command.pid, signal.SIGINT)
    code, output = finish(command)
    assert code == 130 and "Traceback" not in output, output
    assert "interrupted" in read_states(root, 1) and "interrupted; the same command with hydra.sweep.dir=" in output
    code, output = finish(start(root, *words))
    assert code == 1 and read_finished(root).keys() == {0, 1, 2}, output


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
@pytest.mark.parametrize("launcher", ["basic", "processes", "slurm", "ray"])
def test_two_starts_of_one_sweep_train_nothing_twice(launcher, tmp_path, request):
    if launcher in (places := {"slurm": "slurm", "ray": "ray_cluster"}):
        request.getfixturevalue(places[launcher])
    root, words = tmp_path / "sweep", [f"hydra/launcher={launcher}", *make_words(4)]
    commands = [start(root, *words), start(root, *words)]
    outputs = [finish(command)[1] for command in commands]
    assert all("Traceback" not in output for output in outputs), outputs
    finished = read_finished(root)
    assert len({tuple(sorted(test.items())) for _, test in finished.values()}) == len(finished) == 3
    logs = [(root / str(number) / "train.log").read_text().count("step 1500/1500") for number in finished]
    assert logs == [1, 1, 1]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The test numbers of the sweep that nobody disturbs, one job after another."""
    root = tmp_path_factory.mktemp("plain") / "sweep"
    code, output = finish(start(root, *make_words(JOBS)))
    assert code == 1, output
    return {number: test for number, (_, test) in read_finished(root).items()}


def check(root: Path, launcher: list[str], plain: dict[int, dict[str, float]]) -> tuple[list[str], list[str]]:
    first, second = run_twice(root, launcher, JOBS)
    assert not any("Traceback" in line for line in [*first, *second])
    assert {number: test for number, (_, test) in read_finished(root).items()} == plain
    assert any(f"{JOBS - 1} of {JOBS} runs finished" in line for line in second)
    return first, second


@pytest.mark.slow
def test_processes_hold_what_they_promise(tmp_path, plain):
    first, _ = check(tmp_path / "sweep", ["hydra/launcher=processes", "hydra.launcher.n_jobs=2"], plain)
    assert any(f"sweep/{KILLED} cut off: its process ended without a word" in line for line in first)
    assert any(f"#{KILLED}: its process was killed" in line and "exit code -9" in line for line in first)


@pytest.mark.slow
def test_jobs_of_submitit_hold_it_on_this_machine(tmp_path, plain):
    pytest.importorskip("submitit")
    first, _ = check(tmp_path / "sweep", ["hydra/launcher=submitit_local"], plain)
    assert any(f"sweep/{KILLED} cut off: its process ended without a word" in line for line in first)


@pytest.mark.slow
def test_a_preempted_job_of_slurm_goes_on_by_itself(tmp_path, plain, slurm):
    root = tmp_path / "sweep"
    first, _ = check(root, ["hydra/launcher=slurm", "hydra.launcher.array_parallelism=2"], plain)
    assert any(f"sweep/{KILLED} cut off: its process ended without a word" in line for line in first)
    assert any(f"{JOBS - 2} of {JOBS} runs finished" in line for line in first), "the preempted one among them"


@pytest.mark.slow
def test_runs_that_are_alike_are_one_job_of_slurm(tmp_path, slurm):
    words = ["hydra/launcher=slurm", "hydra.launcher.stack=true", "seed=0,1,2", "model.hidden_dims=[32],[64]",
             "trainer.epochs=1", "plot=none", "metric=reconstruction"]  # fmt: skip
    code, output = finish(start(tmp_path / "sweep", *words))
    assert code == 0 and "Launching 6 jobs in 2 groups" in output and "6 of 6 runs finished" in output, output


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_tasks_of_ray_hold_it_over_two_nodes(tmp_path, plain, ray_cluster):
    check(tmp_path / "sweep", ["hydra/launcher=ray"], plain)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_jobs_of_a_node_that_dies_go_on_on_another(tmp_path, ray_cluster):
    cluster, node = ray_cluster
    root = tmp_path / "sweep"
    command = start(root, "hydra/launcher=ray", *make_words(3, 3000))
    find_trainer(root, 0)
    find_trainer(root, 1)
    cluster.remove_node(node, allow_graceful=False)
    code, output = finish(command)
    assert code == 1 and read_finished(root).keys() == {0, 1}, output

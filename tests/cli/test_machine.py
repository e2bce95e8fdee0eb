"""What a machine refuses is told in a line, ends with 1 and `failed`, and costs nothing that was finished."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands import QUICK
from forked import call, resource, start
from interrupted import files_of, same
from representatives import few

from aeexp.errors import UsageError, explain_machine
from aeexp.runs.folder import RunFolder

GIB = 1 << 30
WORDS = [*QUICK, "hydra.run.dir=run"]


def ends_in_words(code: int, text: str, folder: Path, *, expected: int = 1) -> str:
    """Its message; at most the data's line stands before it."""
    lines = text.strip().splitlines()
    assert code == expected and "Traceback" not in text and "Error" not in text, text
    assert lines and len([line for line in lines if not line.startswith(("digits:", "step "))]) <= 2, text
    status = RunFolder(folder).read_status()
    assert (status["status"], status["exit_code"]) == ("failed", expected)
    assert status["message"] in text
    return status["message"]


HUGE = [
    ["latent.dim=1000000000"],
    ["variant=pca", "latent.dim=1000000000"],
    ["model.hidden_dims=[1000000000]"],
]


@pytest.mark.parametrize("words", few(HUGE, HUGE[0]))
def test_a_model_that_no_machine_holds_is_too_large_in_words(words, tmp_path):
    given = [word for word in WORDS if not (words[0] == "variant=pca" and word.startswith("trainer."))]
    code, text = call(*given, *words, cwd=tmp_path, limits={resource.RLIMIT_AS: 16 * GIB})
    message = ends_in_words(code, text, tmp_path / "run")
    assert message.startswith("not enough memory (for ") and " GB at once)" in message


@pytest.mark.parametrize("words", [["threads=1000000"], ["threads=1000"]])
def test_threads_that_no_machine_gives_are_a_wrong_value(words, tmp_path):
    code, text = call(*WORDS, *words, cwd=tmp_path, limits={resource.RLIMIT_AS: 4 * GIB})
    assert ends_in_words(code, text, tmp_path / "run", expected=2).startswith(f"{words[0]}")


@pytest.mark.parametrize("mib", [500, 1100, 1279, 1280, pytest.param(1400, marks=pytest.mark.slow)])
def test_little_memory_is_told(mib, tmp_path):
    """Below 1.25 GiB before the libraries are loaded: they would abort, or try again for ever."""
    code, text = call(*WORDS, cwd=tmp_path, limits={resource.RLIMIT_AS: mib << 20})
    if mib < 1280:
        assert code == 1 and text.startswith("not enough memory: ") and text.count("\n") == 1
        assert not (tmp_path / "run").exists()
    elif code:
        assert ends_in_words(code, text, tmp_path / "run").startswith("not enough memory")


@pytest.mark.parametrize("count", [8, 10, 11, 12, 13])
def test_too_few_descriptors_are_told(count, tmp_path):
    code, text = call(*WORDS, cwd=tmp_path, limits={resource.RLIMIT_NOFILE: count})
    if code:
        assert code == 1 and "Traceback" not in text and "allow more open files (ulimit -n)" in text, text
        # or no descriptor for its first word, or for its last
        assert RunFolder(tmp_path / "run").read_state() in ("failed", "unreadable", "running")


@pytest.fixture
def small(tmp_path):
    """small(kilobytes): a disk of that size in tmp_path/disk; resized where it is there already."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = []

    def mount(size: int) -> Path:
        options = f"size={size}k" + (",remount" if mounted else "")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], capture_output=True, text=True
        )
        if done.returncode and not mounted:
            pytest.skip(f"no small disk can be made here: {done.stderr.strip()}")
        mounted.append(size)
        return disk

    yield mount
    if mounted:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    where = tmp_path_factory.mktemp("undisturbed")
    assert call(*WORDS, cwd=where)[0] == 0
    return files_of(where / "run/checkpoints")


@pytest.mark.parametrize("size", few([4, 16, 32, 64, 400, 700, 1200], 4, 64, 700))
def test_a_full_disk_is_told_and_with_room_the_run_goes_on_to_the_same_bits(size, small, undisturbed, tmp_path):
    """Full from the first file on, in the first checkpoint, in a later one, in TensorBoard's or the last numbers."""
    disk = small(size)
    code, text = call(*WORDS, cwd=disk, log=tmp_path / "output.txt")
    if code:
        assert code == 1 and "Traceback" not in text and "Error" not in text
        assert "No space left on device" in text and "make room, and the same command goes on" in text
        run = RunFolder(disk / "run")
        assert run.read_state() == "failed" or not run.status.exists() or not run.status.stat().st_size
    small(1 << 16)
    code, text = call(*WORDS, cwd=disk, log=tmp_path / "output.txt")
    assert code == 0, text
    assert same(files_of(disk / "run/checkpoints"), undisturbed)
    assert not list(disk.rglob("*.tmp"))


def test_a_full_disk_in_a_sweep_fails_its_jobs_and_keeps_what_is_finished(small, tmp_path):
    disk = small(1 << 14)
    words = ["-m", *QUICK, "hydra.sweep.dir=s"]
    assert call(*words, "latent.dim=2", cwd=disk, log=tmp_path / "output.txt")[0] == 0
    before = (disk / "s/0/metrics.json").read_bytes()
    with open(disk / "filler", "wb") as file:
        file.write(bytes((os.statvfs(disk).f_bavail - 20) * os.statvfs(disk).f_bsize))
    code, text = call(*words, "latent.dim=2,3", cwd=disk, log=tmp_path / "output.txt")
    assert code == 1 and "No space left on device" in text and "Traceback" not in text
    assert "1 of 2 runs finished" in text
    assert (disk / "s/0/metrics.json").read_bytes() == before


@pytest.mark.parametrize("place", ["hydra.run.dir=run", "hydra.run.dir=file/run", "hydra.run.dir=file"])
def test_a_folder_that_cannot_be_is_told(place, small, tmp_path):
    disk = small(64)
    (disk / "file").write_text("of the user")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, text = call(*QUICK, place, cwd=disk, log=tmp_path / "output.txt")
    assert code in (1, 2) and "Traceback" not in text and len(text.splitlines()) in (1, 2), text
    assert place.partition("=")[2].split("/")[0] in text, "it names the folder"
    assert (disk / "file").read_text() == "of the user"


PHASES = {
    "reading": ("aeexp.runs.preparing", "load_data"),
    "measuring": ("aeexp.runs.run", "evaluate"),
    "saving": ("aeexp.runs.run", "save_best"),
    "drawing": ("aeexp.runs.run", "log_figures"),
}


@pytest.mark.parametrize("phase", few(PHASES, "reading", "saving"))
@pytest.mark.parametrize("number", few([signal.SIGTERM, signal.SIGINT], signal.SIGTERM))
def test_a_signal_outside_training_ends_like_one_within(phase, number, undisturbed, tmp_path):
    module, name = PHASES[phase]
    process = start(*WORDS, cwd=tmp_path, log=tmp_path / "log.txt", waits_in=(module, name))
    deadline = time.monotonic() + 120
    while not (tmp_path / "waits").exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(60)
    text = (tmp_path / "log.txt").read_text()
    assert process.exitcode == 130, text
    assert json.loads((tmp_path / "run/status.json").read_text())["status"] == "interrupted"
    assert "goes on" in text.splitlines()[-1] and "Traceback" not in text
    assert call(*WORDS, cwd=tmp_path)[0] == 0
    assert same(files_of(tmp_path / "run/checkpoints"), undisturbed)


def chain(*errors: BaseException) -> BaseException:
    """Each raised while the one before it was handled."""
    for before, error in zip(errors, errors[1:], strict=False):
        error.__context__ = before
    return errors[-1]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device: make room"),
        (chain(OSError(28, "No space left on device"), RuntimeError("unexpected pos 1 vs 0")), "No space left"),
        (OSError(24, "Too many open files", "x.npy"), "Too many open files: x.npy: allow more"),
        (MemoryError(), "not enough memory: a smaller"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000 bytes"),
            "(for 4 GB",
        ),
        (ImportError("x.so: failed to map segment from shared object"), "not enough memory"),
        (RuntimeError("can't start new thread"), "threads=1"),
    ],
)
def test_what_the_machine_refuses_has_words_with_a_way_out(error, words):
    text = explain_machine(error)
    assert text is not None and words in text and len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "error", [ValueError("x"), RuntimeError("shapes differ"), FileNotFoundError(2, "No such file"), UsageError("k=0")]
)
def test_what_is_no_refusal_of_the_machine_has_none(error):
    assert explain_machine(error) is None
    circle = RuntimeError("a")
    circle.__cause__ = circle.__context__ = chain(circle, ValueError("b"))
    assert explain_machine(circle) is None

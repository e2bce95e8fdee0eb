"""Whose a run folder is: nothing in it is touched before it is certain that it is this run's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import chain
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aeexp.errors import UsageError
from aeexp.runs.config import to_dict
from aeexp.runs.folder import RunFolder, run_id
from aeexp.runs.locks import Held, Lock, hold, read_owner
from aeexp.runs.origin import find_origin
from aeexp.runs.owners import describe
from aeexp.runs.places import Places
from aeexp.runs.status import Status, Taken, read_finished
from aeexp.trainers.checkpoint import load

SWEEP_DIR = "hydra.sweep.dir"
Ask = Callable[[RunFolder], Mapping[str, str]]  # what the files of `.hydra` say in such a folder, by name


def identify(cfg: DictConfig) -> str:
    """The id of a run whose configuration may still be wrong: what does not resolve counts as it stands. Raises
    UsageError where it starts from a folder that does not hold what it should."""
    try:
        resolved = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException:
        return run_id(to_dict(cfg))
    assert isinstance(resolved, dict)
    return find_origin({str(key): value for key, value in resolved.items()}).identity


@contextmanager
def claim(folder: RunFolder, identity: str, ask: Ask | None = None, key: str = "hydra.run.dir") -> Iterator[Status]:
    """The status of this run, whose folder is its own while the context lasts; `ask` gives the texts of `.hydra`.

    A finished run's folder stays as it is. What an earlier try of the same run left is gone on from, what another run
    left that came to nothing is cleared away. Raises `Taken`, in which `key` names the folder, where there is anything
    else, with nothing touched.
    """
    status = Status(folder, identity, ask(folder) if ask is not None else {})
    others = _read_recorded(folder).get("run_id") not in (None, identity)
    if status.finished is not None or others or not folder.checkpoints.is_dir():
        _check_owner(folder, identity, key)
    if status.finished is not None:
        yield status
        return
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    with _hold(folder, key) as lock:
        _check_owner(folder, identity, key)
        status = Status(folder, identity, status.asked)  # another process may have finished it meanwhile
        status.check = partial(_require_mine, lock, folder, key)
        if status.finished is not None:
            yield status
            return
        recorded = _read_recorded(folder).get("run_id")
        if recorded not in (None, identity):
            folder.clear()
        folder.remove_temporaries()
        yield status


@contextmanager
def claim_place(folder: RunFolder, number: int | None, identity: str, ask: Ask) -> Iterator[Status]:
    """`claim` for job `number` of a sweep: the folder beside `folder` that holds this run already, whatever its number,
    else `folder` itself, else the next free number; of None `folder` alone.

    So a sweep of more or other values in the same place trains what is new, and nothing twice, two commands at once
    neither. Raises `Taken` where another process is at this run.
    """
    places = Places(folder.path.parent)
    if number is None or folder.path.name != str(
        number
    ):  # hydra.sweep.subdir is the user's own: no other place will do
        with claim(folder, identity, ask, SWEEP_DIR) as status:
            places.note_unheld(identity, folder)
            yield status
        return
    with ExitStack() as stack:
        place = places.find(identity)
        if place is None or read_finished(place) is None:
            try:
                stack.enter_context(places.hold(identity))
            except Held as error:
                raise _make_taken(places.find(identity) or folder, SWEEP_DIR, error) from error
            place = places.look_up(identity)
        candidates = chain([] if place is None else [place], [folder], places.list_free(number))
        status = stack.enter_context(_claim_first(candidates, identity, ask))
        places.note(identity, status.folder)
        if status.folder.path != folder.path:
            with suppress(OSError):  # Hydra made it; it stays where it holds anything
                folder.path.rmdir()
        yield status


@contextmanager
def _claim_first(candidates: Iterable[RunFolder], identity: str, ask: Ask) -> Iterator[Status]:
    with ExitStack() as stack:
        for place in candidates:
            try:
                status = stack.enter_context(claim(place, identity, ask, SWEEP_DIR))
                break
            except Taken:
                if _read_recorded(place).get("run_id") == identity:  # another process is at it
                    raise
        else:
            raise AssertionError("numbers do not end")
        yield status


def _check_owner(folder: RunFolder, identity: str, key: str) -> None:
    owner = _read_owner(folder, key)
    if owner not in (None, identity):
        state = folder.read_state()
        kind = "a finished run" if state == "finished" else f"a run ({state})"
        raise Taken(
            f"{key}={folder} holds {kind} of another configuration (id {owner}, this one {identity}): "
            f"choose another {key}, or leave it out"
        )


def _read_owner(folder: RunFolder, key: str) -> str | None:
    """Id of the run whose work lies there; None where none does: no finished run and no checkpoint. Raises `Taken`
    where there is one and nothing says whose it is."""
    recorded = _read_recorded(folder)
    if recorded.get("status") == "finished":
        return str(recorded.get("run_id"))
    for path in (folder.last, folder.best):
        if path.is_file():
            with suppress(UsageError):  # damaged: the other one, or status.json, may tell
                return str(load(path)["run_id"])
    if folder.last.is_file() or folder.best.is_file() or (folder.metrics.is_file() and not recorded):
        if "run_id" not in recorded:
            raise Taken(
                f"{key}={folder} holds a run whose status.json and checkpoints cannot be read: "
                f"choose another {key}, or remove that run"
            )
        return str(recorded["run_id"])
    return None


def _read_recorded(folder: RunFolder) -> dict[str, Any]:
    """status.json; {} where there is none or it is damaged."""
    try:
        return folder.read_status()
    except (OSError, ValueError):
        return {}


@contextmanager
def _hold(folder: RunFolder, key: str) -> Iterator[Lock]:
    """No other process claims the folder meanwhile, on this machine or on another one."""
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(hold(folder.checkpoints))
        except Held as error:
            raise _make_taken(folder, key, error) from error
        yield lock


def _make_taken(folder: RunFolder, key: str, error: Held) -> Taken:
    return Taken(f"{key}={folder} is being written by another process: wait for it, or choose another {key} ({error})")


def _require_mine(lock: Lock, folder: RunFolder, key: str) -> None:
    """Raises `Taken` where another process took this one for dead, as after the machine stood still."""
    if not lock.is_mine():
        raise Taken(
            f"{key}={folder} was taken over by another process ({describe(read_owner(lock.path))}), for this one "
            "gave no sign of life for a minute: that one goes on with the run"
        )

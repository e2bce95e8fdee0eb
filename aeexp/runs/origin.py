"""What a run starts from: the weights of another one (`init.from`), or a shorter run that it goes on from (`resume`).

Both are part of its identity by a digest of what was there, never by the path.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aeexp.errors import UsageError, quote_override
from aeexp.runs.flat import flatten
from aeexp.runs.folder import RunFolder, run_id
from aeexp.runs.header import Header, read_header
from aeexp.runs.trust import check_plain, name_source
from aeexp.trainers.checkpoint import Saved, Unreadable, load, try_load

# How long a run is: with more of it, it goes on.
BUDGET = {f"trainer.{key}" for name in ("epochs", "steps", "patience") for key in (name, f"finetune.{name}")}
# Where a run computes, what it measures and draws: no weight hangs on it.
ASIDE = ("device", "threads", "save_codes", "metric", "plot", "trainer.checkpoint_seconds", "trainer.processes",
         "dataset.workers", "trainer.finetune.checkpoint_seconds")  # fmt: skip
_ABSENT = object()
SHOWN, LONGEST = 4, 60  # differences that a message names; characters of a value in it


class Origin(NamedTuple):
    """The identity of a run and what it began with."""

    identity: str
    init: str | None = None  # digest of the weights that `init` takes from
    extends: str | None = None  # step and digest of the state of the shorter run that this one goes on from
    extending: bool = False  # whether `resume` names that shorter run, and not this one

    def describe(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """For metrics.json: `init` {from, parts, freeze, digest} and `extends` {step, digest}, where there are such."""
        start = {} if self.init is None else {"init": {**config["init"], "digest": self.init}}
        if self.extends is None:
            return start
        step, _, digest = self.extends.partition(":")
        return {**start, "extends": {"step": int(step), "digest": digest}}


def find_origin(config: Mapping[str, Any]) -> Origin:
    """Of a plain, resolved configuration. Raises UsageError where a folder that it names holds no state, or `resume`
    that of a run that differs in more than its length."""
    init, resume = digest_source(config), config.get("resume")
    if not isinstance(resume, str) or not resume:
        return Origin(run_id(config, init), init)
    saved = read_state(RunFolder(resume))
    with name_source(f"resume={resume}"):
        header = read_header(saved)
        check_plain("config", header.config)
    identity = run_id(config, init, header.extends)
    if identity == header.run_id:
        return Origin(identity, init, header.extends)
    require_longer(resume, header, config, init)
    state = f"{header.run_id} {header.progress.step} {digest_weights(saved['learner'])}"
    extends = f"{header.progress.step}:{hashlib.blake2b(state.encode(), digest_size=8).hexdigest()}"
    return Origin(run_id(config, init, extends), init, extends, extending=True)


def digest_source(config: Mapping[str, Any]) -> str | None:
    """Of the weights that `init.from` names; None where it names none."""
    source = get_source(config)
    return None if source is None else digest_weights(read_source(source)["learner"])


def get_source(config: Mapping[str, Any]) -> str | None:
    """`init.from`; None of a configuration without it, and of one that is still to be refused."""
    node = config.get("init")
    source = node.get("from") if isinstance(node, Mapping) else None
    return source if isinstance(source, str) and source else None


def read_source(source: str) -> Saved:
    """The best checkpoint of the run that another one starts from. Raises UsageError."""
    try:
        return load(RunFolder(source).best)
    except Unreadable as error:
        raise UsageError(f"init.from={source}: {error}: name the folder of a finished run") from error


def read_state(folder: RunFolder) -> Saved:
    """The state to go on from: the last one, else the best. Raises Unreadable where neither is whole."""
    saved, reason = try_load(folder.last)
    if saved is None:
        saved, _ = try_load(folder.best)
    if saved is None:
        raise Unreadable(reason)
    return saved


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """The same for the same tensors under the same names, wherever they lie."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype} ".encode())
        digest.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def require_longer(resume: str, header: Header, config: Mapping[str, Any], init: str | None) -> None:
    """Raises UsageError where a run differs from the one it is to go on from in more than its length."""
    if header.init != init:
        raise UsageError(
            f"resume={resume}: that run began with other weights (init.from: digest {header.init or 'none'}, now "
            f"{init or 'none'}): bring them back, or start a new run"
        )
    differences = list(list_differences(header.config, config))
    if not differences:
        raise UsageError(
            f"resume={resume}: that run has another identity (id {header.run_id}): it is of another version; start anew"
        )
    others = [text for key, text in differences if not is_free(key)]
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        raise UsageError(
            f"resume={resume}: that run has another configuration: {'; '.join(others[:SHOWN])}{more}\n"
            f"repeat its overrides (more epochs or steps extend it), or take over its weights alone: "
            f"{quote_override('init.from', resume)}"
        )


def is_free(key: str) -> bool:
    """Whether a run may differ in it from the one that it goes on from."""
    return key in BUDGET or any(key == name or key.startswith(f"{name}.") for name in ASIDE)


def list_differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key, and `latent.dim=3 there, 4 here`, of every value in which two configurations differ."""
    one, other = (dict(flatten(_drop_origin(config))) for config in (there, here))
    for key in dict.fromkeys([*other, *one]):
        if one.get(key, _ABSENT) != other.get(key, _ABSENT):
            yield key, f"{key}={_format(one.get(key, _ABSENT))} there, {_format(other.get(key, _ABSENT))} here"


def _drop_origin(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without `resume`, and without the path of `init.from`; without `init` where it does nothing."""
    kept = {key: value for key, value in config.items() if key not in ("resume", "init")}
    if get_source(config) is not None:
        kept["init"] = {key: value for key, value in config["init"].items() if key != "from"}
    return kept


def _format(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = value if isinstance(value, str) and value.isprintable() else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."

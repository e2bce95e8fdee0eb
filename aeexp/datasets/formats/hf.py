"""The library `datasets` of Hugging Face, kept off the network and quiet, and its errors in words."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

from aeexp.errors import UsageError

OFFLINE = "HF_HUB_OFFLINE"


def import_datasets() -> ModuleType:
    """`datasets`, offline. Raises UsageError where it is not installed."""
    os.environ[OFFLINE] = "1"
    try:
        import datasets
        import datasets.config
        import huggingface_hub.constants
    except ImportError as error:
        raise UsageError(
            f"dataset=huggingface needs the library `datasets` ({error}): pip install 'aeexp[huggingface]'"
        ) from error
    datasets.config.HF_HUB_OFFLINE = True  # somebody may have imported it before
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # its errors are raised again, in words
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    return datasets


@contextlib.contextmanager
def keep_datasets() -> Iterator[None]:
    """What `import_datasets` sets is as it was afterwards: who calls from Python may use the library for itself."""
    word, before = os.environ.get(OFFLINE), _read_settings() if "datasets" in sys.modules else None
    try:
        yield
    finally:
        os.environ.pop(OFFLINE, None)
        os.environ.update({} if word is None else {OFFLINE: word})
        if "datasets" in sys.modules:
            import datasets

            offline = (word or "").upper() in ("1", "ON", "YES", "TRUE")  # as the library itself reads it
            _set_library(*(before or (offline, offline, datasets.logging.WARNING, True)))


def _read_settings() -> tuple[bool, bool, int, bool]:
    import datasets
    import datasets.config
    import huggingface_hub.constants

    offline = datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE
    return *offline, datasets.logging.get_verbosity(), datasets.utils.is_progress_bar_enabled()


def _set_library(offline: bool, hub_offline: bool, verbosity: int, bars: bool) -> None:
    import datasets
    import datasets.config
    import huggingface_hub.constants

    datasets.config.HF_HUB_OFFLINE = offline
    huggingface_hub.constants.HF_HUB_OFFLINE = hub_offline
    datasets.logging.set_verbosity(verbosity)
    (datasets.enable_progress_bars if bars else datasets.disable_progress_bars)()


@contextlib.contextmanager
def explain_errors(path: str, option: str = "path") -> Iterator[None]:
    """Damage raises anything: ArrowInvalid, OSError, DatasetGenerationError ...; the user reads the innermost cause."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        cause: BaseException = error
        while (deeper := cause.__cause__ or cause.__context__) is not None:
            cause = deeper
        reason = " ".join(str(cause).split())[:300] or type(cause).__name__
        raise UsageError(f"{option}={path} could not be read: {reason}") from error

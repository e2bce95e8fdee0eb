"""The library `datasets` of Hugging Face, kept off the network and quiet, and its errors in words."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

from aeexp.errors import UsageError


def import_datasets() -> ModuleType:
    """`datasets`, offline. Raises UsageError where it is not installed."""
    os.environ["HF_HUB_OFFLINE"] = "1"
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

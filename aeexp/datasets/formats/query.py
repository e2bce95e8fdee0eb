"""The rows of a query to a database."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from aeexp.datasets.formats.hf import explain_errors, import_datasets
from aeexp.datasets.formats.opening import OpenedData, describe
from aeexp.errors import UsageError


def query_database(option: str, query: str, database: str) -> OpenedData:
    """The rows of a query in a folder of their own, which ends with the dataset: another run may find other rows."""
    datasets = import_datasets()
    check_database(database)
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    text = " ".join(query.split())  # a query may have many lines, a message has one
    folder = tempfile.mkdtemp(prefix="aeexp-sql-", dir=cache)
    try:
        with explain_errors(text, option):
            dataset = datasets.Dataset.from_sql(query, database, cache_dir=folder)
            opened = describe(option, text, dataset)
    except UsageError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(dataset, shutil.rmtree, folder, ignore_errors=True)
    return opened


def check_database(database: str) -> None:
    """Raises UsageError where it is no address of a database, or of a file that is not there."""
    try:
        import sqlalchemy
        from sqlalchemy.exc import ArgumentError
    except ImportError as error:
        raise UsageError(f"database={database} needs SQLAlchemy: pip install 'aeexp[huggingface]'") from error
    try:
        url = sqlalchemy.make_url(database)
    except ArgumentError as error:
        raise UsageError(f"database={database} is no SQLAlchemy URI, such as sqlite:///rows.db") from error
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise UsageError(f"database={database}: no such file (looked for {Path(url.database or '').resolve()})")

"""The rows of a query to a database."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from aeexp.datasets.formats.hf import library, reading
from aeexp.datasets.formats.opening import Found, found_in
from aeexp.errors import UsageError


def by_query(option: str, query: str, database: str) -> Found:
    """The rows of a query in a folder of their own, which ends with the dataset: another run may find other rows."""
    datasets = library()
    _check_database(database)
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    shown = " ".join(query.split())  # a query may have many lines, a message has one
    folder = tempfile.mkdtemp(prefix="aeexp-sql-", dir=cache)
    try:
        with reading(shown, option):
            dataset = datasets.Dataset.from_sql(query, database, cache_dir=folder)
            found = found_in(option, shown, dataset)
    except UsageError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(dataset, shutil.rmtree, folder, ignore_errors=True)
    return found


def _check_database(database: str) -> None:
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

"""How many threads linear algebra takes in small fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """NumPy's and SciPy's linear algebra in one thread; torch's own threads and those of OpenMP stay.

    Threads wait for each other after each of many small products: a linear probe of 5,000 rows takes four times as
    long on two, and tens of times beside another busy process.
    """
    with find_libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def find_libraries() -> ThreadpoolController:
    """Those of the process, once they are loaded."""
    import scipy.linalg  # noqa: F401  # has a library of its own
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()

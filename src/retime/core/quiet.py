"""Linear algebra without noise: SciPy's warnings where retime measures the error itself, one BLAS thread for small stacks."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from retime.core.arrays import Array

_FILTERS = threading.Lock()  # filters of warnings belong to the process: threads that change them take turns


def logm(G: Array) -> Array:
    """scipy.linalg.logm without its warnings: callers measure the residual.

    Raises:
        numpy.linalg.LinAlgError: the result is not finite.
    """
    from scipy import linalg

    with _FILTERS, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            X = linalg.logm(G)
        except (ValueError, OverflowError, ZeroDivisionError) as error:
            raise np.linalg.LinAlgError("The logarithm is not finite.") from error
    if not np.isfinite(X).all():
        raise np.linalg.LinAlgError("The logarithm is not finite.")
    return np.asarray(X)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread: for stacks of small matrices its threads only wait for each other."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401  both libraries must be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()

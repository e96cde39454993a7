"""Linear algebra without noise: SciPy's warnings where retime measures the error itself, one BLAS thread for small stacks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from retime.core.arrays import Array


def logm(G: Array) -> Array:
    """scipy.linalg.logm without its warnings: callers measure the residual.

    Raises:
        numpy.linalg.LinAlgError: the result is not finite.
    """
    from scipy import linalg

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            X = linalg.logm(G)
        except ValueError as error:
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

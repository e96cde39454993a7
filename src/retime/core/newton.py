"""Newton's method for a few equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array


class Linearized(NamedTuple):
    """Equations at a point: residual `(k,)`, its Jacobian `(k, n)`, and whatever else was computed on the way."""

    residual: Array
    jacobian: Array
    extra: Any = None


class Root(NamedTuple):
    """A solution `(n,)` and the equations there."""

    x: Array
    at: Linearized


def newton(
    equations: Callable[[Array], Linearized | None],
    x: Array,
    is_solved: Callable[[Array, Linearized, Array], bool],
    *,
    most: int,
    limited: Callable[[Array, Array], Array | None] | None = None,
    rcond: float | None = None,
) -> Root | None:
    """Newton steps x -> x - J^+ G from x until they are solved, J^+ by least squares.

    Args:
        equations: G and its Jacobian at a state; None where they are not defined.
        is_solved: whether to stop at a state, from it, the equations there and the step that would come next.
        most: steps.
        limited: the step that is taken in place of a Newton step, from the state and the step; None gives up.
        rcond: of the least squares, None for rounding.

    Returns:
        Root, or None where the method does not get there.
    """
    for _ in range(most):
        at = equations(x)
        if at is None or not (np.isfinite(at.residual).all() and np.isfinite(at.jacobian).all()):
            return None
        try:
            step = np.linalg.lstsq(at.jacobian, -at.residual, rcond=rcond)[0]
        except np.linalg.LinAlgError:
            return None
        if is_solved(x, at, step):
            return Root(x, at)
        taken = step if limited is None else limited(x, step)
        if taken is None or not np.isfinite(taken).all():
            return None
        x = x + taken
    return None

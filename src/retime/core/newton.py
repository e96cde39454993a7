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
    """Where Newton's method ended `(n,)`, the equations there, the step that would come next, and whether they are solved."""

    x: Array
    at: Linearized
    step: Array
    is_solved: bool


def newton(
    equations: Callable[[Array], Linearized | None],
    x: Array,
    is_solved: Callable[[Array, Linearized, Array], bool],
    *,
    most: int,
    limited: Callable[[Array, Array], Array | None] | None = None,
    rcond: float | None = None,
) -> Root | None:
    """Newton steps x -> x - J^-1 G until the equations are solved.

    Args:
        equations: G and its Jacobian at a state; None where they are not defined.
        is_solved: whether to stop at a state, from it, the equations there and the step that would come next.
        most: steps.
        limited: the step that is taken in place of a Newton step, from the state and the step; None gives up.
        rcond: steps are by least squares, singular values below this share of the largest left out. None: an exactly singular J gives up.

    Returns:
        Root, or None where the equations are not defined, not finite or singular on the way, or a step gives up.
    """
    for k in range(most + 1):
        at = equations(x)
        if at is None or not (np.isfinite(at.residual).all() and np.isfinite(at.jacobian).all()):
            return None
        J, G = at.jacobian, at.residual
        try:
            step = -(np.linalg.solve(J, G) if rcond is None else np.linalg.lstsq(J, G, rcond=rcond)[0])
        except np.linalg.LinAlgError:
            return None
        if (done := is_solved(x, at, step)) or k == most:
            return Root(x, at, step, done)
        taken = step if limited is None else limited(x, step)
        if taken is None or not np.isfinite(taken).all():
            return None
        x = x + taken
    return None

"""States that an argument stands for: of a trajectory, of a result, or of one point of a result."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.arrays import Array


def one_state(value: Any) -> Any:
    """The state `(n,)` that something stands for (of a batch `(b, n)`), asked for by its method `as_state`; other values as they are.

    A Trajectory stands for its last state, so that what begins there goes on from it; a fixed point for itself, a cycle and an
    attractor for their first point, a Lyapunov spectrum for the end of its orbit, a list of fixed points for the only one on it.
    """
    ask = getattr(value, "as_state", None)
    return value if ask is None else ask()


def many_states(value: Any) -> Any:
    """The states `(k, n)` that something stands for, asked for by its method `as_states`; other values as they are.

    A Trajectory stands for all states it reached, a result for its points; a list of such things for all of theirs.
    """
    ask = getattr(value, "as_states", None)
    if ask is not None:
        return ask()
    if isinstance(value, (list, tuple)) and any(hasattr(x, "as_states") for x in value):
        return np.concatenate([np.atleast_2d(many_states(x)) for x in value])
    return value


def box_around(states: Array) -> Array:
    """The box `(n, 2)` around states `(k, n)`, twice as wide as they spread, and at least 2 wide."""
    low, high = states.min(axis=0), states.max(axis=0)
    middle, half = (high + low) / 2, np.maximum(high - low, 1.0)
    return np.column_stack([middle - half, middle + half])


def finite_rows(states: Array) -> Array:
    """The states `(k, n)` of a trajectory `(T, n)` or `(T, b, n)`, those that are not finite left out."""
    rows = np.asarray(states).reshape(-1, np.shape(states)[-1])
    return rows[np.isfinite(rows).all(axis=1)]

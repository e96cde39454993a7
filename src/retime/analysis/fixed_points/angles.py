"""States that are angles: z and z + period are the same one."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.arguments import is_number
from retime.core.arrays import Array
from retime.core.errors import ShapeError
from retime.core.system import System

SEAM = 1e-6  # of a period: an angle this close above -period / 2 is given as one beyond period / 2, so that no point is cut in two


def checked_periods(model: System, s: Array, period: Any) -> Array:
    """The period of each state `(n,)`, inf for those that are no angles, checked at random states.

    Raises:
        ShapeError: neither a number nor n of them. ValueError: not positive, or the system is another one a period on.
    """
    n = model.num_states
    entries = [np.inf if x is None else x for x in np.ravel(np.asarray(period, dtype=object))]
    if not all(map(is_number, entries)):
        raise ValueError(f"`period` is {period!r}; it must hold numbers, None for a state that is no angle.")
    given = np.array(entries, dtype=float)
    if np.ndim(period) > 1 or len(given) not in (1, n):
        raise ShapeError(
            f"`period` has shape {np.shape(period)}; it must be ({n},), one per state, None for one that is no angle."
        )
    if not (given > 0).all():
        raise ValueError(
            f"`period` holds {given[~(given > 0)][0]}; every period must be positive, None for a state that is no angle."
        )
    given = np.broadcast_to(given, n)
    z = np.random.default_rng(0).normal(size=(8, n))
    here = model.apply(z, s)
    for k in np.flatnonzero(np.isfinite(given)):
        there = model.time.wrapped(model.apply(z + given[k] * np.eye(n)[k], s) - here, lambda x: _unwound(x, given))
        largest = float(np.nanmax(np.abs(there) / (1.0 + np.abs(here))))
        if largest > 1e-6:
            raise ValueError(
                f"`period` of state {k} is {given[k]:.6g}, but the system changes by {largest:.2g} from z to a period on; give the period "
                "after which it is the same again, None if there is none."
            )
    return given


def _unwound(z: Array, period: Array) -> Array:
    """States without the whole turns of their angles."""
    return z - np.where(np.isfinite(period), period * np.round(z / period), 0.0)


def turned(z: Array, period: Array) -> Array:
    """States `(..., n)` with angles between -period / 2 (excluded) and period / 2; period `(n,)`, inf for what is no angle."""
    with np.errstate(all="ignore"):
        around = np.ceil(z / period - 0.5 - SEAM)
        return np.where(np.isfinite(period), z - np.where(np.isfinite(period), period, 0.0) * around, z)

"""Filippov's field: what an orbit follows that slides along a boundary.

Source: filippov1988; docs/theory/flows.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array


class Sides(NamedTuple):
    """The fields of the two sides of a boundary, without auxiliary states: W `(n, n)`, h `(n,)` where the unit is off and on."""

    W_off: Array
    h_off: Array
    W_on: Array
    h_on: Array


def filippov(sides: Sides, normal: Array, z: Array) -> tuple[Array, Array]:
    """The field alpha f+ + (1 - alpha) f- `(n,)` at z, alpha = a- / (a- - a+), a the speed along `normal`, and its derivative `(n, n)`."""
    off, on = sides.W_off @ z + sides.h_off, sides.W_on @ z + sides.h_on
    below, above = normal @ off, normal @ on
    alpha = below / (below - above)
    change = ((1.0 - alpha) * (normal @ sides.W_off) + alpha * (normal @ sides.W_on)) / (below - above)
    return off + alpha * (on - off), sides.W_off + alpha * (sides.W_on - sides.W_off) + np.outer(on - off, change)

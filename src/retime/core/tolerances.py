"""Tolerances that several parts share, one meaning each. Those of one search stand in its file; docs/theory/tolerances.md lists all.

A distance of states is relative to their size: 1 + the largest entry, so that it is absolute for small states.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.arrays import Array

EPS = 2.0**-52  # relative rounding of one operation: to be multiplied by how many there were
SAME_SOLVED = 1e-9  # distance, relative to the size, of two solutions of linear equations that are one point
SAME_FOUND = 1e-8  # ... of two points that Newton's method found
SAME_FOLLOWED = 1e-7  # ... of one point that was followed on two ways
SAME_ORBIT = 1e-6  # ... of states of two orbits of a flow, which are known to a solver's tolerance only
FAR = 1e6  # times the size at its start: an orbit that large does not come back
RUNAWAY = 1e9  # ... an iterate of Newton's method, or an orbit on which a cycle is looked for: it is given up


def size_of(z: Any) -> float:
    """1 + max |z|; 1 of nothing."""
    return 1.0 + float(np.abs(z).max(initial=0.0))


def sizes_of(z: Array, axis: int | tuple[int, ...] = 1) -> Array:
    """1 + max |z| along an axis: of states `(k, n)` the size of each, `(k,)`."""
    return 1.0 + np.abs(z).max(axis=axis, initial=0.0)


def same_point(a: Array, b: Array, tolerance: float) -> bool:
    """Whether states a and b differ by at most `tolerance`, relative to the size of a."""
    return bool(np.abs(a - b).max(initial=0.0) <= tolerance * size_of(a))

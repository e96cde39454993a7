"""Cycles up to their phase: the least period, where a cycle is taken to begin, and whether two are the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.tolerances import size_of


def least_period(orbit: Array, tolerance: float) -> int:
    """The least divisor d of the length of a closed orbit `(k, n)` after which it repeats within a distance."""
    k = len(orbit)
    again = (d for d in range(1, k) if k % d == 0 and np.abs(np.roll(orbit, -d, axis=0) - orbit).max() <= tolerance)
    return next(again, k)


def first_phase(z: Array) -> int:
    """Index of the point at which a cycle `(k, n)` is taken to begin: smallest first coordinate, the next ones breaking ties within rounding."""
    rows = np.round(z / (1e-9 * size_of(z)))
    return int(np.lexsort(rows.T[::-1])[0])


def is_same_cycle(a: Array, b: Array, tolerance: float) -> bool:
    """Whether two cycles `(k, n)` are within a distance of each other, for some turn of one."""
    return len(a) == len(b) and any(np.abs(np.roll(a, -j, axis=0) - b).max() <= tolerance for j in range(len(a)))


def in_order(found: dict[int, list[Any]]) -> list[tuple[int, Any]]:
    """Cycles with `points` `(k, n)`, listed by period: with their period, the shortest first, those of one by their first points."""
    return [(k, c) for k in sorted(found) for c in sorted(found[k], key=lambda c: tuple(np.round(c.points[0], 9)))]

"""How orbits end: at a point, on a cycle that is solved for, or neither."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from retime.analysis.basins.dynamics import Dynamics
from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.errors import ConvergenceError

RETURN = 1e-3  # displacement after k steps, relative to the size of the box, from which a k-cycle is solved for
REST = 1e-10  # displacement that counts as none
FAR = 1e6  # states this many times larger than the box have diverged
RETURNS = 8  # returns of an orbit of a flow near its start that are tried as the period of a limit cycle


class Size(NamedTuple):
    """Lengths that distances are compared with: the box, and beyond which states have diverged."""

    width: float
    far: float

    @classmethod
    def of(cls, box: Array) -> Size:
        """From the box `(n, 2)`."""
        reach = float(np.abs(box).max())
        width = float((box[:, 1] - box[:, 0]).max()) or 1e-3 * reach or 1.0
        return cls(width, FAR * (width + reach))


@dataclass
class Known:
    """An attractor that was found: its points, or samples of the set."""

    kind: str
    points: Array
    period: float = 0
    largest: float = math.nan
    is_left: bool = False  # of a bounded set: orbits that were on it ended elsewhere
    orbits: Any = None  # of a bounded set that was not looked at: the last states `(w, b, n)` of orbits on it
    loop: Any = None  # of a limit cycle, its states over one period

    def distance(self, z: Array) -> Array:
        """From states `(b, n)` to the nearest point."""
        if self.kind not in ("fixed_point", "cycle"):
            return np.full(len(z), np.inf)
        return np.min([np.abs(z - p).max(axis=1) for p in self.points], axis=0)


def returns(window: Array, max_period: int) -> tuple[Array, Array]:
    """The k <= max_period with the smallest displacement after k samples (the least k among equals), and that displacement."""
    periods, moved = np.ones(window.shape[1], dtype=int), np.full(window.shape[1], np.inf)
    for k in range(1, min(max_period, len(window) - 1) + 1):
        d = np.abs(window[-1] - window[-1 - k]).max(axis=1)
        better = d < 0.5 * moved
        periods[better], moved[better] = k, d[better]
    return periods, moved


def is_settling(window: Array, periods: Array, moved: Array, width: float) -> Array:
    """Whether (bool) the displacement after a period is small, was so half a window ago, and shrinks: chaos seldom does that."""
    half = len(window) // 2
    rows = np.arange(window.shape[1])
    back = np.maximum(half - periods, 0)
    before = np.abs(window[half] - window[back, rows]).max(axis=1)
    shrinks = (moved < before) | (moved <= REST * width)
    return (moved <= RETURN * width) & (before <= 10 * RETURN * width) & shrinks


def newton(dynamics: Dynamics, z: Array, period: int) -> Array | None:
    """The fixed point or cycle that Newton's method reaches from z, or None."""
    x = z
    for _ in range(20):
        try:
            G, J, _ = dynamics.around(x, period)
            step = np.linalg.solve(J, G)
        except (np.linalg.LinAlgError, ConvergenceError):
            return None
        if not np.isfinite(step).all():
            return None
        x = x - step
        if np.abs(step).max() <= 1e-13 * (1.0 + np.abs(x).max()):
            break
    G = dynamics.around(x, period)[0]
    return x if np.abs(G).max() <= 1e-9 * dynamics.rate * (1.0 + np.abs(x).max()) else None


def least_period(orbit: Array, tolerance: float) -> int:
    """The least divisor d of the length of a closed orbit `(k, n)` after which it repeats."""
    k = len(orbit)
    for d in range(1, k):
        if k % d == 0 and np.abs(np.roll(orbit, -d, axis=0) - orbit).max() <= tolerance:
            return d
    return k


def limit_cycle(flow: Dynamics, z: Array, deadline: float) -> tuple[float, float, Array] | None:
    """Period, largest multiplier and states `(16 SAMPLES + 1, n)` of an attracting limit cycle near z, or None."""
    if work_seconds() > deadline:
        return None
    times, states = flow.path(z[None], 2 * flow.quarter, 24)
    orbit = states[:, 0]
    if not np.isfinite(orbit).all():
        return None
    size, side, away = extent(orbit), (orbit - z) @ flow.right(z), np.linalg.norm(orbit - z, axis=1)
    passes = np.flatnonzero((side[:-1] < 0) & (side[1:] >= 0) & (np.minimum(away[:-1], away[1:]) <= 0.1 * size))
    for k in passes[:RETURNS]:
        part = -side[k] / (side[k + 1] - side[k])
        found = _shoot(flow, z, float(times[k] + part * (times[k + 1] - times[k])), size)
        if found is not None or work_seconds() > deadline:
            return found
    return None


def _shoot(flow: Dynamics, z: Array, period: float, spread: float) -> tuple[float, float, Array] | None:
    """The attracting limit cycle that Newton's method on (state, period) reaches, as `_limit_cycle` gives it."""
    n, x, T, step, largest = len(z), z, period, 1e-4 * spread, math.inf
    for k in range(10):
        around = np.concatenate([x[None], x + step * np.eye(n), x - step * np.eye(n)])
        ends = flow.path(around, T)[1][-1]
        if not np.isfinite(ends).all():
            return None
        M = (ends[1 : n + 1] - ends[n + 1 :]).T / (2 * step)
        largest = _transverse(M)
        A = np.block([[M - np.eye(n), flow.right(ends[0])[:, None]], [flow.right(x)[None], np.zeros((1, 1))]])
        change = np.linalg.lstsq(A, np.append(x - ends[0], 0.0))[0]
        x, T = x + change[:n], T + float(change[n])
        if not (0.5 * period < T < 2 * period and np.linalg.norm(x - z) <= 0.1 * spread) or (k > 0 and largest > 2):
            return None
        if np.linalg.norm(change[:n]) <= 1e-9 * spread and abs(change[n]) <= 1e-9 * T:
            break
    else:
        return None
    # multipliers are differences of orbits, known to about 1e-7
    return (T, largest, flow.path(x[None], T, 16)[1][:, 0]) if largest < 1 - 1e-5 else None


def _transverse(M: Array) -> float:
    """The largest modulus of the multipliers without the one next to 1, which belongs to the direction of the flow."""
    multipliers = np.linalg.eigvals(M)
    return float(np.abs(np.delete(multipliers, np.argmin(np.abs(multipliers - 1)))).max(initial=0.0))


def extent(x: Array) -> float:
    """Length of the diagonal of the box around states `(k, n)`."""
    return float(np.linalg.norm(x.max(axis=0) - x.min(axis=0)))

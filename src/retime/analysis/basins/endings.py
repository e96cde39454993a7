"""How orbits end: at a point, on a cycle that is solved for, or neither."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.analysis.basins.dynamics import Dynamics
from retime.analysis.cycles.closed_orbits import Loop, close
from retime.analysis.cycles.method import Shooting
from retime.core.arrays import Array
from retime.core.errors import ConvergenceError
from retime.core.newton import Linearized, newton
from retime.core.tolerances import size_of
from retime.simulation.passage import derived

CLOSING = Shooting()  # of limit cycles
RETURNS = 8  # returns of an orbit of a flow near its start that are tried as the period of a limit cycle


@dataclass
class Known:
    """An attractor that was found: its points, or samples of the set."""

    kind: str
    points: Array
    period: float = 0
    largest: float = math.nan
    is_left: bool = False  # of a bounded set: orbits that were on it ended elsewhere
    orbits: Any = None  # of a bounded set that was not looked at: the last states `(w, b, n)` of orbits on it
    loop: Loop | None = None  # of a limit cycle, the orbit

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


def is_settling(flow: Dynamics, window: Array, periods: Array, moved: Array) -> Array:
    """Whether (bool) the displacement after a period is small, was so half a window ago, and shrinks: chaos seldom does that."""
    half, small, none = len(window) // 2, flow.settling.returned * flow.width, flow.settling.rest * flow.width
    back = np.maximum(half - periods, 0)
    before = np.abs(window[half] - window[back, np.arange(window.shape[1])]).max(axis=1)
    return (moved <= small) & (before <= 10 * small) & ((moved < before) | (moved <= none))


def solved(dynamics: Dynamics, z: Array, period: int) -> Array | None:
    """The fixed point or cycle that Newton's method reaches from z, or None."""

    def equations(x: Array) -> Linearized | None:
        try:
            return Linearized(*dynamics.around(x, period)[:2])
        except ConvergenceError:
            return None

    def is_final(x: Array, at: Linearized, step: Array) -> bool:
        return bool(np.abs(step).max() <= 1e-13 * size_of(x))

    root = newton(equations, z, is_final, most=20)
    if root is None:
        return None
    x = root.x + root.step if root.is_solved else root.x
    return x if np.abs(dynamics.around(x, period)[0]).max() <= 1e-9 * dynamics.rate * size_of(x) else None


def limit_cycle(flow: Dynamics, z: Array) -> Loop | None:
    """An attracting limit cycle near z, or None."""
    if (closing := derived(flow.motion, flow.s)) is None:
        return None
    flow.patience.check()
    times, orbit = flow.path(z, 2 * flow.quarter, 24)
    if not np.isfinite(orbit).all():
        return None
    size, side, away = extent(orbit), (orbit - z) @ closing.rate(z), np.linalg.norm(orbit - z, axis=1)
    passes = np.flatnonzero((side[:-1] < 0) & (side[1:] >= 0) & (np.minimum(away[:-1], away[1:]) <= 0.1 * size))
    for k in passes[:RETURNS]:
        part = -side[k] / (side[k + 1] - side[k])
        found = close(closing, z, float(times[k] + part * (times[k + 1] - times[k])), 0.1 * size, CLOSING, most=2.0)
        if found is not None and np.abs(found.transverse).max(initial=0.0) < 1 - 1e-5:
            return found
        flow.patience.check()
    return None


def extent(x: Array) -> float:
    """Length of the diagonal of the box around states `(k, n)`."""
    return float(np.linalg.norm(x.max(axis=0) - x.min(axis=0)))

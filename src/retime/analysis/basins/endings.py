"""How orbits end: at a point, on a cycle that is solved for, or neither."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from retime.analysis.basins.dynamics import Dynamics
from retime.analysis.cycles.closed_orbits import Flow, Loop, close
from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.errors import ConvergenceError
from retime.core.newton import Linearized, newton
from retime.core.system import SmoothSystem
from retime.core.tolerances import FAR, size_of
from retime.simulation.passage import StateSwitchedFlow
from retime.simulation.variational import Flown, SmoothFlow

RETURN = 1e-3  # displacement after k steps, relative to the size of the box, from which a k-cycle is solved for
REST = 1e-10  # displacement that counts as none
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


def is_settling(window: Array, periods: Array, moved: Array, width: float) -> Array:
    """Whether (bool) the displacement after a period is small, was so half a window ago, and shrinks: chaos seldom does that."""
    half = len(window) // 2
    rows = np.arange(window.shape[1])
    back = np.maximum(half - periods, 0)
    before = np.abs(window[half] - window[back, rows]).max(axis=1)
    shrinks = (moved < before) | (moved <= REST * width)
    return (moved <= RETURN * width) & (before <= 10 * RETURN * width) & shrinks


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


@dataclass
class _Switched:
    """A piecewise-affine network in continuous time, with its exact derivative."""

    dynamics: Dynamics

    def after(self, z: Array, duration: float) -> Flown | None:
        """The orbit from z `(n,)` with its derivative; None where it ends early."""
        states = self.dynamics.path(z[None], duration)[1][:, 0]
        p = StateSwitchedFlow(self.dynamics.model, self.dynamics.s, None).passage(z, duration)
        return None if p is None else Flown(states, p.derivative, p.rate)

    def rate(self, z: Array) -> Array:
        """dz/dt at states `(..., n)`."""
        return self.dynamics.right(z)

    def jacobian(self, z: Array) -> Array:
        """dF/dz `(n, n)` at a state `(n,)`."""
        return self.dynamics.jacobian(z)


def limit_cycle(flow: Dynamics, z: Array, deadline: float) -> Loop | None:
    """An attracting limit cycle near z, or None."""
    if work_seconds() > deadline:
        return None
    times, states = flow.path(z[None], 2 * flow.quarter, 24)
    orbit = states[:, 0]
    if not np.isfinite(orbit).all():
        return None
    size, side, away = extent(orbit), (orbit - z) @ flow.right(z), np.linalg.norm(orbit - z, axis=1)
    passes = np.flatnonzero((side[:-1] < 0) & (side[1:] >= 0) & (np.minimum(away[:-1], away[1:]) <= 0.1 * size))
    is_smooth = isinstance(flow.model, SmoothSystem)
    derived: Flow = SmoothFlow(flow.model, flow.s) if is_smooth else _Switched(flow)
    for k in passes[:RETURNS]:
        part = -side[k] / (side[k + 1] - side[k])
        found = close(derived, z, float(times[k] + part * (times[k + 1] - times[k])), 0.1 * size, most=2.0)
        if found is not None and np.abs(found.transverse).max(initial=0.0) < 1 - 1e-5:
            return found
        if work_seconds() > deadline:
            return None
    return None


def extent(x: Array) -> float:
    """Length of the diagonal of the box around states `(k, n)`."""
    return float(np.linalg.norm(x.max(axis=0) - x.min(axis=0)))

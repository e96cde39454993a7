"""Closed orbits of flows: where an orbit nearly returns, and Newton's method on state and period with the derivative of the flow."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from retime.analysis.cycles.method import Shooting
from retime.analysis.cycles.phase import least_period
from retime.analysis.cycles.result import without_one
from retime.analysis.fixed_points.find import ordered
from retime.core.arrays import Array
from retime.core.newton import Linearized, newton
from retime.core.time import Discrete
from retime.core.tolerances import SAME_ORBIT, size_of
from retime.simulation.variational import Flown

REFERENCES = 16  # states of an orbit whose returns are looked at
ROUNDING = 1e-13  # steps, relative to 1 + |z|, that cannot become smaller


@dataclass(frozen=True)
class Loop:
    """A closed orbit.

    Attributes:
        period: its least one. states: `(SAMPLES + 1, n)`, evenly spaced in time, the last one the first but for rounding.
        rates: the field there. derivative: `(n, n)`, of the flow over one period.
    """

    period: float
    states: Array
    rates: Array
    derivative: Array

    @property
    def residual(self) -> float:
        """Distance of the end from the start, relative to 1 + |z|."""
        return float(np.abs(self.states[-1] - self.states[0]).max() / size_of(self.states))

    @cached_property
    def multipliers(self) -> Array:
        """Floquet multipliers `(n,)`, the 1 along the orbit included, largest modulus first."""
        return ordered(np.linalg.eigvals(self.derivative).astype(complex), Discrete())

    @property
    def transverse(self) -> Array:
        """The multipliers `(n - 1,)` without the one along the orbit."""
        return without_one(self.multipliers)

    def is_same(self, other: Loop) -> bool:
        """Whether the other is this one, begun elsewhere: the same period, and its slowest sample lies on this orbit."""
        if abs(self.period - other.period) > SAME_ORBIT * self.period:
            return False
        z = other.states[np.argmin(np.linalg.norm(other.rates, axis=1))]
        return self.distance(z) <= 10 * SAME_ORBIT * size_of(self.states)

    def distance(self, z: Array) -> float:
        """From a state `(n,)` to the orbit, across it."""
        states = self.fine
        k = int(np.argmin(np.linalg.norm(states - z, axis=1)))
        speed, apart = self._curve(k * self.period / (len(states) - 1), 1), z - states[k]
        return float(np.abs(apart - speed * (speed @ apart) / max(float(speed @ speed), 1e-300)).max())

    @property
    def extent(self) -> float:
        """Length of the diagonal of the box around it."""
        return float(np.linalg.norm(np.ptp(self.states, axis=0)))

    @cached_property
    def fine(self) -> Array:
        """States `(k + 1, n)` at 16 times as many times, interpolated."""
        return np.asarray(self._curve(np.linspace(0.0, self.period, 16 * (len(self.states) - 1) + 1)))

    @cached_property
    def _curve(self) -> Any:
        from scipy.interpolate import CubicHermiteSpline

        return CubicHermiteSpline(np.linspace(0.0, self.period, len(self.states)), self.states, self.rates)


class Return(NamedTuple):
    """A state `(n,)` to which an orbit comes back after a time, and how closely, relative to the orbit's extent."""

    gap: float
    period: float
    z: Array


def close_returns(
    times: Array, states: Array, rates: Callable[[Array], Array], longest: float, rule: Shooting
) -> list[Return]:
    """Closest returns of an orbit within a time, the best one first: exact ones by their time, then the others by their distance.

    `rates`: the direction in which the orbit goes at states `(k, n)`.
    """
    from scipy.interpolate import CubicSpline

    curve, extent = CubicSpline(times, states), float(np.linalg.norm(np.ptp(states, axis=0)))
    at = np.linspace(0, 2 * len(states) // 3, REFERENCES).astype(int)
    found: list[Return] = []
    for i, f in zip(at, rates(states[at]), strict=True):
        side = (states[i:] - states[i]) @ f
        for k in np.flatnonzero((side[:-1] < 0) & (side[1:] >= 0)):
            t = times[i + k] + (times[i + k + 1] - times[i + k]) * side[k] / (side[k] - side[k + 1])
            for _ in range(3):
                t = np.clip(t - ((curve(t) - states[i]) @ f) / (curve(t, 1) @ f), times[i + k], times[i + k + 1])
            gap = float(np.linalg.norm(curve(t) - states[i])) / extent
            if t - times[i] <= longest * (1 + 1e-9) and gap <= rule.near:
                found.append(Return(gap, float(t - times[i]), states[i]))
    return sorted(found, key=lambda r: (r.gap > rule.returned, r.period if r.gap <= rule.returned else r.gap))


class Flow(Protocol):
    """What closing an orbit asks of a flow: `SmoothFlow`, or one whose derivative is another's."""

    def after(self, z: Array, duration: float) -> Flown | None:
        """The orbit from z `(n,)` with its derivative; None where it ends early."""
        ...

    def rate(self, z: Array) -> Array:
        """dz/dt at states `(..., n)`."""
        ...

    def jacobian(self, z: Array) -> Array:
        """dF/dz `(n, n)` at a state `(n,)`."""
        ...


def close(flow: Flow, z: Array, period: float, extent: float, rule: Shooting, most: float = math.inf) -> Loop | None:
    """The closed orbit that Newton's method on (state, period) reaches from near one of an extent; None where it reaches none.

    It has its least period, and begins where the state that varies most is largest. After the first step it is given up where a multiplier
    other than that along the orbit exceeds `most`.
    """
    flown, T = _closed(flow, z, period, extent, rule, most)
    if flown is None:
        return None
    points = flown.states[:-1]
    size, reach = size_of(points), np.ptp(points, axis=0)
    if reach.max() <= rule.still * size:
        return None
    d, j = least_period(points, SAME_ORBIT * size), int(np.argmax(reach))
    z = points[int(np.argmax(points[:, j]))]
    f = flow.rate(z)
    bend = (flow.jacobian(z) @ f)[j]
    ahead = float(np.clip(-f[j] / bend if bend < 0 else 0.0, -T / len(points), T / len(points)))
    z = z + ahead * f  # near enough for Newton's method
    flown, T = _closed(flow, z, T * d / len(points), float(np.linalg.norm(reach)), rule, most)
    return None if flown is None else Loop(T, flown.states, flow.rate(flown.states), flown.derivative)


def _closed(
    flow: Flow, z: Array, period: float, extent: float, rule: Shooting, most: float
) -> tuple[Flown | None, float]:
    """The orbit over one period from the state that Newton's method reaches, and the period; None where it reaches none."""
    n, first = len(z), z
    moves: list[float] = []

    def equations(x: Array) -> Linearized | None:
        z, T = x[:n], float(x[n])
        flown = flow.after(z, T)
        if flown is None or (
            moves and np.abs(without_one(np.linalg.eigvals(flown.derivative))).max(initial=0.0) > most
        ):
            return None
        J = np.zeros((n + 1, n + 1))
        J[:n, :n], J[:n, n], J[n, :n] = flown.derivative - np.eye(n), flown.rate, flow.rate(z)  # steps across the flow
        return Linearized(np.append(flown.end - z, 0.0), J, flown)

    def is_closed(x: Array, at: Linearized, step: Array) -> bool:
        size, M = size_of(x[:n]), at.extra.derivative
        gap = np.abs(at.residual).max() / max(1.0, float(np.abs(M).max()))
        moves.append(float(np.abs(step[:n]).max()) / size)
        is_final = moves[-1] <= ROUNDING or moves[-1] > 0.1 * min([math.inf, *moves[:-1]])
        return bool(gap <= rule.closed * size and moves[-1] <= 1e-9 and is_final)

    def limited(x: Array, step: Array) -> Array | None:
        step = step * min(1.0, 0.2 * extent / max(float(np.linalg.norm(step[:n])), 1e-300))
        step = step * min(1.0, 0.2 * period / max(abs(float(step[n])), 1e-300))
        is_near = np.linalg.norm(x[:n] + step[:n] - first) <= extent and 0.5 * period < x[n] + step[n] < 2 * period
        return step if is_near else None

    root = newton(equations, np.append(z, period), is_closed, most=rule.iterations, limited=limited, rcond=1e-13)
    return (root.at.extra, float(root.x[n])) if root is not None and root.is_solved else (None, period)

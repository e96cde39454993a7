"""How large dt may be: stability regions of methods, and the largest stable step at a state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.convert.integrators import ExponentialEuler, Integrator
from retime.core.arrays import Array
from retime.core.rendering import plain
from retime.core.system import System
from retime.core.time import Continuous

SLACK = 1e-12  # a factor this much above 1 counts as 1: rounding of |R|
FARTHEST = 1e6  # |z| up to which a boundary is looked for
SCAN = 4000  # points per ray, logarithmic


@dataclass(frozen=True, eq=False, repr=False)
class StabilityRegion:
    """The set of z = dt lambda for which one step of a method does not enlarge a mode of dz/dt = lambda z.

    Attributes:
        method: the method.
        real_limit: the region contains (-real_limit, 0) of the real axis; inf when all of it.
        imaginary_limit: the region contains the imaginary axis up to i imaginary_limit; 0 when none, inf when all of it.
    """

    method: Any
    real_limit: float
    imaginary_limit: float

    def factor(self, z: Array) -> Array:
        """Largest modulus of the factor per step at z = dt lambda `(...)`, complex."""
        return self.method.amplification(np.asarray(z, dtype=complex))

    def contains(self, z: Array) -> Array:
        """Whether z = dt lambda `(...)` lies in the region."""
        return self.factor(z) <= 1.0 + SLACK

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON (an infinite limit is None)."""
        return plain(
            {"method": repr(self.method), "real_limit": self.real_limit, "imaginary_limit": self.imaginary_limit}
        )

    def plot(self, **options: Any) -> Any:
        """The region in the complex plane; see `retime.plots.stability_region`."""
        from importlib import import_module

        return import_module("retime.plots").stability_region(self, **options)

    def __repr__(self) -> str:
        axes = [f"{x:.4g}" if np.isfinite(x) else "all" for x in (self.real_limit, self.imaginary_limit)]
        return f"StabilityRegion({self.method!r}, negative real axis to {axes[0]}, imaginary axis to {axes[1]})"


def stability_region(method: Integrator) -> StabilityRegion:
    """The stability region of a method of `to_discrete`.

    Args:
        method: e.g. `RungeKutta(RK4)`.

    Returns:
        StabilityRegion, with the limits on both axes located to rounding.

    Raises:
        TypeError: not a method of `to_discrete`.

    Source: hairer1996, section IV.2.
    """
    _check(method)
    return StabilityRegion(method, _limit(method, -1.0 + 0j), _limit(method, 1j))


def max_stable_dt(model: System, method: Integrator, *, at: Any, inputs: Any = None) -> float:
    """The largest step for which no mode of the linearization at a state is enlarged, nor for any smaller step.

    Args:
        model: a system in continuous time.
        method: a method of `to_discrete`.
        at: state `(n,)`, usually a fixed point.
        inputs: input `(m,)` there; None for zero.

    Returns:
        dt, model time; inf when every step will do; 0.0 when a mode grows in the flow itself (no small step can be stable then).

    Raises:
        TypeError: a map, or not a method. ShapeError: `at` or `inputs` of the wrong size.

    Source: hairer1996, section IV.2.
    """
    _check(method)
    if not isinstance(model, System) or not isinstance(model.time, Continuous):
        raise TypeError(f"`model` is {model!r}; max_stable_dt takes a system in continuous time.")
    if isinstance(method, ExponentialEuler):
        return _scanned(method, model, model.jacobian(model.start(np.asarray(at, dtype=float)), inputs))
    rates = np.linalg.eigvals(model.jacobian(model.start(np.asarray(at, dtype=float)), inputs)).astype(complex)
    rates = rates[np.abs(rates) > 0]
    return min((_limit(method, r / abs(r)) / abs(r) for r in rates), default=float("inf"))


def _check(method: Any) -> None:
    if not isinstance(method, Integrator):
        raise TypeError(f"`method` is {method!r}; it must be a method of to_discrete such as RungeKutta(RK4).")


def _scanned(method: ExponentialEuler, model: System, J: Array) -> float:
    """The largest stable dt of exponential Euler, whose factors are not those of single eigenvalues."""
    rates = np.linalg.eigvals(J)
    if (rates.real >= 0).any():
        return 0.0
    L, unit = model.linear_part, 1.0 / float(np.abs(rates).max())

    def stable(dt: float) -> bool:
        return method.largest_factor(J, L, dt) <= 1.0

    steps = unit * np.geomspace(1e-3, 1e4, 400)
    out = next((k for k, dt in enumerate(steps) if not stable(dt)), None)
    if out is None:
        return float("inf")
    return _bisected(stable, float(steps[out - 1]) if out else 0.0, float(steps[out]))


def _bisected(inside: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition that holds at `low` and fails at `high` ends, to rounding."""
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if inside(middle) else (low, middle)
    return low


def _limit(method: Integrator, direction: complex) -> float:
    """The largest r such that the segment (0, r) times `direction` lies in the region; inf when the scan ends inside."""
    parts = (np.geomspace(1e-6, 1e-2, 200)[:-1], np.geomspace(1e-2, 1e2, SCAN), np.geomspace(1e2, FARTHEST, 400)[1:])
    r = np.concatenate(parts)
    outside = np.flatnonzero(~(method.amplification(r * direction) <= 1.0 + SLACK))
    if len(outside) == 0:
        return float("inf")
    high = float(r[outside[0]])
    if outside[0] == 0 or _leaves_at_once(method, direction, high):
        return 0.0
    low = float(r[outside[0] - 1])
    bound = 1.0 if method.amplification(np.array(low * direction)) <= 1.0 else 1.0 + SLACK
    return _bisected(lambda x: bool(method.amplification(np.array(x * direction)) <= bound), low, high)


def _leaves_at_once(method: Integrator, direction: complex, first: float) -> bool:
    """Whether the factor exceeds 1 from the origin on, by less than the slack at first (as on the imaginary axis)."""
    return first < 1e-1 and bool((method.amplification(np.array([0.5, 0.75]) * first * direction) > 1.0 + 1e-15).all())

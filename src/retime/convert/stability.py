"""How large dt may be: stability regions of methods, and the largest stable step at a state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval

from retime.convert.integrators import ExponentialEuler, Integrator, neutral
from retime.convert.methods import integrator
from retime.convert.multistep import AdamsBashforth
from retime.core.arguments import system
from retime.core.arrays import Array, vector
from retime.core.rendering import html_table
from retime.core.result import Result
from retime.core.states import one_state
from retime.core.system import System
from retime.core.time import Continuous

SLACK = 1e-12  # a factor this much above 1 counts as 1: rounding of |R|
SCAN = 4000  # points per ray, logarithmic


@dataclass(frozen=True, eq=False, repr=False)
class StabilityRegion(Result):
    """The set of z = dt lambda for which one step of a method does not enlarge a mode of dz/dt = lambda z.

    Attributes:
        method: the method.
        real_limit: the region contains (-real_limit, 0) of the real axis; inf when all of it.
        imaginary_limit: the region contains the imaginary axis up to i imaginary_limit; 0 when none, inf when all of it.
    """

    _plot: ClassVar[str] = "stability_region"

    method: Any
    real_limit: float
    imaginary_limit: float

    def factor(self, z: Array) -> Array:
        """Largest modulus of the factor per step at z = dt lambda `(...)`, complex."""
        return self.method.amplification(np.asarray(z, dtype=complex))

    def contains(self, z: Array) -> Array:
        """Whether z = dt lambda `(...)` lies in the region."""
        return self.factor(z) <= 1.0 + SLACK

    def _data(self) -> dict[str, Any]:
        return super()._data() | {"method": repr(self.method)}

    def _repr_html_(self) -> str:
        rows = [["negative real axis", f"{self.real_limit:.6g}"], ["imaginary axis", f"{self.imaginary_limit:.6g}"]]
        return html_table(["stable up to |dt lambda|", repr(self.method)], rows)

    def _title(self) -> str:
        axes = [f"{x:.4g}" if np.isfinite(x) else "all" for x in (self.real_limit, self.imaginary_limit)]
        return f"{self.method!r}, negative real axis to {axes[0]}, imaginary axis to {axes[1]}"


def stability_region(method: Integrator) -> StabilityRegion:
    """The stability region of a method of `to_discrete`.

    Args:
        method: e.g. `RungeKutta(RK4)`.

    Returns:
        StabilityRegion, with the limits on both axes, located to rounding.

    Raises:
        TypeError: not a method of `to_discrete`.

    Source: hairer1996, section IV.2.

    Examples:
        >>> import retime as rt
        >>> rt.stability_region(rt.Euler()).real_limit  # |1 + z| <= 1 from z = -2 to 0
        2.0
    """
    method = integrator(method)
    return StabilityRegion(method, _limit(method, -1.0 + 0j), _limit(method, 1j))


def max_stable_dt(model: System, method: Integrator | str, *, at: Any, inputs: Any = None) -> float:
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

    Examples:
        >>> import retime as rt
        >>> decay = rt.LinearSystem([[-4.0]], [0.0], [[1.0]], time=rt.Continuous())
        >>> float(rt.max_stable_dt(decay, rt.Euler(), at=[0.0]))  # 2 / 4
        0.5
    """
    model = system("max_stable_dt", model, wanted="a system in continuous time", time=Continuous)
    method = integrator(method)
    at = vector("at", one_state(at), model.num_states, " one entry per state")
    J = model.jacobian(at, model._input(None if inputs is None else vector("inputs", inputs), "inputs"))
    if isinstance(method, ExponentialEuler):
        return _scanned(method, J, method.linear_of(model))
    rates, rounding = np.linalg.eigvals(J).astype(complex), neutral(J)
    rates = rates[np.abs(rates) > rounding]
    rates = np.where(np.abs(np.real(rates)) <= rounding, 1j * np.imag(rates), rates)
    return min((_limit(method, r / abs(r)) / abs(r) for r in rates), default=float("inf"))


def _scanned(method: ExponentialEuler, J: Array, L: Array) -> float:
    """The largest stable dt of exponential Euler, whose factors are not those of single eigenvalues, from a grid of steps."""
    rates = np.linalg.eigvals(J)
    if (rates.real >= -neutral(J)).any():
        return 0.0
    leak = L[0, 0]

    def stable(dt: float) -> bool:
        if np.array_equal(L, leak * np.eye(len(L))):
            phi = dt if leak == 0 else np.expm1(dt * leak) / leak
            return bool(np.abs(np.exp(dt * leak) + phi * (rates - leak)).max() <= 1.0)
        return method.largest_factor(J, L, dt) <= 1.0

    steps = np.geomspace(1e-3, 1e4, 100) / float(np.abs(rates).max())
    out = next((k for k, dt in enumerate(steps) if not stable(dt)), None)
    if out is None:
        return float("inf")
    return _bisected(stable, float(steps[out - 1]) if out else 0.0, float(steps[out]))


def _bisected(inside: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition that holds at `low` and fails at `high` ends, to rounding."""
    while high - low > 1e-14 * high and low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if inside(middle) else (low, middle)
    return low


def _limit(method: Integrator, direction: complex) -> float:
    """The largest r such that the segment (0, r) times `direction` lies in the region; inf when all of it does."""
    if isinstance(method, AdamsBashforth) and method.steps > 1:
        return _scanned_limit(method, direction)
    fraction = method.rational()
    if fraction is None:  # exp(z)
        return float("inf") if direction.real <= AXIS else 0.0
    return _first_positive(_excess(*fraction, direction))


AXIS = 1e-15  # a cosine below this is rounding: the imaginary axis


def _excess(P: Array, Q: Array, direction: complex) -> Array:
    """Coefficients, constant first, of |P(r d)|^2 - |Q(r d)|^2 as a polynomial in r, d of modulus 1."""
    angle = 0.5 * np.pi * np.sign(direction.imag) if abs(direction.real) <= AXIS else np.angle(direction)
    size = max(len(P), len(Q))
    P, Q = (np.pad(x, (0, size - len(x))) for x in (P, Q))
    found, scale = np.zeros(2 * size - 1), np.zeros(2 * size - 1)
    for j in range(size):
        for k in range(size):
            cosine = np.cos((j - k) * angle)
            cosine = 0.0 if abs(cosine) <= AXIS * size else cosine
            found[j + k] += (P[j] * P[k] - Q[j] * Q[k]) * cosine
            scale[j + k] += abs(P[j] * P[k]) + abs(Q[j] * Q[k])
    # from the second power on, a method of higher order cancels: what is left there is rounding
    small = np.abs(found) <= 16 * np.finfo(float).eps * scale
    small[1] = False
    return np.where(small, 0.0, found)


def _first_positive(c: Array) -> float:
    """The smallest r >= 0 from which on the polynomial sum c_k r^k is positive for a while; inf when it never is."""
    low = next((k for k, x in enumerate(c) if x != 0), None)
    if low is None:
        return float("inf")
    c = np.trim_zeros(c[low:], "b")
    if c[0] > 0:
        return 0.0
    roots = np.roots(c[::-1])
    real = np.sort(roots.real[(np.abs(roots.imag) <= 1e-9 * np.abs(roots)) & (roots.real > 0)])
    for root, beyond in zip(real, [*(real[:-1] + real[1:]) / 2, 2 * real[-1]] if len(real) else [], strict=True):
        if polyval(beyond, c) > 0:
            return float(root - polyval(root, c) / polyval(root, polyder(c)))  # a last step of Newton's method
    return float("inf")


def _scanned_limit(method: Integrator, direction: complex) -> float:
    """The same for a multistep method, from its factor on a fine grid: limits below 1e-6 are taken as 0."""
    parts = (np.geomspace(1e-6, 1e-2, 200)[:-1], np.geomspace(1e-2, 1e2, SCAN))
    r = np.concatenate(parts)
    outside = np.flatnonzero(~(method.amplification(r * direction) <= 1.0 + SLACK))
    high = float(r[outside[0]])  # the region of an Adams-Bashforth method is bounded
    if outside[0] == 0 or _leaves_at_once(method, direction, high):
        return 0.0
    low = float(r[outside[0] - 1])
    bound = 1.0 if method.amplification(np.array(low * direction)) <= 1.0 else 1.0 + SLACK
    return _bisected(lambda x: bool(method.amplification(np.array(x * direction)) <= bound), low, high)


def _leaves_at_once(method: Integrator, direction: complex, first: float) -> bool:
    """Whether the factor exceeds 1 from the origin on, by less than the slack at first (as on the imaginary axis)."""
    return first < 1e-1 and bool((method.amplification(np.array([0.5, 0.75]) * first * direction) > 1.0 + 1e-15).all())

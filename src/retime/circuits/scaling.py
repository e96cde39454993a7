"""Volts, seconds and values of components: chosen from the range of the signals and from what components there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from retime.circuits.assembly import Scale
from retime.circuits.expressions import NAMED_FUNCTIONS
from retime.circuits.form import NetworkForm
from retime.core.arrays import Array, real_array
from retime.core.errors import CertificateError, ShapeError
from retime.core.states import many_states
from retime.core.time import Discrete

SERIES = {"E12": 12, "E24": 24, "E96": 96}
_E24 = (10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91)  # IEC 60063


def preferred(value: float, series: str | None) -> float:
    """The nearest value of a series of preferred numbers (by ratio); the value itself for None.

    Raises:
        ValueError: an unknown series.
    """
    if series is None:
        return value
    if not isinstance(series, str) or series not in SERIES:
        raise ValueError(f"`series` is {series!r}; it must be one of {', '.join(SERIES)}, or None for exact values.")
    decade = math.floor(math.log10(value))
    steps = _mantissas(series)
    candidates = [m * 10.0 ** (decade + k) for k in (-1, 0, 1) for m in steps]
    best = min(candidates, key=lambda c: abs(math.log(c / value)))
    return float(f"{best:.6g}")


def _mantissas(series: str) -> list[float]:
    if series == "E96":
        return [round(10 ** (k / 96), 2) for k in range(96)]
    return [x / 10.0 for x in _E24[:: 24 // SERIES[series]]]


def combined(value: float, series: str, count: int = 2) -> tuple[float, ...]:
    """One or two values of a series whose sum comes nearest to a value, the larger first.

    Args:
        value: > 0. series: of preferred numbers. count: 1, or 2 for up to two.
    """
    single = preferred(value, series)
    if count == 1 or abs(single / value - 1.0) <= MET:
        return (single,)
    sums, pairs = _sums(series)
    decade = 10.0 ** math.floor(math.log10(value))
    k = int(np.searchsorted(sums, value / decade))
    best = min(range(max(k - 1, 0), min(k + 1, len(sums))), key=lambda j: abs(sums[j] * decade - value))
    found = tuple(float(f"{x * decade:.6g}") for x in pairs[best])
    return (single,) if abs(single - value) <= abs(sum(found) - value) else found


MET = 1e-6  # relative: a single value this near needs no second one


@lru_cache(maxsize=8)
def _sums(series: str) -> tuple[Array, Array]:
    """The sums from 1 to 10 of two values of a series, the smaller at least a thousandth of its decade, sorted, and the values `(k, 2)`."""
    mantissas = np.array(_mantissas(series))
    large = np.concatenate([0.1 * mantissas, mantissas])
    small = np.concatenate([mantissas * 10.0**k for k in (-3, -2, -1, 0)])
    pairs = np.array(np.meshgrid(large, small)).reshape(2, -1).T
    pairs = pairs[pairs[:, 0] >= pairs[:, 1]]
    sums = pairs.sum(axis=1)
    order = np.flatnonzero((sums >= 1.0 - 1e-12) & (sums <= 10.0 + 1e-9))
    order = order[np.argsort(sums[order], kind="stable")]
    return sums[order], pairs[order]


def largest_rounding(series: str, count: int) -> float:
    """How far, relative to it, a value can be from the nearest of `combined`."""
    sums = _sums(series)[0] if count == 2 else np.append(_mantissas(series), 10.0)
    steps = np.diff(sums) / (sums[1:] + sums[:-1])
    return float(steps.max())


FAR = 100.0  # times their start, where orbits count as escaping
DOUBTFUL, LONGER = 0.1, 10  # from this share of that on they are followed so many times longer


@dataclass(frozen=True)
class Ranges:
    """Largest sizes on simulated orbits, in units of the model: of states, of the functions' arguments and values."""

    states: float
    arguments: float
    values: float

    @property
    def largest(self) -> float:
        """Of all."""
        return max(self.states, self.arguments, self.values)


def simulated_ranges(form: NetworkForm, states: Any = None) -> Ranges:
    """How far signals go on orbits from given states `(k, n)`, or from 8 random ones: 20 time constants, or 200 steps."""
    n = form.num_states
    z = (
        np.random.default_rng(0).normal(size=(8, n))
        if states is None
        else np.atleast_2d(real_array("states", many_states(states)))
    )
    if z.ndim != 2 or z.shape[1] != n:
        raise ShapeError(f"`states` has shape {z.shape}; it must be (k, {n}) finite numbers, one state per row.")
    orbit = _staying(form, z, FAR * (1.0 + np.abs(z).max()))
    f = NAMED_FUNCTIONS[form.activation]
    arguments = orbit @ form.W2.T + form.h2
    sizes = [float(np.abs(x).max(initial=0.0)) for x in (orbit, arguments, f(arguments))]
    return Ranges(*(s if 0 < s < 1e12 else 1.0 for s in sizes))


def _staying(form: NetworkForm, z: Array, bound: float) -> Array:
    """Points `(k, n)` of the orbits that stay within a bound: those that escape say nothing of the range. Where none stays, what is within."""
    orbit = _map_orbit if isinstance(form.time, Discrete) else _flow_orbit
    while True:
        orbits = orbit(form, z)
        far = np.abs(orbits).max(axis=(0, 2)) > bound
        doubtful = ~far & (np.abs(orbits[-1]).max(axis=1) > DOUBTFUL * bound)
        if doubtful.any():  # on its way out, or large and at rest
            far[doubtful] = np.abs(orbit(form, orbits[-1][doubtful], LONGER)).max(axis=(0, 2)) > bound
        if not far.any() or far.all():
            points = orbits.reshape(-1, z.shape[1])
            return points[np.abs(points).max(axis=1) <= bound]
        z = z[~far]


def _map_orbit(form: NetworkForm, z: Array, longer: int = 1) -> Array:
    f, kept = NAMED_FUNCTIONS[form.activation], [z]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(200 * longer):
            z = z @ form.A.T + f(z @ form.W2.T + form.h2) @ form.W1.T + form.h1
            if not np.abs(z).max() < 1e9:
                kept.append(np.nan_to_num(z, nan=np.inf))
                break
            kept.append(z)
    return np.stack(kept)


def _flow_orbit(form: NetworkForm, z: Array, longer: int = 1) -> Array:
    f, shape = NAMED_FUNCTIONS[form.activation], z.shape
    slowest = time_constants(form).max()

    def rate(t: float, x: Array) -> Array:
        y = x.reshape(shape)
        return (y @ form.A.T + f(y @ form.W2.T + form.h2) @ form.W1.T + form.h1).ravel()

    def escaped(t: float, x: Array) -> float:
        return 1e6 - float(np.abs(x).max())

    escaped.terminal = True  # type: ignore[attr-defined]
    found = solve_ivp(rate, (0.0, 20.0 * slowest * longer), z.ravel(), rtol=1e-4, atol=1e-6, events=escaped)
    return found.y.T.reshape(-1, *shape)


def time_constants(form: NetworkForm) -> Array:
    """1 / |leak| of each unit `(n,)`, or 1 / its largest coefficient where it has no leak; model time."""
    leak = -np.diagonal(form.A)
    other = np.maximum(np.abs(form.A).max(axis=1), np.abs(form.W1).max(axis=1, initial=0.0))
    rate = np.where(leak > 0, leak, np.where(other > 0, other, 1.0))
    return 1.0 / rate


def nice(value: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten below or at a value."""
    decade = 10.0 ** math.floor(math.log10(value))
    return float(f"{max(m for m in (1.0, 2.0, 5.0) if m <= value / decade * (1 + 1e-9)) * decade:.6g}")


def ideal_scale(
    form: NetworkForm, ranges: Ranges, volts: float | None, seconds: float | None, capacitor: float | None
) -> Scale:
    """Where any value of a component will do: model time in seconds and units in volts where these are usual ones."""
    volts = volts or (1.0 if 1e-2 <= ranges.largest <= 100.0 else nice(10.0 / ranges.largest))
    if isinstance(form.time, Discrete):
        seconds = seconds or 1e-3 / form.time.dt
        return Scale(volts, seconds, capacitor or 1e-8, 100.0)
    middle = float(np.median(time_constants(form)))
    if seconds is None:
        seconds = 1.0 if 1e-6 <= middle <= 10.0 else 1e-3 / nice(middle)
    if capacitor is None:
        capacitor = 10.0 ** round(math.log10(middle * seconds / 1e5))
    return Scale(volts, seconds, capacitor, 1e3)


def part_scale(
    form: NetworkForm,
    ranges: Ranges,
    volts: float | None,
    seconds: float | None,
    capacitor: float | None,
    swing: float,
    ohms: tuple[float, float],
) -> Scale:
    """For parts that can be bought: signals within `swing` volts, resistors within `ohms`, time constants of a millisecond or slower."""
    volts = volts or nice(swing / ranges.largest)
    if isinstance(form.time, Discrete):
        return Scale(volts, seconds or 1e-3 / form.time.dt, capacitor or 1e-8, 1e4)
    weights = np.abs(np.concatenate([form.A.ravel(), form.W1.ravel(), form.C1.ravel(), form.h1]))
    weights = weights[weights > 0] if weights.any() else np.ones(1)
    farad = capacitor or 1e-8
    if seconds is None:
        fastest = farad * float(weights.max()) * 2.0 * ohms[0]  # no resistor below twice the lower limit
        seconds = max(nice(1e-3 / float(np.median(time_constants(form)))), 10.0 ** math.ceil(math.log10(fastest)))
    if capacitor is None:  # larger where the largest resistor would be above its limit
        largest = seconds / (farad * float(weights.min()))
        farad *= 10.0 ** max(0, math.ceil(math.log10(largest / ohms[1]) - 1e-9))
    return Scale(volts, seconds, farad, 1e4)


def check_resistor(name: str, ohm: float, ohms: tuple[float, float]) -> None:
    """Refuse a value that no resistor within limits has.

    Raises:
        CertificateError: which one, its value and the limit.
    """
    if not ohms[0] <= ohm <= ohms[1]:
        limit = f"below the limit of {ohms[0]:g}" if ohm < ohms[0] else f"above the limit of {ohms[1]:g}"
        raise CertificateError(
            f"{name} would be {ohm:.4g} ohm, {limit} ohm: the weights of this unit span too wide a range. Give `resistor_limits`, another "
            "`capacitor` or `seconds_per_unit`, or set weights that do not matter to 0."
        )

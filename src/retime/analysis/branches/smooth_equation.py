"""The equation of the fixed points of a smooth system, along a parameter: G(z, x) = 0. Why so: docs/theory/continuation.md."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from retime.analysis.branches.method import Arclength
from retime.analysis.branches.pieces import Sample
from retime.core.arrays import Array
from retime.core.time import TimeBase
from retime.core.tolerances import EPS, size_of


class Spot(NamedTuple):
    """A solution u = (z, x) `(n + 1,)` on a smooth branch, x the scaled value.

    tangent: of the branch, unit. w: multipliers or rates `(n,)`. least: smallest singular value of E = (dG/dz, dG/dx), 0 where
    branches cross. side: sign of det (E, tangent), which changes along a branch where a simple branch crosses it and nowhere else.
    """

    u: Array
    tangent: Array
    w: Array
    least: float
    side: float


class Lost(Exception):
    """Newton's method found no solution near where one was expected."""


class SmoothEquation:
    """G(z, x) = 0 with G = F - z of a map, F of a flow, and its derivatives; x is the parameter in units of the states.

    Args:
        family: value -> (model, constant input). values: increasing `(T,)`. size: of typical states. method: the thresholds.
    """

    def __init__(
        self, family: Callable[[float], tuple[Any, Array]], values: Array, size: float, method: Arclength
    ) -> None:
        self.family, self.values, self.size, self.method = family, values, 1.0 + size, method
        span = float(values[-1] - values[0]) or 1.0
        self.unit = span / self.size  # of x, in units of the parameter
        self.x = values / self.unit
        self.longest = float(np.diff(self.x).max()) if len(values) > 1 else 1.0
        self.time: TimeBase = family(float(values[0]))[0].time
        self.target = complex(self.time.neutral)  # the multiplier, or rate, of a singular dG/dz
        self._models: dict[float, tuple[Any, Array]] = {}

    def residual(self, z: Array, x: float) -> Array:
        """G `(n,)`: F - z of a map, F of a flow."""
        from retime.core.equation import evaluate

        model, s = self.at(x)
        F = evaluate(model.equation, z[None], s[None])[0]
        return self.time.motion(F, z)

    def jacobian(self, z: Array, x: float) -> Array:
        """dF/dz `(n, n)`."""
        model, s = self.at(x)
        return model.jacobian(z[None], s[None])[0]

    def slope(self, z: Array, x: float) -> Array:
        """dG/dx `(n,)`, by differences of fourth order inside the range."""
        low, high = (float(self.x[0]), float(self.x[-1])) if len(self.x) > 1 else (-math.inf, math.inf)
        h = 1e-4 * (high - low if len(self.x) > 1 else 1.0)
        if low <= x - 2 * h and x + 2 * h <= high:
            places, weights = (-2, -1, 1, 2), (1, -8, 8, -1)
        else:
            places, weights = (0, 1, 2, 3, 4), (-25, 48, -36, 16, -3)
            h = h if x - 2 * h < low else -h
        parts = [w * self.residual(z, x + k * h) for k, w in zip(places, weights, strict=True)]
        return np.sum(parts, axis=0) / (12 * h)

    def extended(self, u: Array) -> Array:
        """(dG/dz, dG/dx) `(n, n + 1)`."""
        J = self.time.motion_jacobian(self.jacobian(u[:-1], u[-1]))
        return np.column_stack([J, self.slope(u[:-1], u[-1])])

    def corrected(self, u: Array, row: Array, reach: float) -> Array:
        """The solution in the plane row . (v - u) = 0 by Newton's method, at most `reach` from u.

        Raises:
            Lost: there is none, or it is not found in 12 steps.
        """
        start, u, last = u, u.copy(), math.inf
        keeps_value = bool((row[:-1] == 0).all())
        for _ in range(12):
            G = self.residual(u[:-1], u[-1])
            if not G.any():
                return u
            if keeps_value:
                J = self.time.motion_jacobian(self.jacobian(u[:-1], u[-1]))
                step = np.append(solved(J, -G), 0.0)
            else:
                step = solved(np.vstack([self.extended(u), row]), np.append(-G, 0.0))
            size = float(np.abs(step).max()) / size_of(u)
            if size > 0.5 * last and last < 1e-9:  # rounding
                return u
            u, last = u + step, size
            if not np.linalg.norm(u - start) <= reach:
                break
            if size < 1e-14:
                return u
        if last < 1e-9:
            return u
        raise Lost

    def spot(self, u: Array, along: Array) -> Spot:
        """Tangent (as far as unique, in the direction of `along`) and multipliers at a solution."""
        E = self.extended(u)
        _, sizes, V = np.linalg.svd(E)
        null = V[np.append(sizes, 0.0) <= 1e-7 * max(float(sizes[0]), 1e-300)] if sizes[0] > 1e-12 else V
        null = null if len(null) else V[-1:]
        t = null.T @ (null @ along)
        norm = float(np.linalg.norm(t))
        t = V[-1] if norm < 1e-8 else t / norm
        t = t if t @ along >= 0 else -t
        J = self.time.right_jacobian(E[:, :-1])
        side = float(np.linalg.slogdet(np.vstack([E, t]))[0])
        return Spot(u, t, np.linalg.eigvals(J).astype(complex), float(sizes[-1]), side)

    def singular_spot(self, u: Array, along: Array) -> Spot:
        """A spot known by interpolation, where the equation is singular: multipliers next to the singular one are set to it."""
        s = self.spot(u, along)
        w = np.where(np.abs(s.w - self.target) < 1e-6 * size_of(s.w), self.target, s.w)
        return s._replace(tangent=along, w=w)

    def is_nearly_singular(self, u: Array) -> bool:
        """Whether dG/dz is nearly singular at a solution, compared with its size around, or not finite: there no branch is begun."""
        E = self.extended(u)
        if not np.isfinite(E).all():
            return True
        _, sizes, rows = np.linalg.svd(E[:, :-1])
        h = 0.1 * size_of(u[:-1])
        around = [
            np.linalg.norm(self.time.motion_jacobian(self.jacobian(u[:-1] + d * rows[-1], u[-1]))) for d in (-h, h)
        ]
        finite = [float(x) for x in around if np.isfinite(x)]
        return bool(sizes[-1] <= self.method.beside * max(float(np.linalg.norm(E)), min(finite, default=0.0)))

    def sample(self, s: Spot, shown: bool) -> Sample:
        """A spot as results keep it."""
        k = int(np.argmin(np.abs(self.x - s.u[-1])))
        value = float(self.values[k]) if self.x[k] == s.u[-1] else float(s.u[-1] * self.unit)
        return Sample(value, s.u[None, :-1], np.zeros((1, 0), dtype=bool), s.w, shown)

    def smallest(self, s: Spot) -> float:
        """Smallest singular value of (E, tangent)."""
        return float(np.linalg.svd(np.vstack([self.extended(s.u), s.tangent]), compute_uv=False)[-1])

    def noise(self, u: Array) -> float:
        """What G at a solution may be off by rounding."""
        size = float(np.linalg.norm(self.jacobian(u[:-1], u[-1])))
        return 8 * EPS * size_of(u[:-1]) * (1.0 + size)

    def fold_noise(self, u: Array) -> float:
        """What the value of a saddle-node may be off by rounding: the noise of G over |psi dG/dx|, psi the left null vector."""
        E = self.extended(u)
        psi = np.linalg.svd(E[:, :-1])[0][:, -1]
        return min(self.longest, self.noise(u) / max(abs(float(psi @ E[:, -1])), 1e-300))

    def reached(self, guess: Array, row: Array, reach: float, along: Array) -> Spot | None:
        """The spot of `corrected`, with its tangent in the direction of `along`; None where there is none."""
        with suppress(Lost, ValueError):
            return self.spot(self.corrected(guess, row, reach), along)
        return None

    def has(self, u: Array) -> bool:
        """Whether the value of a point is in the range."""
        return bool(self.x[0] <= u[-1] <= self.x[-1])

    def off(self, w: Array) -> Array:
        """How far outside the unit circle multipliers are, or right of the imaginary axis rates."""
        return self.time.sizes(w) - self.time.neutral

    def real(self, w: Array) -> float:
        """Imaginary parts up to this are taken for rounding."""
        return 1e-7 * size_of(w)

    def at(self, x: float) -> tuple[Any, Array]:
        """The model and its input, kept."""
        if x not in self._models:
            if len(self._models) > 64:
                self._models.clear()
            k = int(np.argmin(np.abs(self.x - x)))
            self._models[x] = self.family(float(self.values[k]) if self.x[k] == x else x * self.unit)
        return self._models[x]


def along_value(num_states: int) -> Array:
    """The direction `(n + 1,)` in which the value alone changes."""
    return np.append(np.zeros(num_states), 1.0)


def solved(A: Array, b: Array) -> Array:
    """x of A x = b, the smallest where A is singular.

    Raises:
        Lost: not finite.
    """
    if not (np.isfinite(A).all() and np.isfinite(b).all()):
        raise Lost
    try:
        x = np.linalg.solve(A, b)
    except np.linalg.LinAlgError:
        x = np.linalg.lstsq(A, b, rcond=1e-12)[0]
    if not np.isfinite(x).all():
        raise Lost
    return x

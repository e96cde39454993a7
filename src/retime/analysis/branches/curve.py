"""Points of a smooth curve of fixed points, and what lies between two of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array


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


EPS = float(np.finfo(float).eps)


def matched(v: Array, w: Array) -> Array:
    """The order of w in which its entries are closest to those of v."""
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(np.abs(v[:, None] - w[None]))[1])


def angle_between(s: Array, t: Array) -> float:
    """Between unit vectors."""
    return 2.0 * math.asin(min(1.0, 0.5 * float(np.linalg.norm(s - t))))


def hermite(a: Spot, b: Spot, share: float) -> tuple[Array, Array]:
    """The point and the unit tangent, at a share of the way, of the cubic with the places and directions of a and b at its ends."""
    way, x = b.u - a.u, share
    h = float(np.linalg.norm(way))
    at_a, at_b = h * a.tangent - way, h * b.tangent - way
    u = a.u + x * way + x * (1 - x) * ((1 - x) * at_a - x * at_b)
    d = way + (1 - x) * (1 - 3 * x) * at_a - x * (2 - 3 * x) * at_b
    return u, d / max(float(np.linalg.norm(d)), 1e-300)


def point_between(around: list[tuple[float, Spot]], share: float) -> Array:
    """The point at a share of the way, of the cubic through four spots, or of that with the directions of two."""
    if len(around) < 4:
        return hermite(around[0][1], around[1][1], share)[0]
    shares = [x for x, _ in around]
    weights = [math.prod((share - y) / (x - y) for y in shares if y != x) for x in shares]
    return np.sum([k * s.u for k, (_, s) in zip(weights, around, strict=True)], axis=0)


def share_at(a: Spot, b: Spot, x: float) -> float:
    """The share of the way at which the cubic through a and b has the value x."""
    low, high = 0.0, 1.0
    is_rising = bool(b.u[-1] > a.u[-1])
    for _ in range(60):
        middle = 0.5 * (low + high)
        if bool(hermite(a, b, middle)[0][-1] < x) == is_rising:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def least_of(f: Callable[[float], float], low: float, high: float) -> float:
    """Where a function is smallest, by thirds."""
    for _ in range(100):
        a, b = (2 * low + high) / 3, (low + 2 * high) / 3
        low, high = (low, b) if f(a) < f(b) else (a, high)
    return 0.5 * (low + high)


def zero(points: list[tuple[float, float]], near: float) -> float:
    """The zero, close to `near`, of the polynomial through points; `near` where there is none in [0, 1]."""
    places, heights = np.array(points).T
    curve = np.polynomial.Polynomial.fit(places, heights, len(points) - 1)
    roots = [float(r.real) for r in curve.roots() if abs(r.imag) < 1e-3 and -0.1 <= r.real <= 1.1]
    return min(roots, key=lambda r: abs(r - near), default=near)


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

"""Points of a smooth curve of fixed points, and what lies between two of them. Why so: docs/theory/continuation.md."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np

from retime.analysis.branches.pieces import MARGIN, num_outside
from retime.analysis.branches.smooth_equation import Lost, SmoothEquation, Spot, along_value
from retime.core.arrays import Array
from retime.core.tolerances import EPS, size_of


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
    """The share of the way at which the cubic through a and b has the value x, which lies between theirs."""
    from scipy.optimize import brentq

    off = [hermite(a, b, share)[0][-1] - x for share in (0.0, 1.0)]
    if off[0] * off[1] >= 0:
        return float(abs(off[1]) < abs(off[0]))
    return float(brentq(lambda share: hermite(a, b, share)[0][-1] - x, 0.0, 1.0, xtol=1e-16))  # type: ignore[arg-type]


def zero(points: list[tuple[float, float]], near: float) -> float:
    """The zero, close to `near`, of the polynomial through points; `near` where there is none in [0, 1]."""
    places, heights = np.array(points).T
    curve = np.polynomial.Polynomial.fit(places, heights, len(points) - 1)
    roots = [float(r.real) for r in curve.roots() if abs(r.imag) < 1e-3 and -0.1 <= r.real <= 1.1]
    return min(roots, key=lambda r: abs(r - near), default=near)


class Curve:
    """A branch of an equation between two of its spots."""

    def __init__(self, equation: SmoothEquation) -> None:
        self.equation = equation

    def point(self, a: Spot, b: Spot, share: float) -> Spot | None:
        """The spot of this branch at a share of the way from a to b; None: not found, or that of a branch that crosses."""
        equation = self.equation
        guess, along = hermite(a, b, share)
        if not equation.has(guess):
            return None
        found = equation.reached(guess, along, float(np.linalg.norm(b.u - a.u)), along)
        return found if found is not None and self._is_between(a, b, found, guess, along) else None

    def widened(self, p: Spot, q: Spot) -> tuple[Spot, Spot]:
        """Two spots not closer than the window, where the branch reaches that far."""
        h = self.window(p)
        if np.linalg.norm(q.u - p.u) >= 0.3 * h:
            return p, q
        found = []
        for s, step in ((p, -h), (q, h)):
            guess = s.u + step * s.tangent
            there = self.equation.reached(guess, s.tangent, 0.5 * h, s.tangent) if self.equation.has(guess) else None
            found.append(s if there is None or angle_between(there.tangent, s.tangent) > 0.3 else there)
        return found[0], found[1]

    def _is_between(self, a: Spot, b: Spot, s: Spot, guess: Array, along: Array) -> bool:
        """Whether a spot lies as the curve through a and b says, and has its direction."""
        near = np.linalg.norm(s.u - guess) <= self._reach(a, b, s.u)
        return bool(near and angle_between(s.tangent, along) <= 0.005 + 0.3 * angle_between(a.tangent, b.tangent))

    def _reach(self, a: Spot, b: Spot, u: Array) -> float:
        """How far a smooth branch may be from the cubic between a and b."""
        bent = float(np.linalg.norm(b.u - a.u)) * (0.02 + angle_between(a.tangent, b.tangent))
        return 0.03 * bent + 1e-9 * size_of(u)

    def has_middle(self, a: Spot, b: Spot, angle: float) -> bool:
        """Whether the branch through a passes half way where the cubic to b does: not so where b is on a branch that crosses."""
        if angle > self.equation.method.checked:
            return self.point(a, b, 0.5) is not None
        guess, along = hermite(a, b, 0.5)
        row = along_value(len(guess) - 1) if abs(along[-1]) > 0.5 else along
        with suppress(Lost, ValueError):
            u = self.equation.corrected(guess, row, float(np.linalg.norm(b.u - a.u)))
            return bool(np.linalg.norm(u - guess) <= self._reach(a, b, u))
        return False

    def at_values(self, a: Spot, b: Spot) -> list[Spot]:
        """Spots at the values strictly between two spots of one piece."""
        equation = self.equation
        low, high = sorted((float(a.u[-1]), float(b.u[-1])))
        gap = 1e-7 * equation.longest  # a value this close to a turning point has no solution of its own
        low, high = low + gap * (abs(a.tangent[-1]) < 1e-3), high - gap * (abs(b.tangent[-1]) < 1e-3)
        inside = equation.x[(equation.x > low) & (equation.x < high)]
        found = [self._at_value(a, b, float(x)) for x in (inside if a.u[-1] < b.u[-1] else inside[::-1])]
        return [s for s in found if s is not None]

    def _at_value(self, a: Spot, b: Spot, x: float) -> Spot | None:
        """The spot at a value between two spots; interpolated where the equation is singular. None right beside a fold."""
        equation = self.equation
        share, axis = share_at(a, b, x), along_value(len(a.u) - 1)
        while True:
            guess, along = hermite(a, b, share)
            guess[-1] = x
            length = float(np.linalg.norm(b.u - a.u))
            found = equation.reached(guess, axis, length, along)
            is_between = found is not None and self._is_between(a, b, found, guess, along)
            if found is not None and is_between and found.least > equation.method.nearer * min(a.least, b.least):
                return found
            if length <= equation.method.window * equation.longest:
                return equation.singular_spot(guess, along)
            sides = [self.point(a, b, share + d) for d in (-0.2 * share, 0.2 * (1.0 - share))]
            a, b = sides[0] or a, sides[1] or b
            if sides == [None, None] or not (a.u[-1] - x) * (b.u[-1] - x) < 0:
                return None
            share = share_at(a, b, x)

    def extrapolated(self, here: Spot, x: float) -> Spot | None:
        """The spot at an end of the range close ahead where the equation is singular."""
        from scipy.optimize import minimize_scalar

        equation = self.equation
        h = equation.method.window * equation.longest
        with suppress(Lost, ValueError):
            behind = equation.spot(equation.corrected(here.u - h * here.tangent, here.tangent, 0.5 * h), here.tangent)
            shares = np.linspace(1.0, 6.0, 2001)

            def off(share: float) -> float:
                return abs(float(hermite(behind, here, share)[0][-1]) - x)

            near = float(min(shares, key=off))
            found = minimize_scalar(off, bounds=(max(near - 0.0025, 1.0), near + 0.0025), options={"xatol": 1e-15})
            u, along = hermite(behind, here, min(near, float(found.x), key=off))
            u[-1] = x
            return equation.singular_spot(u, along)
        return None

    def brackets(self, a: Spot, b: Spot) -> Iterator[tuple[Spot, Spot]]:
        """Pairs of close spots between which the parameter turns, a branch crosses or a multiplier crosses the unit circle, in order."""
        if self._signature(a) == self._signature(b):
            return
        length = float(np.linalg.norm(b.u - a.u))
        shares = (0.5, 0.4, 0.6, 0.25, 0.75, 0.1, 0.9) if length > self.window(a) else ()
        middle = next((m for m in (self.point(a, b, x) for x in shares) if m is not None), None)
        if middle is None:
            yield a, b
            return
        yield from self.brackets(a, middle)
        yield from self.brackets(middle, b)

    def _signature(self, s: Spot) -> tuple[bool, float, int]:
        return bool(s.tangent[-1] > 0), s.side, num_outside(s.w, self.equation.time, MARGIN)

    def window(self, a: Spot) -> float:
        """How close spots around an event are."""
        return max(self.equation.method.window * self.equation.longest, 1e-8 * size_of(a.u))

    def around(self, p: Spot, q: Spot) -> list[tuple[float, Spot]]:
        """Shares and spots: p, q and, where they are found, one as far before and one after."""
        if np.linalg.norm(q.u - p.u) > 2 * self.window(p):
            return [(0.0, p), (1.0, q)]
        way = (q.u - p.u) / float(np.linalg.norm(q.u - p.u)) ** 2
        beyond = [s for x in (-1.0, 2.0) if (s := self.point(p, q, x)) is not None]
        return [(0.0, p), (1.0, q), *((float((s.u - p.u) @ way), s) for s in beyond)]


def root_of(around: list[tuple[float, Spot]], measure: Callable[[Spot], float]) -> tuple[float, float]:
    """The share of the way from p to q at which a measure is 0, and how far it may be off; by a cubic through four spots.

    It is compared with the parabolas through three of them.
    """
    points = [(x, measure(s)) for x, s in around]
    at_p, at_q = points[0][1], points[1][1]
    line = min(max(at_p / (at_p - at_q), 0.0), 1.0) if at_p != at_q else 0.5
    if len(points) == 2:
        return line, 1.0
    share = zero(points, line)
    others = [zero([*points[:2], x], line) for x in points[2:]] if len(points) == 4 else [line]
    noise = EPS * size_of(around[0][1].w) / max(abs(at_p - at_q), 1e-300)
    return share, 2.0 * max(abs(x - share) for x in others) + 16.0 * noise

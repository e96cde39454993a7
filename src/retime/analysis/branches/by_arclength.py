"""Branches of smooth systems along a parameter: followed by arclength, through folds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np

from retime.analysis.branches.curve import (
    EPS,
    Lost,
    Spot,
    angle_between,
    hermite,
    least_of,
    matched,
    point_between,
    share_at,
    solved,
    zero,
)
from retime.analysis.branches.pieces import (
    CROSSING,
    DEGENERATE,
    FLIP,
    HOPF,
    MARGIN,
    NEIMARK_SACKER,
    SADDLE_NODE,
    SAME,
    Found,
    Piece,
    Sample,
    Stopped,
    closest,
    join,
    num_outside,
)
from retime.core.arrays import Array
from retime.core.clock import work_seconds

MOST_STEPS = 20_000  # along one branch
SHORTEST = 1e-9  # step, relative to the distance of values
STRAIGHT = 0.95  # least cosine between the tangents at both ends of a step
TURNED = 0.08  # angle of the tangents in a step that needs no comparison with the step before
CHECKED = 0.025  # from this angle on the direction in the middle of a step is looked at too
BENT = 3.0  # times the curvature of the step before: more is taken for a jump to a branch that crosses
WINDOW = 1e-3  # of the distance of values: where an event is interpolated, far enough from singular equations
NEARER = 0.02  # of `least` at the start of a step: with less at its end the end is beside a crossing
ALIGNED = 0.01  # angle of tangents: with more at one point it is on two branches that cross there
ON_VALUE = 1e-9  # of the distance of values: a turning point this close to a value is listed at it
GROWN = 1e4  # times its first size: a point that has left, when its parameter converges
BESIDE = (
    1e-4  # smallest singular value of dG/dz, relative to the size of (dG/dz, dG/dx), from which on a branch is begun
)
REGULAR = 1e-5  # |psi dG/dx|, psi the left null vector, above which a turning point is a saddle-node


class Arclength:
    """Follows the fixed points of a smooth system with the arclength of the branch as the parameter.

    Args:
        family: value -> (model, constant input). values: increasing `(T,)`. deadline: of `work_seconds`. size: of typical states.
    """

    def __init__(
        self, family: Callable[[float], tuple[Any, Array]], values: Array, deadline: float, size: float
    ) -> None:
        self.family, self.values, self.deadline = family, values, deadline
        span = float(values[-1] - values[0]) or 1.0
        self.size = 1.0 + size
        self.unit = span / self.size  # of x, in units of the parameter
        self.x = values / self.unit
        self.longest = float(np.diff(self.x).max()) if len(values) > 1 else 1.0
        self.pieces: list[Piece] = []
        self.events: list[Found] = []
        self.claims: list[list[tuple[Spot, Piece]]] = [[] for _ in values]
        model, _ = family(float(values[0]))
        self.begun: Piece | None = None  # the piece that is begun with, of the branch that is followed
        self.is_map = hasattr(model.time, "dt")
        self._models: dict[float, tuple[Any, Array]] = {}

    # --- the equation

    def _at(self, x: float) -> tuple[Any, Array]:
        if x not in self._models:
            if len(self._models) > 64:
                self._models.clear()
            k = int(np.argmin(np.abs(self.x - x)))
            self._models[x] = self.family(float(self.values[k]) if self.x[k] == x else x * self.unit)
        return self._models[x]

    def residual(self, z: Array, x: float) -> Array:
        """G `(n,)`: F - z of a map, F of a flow."""
        from retime.core.equation import evaluate

        model, s = self._at(x)
        F = evaluate(model.equation, z[None], s[None])[0]
        return F - z if self.is_map else F

    def jacobian(self, z: Array, x: float) -> Array:
        """dF/dz `(n, n)`."""
        model, s = self._at(x)
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
        J = self.jacobian(u[:-1], u[-1])
        if self.is_map:
            J = J - np.eye(len(J))
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
                J = self.jacobian(u[:-1], u[-1]) - (np.eye(len(G)) if self.is_map else 0.0)
                step = np.append(solved(J, -G), 0.0)
            else:
                step = solved(np.vstack([self.extended(u), row]), np.append(-G, 0.0))
            size = float(np.abs(step).max()) / (1.0 + float(np.abs(u).max()))
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
        J = E[:, :-1] + (np.eye(len(E)) if self.is_map else 0.0)
        side = float(np.linalg.slogdet(np.vstack([E, t]))[0])
        return Spot(u, t, np.linalg.eigvals(J).astype(complex), float(sizes[-1]), side)

    # --- branches

    def grow(self, t: int, z: Array) -> None:
        """Follow the branch through a point of value t in both directions, unless it is known or singular."""
        axis = np.append(np.zeros(len(z)), 1.0)
        try:
            u = self.corrected(np.append(z, self.x[t]), axis, 1e-3 * (1.0 + float(np.abs(z).max(initial=0.0))))
        except Lost:
            return
        if self._is_beside(u):
            return
        here = self.spot(u, axis)
        if self._claimed(t, here) is not None:
            return
        piece = Piece(1)
        self.pieces.append(piece)
        self.claims[t].append((here, piece))
        self.begun = piece
        for sense in (1, -1):
            if self._trace(self.spot(u, sense * axis), piece, t):
                return

    def _is_beside(self, u: Array) -> bool:
        """Whether dG/dz is nearly singular at a solution, compared with its size around, or not finite: there no branch is begun."""
        E = self.extended(u)
        if not np.isfinite(E).all():
            return True
        _, sizes, rows = np.linalg.svd(E[:, :-1])
        h = 0.1 * (1.0 + float(np.abs(u[:-1]).max(initial=0.0)))
        around = [
            np.linalg.norm(self.jacobian(u[:-1] + d * rows[-1], u[-1]) - np.eye(len(E)) * self.is_map) for d in (-h, h)
        ]
        finite = [float(x) for x in around if np.isfinite(x)]
        return bool(sizes[-1] <= BESIDE * max(float(np.linalg.norm(E)), min(finite, default=0.0)))

    def _claimed(self, t: int, s: Spot) -> tuple[Spot, Piece] | None:
        """The known spot at its value that a spot is, and its piece; that of a branch that only crosses there is another one."""
        size = SAME * (1.0 + np.abs(s.u).max(initial=0.0))
        for c, piece in self.claims[t]:
            is_near = np.abs(c.u - s.u).max(initial=0.0) <= size
            if is_near and min(angle_between(c.tangent, s.tangent), angle_between(c.tangent, -s.tangent)) <= ALIGNED:
                return c, piece
        return None

    def _sample(self, s: Spot, shown: bool) -> Sample:
        k = int(np.argmin(np.abs(self.x - s.u[-1])))
        value = float(self.values[k]) if self.x[k] == s.u[-1] else float(s.u[-1] * self.unit)
        return Sample(value, s.u[None, :-1], np.zeros((1, 0), dtype=bool), s.w, shown)

    def _trace(self, here: Spot, piece: Piece, t: int) -> bool:
        """Follow from a spot at value t along its tangent; whether the branch came back to where it began."""
        piece.segments.append([self._sample(here, True)])
        start, first, length = here, piece, self.longest
        bend = self._bend(here)
        for _ in range(MOST_STEPS):
            if work_seconds() >= self.deadline:
                raise Stopped
            end = float(self.x[-1] if here.tangent[-1] > 0 else self.x[0])
            if here.u[-1] == end or (len(self.x) == 1):
                return False
            ahead = self._advance(here, length, bend)
            brackets = [] if ahead is None else list(self._brackets(here, ahead))
            if ahead is not None and any(np.linalg.norm(q.u - p.u) > 2 * self._window(p) for p, q in brackets):
                length, ahead = min(length, float(np.linalg.norm(ahead.u - here.u))), None  # may be a jump
            if ahead is None:
                length *= 0.5
                if length < SHORTEST * self.longest:
                    self._end(
                        here, piece, "the branch cannot be followed farther: the right-hand side may not be smooth here"
                    )
                    return False
                continue
            bend = angle_between(here.tangent, ahead.tangent) / float(np.linalg.norm(ahead.u - here.u))
            most = self.longest * max(1.0, float(np.abs(ahead.u[:-1]).max(initial=0.0)) / self.size)
            length = min(2.0 * length, most) if here.tangent @ ahead.tangent > 0.99 else length
            piece, known = self._pass(here, ahead, brackets, piece)
            if known is not None:
                is_loop = known.u is start.u
                if is_loop and piece in self.pieces:
                    join(self.pieces, self.events, first, piece)
                return is_loop
            here = ahead
            if (left := self._left(here, start)) is not None:
                self._end(here, piece, "the point leaves for infinity", left)
                return False
        self._end(here, piece, f"the branch was followed for {MOST_STEPS} steps and left")
        return False

    def _bend(self, here: Spot) -> float:
        """The curvature of a branch where it is begun, by a short step; infinite where none succeeds."""
        h = 1e-3 * self.longest
        guess = here.u + h * here.tangent
        if self.x[0] <= guess[-1] <= self.x[-1]:
            with suppress(Lost, ValueError):
                there = self.spot(self.corrected(guess, here.tangent, 0.5 * h), here.tangent)
                return angle_between(here.tangent, there.tangent) / h
        return math.inf

    def _left(self, here: Spot, start: Spot) -> float | None:
        """How far the parameter is from where the point is infinite, if its size grows as 1 / distance; None: it does not leave."""
        size = float(np.abs(here.u[:-1]).max(initial=0.0))
        first = 1.0 + float(np.abs(start.u[:-1]).max(initial=0.0))
        steepness = float(np.abs(here.tangent[:-1]).max(initial=0.0))
        if size < GROWN * first or steepness == 0:
            return None
        rest = size * abs(float(here.tangent[-1])) / steepness
        return rest if rest <= 1e-2 * self.longest or not size < 1e6 * GROWN * first else None

    def _end(self, here: Spot, piece: Piece, message: str, rest: float | None = None) -> None:
        """The event of a branch that is left; `rest`: how far ahead the value is expected to be at which the point is infinite."""
        s = self._sample(here, True)
        piece.segments[-1].append(s)
        w, error, x = closest(here.w, not self.is_map), self.longest, float(here.u[-1])
        if rest is not None:
            x += math.copysign(min(rest, self.longest), here.tangent[-1])
            error = min(2.0 * rest, self.longest)
        value = float(np.clip(x, self.x[0], self.x[-1])) * self.unit
        self.events.append(Found(DEGENERATE, False, value, error * self.unit, s.z, None, w, [piece], 1, message))

    def _advance(self, here: Spot, length: float, bend: float) -> Spot | None:
        """The next spot, at a value where there is one ahead and the branch is not too steep; None: the step was too long.

        A value at which branches cross is stepped over: the equation is singular there.
        """
        u, t = here.u, here.tangent
        axis = np.append(np.zeros(len(u) - 1), 1.0)
        sense = 1 if t[-1] > 0 else -1
        gap = 1e-12 * self.longest
        ahead = self.x[self.x > u[-1] + gap] if sense > 0 else self.x[self.x < u[-1] - gap][::-1]
        to_value = abs(float(ahead[0]) - u[-1]) if len(ahead) else 0.0
        is_natural = abs(t[-1]) > 0.5 or (to_value <= length * abs(t[-1]) and len(ahead) == 1)
        distance = min(to_value / abs(t[-1]), length) if is_natural else length
        guess = u + distance * t
        if not is_natural or distance != to_value / abs(t[-1]):
            return self._reached(here, guess, axis if is_natural else t, bend)
        guess[-1] = ahead[0]
        found = self._reached(here, guess, axis, bend)
        if found is not None and found.least > NEARER * here.least:
            return found
        if len(ahead) > 1:
            return self._reached(here, u + 1.5 * distance * t, t, bend)
        if distance <= 2 * WINDOW * self.longest:
            return self._extrapolated(here, float(ahead[0]))
        guess = u + 0.5 * distance * t
        return self._reached(here, guess, axis, bend)

    def _extrapolated(self, here: Spot, x: float) -> Spot | None:
        """The spot at an end of the range close ahead where the equation is singular."""
        h = WINDOW * self.longest
        with suppress(Lost, ValueError):
            behind = self.spot(self.corrected(here.u - h * here.tangent, here.tangent, 0.5 * h), here.tangent)
            shares = np.linspace(1.0, 6.0, 2001)
            off = [abs(float(hermite(behind, here, float(k))[0][-1]) - x) for k in shares]
            k = int(np.argmin(off))
            near = (shares[max(k - 1, 0)], shares[min(k + 1, 2000)])
            share = least_of(lambda k: abs(float(hermite(behind, here, k)[0][-1]) - x), *near)
            u, along = hermite(behind, here, share)
            u[-1] = x
            return self._singular(u, along)
        return None

    def _singular(self, u: Array, along: Array) -> Spot:
        """A spot known by interpolation, where the equation is singular: multipliers next to the singular one are set to it."""
        s = self.spot(u, along)
        w = np.where(np.abs(s.w - self._target) < 1e-6 * (1.0 + np.abs(s.w).max()), self._target, s.w)
        return s._replace(tangent=along, w=w)

    def _reached(self, here: Spot, guess: Array, row: Array, bend: float) -> Spot | None:
        """The spot of a step to `guess`, if the branch bends from here to there as it did before."""
        if not self.x[0] <= guess[-1] <= self.x[-1]:
            return None
        t = here.tangent
        try:
            v = self.corrected(guess, row, 0.5 * float(np.linalg.norm(guess - here.u)) + 1e-9)
            found = self.spot(v, t)
        except (Lost, ValueError):
            return None
        angle, most = angle_between(found.tangent, t), BENT * bend * float(np.linalg.norm(v - here.u))
        is_on_track = found.tangent @ t >= STRAIGHT and angle <= max(TURNED, most) and np.isfinite(found.w).all()
        return found if is_on_track and self._has_middle(here, found, angle) else None

    def _has_middle(self, a: Spot, b: Spot, angle: float) -> bool:
        """Whether the branch through a passes half way where the cubic to b does: not so where b is on a branch that crosses."""
        if angle > CHECKED:
            return self._point(a, b, 0.5) is not None
        guess, along = hermite(a, b, 0.5)
        row = np.append(np.zeros(len(guess) - 1), 1.0) if abs(along[-1]) > 0.5 else along
        with suppress(Lost, ValueError):
            u = self.corrected(guess, row, float(np.linalg.norm(b.u - a.u)))
            return bool(np.linalg.norm(u - guess) <= self._reach(a, b, u))
        return False

    def _pass(self, a: Spot, b: Spot, brackets: list[tuple[Spot, Spot]], piece: Piece) -> tuple[Piece, Spot | None]:
        """Book a step from a to b and its events: the piece that b is on, and the known spot that was met, if any."""
        last = a
        for p, q in brackets:
            if p.tangent[-1] * q.tangent[-1] >= 0:
                self._crossed(p, q, piece)
                continue
            for s in self._at_values(last, p):
                if (known := self._book(s, piece)) is not None:
                    return piece, known
            event, sample = self._folded(p, q, piece)
            piece.segments[-1].append(sample)
            piece = Piece(1, [[sample]])
            self.pieces.append(piece)
            event.pieces.append(piece)
            last = q
        for x, y in ((a, b), (b, a)):
            if self._is_critical_end(x, y):
                self._ended(x, y, piece)
        for s in [*self._at_values(last, b), b]:
            if (known := self._book(s, piece)) is not None:
                return piece, known
        return piece, None

    def _book(self, s: Spot, piece: Piece) -> Spot | None:
        """Append a spot to its piece; the spot that it is if it is known, else None."""
        k = int(np.argmin(np.abs(self.x - s.u[-1])))
        is_value = bool(self.x[k] == s.u[-1])
        piece.segments[-1].append(self._sample(s, is_value))
        if is_value and (known := self._claimed(k, s)) is not None:
            is_short = sum(x.shown for part in piece.segments for x in part) <= 2
            if is_short and piece is not self.begun:  # from a turning point to a piece that is known
                join(self.pieces, self.events, known[1], piece)
            return known[0]
        if is_value:
            self.claims[k].append((s, piece))
        return None

    # --- between two spots of a branch

    def _at_values(self, a: Spot, b: Spot) -> list[Spot]:
        """Spots at the values strictly between two spots of one piece."""
        low, high = sorted((float(a.u[-1]), float(b.u[-1])))
        gap = 1e-7 * self.longest  # a value this close to a turning point has no solution of its own
        low, high = low + gap * (abs(a.tangent[-1]) < 1e-3), high - gap * (abs(b.tangent[-1]) < 1e-3)
        inside = self.x[(self.x > low) & (self.x < high)]
        found = [self._at_value(a, b, float(x)) for x in (inside if a.u[-1] < b.u[-1] else inside[::-1])]
        return [s for s in found if s is not None]

    def _at_value(self, a: Spot, b: Spot, x: float) -> Spot | None:
        """The spot at a value between two spots; interpolated where the equation is singular. None right beside a fold."""
        share, axis = share_at(a, b, x), np.append(np.zeros(len(a.u) - 1), 1.0)
        while True:
            guess, along = hermite(a, b, share)
            guess[-1] = x
            length = float(np.linalg.norm(b.u - a.u))
            with suppress(Lost, ValueError):
                found = self.spot(self.corrected(guess, axis, length), along)
                if self._is_between(a, b, found, guess, along) and found.least > NEARER * min(a.least, b.least):
                    return found
            if length <= WINDOW * self.longest:
                return self._singular(guess, along)
            sides = [self._point(a, b, share + d) for d in (-0.2 * share, 0.2 * (1.0 - share))]
            a, b = sides[0] or a, sides[1] or b
            if sides == [None, None] or not (a.u[-1] - x) * (b.u[-1] - x) < 0:
                return None
            share = share_at(a, b, x)

    def _point(self, a: Spot, b: Spot, share: float) -> Spot | None:
        """The spot of this branch at a share of the way from a to b; None: not found, or that of a branch that crosses."""
        guess, along = hermite(a, b, share)
        if not self.x[0] <= guess[-1] <= self.x[-1]:
            return None
        with suppress(Lost, ValueError):
            found = self.spot(self.corrected(guess, along, float(np.linalg.norm(b.u - a.u))), along)
            return found if self._is_between(a, b, found, guess, along) else None
        return None

    def _is_between(self, a: Spot, b: Spot, s: Spot, guess: Array, along: Array) -> bool:
        """Whether a spot lies as the curve through a and b says, and has its direction."""
        near = np.linalg.norm(s.u - guess) <= self._reach(a, b, s.u)
        return bool(near and angle_between(s.tangent, along) <= 0.005 + 0.3 * angle_between(a.tangent, b.tangent))

    def _reach(self, a: Spot, b: Spot, u: Array) -> float:
        """How far a smooth branch may be from the cubic between a and b."""
        bent = float(np.linalg.norm(b.u - a.u)) * (0.02 + angle_between(a.tangent, b.tangent))
        return 0.03 * bent + 1e-9 * (1.0 + float(np.abs(u).max()))

    def _signature(self, s: Spot) -> tuple[bool, float, int]:
        return bool(s.tangent[-1] > 0), s.side, num_outside(s.w, not self.is_map, MARGIN)

    def _brackets(self, a: Spot, b: Spot) -> Iterator[tuple[Spot, Spot]]:
        """Pairs of close spots between which the parameter turns, a branch crosses or a multiplier crosses the unit circle, in order."""
        if self._signature(a) == self._signature(b):
            return
        length = float(np.linalg.norm(b.u - a.u))
        shares = (0.5, 0.4, 0.6, 0.25, 0.75, 0.1, 0.9) if length > self._window(a) else ()
        middle = next((m for m in (self._point(a, b, x) for x in shares) if m is not None), None)
        if middle is None:
            yield a, b
            return
        yield from self._brackets(a, middle)
        yield from self._brackets(middle, b)

    def _window(self, a: Spot) -> float:
        return max(WINDOW * self.longest, 1e-8 * (1.0 + float(np.abs(a.u).max())))

    def _around(self, p: Spot, q: Spot) -> list[tuple[float, Spot]]:
        """Shares and spots: p, q and, where they are found, one as far before and one after."""
        if np.linalg.norm(q.u - p.u) > 2 * self._window(p):
            return [(0.0, p), (1.0, q)]
        way = (q.u - p.u) / float(np.linalg.norm(q.u - p.u)) ** 2
        beyond = [s for x in (-1.0, 2.0) if (s := self._point(p, q, x)) is not None]
        return [(0.0, p), (1.0, q), *((float((s.u - p.u) @ way), s) for s in beyond)]

    def _root(self, around: list[tuple[float, Spot]], measure: Callable[[Spot], float]) -> tuple[float, float]:
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
        noise = EPS * (1.0 + float(np.abs(around[0][1].w).max(initial=0.0))) / max(abs(at_p - at_q), 1e-300)
        return share, 2.0 * max(abs(x - share) for x in others) + 16.0 * noise

    # --- events

    def _crossed(self, p: Spot, q: Spot, piece: Piece) -> None:
        """The events between two close spots: of each multiplier that crosses, or of a branch that does."""
        groups: dict[tuple[str, str], list[int]] = {}
        p, q = self._widened(p, q)
        around = self._around(p, q)
        order = matched(p.w, q.w)
        before, after = self._off(p.w), self._off(q.w[order])
        for i in np.flatnonzero((before > MARGIN) != (after > MARGIN)):
            w = complex(p.w[i]) if abs(before[i]) < abs(after[i]) else complex(q.w[order][i])
            real = 10 * self._real(p.w)
            is_real = min(abs(p.w[i].imag), abs(q.w[order][i].imag)) <= real
            if is_real or w.imag > 0:
                groups.setdefault(self._named(complex(w.real) if is_real else w, real), []).append(int(i))
        crossing = self._named(self._target, 0.0)
        if crossing not in groups and p.side != q.side:
            groups[crossing] = [int(np.argmin(np.abs(p.w - self._target)))]
        for (kind, message), indices in groups.items():
            if kind == CROSSING and len(indices) == 1 and p.side == q.side:
                continue  # it comes to 1 (rate 0) and turns back, as beside a pitchfork
            i = indices[int(np.argmin(np.abs(before[indices])))]
            share, off = self._root(around, lambda s, i=i: float(self._off(s.w[matched(p.w, s.w)])[i]))
            w = complex((1 - share) * p.w[i] + share * q.w[order][i])
            if kind == CROSSING and len(indices) > 1:
                kind, message = (
                    DEGENERATE,
                    f"{len(indices)} {'multipliers are 1' if self.is_map else 'rates are 0'} at once",
                )
            elif len(indices) > 1:
                message += f"; {len(indices)} at once"
            self._add(around, share, off, kind, message, w, piece)

    def _folded(self, p: Spot, q: Spot, piece: Piece) -> tuple[Found, Sample]:
        """The event where the parameter turns between two close spots, and the sample there.

        A saddle-node, or a branch that crosses where det (E, tangent) changes its sign.
        """
        p, q = self._widened(p, q)
        around = self._around(p, q)
        share, off = self._root(around, lambda s: float(s.tangent[-1]))
        kind = SADDLE_NODE if p.side == q.side else CROSSING
        if kind == CROSSING:
            crossed, crossed_off = self._root(around, lambda s: s.side * s.least)
            off = max(off, crossed_off, abs(crossed - share))
        order = matched(p.w, q.w)
        i = int(np.argmin(np.abs(p.w - self._target) + np.abs(q.w[order] - self._target)))
        message = f"{self._named(self._target, 0.0)[1]} where the parameter turns; "
        if kind == CROSSING:
            message += "another branch crosses there"
        else:
            message += f"the smallest singular value of (dG/dz, dG/d parameter) is {min(p.least, q.least):.1e}"
        w = complex(((1 - share) * p.w[i] + share * q.w[order][i]).real)
        event = self._add(around, share, off, kind, message, w, piece)
        u, along = point_between(around, share), hermite(p, q, share)[1]
        k = int(np.argmin(np.abs(self.x - u[-1])))
        if abs(self.x[k] - u[-1]) <= max(ON_VALUE * self.longest, event.error / self.unit * (kind == CROSSING)):
            u[-1] = self.x[k]
        s = self.spot(u, along)
        w_at = s.w.copy()
        w_at[np.argmin(np.abs(w_at - self._target))] = self._target
        return event, self._sample(s._replace(w=w_at), True)

    def _widened(self, p: Spot, q: Spot) -> tuple[Spot, Spot]:
        """Two spots not closer than the window, where the branch reaches that far."""
        h = self._window(p)
        if np.linalg.norm(q.u - p.u) >= 0.3 * h:
            return p, q
        found = []
        for s, step in ((p, -h), (q, h)):
            guess, there = s.u + step * s.tangent, s
            if self.x[0] <= guess[-1] <= self.x[-1]:
                with suppress(Lost, ValueError):
                    there = self.spot(self.corrected(guess, s.tangent, 0.5 * h), s.tangent)
            found.append(there if angle_between(there.tangent, s.tangent) <= 0.3 else s)
        return found[0], found[1]

    def _add(
        self,
        around: list[tuple[float, Spot]],
        share: float,
        off: float,
        kind: str,
        message: str,
        w: complex,
        piece: Piece,
    ) -> Found:
        """Book an event at a share of the way between two spots that may be `off` by as much of it."""
        p, q = around[0][1], around[1][1]
        u, along = point_between(around, share), hermite(p, q, share)[1]
        u[-1] = min(max(u[-1], self.x[0]), self.x[-1])
        s = self._sample(self.spot(u, along), False)
        length = float(np.linalg.norm(q.u - p.u))
        steep = max(abs(float(p.tangent[-1])), abs(float(q.tangent[-1])))
        noise = self._residual_noise(u) / max(abs(self._smallest(p)), abs(self._smallest(q)), 1e-300)
        error = 4 * EPS * (1.0 + abs(u[-1])) + steep * min(off, 1.0) * length
        if kind == SADDLE_NODE:
            error += self._fold_noise(u)
        else:
            error += min(noise, length)
        error += abs(s.value / self.unit - u[-1])
        found = Found(
            kind, False, s.value, error * self.unit, s.z, None, complex(w.real, abs(w.imag)), [piece], 1, message
        )
        self.events.append(found)
        return found

    def _smallest(self, s: Spot) -> float:
        """Smallest singular value of (E, tangent)."""
        return float(np.linalg.svd(np.vstack([self.extended(s.u), s.tangent]), compute_uv=False)[-1])

    def _residual_noise(self, u: Array) -> float:
        """What G at a solution may be off by rounding."""
        size = float(np.linalg.norm(self.jacobian(u[:-1], u[-1])))
        return 8 * EPS * (1.0 + float(np.abs(u[:-1]).max(initial=0.0))) * (1.0 + size)

    def _fold_noise(self, u: Array) -> float:
        """What the value of a saddle-node may be off by rounding: the noise of G over |psi dG/dx|, psi the left null vector."""
        E = self.extended(u)
        psi = np.linalg.svd(E[:, :-1])[0][:, -1]
        return min(self.longest, self._residual_noise(u) / max(abs(float(psi @ E[:, -1])), 1e-300))

    def _is_critical_end(self, x: Spot, y: Spot) -> bool:
        """Whether a multiplier is on the unit circle at x, at an end of the range, and not at y."""
        if x.u[-1] not in (self.x[0], self.x[-1]):
            return False
        at_x, at_y = (float(np.abs(self._off(s.w)).min()) for s in (x, y))
        return at_x <= MARGIN < at_y

    def _ended(self, x: Spot, y: Spot, piece: Piece) -> None:
        """The event of a multiplier on the unit circle at an end of the range."""
        w = closest(x.w, not self.is_map)
        kind, message = self._named(w, self._real(x.w))
        E = self.extended(x.u)
        if kind == CROSSING:
            U, sizes, _ = np.linalg.svd(E[:, :-1])
            is_regular = abs(float(U[:, -1] @ E[:, -1])) > REGULAR * max(1.0, float(sizes[0]))
            kind = SADDLE_NODE if is_regular else kind
        at_x, at_y = (float(np.abs(self._off(s.w)).min()) for s in (x, y))
        noise = (math.sqrt(EPS) if kind in (CROSSING, SADDLE_NODE) else 16 * EPS) * (1.0 + float(np.linalg.norm(E)))
        share = (at_x + noise) / max(abs(at_y - at_x), 1e-300)
        error = (4 * EPS * (1.0 + abs(x.u[-1])) + min(share, 1.0) * abs(float(y.u[-1] - x.u[-1]))) * self.unit
        s = self._sample(x, False)
        self.events.append(Found(kind, False, s.value, error, s.z, None, w, [piece], 1, message))

    def audit(self) -> None:
        """Add an event between neighboring listed points of a piece of which one is stable and the other is not, where none is booked.

        Multipliers within rounding of the unit circle at both points (a center) do not count.
        """
        for piece in self.pieces:
            shown = {x.value: x for part in piece.segments for x in part if x.shown}
            events = [e for e in self.events if any(p is piece for p in e.pieces)]
            for a, b in pairwise(shown[value] for value in sorted(shown)):
                order = matched(a.w, b.w)
                before, after = self._off(a.w), self._off(b.w[order])
                changed = np.flatnonzero(((before >= 0) != (after >= 0)) & (np.abs(before) + np.abs(after) > MARGIN))
                is_change = bool((before < 0).all()) != bool((after < 0).all())
                slack = ON_VALUE * self.longest * self.unit
                known = any(a.value - e.error - slack <= e.value <= b.value + e.error + slack for e in events)
                if not is_change or known or not len(changed):
                    continue
                i = int(changed[np.argmin(np.abs(before[changed]))])
                share = float(before[i] / (before[i] - after[i]))
                w = complex((1 - share) * a.w[i] + share * b.w[order][i])
                kind, message = self._named(w, 10 * self._real(a.w))
                message += "; seen by the points at both sides and not located"
                value, error, z = 0.5 * (a.value + b.value), 0.5 * (b.value - a.value), (1 - share) * a.z + share * b.z
                w = complex(w.real, abs(w.imag))
                self.events.append(Found(kind, False, value, error, z, None, w, [piece], 1, message))

    # --- multipliers

    @property
    def _target(self) -> complex:
        """The multiplier, or rate, of a singular dG/dz."""
        return 1.0 + 0j if self.is_map else 0j

    def _off(self, w: Array) -> Array:
        """How far outside the unit circle multipliers are, or right of the imaginary axis rates."""
        return np.abs(w) - 1.0 if self.is_map else np.real(w)

    def _real(self, w: Array) -> float:
        """Imaginary parts up to this are taken for rounding."""
        return 1e-7 * (1.0 + float(np.abs(w).max(initial=0.0)))

    def _named(self, w: complex, real: float) -> tuple[str, str]:
        return named(w, self.is_map, real)


def named(w: complex, is_map: bool, real: float) -> tuple[str, str]:
    """Kind and words of the event at which a multiplier (rate) is w; an imaginary part up to `real` counts as 0."""
    if abs(w.imag) > real:
        if is_map:
            return NEIMARK_SACKER, f"multipliers exp(+-{abs(math.atan2(w.imag, w.real)):.6g} i)"
        return HOPF, f"rates +-{abs(w.imag):.6g} i"
    if is_map and w.real < 0:
        return FLIP, "a multiplier is -1"
    return CROSSING, "a multiplier is 1" if is_map else "a rate is 0"

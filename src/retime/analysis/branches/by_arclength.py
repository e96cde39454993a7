"""Branches of smooth systems along a parameter: followed by arclength, through folds. Why so: docs/theory/continuation.md."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from retime.analysis.branches.curve import Curve, angle_between
from retime.analysis.branches.method import Arclength
from retime.analysis.branches.pieces import DEGENERATE, Found, Piece, closest, join
from retime.analysis.branches.smooth_equation import Lost, SmoothEquation, Spot, along_value
from retime.analysis.branches.smooth_events import SmoothEvents
from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.core.tolerances import SAME_FOLLOWED, size_of


class SmoothFollower:
    """Follows the fixed points of a smooth system with the arclength of the branch as the parameter.

    Args:
        family: value -> (model, constant input). values: increasing `(T,)`. size: of typical states.
    """

    def __init__(
        self,
        family: Callable[[float], tuple[Any, Array]],
        values: Array,
        size: float,
        method: Arclength,
        patience: Patience,
    ) -> None:
        self.equation, self.method, self.patience = SmoothEquation(family, values, size, method), method, patience
        self.curve = Curve(self.equation)
        self.located = SmoothEvents(self.curve)
        self.events = self.located.found
        self.pieces: list[Piece] = []
        self.claims: list[list[tuple[Spot, Piece]]] = [[] for _ in values]
        self.begun: Piece | None = None  # the piece that is begun with, of the branch that is followed

    def grow(self, t: int, z: Array) -> None:
        """Follow the branch through a point of value t in both directions, unless it is known or singular."""
        axis, equation = along_value(len(z)), self.equation
        try:
            u = equation.corrected(np.append(z, equation.x[t]), axis, 1e-3 * size_of(z))
        except Lost:
            return
        if equation.is_nearly_singular(u):
            return
        here = equation.spot(u, axis)
        if self._claimed(t, here) is not None:
            return
        piece = Piece(1)
        self.pieces.append(piece)
        self.claims[t].append((here, piece))
        self.begun = piece
        for sense in (1, -1):
            if self._trace(equation.spot(u, sense * axis), piece):
                return

    def _claimed(self, t: int, s: Spot) -> tuple[Spot, Piece] | None:
        """The known spot at its value that a spot is, and its piece; that of a branch that only crosses there is another one."""
        size = SAME_FOLLOWED * size_of(s.u)
        for c, piece in self.claims[t]:
            is_near = np.abs(c.u - s.u).max(initial=0.0) <= size
            if (
                is_near
                and min(angle_between(c.tangent, s.tangent), angle_between(c.tangent, -s.tangent))
                <= self.method.aligned
            ):
                return c, piece
        return None

    def _trace(self, start: Spot, piece: Piece) -> bool:
        """Follow from a spot along its tangent; whether the branch came back to where it began."""
        piece.segments.append([self.equation.sample(start, True)])
        walk, first = Walk(self.curve, start), piece
        for _ in range(self.method.steps):
            self.patience.check()
            if walk.is_at_end():
                return False
            here, ahead = walk.here, walk.advance()
            if ahead is None:
                if walk.length < self.method.shortest * self.equation.longest:
                    why = "the branch cannot be followed farther: the right-hand side may not be smooth here"
                    self._end(here, piece, why)
                    return False
                continue
            piece, known = self._pass(here, *ahead, piece)
            if known is not None:
                is_loop = known.u is start.u
                if is_loop and piece in self.pieces:
                    join(self.pieces, self.events, first, piece)
                return is_loop
            if (left := walk.left()) is not None:
                self._end(walk.here, piece, "the point leaves for infinity", left)
                return False
        self._end(walk.here, piece, f"the branch was followed for {self.method.steps} steps and left")
        return False

    def _end(self, here: Spot, piece: Piece, message: str, rest: float | None = None) -> None:
        """The event of a branch that is left; `rest`: how far ahead the value is expected to be at which the point is infinite."""
        s = self.equation.sample(here, True)
        piece.segments[-1].append(s)
        w, error, x = closest(here.w, self.equation.time), self.equation.longest, float(here.u[-1])
        if rest is not None:
            x += math.copysign(min(rest, self.equation.longest), here.tangent[-1])
            error = min(2.0 * rest, self.equation.longest)
        value = float(np.clip(x, self.equation.x[0], self.equation.x[-1])) * self.equation.unit
        self.events.append(
            Found(DEGENERATE, False, value, error * self.equation.unit, s.z, None, w, [piece], 1, message)
        )

    def _pass(self, a: Spot, b: Spot, brackets: list[tuple[Spot, Spot]], piece: Piece) -> tuple[Piece, Spot | None]:
        """Book a step from a to b and its events: the piece that b is on, and the known spot that was met, if any."""
        last = a
        for p, q in brackets:
            if p.tangent[-1] * q.tangent[-1] >= 0:
                self.located.crossed(p, q, piece)
                continue
            for s in self.curve.at_values(last, p):
                if (known := self._book(s, piece)) is not None:
                    return piece, known
            event, sample = self.located.folded(p, q, piece)
            piece.segments[-1].append(sample)
            piece = Piece(1, [[sample]])
            self.pieces.append(piece)
            event.pieces.append(piece)
            last = q
        for x, y in ((a, b), (b, a)):
            if self.located.is_critical_end(x, y):
                self.located.ended(x, y, piece)
        for s in [*self.curve.at_values(last, b), b]:
            if (known := self._book(s, piece)) is not None:
                return piece, known
        return piece, None

    def _book(self, s: Spot, piece: Piece) -> Spot | None:
        """Append a spot to its piece; the spot that it is if it is known, else None."""
        k = int(np.argmin(np.abs(self.equation.x - s.u[-1])))
        is_value = bool(self.equation.x[k] == s.u[-1])
        piece.segments[-1].append(self.equation.sample(s, is_value))
        if is_value and (known := self._claimed(k, s)) is not None:
            is_short = sum(x.shown for part in piece.segments for x in part) <= 2
            if is_short and piece is not self.begun:  # from a turning point to a piece that is known
                join(self.pieces, self.events, known[1], piece)
            return known[0]
        if is_value:
            self.claims[k].append((s, piece))
        return None


class Walk:
    """One direction along a branch: where it is, where it began, how long its next step is and how much the branch bends."""

    def __init__(self, curve: Curve, start: Spot) -> None:
        self.curve, self.equation, self.method = curve, curve.equation, curve.equation.method
        self.here = self.start = start
        self.length, self.bend = self.equation.longest, self._bend(start)

    def is_at_end(self) -> bool:
        """Whether the range ends here."""
        x, here = self.equation.x, self.here
        return len(x) == 1 or bool(here.u[-1] == (x[-1] if here.tangent[-1] > 0 else x[0]))

    def advance(self) -> tuple[Spot, list[tuple[Spot, Spot]]] | None:
        """Go to the next spot, and tell what lies between (`Curve.brackets`); None, and a shorter step next, when it was too long."""
        here, ahead = self.here, self._next()
        if ahead is None:
            self.length *= 0.5
            return None
        brackets, distance = list(self.curve.brackets(here, ahead)), float(np.linalg.norm(ahead.u - here.u))
        if any(np.linalg.norm(q.u - p.u) > 2 * self.curve.window(p) for p, q in brackets):  # may be a jump
            self.length = 0.5 * min(self.length, distance)
            return None
        self.bend = angle_between(here.tangent, ahead.tangent) / distance
        most = self.equation.longest * max(1.0, float(np.abs(ahead.u[:-1]).max(initial=0.0)) / self.equation.size)
        self.length = min(2.0 * self.length, most) if here.tangent @ ahead.tangent > 0.99 else self.length
        self.here = ahead
        return ahead, brackets

    def left(self) -> float | None:
        """How far the parameter is from where the point is infinite, if its size grows as 1 / distance; None: it does not leave."""
        here = self.here
        size = float(np.abs(here.u[:-1]).max(initial=0.0))
        first = size_of(self.start.u[:-1])
        steepness = float(np.abs(here.tangent[:-1]).max(initial=0.0))
        if size < self.method.grown * first or steepness == 0:
            return None
        rest = size * abs(float(here.tangent[-1])) / steepness
        return rest if rest <= 1e-2 * self.equation.longest or not size < 1e6 * self.method.grown * first else None

    def _bend(self, here: Spot) -> float:
        """The curvature of a branch where it is begun, by a short step; infinite where none succeeds."""
        h = 1e-3 * self.equation.longest
        guess = here.u + h * here.tangent
        there = self.equation.reached(guess, here.tangent, 0.5 * h, here.tangent) if self.equation.has(guess) else None
        return math.inf if there is None else angle_between(here.tangent, there.tangent) / h

    def _next(self) -> Spot | None:
        """The next spot, at a value where there is one ahead and the branch is not too steep; None: the step was too long.

        A value at which branches cross is stepped over: the equation is singular there.
        """
        u, t, length = self.here.u, self.here.tangent, self.length
        axis = along_value(len(u) - 1)
        sense = 1 if t[-1] > 0 else -1
        gap = 1e-12 * self.equation.longest
        x = self.equation.x
        ahead = x[x > u[-1] + gap] if sense > 0 else x[x < u[-1] - gap][::-1]
        to_value = abs(float(ahead[0]) - u[-1]) if len(ahead) else 0.0
        is_natural = abs(t[-1]) > 0.5 or (to_value <= length * abs(t[-1]) and len(ahead) == 1)
        distance = min(to_value / abs(t[-1]), length) if is_natural else length
        guess = u + distance * t
        if not is_natural or distance != to_value / abs(t[-1]):
            return self._reached(guess, axis if is_natural else t)
        guess[-1] = ahead[0]
        found = self._reached(guess, axis)
        if found is not None and found.least > self.method.nearer * self.here.least:
            return found
        if len(ahead) > 1:
            return self._reached(u + 1.5 * distance * t, t)
        if distance <= 2 * self.method.window * self.equation.longest:
            return self.curve.extrapolated(self.here, float(ahead[0]))
        guess = u + 0.5 * distance * t
        return self._reached(guess, axis)

    def _reached(self, guess: Array, row: Array) -> Spot | None:
        """The spot of a step to `guess`, if the branch bends from here to there as it did before."""
        if not self.equation.has(guess):
            return None
        here, t = self.here, self.here.tangent
        found = self.equation.reached(guess, row, 0.5 * float(np.linalg.norm(guess - here.u)) + 1e-9, t)
        if found is None:
            return None
        angle, most = (
            angle_between(found.tangent, t),
            self.method.bent * self.bend * float(np.linalg.norm(found.u - here.u)),
        )
        is_on_track = (
            found.tangent @ t >= self.method.straight
            and angle <= max(self.method.turned, most)
            and np.isfinite(found.w).all()
        )
        return found if is_on_track and self.curve.has_middle(here, found, angle) else None

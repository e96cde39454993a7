"""Branches of piecewise-affine systems along a parameter: followed by pattern, from border to border. Why so: docs/theory/continuation.md."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from retime.analysis.branches.borders import Borders, Step, first_met
from retime.analysis.branches.multipliers import Multipliers
from retime.analysis.branches.pattern_equation import PatternEquation
from retime.analysis.branches.pieces import LOOK, SUB, TINY, Found, Piece, Sample, is_same, join
from retime.analysis.cycles.phase import least_period
from retime.analysis.fixed_points.leaves import Solution
from retime.analysis.fixed_points.search import solve_all
from retime.analysis.view import AffineView
from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.core.status import SearchStatus
from retime.core.tolerances import SAME_FOLLOWED, size_of


class Follower:
    """Follows the points (period 1) or cycles of one period of a piecewise-affine system through its regions.

    Args:
        family: value -> (view, constant input). values: increasing `(T,)`.
    """

    def __init__(
        self, family: Callable[[float], tuple[AffineView, Array]], values: Array, period: int, patience: Patience
    ) -> None:
        self.equation, self.patience = PatternEquation(family, values, period), patience
        self.pieces: list[Piece] = []
        self.events: list[Found] = []
        self.borders = Borders(self.equation, self.pieces, self.events)
        self.multipliers = Multipliers(self.equation, self.events)
        self.claims: list[list[tuple[Array, Array]]] = [[] for _ in values]
        self._position = {float(v): t for t, v in enumerate(values)}
        fine = [np.linspace(a, b, SUB + 1)[1:] for a, b in pairwise(values)]
        self.knots = np.concatenate([values[:1], *fine])

    def enumerate(self, t: int, patience: Patience) -> tuple[list[Solution], SearchStatus, bool]:
        """Every point, or every cycle of exactly this period once, at value t; whether there are continua, too."""
        equation = self.equation
        problem, _ = equation.problem(float(equation.values[t]))
        found = solve_all(problem, deadline=patience.deadline)
        kept: list[Solution] = []
        for x in found.single:
            z = x.z.reshape(equation.shape)
            is_shorter = least_period(z, SAME_FOLLOWED * size_of(z)) < equation.period
            if not is_shorter and not any(is_same(z, y.z.reshape(equation.shape)) for y in kept):
                kept.append(x)
        return kept, found.status, bool(found.continua)

    def grow(self, t: int, x: Solution) -> None:
        """Follow the branch through a point of value t in both directions, unless it is known."""
        equation = self.equation
        z = x.z.reshape(equation.shape)
        if self._claimed(t, z, x.bits):
            return
        value = float(equation.values[t])
        piece = Piece(equation.period)
        self.pieces.append(piece)
        self.claims[t].append((z, x.bits))
        start = equation.sample(value, x.bits, x.z, True)
        if not self._trace(start, piece, +1):
            self._trace(start, piece, -1)

    def add_alone(self, t: int, x: Solution) -> None:
        """A point on a boundary that no branch came to."""
        equation = self.equation
        z = x.z.reshape(equation.shape)
        size = SAME_FOLLOWED * size_of(z)
        if any(is_same(z, other) for other, _ in self.claims[t]):
            return
        value = float(equation.values[t])
        for e in self.events:
            if abs(e.value - value) <= LOOK * equation.width(value) and np.abs(e.point - z).max() <= size:
                return
        self.claims[t].append((z, x.bits))
        piece = Piece(equation.period, [[equation.sample(value, x.bits, x.z, True)]])
        self.pieces.append(piece)
        if value in (equation.low, equation.high) and equation.low < equation.high and not equation.shrinks(z):
            self.borders.outside(piece, value, x)

    def _claimed(self, t: int, z: Array, bits: Array) -> bool:
        equation = self.equation
        used, size = equation.problem(float(equation.values[t]))[0].deciding, SAME_FOLLOWED * size_of(z)
        b = bits.reshape(equation.bits_shape)
        for other, d in self.claims[t]:
            d = d.reshape(equation.bits_shape)
            for j in range(equation.period):
                is_here = np.abs(np.roll(other, -j, axis=0) - z).max(initial=0.0) <= size
                if is_here and np.array_equal(np.roll(d, -j, axis=0).ravel()[used], b.ravel()[used]):
                    return True
        return False

    def _next(self, value: float, sense: int) -> float | None:
        """The next knot; None at the end of the range."""
        ahead = self.knots[sense * (self.knots - value) > 0.1 * TINY * self.equation.width(value)]
        return float(ahead[0 if sense > 0 else -1]) if len(ahead) else None

    def _trace(self, start: Sample, piece: Piece, sense: int) -> bool:
        """Follow a branch until it leaves the range, ends, or is back at a point that is known; whether it was a loop."""
        equation = self.equation
        here, d, segment, first = start.value, start.bits.ravel(), [start], piece
        piece.segments.append(segment)
        while True:
            self.patience.check()
            ahead = self._next(here, sense)
            if ahead is None:
                break
            step = first_met(equation, d, here, ahead)
            if step.kind == "arrived":
                here = step.value
                place = equation.solve(here, d)
                if place is None:
                    break
                t = self._position.get(here)
                sample = equation.sample(here, d, place.z, t is not None)
                segment.append(sample)
                if t is not None and self._claimed(t, sample.z, sample.bits):
                    self.multipliers.look(piece, segment)
                    is_loop = bool(is_same(sample.z, start.z) and here == start.value)
                    if is_loop:
                        join(self.pieces, self.events, first, piece)
                    return is_loop
                if t is not None:
                    self.claims[t].append((sample.z, sample.bits.ravel()))
                continue
            self._close(segment, step, d)
            self.multipliers.look(piece, segment)
            through = self.borders.through_border if step.kind == "border" else self.borders.through_singular
            if (on := through(piece, d, step, sense)) is None:
                return False
            piece, d, sense, here = on
            place = equation.solve(here, d)
            segment = [] if place is None else [equation.sample(here, d, place.z, False)]
            piece.segments.append(segment)
        self.multipliers.look(piece, segment)
        return False

    def _close(self, segment: list[Sample], step: Step, d: Array) -> None:
        """The sample of a segment at the event that ends it."""
        place = self.equation.solve(step.value, d)
        if place is not None and step.kind == "border":
            sample = self.equation.sample(step.value, d, place.z, True)
            segment.append(sample)
            t = self._position.get(step.value)
            if t is not None:
                self.claims[t].append((sample.z, sample.bits.ravel()))

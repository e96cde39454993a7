"""Multipliers that cross the unit circle on a branch of a piecewise-affine system, inside a region."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from retime.analysis.branches.pattern_equation import PatternEquation
from retime.analysis.branches.pieces import (
    DEGENERATE,
    FLIP,
    MARGIN,
    Found,
    Piece,
    Sample,
    changes,
    closest,
    named,
    num_outside,
)
from retime.core.arrays import Array
from retime.core.tolerances import size_of


class Multipliers:
    """The events at which multipliers cross the unit circle, or rates the imaginary axis."""

    def __init__(self, equation: PatternEquation, events: list[Found]) -> None:
        self.equation, self.events = equation, events

    def look(self, piece: Piece, segment: list[Sample]) -> None:
        """Multipliers that cross the unit circle inside a region."""
        for a, b in pairwise(segment):
            d = b.bits.ravel() if np.array_equal(a.bits, b.bits) else a.bits.ravel()
            at_a, at_b = self._count(a.w, MARGIN), self._count(b.w, MARGIN)
            if at_a != at_b or any(self._is_critical_end(x, y) for x, y in ((a, b), (b, a))):
                self._locate(piece, d, a, b)

    def _is_critical_end(self, x: Sample, y: Sample) -> bool:
        """Whether a multiplier is on the unit circle at x, an end of the range, and not at y."""
        is_end = x.value in (self.equation.low, self.equation.high)
        return is_end and abs(self._distance(x.w)) <= MARGIN < abs(self._distance(y.w))

    def _count(self, w: Array, margin: float = 0.0) -> int:
        return num_outside(w, self.equation.time, margin)

    def _locate(self, piece: Piece, d: Array, a: Sample, b: Sample) -> None:
        equation = self.equation

        def spectrum(x: float) -> Array:
            M, view = equation.matrix(x, d)
            return view.in_time(np.linalg.eigvals(M))

        width = abs(b.value - a.value)
        at_a, at_b = self._count(a.w), self._count(b.w)
        if at_a != at_b:
            brackets = list(changes(lambda x: self._count(spectrum(x)), a.value, b.value, at_a, at_b, 1e-14 * width))
        else:  # one of the ends is the place
            x = a.value if abs(self._distance(a.w)) < abs(self._distance(b.w)) else b.value
            brackets = [(x, x)]
        for low, high in brackets:
            x = 0.5 * (low + high)
            place, w = equation.solve(x, d), spectrum(x)
            z = a.z if place is None else place.z.reshape(equation.shape)
            multiplier = closest(w, equation.time)
            kind, message = self._named(multiplier)
            slope = max(abs(self._distance(a.w) - self._distance(b.w)) / max(width, 1e-300), 1e-300)
            rounding = 1e-14 * size_of(w) + abs(self._distance(w))
            error = abs(high - low) + 4e-16 * abs(x) + min(width, rounding / slope)
            self.events.append(Found(kind, False, x, error, z, None, multiplier, [piece], equation.period, message))

    def _distance(self, w: Array) -> float:
        time = self.equation.time
        return float(time.sizes(closest(w, time)) - time.neutral)

    def _named(self, w: complex) -> tuple[str, str]:
        """A flip also where a pair is as close to -1 as rounding takes it, or a rate is that of -1 per sample of a converted flow."""
        time, form_time = self.equation.time, self.equation.form_time
        if abs((w if time.has_flips else form_time.of_rates(np.array(w))) + 1.0) < 1e-6:
            return FLIP, "a multiplier is -1" if time.has_flips else "a multiplier per sample is -1"
        return named(w, time, 1e-9 * (1.0 + abs(w)), DEGENERATE)

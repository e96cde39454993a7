"""The equation of the points, or cycles of one period, of a piecewise-affine system: one linear system per region and value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from retime.analysis.branches.pieces import CACHE, LOOK, Sample
from retime.analysis.cycles.phase import least_period
from retime.analysis.fixed_points.complementarity import Complementarity
from retime.analysis.view import AffineView
from retime.core.arrays import Array
from retime.core.tolerances import size_of


class Place(NamedTuple):
    """The solution of one region's equation: z `(N,)`, preactivations times their wanted sign `(u,)`, sign of the determinant."""

    z: Array
    depth: Array
    sign: float


class PatternEquation:
    """The points (period 1) or cycles of one period of a piecewise-affine system, region by region, at every value of a parameter.

    Args:
        family: value -> (view, constant input). values: increasing `(T,)`.
    """

    def __init__(self, family: Callable[[float], tuple[AffineView, Array]], values: Array, period: int) -> None:
        self.family, self.values, self.period = family, values, period
        self.low, self.high = float(values[0]), float(values[-1])
        self._problems: dict[float, tuple[Complementarity, AffineView]] = {}
        view = family(self.low)[0]
        self.form_time, self.time = view.form_time, view.time
        self.has_flips = self.form_time.has_flips
        self.shape = (period, view.form.num_states)
        self.bits_shape = (period, view.form.num_units)

    def problem(self, value: float, period: int | None = None) -> tuple[Complementarity, AffineView]:
        """The equation of all points or cycles at a value, kept."""
        if period is None and value in self._problems:
            return self._problems[value]
        view, s = self.family(value)
        k = period or self.period
        found = (
            Complementarity.of_points(view.form, s, view.form_time)
            if k == 1
            else Complementarity.of_cycles(view.form, s, k)
        )
        if period is None:
            if (len(self._problems) + 1) * 8 * found.L.size * 3 > CACHE:
                self._problems.clear()
            self._problems[value] = found, view
        return found, view

    def solve(self, value: float, d: Array, period: int | None = None) -> Place | None:
        """The solution of region d `(Q,)`, admissible or not; None where the equation is singular."""
        problem, _ = self.problem(value, period)
        M, c = problem.region(d)
        sign, size = np.linalg.slogdet(M)
        if sign == 0 or not math.isfinite(size):
            return None
        z = np.linalg.solve(M, c)
        if not np.isfinite(z).all():
            return None
        a = problem.W2 @ z + problem.h2
        return Place(z, np.where(d, a, -a)[problem.deciding], float(sign))

    def matrix(self, value: float, d: Array) -> tuple[Array, AffineView]:
        """The matrix of the point's region, or the product along the cycle."""
        _, view = self.problem(value)
        product_ = None
        for M in view.form.regions(d.reshape(self.bits_shape)).M:
            product_ = M if product_ is None else M @ product_
        return np.asarray(product_), view

    def sample(self, value: float, d: Array, z: Array, shown: bool) -> Sample:
        """A point of a branch; the bits of units without effect are read from it."""
        problem, _ = self.problem(value)
        bits = problem.W2 @ z + problem.h2 > 0
        bits[problem.deciding] = d[problem.deciding]
        M, view = self.matrix(value, d)
        w = view.in_time(np.linalg.eigvals(M))
        return Sample(value, z.reshape(self.shape), bits.reshape(self.bits_shape), w, shown)

    def width(self, value: float) -> float:
        """Distance between the values around this one."""
        if len(self.values) < 2:
            return 1.0
        t = int(np.clip(np.searchsorted(self.values, value), 1, len(self.values) - 1))
        return float(self.values[t] - self.values[t - 1])

    def sides(self, value: float, sense: int) -> list[tuple[int, float]]:
        """Places a little beyond (+1) and before (-1) a value, inside the range."""
        at = [(side, value + side * sense * LOOK * self.width(value)) for side in (1, -1)]
        return [(side, x) for side, x in at if self.low <= x <= self.high]

    def shrinks(self, z: Array) -> bool:
        """Whether a cycle is one of a shorter period."""
        return least_period(z, 1e-6 * size_of(z)) < self.period

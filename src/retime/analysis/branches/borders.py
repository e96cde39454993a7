"""Where a branch of a piecewise-affine system leaves its region, and how it goes on behind the border. Why so: docs/theory/continuation.md."""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import numpy as np

from retime.analysis.branches.pattern_equation import PatternEquation, Place
from retime.analysis.branches.pieces import (
    BORDER_FLIP,
    DEGENERATE,
    FOLD,
    MOST_UNITS,
    PERSISTENCE,
    TINY,
    TOGETHER,
    Found,
    Piece,
)
from retime.analysis.fixed_points.leaves import Solution
from retime.core.arrays import Array
from retime.core.tolerances import size_of


class Step(NamedTuple):
    """What is met between two values: kind "arrived", "border" (with units) or "singular"."""

    kind: str
    value: float
    error: float
    units: tuple[int, ...]


On = tuple[Piece, Array, int, float] | None
"""Where a branch goes on: its piece, its region, the sense of its way, the value; None where it ends."""


class Borders:
    """The events at borders, and at singular equations, between pieces of branches; both lists are those of the branches that are followed."""

    def __init__(self, equation: PatternEquation, pieces: list[Piece], events: list[Found]) -> None:
        self.equation, self.pieces, self.events = equation, pieces, events

    def through_border(self, piece: Piece, d: Array, step: Step, sense: int) -> On:
        """Book a border crossing; where and in which region the branch goes on, None where it ends."""
        equation = self.equation
        problem, _ = equation.problem(step.value)
        place = equation.solve(step.value, d)
        z = np.full(equation.shape, np.nan) if place is None else place.z.reshape(equation.shape)
        flipped = problem.deciding[list(step.units)]
        unit = int(flipped[0] % equation.bits_shape[1])
        event = Found(DEGENERATE, True, step.value, step.error, z, unit, None, [piece], equation.period, "")
        self.events.append(event)
        if equation.shrinks(z):
            event.collapsed = True
            event.message = f"the {equation.period}-cycle shrinks to a cycle of shorter period on a boundary"
            return None
        if len(step.units) > 1:
            return self._through_corner(event, d, flipped, sense)
        other = d.copy()
        other[flipped] = ~other[flipped]
        turn = self._turn(d, other, step, sense)
        event.predicted, counts = self._criterion(step.value, d, other)
        if turn is None:
            event.predicted = ""
            event.message = f"unit {unit} reaches its boundary where the neighboring region's equation is singular"
            if equation.period % 2 == 0:
                event.message += " (as where a point flips inside a region, all its 2-cycles at one value)"
            return None
        gives_birth = equation.has_flips and self._gives_birth(d, other, step)
        event.kind = FOLD if turn < 0 else BORDER_FLIP if gives_birth else PERSISTENCE
        event.message = self._words(event, unit, counts, gives_birth)
        if turn < 0:
            piece, sense = Piece(equation.period), -sense
            self.pieces.append(piece)
            event.pieces.append(piece)
            after = equation.solve(step.value, other)
            if after is not None:
                piece.segments.append([equation.sample(step.value, other, after.z, True)])
        return self._taken_up(event, piece, other, sense)

    def _taken_up(self, event: Found, piece: Piece, d: Array, sense: int) -> On:
        """The place just beyond an event, if the region's solution is admissible there."""
        equation = self.equation
        on = event.value + sense * TINY * equation.width(event.value)
        if not equation.low <= on <= equation.high:
            return None
        place = equation.solve(on, d)
        if place is None or (place.depth < 0).any():
            event.kind = DEGENERATE
            event.message += "; the next crossing is as good as at the same value"
            return None
        return piece, d, sense, on

    def _turn(self, d: Array, other: Array, step: Step, sense: int) -> int | None:
        """+1 when the neighbor region's solution is admissible beyond the border value, -1 when before; None: unclear."""
        seen = set()
        for side, x in self.equation.sides(step.value, sense):
            place = self.equation.solve(x, other)
            if place is None:
                return None
            seen.add(side if place.depth[step.units[0]] > 0 else -side)
        return seen.pop() if len(seen) == 1 else None

    def _gives_birth(self, d: Array, other: Array, step: Step) -> bool:
        """Whether a cycle of twice the period, once around on either side, is admissible on one side of the border value."""
        equation = self.equation
        both, unit = np.concatenate([d, other]), step.units[0]
        seen = []
        for side, x in equation.sides(step.value, 1):
            place = equation.solve(x, both, 2 * equation.period)
            if place is None:
                return False
            depth = place.depth.reshape(2, -1)[:, unit]
            if depth[0] * depth[1] <= 0:
                return False
            seen.append(side if depth[0] > 0 else -side)
        return len(set(seen)) == 1

    def _criterion(self, value: float, d: Array, other: Array) -> tuple[str, tuple[int, ...]]:
        """Feigin's classification from the parity of real eigenvalues > 1 (flows: > 0) and < -1 on both sides."""
        equation = self.equation
        plus, minus = [], []
        for pattern in (d, other):
            M, _ = equation.matrix(value, pattern)
            w = np.linalg.eigvals(M)
            real = w.real[w.imag == 0]
            plus.append(int((real > equation.form_time.neutral).sum()))
            minus.append(int((real < -1.0).sum()) if equation.has_flips else 0)
        kind = FOLD if sum(plus) % 2 else BORDER_FLIP if sum(minus) % 2 else PERSISTENCE
        return kind, (*plus, *minus)

    def _words(self, event: Found, unit: int, counts: tuple[int, ...], gives_birth: bool) -> str:
        equation, time = self.equation, self.equation.form_time
        above = f"{counts[0]} + {counts[1]} real {time.eigenvalue}s > {time.neutral:g}"
        below = f", {counts[2]} + {counts[3]} < -1" if equation.has_flips else ""
        birth = f"; a {2 * equation.period}-cycle begins" if gives_birth else ""
        agrees = "as" if event.kind == event.predicted else f"NOT {event.predicted} as"
        return f"unit {unit} crosses: {event.kind.removeprefix('border ')}{birth}, {agrees} the criterion says ({above}{below})"

    def _through_corner(self, event: Found, d: Array, flipped: Array, sense: int) -> On:
        """Several units at once: the branch goes on when one region beyond has an admissible solution, and none before but its own."""
        equation = self.equation
        units = ", ".join(str(int(u % equation.bits_shape[1])) for u in flipped)
        event.message = f"units {units} cross at once"
        if len(flipped) > MOST_UNITS:
            return None
        around: dict[int, list[Array]] = {1: [], -1: []}
        for bits in product([False, True], repeat=len(flipped)):
            pattern = d.copy()
            pattern[flipped] = bits
            for side, x in equation.sides(event.value, sense):
                place = equation.solve(x, pattern)
                if place is not None and (place.depth >= 0).all():
                    around[side].append(pattern)
        if len(around[1]) != 1 or len(around[-1]) > 1:
            event.message += f"; {len(around[-1])} regions have a solution on this side, {len(around[1])} beyond"
            return None
        event.message += "; one branch goes on"
        return self._taken_up(event, event.pieces[0], around[1][0], sense)

    def through_singular(self, piece: Piece, d: Array, step: Step, sense: int) -> On:
        """A multiplier 1: the point leaves for infinity, or lies on a continuum at this one value and goes on."""
        equation = self.equation
        gap = 1e-7 * equation.width(step.value)
        at = [float(np.clip(step.value + side * gap, equation.low, equation.high)) for side in (-sense, sense)]
        before, after = equation.solve(at[0], d), equation.solve(at[1], d)
        start = piece.segments[-1][-1].z
        last = start if before is None else before.z.reshape(equation.shape)
        time = equation.form_time
        w, message = complex(time.neutral), f"a {time.eigenvalue} is {time.neutral:g}"
        event = Found(DEGENERATE, False, step.value, step.error, last, None, w, [piece], equation.period, message)
        self.events.append(event)
        size = 1e3 * size_of(start)
        is_finite = (
            before is not None and after is not None and np.abs(before.z).max() < size and np.abs(after.z).max() < size
        )
        if is_finite and after is not None and (after.depth >= 0).all() and at[1] != step.value:
            event.message += " and the point is one of a continuum"
            return piece, d, sense, at[1]
        event.message += ": the point leaves for infinity"
        return None

    def outside(self, piece: Piece, value: float, x: Solution) -> None:
        """The event of a point on a boundary at an end of the range that no branch inside the range comes to."""
        equation = self.equation
        problem, _ = equation.problem(value)
        units = np.flatnonzero(x.near)
        unit = int(units[0] % equation.bits_shape[1])
        z = x.z.reshape(equation.shape)
        error = TOGETHER * equation.width(value) + 4e-16 * abs(value)
        event = Found(DEGENERATE, True, value, error, z, unit, None, [piece], equation.period, "")
        event.message = "on a boundary at the end of the range, where no branch inside the range comes to it"
        self.events.append(event)
        inside = equation.sides(value, 1)[0][1]
        depths = []
        for bit in (False, True):
            d = x.bits.copy()
            d[units[0]] = bit
            place = equation.solve(inside, d)
            where = np.flatnonzero(problem.deciding == units[0])
            depths.append(math.inf if place is None or len(where) == 0 else float(place.depth[where[0]]))
        if len(units) == 1 and max(depths) < 0:
            a = float(np.abs(problem.W2[units[0]] @ x.z + problem.h2[units[0]]))
            event.error += a * abs(inside - value) / min(-s for s in depths)
            event.kind = event.predicted = FOLD
            event.message = f"unit {unit} crosses: two branches outside the range meet at its end"


def first_met(equation: PatternEquation, d: Array, a: float, b: float) -> Step:
    """What region d's solution meets first on the way from a to b."""
    here, there = equation.solve(a, d), equation.solve(b, d)
    if there is None:  # singular at a value itself: look just beyond
        b = min(max(b + 1e-7 * (b - a), equation.low), equation.high)
        there = equation.solve(b, d)
    if here is None or there is None:
        return Step("singular", b, abs(b - a) * 1e-7, ())
    if here.sign != there.sign:
        b, there = _pole(equation, d, a, b, here)
    if there is not None and not (there.depth < 0).any():
        on = _touching(equation, d, a, b, ()) if b in (equation.low, equation.high) else ()
        return (
            Step("border", b, TOGETHER * equation.width(a) + 4e-16 * abs(b), on) if on else Step("arrived", b, 0.0, ())
        )
    found = None if there is None else _first_exit(equation, d, a, b, there)
    return found or Step("singular", b, 1e-13 * abs(b - a) + 4e-16 * abs(b), ())


def _pole(equation: PatternEquation, d: Array, a: float, b: float, here: Place) -> tuple[float, Place | None]:
    """Between a and b the equation becomes singular: the place, and the last solution before it that is outside (None: none is)."""
    left, right = a, b
    while (middle := 0.5 * (left + right)) not in (left, right):
        place = equation.solve(middle, d)
        if place is not None and place.sign == here.sign:
            left = middle
        else:
            right = middle
    for j in range(1, 31):
        x = left + (a - left) * 0.5**j
        place = equation.solve(x, d)
        if place is not None and (place.depth < 0).any():
            return x, place
    return right, None


def _first_exit(equation: PatternEquation, d: Array, a: float, b: float, there: Place) -> Step | None:
    """The first root between a and b of a depth that is negative at b; units that cross with it."""
    from scipy.optimize import brentq

    width, roots = equation.width(a), dict[int, float]()
    outside = np.flatnonzero(there.depth < 0)
    while len(outside):
        for i in outside:

            def depth(x: float, i: int = int(i)) -> float:
                place = equation.solve(x, d)
                return -1.0 if place is None else float(place.depth[i])

            at_a = depth(a)
            roots[int(i)] = a if at_a <= 0 else float(brentq(depth, a, b, xtol=1e-14 * width + 1e-300, rtol=1e-15))  # type: ignore[arg-type]
        first = min(roots, key=lambda i: abs(roots[i] - a))
        b = roots[first]
        place = equation.solve(b, d)
        noise = 1e-13 * size_of(there.depth)
        outside = np.zeros(0, dtype=int) if place is None else np.flatnonzero(place.depth < -noise)
        left = [int(i) for i in outside if abs(roots.get(int(i), math.inf) - a) > abs(b - a) * (1 + 1e-9)]
        outside = np.array(left, dtype=int)
        if place is not None:
            there = place
    units = tuple(i for i, r in roots.items() if abs(r - b) <= TOGETHER * width)
    units += _touching(equation, d, a, b, units)
    error = 2e-14 * width + 4e-16 * abs(b)
    nearest = equation.values[np.argmin(np.abs(equation.values - b))]
    if abs(nearest - b) <= TOGETHER * width:
        b, error = float(nearest), error + abs(float(nearest) - b)
    return Step("border", b, error, units)


def _touching(equation: PatternEquation, d: Array, a: float, b: float, known: tuple[int, ...]) -> tuple[int, ...]:
    """Units, not among the known, whose depth at b is so small that they cross within `TOGETHER` of it."""
    near = b + (a - b) * 1e-3
    at_b, before = equation.solve(b, d), equation.solve(near, d)
    if at_b is None or before is None:
        return ()
    slope = np.abs(at_b.depth - before.depth) / max(abs(b - near), 1e-300)
    close = np.abs(at_b.depth) <= slope * TOGETHER * equation.width(a)
    return tuple(int(i) for i in np.flatnonzero(close & (slope > 0)) if i not in known)

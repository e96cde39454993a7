"""Branches of piecewise-affine systems along a parameter: followed by pattern, from border to border."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from retime.analysis.branches.pieces import (
    BORDER_FLIP,
    CACHE,
    DEGENERATE,
    FLIP,
    FOLD,
    HOPF,
    LOOK,
    MARGIN,
    MOST_UNITS,
    NEIMARK_SACKER,
    PERSISTENCE,
    SAME,
    SUB,
    TINY,
    TOGETHER,
    Found,
    Piece,
    Sample,
    Stopped,
    changes,
    closest,
    is_same,
    join,
    num_outside,
)
from retime.analysis.fixed_points.complementarity import Complementarity
from retime.analysis.fixed_points.leaves import Solution
from retime.analysis.fixed_points.search import solve_all
from retime.analysis.view import AffineView
from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.status import SearchStatus


class Place(NamedTuple):
    """The solution of one region's equation: z `(N,)`, preactivations times their wanted sign `(u,)`, sign of the determinant."""

    z: Array
    depth: Array
    sign: float


class Step(NamedTuple):
    """What is met between two values: kind "arrived", "border" (with units) or "singular"."""

    kind: str
    value: float
    error: float
    units: tuple[int, ...]


class Follower:
    """Follows the points (period 1) or cycles of one period of a piecewise-affine system through its regions.

    Args:
        family: value -> (view, constant input). values: increasing `(T,)`. deadline: of `work_seconds`.
    """

    def __init__(
        self, family: Callable[[float], tuple[AffineView, Array]], values: Array, period: int, deadline: float
    ) -> None:
        self.family, self.values, self.period, self.deadline = family, values, period, deadline
        self.low, self.high = float(values[0]), float(values[-1])
        self.pieces: list[Piece] = []
        self.events: list[Found] = []
        self.claims: list[list[tuple[Array, Array]]] = [[] for _ in values]
        self._problems: dict[float, tuple[Complementarity, AffineView]] = {}
        self._position = {float(v): t for t, v in enumerate(values)}
        fine = [np.linspace(a, b, SUB + 1)[1:] for a, b in pairwise(values)]
        self.knots = np.concatenate([values[:1], *fine])
        view = self.family(self.low)[0]
        self.is_map, self.is_rate = view.is_map, view.dt is None
        self.shape = (period, view.form.num_states)
        self.bits_shape = (period, view.form.num_units)

    # --- the equation at one value

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

    # --- seeds

    def enumerate(self, t: int, node_limit: float, deadline: float) -> tuple[list[Solution], SearchStatus, bool]:
        """Every point, or every cycle of exactly this period once, at value t; whether there are continua, too."""
        problem, _ = self.problem(float(self.values[t]))
        found = solve_all(problem, deadline=deadline, node_limit=node_limit)
        kept: list[Solution] = []
        for x in found.single:
            z = x.z.reshape(self.shape)
            size = SAME * (1.0 + np.abs(z).max(initial=0.0))
            is_shorter = any(
                self.period % j == 0 and np.abs(np.roll(z, j, axis=0) - z).max() <= size for j in range(1, self.period)
            )
            if not is_shorter and not any(is_same(z, y.z.reshape(self.shape)) for y in kept):
                kept.append(x)
        return kept, found.status, bool(found.continua)

    def grow(self, t: int, x: Solution) -> None:
        """Follow the branch through a point of value t in both directions, unless it is known."""
        z = x.z.reshape(self.shape)
        if self._claimed(t, z, x.bits):
            return
        value = float(self.values[t])
        piece = Piece(self.period)
        self.pieces.append(piece)
        self.claims[t].append((z, x.bits))
        start = self.sample(value, x.bits, x.z, True)
        if not self._trace(start, piece, +1):
            self._trace(start, piece, -1)

    def add_alone(self, t: int, x: Solution) -> None:
        """A point on a boundary that no branch came to."""
        z = x.z.reshape(self.shape)
        size = SAME * (1.0 + np.abs(z).max())
        if any(is_same(z, other) for other, _ in self.claims[t]):
            return
        value = float(self.values[t])
        for e in self.events:
            if abs(e.value - value) <= LOOK * self._width(value) and np.abs(e.point - z).max() <= size:
                return
        self.claims[t].append((z, x.bits))
        piece = Piece(self.period, [[self.sample(value, x.bits, x.z, True)]])
        self.pieces.append(piece)
        if value in (self.low, self.high) and self.low < self.high and not self._shrinks(z):
            self._book_outside(piece, value, x)

    def _book_outside(self, piece: Piece, value: float, x: Solution) -> None:
        """The event of a point on a boundary at an end of the range that no branch inside the range comes to."""
        problem, _ = self.problem(value)
        units = np.flatnonzero(x.near)
        unit = int(units[0] % self.bits_shape[1])
        z = x.z.reshape(self.shape)
        error = TOGETHER * self._width(value) + 4e-16 * abs(value)
        event = Found(DEGENERATE, True, value, error, z, unit, None, [piece], self.period, "")
        event.message = "on a boundary at the end of the range, where no branch inside the range comes to it"
        self.events.append(event)
        inside = self._sides(value, 1)[0][1]
        depths = []
        for bit in (False, True):
            d = x.bits.copy()
            d[units[0]] = bit
            place = self.solve(inside, d)
            where = np.flatnonzero(problem.deciding == units[0])
            depths.append(math.inf if place is None or len(where) == 0 else float(place.depth[where[0]]))
        if len(units) == 1 and max(depths) < 0:
            event.error += (
                float(np.abs(problem.W2[units[0]] @ x.z + problem.h2[units[0]]))
                * abs(inside - value)
                / min(-s for s in depths)
            )
            event.kind = event.predicted = FOLD
            event.message = f"unit {unit} crosses: two branches outside the range meet at its end"

    def _claimed(self, t: int, z: Array, bits: Array) -> bool:
        used, size = self.problem(float(self.values[t]))[0].deciding, SAME * (1.0 + np.abs(z).max(initial=0.0))
        b = bits.reshape(self.bits_shape)
        for other, d in self.claims[t]:
            d = d.reshape(self.bits_shape)
            for j in range(self.period):
                is_here = np.abs(np.roll(other, -j, axis=0) - z).max(initial=0.0) <= size
                if is_here and np.array_equal(np.roll(d, -j, axis=0).ravel()[used], b.ravel()[used]):
                    return True
        return False

    # --- following

    def _width(self, value: float) -> float:
        """Distance between the values around this one."""
        if len(self.values) < 2:
            return 1.0
        t = int(np.clip(np.searchsorted(self.values, value), 1, len(self.values) - 1))
        return float(self.values[t] - self.values[t - 1])

    def _next(self, value: float, sense: int) -> float | None:
        """The next knot; None at the end of the range."""
        gap = sense * 0.1 * TINY * self._width(value)
        if sense > 0:
            k = int(np.searchsorted(self.knots, value + gap, side="right"))
            return float(self.knots[k]) if k < len(self.knots) else None
        k = int(np.searchsorted(self.knots, value + gap, side="left")) - 1
        return float(self.knots[k]) if k >= 0 else None

    def _trace(self, start: Sample, piece: Piece, sense: int) -> bool:
        """Follow a branch until it leaves the range, ends, or is back at a point that is known; whether it was a loop."""
        here, d, segment, first = start.value, start.bits.ravel(), [start], piece
        piece.segments.append(segment)
        while True:
            if work_seconds() >= self.deadline:
                raise Stopped
            ahead = self._next(here, sense)
            if ahead is None:
                break
            step = self._step(d, here, ahead)
            if step.kind == "arrived":
                here = step.value
                place = self.solve(here, d)
                if place is None:
                    break
                t = self._position.get(here)
                sample = self.sample(here, d, place.z, t is not None)
                segment.append(sample)
                if t is not None and self._claimed(t, sample.z, sample.bits):
                    self._look_for_crossings(piece, segment)
                    is_loop = bool(is_same(sample.z, start.z) and here == start.value)
                    if is_loop:
                        join(self.pieces, self.events, first, piece)
                    return is_loop
                if t is not None:
                    self.claims[t].append((sample.z, sample.bits.ravel()))
                continue
            self._close(segment, step, d)
            self._look_for_crossings(piece, segment)
            on = (
                self._through_border(piece, d, step, sense)
                if step.kind == "border"
                else self._through_singular(piece, d, step, sense)
            )
            if on is None:
                return False
            piece, d, sense, here = on
            place = self.solve(here, d)
            segment = [] if place is None else [self.sample(here, d, place.z, False)]
            piece.segments.append(segment)
        self._look_for_crossings(piece, segment)
        return False

    def _close(self, segment: list[Sample], step: Step, d: Array) -> None:
        """The sample of a segment at the event that ends it."""
        place = self.solve(step.value, d)
        if place is not None and step.kind == "border":
            sample = self.sample(step.value, d, place.z, True)
            segment.append(sample)
            t = self._position.get(step.value)
            if t is not None:
                self.claims[t].append((sample.z, sample.bits.ravel()))

    def _step(self, d: Array, a: float, b: float) -> Step:
        """What region d's solution meets first on the way from a to b."""
        here, there = self.solve(a, d), self.solve(b, d)
        if there is None:  # singular at a value itself: look just beyond
            b = min(max(b + 1e-7 * (b - a), self.low), self.high)
            there = self.solve(b, d)
        if here is None or there is None:
            return Step("singular", b, abs(b - a) * 1e-7, ())
        if here.sign != there.sign:
            b, there = self._pole(d, a, b, here)
        if there is not None and not (there.depth < 0).any():
            on = self._touching(d, a, b, ()) if b in (self.low, self.high) else ()
            return (
                Step("border", b, TOGETHER * self._width(a) + 4e-16 * abs(b), on) if on else Step("arrived", b, 0.0, ())
            )
        found = None if there is None else self._first_exit(d, a, b, there)
        return found or Step("singular", b, 1e-13 * abs(b - a) + 4e-16 * abs(b), ())

    def _pole(self, d: Array, a: float, b: float, here: Place) -> tuple[float, Place | None]:
        """Between a and b the equation becomes singular: the place, and the last solution before it that is outside (None: none is)."""
        left, right = a, b
        while (middle := 0.5 * (left + right)) not in (left, right):
            place = self.solve(middle, d)
            if place is not None and place.sign == here.sign:
                left = middle
            else:
                right = middle
        for j in range(1, 31):
            x = left + (a - left) * 0.5**j
            place = self.solve(x, d)
            if place is not None and (place.depth < 0).any():
                return x, place
        return right, None

    def _first_exit(self, d: Array, a: float, b: float, there: Place) -> Step | None:
        """The first root between a and b of a depth that is negative at b; units that cross with it."""
        from scipy.optimize import brentq

        width, roots = self._width(a), dict[int, float]()
        outside = np.flatnonzero(there.depth < 0)
        while len(outside):
            for i in outside:

                def depth(x: float, i: int = int(i)) -> float:
                    place = self.solve(x, d)
                    return -1.0 if place is None else float(place.depth[i])

                at_a = depth(a)
                roots[int(i)] = a if at_a <= 0 else float(brentq(depth, a, b, xtol=1e-14 * width + 1e-300, rtol=1e-15))  # type: ignore[arg-type]
            first = min(roots, key=lambda i: abs(roots[i] - a))
            b = roots[first]
            place = self.solve(b, d)
            noise = 1e-13 * (1.0 + np.abs(there.depth).max())
            outside = np.zeros(0, dtype=int) if place is None else np.flatnonzero(place.depth < -noise)
            left = [int(i) for i in outside if abs(roots.get(int(i), math.inf) - a) > abs(b - a) * (1 + 1e-9)]
            outside = np.array(left, dtype=int)
            if place is not None:
                there = place
        units = tuple(i for i, r in roots.items() if abs(r - b) <= TOGETHER * width)
        units += self._touching(d, a, b, units)
        error = 2e-14 * width + 4e-16 * abs(b)
        nearest = self.values[np.argmin(np.abs(self.values - b))]
        if abs(nearest - b) <= TOGETHER * width:
            b, error = float(nearest), error + abs(float(nearest) - b)
        return Step("border", b, error, units)

    def _touching(self, d: Array, a: float, b: float, known: tuple[int, ...]) -> tuple[int, ...]:
        """Units, not among the known, whose depth at b is so small that they cross within `TOGETHER` of it."""
        near = b + (a - b) * 1e-3
        at_b, before = self.solve(b, d), self.solve(near, d)
        if at_b is None or before is None:
            return ()
        slope = np.abs(at_b.depth - before.depth) / max(abs(b - near), 1e-300)
        close = np.abs(at_b.depth) <= slope * TOGETHER * self._width(a)
        return tuple(int(i) for i in np.flatnonzero(close & (slope > 0)) if i not in known)

    # --- borders

    def _through_border(self, piece: Piece, d: Array, step: Step, sense: int) -> tuple[Piece, Array, int, float] | None:
        """Book a border crossing; where and in which region the branch goes on, None where it ends."""
        problem, _ = self.problem(step.value)
        place = self.solve(step.value, d)
        z = np.full(self.shape, np.nan) if place is None else place.z.reshape(self.shape)
        flipped = problem.deciding[list(step.units)]
        unit = int(flipped[0] % self.bits_shape[1])
        event = Found(DEGENERATE, True, step.value, step.error, z, unit, None, [piece], self.period, "")
        self.events.append(event)
        if self._shrinks(z):
            event.collapsed = True
            event.message = f"the {self.period}-cycle shrinks to a cycle of shorter period on a boundary"
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
            event.message += (
                " (as where a point flips inside a region, all its 2-cycles at one value)"
                if self.period % 2 == 0
                else ""
            )
            return None
        gives_birth = self.is_map and self._gives_birth(d, other, step)
        event.kind = FOLD if turn < 0 else BORDER_FLIP if gives_birth else PERSISTENCE
        event.message = self._words(event, unit, counts, gives_birth)
        if turn < 0:
            piece, sense = Piece(self.period), -sense
            self.pieces.append(piece)
            event.pieces.append(piece)
            after = self.solve(step.value, other)
            if after is not None:
                piece.segments.append([self.sample(step.value, other, after.z, True)])
        return self._taken_up(event, piece, other, sense)

    def _taken_up(self, event: Found, piece: Piece, d: Array, sense: int) -> tuple[Piece, Array, int, float] | None:
        """The place just beyond an event, if the region's solution is admissible there."""
        on = event.value + sense * TINY * self._width(event.value)
        if not self.low <= on <= self.high:
            return None
        place = self.solve(on, d)
        if place is None or (place.depth < 0).any():
            event.kind, event.message = (
                DEGENERATE,
                event.message + "; the next crossing is as good as at the same value",
            )
            return None
        return piece, d, sense, on

    def _shrinks(self, z: Array) -> bool:
        k, size = self.period, 1e-6 * (1.0 + np.abs(z).max(initial=0.0))
        return any(k % j == 0 and np.abs(np.roll(z, j, axis=0) - z).max() <= size for j in range(1, k))

    def _sides(self, value: float, sense: int) -> list[tuple[int, float]]:
        """Places a little beyond (+1) and before (-1) a value, inside the range."""
        at = [(side, value + side * sense * LOOK * self._width(value)) for side in (1, -1)]
        return [(side, x) for side, x in at if self.low <= x <= self.high]

    def _turn(self, d: Array, other: Array, step: Step, sense: int) -> int | None:
        """+1 when the neighbor region's solution is admissible beyond the border value, -1 when before; None: unclear."""
        seen = set()
        for side, x in self._sides(step.value, sense):
            place = self.solve(x, other)
            if place is None:
                return None
            seen.add(side if place.depth[step.units[0]] > 0 else -side)
        return seen.pop() if len(seen) == 1 else None

    def _gives_birth(self, d: Array, other: Array, step: Step) -> bool:
        """Whether a cycle of twice the period, once around on either side, is admissible on one side of the border value."""
        both, unit = np.concatenate([d, other]), step.units[0]
        seen = []
        for side, x in self._sides(step.value, 1):
            place = self.solve(x, both, 2 * self.period)
            if place is None:
                return False
            depth = place.depth.reshape(2, -1)[:, unit]
            if depth[0] * depth[1] <= 0:
                return False
            seen.append(side if depth[0] > 0 else -side)
        return len(set(seen)) == 1

    def _criterion(self, value: float, d: Array, other: Array) -> tuple[str, tuple[int, ...]]:
        """Feigin's classification from the parity of real eigenvalues > 1 (flows: > 0) and < -1 on both sides."""
        plus, minus = [], []
        for pattern in (d, other):
            M, _ = self.matrix(value, pattern)
            w = np.linalg.eigvals(M)
            real = w.real[w.imag == 0]
            plus.append(int((real > (1.0 if self.is_map else 0.0)).sum()))
            minus.append(int((real < -1.0).sum()) if self.is_map else 0)
        kind = FOLD if sum(plus) % 2 else BORDER_FLIP if sum(minus) % 2 else PERSISTENCE
        return kind, (*plus, *minus)

    def _words(self, event: Found, unit: int, counts: tuple[int, ...], gives_birth: bool) -> str:
        above = f"{counts[0]} + {counts[1]} real " + ("multipliers > 1" if self.is_map else "rates > 0")
        below = f", {counts[2]} + {counts[3]} < -1" if self.is_map else ""
        birth = f"; a {2 * self.period}-cycle begins" if gives_birth else ""
        agrees = "as" if event.kind == event.predicted else f"NOT {event.predicted} as"
        return f"unit {unit} crosses: {event.kind.removeprefix('border ')}{birth}, {agrees} the criterion says ({above}{below})"

    def _through_corner(
        self, event: Found, d: Array, flipped: Array, sense: int
    ) -> tuple[Piece, Array, int, float] | None:
        """Several units at once: the branch goes on when one region beyond has an admissible solution, and none before but its own."""
        units = ", ".join(str(int(u % self.bits_shape[1])) for u in flipped)
        event.message = f"units {units} cross at once"
        if len(flipped) > MOST_UNITS:
            return None
        around: dict[int, list[Array]] = {1: [], -1: []}
        for bits in product([False, True], repeat=len(flipped)):
            pattern = d.copy()
            pattern[flipped] = bits
            for side, x in self._sides(event.value, sense):
                place = self.solve(x, pattern)
                if place is not None and (place.depth >= 0).all():
                    around[side].append(pattern)
        if len(around[1]) != 1 or len(around[-1]) > 1:
            event.message += f"; {len(around[-1])} regions have a solution on this side, {len(around[1])} beyond"
            return None
        event.message += "; one branch goes on"
        return self._taken_up(event, event.pieces[0], around[1][0], sense)

    def _through_singular(
        self, piece: Piece, d: Array, step: Step, sense: int
    ) -> tuple[Piece, Array, int, float] | None:
        """A multiplier 1: the point leaves for infinity, or lies on a continuum at this one value and goes on."""
        gap = 1e-7 * self._width(step.value)
        at = [float(np.clip(step.value + side * gap, self.low, self.high)) for side in (-sense, sense)]
        before, after = self.solve(at[0], d), self.solve(at[1], d)
        start = piece.segments[-1][-1].z
        last = start if before is None else before.z.reshape(self.shape)
        near = 1.0 if self.is_map else 0.0
        event = Found(DEGENERATE, False, step.value, step.error, last, None, complex(near), [piece], self.period, "")
        self.events.append(event)
        size = 1e3 * (1.0 + np.abs(start).max())
        is_finite = (
            before is not None and after is not None and np.abs(before.z).max() < size and np.abs(after.z).max() < size
        )
        if is_finite and after is not None and (after.depth >= 0).all() and at[1] != step.value:
            event.message = (
                "a multiplier is 1 and the point is one of a continuum"
                if self.is_map
                else "a rate is 0 and the point is one of a continuum"
            )
            return piece, d, sense, at[1]
        event.message = f"{'a multiplier is 1' if self.is_map else 'a rate is 0'}: the point leaves for infinity"
        return None

    # --- multipliers

    def _look_for_crossings(self, piece: Piece, segment: list[Sample]) -> None:
        """Multipliers that cross the unit circle inside a region."""
        for a, b in pairwise(segment):
            d = b.bits.ravel() if np.array_equal(a.bits, b.bits) else a.bits.ravel()
            at_a, at_b = self._count(a.w, MARGIN), self._count(b.w, MARGIN)
            if at_a != at_b or any(self._is_critical_end(x, y) for x, y in ((a, b), (b, a))):
                self._locate(piece, d, a, b)

    def _is_critical_end(self, x: Sample, y: Sample) -> bool:
        """Whether a multiplier is on the unit circle at x, an end of the range, and not at y."""
        return x.value in (self.low, self.high) and abs(self._distance(x.w)) <= MARGIN < abs(self._distance(y.w))

    def _count(self, w: Array, margin: float = 0.0) -> int:
        return num_outside(w, self.is_rate, margin)

    def _locate(self, piece: Piece, d: Array, a: Sample, b: Sample) -> None:
        def spectrum(x: float) -> Array:
            M, view = self.matrix(x, d)
            return view.in_time(np.linalg.eigvals(M))

        width = abs(b.value - a.value)
        at_a, at_b = self._count(a.w), self._count(b.w)
        brackets = (
            list(changes(lambda x: self._count(spectrum(x)), a.value, b.value, at_a, at_b, 1e-14 * width))
            if at_a != at_b
            else []
        )
        if not brackets:  # one of the ends is the place
            ends = [abs(num) for num in (self._distance(a.w), self._distance(b.w))]
            x = a.value if ends[0] < ends[1] else b.value
            brackets = [(x, x)]
        for low, high in brackets:
            x = 0.5 * (low + high)
            place, w = self.solve(x, d), spectrum(x)
            z = a.z if place is None else place.z.reshape(self.shape)
            multiplier = closest(w, self.is_rate)
            kind, message = self._named(multiplier)
            slope = max(abs(self._distance(a.w) - self._distance(b.w)) / max(width, 1e-300), 1e-300)
            rounding = 1e-14 * (1.0 + float(np.abs(w).max())) + abs(self._distance(w))
            error = abs(high - low) + 4e-16 * abs(x) + min(width, rounding / slope)
            self.events.append(Found(kind, False, x, error, z, None, multiplier, [piece], self.period, message))

    def _distance(self, w: Array) -> float:
        x = closest(w, self.is_rate)
        return x.real if self.is_rate else abs(x) - 1.0

    def _named(self, w: complex) -> tuple[str, str]:
        is_rate = self.is_rate
        if abs(w.imag) > 1e-9 * (1.0 + abs(w)):
            if is_rate:
                step = self.problem(self.low)[1].step
                if step is not None and abs(abs(w.imag) * step - math.pi) < 1e-6:
                    return FLIP, "a multiplier per sample is -1"
                return HOPF, f"rates +-{w.imag:.6g} i"
            if abs(w + 1.0) > 1e-6:
                return NEIMARK_SACKER, f"multipliers exp(+-{math.atan2(w.imag, w.real):.6g} i)"
        if not is_rate and w.real < 0:
            return FLIP, "a multiplier is -1"
        return DEGENERATE, "a rate is 0" if is_rate else "a multiplier is 1"

"""Branches of fixed points and cycles, followed as a parameter moves: by pattern where a system is piecewise affine, by arclength else.

A branch is cut into pieces on which the parameter is monotone. Where a piece turns (a fold), the next one begins.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np

from retime.analysis.affine import AffineView
from retime.analysis.complementarity import Complementarity, Solution, solve_all
from retime.core.arrays import Array
from retime.core.status import SearchStatus

SUB = 4  # looks between two values
TINY = 5e-11  # of the distance between values: how far beyond an event a branch is taken up again
LOOK = 1e-6  # of it: where admissibility on both sides of a border is measured
TOGETHER = 1e-10  # of it: units that cross this close do so at once
SAME = 1e-7  # distance, relative to 1 + |z|, of two computations of one point
MARGIN = 1e-9  # a multiplier this close to the unit circle is on neither side of it
MOST_UNITS = 6  # at once, for which all regions around are looked at
CACHE = 2e8  # bytes of equations kept

PERSISTENCE, FOLD, BORDER_FLIP = "border persistence", "border fold", "border flip"
SADDLE_NODE, FLIP, NEIMARK_SACKER, HOPF = "saddle-node", "flip", "Neimark-Sacker", "Hopf"
CROSSING, DEGENERATE = "transcritical or pitchfork", "degenerate"


class Sample(NamedTuple):
    """A point or cycle at one value: z `(k, n)`, bits `(k, q)`, multipliers or rates w `(n,)`; whether results list it."""

    value: float
    z: Array
    bits: Array
    w: Array
    shown: bool


@dataclass(eq=False)
class Piece:
    """A branch on which the parameter is monotone: segments of samples with nothing in between but smooth change."""

    period: int
    segments: list[list[Sample]] = field(default_factory=list)


@dataclass(eq=False)
class Found:
    """An event and the pieces that it joins; `collapsed`: a cycle shrinks to one of a shorter period."""

    kind: str
    border: bool
    value: float
    error: float
    point: Array
    unit: int | None
    multiplier: complex | None
    pieces: list[Piece]
    period: int
    message: str
    predicted: str = ""
    collapsed: bool = False


class Stopped(Exception):
    """The time is over."""


def join(pieces: list[Piece], events: list[Found], first: Piece, last: Piece) -> None:
    """The ends of a loop: `last` came back to where `first` began, so that both are one piece."""
    if last is first:
        return
    first.segments += last.segments
    pieces.remove(last)
    for e in events:
        e.pieces = [first if p is last else p for p in e.pieces]


def is_same(a: Array, b: Array) -> bool:
    """Whether two cycles `(k, n)` are the same but for the phase."""
    size = SAME * (1.0 + np.abs(a).max(initial=0.0))
    return a.shape == b.shape and any(
        np.abs(np.roll(a, -j, axis=0) - b).max(initial=0.0) <= size for j in range(len(a))
    )


def num_outside(w: Array, is_rate: bool, margin: float = 0.0) -> int:
    """How many multipliers are outside the unit circle, or rates right of the imaginary axis."""
    return int(((np.real(w) if is_rate else np.abs(w) - 1.0) > margin).sum())


def closest(w: Array, is_rate: bool) -> complex:
    """The multiplier closest to the unit circle (rate closest to the imaginary axis), upper half plane."""
    x = complex(w[int(np.argmin(np.abs(np.real(w)) if is_rate else np.abs(np.abs(w) - 1.0)))])
    return complex(x.real, abs(x.imag))


def changes(
    count: Callable[[float], int], a: float, b: float, at_a: int, at_b: int, tolerance: float
) -> Iterator[tuple[float, float]]:
    """Brackets, no wider than `tolerance`, of the places in [a, b] where a count changes."""
    if abs(b - a) <= tolerance or (middle := 0.5 * (a + b)) in (a, b):
        yield a, b
        return
    at_m = count(middle)
    if at_m != at_a:
        yield from changes(count, a, middle, at_a, at_m, tolerance)
    if at_m != at_b:
        yield from changes(count, middle, b, at_m, at_b, tolerance)


# --- piecewise affine ----------------------------------------------------------------------------------------------------


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
        family: value -> (view, constant input). values: increasing `(T,)`. deadline: of `time.monotonic`.
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
            Complementarity.of_points(view.form, s, view.is_map)
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
        self.pieces.append(Piece(self.period, [[self.sample(value, x.bits, x.z, True)]]))

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
            if time.monotonic() >= self.deadline:
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
            return Step("arrived", b, 0.0, ())
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
            if self._count(a.w, MARGIN) != self._count(b.w, MARGIN):
                self._locate(piece, d, a, b)

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
            error = abs(high - low) + 4e-16 * abs(x)
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


# --- smooth --------------------------------------------------------------------------------------------------------------


class Spot(NamedTuple):
    """A solution u = (z, x) `(n + 1,)` on a smooth branch, x the scaled value; its unit tangent, multipliers or rates w `(n,)`."""

    u: Array
    tangent: Array
    w: Array


class Lost(Exception):
    """Newton's method found no solution near where one was expected."""


MOST_STEPS = 20_000  # along one branch
SHORTEST = 1e-9  # step, relative to the distance of values
STRAIGHT = 0.95  # least cosine between the tangents at both ends of a step
TURN = 1e-10  # of a step: error of a turning point along the branch
BESIDE = (
    1e-4  # smallest singular value of dG/dz, relative to the size of (dG/dz, dG/dx), from which on a branch is begun
)
REGULAR = 1e-5  # |psi dG/dx|, psi the left null vector, above which a turning point is a saddle-node


class Arclength:
    """Follows the fixed points of a smooth system with the arclength of the branch as the parameter.

    Args:
        family: value -> (model, constant input). values: increasing `(T,)`. deadline: of `time.monotonic`. size: of typical states.
    """

    def __init__(
        self, family: Callable[[float], tuple[Any, Array]], values: Array, deadline: float, size: float
    ) -> None:
        self.family, self.values, self.deadline = family, values, deadline
        span = float(values[-1] - values[0]) or 1.0
        self.unit = span / (1.0 + size)  # of x, in units of the parameter
        self.x = values / self.unit
        self.longest = float(np.diff(self.x).max()) if len(values) > 1 else 1.0
        self.pieces: list[Piece] = []
        self.events: list[Found] = []
        self.claims: list[list[Array]] = [[] for _ in values]
        model, _ = family(float(values[0]))
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
        """dG/dx `(n,)`, by a central difference (one-sided at the ends of the range)."""
        h = 1e-5 * (self.x[-1] - self.x[0] if len(self.x) > 1 else 1.0)
        a, b = max(x - h, float(self.x[0])), min(x + h, float(self.x[-1]))
        a, b = (a, b) if a < b else (x - h, x + h)
        return (self.residual(z, b) - self.residual(z, a)) / (b - a)

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
                step = np.append(_solved(J, -G), 0.0)
            else:
                step = _solved(np.vstack([self.extended(u), row]), np.append(-G, 0.0))
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
        J = E[:, :-1] + (np.eye(len(E)) if self.is_map else 0.0)
        return Spot(u, t if t @ along >= 0 else -t, np.linalg.eigvals(J).astype(complex))

    # --- branches

    def grow(self, t: int, z: Array) -> None:
        """Follow the branch through a point of value t in both directions, unless it is known or singular."""
        axis = np.append(np.zeros(len(z)), 1.0)
        try:
            u = self.corrected(np.append(z, self.x[t]), axis, 1e-3 * (1.0 + float(np.abs(z).max(initial=0.0))))
        except Lost:
            return
        E = self.extended(u)
        sizes = np.linalg.svd(E[:, :-1], compute_uv=False)
        if self._claimed(t, u[:-1]) or sizes[-1] <= BESIDE * float(np.linalg.norm(E)):
            return
        piece = Piece(1)
        self.pieces.append(piece)
        self.claims[t].append(u[:-1])
        for sense in (1, -1):
            if self._trace(self.spot(u, sense * axis), piece, t):
                return

    def _claimed(self, t: int, z: Array) -> bool:
        size = SAME * (1.0 + np.abs(z).max(initial=0.0))
        return any(np.abs(other - z).max(initial=0.0) <= size for other in self.claims[t])

    def _sample(self, s: Spot, shown: bool) -> Sample:
        k = int(np.argmin(np.abs(self.x - s.u[-1])))
        value = float(self.values[k]) if self.x[k] == s.u[-1] else float(s.u[-1] * self.unit)
        return Sample(value, s.u[None, :-1], np.zeros((1, 0), dtype=bool), s.w, shown)

    def _trace(self, here: Spot, piece: Piece, t: int) -> bool:
        """Follow from a spot at value t along its tangent; whether the branch came back to where it began."""
        piece.segments.append([self._sample(here, True)])
        start, first, length, far = here, piece, self.longest, 1e6 * (1.0 + np.abs(here.u[:-1]).max(initial=0.0))
        for _ in range(MOST_STEPS):
            if time.monotonic() >= self.deadline:
                raise Stopped
            end = float(self.x[-1] if here.tangent[-1] > 0 else self.x[0])
            if here.u[-1] == end or (len(self.x) == 1):
                return False
            ahead = self._advance(here, length)
            if ahead is None:
                length *= 0.5
                if length < SHORTEST * self.longest:
                    self._end(
                        here, piece, "the branch cannot be followed farther: the right-hand side may not be smooth here"
                    )
                    return False
                continue
            length = min(2.0 * length, self.longest) if here.tangent @ ahead.tangent > 0.99 else length
            piece, known = self._pass(here, ahead, piece)
            if known is not None:
                is_loop = known == t and self._is_at(ahead, start)
                if is_loop:
                    join(self.pieces, self.events, first, piece)
                return is_loop
            here = ahead
            if not np.abs(here.u[:-1]).max(initial=0.0) < far:
                self._end(here, piece, "the point leaves for infinity")
                return False
        self._end(here, piece, f"the branch was followed for {MOST_STEPS} steps and left")
        return False

    def _is_at(self, s: Spot, start: Spot) -> bool:
        return bool(np.abs(s.u - start.u).max() <= SAME * (1.0 + np.abs(s.u).max()))

    def _end(self, here: Spot, piece: Piece, message: str) -> None:
        s = self._sample(here, True)
        piece.segments[-1].append(s)
        w = closest(here.w, not self.is_map)
        self.events.append(
            Found(DEGENERATE, False, s.value, self.longest * self.unit, s.z, None, w, [piece], 1, message)
        )

    def _advance(self, here: Spot, length: float) -> Spot | None:
        """The next spot, at a value where there is one ahead and the branch is not too steep; None: the step was too long."""
        u, t = here.u, here.tangent
        axis = np.append(np.zeros(len(u) - 1), 1.0)
        sense = 1 if t[-1] > 0 else -1
        gap = 1e-12 * self.longest
        ahead = self.x[self.x > u[-1] + gap] if sense > 0 else self.x[self.x < u[-1] - gap][::-1]
        to_value = abs(float(ahead[0]) - u[-1]) if len(ahead) else 0.0
        is_natural = abs(t[-1]) > 0.5 or (to_value <= length * abs(t[-1]) and len(ahead) == 1)
        distance = min(to_value / abs(t[-1]), length) if is_natural else length
        guess = u + distance * t
        if is_natural and distance == to_value / abs(t[-1]):
            guess[-1] = ahead[0]
        if not self.x[0] <= guess[-1] <= self.x[-1]:
            return None
        try:
            v = self.corrected(guess, axis if is_natural else t, 0.5 * distance + 1e-9)
            found = self.spot(v, t)
        except (Lost, ValueError):
            return None
        is_on_track = found.tangent @ t >= STRAIGHT and np.isfinite(found.w).all()
        return found if is_on_track else None

    def _pass(self, a: Spot, b: Spot, piece: Piece) -> tuple[Piece, int | None]:
        """Book a step from a to b and its events: the piece that b is on, and the value at which a known point was met, if any."""
        turn = self._turning(a, b)
        is_rate = not self.is_map
        if turn is not None or num_outside(a.w, is_rate, MARGIN) != num_outside(b.w, is_rate, MARGIN):
            self._crossings(a, b, piece, turn)
        for s in [] if turn is None else self._at_values(a, turn):
            if (known := self._book(s, piece)) is not None:
                return piece, known
        if turn is not None:
            event, sample = self._folded(turn, a, b, piece), self._sample(turn, True)
            piece.segments[-1].append(sample)
            piece = Piece(1, [[sample]])
            self.pieces.append(piece)
            event.pieces.append(piece)
        for s in [*self._at_values(a if turn is None else turn, b), b]:
            if (known := self._book(s, piece)) is not None:
                return piece, known
        return piece, None

    def _book(self, s: Spot, piece: Piece) -> int | None:
        """Append a spot to its piece; the value at which it is a point that is known, else None."""
        k = int(np.argmin(np.abs(self.x - s.u[-1])))
        is_value = bool(self.x[k] == s.u[-1])
        piece.segments[-1].append(self._sample(s, is_value))
        if is_value and self._claimed(k, s.u[:-1]):
            return k
        if is_value:
            self.claims[k].append(s.u[:-1])
        return None

    def _at_values(self, a: Spot, b: Spot) -> list[Spot]:
        """Spots at the values strictly between two spots of one piece."""
        low, high = sorted((a.u[-1], b.u[-1]))
        gap = 1e-7 * self.longest  # a value this close to a turning point has no solution of its own
        inside = self.x[(self.x > low + gap) & (self.x < high - gap)]
        axis = np.append(np.zeros(len(a.u) - 1), 1.0)
        found = []
        for x in inside if a.u[-1] < b.u[-1] else inside[::-1]:
            share = (x - a.u[-1]) / (b.u[-1] - a.u[-1])
            guess = a.u + share * (b.u - a.u)
            guess[-1] = x
            try:
                u = self.corrected(guess, axis, float(np.linalg.norm(b.u - a.u)))
            except Lost:  # right beside a fold
                continue
            found.append(self.spot(u, a.tangent))
        return found

    def _point(self, a: Spot, b: Spot, share: float) -> Spot:
        """The spot at a share of the way from a to b."""
        way = b.u - a.u
        length = float(np.linalg.norm(way))
        u = self.corrected(a.u + share * way, way / length, length)
        return self.spot(u, a.tangent)

    def _turning(self, a: Spot, b: Spot) -> Spot | None:
        """The spot between a and b where the parameter turns."""
        from scipy.optimize import brentq

        if a.tangent[-1] * b.tangent[-1] >= 0:
            return None

        def steepness(share: float) -> float:
            return float(self._point(a, b, share).tangent[-1])

        try:
            spot = self._point(a, b, float(brentq(steepness, 0.0, 1.0, xtol=TURN)))  # type: ignore[arg-type]
            if abs(spot.tangent @ (b.u - a.u)) > 0.5 * np.linalg.norm(b.u - a.u) and self._is_regular(spot.u):
                return spot
        except (Lost, ValueError):
            pass
        return self._fitted(a, b)

    def _fitted(self, a: Spot, b: Spot) -> Spot:
        """A turning point at which branches cross: there the equation is singular, so the branch is interpolated from both sides."""
        way, shares, places = b.u - a.u, [0.0, 1.0], [a.u, b.u]
        for share in 0.5 - 0.5 * np.cos(np.pi * np.arange(1, 12) / 12):
            try:
                s = self._point(a, b, float(share))
            except Lost:
                continue
            if abs(s.tangent @ way) > 0.5 * np.linalg.norm(way):  # else it is on the branch that crosses
                shares.append(float(share))
                places.append(s.u)
        fit = np.polynomial.Polynomial.fit
        degree = min(8, len(shares) - 1)
        curves = [fit(shares, u, degree) for u in np.array(places).T]
        turns = curves[-1].deriv().roots()
        inside = [float(r.real) for r in turns if abs(r.imag) < 1e-6 and 0 < r.real < 1]
        share = min(inside, key=lambda r: abs(r - 0.5), default=0.5)
        u = np.array([c(share) for c in curves])
        return self.spot(u, way / np.linalg.norm(way))

    def _is_regular(self, u: Array) -> bool:
        """Whether psi dG/dx is not 0 at a turning point, psi the left null vector: then it is a saddle-node."""
        E = self.extended(u)
        U, sizes, _ = np.linalg.svd(E[:, :-1])
        return bool(abs(float(U[:, -1] @ E[:, -1])) > REGULAR * max(1.0, float(sizes[0])))

    def _folded(self, turn: Spot, a: Spot, b: Spot, piece: Piece) -> Found:
        """The event of a turning point: a saddle-node where psi dG/dx is not 0."""
        is_regular, length = self._is_regular(turn.u), float(np.linalg.norm(b.u - a.u))
        error = 1e-12 * (1.0 + abs(turn.u[-1])) + (length * TURN if is_regular else 1e-6 * length**2)
        smallest = float(np.linalg.svd(self.extended(turn.u)[:, :-1], compute_uv=False)[-1])
        s = self._sample(turn, True)
        kind = SADDLE_NODE if is_regular else CROSSING
        w = complex(turn.w[np.argmin(np.abs(turn.w - (1.0 if self.is_map else 0.0)))])
        message = f"smallest singular value {smallest:.1e}"
        event = Found(kind, False, s.value, error * self.unit, s.z, None, w, [piece], 1, message)
        self.events.append(event)
        return event

    def _crossings(self, a: Spot, b: Spot, piece: Piece, turn: Spot | None) -> None:
        """Multipliers that cross the unit circle (rates: the imaginary axis) between a and b, but for the one of a fold."""
        is_rate = not self.is_map

        def count(share: float) -> int:
            return num_outside(self._point(a, b, share).w, is_rate)

        at_a, at_b = num_outside(a.w, is_rate), num_outside(b.w, is_rate)
        try:
            places = list(changes(count, 0.0, 1.0, at_a, at_b, 1e-13)) if at_a != at_b else []
        except Lost:
            return
        if not places and turn is None:
            d = [abs(closest(s.w, is_rate).real) if is_rate else abs(abs(closest(s.w, False)) - 1.0) for s in (a, b)]
            places = [(0.0, 0.0)] if d[0] < d[1] else [(1.0, 1.0)]
        for low, high in places:
            spot = a if high == 0.0 else b if low == 1.0 else self._point(a, b, 0.5 * (low + high))
            w = closest(spot.w, is_rate)
            kind, message = self._named(w)
            if kind == CROSSING and turn is not None:
                continue
            s = self._sample(spot, False)
            error = (1e-13 * (1.0 + abs(spot.u[-1])) + abs(high - low) * abs(b.u[-1] - a.u[-1])) * self.unit
            self.events.append(Found(kind, False, s.value, error, s.z, None, w, [piece], 1, message))

    def _named(self, w: complex) -> tuple[str, str]:
        if abs(w.imag) > 1e-7 * (1.0 + abs(w)):
            if self.is_map:
                return NEIMARK_SACKER, f"multipliers exp(+-{math.atan2(w.imag, w.real):.6g} i)"
            return HOPF, f"rates +-{w.imag:.6g} i"
        if self.is_map and w.real < 0:
            return FLIP, "a multiplier is -1"
        return CROSSING, "a multiplier is 1" if self.is_map else "a rate is 0"


def _solved(A: Array, b: Array) -> Array:
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

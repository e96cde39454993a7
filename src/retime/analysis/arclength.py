"""Branches of smooth systems along a parameter: followed by arclength, through folds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from retime.analysis.continuation import (
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
    changes,
    closest,
    join,
    num_outside,
)
from retime.core.arrays import Array


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
EPS = float(np.finfo(float).eps)
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
        is_critical = self._is_critical_end(a, b) or self._is_critical_end(b, a)
        if turn is not None or is_critical or num_outside(a.w, is_rate, MARGIN) != num_outside(b.w, is_rate, MARGIN):
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

    # --- how far an event may be off, in x

    def _residual_noise(self, u: Array) -> tuple[float, float]:
        """What G at a solution may be off (Newton's residual and rounding), and the size of dF/dz."""
        size = float(np.linalg.norm(self.jacobian(u[:-1], u[-1])))
        rounding = 8 * EPS * (1.0 + float(np.abs(u[:-1]).max(initial=0.0))) * (1.0 + size)
        return float(np.abs(self.residual(u[:-1], u[-1])).max(initial=0.0)) + rounding, size

    def _turning_error(self, turn: Spot, a: Spot, b: Spot, is_regular: bool) -> float:
        """Of a turning point: where branches cross, the square root of rounding remains."""
        target, ends = 1.0 if self.is_map else 0.0, (a, b)
        noise, size = self._residual_noise(turn.u)
        off = float(np.abs(turn.w - target).min())
        if not is_regular:
            steep = [abs(e.u[-1] - turn.u[-1]) / max(abs(np.abs(e.w - target).min() - off), 1e-300) for e in ends]
            return float(min(self.longest, (off + math.sqrt(EPS) * (1.0 + size)) * max(steep)))
        E, length = self.extended(turn.u), float(np.linalg.norm(b.u - a.u))
        psi = np.linalg.svd(E[:, :-1])[0][:, -1]
        bend = abs(b.tangent[-1] - a.tangent[-1]) / max(length, 1e-300)
        change = max(float(np.abs(e.w - target).min()) for e in ends) / max(length, 1e-300)
        along = min(length, (off + 16 * EPS * (1.0 + size)) / max(change, 1e-300))
        return noise / max(abs(float(psi @ E[:, -1])), 1e-300) + bend * along**2

    def _crossing_error(self, spot: Spot, is_degenerate: bool) -> float:
        """Of a crossing multiplier: its distance to the unit circle and its noise over its slope."""
        is_rate = not self.is_map

        def distance(w: Array) -> float:
            x = closest(w, is_rate)
            return x.real if is_rate else abs(x) - 1.0

        J = self.jacobian(spot.u[:-1], spot.u[-1])
        residual, size = self._residual_noise(spot.u)
        w, V = np.linalg.eig(J)
        condition = float(np.linalg.cond(V)) if np.isfinite(V).all() else math.inf
        noise = 16 * EPS * (1.0 + size) * condition
        if is_degenerate:
            noise += math.sqrt(EPS) * (1.0 + size)
        else:  # what the point may be off, and what the multiplier changes by that
            _, sizes, rows = np.linalg.svd(J - (np.eye(len(J)) if self.is_map else 0.0))
            h = 1e-5 * (1.0 + float(np.abs(spot.u[:-1]).max(initial=0.0)))
            moved = np.linalg.eigvals(self.jacobian(spot.u[:-1] + h * rows[-1], spot.u[-1]))
            noise += abs(distance(moved) - distance(w)) / h * residual / max(float(sizes[-1]), 1e-300)
        along = (abs(distance(spot.w)) + noise) / max(self._change_along(spot, distance), 1e-300)
        return float(min(self.longest, along * abs(spot.tangent[-1]) + along**2))

    def _change_along(self, spot: Spot, distance: Callable[[Array], float]) -> float:
        """|d distance / ds| along the branch at a spot, by a difference along its tangent inside the range."""
        h, places = 1e-4 * (1.0 + float(np.abs(spot.u).max())), []
        for side in (-1, 1):
            u = spot.u + side * h * spot.tangent
            places.append(u if self.x[0] <= u[-1] <= self.x[-1] else spot.u)
        before, after = (distance(np.linalg.eigvals(self.jacobian(u[:-1], u[-1]))) for u in places)
        return abs(after - before) / max(float(np.linalg.norm(places[1] - places[0])), 1e-300)

    def _folded(self, turn: Spot, a: Spot, b: Spot, piece: Piece) -> Found:
        """The event of a turning point: a saddle-node where psi dG/dx is not 0."""
        is_regular, length = self._is_regular(turn.u), float(np.linalg.norm(b.u - a.u))
        error = 1e-12 * (1.0 + abs(turn.u[-1])) + (length * TURN if is_regular else 1e-6 * length**2)
        smallest = float(np.linalg.svd(self.extended(turn.u)[:, :-1], compute_uv=False)[-1])
        s = self._sample(turn, True)
        kind = SADDLE_NODE if is_regular else CROSSING
        w = complex(turn.w[np.argmin(np.abs(turn.w - (1.0 if self.is_map else 0.0)))])
        message = f"smallest singular value {smallest:.1e}"
        error += self._turning_error(turn, a, b, is_regular)
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
            if kind == CROSSING and spot.u[-1] in (self.x[0], self.x[-1]) and self._is_regular(spot.u):
                kind = SADDLE_NODE
            s = self._sample(spot, False)
            error = 1e-13 * (1.0 + abs(spot.u[-1])) + abs(high - low) * abs(b.u[-1] - a.u[-1])
            error = (error + self._crossing_error(spot, kind in (CROSSING, SADDLE_NODE))) * self.unit
            self.events.append(Found(kind, False, s.value, error, s.z, None, w, [piece], 1, message))

    def _is_critical_end(self, x: Spot, y: Spot) -> bool:
        """Whether a multiplier is on the unit circle at x, at an end of the range, and not at y."""
        if x.u[-1] not in (self.x[0], self.x[-1]):
            return False
        at_x, at_y = (closest(s.w, not self.is_map) for s in (x, y))
        off = [abs(w.real) if not self.is_map else abs(abs(w) - 1.0) for w in (at_x, at_y)]
        return off[0] <= MARGIN < off[1]

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

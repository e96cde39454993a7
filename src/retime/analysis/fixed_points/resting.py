"""Sliding along boundaries: Filippov's field, and the points at which an orbit of a converted flow rests by sliding.

On the boundary of one unit the fields of the two sides are f-(z) = W- z + h- and f+(z) = W+ z + h+, auxiliary states left out. Where they
point against each other, the state slides along alpha f+ + (1 - alpha) f-, whose component across the boundary is zero. It rests where that
is zero altogether. With z = z0 + B y, the columns of B along the boundary, the condition

    (P + alpha Q) (y, 1) = 0,   P = [W- B, W- z0 + h-],   Q = [(W+ - W-) B, (W+ - W-) z0 + h+ - h-]

is an eigenvalue problem in alpha: every piece of boundary between two regions is solved completely.

Source: filippov1988; the eigenvalue problem is ours, docs/theory/analysis.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.inputs import Inputs
from retime.core.status import RegionStatus
from retime.core.tolerances import size_of
from retime.models import PiecewiseAffineFlow
from retime.simulation import simulate
from retime.simulation.arrays import form_arrays
from retime.simulation.boundaries import find_followers, set_side
from retime.simulation.passage import Sides, filippov

MOST_UNITS = 16  # up to which all regions are converted
CHUNK = 1024  # pieces of boundary solved at a time
PROBE = 0.4871  # value of alpha around which the eigenvalue problem is expanded; any will do but an eigenvalue
REAL = 1e-6  # imaginary part, relative, up to which an eigenvalue may be real
EDGE = 1e-9  # distance of alpha from 0 and 1, where the point is an equilibrium of one side
ORBITS, SAMPLES = 24, 256  # simulated when the pieces are too many


class Resting(NamedTuple):
    """A point of rest on the boundary of `unit`: z `(n,)`, bits `(q,)` of the side where the unit is on, rates `(n - 1,)` along the boundary;
    whether both sides push towards it, and the largest change of Filippov's field there in a sample step, relative to 1 + |z|."""

    z: Array
    bits: Array
    unit: int
    rates: Array
    attracts: bool
    residual: float


class RestingPoints(NamedTuple):
    """What was found; pieces of boundary that were solved, of how many."""

    found: list[Resting]
    solved: int
    total: int


def find_resting_points(flow: PiecewiseAffineFlow, s: Array, deadline: float, seed: int) -> RestingPoints:
    """All points of rest on single boundaries under a constant input, or, where there are too many pieces of boundary for the time, those on
    the pieces along which simulated orbits slide."""
    q = flow.num_units
    total = q * 2 ** (q - 1) if q else 0
    search = _Search(PiecewiseAffineFlow(flow.map, flow.method, throw=False), s)
    if q <= MOST_UNITS and search.is_affordable(total, deadline):
        bits = (np.arange(2**q)[:, None] >> np.arange(q) & 1).astype(bool)
        for unit in range(q):
            rows = bits[bits[:, unit]]
            for k in range(0, len(rows), CHUNK):
                if work_seconds() >= deadline:
                    return RestingPoints(search.found, search.solved, total)
                search.solve(rows[k : k + CHUNK], unit)
    else:
        for unit, rows in search.visited(seed, deadline).items():
            search.solve(rows, unit)
    return RestingPoints(search.found, search.solved, total)


class _Search:
    def __init__(self, flow: PiecewiseAffineFlow, s: Array) -> None:
        self.flow, self.s = flow, s
        self.arrays, self.input = form_arrays(flow.canonical), np.array([s, 0.0 * s])
        self.follows = np.zeros(flow.num_units, dtype=np.int64)
        find_followers(self.arrays, self.input, self.follows)
        self.found: list[Resting] = []
        self.solved = 0

    def is_affordable(self, total: int, deadline: float) -> bool:
        """Whether a sample of the pieces, solved and timed, says that there is time for all."""
        bits = np.random.default_rng(0).random((32, self.flow.num_units)) < 0.5
        if total <= len(bits):
            return True
        began = work_seconds()
        for unit in range(min(self.flow.num_units, 2)):
            bits[:, unit] = True
            self._candidates(bits, unit)
        seconds = (work_seconds() - began) / (2 * len(bits)) * total
        return seconds < deadline - work_seconds()

    def visited(self, seed: int, deadline: float) -> dict[int, Array]:
        """Patterns `(k, q)` beside the boundaries, by unit, along which orbits from random states slide."""
        form, found = self.flow.canonical, {}
        g = np.random.default_rng(seed)
        scale = 1.0 + float(np.abs(form.h1).max(initial=0.0) + np.abs(form.h2).max(initial=0.0))
        held = Inputs(np.zeros(1), self.s[None]) if len(self.s) else None
        times = self.flow.dt * np.arange(SAMPLES + 1)
        for _ in range(ORBITS):
            if work_seconds() >= deadline:
                break
            z = g.normal(size=form.num_states) * scale
            path = simulate(self.flow, z, times=times, inputs=held, switching="state")
            for begin, end, unit in path.sliding:
                for k in np.flatnonzero((times >= begin) & (times <= end)):
                    bits = path.patterns[k].copy()
                    set_side(self.arrays, self.input, bits[None], int(unit), on=True)
                    found.setdefault(int(unit), {})[bits.tobytes()] = bits
        return {unit: np.array(list(rows.values())) for unit, rows in found.items()}

    def solve(self, on: Array, unit: int) -> None:
        """Points of rest on the pieces of the boundary of `unit` beside the patterns `on` `(r, q)`, whose bit `unit` is set."""
        own = self._of_states(on, unit)
        candidates, singular = self._candidates(own, unit) if len(own) else ([], 0)
        self.solved += len(on) - singular
        for bits, sides, alpha, y in candidates:
            self._book(bits, unit, sides, alpha, y)

    def _of_states(self, on: Array, unit: int) -> Array:
        """The rows of `on` in which every unit that shares this boundary is on its side of it; none for a unit that only follows another."""
        if self.follows[unit]:
            return on[:0]
        own = on.copy()
        set_side(self.arrays, self.input, own, unit, on=True)
        return np.ascontiguousarray(on[(on == own).all(axis=1)])

    def _plane(self, unit: int) -> tuple[Array, Array]:
        """A state on the boundary and an orthonormal basis along it `(n, n - 1)`."""
        form = self.flow.canonical
        normal = form.W2[unit]
        level = float(form.h2[unit] + form.C2[unit] @ self.s)
        return -level * normal / (normal @ normal), np.linalg.svd(normal[None])[2][1:].T

    def _candidates(self, on: Array, unit: int) -> tuple[list[tuple[Array, Sides, float, Array]], int]:
        """(bits, sides, alpha, y) of the solutions of the equation, wherever on the plane they lie; and how many pieces have an equation
        that is singular for every alpha (points of rest there may fill lines), which is not solved."""
        n, normal = self.flow.num_states, self.flow.canonical.W2[unit]
        off = on.copy()
        set_side(self.arrays, self.input, off, unit, on=False)
        regions = [*self.flow.convert(off), *self.flow.convert(on)]
        W = np.array([r.W[:n, :n] for r in regions]).reshape(2, -1, n, n)
        h = np.array([(r.h + r.E @ self.s)[:n] for r in regions]).reshape(2, -1, n)
        fine = np.array([r.status is not RegionStatus.TIME_VARYING for r in regions]).reshape(2, -1).all(axis=0)
        if not normal.any() or not fine.any():
            return [], 0
        z0, B = self._plane(unit)
        ends = np.concatenate([W @ B, (W @ z0 + h)[..., None]], axis=-1)
        P, Q = ends[0], ends[1] - ends[0]
        size = np.abs(ends).max(axis=(0, 2, 3))
        jumps = fine & (np.abs(Q).max(axis=(1, 2)) > 1e-12 * size)
        found, singular = [], 0
        for k in np.flatnonzero(jumps):
            if _is_singular(P[k] + PROBE * Q[k]) and _is_singular(P[k] + (1.0 - PROBE) * Q[k]):
                singular += 1
                continue
            sides = Sides(W[0, k], h[0, k], W[1, k], h[1, k])
            found += [(on[k], sides, alpha, y) for alpha, y in _pencil(P[k], Q[k])]
        return found, singular

    def _book(self, bits: Array, unit: int, sides: Sides, alpha: float, y: Array) -> None:
        """Keep a solution that lies beside the regions it was found for."""
        form = self.flow.canonical
        z0, B = self._plane(unit)
        z, normal = z0 + B @ y, form.W2[unit]
        g = form.W2 @ z + form.h2 + form.C2 @ self.s
        noise = 1e-9 * (np.abs(form.W2) @ np.abs(z) + np.abs(form.h2) + np.abs(form.C2) @ np.abs(self.s))
        others = np.arange(len(bits)) != unit
        if (((g > 0) != bits) & (np.abs(g) > noise) & others).any():
            return
        off = sides.W_off @ z + sides.h_off
        size = size_of(z)
        if (
            np.abs(off).max() <= 1e-9 * (np.abs(sides.W_off) @ np.abs(z) + np.abs(sides.h_off)).max()
            or normal @ off == 0.0
        ):
            return  # both fields are zero: an equilibrium of the regions
        if any(r.unit == unit and np.abs(r.z - z).max() <= 1e-9 * size for r in self.found):
            return
        field, J = filippov(sides, normal, z)
        rates = np.linalg.eigvals(B.T @ J @ B).astype(complex)
        rest = float(np.abs(field).max() * self.flow.dt / size)
        self.found.append(Resting(z, bits, unit, rates, bool(normal @ off > 0), rest))


def _is_singular(A: Array) -> bool:
    sizes = np.linalg.svd(A / np.maximum(np.abs(A).max(axis=0), 1e-300), compute_uv=False)
    return bool(sizes[-1] <= 1e-13 * sizes[0])


def _pencil(P: Array, Q: Array) -> list[tuple[float, Array]]:
    """All (alpha, y) with (P + alpha Q) (y, 1) = 0 and 0 < alpha < 1."""
    n = len(P)
    A = P + PROBE * Q
    with np.errstate(all="ignore"):
        try:
            w = np.linalg.eigvals(-np.linalg.solve(A, Q))
        except np.linalg.LinAlgError:
            from scipy.linalg import eigvals

            w = 1.0 / np.asarray(eigvals(A, -Q))
    found = []
    for value in w[np.isfinite(w) & (np.abs(w) > 1.0) & (np.abs(np.imag(w)) <= REAL * np.abs(w))]:
        alpha = PROBE + 1.0 / float(np.real(value))
        x = np.linalg.svd(P + alpha * Q)[2][-1]
        if abs(x[-1]) <= 1e-12:
            continue
        x = x / x[-1]
        for _ in range(4):  # Newton steps in (y, alpha)
            J = P + alpha * Q
            J[:, -1] = Q @ x
            step = np.linalg.lstsq(J, -(P + alpha * Q) @ x, rcond=None)[0]
            x[:-1] += step[:-1]
            alpha += float(step[-1])
        is_solved = np.abs((P + alpha * Q) @ x).max() <= 1e-10 * n * ((np.abs(P) + np.abs(Q)) @ np.abs(x)).max()
        is_known = any(abs(alpha - a) <= 1e-9 and np.abs(x[:-1] - b).max(initial=0.0) <= 1e-9 for a, b in found)
        if EDGE < alpha < 1.0 - EDGE and is_solved and not is_known:
            found.append((alpha, x[:-1].copy()))
    return found

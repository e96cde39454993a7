"""Cycles of smooth maps: Newton's method on all points of a cycle at once, from many starts, until no start finds a new one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retime.analysis.cycles.phase import first_phase, in_order, is_same_cycle, least_period
from retime.analysis.cycles.result import Cycle, Cycles
from retime.analysis.dust import tidy, without_dust
from retime.analysis.fixed_points.find import ordered
from retime.analysis.fixed_points.method import Multistart
from retime.analysis.fixed_points.multistart import search_smooth
from retime.analysis.fixed_points.newton import (
    CONVERGED,
    MEMORY,
    Problem,
    distinct,
    follow,
    solutions,
)
from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.status import SearchStatus
from retime.core.tolerances import FAR, SAME_FOLLOWED, size_of, sizes_of

TRANSIENT, KEPT, MEMBERS = (
    500,
    300,
    32,
)  # of the orbits that starts are taken from: steps that pass, steps that are kept, how many
BATCH = 256  # starts between two looks at the clock
CLOSEST = 0.05  # share of the segments of orbits that count as close returns
CONTINUUM = 3  # different cycles of one period with a multiplier 1 from which on they are taken for a continuum


@dataclass
class Ring:
    """F(z_j) - z_{j+1} = 0 around k points, as one system of k n equations: what the search for fixed points solves, for cycles.

    Growth along the cycle does not add up as it does in F^k, so that starts on unstable cycles converge, too.
    """

    map: Problem
    k: int
    block: int
    rate: float = 1.0

    @classmethod
    def of(cls, problem: Problem, k: int) -> Ring:
        """The cycles of k steps of a map."""
        size = k * problem.model.num_states
        return cls(problem, k, int(np.clip(MEMORY / (8 * size * size), 1, BATCH)))

    def residual(self, z: Array) -> Array:
        """F(z_j) - z_{j+1} `(b, k n)`."""
        points = z.reshape(len(z), self.k, -1)
        image = self.map.right(points.reshape(-1, points.shape[2])).reshape(points.shape)
        return (image - np.roll(points, -1, axis=1)).reshape(z.shape)

    def steps(self, z: Array) -> Array:
        """dF/dz `(b, k, n, n)` at the points."""
        n = self.map.model.num_states
        J = self.map.jacobian(z.reshape(-1, n))
        J[:, np.arange(n), np.arange(n)] += 1.0  # of F, not of F(z) - z
        return J.reshape(len(z), self.k, n, n)

    def jacobian(self, z: Array) -> Array:
        """The derivative `(b, k n, k n)`."""
        b, k, n = len(z), self.k, self.map.model.num_states
        J, steps = np.zeros((b, k, n, k, n)), self.steps(z)
        for j in range(k):
            J[:, j, :, j] += steps[:, j]
            J[:, j, :, (j + 1) % k] -= np.eye(n)
        return J.reshape(b, k * n, k * n)


@dataclass
class _Found:
    """A cycle `(k, n)`, how well it is known, and whether others may lie next to it."""

    points: Array
    error: float
    is_singular: bool


class SmoothMapSearch:
    """The cycles of one smooth map, period by period, from starts on orbits and around them; nothing is proven."""

    def __init__(
        self,
        model: Any,
        s: Array,
        given: Array | None,
        rng: Any,
        patience: Patience,
        num_starts: int,
        seed: int,
        method: Multistart,
    ) -> None:
        self.problem, self.given, self.rng, self.seed = _problem(model, s, rng), given, rng, seed
        self.patience, self.num_starts = patience, num_starts
        self.method = method  # its tolerance: largest distance of the image of a point from the next one
        self.found: dict[int, list[_Found]] = {}
        self.degenerate: list[int] = []
        self.starts, self.order = 0, 1
        self._orbits: Array | None = None

    def run(self, largest: int) -> Cycles:
        """All periods up to `largest`; `complete_up_to` is 0."""
        with np.errstate(all="ignore"):
            with progress("searching cycles", largest) as advance, self.patience:
                for k in range(1, largest + 1):
                    self.order = k
                    self.search(k)
                    advance(1)
            return self.result(largest)

    def search(self, k: int) -> None:
        """Batches of starts until `num_starts` in a row bring no new cycle."""
        self.patience.check()
        if k == 1:
            return self._fixed_points()
        known, idle = self.found.setdefault(k, []), 0
        self._follow(k, np.concatenate([self._from_given(k), self._doubled(k)]))
        while idle < self.num_starts and k not in self.degenerate:
            self.patience.check()
            count = min(BATCH, self.num_starts)
            idle = 0 if self._follow(k, self._drawn(k, count)) else idle + count
            if sum(c.is_singular for c in known) >= CONTINUUM:
                self.degenerate.append(k)
                self.found[k] = [c for c in known if not c.is_singular]
        return None

    def _fixed_points(self) -> None:
        model, s, left = self.problem.model, self.problem.s, self.patience.left
        found = search_smooth(model, s, num_starts=self.num_starts, method=self.method, seed=self.seed, time_limit=left)
        self.starts += found.num_starts
        alone = [k for k, null in enumerate(found.null_directions) if not len(null)]
        self.found[1] = [_Found(found.points[k : k + 1], 0.0, False) for k in alone]
        if found.continuum:
            self.degenerate.append(1)
        if found.status is SearchStatus.INTERRUPTED:
            raise KeyboardInterrupt
        self._follow(1, self._from_given(1))

    def _follow(self, k: int, starts: Array) -> int:
        """Newton's method from starts `(b, k n)`; how many new cycles of least period k it found."""
        if not len(starts):
            return 0
        ring, n = Ring.of(self.problem, k), self.problem.model.num_states
        starts = np.clip(starts.reshape(len(starts), k, n), *self.problem.box).reshape(starts.shape)
        z, ending = follow(ring, starts, self.method, self.patience.deadline)
        self.starts += len(starts)
        cycles = z[ending == CONVERGED].reshape(-1, k, n)
        cycles = [np.roll(c, -first_phase(c), axis=0) for c in cycles if self._is_cycle(c)]
        return sum(self._add(ring, row) for row in distinct(np.array(cycles).reshape(-1, k * n)))

    def _is_cycle(self, points: Array) -> bool:
        is_inside = bool(self.problem.box.contains(points).all())
        return is_inside and least_period(points, SAME_FOLLOWED * size_of(points)) == len(points)

    def _add(self, ring: Ring, row: Array) -> bool:
        """Note a cycle unless it is known, or where the equations vanish far out without a solution; whether it is new."""
        points, solved = row.reshape(ring.k, -1), solutions(ring, row[None])
        size, gap = size_of(row), float(solved.gaps[0])
        is_singular = gap <= self.method.singular * max(float(solved.sizes[0]), 1.0)
        error = float(solved.residuals[0]) / max(gap, 1e-300)
        if not is_singular and error > self.method.apart * size:
            return False
        error = min(8.0 * error, self.method.apart * size)
        known = self.found[ring.k]
        if any(is_same_cycle(points, c.points, SAME_FOLLOWED * size + error + c.error) for c in known):
            return False
        known.append(_Found(points, error, is_singular))
        return True

    # --- starts

    @property
    def orbits(self) -> Array:
        """States `(T, b, n)` of orbits from the given states and from random ones; NaN from where one has diverged."""
        if self._orbits is None:
            n = self.problem.model.num_states
            own = 10.0 ** self.rng.uniform(-1, 0.5, (MEMBERS, 1)) * self.rng.normal(size=(MEMBERS, n))
            z = np.clip(own if self.given is None else np.concatenate([self.given, own]), *self.problem.box)
            far, kept = FAR * size_of(z), [z]
            for step in range(TRANSIENT + KEPT):
                self.patience.check()
                z = self.problem.right(z)
                z = np.where((np.abs(z) < far).all(axis=1, keepdims=True), z, np.nan)
                if step < KEPT // 4 or step >= TRANSIENT:
                    kept.append(z)
            self._orbits = np.array(kept)
        return self._orbits

    def _drawn(self, k: int, count: int) -> Array:
        """Starts `(count, k n)`: orbits that nearly return after k steps, pieces of orbits, the same with noise, and random states."""
        rng, n = self.rng, self.problem.model.num_states
        pieces = np.lib.stride_tricks.sliding_window_view(self.orbits, k + 1, axis=0)  # (T - k, b, n, k + 1)
        pieces = pieces.reshape(-1, n, k + 1)
        pieces = pieces[np.isfinite(pieces).all(axis=(1, 2))]
        scale = np.nanstd(self.orbits, axis=(0, 1)) + 1e-3
        middle = np.nanmean(self.orbits, axis=(0, 1))
        spread = scale * 3.0 ** rng.uniform(-1, 1, (count, 1)) * rng.normal(size=(count, n))
        wide = self._iterated(middle + spread, k)
        if not len(pieces):
            return wide
        gaps = np.abs(pieces[:, :, k] - pieces[:, :, 0]).max(axis=1)
        close = np.argsort(gaps, kind="stable")[: max(int(CLOSEST * len(gaps)), 1)]
        any_one = pieces[rng.integers(len(pieces), size=count), :, :k].transpose(0, 2, 1)
        near = pieces[close[rng.integers(len(close), size=count)], :, :k].transpose(0, 2, 1)
        noise = scale * 10.0 ** rng.uniform(-3, 0, (count, 1, 1)) * rng.normal(size=near.shape)
        kind = rng.integers(4, size=count)[:, None, None]
        wide = wide.reshape(count, k, n)
        return np.choose(kind, [near, any_one, near + noise, wide]).reshape(count, -1)

    def _iterated(self, z: Array, k: int) -> Array:
        """Pieces `(b, k n)` of the orbits from z `(b, n)`; where one diverges its last state is repeated."""
        z = np.clip(z, *self.problem.box)
        rows, far = [z], FAR * size_of(z)
        for _ in range(k - 1):
            new = self.problem.right(rows[-1])
            rows.append(np.where((np.abs(new) < far).all(axis=1, keepdims=True), new, rows[-1]))
        return np.stack(rows, axis=1).reshape(len(z), -1)

    def _from_given(self, k: int) -> Array:
        """Starts `(b, k n)` on orbits from the given states."""
        n = self.problem.model.num_states
        return np.zeros((0, k * n)) if self.given is None else self._iterated(self.given, k)

    def _doubled(self, k: int) -> Array:
        """Starts `(b, k n)` beside cycles of k / 2 steps run twice, off along the direction whose multiplier is nearest to -1."""
        half, starts = k // 2, []
        for c in self.found.get(half, []) if k % 2 == 0 else []:
            steps = Ring.of(self.problem, half).steps(c.points.reshape(1, -1))[0]
            w, V = np.linalg.eig(_product(steps))
            v = np.real(V[:, np.argmin(np.abs(w + 1.0))])
            for size in np.geomspace(1e-3, 1.0, 7) * size_of(c.points):
                off, x = [], v * size
                for M in (*steps, *steps):
                    off.append(x)
                    x = M @ x
                starts.append(np.concatenate([c.points, c.points]) + np.array(off))
        return np.array(starts).reshape(-1, k * self.problem.model.num_states)

    # --- results

    def result(self, largest: int) -> Cycles:
        """What was found, in the order of the periods."""
        cycles = [self._cycle(k, c.points) for k, c in in_order(self.found)]
        status = self.patience.ended or SearchStatus.HEURISTIC
        return Cycles(
            tuple(cycles),
            0,
            tuple(self.degenerate),
            status,
            self._message(status, largest),
            self.starts,
            0,
            multistart=self.method,
        )

    def _cycle(self, k: int, points: Array) -> Cycle:
        ring = Ring.of(self.problem, k)

        def rests(z: Array) -> Array:
            rows = z.reshape(len(z), -1)
            return np.abs(ring.residual(rows)).max(axis=1) / sizes_of(rows)

        points = without_dust(points.reshape(1, -1), rests).reshape(points.shape)
        w = ordered(tidy(np.linalg.eigvals(_product(ring.steps(points.reshape(1, -1))[0]))), self.problem.model.time)
        none = np.zeros((k, 0), dtype=bool)
        residual = float(rests(points.reshape(1, -1))[0])
        return Cycle(
            k, points, w, bool(self.problem.model.time.is_stable(w)), none, residual, False, k * self.problem.model.dt
        )

    def _message(self, status: SearchStatus, largest: int) -> str:
        text = f"from {self.starts} starts, no proof that there are no others"
        end = {SearchStatus.TIME_LIMIT: "time ended", SearchStatus.INTERRUPTED: "interrupted"}.get(status)
        text = f"{end} at period {self.order} of {largest}; {text}" if end else text
        many = ", ".join(map(str, self.degenerate))
        return f"{text}; continua of cycles of period {many}, not listed one by one" if many else text


def _problem(model: Any, s: Array, rng: Any) -> Problem:
    """The map with blocks wide enough for rings, which have many points."""
    problem = Problem.of(model, s, rng)
    if problem.is_called_back:
        return problem
    block = max(problem.block, min(BATCH, int(MEMORY / (8 * model.num_states**2))))
    return replace(problem, wide=BATCH, block=block)


def _product(steps: Array) -> Array:
    """J_k ... J_1 `(n, n)`."""
    product = np.eye(steps.shape[1])
    for J in steps:
        product = J @ product
    return product

"""The search for cycles of piecewise-affine maps, period by period, from orbits and virtual cycles; and the proof that none is missing."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from retime.analysis.cycles.result import Cycle, Cycles
from retime.analysis.cycles.virtual_cycles import search_from
from retime.analysis.dust import tidy, without_dust
from retime.analysis.fixed_points.complementarity import Complementarity
from retime.analysis.fixed_points.find import ordered, scope
from retime.analysis.fixed_points.leaves import TOLERANCE, Solution, solve_region
from retime.analysis.fixed_points.search import solve_all
from retime.analysis.view import AffineView
from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.progress import progress
from retime.core.status import SearchStatus
from retime.core.time import Discrete
from retime.simulation.arrays import FormArrays, form_arrays
from retime.simulation.iterate import iterate

PROOF_UNITS = 400  # signs (k q) up to which a proof is tried
PROOF_SHARE = 0.1  # of the time, for proofs
TRIES = 24  # linear systems solved from one start
GIVEN = (
    64,
    6,
)  # states of a Trajectory that a search starts from: of a map, of a flow, where each is followed for long
BLOCK = 512  # starts between two looks at the clock


@dataclass
class _Found:
    """A cycle in the making: points `(k, n)`, bits `(k, q)`, whether a point is on a boundary."""

    points: Array
    bits: Array
    near: bool


class Hunt:
    """The search for the cycles of one map, order by order."""

    def __init__(
        self, view: AffineView, s: Array, rng: Any, deadline: float, limit: float, num_starts: int, given: Array | None
    ) -> None:
        self.view, self.s, self.rng, self.deadline = view, s, rng, deadline
        self.first_deadline = work_seconds() + 0.5 * limit
        self.proof_seconds, self.proof_deadline = PROOF_SHARE * limit, float("inf")
        self.num_starts, self.given = num_starts, given
        self.found: dict[int, list[_Found]] = {}
        self.arrays = _driven_arrays(view, s)
        self.starts = self.nodes = self.complete_up_to = 0
        self.reach = math.inf  # of the proofs
        self.unclear = 0  # sequences of regions whose cycle double precision cannot tell
        self.degenerate: list[int] = []
        self._expanded: dict[int, set[bytes]] = {}
        self._keys: set[bytes] = set()  # of sequences that were solved
        self._known: set[bytes] = set()  # of cycles that are listed
        self.status, self.order = SearchStatus.COMPLETE, 0
        self._pool: Array | None = None

    def run(self, largest: int, node_limit: float) -> Cycles:
        """All orders up to `largest`."""
        proving = True
        try:
            with progress("searching cycles", largest) as advance:
                for k in range(1, largest + 1):
                    if work_seconds() >= self.deadline:
                        self.status = SearchStatus.TIME_LIMIT
                        break
                    self.order = k
                    proving = proving and self._prove(k, node_limit)
                    if not proving:
                        self._search(k)
                    advance(1)
        except KeyboardInterrupt:
            self.status = SearchStatus.INTERRUPTED
        return self._result(largest)

    # --- with proof

    def _prove(self, k: int, node_limit: float) -> bool:
        """All k-cycles by branch and bound; False when that was too much."""
        if k * self.view.form.num_units > PROOF_UNITS and k > 1:
            return False
        problem = Complementarity.of_cycles(self.view.form, self.s, k)
        deadline = self.proof_deadline if k > 1 else self.first_deadline
        shape = (k, self.view.form.num_units)
        found = solve_all(problem, deadline=deadline, node_limit=node_limit, key=lambda d: _turn_key(d.reshape(shape)))
        self.nodes += found.nodes
        self.unclear, before = self.unclear + found.unclear, self.unclear
        for x in found.single:
            self._add(k, x)
        if any(self._least_period(k, _generic(c)) == k for c in found.continua):
            self.degenerate.append(k)
        if found.status is SearchStatus.INTERRUPTED:
            raise KeyboardInterrupt
        if k == 1:  # its time includes compiling, which is not to count for longer ones
            self.proof_deadline = work_seconds() + self.proof_seconds
        is_proven = found.status is SearchStatus.COMPLETE and self.unclear == before
        if is_proven:
            self.complete_up_to, self.reach = k, min(self.reach, found.reach)
        return is_proven

    # --- without proof

    def _search(self, k: int) -> None:
        """Virtual cycles of order k until `num_starts` starts in a row bring nothing new."""
        idle = 0
        self._search_neighbors(k)
        while idle < self.num_starts and work_seconds() < self.deadline:
            count = min(BLOCK, self.num_starts)
            fresh = self._try(k, self._draw(count), None)
            idle = 0 if fresh else idle + count
            if fresh:
                self._search_neighbors(k)
        if work_seconds() >= self.deadline:
            self.status = SearchStatus.TIME_LIMIT
        elif self.status is SearchStatus.COMPLETE:
            self.status = SearchStatus.HEURISTIC

    def _search_neighbors(self, k: int) -> None:
        """Search from sequences that differ in one sign from cycles found, of this order and of half of it run twice, until none is new."""
        shape, seen = (-1, k, self.view.form.num_units), self._expanded.setdefault(k, set())
        while work_seconds() < self.deadline:
            base = [f.bits for f in self.found.get(k, [])]
            base += [np.vstack([f.bits, f.bits]) for f in self.found.get(k // 2, [])] if k % 2 == 0 else []
            base = [bits for bits in base if bits.size and bits.tobytes() not in seen]
            if not base:
                return
            seen.update(bits.tobytes() for bits in base)
            near = np.concatenate([_one_flipped(bits, self.rng) for bits in base]).reshape(shape)
            self._try(k, np.zeros((len(near), self.view.form.num_states)), near)

    def _try(self, k: int, starts: Array, sequences: Array | None) -> bool:
        """Search from starts `(b, n)`, or from given sequences `(b, k, q)`; whether anything new was found."""
        b, q = len(starts), self.view.form.num_units
        rows = np.zeros((b, k, q), dtype=np.uint8) if sequences is None else sequences.astype(np.uint8)
        found = np.full(b, 0 if sequences is None else 2, dtype=np.int64)
        solved = np.zeros(b, dtype=np.int64)
        edges = [*range(0, b, self._at_once(k)), b]

        def work(job: tuple[int, int]) -> None:
            if work_seconds() < self.deadline:
                search_from(self.arrays, starts, *job, TRIES, rows, found, solved)
            else:
                found[job[0] : job[1]] = 0

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(work, pairwise(edges)))
        self.starts += int((solved > 0).sum())
        fresh = False
        for bits in rows[found == 1].astype(bool):
            key = _turn_key(bits)
            if key not in self._keys:
                self._keys.add(key)
                x = self._solution(k, bits)
                fresh = (x is not None and self._add(k, x)) or fresh
        return fresh

    def _at_once(self, k: int) -> int:
        """Starts that take a core about a tenth of a second at most."""
        n, q = self.view.form.num_states, self.view.form.num_units
        seconds = TRIES * 2e-9 * (k * (n + 1) * n * (q / 2 + 2) + n**3 + 100)
        return int(np.clip(0.1 / seconds, 1, 64))

    def _solution(self, k: int, bits: Array) -> Solution | None:
        """The cycle of a sequence of regions from its k n equations; None when it is no isolated cycle."""
        problem = Complementarity.of_cycles(self.view.form, self.s, k)
        if k * self.view.form.num_states <= 300:
            x = solve_region(problem, bits.ravel())
            return x if x is not None and x.certain and not x.directions.shape[1] else None
        z = _sparse_cycle(self.view, self.s, bits)
        if z is None:
            return None
        a = self.view.form.preactivation(z, self.s)
        near = np.abs(a) <= 1e-10 * (1.0 + np.abs(a).max())
        return (
            Solution(z.ravel(), bits.ravel(), near.ravel(), np.zeros((z.size, 0)))
            if ((a > 0) == bits)[~near].all()
            else None
        )

    def _draw(self, count: int) -> Array:
        """Starts: states of orbits, the same with noise, virtual fixed points of visited regions, and random states."""
        pool = self._visited()
        n = pool.shape[1]
        pick = pool[self.rng.integers(len(pool), size=count)]
        scale = np.abs(pool).max(axis=0) + 1e-3
        kind = self.rng.integers(4, size=count)[:, None]
        noise = self.rng.normal(size=(count, n)) * scale * 10.0 ** self.rng.uniform(-3, 0.5, (count, 1))
        wide = self.rng.uniform(-1.5, 1.5, (count, n)) * scale
        far = self.rng.standard_cauchy((count, n)) * scale
        return np.where(kind == 0, pick, np.where(kind == 1, pick + noise, np.where(kind == 2, wide, far)))

    def _visited(self) -> Array:
        """States on orbits from random states and from the given ones, bounded ones only, drawn once."""
        if self._pool is None:
            form = self.view.form
            n = form.num_states
            z0 = self.rng.normal(size=(48, n)) * 10.0 ** self.rng.uniform(-1, 2, (48, 1))
            centers = _virtual_points(self.view, self.s, z0)
            starts = np.concatenate([z0, centers, *([self.given] if self.given is not None else [])])
            states = np.empty((301, *starts.shape))
            states[0] = starts
            done = np.full(len(starts), 300)
            none = np.zeros((301, 1, 0))
            iterate(
                self.arrays, states, none, np.zeros((301, len(starts), form.num_units), np.uint8), 0, len(starts), done
            )
            kept = [starts] + [states[150::5, j] for j in np.flatnonzero(done == 300)]
            pool = np.concatenate(kept)
            self._pool = pool[np.isfinite(pool).all(axis=1)]
        return self._pool

    # --- results

    def _least_period(self, k: int, z: Array) -> int:
        """The smallest divisor j of k after which the points z `(k n,)` come again."""
        rows = z.reshape(k, -1)
        size = 1.0 + np.abs(rows).max(initial=0.0)
        again = (j for j in range(1, k) if k % j == 0 and np.abs(np.roll(rows, -j, axis=0) - rows).max() <= 1e-7 * size)
        return next(again, k)

    def _add(self, k: int, x: Solution) -> bool:
        """Book a solution of k steps, unless its period is shorter or it is known; whether it was new."""
        n, q = self.view.form.num_states, self.view.form.num_units
        z, bits = x.z.reshape(k, n), x.bits.reshape(k, q)
        if self._least_period(k, x.z) < k:
            return False
        if not self._rests(z[None])[0] <= TOLERANCE:
            self.unclear += 1
            return False
        size = 1.0 + np.abs(z).max()
        turn = _first_phase(z)
        z, bits = np.roll(z, -turn, axis=0), np.roll(bits, -turn, axis=0)
        known = self.found.setdefault(k, [])
        near, key = bool(x.near.any()), _turn_key(bits)
        if key in self._known or (near and any(f.near and _is_same_cycle(z, f.points, size) for f in known)):
            return False
        self._known.add(key)
        known.append(_Found(z, bits, near))
        return True

    def _rests(self, z: Array) -> Array:
        """Largest distances `(c,)`, relative to 1 + |z|, between images of points and the next ones, of cycles z `(c, k, n)` (or flat ones)."""
        rows = z.reshape(len(z), -1, self.view.form.num_states)
        with np.errstate(all="ignore"):
            moved = np.abs(self.view.form.apply(rows, self.s) - np.roll(rows, -1, axis=1)).max(axis=(1, 2))
            return moved / (1.0 + np.abs(rows).max(axis=(1, 2)))

    def _result(self, largest: int) -> Cycles:
        cycles = [
            self._cycle(k, f)
            for k in sorted(self.found)
            for f in sorted(self.found[k], key=lambda f: tuple(np.round(f.points[0], 9)))
        ]
        if self.status is SearchStatus.COMPLETE and self.complete_up_to < largest:
            self.status = SearchStatus.HEURISTIC
        proven = self.complete_up_to if self.view.dt is not None else self.complete_up_to * float(self.view.step or 1.0)
        return Cycles(
            tuple(cycles),
            proven,
            tuple(self.degenerate),
            self.status,
            self._message(largest),
            self.starts,
            self.nodes,
            self.reach if self.complete_up_to else math.inf,
        )

    def _cycle(self, k: int, f: _Found) -> Cycle:
        view = self.view
        M = view.form.regions(f.bits).M
        product = np.eye(M.shape[1])
        for one in M:
            product = one @ product
        w = ordered(tidy(np.linalg.eigvals(product)), Discrete())
        points = without_dust(f.points.reshape(1, -1), self._rests).reshape(f.points.shape)
        residual = self._rests(points[None])[0]
        step = float(view.dt if view.dt is not None else view.step or 1.0)
        period = k if view.dt is not None else k * step
        return Cycle(period, points, w, bool(Discrete().is_stable(w)), f.bits, float(residual), f.near, k * step)

    def _message(self, largest: int) -> str:
        proven = (
            f"complete up to period {self.complete_up_to}{'' if self.view.dt is not None else ' steps'}{scope(self.reach)}"
            if self.complete_up_to
            else "no period proven complete"
        )
        text = {
            SearchStatus.COMPLETE: proven,
            SearchStatus.HEURISTIC: f"{proven}, longer ones searched from {self.starts} starts",
            SearchStatus.TIME_LIMIT: f"{proven}; time ended at period {self.order} of {largest}",
            SearchStatus.INTERRUPTED: f"{proven}; interrupted at period {self.order} of {largest}",
        }[self.status]
        if self.unclear:
            text += f"; {self.unclear} sequence{'s' * (self.unclear != 1)} of regions unclear, whose cycles double precision cannot tell"
        return text + (
            f"; continua of cycles of period {', '.join(map(str, self.degenerate))}" if self.degenerate else ""
        )


def _driven_arrays(view: AffineView, s: Array) -> FormArrays:
    """The form with its constant input in the offsets, for the kernels."""
    from dataclasses import replace

    f, n, q = view.form, view.form.num_states, view.form.num_units
    return form_arrays(replace(f, h1=f.h1 + f.C1 @ s, h2=f.h2 + f.C2 @ s, C1=np.zeros((n, 0)), C2=np.zeros((q, 0))))


def _virtual_points(view: AffineView, s: Array, z: Array) -> Array:
    """Fixed points of the affine maps of the regions of z `(b, n)`, where they exist: a natural scale for starts."""
    problem, found = Complementarity.of_points(view.form, s, Discrete()), []
    for d in view.form.pattern(z, s):
        M, c = problem.region(d)
        if np.linalg.cond(M) < 1e10:
            found.append(np.linalg.solve(M, c))
    return np.array(found).reshape(-1, z.shape[1])


def _sparse_cycle(view: AffineView, s: Array, bits: Array) -> Array | None:
    """The k points `(k, n)` of the cycle of a sequence of regions, by a sparse factorization of its k n equations."""
    from scipy.sparse import bmat
    from scipy.sparse.linalg import splu

    (k, _), n = bits.shape, view.form.num_states
    M, c, E = view.form.regions(bits)
    blocks: list[list[Any]] = [[None] * k for _ in range(k)]
    for j in range(k):  # z_{j+1} - M_j z_j = c_j
        blocks[(j + 1) % k][(j + 1) % k] = np.eye(n)
        blocks[(j + 1) % k][j] = -M[j]
    right = np.roll(c + E @ s, 1, axis=0).ravel()
    try:
        factors = splu(bmat(blocks, format="csc"))
    except RuntimeError:  # exactly singular
        return None
    z = factors.solve(right).reshape(k, n)
    return z if np.isfinite(z).all() and math.isfinite(float(np.abs(z).max())) else None


def _one_flipped(bits: Array, rng: Any) -> Array:
    """Copies of bits `(k, q)`, flattened, each with another sign flipped; at most 256 of them."""
    flips = rng.permutation(bits.size)[:256]
    near = np.repeat(bits.reshape(1, -1), len(flips), axis=0)
    near[np.arange(len(flips)), flips] ^= True
    return near


def _generic(c: Solution) -> Array:
    """A point of a continuum that is no special one."""
    steps = np.cos(1.0 + np.arange(c.directions.shape[1]))
    return c.z + 1e-3 * (1.0 + np.abs(c.z).max(initial=0.0)) * (c.directions @ steps)


def _first_phase(z: Array) -> int:
    """Index of the point at which a cycle is taken to begin: smallest first coordinate, the next ones breaking ties within rounding."""
    size = 1e-9 * (1.0 + np.abs(z).max())
    rows = np.round(z / size)
    return int(np.lexsort(rows.T[::-1])[0])


def _turn_key(bits: Array) -> bytes:
    """The same for all phases of a cyclic sequence of patterns `(k, q)`."""
    rows = [row.tobytes() for row in np.packbits(bits, axis=1)] if bits.shape[1] else [b""] * len(bits)
    first = min(rows)
    turns = [rows[j:] + rows[:j] for j in range(len(rows)) if rows[j] == first]
    return len(rows).to_bytes(4, "little") + b"".join(min(turns))


def _is_same_cycle(a: Array, b: Array, size: float) -> bool:
    return any(np.abs(np.roll(a, -j, axis=0) - b).max() <= 1e-7 * size for j in range(len(a)))

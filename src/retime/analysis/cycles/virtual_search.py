"""The search for cycles of piecewise-affine maps without proof: virtual cycles from many starts, and from sequences beside known ones."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from retime.analysis.cycles.book import Book, turn_key
from retime.analysis.cycles.virtual_cycles import search_from
from retime.analysis.fixed_points.complementarity import Complementarity
from retime.analysis.fixed_points.leaves import Solution, solve_region
from retime.analysis.view import AffineView
from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.core.threads import cores
from retime.core.time import Discrete
from retime.core.tolerances import size_of
from retime.simulation.arrays import FormArrays, form_arrays
from retime.simulation.iterate import iterate

TRIES = 24  # linear systems solved from one start
BLOCK = 512  # starts between two looks at the clock


class VirtualSearch:
    """The search, order by order, from starts drawn around visited states; what it finds is booked."""

    def __init__(self, book: Book, rng: Any, patience: Patience, num_starts: int, given: Array | None) -> None:
        self.book, self.view, self.s = book, book.view, book.s
        self.rng, self.patience, self.num_starts, self.given = rng, patience, num_starts, given
        self.arrays = _driven_arrays(self.view, self.s)
        self.starts = 0
        self._expanded: dict[int, set[bytes]] = {}
        self._keys: set[bytes] = set()  # of sequences that were solved
        self._pool: Array | None = None

    def run(self, k: int) -> None:
        """Virtual cycles of order k until `num_starts` starts in a row bring nothing new."""
        idle = 0
        self._search_neighbors(k)
        while idle < self.num_starts and not self.patience.is_over():
            count = min(BLOCK, self.num_starts)
            fresh = self._try(k, self._draw(count), None)
            idle = 0 if fresh else idle + count
            if fresh:
                self._search_neighbors(k)

    def _search_neighbors(self, k: int) -> None:
        """Search from sequences that differ in one sign from cycles found, of this order and of half of it run twice, until none is new."""
        shape, seen = (-1, k, self.view.form.num_units), self._expanded.setdefault(k, set())
        while not self.patience.is_over():
            base = [f.bits for f in self.book.found.get(k, [])]
            base += [np.vstack([f.bits, f.bits]) for f in self.book.found.get(k // 2, [])] if k % 2 == 0 else []
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
            if self.patience.is_over():
                found[job[0] : job[1]] = 0
            else:
                search_from(self.arrays, starts, *job, TRIES, rows, found, solved)

        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(work, pairwise(edges)))
        self.starts += int((solved > 0).sum())
        fresh = False
        for bits in rows[found == 1].astype(bool):
            key = turn_key(bits)
            if key not in self._keys:
                self._keys.add(key)
                x = self._solution(k, bits)
                fresh = (x is not None and self.book.add(k, x)) or fresh
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
        near = np.abs(a) <= 1e-10 * size_of(a)
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

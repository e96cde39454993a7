"""All solutions of a piecewise-affine equation: a complementarity problem searched by branch and bound, in parallel.

Fixed points of maps, equilibria of flows and cycles of a given period are all of the form

    L z = W1 relu(a) + h1,    a = W2 z + h2.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from retime.analysis.branching import FREE, ON, Dictionary, search, stack
from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm
from retime.core.progress import progress
from retime.core.status import SearchStatus

EPS = float(np.finfo(float).eps)
REACH = 1e8  # preactivations up to this, relative to the offsets, are within the scope of a proof
SINGULAR = 8.0  # times the size and the rounding unit: relative singular value below which a region's equilibrated matrix is singular
DUST = 2.0**-44  # entries this small, relative to the largest of a balanced problem, do not set the scale
MAX_CONTINUA = 500
GRACE = 0.5  # seconds to look at what was found when the time is over
MAX_LEAVES = 200_000


@dataclass(frozen=True, eq=False)
class Complementarity:
    """L z = W1 relu(a) + h1, a = W2 z + h2, with z `(N,)` and a `(Q,)`.

    Attributes:
        L `(N, N)`, W1 `(N, Q)`, W2 `(Q, N)`, h1 `(N,)`, h2 `(Q,)`.
    """

    L: Array
    W1: Array
    W2: Array
    h1: Array
    h2: Array

    @classmethod
    def of_points(cls, form: PiecewiseAffineForm, s: Array, is_map: bool) -> Complementarity:
        """z = F(z, s) of a map, or 0 = F(z, s) of a flow, with a constant input s `(m,)`."""
        L = (np.eye(form.num_states) if is_map else 0.0) - form.A
        return cls(L, form.W1, form.W2, form.h1 + form.C1 @ s, form.h2 + form.C2 @ s)

    @classmethod
    def of_cycles(cls, form: PiecewiseAffineForm, s: Array, period: int) -> Complementarity:
        """z_1 = F(z_period), z_2 = F(z_1), ...: all cycles whose period divides `period`, stacked in one state."""
        one, turn = np.eye(period), np.roll(np.eye(period), 1, axis=0)
        L = np.eye(form.num_states * period) - np.kron(turn, form.A)
        h1, h2 = form.h1 + form.C1 @ s, form.h2 + form.C2 @ s
        return cls(L, np.kron(turn, form.W1), np.kron(one, form.W2), np.tile(h1, period), np.tile(h2, period))

    def region(self, d: Array) -> tuple[Array, Array]:
        """Matrix `(N, N)` and right-hand side `(N,)` of the linear equation of pattern d `(Q,)`."""
        W = self.W1 * d
        return self.L - W @ self.W2, W @ self.h2 + self.h1

    @cached_property
    def deciding(self) -> Array:
        """The units whose sign has any effect; the others are read off at the end."""
        return np.flatnonzero(np.abs(self.W1).max(axis=0, initial=0.0) > 0.0)

    def balanced(self) -> tuple[Complementarity, Array]:
        """The same problem in other units, and the factors `(N,)` that turn its z into ours: powers of two, so nothing is rounded.

        Rows, states, units (relu(c a) = c relu(a)) and offsets are scaled so that the logarithms of all entries are as small as possible in
        the sense of least squares: a network written in other units gives the same balanced problem.
        """
        problem, states = self._in_units(*[x != 0 for x in self._blocks()])
        sizes = [np.abs(x) for x in problem._blocks()]
        least = DUST * max(float(x.max(initial=0.0)) for x in sizes[:3])
        if any(((x > 0) & (x < least)).any() for x in sizes[:3]):  # rounding of zeros must not set the scale
            return self._in_units(*[x >= least for x in sizes[:3]], *[x > 0 for x in sizes[3:]])
        return problem, states

    def _blocks(self) -> tuple[Array, ...]:
        return self.L, self.W1, self.W2, self.h1[:, None], self.h2[:, None]

    def _in_units(self, *on: Array) -> tuple[Complementarity, Array]:
        """The problem scaled by the entries of each block that are `on`."""
        N, Q = self.W1.shape
        logs = [np.log2(np.where(m, np.abs(x), 1.0)) for m, x in zip(on, self._blocks(), strict=True)]
        L, W1, W2, h1, h2 = (m.astype(float) for m in on)
        H = np.zeros((2 * N + Q + 1, 2 * N + Q + 1))  # unknowns: rows, states, units, offsets
        r, z, a, t = slice(0, N), slice(N, 2 * N), slice(2 * N, 2 * N + Q), slice(2 * N + Q, None)
        H[r, z], H[r, a], H[r, t], H[z, a], H[a, t] = L, W1, h1, -W2.T, -h2
        H += H.T
        H[np.diag_indices_from(H)] = np.concatenate(
            [
                L.sum(1) + W1.sum(1) + h1[:, 0],
                L.sum(0) + W2.sum(0),
                W1.sum(0) + W2.sum(1) + h2[:, 0],
                [h1.sum() + h2.sum()],
            ]
        )
        g = np.concatenate(
            [
                logs[0].sum(1) + logs[1].sum(1) + logs[3][:, 0],
                logs[0].sum(0) + logs[2].sum(0),
                logs[1].sum(0) - logs[2].sum(1) - logs[4][:, 0],
                [logs[3].sum() + logs[4].sum()],
            ]
        )
        u = np.round(np.linalg.solve(H + 1e-9 * np.eye(len(H)), -g))
        rows, states, units, offset = 2.0 ** u[r], 2.0 ** u[z], 2.0 ** u[a], float(2.0 ** u[-1])
        problem = Complementarity(
            rows[:, None] * self.L * states, rows[:, None] * self.W1 * units, self.W2 * states / units[:, None],
            rows * self.h1 * offset, self.h2 * offset / units,
        )  # fmt: skip
        return problem, states / offset

    @property
    def is_homogeneous(self) -> bool:
        """Whether there are units but no offsets: z = 0 solves it in every region, other solutions are rays."""
        return len(self.h2) > 0 and not self.h1.any() and not self.h2.any()


@dataclass(frozen=True)
class Solution:
    """One region's solutions: the point z `(N,)`, its bits `(Q,)`, and which units `(Q,)` are within rounding of their boundary.

    directions `(N, k)`: the solutions of this region are z + directions x as far as the region reaches; k = 0 for a single point.
    """

    z: Array
    bits: Array
    near: Array
    directions: Array


@dataclass(frozen=True)
class Solutions:
    """What a search found: `single` points and `continua`, how it ended, nodes visited, fraction of patterns not excluded.

    unclear: regions that could neither be excluded nor solved in double precision (nearly singular ones).
    """

    single: list[Solution]
    continua: list[Solution]
    status: SearchStatus
    nodes: int
    remaining: float
    num_open: int
    unclear: int = 0


def solve_all(
    problem: Complementarity, *, deadline: float, node_limit: float, key: Callable[[Array], Any] | None = None
) -> Solutions:
    """Every solution, unless time (`time.monotonic`) or nodes end first; of patterns `(Q,)` with the same `key` only one.

    Cost: exponential in the number of units at worst; about 1e-8 q^2 seconds per node, some hundred nodes at 20 random units.
    """
    given = problem
    tree, leaves = None, _Leaves(problem, np.zeros(0), key)
    try:
        problem, factors = given.balanced()
        units = problem.deciding
        small = replace(problem, W1=problem.W1[:, units], W2=problem.W2[units], h2=problem.h2[units])
        first, leaves = first_dictionary(small), _Leaves(problem, factors, key)
        rest = [np.zeros(len(units), dtype=np.int8)] if small.is_homogeneous else []
        if first is None:
            leaves.check(rest, math.inf)
            return Solutions(*leaves.found(), SearchStatus.COMPLETE, 1, 0.0, 0, leaves.unclear)
        tree = Tree(first, len(units))
        status = tree.explore(deadline, node_limit)
        left = leaves.check(rest + tree.leaves, max(deadline, time.monotonic() + GRACE))
        if left and status is SearchStatus.COMPLETE:
            status = SearchStatus.TIME_LIMIT
        tree.open.extend(left)
    except KeyboardInterrupt:
        status = SearchStatus.INTERRUPTED
    if tree is None:
        return Solutions([], [], status, 0, 1.0, 1)
    single, continua = leaves.found()
    if status is SearchStatus.COMPLETE and (leaves.num_continua >= MAX_CONTINUA or len(tree.leaves) >= MAX_LEAVES):
        status = SearchStatus.NODE_LIMIT
    if status is SearchStatus.COMPLETE and leaves.unclear:
        status = SearchStatus.HEURISTIC
    return Solutions(single, continua, status, tree.nodes, tree.remaining, len(tree.open), leaves.unclear)


class Tree:
    """The search as a pool of subtrees, each a row of signs, worked on by all cores.

    Attributes:
        leaves: rows `(q,)` of signs that could not be excluded. open: subtrees not yet searched. nodes: visited up to now.
    """

    def __init__(self, first: Dictionary, num_units: int) -> None:
        self.first, self.num_units = first, num_units
        self.leaves: list[Array] = []
        self.open: list[Array] = [np.full(num_units, FREE, dtype=np.int8)]
        self.nodes = 0
        self._chunk = int(np.clip(4e6 / (num_units + 4) ** 2, 200, 20_000))
        self._stacks: list[Any] = []

    @property
    def remaining(self) -> float:
        """The fraction of all 2^q patterns that lie in open subtrees."""
        return float(sum(0.5 ** int((signs != FREE).sum()) for signs in self.open))

    def explore(self, deadline: float, node_limit: float) -> SearchStatus:
        """Search until nothing is open, or time or nodes end, or Ctrl-C."""
        if node_limit <= 0:
            return SearchStatus.NODE_LIMIT
        if time.monotonic() >= deadline:
            return SearchStatus.TIME_LIMIT
        try:
            found = self._search(self.open[-1], int(max(1, min(self._chunk, node_limit))))
            self.open.pop()
            self._take(found)
            return self._in_parallel(deadline, node_limit) if self.open else SearchStatus.COMPLETE
        except KeyboardInterrupt:
            return SearchStatus.INTERRUPTED

    def _in_parallel(self, deadline: float, node_limit: float) -> SearchStatus:
        status, running = SearchStatus.COMPLETE, {}
        with (
            progress("excluding regions", 1000) as advance,
            ThreadPoolExecutor(os.cpu_count() or 1) as pool,
            self._kept(running),
        ):
            shown = 0
            while self.open or running:
                if time.monotonic() >= deadline or self.nodes >= node_limit or len(self.leaves) >= MAX_LEAVES:
                    status = SearchStatus.TIME_LIMIT if time.monotonic() >= deadline else SearchStatus.NODE_LIMIT
                    break
                while self.open and len(running) < (os.cpu_count() or 1):
                    signs = self.open.pop()
                    budget = int(max(1, min(self._chunk, (node_limit - self.nodes) / (len(running) + 1))))
                    running[pool.submit(self._search, signs, budget)] = signs
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    running.pop(future)
                    self._take(future.result())
                now = int(1000 * (1 - self.remaining))
                advance(now - shown)
                shown = now
        return status if self.open else SearchStatus.COMPLETE

    def _kept(self, running: dict[Future[Any], Array]) -> Any:
        """However the search is left, what is under way is finished and taken, or given back."""
        from contextlib import contextmanager

        @contextmanager
        def keep() -> Iterator[None]:
            try:
                yield
            finally:
                for future, signs in running.items():
                    if future.cancel():
                        self.open.append(signs)
                    else:
                        self._take(future.result())

        return keep()

    def _search(self, signs: Array, nodes: int) -> tuple[Array, Array, int]:
        """One subtree, at most `nodes` nodes: leaves, open subtrees, nodes."""
        try:
            w = self._stacks.pop()
        except IndexError:
            w = stack(self.first, self.num_units)
        leaves = np.empty((4096, self.num_units), dtype=np.int8)
        left, counts = np.empty((self.num_units + 2, self.num_units), dtype=np.int8), np.zeros(4, dtype=np.int64)
        search(self.first, w, signs, nodes, leaves, left, counts)
        self._stacks.append(w)
        return leaves[: counts[0]].copy(), left[: counts[1]].copy(), int(counts[2])

    def _take(self, found: tuple[Array, Array, int]) -> None:
        leaves, left, nodes = found
        self.leaves.extend(leaves)
        self.open.extend(left)
        self.nodes += nodes


def first_dictionary(problem: Complementarity) -> Dictionary | None:
    """x_B = b + T x_N for x = (p, n), z eliminated; None when the equations contradict each other for every sign.

    No inverse of L is needed: columns of z are eliminated with complete pivoting, and a direction of z that no equation determines (L
    singular) drops out. Of a homogeneous problem the rays are described, by a row sum(p) + sum(n) = 1: zero, which lies in every region, would
    let nothing be excluded.
    """
    N, Q = problem.W1.shape
    scale = np.abs(problem.L).max(axis=1, initial=0.0) + np.abs(problem.W1).max(axis=1, initial=0.0)
    scale = 1.0 / np.where(scale > 0, scale, 1.0)
    top = np.hstack([problem.L, -problem.W1, np.zeros((N, Q)), problem.h1[:, None]]) * scale[:, None]
    first = np.vstack([top, np.hstack([-problem.W2, np.eye(Q), -np.eye(Q), problem.h2[:, None]])])
    last = N + 2 * Q  # the column of right-hand sides; beyond it the row operations are recorded
    first[:, :N] *= _to_one(np.abs(first[:, :N]).max(axis=0, initial=0.0))  # z is free: its units do not matter
    if problem.is_homogeneous:
        first = np.vstack([first, np.concatenate([np.zeros(N), np.ones(2 * Q), [1.0]])])
    M, size = np.hstack([first, np.eye(len(first))]), max(float(np.abs(first[:, :last]).max(initial=0.0)), 1e-300)
    rows, _ = _eliminate(M, np.arange(len(first)), np.arange(N), size)
    rows, by_n = _eliminate(M, rows, np.arange(N + Q, last), size)
    rows, by_p = _eliminate(M, rows, np.arange(N, N + Q), size)
    offsets = float(np.abs(first[:, last]).max(initial=0.0))
    if (np.abs(M[rows, last]) > 64 * EPS * offsets * np.abs(M[rows, last + 1 :]).sum(axis=1)).any():
        return None  # a row without variables that is not 0 = 0
    chosen = [*by_n, *by_p]
    at, basic = [row for row, _ in chosen], np.array([column - N for _, column in chosen], dtype=np.int64)
    nonbasic = np.setdiff1d(np.arange(2 * Q), basic)
    costs = np.random.default_rng(0).uniform(1.0, 2.0, len(nonbasic))
    b = M[at, last].copy()
    reach = REACH * max(float(np.abs(b).max(initial=0.0)), float(np.abs(first[:, last]).max(initial=0.0)), 1e-300)
    operations = np.abs(M[at, last + 1 :]) @ np.abs(first[:, :last]).max(axis=1, initial=0.0)
    return Dictionary(
        -M[np.ix_(at, nonbasic + N)], b, costs, basic, nonbasic, 4 * EPS * reach * operations, np.array([reach])
    )


def _eliminate(M: Array, rows: Array, columns: Array, size: float) -> tuple[Array, list[tuple[int, int]]]:
    """Gauss-Jordan elimination in place with complete pivoting: the rows left, and (row, column) of each pivot."""
    pivots: list[tuple[int, int]] = []
    columns = columns.copy()
    while len(rows) and len(columns):
        block = np.abs(M[np.ix_(rows, columns)])
        i, j = np.unravel_index(int(np.argmax(block)), block.shape)
        if block[i, j] <= 64 * EPS * size:
            break
        row, column = int(rows[i]), int(columns[j])
        M[row] /= M[row, column]
        factor = M[:, column].copy()
        factor[row] = 0.0
        M -= np.outer(factor, M[row])
        M[:, column] = 0.0
        M[row, column] = 1.0
        pivots.append((row, column))
        rows, columns = np.delete(rows, i), np.delete(columns, j)
    return rows, pivots


# --- leaves ------------------------------------------------------------------------------------------------------------


class _Leaves:
    """What the leaves of a search come to: each region's equation solved directly, its signs read again, points on boundaries kept once.

    factors `(N,)` turn states of the problem into those of the user; of patterns with the same `key` only one is looked at.
    """

    def __init__(self, problem: Complementarity, factors: Array, key: Callable[[Array], Any] | None) -> None:
        self.problem, self.factors, self.key = problem, factors, key
        self.single: list[Solution] = []
        self.continua: list[Solution] = []
        self.seen: set[Any] = set()
        self.unclear = 0

    @property
    def num_continua(self) -> int:
        """How many regions with a continuum were met."""
        return len(self.continua)

    def check(self, leaves: list[Array], late: float) -> list[Array]:
        """Look at rows of signs until it is too late; those that were not looked at are returned."""
        units = self.problem.deciding
        for k, signs in enumerate(leaves):
            if time.monotonic() > late:
                return leaves[k:]
            d = np.zeros(self.problem.W1.shape[1], dtype=bool)
            d[units] = signs == ON
            if self.key is not None:
                key = self.key(d)
                if key in self.seen:
                    continue
                self.seen.add(key)
            found = solve_region(self.problem, d)
            if found is not None:
                self._add(found)
        return []

    def _add(self, found: Solution) -> None:
        if not solves(self.problem, found):
            self.unclear += 1
        elif found.directions.shape[1]:
            if len(self.continua) < MAX_CONTINUA and not any(_is_same(found, other) for other in self.continua):
                self.continua.append(found)
        elif not (found.near.any() and any(_is_same(found, other) for other in self.single)):
            self.single.append(found)

    def found(self) -> tuple[list[Solution], list[Solution]]:
        """Isolated points, and continua without those that are faces of larger ones, in the user's units."""
        self.continua.sort(key=lambda c: -c.directions.shape[1])
        kept: list[Solution] = []
        for c in self.continua:
            if not (c.near.any() and any(_is_within(self.problem, c, other) for other in kept)):
                kept.append(c)
        single = [x for x in self.single if not (x.near.any() and any(_is_within(self.problem, x, c) for c in kept))]
        return [self._rescaled(x) for x in single], [self._rescaled(x) for x in kept]

    def _rescaled(self, x: Solution) -> Solution:
        V = x.directions
        if V.shape[1]:
            V = np.linalg.qr(self.factors[:, None] * V)[0]
            V = np.where(np.abs(V) < 4 * EPS, 0.0, V)
        return replace(x, z=self.factors * x.z, directions=V)


def solves(problem: Complementarity, x: Solution) -> bool:
    """Whether the point solves the equations as they are evaluated, to 1e-8 of the terms."""
    relu = np.maximum(problem.W2 @ x.z + problem.h2, 0.0)
    terms = np.abs(problem.W2) @ np.abs(x.z) + np.abs(problem.h2)
    size = np.abs(problem.L) @ np.abs(x.z) + np.abs(problem.W1) @ terms + np.abs(problem.h1)
    rest = np.abs(problem.L @ x.z - problem.W1 @ relu - problem.h1)
    return bool((rest <= 1e-8 * size + 1e-11 * size.max(initial=0.0)).all())


def _is_within(problem: Complementarity, part: Solution, whole: Solution) -> bool:
    """Whether a point on a boundary, or a continuum in one, is an end or a face of a continuum."""
    V, used = whole.directions, problem.deciding
    if part.directions.shape[1] >= V.shape[1]:
        return False
    step = part.z - whole.z
    off = step - V @ (V.T @ step)
    turned = part.directions - V @ (V.T @ part.directions)
    sides = (whole.bits == part.bits) | part.near
    aligned = np.linalg.norm(off) <= 1e-8 * (1.0 + np.linalg.norm(step)) and np.abs(turned).max(initial=0.0) <= 1e-8
    return bool(aligned and sides[used].all())


def _is_same(a: Solution, b: Solution) -> bool:
    if a.directions.shape != b.directions.shape:
        return False
    if a.directions.shape[1]:
        return np.array_equal(a.bits, b.bits)
    return bool(np.abs(a.z - b.z).max(initial=0.0) <= 1e-9 * (1.0 + np.abs(a.z).max(initial=0.0)))


def solve_region(problem: Complementarity, d: Array) -> Solution | None:
    """The solutions of the region of pattern d `(Q,)`, or None when it has none.

    A unit within rounding of its boundary (error of the solution included) counts as on either side; its bit is then read from the point.
    """
    M, c = problem.region(d)
    rows, columns = _scales(M)
    M, c = rows[:, None] * M * columns, rows * c
    U, sigma, Vt = np.linalg.svd(M)
    rank = int((sigma > SINGULAR * len(M) * EPS * max(sigma[0], 1e-300)).sum())
    if rank < len(sigma):
        return _continuum(problem, d, M, c, (U, sigma, Vt), rank, columns)
    y = np.linalg.solve(M, c)
    y = y + np.linalg.solve(M, c - M @ y)
    error = 8 * EPS * sigma[0] / sigma[-1] * float(np.linalg.norm(y))
    return _read(problem, d, columns * y, error * columns, np.zeros((len(y), 0)))


def _scales(M: Array) -> tuple[Array, Array]:
    """Powers of two that bring the largest entry of every row, then of every column, to about 1; 1 for empty ones."""
    rows = _to_one(np.abs(M).max(axis=1, initial=0.0))
    return rows, _to_one(np.abs(rows[:, None] * M).max(axis=0, initial=0.0))


def _to_one(sizes: Array) -> Array:
    return 2.0 ** -np.round(np.log2(np.where(sizes > 0, sizes, 1.0)))


def _read(problem: Complementarity, d: Array, z: Array, error: Array, directions: Array) -> Solution | None:
    """The solution at z `(N,)`, known within `error` `(N,)`, when its signs are d; None when they are not."""
    a = problem.W2 @ z + problem.h2
    size = np.abs(problem.W2) @ np.abs(z) + np.abs(problem.h2)
    noise = 16 * EPS * size + np.abs(problem.W2) @ error
    near = np.abs(a) <= noise
    used = np.zeros(len(d), dtype=bool)
    used[problem.deciding] = True
    if (used & ~near & ((a > 0) != d)).any():
        return None
    return Solution(z, (a > 0) & ~near, near & used, directions)


def _continuum(
    problem: Complementarity, d: Array, M: Array, c: Array, svd: tuple, rank: int, columns: Array
) -> Solution | None:
    """M y = c with a singular M, z = columns y: none, or an affine subspace cut by the region; the point is as far inside as possible."""
    U, sigma, Vt = svd
    y = Vt[:rank].T @ ((U[:, :rank].T @ c) / sigma[:rank])
    allowed = 16 * len(M) * EPS * (np.linalg.norm(c) + sigma[0] * np.linalg.norm(y)) + 1e-300
    if np.linalg.norm(M @ y - c) > allowed:
        return None
    z = columns * y
    V = np.linalg.qr(columns[:, None] * Vt[rank:].T)[0]
    V = np.where(np.abs(V) < 4 * EPS, 0.0, V)
    inside = _inside(problem, d, z, V)
    if inside is None:
        return None
    z, V = inside
    relative = max(1e-13, 8 * EPS * sigma[0] / sigma[rank - 1]) if rank and V.shape[1] else 1e-9
    error = np.full(len(z), relative * (1.0 + float(np.abs(z).max(initial=0.0))))
    return _read(problem, d, z, error, V)


def _inside(problem: Complementarity, d: Array, z: Array, V: Array) -> tuple[Array, Array] | None:
    """The part of z + V x on whose closed sides all units lie: a point as far inside as possible, and the directions that are left.

    Units that cannot leave their boundary there are found one after the other, and the directions along which they stay are kept.
    """
    units = problem.deciding
    side = np.where(d[units], 1.0, -1.0)
    W2, h2 = side[:, None] * problem.W2[units], side * problem.h2[units]
    tolerance = 1e-9 * (1.0 + float(np.abs(z).max(initial=0.0)))
    pinned = np.zeros(len(units), dtype=bool)
    while True:
        G, a = W2 @ V, W2 @ z + h2
        still = (np.abs(G).max(axis=1, initial=0.0) <= 1e-10 * (1e-300 + np.abs(W2).max(axis=1))) & (
            np.abs(a) <= tolerance
        )
        pinned |= still
        x, depth = _deepest(G[~pinned], a[~pinned])
        if depth < -tolerance:
            return None
        z = z + V @ x
        if depth > tolerance or not V.shape[1]:
            return z, V
        tight = np.flatnonzero(~pinned)[np.argmin((G @ x + a)[~pinned])]
        for i in np.flatnonzero(~pinned & (G @ x + a <= 10 * tolerance)):
            if _largest(G, a, int(i), pinned) <= tolerance:
                tight = i
                break
        else:
            return z, V  # every unit can leave its boundary, by little: the region is thin, not flat
        pinned[tight] = True
        row = G[tight] / np.linalg.norm(G[tight])
        V = V @ np.linalg.svd(row[None])[2][1:].T


def _deepest(G: Array, a: Array) -> tuple[Array, float]:
    """x that makes the smallest entry of G x + a largest (at most 1), by linear programming, and that entry."""
    k = G.shape[1]
    if not len(G) or not k:
        return np.zeros(k), float(np.min(a, initial=1.0))
    found = _maximum(np.append(np.zeros(k), 1.0), np.hstack([-G, np.ones((len(G), 1))]), a, 1.0)
    return (np.zeros(k), -np.inf) if found is None else (found[:k], float(found[-1]))


def _largest(G: Array, a: Array, unit: int, pinned: Array) -> float:
    """The largest value (at most 1) of entry `unit` of G x + a while the others are not negative and pinned ones are 0."""
    k = G.shape[1]
    rows, bound = [-G[~pinned], G[pinned], -G[pinned]], [a[~pinned], -a[pinned], a[pinned]]
    left = np.hstack([np.vstack([*rows, -G[unit : unit + 1]]), np.zeros((sum(map(len, bound)) + 1, 1))])
    left[-1, -1] = 1.0
    found = _maximum(np.append(np.zeros(k), 1.0), left, np.concatenate([*bound, a[unit : unit + 1]]) + 1e-12, 1.0)
    return 0.0 if found is None else float(found[-1])


def _maximum(costs: Array, left: Array, right: Array, last: float) -> Array | None:
    """The x with left x <= right and x[-1] <= last that makes costs x largest; None when there is none."""
    from scipy.optimize import linprog

    bounds = [(None, None)] * (len(costs) - 1) + [(None, last)]
    return linprog(-costs, A_ub=left, b_ub=right, bounds=bounds).x

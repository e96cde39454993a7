"""All solutions of a piecewise-affine equation: a complementarity problem searched by branch and bound, in parallel.

Fixed points of maps, equilibria of flows and cycles of a given period are all of the form

    L z = W1 relu(a) + h1,    a = W2 z + h2.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from retime.analysis.fixed_points.branching import FREE, Dictionary, search, stack
from retime.analysis.fixed_points.leaves import EPS, MAX_CONTINUA, REACH, Leaves, Solutions, scales, to_one
from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm
from retime.core.clock import work_seconds
from retime.core.progress import progress
from retime.core.status import SearchStatus

DUST = 2.0**-44  # entries this small, relative to the largest of a balanced problem, do not set the scale
GRACE = 0.5  # seconds to look at what was found when the time is over
MAX_LEAVES = 200_000


@dataclass(frozen=True, eq=False)
class Complementarity:
    """L z = W1 relu(a) + h1, a = W2 z + h2, with z `(N,)` and a `(Q,)`.

    Attributes:
        L `(N, N)`, W1 `(N, Q)`, W2 `(Q, N)`, h1 `(N,)`, h2 `(Q,)`.
        low `(N, N)`: what rounding left out of L = I - A. rate: of a flow, in whose units residuals are judged; 1 for a map.
    """

    L: Array
    W1: Array
    W2: Array
    h1: Array
    h2: Array
    low: Any = None
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.low is None:
            object.__setattr__(self, "low", np.zeros_like(self.L))

    @classmethod
    def of_points(cls, form: PiecewiseAffineForm, s: Array, is_map: bool) -> Complementarity:
        """z = F(z, s) of a map, or 0 = F(z, s) of a flow, with a constant input s `(m,)`."""
        one = np.eye(form.num_states) if is_map else np.zeros_like(form.A)
        h1, h2 = form.h1 + form.C1 @ s, form.h2 + form.C2 @ s
        L, low = _parted(one, form.A)
        return cls(L, form.W1, form.W2, h1, h2, low, 1.0 if is_map else rate_of(form))

    @classmethod
    def of_cycles(cls, form: PiecewiseAffineForm, s: Array, period: int) -> Complementarity:
        """z_1 = F(z_period), z_2 = F(z_1), ...: all cycles whose period divides `period`, stacked in one state."""
        one, turn = np.eye(period), np.roll(np.eye(period), 1, axis=0)
        A, h1, h2 = np.kron(turn, form.A), form.h1 + form.C1 @ s, form.h2 + form.C2 @ s
        W1, W2 = np.kron(turn, form.W1), np.kron(one, form.W2)
        L, low = _parted(np.eye(len(A)), A)
        return cls(L, W1, W2, np.tile(h1, period), np.tile(h2, period), low)

    def region(self, d: Array) -> tuple[Array, Array]:
        """Matrix `(N, N)` and right-hand side `(N,)` of the linear equation of pattern d `(Q,)`."""
        W = self.W1 * d
        return self.L - W @ self.W2, W @ self.h2 + self.h1

    def rounding(self, d: Array) -> tuple[Array, Array]:
        """Bounds `(N, N)` and `(N,)` of the errors that rounding makes in `region`."""
        W, unit = np.abs(self.W1) * d, (len(d) + 2) * EPS
        return unit * (np.abs(self.L) + W @ np.abs(self.W2)), unit * (W @ np.abs(self.h2) + np.abs(self.h1))

    @cached_property
    def deciding(self) -> Array:
        """The units whose sign has any effect; the others are read off at the end."""
        return np.flatnonzero(np.abs(self.W1).max(axis=0, initial=0.0) > 0.0)

    def balanced(self) -> tuple[Complementarity, Array, Array]:
        """The same problem in other units, and the factors `(N,)`, `(Q,)` that turn its z and a into ours: powers of two, so nothing is rounded.

        Rows, states, units (relu(c a) = c relu(a)) and offsets are scaled so that the logarithms of all entries are as small as possible in
        the sense of least squares: a network written in other units gives the same balanced problem.
        """
        found = self._in_units(*[x != 0 for x in self._blocks()])
        problem = found[0]
        sizes = [np.abs(x) for x in problem._blocks()]
        least = DUST * max(float(x.max(initial=0.0)) for x in sizes[:3])
        if any(((x > 0) & (x < least)).any() for x in sizes[:3]):  # rounding of zeros must not set the scale
            return self._in_units(*[x >= least for x in sizes[:3]], *[x > 0 for x in sizes[3:]])
        return found

    def _blocks(self) -> tuple[Array, ...]:
        return self.L, self.W1, self.W2, self.h1[:, None], self.h2[:, None]

    def _in_units(self, *on: Array) -> tuple[Complementarity, Array, Array]:
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
            rows * self.h1 * offset, self.h2 * offset / units, rows[:, None] * self.low * states,
        )  # fmt: skip
        return problem, states / offset, units / offset

    @cached_property
    def extent(self) -> Array:
        """The size of the states `(N,)` that the offsets cause where all units are off, and where all are on."""
        largest = np.zeros(len(self.h1))
        for d in (np.zeros(len(self.h2)), np.ones(len(self.h2))):
            M, c = self.region(d)
            rows, columns = scales(M)
            z = columns * np.linalg.lstsq(rows[:, None] * M * columns, rows * c, rcond=1e-10)[0]
            largest = np.maximum(largest, np.where(np.isfinite(z), np.abs(z), 0.0))
        return largest

    @property
    def is_homogeneous(self) -> bool:
        """Whether there are units but no offsets: z = 0 solves it in every region, other solutions are rays."""
        return len(self.h2) > 0 and not self.h1.any() and not self.h2.any()


def _parted(one: Array, A: Array) -> tuple[Array, Array]:
    """L = one - A rounded, and what the rounding left out (exactly: Knuth's sum of two numbers)."""
    L = one - A
    part = L - one
    return L, (one - (L - part)) + (-A - part)


def rate_of(form: PiecewiseAffineForm) -> float:
    """The size of a flow's rates, 1 / model time: of its leak; where that is smaller than 1, of its weights up to 1."""
    leak = float(np.abs(form.A).max(initial=0.0))
    weights = float((np.abs(form.W1) @ np.abs(form.W2)).max(initial=0.0))
    return max(leak, min(1.0, weights)) or 1.0


def solve_all(
    problem: Complementarity, *, deadline: float, node_limit: float, key: Callable[[Array], Any] | None = None
) -> Solutions:
    """Every solution, unless time (`work_seconds`) or nodes end first; of patterns `(Q,)` with the same `key` only one.

    Cost: exponential in the number of units at worst; about 1e-8 q^2 seconds per node, some hundred nodes at 20 random units.
    """
    given = problem
    reach = math.inf
    tree, leaves = None, Leaves(given, problem, np.ones(len(problem.h1)), key)
    try:
        problem, factors, sizes = given.balanced()
        units = problem.deciding
        small = replace(problem, W1=problem.W1[:, units], W2=problem.W2[units], h2=problem.h2[units])
        first, leaves = first_dictionary(small), Leaves(given, problem, factors, key)
        rest = [np.zeros(len(units), dtype=np.int8)] if small.is_homogeneous else []
        if first is None:
            leaves.check(rest, math.inf)
            status = SearchStatus.HEURISTIC if leaves.unclear else SearchStatus.COMPLETE
            return Solutions(*leaves.found(), status, 1, 0.0, 0, leaves.unclear)
        if len(units) and not small.is_homogeneous:
            reach = float(first.reach[0] * sizes[units].min())
        tree = Tree(first, len(units))
        status = tree.explore(deadline, node_limit)
        left = leaves.check(rest + tree.leaves, max(deadline, work_seconds() + GRACE))
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
    return Solutions(single, continua, status, tree.nodes, tree.remaining, len(tree.open), leaves.unclear, reach)


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
        if work_seconds() >= deadline:
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
                if work_seconds() >= deadline or self.nodes >= node_limit or len(self.leaves) >= MAX_LEAVES:
                    status = SearchStatus.TIME_LIMIT if work_seconds() >= deadline else SearchStatus.NODE_LIMIT
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
    first[:, :N] *= to_one(np.abs(first[:, :N]).max(axis=0, initial=0.0))  # z is free: its units do not matter
    if problem.is_homogeneous:
        first = np.vstack([first, np.concatenate([np.zeros(N), np.ones(2 * Q), [1.0]])])
    M, size = np.hstack([first, np.eye(len(first))]), max(float(np.abs(first[:, :last]).max(initial=0.0)), 1e-300)
    rows, by_z = _eliminate(M, np.arange(len(first)), np.arange(N), size)
    rows, by_n = _eliminate(M, rows, np.arange(N + Q, last), size)
    rows, by_p = _eliminate(M, rows, np.arange(N, N + Q), size)
    chosen = [*by_n, *by_p]
    at, basic = [row for row, _ in chosen], np.array([column - N for _, column in chosen], dtype=np.int64)
    b = M[at, last].copy()
    caused = np.abs(problem.W2) @ problem.extent
    offsets = [float(np.abs(x).max(initial=0.0)) for x in (b, first[:, last], problem.h1, problem.h2, caused)]
    reach = REACH * max(*offsets, 1e-300)
    lost = np.abs(M)  # coefficients that stay out of the dictionary, being zero within rounding
    columns = [*[column for _, column in by_z], *range(N, last)]
    lost[np.ix_(at, columns)] = 0.0
    operations = np.abs(M[:, last + 1 :]) @ np.abs(first[:, :last]).max(axis=1, initial=0.0)
    error = reach * ((4 + len(first)) * EPS * operations + lost[:, :last].sum(axis=1))
    if (np.abs(M[rows, last]) > error[rows]).any():
        return None  # a row without variables that is not 0 = 0
    nonbasic = np.setdiff1d(np.arange(2 * Q), basic)
    costs = np.random.default_rng(0).uniform(1.0, 2.0, len(nonbasic))
    return Dictionary(-M[np.ix_(at, nonbasic + N)], b, costs, basic, nonbasic, error[at], np.array([reach]))


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

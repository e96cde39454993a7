"""Every solution of a complementarity problem: a tree of signs, cut where a row proves that none lies below."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import numpy as np

from retime.analysis.fixed_points.branching import FREE, Dictionary, search, stack
from retime.analysis.fixed_points.complementarity import Complementarity, to_one
from retime.analysis.fixed_points.leaves import MAX_CONTINUA, REACH, Leaves, Solutions
from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.status import SearchStatus
from retime.core.threads import cores
from retime.core.tolerances import EPS

GRACE = 0.5  # seconds to look at what was found when the time is over
MAX_LEAVES = 200_000


def solve_all(
    problem: Complementarity,
    *,
    deadline: float,
    node_limit: float = math.inf,
    key: Callable[[Array], Any] | None = None,
) -> Solutions:
    """Every solution, unless time (`work_seconds`) or nodes end first; of patterns `(Q,)` with the same `key` only one.

    Cost: exponential in the number of units at worst; about 1e-8 q^2 seconds per node, some hundred nodes at 20 random units.
    """
    given, reach, patience = problem, math.inf, Patience(deadline)
    tree, leaves, status = None, Leaves(given, problem, np.ones(len(problem.h1)), key), SearchStatus.INTERRUPTED
    with patience:
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
    status = patience.ended or status
    if tree is None:
        return Solutions([], [], status, 0, 1.0, 1)
    single, continua = leaves.found()
    if status is SearchStatus.COMPLETE and (len(leaves.continua) >= MAX_CONTINUA or len(tree.leaves) >= MAX_LEAVES):
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
        """Search until nothing is open, or time or nodes end, or Ctrl-C; what is under way then is finished and taken, or given back."""
        if node_limit <= 0:
            return SearchStatus.NODE_LIMIT
        own, running = Patience(deadline), dict[Future[Any], Array]()
        with own:
            own.check()
            found = self._search(self.open[-1], int(max(1, min(self._chunk, node_limit))))
            self.open.pop()
            self._take(found)
            if self.open:
                with ThreadPoolExecutor(cores()) as pool:
                    try:
                        self._in_parallel(pool, running, own, node_limit)
                    finally:
                        for future, signs in running.items():
                            self.open.append(signs) if future.cancel() else self._take(future.result())
        if own.ended is SearchStatus.INTERRUPTED or self.open:
            return own.ended or SearchStatus.NODE_LIMIT
        return SearchStatus.COMPLETE

    def _in_parallel(
        self, pool: ThreadPoolExecutor, running: dict[Future[Any], Array], patience: Patience, node_limit: float
    ) -> None:
        with progress("excluding regions", 1000) as advance:
            shown = 0
            while (self.open or running) and self.nodes < node_limit and len(self.leaves) < MAX_LEAVES:
                patience.check()
                while self.open and len(running) < cores():
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

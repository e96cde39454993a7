"""What the leaves of a search come to: one region's equation solved, its signs read again, its solution verified.

A solution counts when its signs are certain and |F(z) - z| <= 1e-8 (1 + |z|), as evaluated, in the user's units. Where double precision
cannot tell (weights whose products are large make the preactivations of a region cancel), the equation is solved in whole numbers
(`whole_numbers`): the region is then excluded for certain, or holds a solution for certain, which still has to pass the test above
once it is rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retime.analysis.fixed_points.branching import ON
from retime.analysis.fixed_points.complementarity import Complementarity, scales
from retime.analysis.fixed_points.whole_numbers import residual, rounded, solve_exactly, whole
from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.status import SearchStatus
from retime.core.tolerances import EPS, SAME_SOLVED, same_point, size_of

REACH = 1e8  # preactivations up to this, relative to the offsets, are within the scope of a proof
TOLERANCE = 1e-8  # |F(z) - z|, relative to 1 + |z|, up to which z is a point
SINGULAR = 8.0  # times the size and the rounding unit: relative singular value below which a region's equilibrated matrix is singular
CERTAIN = (
    1e-10  # error of a preactivation or state, relative to its terms, above which a region is solved in whole numbers
)
EXACT_SIZE = 32  # equations up to which that is done
MAX_CONTINUA = 500


@dataclass(frozen=True)
class Solution:
    """One region's solutions: the point z `(N,)`, its bits `(Q,)`, and which units `(Q,)` are within rounding of their boundary.

    directions `(N, k)`: the solutions of this region are z + directions x as far as the region reaches; k = 0 for a single point.
    certain: whether double precision told its signs and position; if not, it may be none. absent: whether it rather says that there is none,
        the region's matrix being singular within rounding.
    """

    z: Array
    bits: Array
    near: Array
    directions: Array
    certain: bool = True
    absent: bool = False


@dataclass(frozen=True)
class Solutions:
    """What a search found: `single` points and `continua`, how it ended, nodes visited, fraction of patterns not excluded.

    unclear: regions that could neither be excluded nor hold a point that solves the equation in double precision.
    reach: size of preactivations up to which nothing else solves the equation, once all is excluded.
    """

    single: list[Solution]
    continua: list[Solution]
    status: SearchStatus
    nodes: int
    remaining: float
    num_open: int
    unclear: int = 0
    reach: float = float("inf")


class Leaves:
    """What the leaves of a search come to: each region's equation solved directly, its signs read again, points on boundaries kept once.

    given: the problem in the user's units, in which solutions are verified; factors `(N,)` turn states of `problem` into those; of patterns
    with the same `key` only one is looked at.
    """

    def __init__(
        self, given: Complementarity, problem: Complementarity, factors: Array, key: Callable[[Array], Any] | None
    ) -> None:
        self.given, self.problem, self.factors, self.key = given, problem, factors, key
        self.single: list[Solution] = []
        self.continua: list[Solution] = []
        self.seen: set[Any] = set()
        self.unclear = 0

    def check(self, leaves: list[Array], late: float) -> list[Array]:
        """Look at rows of signs until it is too late; those that were not looked at are returned."""
        units, key_of = self.problem.deciding, self.key
        for k, signs in enumerate(leaves):
            if work_seconds() > late:
                return leaves[k:]
            d = np.zeros(self.problem.W1.shape[1], dtype=bool)
            d[units] = signs == ON
            if key_of is not None:
                key = key_of(d)
                if key in self.seen:
                    continue
                self.seen.add(key)
            self._settle(d)
        return []

    def _settle(self, d: Array) -> None:
        """Solve the region of the pattern d `(Q,)`: in doubles, and in whole numbers where those do not tell."""
        found = solve_region(self.problem, d)
        if found is not None and not self._is_verified(found) and len(found.z) <= EXACT_SIZE:
            exact = solve_in_whole_numbers(self.problem, d)
            if found.absent and exact is not None and not exact.certain:
                exact = None  # singular for certain, and then double precision is right
            found = exact if exact is None or not found.directions.shape[1] or exact.certain else found
        if found is not None:
            self._add(found)

    def _is_verified(self, found: Solution) -> bool:
        return found.certain and solves(self.given, self._rescaled(found))

    def _add(self, found: Solution) -> None:
        if not self._is_verified(found):
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
    """Whether |F(z) - z| <= 1e-8 (1 + |z|) at the point as evaluated, and along its directions; of a flow |F(z)|, in units of its rate."""
    with np.errstate(all="ignore"):
        a = problem.W2 @ x.z + problem.h2
        rest = np.abs(problem.L @ x.z - problem.W1 @ np.maximum(a, 0.0) - problem.h1).max(initial=0.0)
        allowed = TOLERANCE * problem.rate
        along = np.abs(problem.region(x.bits)[0] @ x.directions).max(initial=0.0)
        most = allowed * size_of(x.z)
        if not (rest <= most and along <= allowed):
            return False
        terms = np.abs(problem.W2) @ np.abs(x.z) + np.abs(problem.h2)
        terms = np.abs(problem.L) @ np.abs(x.z) + np.abs(problem.W1) @ terms + np.abs(problem.h1)
    if (len(x.z) + len(a)) * EPS * terms.max(initial=0.0) <= 0.1 * most or len(x.z) > EXACT_SIZE:
        return True
    blocks = (
        problem.L,
        problem.low,
        problem.W1,
        problem.W2,
    )  # the evaluation itself is rounded by about what is allowed
    return residual(blocks, (problem.h1, problem.h2), x.z) <= most


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
    return same_point(a.z, b.z, SAME_SOLVED)


def solve_region(problem: Complementarity, d: Array) -> Solution | None:
    """The solutions of the region of pattern d `(Q,)`, or None when it has none; not `certain` where double precision does not tell.

    A unit within rounding of its boundary counts as on either side; its bit is then read from the point.
    """
    M, c = problem.region(d)
    E, e = problem.rounding(d)
    rows, columns = scales(M)
    M, c, E, e = rows[:, None] * M * columns, rows * c, rows[:, None] * E * columns, rows * e
    U, sigma, Vt = np.linalg.svd(M)
    rank = int((sigma > SINGULAR * len(M) * EPS * max(sigma[0], 1e-300)).sum())
    if rank < len(sigma):
        found = _continuum(problem, d, M, c, (U, sigma, Vt), rank, columns)
        if found is not None or _is_inconsistent(U[:, rank:], M, c, E, problem.extent / columns):
            return found
        if len(M) > EXACT_SIZE and np.abs(rows[:, None] * problem.L * columns).max() > 1e-6:
            return None  # L is not lost beside the weights, so that the singular values are those of the region
        z = columns * (Vt[:rank].T @ ((U[:, :rank].T @ c) / sigma[:rank]))
        return replace(_uncertain(problem, d, z), absent=True)
    y = np.linalg.solve(M, c)
    y = y + np.linalg.solve(M, c - M @ y)
    inverse = np.abs(Vt.T / sigma @ U.T)
    share = float((inverse @ E).sum(axis=1).max(initial=0.0))  # of the error that the error itself makes
    if not share < 0.5:
        return _uncertain(problem, d, columns * y)
    error = inverse @ (E @ np.abs(y) + e + 8 * EPS * (np.abs(M) @ np.abs(y) + np.abs(c))) / (1.0 - share)
    is_sharp = error.max(initial=0.0) <= CERTAIN * size_of(y) or len(y) > EXACT_SIZE
    allowed = CERTAIN * np.abs(y).max(initial=0.0) * columns
    found = _read(problem, d, columns * y, error * columns, np.zeros((len(y), 0)), allowed=allowed)
    return found if found is None or is_sharp else replace(found, certain=False)


def _is_inconsistent(U: Array, M: Array, c: Array, E: Array, extent: Array) -> bool:
    """Whether rows u with u M = 0 within rounding exclude every solution in the scope of the proof: |u c| > |u M| |y|."""
    reach = REACH * (size_of(c) + extent.max(initial=0.0))
    slope = (np.abs(U.T @ M) + np.abs(U.T) @ E).sum(axis=1)
    return bool((np.abs(U.T @ c) > slope * reach).any())


def _uncertain(problem: Complementarity, d: Array, z: Array) -> Solution:
    none = np.zeros(len(d), dtype=bool)
    return Solution(z, d, none, np.zeros((len(z), 0)), certain=False)


def solve_in_whole_numbers(problem: Complementarity, d: Array) -> Solution | None:
    """The solution of the region of pattern d `(Q,)` for the problem's numbers as they are, z rounded; None when it has none.

    Not `certain` where the region's matrix is singular, or z is too large.
    """
    blocks = (problem.L, problem.low, problem.W1 * d, problem.W2, problem.h1, problem.h2)
    (L, low, W1, W2, h1, h2), k = whole(*blocks)
    found = solve_exactly(((L + low) << k) - W1 @ W2, W1 @ h2 + (h1 << k))
    z = None if found is None else rounded(*found)
    if found is None or z is None:
        return _uncertain(problem, d, np.zeros(len(problem.h1)))
    signs = np.array([(a > 0) - (a < 0) for a in W2 @ found[0] + h2 * found[1]], dtype=np.int64)
    used = np.zeros(len(d), dtype=bool)
    used[problem.deciding] = True
    if (used & (signs != 0) & ((signs > 0) != d)).any():
        return None
    return Solution(z, signs > 0, used & (signs == 0), np.zeros((len(z), 0)))


def _read(
    problem: Complementarity, d: Array, z: Array, error: Array, directions: Array, *, allowed: Array
) -> Solution | None:
    """The solution at z `(N,)`, known within `error` `(N,)`, when its signs are d; None when they are not.

    It is certain when units count as on their boundary for an uncertainty of z of at most `allowed` `(N,)`.
    """
    a = problem.W2 @ z + problem.h2
    size = np.abs(problem.W2) @ np.abs(z) + np.abs(problem.h2)
    noise = 16 * EPS * size + np.abs(problem.W2) @ error
    near = np.abs(a) <= noise
    used = np.zeros(len(d), dtype=bool)
    used[problem.deciding] = True
    if (used & ~near & ((a > 0) != d)).any():
        return None
    certain = not (used & near & (noise > CERTAIN * size + np.abs(problem.W2) @ allowed)).any()
    return Solution(z, (a > 0) & ~near, near & used, directions, certain)


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
    error = np.full(len(z), relative * size_of(z))
    return _read(problem, d, z, error, V, allowed=error)  # and verified along V


def _inside(problem: Complementarity, d: Array, z: Array, V: Array) -> tuple[Array, Array] | None:
    """The part of z + V x on whose closed sides all units lie: a point as far inside as possible, and the directions that are left.

    Units that cannot leave their boundary there are found one after the other, and the directions along which they stay are kept.
    """
    units = problem.deciding
    side = np.where(d[units], 1.0, -1.0)
    W2, h2 = side[:, None] * problem.W2[units], side * problem.h2[units]
    tolerance = 1e-9 * size_of(z)
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
        if depth > tolerance or not V.shape[1] or pinned.all():
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

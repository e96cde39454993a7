"""Compiled branch and bound over the signs of ReLU units, with infeasibility proven by dual simplex steps.

A *dictionary* writes the basic variables of E x = f, x >= 0 by the nonbasic ones: x_B = b + T x_N. The variables are the
positive and negative parts of the preactivations, x = (p, n), a = p - n; unit i has p_i at index i, n_i at index q + i. Fixing
the sign of a unit fixes one of the two to zero. A node is feasible when the linear program without the products p_i n_i = 0 is.

Every node starts from its parent's dictionary (a warm start: the dual simplex method needs a few pivots), and what is cut off is
cut off by a row of multipliers y with y^T E x = y^T f impossible for the signs, recomputed from the first dictionary and
accepted with a margin only. What is not accepted is branched on, so rounding can cost time, but no solution.

Source: cottle2009 (linear complementarity), maros2003 (dual simplex); docs/theory/analysis.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine

FREE, OFF, ON = -1, 0, 1
FEASIBLE, INFEASIBLE, STALLED = 0, 1, 2

ZERO = 1e-11  # relative size of a coefficient that is not used as a pivot
MARGIN = 1e-9  # relative size by which a row must be impossible to cut a node off
REFRESH = 120  # pivots after which a dictionary is computed anew
STACK_BYTES = 2**27


class Dictionary(NamedTuple):
    """x_B = b + T x_N with reduced costs d >= 0: T `(R, C)`, b `(R,)`, d `(C,)`, basic `(R,)`, nonbasic `(C,)` variable indices.

    error `(R,)`: by how much the left and right side of a row can differ through rounding when no variable exceeds reach `(1,)`.
    """

    T: Array
    b: Array
    d: Array
    basic: Array
    nonbasic: Array
    error: Array
    reach: Array


class Stack(NamedTuple):
    """One dictionary and one row of signs per depth of the search: T `(depth, R, C)` and so on; pending `(depth, 2)` holds the unit and
    the sign whose child is still to be searched, age `(depth,)` the pivots since the dictionary was computed."""

    T: Array
    b: Array
    d: Array
    basic: Array
    nonbasic: Array
    signs: Array
    pending: Array
    age: Array


def stack(first: Dictionary, num_units: int) -> Stack:
    """Room for every depth, as far as `STACK_BYTES` allow; deeper subtrees are given back and begun anew."""
    R, C = first.T.shape
    D = min(num_units + 2, max(8, STACK_BYTES // (8 * R * C + 1)))
    return Stack(
        np.empty((D, R, C)), np.empty((D, R)), np.empty((D, C)), np.empty((D, R), np.int64), np.empty((D, C), np.int64),
        np.empty((D, num_units), np.int8), np.zeros((D, 2), np.int64), np.zeros(D, np.int64),
    )  # fmt: skip


@kernel
def search(
    first: Dictionary, w: Stack, signs: Array, nodes: int, leaves: Array, open_nodes: Array, counts: Array
) -> None:
    """Search the subtree of `signs` `(q,)`, at most `nodes` nodes.

    Every assignment of all signs that could not be excluded is written to `leaves` `(k, q)`; when the budget or `leaves` ends first, the
    roots of what is left go to `open_nodes` `(>= q + 1, q)`. counts `(4,)`: leaves, open nodes, nodes visited, pivots.
    """
    q = len(signs)
    counts[:] = 0
    _copy(first, w, 0)
    for i in range(q):
        w.signs[0, i] = signs[i]
    w.age[0] = 0
    w.pending[0, 0] = -1
    depth = 0
    while depth >= 0:
        if counts[2] >= nodes or counts[0] >= len(leaves) or depth + 2 > len(w.T):
            _give_back(w, depth, open_nodes, counts)
            return
        counts[2] += 1
        unit = _node(first, w, depth, leaves, counts)
        if unit >= 0:
            _branch(first, w, depth, unit)
            depth += 1
        else:
            depth = _next(w, depth)


@subroutine
def _node(first: Dictionary, w: Stack, depth: int, leaves: Array, counts: Array) -> int:
    """Settle the node at `depth`: the unit to branch on, or -1 when it is cut off or a leaf (which is noted)."""
    q = w.signs.shape[1]
    if w.age[depth] > REFRESH:
        _refresh(first, w, depth)
    changed = True
    while changed:
        if _feasible(first, w, depth, counts) == INFEASIBLE:
            return -1
        changed = _imply(first, w, depth)
    unit = _choose(w, depth)
    if unit < 0:
        for i in range(q):
            leaves[counts[0], i] = w.signs[depth, i]
        counts[0] += 1
    return unit


@subroutine
def _next(w: Stack, depth: int) -> int:
    """Go to the deepest node whose second child is still to be searched, in place; -1 when there is none."""
    depth -= 1
    while depth >= 0:
        unit, value = w.pending[depth, 0], w.pending[depth, 1]
        if unit >= 0:
            w.signs[depth, unit] = value
            w.pending[depth, 0] = -1
            return depth
        depth -= 1
    return -1


@subroutine
def _branch(first: Dictionary, w: Stack, depth: int, unit: int) -> None:
    """Write the first child to depth + 1 and remember the second one."""
    k = depth + 1
    here = Dictionary(w.T[depth], w.b[depth], w.d[depth], w.basic[depth], w.nonbasic[depth], first.error, first.reach)
    _copy(here, w, k)
    _copy_signs(w.signs[depth], w.signs[k])
    w.age[k] = w.age[depth]
    w.signs[k, unit] = ON
    w.pending[k, 0] = -1
    w.pending[depth, 0], w.pending[depth, 1] = unit, OFF


@subroutine
def _give_back(w: Stack, depth: int, open_nodes: Array, counts: Array) -> None:
    """The current node and every second child that is still to be searched."""
    _copy_signs(w.signs[depth], open_nodes[0])
    k = 1
    for level in range(depth):
        unit = w.pending[level, 0]
        if unit >= 0:
            _copy_signs(w.signs[level], open_nodes[k])
            open_nodes[k, unit] = w.pending[level, 1]
            k += 1
    counts[1] = k


@subroutine
def _copy_signs(signs: Array, to: Array) -> None:
    for i in range(len(signs)):
        to[i] = signs[i]


@subroutine
def _copy(first: Dictionary, w: Stack, k: int) -> None:
    # number by number: assigning arrays compiles messages about their shapes, for seconds
    for i in range(first.T.shape[0]):
        w.b[k, i], w.basic[k, i] = first.b[i], first.basic[i]
        for j in range(first.T.shape[1]):
            w.T[k, i, j] = first.T[i, j]
    for j in range(first.T.shape[1]):
        w.d[k, j], w.nonbasic[k, j] = first.d[j], first.nonbasic[j]


@subroutine
def _is_zero(signs: Array, variable: int) -> bool:
    """Whether the signs fix this variable to zero."""
    q = len(signs)
    return signs[variable] == OFF if variable < q else signs[variable - q] == ON


# --- linear programs ---------------------------------------------------------------------------------------------------


@subroutine
def _feasible(first: Dictionary, w: Stack, k: int, counts: Array) -> int:
    """Dual simplex steps until no basic variable has a forbidden value, or a row proves that none is possible."""
    T, b, d, basic, nonbasic, signs = w.T[k], w.b[k], w.d[k], w.basic[k], w.nonbasic[k], w.signs[k]
    R, C = T.shape
    scale = 0.0
    for i in range(R):
        scale = max(scale, abs(b[i]))
    scale = max(scale, 1e-300)
    for _ in range(20 * (R + 5)):
        row, worst = -1, MARGIN * scale
        for i in range(R):
            violation = -b[i]
            if b[i] > 0.0 and _is_zero(signs, basic[i]):
                violation = b[i]
            if violation > worst:
                row, worst = i, violation
        if row < 0:
            return FEASIBLE
        sign = 1.0 if b[row] < 0.0 else -1.0
        size = 0.0
        for j in range(C):
            size = max(size, abs(T[row, j]))
        best, column = np.inf, -1
        for j in range(C):
            if sign * T[row, j] > ZERO * size and not _is_zero(signs, nonbasic[j]):
                ratio = max(d[j], 0.0) / abs(T[row, j])
                if ratio < best:
                    best, column = ratio, j
        if column < 0:
            return INFEASIBLE if _impossible(first, w, k, row, sign) else STALLED
        # among ratios that are as good, the largest pivot
        for j in range(C):
            if sign * T[row, j] > ZERO * size and not _is_zero(signs, nonbasic[j]):
                ratio = max(d[j], 0.0) / abs(T[row, j])
                if ratio <= best * (1 + 1e-7) + 1e-13 and abs(T[row, j]) > abs(T[row, column]):
                    column = j
        pivot(T, b, d, basic, nonbasic, row, column)
        w.age[k] += 1
        counts[3] += 1
    return STALLED


@kernel
def pivot(T: Array, b: Array, d: Array, basic: Array, nonbasic: Array, row: int, column: int) -> None:
    """Exchange a basic and a nonbasic variable."""
    R, C = T.shape
    factor = 1.0 / T[row, column]
    for j in range(C):
        T[row, j] *= -factor
    T[row, column] = factor
    b[row] *= -factor
    for i in range(R):
        x = T[i, column]
        if i != row and x != 0.0:
            T[i, column] = 0.0
            for j in range(C):
                T[i, j] += x * T[row, j]
            b[i] += x * b[row]
    x = d[column]
    d[column] = 0.0
    for j in range(C):
        d[j] += x * T[row, j]
    basic[row], nonbasic[column] = nonbasic[column], basic[row]


@subroutine
def _impossible(first: Dictionary, w: Stack, k: int, row: int, sign: float) -> bool:
    """Whether a row x_r - T_r x_N = b_r excludes all solutions up to `reach`, recomputed from the first dictionary, by a margin.

    sign 1: x_r >= 0 is impossible, -1: x_r = 0 is. With any multipliers y of the first rows, sum_j c_j x_j = y b holds for every solution;
    it is impossible when y b < 0 by more than all negative c_j x_j, rounding, and the margin can amount to.
    """
    basic, nonbasic, signs = w.basic[k], w.nonbasic[k], w.signs[k]
    R, C = first.T.shape
    target = basic[row]
    column = np.full(R + C, -1)
    for j in range(C):
        column[nonbasic[j]] = j
    value = np.zeros(C)
    left, size, negative, rounding = 0.0, 0.0, 0.0, 0.0
    for i in range(R):
        variable = first.basic[i]
        y = sign if variable == target else (-sign * w.T[k, row, column[variable]] if column[variable] >= 0 else 0.0)
        if y == 0.0:
            continue
        left += y * first.b[i]
        size += abs(y * first.b[i])
        rounding += abs(y) * first.error[i]
        for j in range(C):
            value[j] -= y * first.T[i, j]
        if y < 0.0 and not _is_zero(signs, variable) and not (sign < 0.0 and variable == target):
            negative -= y
    for j in range(C):
        variable = first.nonbasic[j]
        if value[j] < 0.0 and not _is_zero(signs, variable) and not (sign < 0.0 and variable == target):
            negative -= value[j]
    return left + negative * first.reach[0] + rounding < -MARGIN * size


@subroutine
def _imply(first: Dictionary, w: Stack, k: int) -> bool:
    """Fix signs that follow: a variable that is positive for all allowed values of the others has its partner at zero.

    Returns:
        whether any sign was fixed.
    """
    T, b, basic, nonbasic, signs = w.T[k], w.b[k], w.basic[k], w.nonbasic[k], w.signs[k]
    R, C = T.shape
    q = len(signs)
    again, found = True, False
    while again:
        again = False
        for i in range(R):
            variable = basic[i]
            unit = variable if variable < q else variable - q
            if signs[unit] != FREE or not b[i] > 0.0:
                continue
            size = 0.0
            for j in range(C):
                size = max(size, abs(T[i, j]))
            positive = True
            for j in range(C):
                if T[i, j] < -ZERO * size and not _is_zero(signs, nonbasic[j]):
                    positive = False
                    break
            if positive and _impossible(first, w, k, i, -1.0):
                signs[unit] = ON if variable < q else OFF
                again = found = True
    return found


@subroutine
def _choose(w: Stack, k: int) -> int:
    """The unit to branch on: where p and n are both far from zero, else the free unit of largest value; -1 when all signs are fixed."""
    b, basic, signs = w.b[k], w.basic[k], w.signs[k]
    q = len(signs)
    value = np.zeros(2 * q)
    for i in range(len(b)):
        value[basic[i]] = abs(b[i])
    best, unit = -1.0, -1
    for i in range(q):
        if signs[i] == FREE:
            both = min(value[i], value[q + i])
            score = 1e6 * both + max(value[i], value[q + i])
            if score > best:
                best, unit = score, i
    return unit


@subroutine
def _refresh(first: Dictionary, w: Stack, k: int) -> None:
    """The dictionary of the same basis, computed from the first one."""
    R, C = first.T.shape
    wanted = np.zeros(R + C, dtype=np.bool_)
    for i in range(R):
        wanted[w.basic[k, i]] = True
    _copy(first, w, k)
    T, basic, nonbasic = w.T[k], w.basic[k], w.nonbasic[k]
    w.age[k] = 0
    while True:
        row, column, best = -1, -1, 1e-12
        for i in range(R):
            if wanted[basic[i]]:
                continue
            for j in range(C):
                if wanted[nonbasic[j]] and abs(T[i, j]) > best:
                    row, column, best = i, j, abs(T[i, j])
        if row < 0:
            return
        pivot(T, w.b[k], w.d[k], basic, nonbasic, row, column)

"""Compiled virtual-cycle search: solve for the cycle of a sequence of regions, go on in the regions that were really visited.

A *virtual* cycle of k patterns is the cycle of the k affine maps they name, whether its points lie in those regions or not; it is a
cycle of the network when they do.

Source: eisenmann2023 (SCYFI).
"""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.arrays import FormArrays
from retime.simulation.iterate import LIMIT


@subroutine
def compose(f: FormArrays, sequence: Array, P: Array, new: Array, row: Array) -> None:
    """P `(n, n + 1)` = [M_k ... M_1, c]: the regions of `sequence` `(k, q)` one after the other; new, row are work arrays."""
    n, q, diagonal, selects = len(P), len(f.h2), len(f.diagonal) > 0, len(f.selection) > 0
    for i in range(n):
        for j in range(n + 1):
            P[i, j] = 1.0 if i == j else 0.0
    for k in range(len(sequence)):
        for i in range(n):
            if diagonal:
                x = f.diagonal[i]
                for j in range(n + 1):
                    new[i, j] = x * P[i, j]
            else:
                for j in range(n + 1):
                    new[i, j] = 0.0
                for m in range(n):
                    x = f.AT[m, i]
                    for j in range(n + 1):
                        new[i, j] += x * P[m, j]
            new[i, n] += f.h1[i]
        for u in range(q):
            if sequence[k, u]:
                _unit_row(f.W2, f.selection, selects, u, P, row)
                row[n] += f.h2[u]
                for i in range(n):
                    x = f.W1T[u, i]
                    for j in range(n + 1):
                        new[i, j] += x * row[j]
        for i in range(n):
            for j in range(n + 1):
                P[i, j] = new[i, j]


@subroutine
def _unit_row(W2: Array, selection: Array, selects: bool, u: int, P: Array, row: Array) -> None:
    """row = W2[u] P."""
    n = len(P)
    if selects:
        for j in range(n + 1):
            row[j] = P[selection[u], j]
        return
    for j in range(n + 1):
        row[j] = 0.0
    for i in range(n):
        x = W2[u, i]
        for j in range(n + 1):
            row[j] += x * P[i, j]


@subroutine
def solve(M: Array, x: Array) -> bool:
    """Gaussian elimination with partial pivoting in place, M `(n, n)`, x the right-hand side and then the solution; False when singular."""
    n = len(x)
    for k in range(n):
        row = k
        for i in range(k + 1, n):
            if abs(M[i, k]) > abs(M[row, k]):
                row = i
        if not abs(M[row, k]) > 1e-14:
            return False
        if row != k:
            for j in range(k, n):
                M[k, j], M[row, j] = M[row, j], M[k, j]
            x[k], x[row] = x[row], x[k]
        for i in range(k + 1, n):
            factor = M[i, k] / M[k, k]
            if factor != 0.0:
                for j in range(k + 1, n):
                    M[i, j] -= factor * M[k, j]
                x[i] -= factor * x[k]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            x[k] -= M[k, j] * x[j]
        x[k] /= M[k, k]
    return True


@subroutine
def read_orbit(f: FormArrays, z: Array, follow: Array, virtual: bool, sequence: Array, at: Array, a: Array) -> bool:
    """Patterns of k points from z `(n,)`: of the virtual orbit along `follow`, or of the real one; False when it grows without bound.

    at `(2, n)` and a `(q,)` are work arrays.
    """
    n, q, diagonal, selects = len(z), len(f.h2), len(f.diagonal) > 0, len(f.selection) > 0
    for i in range(n):
        at[0, i] = z[i]
    for k in range(len(sequence)):
        for u in range(q):
            x = f.h2[u]
            if selects:
                x += at[0, f.selection[u]]
            else:
                for i in range(n):
                    x += f.W2[u, i] * at[0, i]
            a[u] = x
            sequence[k, u] = x > 0.0
        for i in range(n):
            at[1, i] = f.h1[i]
            if diagonal:
                at[1, i] += f.diagonal[i] * at[0, i]
        if not diagonal:
            for j in range(n):
                x = at[0, j]
                for i in range(n):
                    at[1, i] += x * f.AT[j, i]
        for u in range(q):
            if follow[k, u] if virtual else a[u] > 0.0:
                x = a[u]
                for i in range(n):
                    at[1, i] += x * f.W1T[u, i]
        size = 0.0
        for i in range(n):
            at[0, i] = at[1, i]
            size += abs(at[1, i])
        if not size < LIMIT:
            return False
    return True


@kernel
def search_from(
    f: FormArrays, starts: Array, first: int, last: int, tries: int, sequences: Array, found: Array, solved: Array
) -> None:
    """Look for one cycle from each of starts[first:last] `(b, n)`.

    sequences `(b, k, q)`: patterns to begin with where found[b] is 2, else they are read from the orbit of the start; they become those of
    the cycle where found[b] turns 1. solved `(b,)`: linear systems solved.
    """
    k, q, n = sequences.shape[1], sequences.shape[2], starts.shape[1]
    P, new, row, M = np.empty((n, n + 1)), np.empty((n, n + 1)), np.empty(n + 1), np.empty((n, n))
    z, at, a, actual = np.empty(n), np.empty((2, n)), np.empty(q), np.empty((k, q), dtype=np.uint8)
    for b in range(first, last):
        sequence = sequences[b]
        given = found[b] == 2
        found[b] = 0
        if not given and not read_orbit(f, starts[b], sequence, False, sequence, at, a):
            continue
        for attempt in range(tries):
            compose(f, sequence, P, new, row)
            for i in range(n):
                for j in range(n):
                    M[i, j] = (1.0 if i == j else 0.0) - P[i, j]
                z[i] = P[i, n]
            solved[b] += 1
            if not solve(M, z) or not read_orbit(f, z, sequence, True, actual, at, a):
                break
            if _same(actual, sequence):
                found[b] = 1
                break
            if attempt % 2 == 1 and not read_orbit(f, z, sequence, False, actual, at, a):
                break
            for i in range(k):
                for j in range(q):
                    sequence[i, j] = actual[i, j]


@subroutine
def _same(a: Array, b: Array) -> bool:
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            if a[i, j] != b[i, j]:
                return False
    return True

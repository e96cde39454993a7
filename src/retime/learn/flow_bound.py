"""How fast a continuous piecewise-linear network can be in any of its regions, bounded without a decomposition."""

from __future__ import annotations

import math

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine

DOUBLINGS = 4  # of the power of M^T M: 16


@kernel
def largest_norm(A: Array, W: Array, P: int) -> float:
    """A bound of ||diag(A) + W D|| for all diagonal D that hold ones, and zeros or ones for the last P units.

    With D_0 = I but halves there: ||diag(A) + W D|| <= ||diag(A) + W D_0|| + ||W (I - D_0)||
    """
    n = len(A)
    middle, half = np.empty((n, n)), np.empty((n, P))
    for i in range(n):
        for j in range(n):
            middle[i, j] = W[i, j]
        for j in range(P):
            half[i, j] = 0.5 * middle[i, n - P + j]
            middle[i, n - P + j] = half[i, j]
        middle[i, i] += A[i]
    return _norm(middle) + _norm(half)


@subroutine
def _norm(M: Array) -> float:
    """At least ||M||_2, and at most k^(1/64) times that for k columns: ||M||_2^32 <= ||(M^T M)^16||_F."""
    k = M.shape[1]
    power, next_power, size, squares = np.zeros((k, k)), np.empty((k, k)), 0.0, 0.0
    _add_gram(M, power)
    for i in range(k):
        size += power[i, i]  # not a number where M holds such
    if not 0.0 < size < np.inf:
        return size
    for i in range(k):
        for j in range(k):
            power[i, j] /= size
    for _ in range(DOUBLINGS):
        next_power[:] = 0.0
        _add_gram(power, next_power)
        power, next_power = next_power, power
    for i in range(k):
        for j in range(k):
            squares += power[i, j] ** 2
    return math.sqrt(size) * squares ** (1 / 64)


@subroutine
def _add_gram(M: Array, out: Array) -> None:
    """out += M^T M."""
    for r in range(M.shape[0]):
        for i in range(M.shape[1]):
            x = M[r, i]
            for j in range(M.shape[1]):
                out[i, j] += x * M[r, j]

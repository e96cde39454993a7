"""Linear equations with float64 coefficients solved without rounding, in whole numbers: for signs that double precision cannot tell.

A float64 number is a whole number times a power of two: arrays are scaled by one 2^k that makes all of them whole (Python's, dtype object).
"""

from __future__ import annotations

import math

import numpy as np

from retime.core.arrays import Array


def whole(*arrays: Array) -> tuple[list[Array], int]:
    """Arrays of floats times 2^k, nothing rounded, and the least k >= 0 that makes every entry whole."""
    parts = [np.frexp(x) for x in arrays]
    digits = [np.asarray(fraction * 2.0**53).astype(np.int64) for fraction, _ in parts]
    k = max([0, *(53 - int(e[d != 0].min()) for d, (_, e) in zip(digits, parts, strict=True) if d.any())])
    shifted = np.frompyfunc(lambda a, e: int(a) << max(int(e) - 53 + k, 0), 2, 1)
    return [np.asarray(shifted(d, e), dtype=object) for d, (_, e) in zip(digits, parts, strict=True)], k


def rounded(numerators: Array, denominator: int) -> Array | None:
    """The float64 numbers nearest to whole numbers over one denominator > 0; None where one of them is too large."""
    try:
        return np.array([int(a) / denominator for a in numerators])
    except OverflowError:
        return None


def solve_exactly(M: Array, c: Array) -> tuple[Array, int] | None:
    """z = numerators `(n,)` / denominator > 0 of M z = c, M `(n, n)` and c `(n,)` whole; None when M is singular.

    Gauss-Jordan steps without fractions: every division leaves no remainder, and the entries stay determinants of parts of M.
    Source: bareiss1968.
    """
    n = len(c)
    T = np.hstack([M, c[:, None]])
    before = 1
    for k in range(n):
        rows = [i for i in range(k, n) if T[i, k] != 0]
        if not rows:
            return None
        row = min(rows, key=lambda i: abs(T[i, k]))
        T[[k, row]] = T[[row, k]]
        pivot = T[k, k]
        others = np.arange(n) != k
        T[others] = (pivot * T[others] - np.outer(T[others, k], T[k])) // before
        before = pivot
    return T[:, n] * (1 if before > 0 else -1), abs(before)


def residual(matrices: tuple[Array, ...], vectors: tuple[Array, Array], z: Array) -> float:
    """The largest entry of |(L + low) z - W1 relu(W2 z + h2) - h1| at z `(N,)`, rounded once; infinite where it is too large.

    Args:
        matrices: L, low `(N, N)`, W1 `(N, Q)`, W2 `(Q, N)`. vectors: h1 `(N,)`, h2 `(Q,)`.
    """
    (L, low, W1, W2, h1, h2, at), k = whole(*matrices, *vectors, z)
    relu = np.maximum(W2 @ at + (h2 << k), 0)  # times 2^2k
    rest = (((L + low) @ at) << k) - W1 @ relu - (h1 << 2 * k)
    found = rounded(np.array([max(map(abs, rest), default=0)], dtype=object), 1 << 3 * k)
    return math.inf if found is None else float(found[0])

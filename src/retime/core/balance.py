"""Units for states: weights under which no state counts for more than another because of how it is measured."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array

_WIDE = 64.0  # rows and columns within this factor of each other are left as they are
_FAINT = 2.0**-20  # a one-sided coupling below this part of the diagonal is brought up to it
_SWEEPS = 30


def balancing(M: Array) -> Array:
    """Weights w `(r, n)`, powers of two, of a stack M `(r, n, n)`: B_ij = M_ij w_j / w_i has rows as large as its columns.

    log(M) = diag(w) log(B) diag(1/w), exactly so in floating point. The diagonal counts as part of rows and columns, so that
    couplings that are small beside it are not made equal to those of the other direction: that would raise rounding
    errors to the size of couplings. A state that nobody reads, or that reads nobody, is free: its coupling is made as large as the diagonal.

    Source: osborne's method as in LAPACK's gebal; higham2008, appendix on balancing.
    """
    size = np.abs(M)
    w = np.ones(M.shape[:2])
    if M.shape[1] < 2:
        return w
    with np.errstate(all="ignore"):
        skewed = np.flatnonzero(_is_skewed(size))
        if len(skewed):
            w[skewed] = _balanced(size[skewed])
    return w


def _is_skewed(size: Array) -> Array:
    rows, columns, diagonal = _norms(size)
    ratio = np.hypot(rows, diagonal) / np.hypot(columns, diagonal)
    wide = (ratio > _WIDE) | (ratio < 1 / _WIDE)
    free = np.where(columns == 0, rows, np.where(rows == 0, columns, 0.0))
    faint = (free > 0) & (free < _FAINT * diagonal.max(axis=1, keepdims=True))
    return (wide | faint).any(axis=1)


def _norms(size: Array) -> tuple[Array, Array, Array]:
    """Largest entries of rows and of columns off the diagonal, and the diagonal: each `(r, n)`."""
    off = size * (1.0 - np.eye(size.shape[1]))
    return off.max(axis=2), off.max(axis=1), np.einsum("rii->ri", size)


def _balanced(size: Array) -> Array:
    r, n = size.shape[:2]
    B, w = size.copy(), np.ones((r, n))
    diagonal = np.einsum("rii->ri", size)
    scale = diagonal.max(axis=1)
    scale = np.where(scale > 0, scale, size.max(axis=(1, 2)))
    others = ~np.eye(n, dtype=bool)
    for _ in range(_SWEEPS):
        before = w.copy()
        for i in range(n):
            row, column = B[:, i, others[i]].max(axis=1), B[:, others[i], i].max(axis=1)
            d = diagonal[:, i]
            factor = np.sqrt(np.hypot(row, d) / np.hypot(column, d))
            factor = np.where(column == 0, row / scale, np.where(row == 0, scale / column, factor))
            factor = np.where((row == 0) & (column == 0), 1.0, factor)
            factor = np.exp2(np.clip(np.rint(np.log2(factor)), -300, 300))
            factor = np.where(np.abs(np.log2(w[:, i] * factor)) <= 300, factor, 1.0)
            B[:, i, :] /= factor[:, None]
            B[:, :, i] *= factor[:, None]
            w[:, i] *= factor
        if (w == before).all():
            break
    return w


def reachable(M: Array) -> Array:
    """Which entries `(r, n, n)` of powers, and so of functions, of a stack M `(r, n, n)` can differ from zero."""
    reach = ((M != 0) | np.eye(M.shape[1], dtype=bool)).astype(np.float32)
    while True:
        longer = np.minimum(reach @ reach, 1)
        if (longer == reach).all():
            return reach > 0
        reach = longer

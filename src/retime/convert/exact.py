"""The exponential of a small matrix in fixed-point arithmetic of whole numbers: to measure what double precision cannot."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array

_BITS = 256  # of the fraction; a rounding error of 2^-256 may be amplified by 1e60 and is still below 1e-16
_SMALL = 5  # the Taylor series is summed at a norm below 2^-5, where 20 terms are exact to 1e-51
_TERMS = 20


def exact_exponential(X: Array) -> Array:
    """exp(X) of a finite X `(N, N)`, in whole numbers of 2^-256 (dtype object); `difference` brings it back.

    In double precision the exponential of a matrix far from normal is known much worse than the matrix determines it: its squarings
    amplify rounding by up to its norm. Cost: (30 + log2 of the norm) N^3 multiplications of whole numbers; 10 ms for N = 10.
    """
    norm = float(np.abs(X).sum(axis=0).max(initial=0.0))
    squarings = max(0, int(np.ceil(np.log2(norm))) + _SMALL) if norm > 0 else 0
    A, one = _fixed(X, _BITS - squarings), np.eye(len(X), dtype=int).astype(object) * 2**_BITS
    P = one
    for k in range(_TERMS, 0, -1):
        P = one + (A.dot(P) >> _BITS) // k
    for _ in range(squarings):
        P = P.dot(P) >> _BITS
    return P


def difference(P: Array, target: Array) -> Array:
    """P - target in double precision, subtracted before it is rounded."""
    return ((P - _fixed(target, _BITS)).astype(object) / 2**_BITS).astype(np.float64)


def _fixed(X: Array, bits: int) -> Array:
    """Whole numbers nearest below X 2^bits; exact where no bits are lost."""
    mantissa, exponent = np.frexp(X)
    whole = np.ldexp(mantissa, 53).astype(np.int64).astype(object)
    shift = exponent.astype(np.int64) - 53 + bits
    return np.array(
        [int(m) << int(s) if s >= 0 else int(m) >> int(-s) for m, s in zip(whole.ravel(), shift.ravel(), strict=True)],
        dtype=object,
    ).reshape(X.shape)

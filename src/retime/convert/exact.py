"""One step of a small generator in fixed-point arithmetic of whole numbers: to measure what double precision cannot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retime.core.arrays import Array

_BITS = 192  # of the fraction; a rounding error of 2^-192 may be amplified by 1e40 and is still below 1e-17
_SMALL = 5  # the Taylor series are summed at a norm below 2^-5, where 20 terms are exact to 1e-51
_TERMS = 20


@dataclass(frozen=True)
class ExactStep:
    """exp(L) and integral_0^1 exp(L t) dt of a finite L `(N, N)`, in whole numbers of 2^-192 (dtype object).

    In double precision the exponential of a matrix far from normal is known much worse than the matrix determines it: its
    squarings amplify rounding by up to its norm. Cost: (30 + 2 log2 of the norm) N^3 multiplications of whole numbers; 10 ms for N = 10.
    """

    exponential: Array
    integral: Array

    @classmethod
    def of(cls, L: Array) -> ExactStep:
        """I(A) = sum A^k / (k + 1)!, exp(A) = 1 + A I(A) at a small norm; then I(2 A) = I(A) (1 + exp(A)) / 2."""
        norm = float(np.abs(L).sum(axis=0).max(initial=0.0))
        squarings = max(0, int(np.ceil(np.log2(norm))) + _SMALL) if norm > 0 else 0
        A, one = _fixed(L, _BITS - squarings), np.eye(len(L), dtype=int).astype(object) * 2**_BITS
        integral = one
        for k in range(_TERMS, 0, -1):
            integral = one + (A.dot(integral) >> _BITS) // (k + 1)
        exponential = one + (A.dot(integral) >> _BITS)
        for _ in range(squarings):
            integral = integral.dot(one + exponential) >> (_BITS + 1)
            exponential = exponential.dot(exponential) >> _BITS
            if max(abs(x) for x in exponential.ravel()).bit_length() > 1200:
                raise OverflowError("The exponential is beyond the range of numbers.")
        return cls(exponential, integral)

    def error_of_map(self, target: Array) -> Array:
        """exp(L) - target, subtracted before it is rounded."""
        return _rounded(self.exponential - _fixed(target, _BITS))

    def error_of_inputs(self, H: Array, F: Array) -> Array:
        """What H `(N, k)` has brought about after one step, minus F `(N, k)`."""
        return _rounded((self.integral.dot(_fixed(H, _BITS)) >> _BITS) - _fixed(F, _BITS))

    def inputs_of(self, F: Array) -> Array:
        """H `(N, k)` whose step is F, improved until its error no longer falls.

        Raises:
            numpy.linalg.LinAlgError: the integral is singular.
        """
        integral, H = _rounded(self.integral), np.zeros_like(F)
        error = -F
        for _ in range(4):
            improved = H - np.linalg.solve(integral, error) if np.isfinite(integral).all() else H
            if not np.isfinite(improved).all():
                break
            after = self.error_of_inputs(improved, F)
            if not np.abs(after).max() < np.abs(error).max():
                break
            H, error = improved, after
        return H


def _rounded(P: Array) -> Array:
    return np.array([_quotient(x) for x in P.ravel()], dtype=np.float64).reshape(P.shape)


def _quotient(x: int) -> float:
    """x / 2^192; infinite beyond the range of numbers, where Python raises."""
    try:
        return x / 2**_BITS
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def _fixed(X: Array, bits: int) -> Array:
    """Whole numbers nearest below X 2^bits; exact where no bits are lost."""
    mantissa, exponent = np.frexp(X)
    whole = np.ldexp(mantissa, 53).astype(np.int64).astype(object)
    shift = exponent.astype(np.int64) - 53 + bits
    return np.array(
        [int(m) << int(s) if s >= 0 else int(m) >> int(-s) for m, s in zip(whole.ravel(), shift.ravel(), strict=True)],
        dtype=object,
    ).reshape(X.shape)

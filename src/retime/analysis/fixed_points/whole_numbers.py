"""Linear equations with float64 coefficients solved without rounding, in whole numbers: for signs that double precision cannot tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array


class Dyadic(NamedTuple):
    """An array of whole numbers (Python's, dtype object) times 2^exponent."""

    whole: Array
    exponent: int

    @classmethod
    def of(cls, x: Array) -> Dyadic:
        """Floats as they are, nothing rounded."""
        fraction, exponent = np.frexp(x)
        digits = np.asarray(fraction * 2.0**53).astype(np.int64)
        least = int(exponent[digits != 0].min(initial=0)) if digits.any() else 0
        shift = np.where(digits != 0, exponent - least, 0)
        whole = np.array([int(a) << int(k) for a, k in zip(digits.ravel(), shift.ravel(), strict=True)], dtype=object)
        return cls(whole.reshape(np.shape(x)), least - 53)

    def __matmul__(self, other: Dyadic) -> Dyadic:
        return Dyadic(np.asarray(self.whole @ other.whole), self.exponent + other.exponent)

    def plus(self, other: Dyadic) -> Dyadic:
        """The sum of two arrays of one shape."""
        low = min(self.exponent, other.exponent)
        parts = [x.whole * (1 << (x.exponent - low)) for x in (self, other)]
        return Dyadic(np.asarray(parts[0] + parts[1]), low)

    def minus(self, other: Dyadic) -> Dyadic:
        """The difference of two arrays of one shape."""
        return self.plus(Dyadic(-other.whole, other.exponent))


class Fractions(NamedTuple):
    """Entries whole[i] 2^exponent / divisor, divisor a whole number > 0."""

    whole: Array
    divisor: int
    exponent: int

    def rounded(self) -> Array | None:
        """The nearest float64 numbers; None where one of them is too large."""
        up, down = max(self.exponent, 0), max(-self.exponent, 0)
        try:
            return np.array([(int(a) << up) / (self.divisor << down) for a in self.whole])
        except OverflowError:
            return None


def solve_exactly(M: Dyadic, c: Dyadic) -> Fractions | None:
    """z `(n,)` of M z = c, M `(n, n)`; None when M is singular.

    Gauss-Jordan steps without fractions: every division leaves no remainder, and the entries stay determinants of parts of M.
    Source: bareiss1968.
    """
    n = len(c.whole)
    T = np.hstack([M.whole, c.whole[:, None]])
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
    sign = 1 if before > 0 else -1
    return Fractions(sign * T[:, n], sign * before, c.exponent - M.exponent)


def signs_of(a: Dyadic, z: Fractions, b: Dyadic) -> Array:
    """Signs `(q,)` (-1, 0, 1) of a z + b, a `(q, n)`, b `(q,)`."""
    left = Dyadic(np.asarray(a.whole @ z.whole), a.exponent + z.exponent)
    total = left.plus(Dyadic(b.whole * z.divisor, b.exponent))
    return np.array([(x > 0) - (x < 0) for x in total.whole], dtype=np.int64)


def residual(matrices: tuple[Array, ...], vectors: tuple[Array, Array], z: Array) -> float:
    """The largest entry of |(L + low) z - W1 relu(W2 z + h2) - h1| at z `(N,)`, rounded once.

    Args:
        matrices: L, low `(N, N)`, W1 `(N, Q)`, W2 `(Q, N)`. vectors: h1 `(N,)`, h2 `(Q,)`.
    """
    L, low, W1, W2 = (Dyadic.of(x) for x in matrices)
    h1, h2 = (Dyadic.of(x) for x in vectors)
    at = Dyadic.of(z)
    a = (W2 @ at).plus(h2)
    relu = Dyadic(np.where(a.whole > 0, a.whole, 0), a.exponent)
    rest = (L.plus(low) @ at).minus(W1 @ relu).minus(h1)
    largest = Fractions(np.array([max((abs(x) for x in rest.whole), default=0)], dtype=object), 1, rest.exponent)
    value = largest.rounded()
    return float("inf") if value is None else float(value[0])

"""Fixed points and 2-cycles of small ReLU maps in exact rational arithmetic, over all sign patterns; numbers are taken as stored."""

from fractions import Fraction
from itertools import product

import numpy as np


def solved(rows):
    """x of the augmented rows [M | c] by Gauss-Jordan steps on fractions; None when M is singular."""
    rows = [list(row) for row in rows]
    for k in range(len(rows)):
        at = next((i for i in range(k, len(rows)) if rows[i][k] != 0), None)
        if at is None:
            return None
        rows[k], rows[at] = rows[at], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(len(rows)):
            if i != k and rows[i][k] != 0:
                rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]


class ExactMap:
    """z' = A z + W1 relu(W2 z + h2) + h1 on fractions."""

    def __init__(self, form):
        self.A, self.W1, self.W2 = (
            [[Fraction(x) for x in row] for row in M.tolist()] for M in (form.A, form.W1, form.W2)
        )
        self.h1, self.h2 = ([Fraction(x) for x in h.tolist()] for h in (form.h1, form.h2))
        self.n, self.q = len(self.h1), len(self.h2)

    def preactivations(self, z):
        return [sum(w * x for w, x in zip(row, z, strict=True)) + h for row, h in zip(self.W2, self.h2, strict=True)]

    def step(self, z):
        z = [Fraction(x) for x in z]
        relu = [max(a, Fraction(0)) for a in self.preactivations(z)]
        linear = [sum(a * x for a, x in zip(row, z, strict=True)) for row in self.A]
        return [
            x + sum(w * r for w, r in zip(row, relu, strict=True)) + h
            for x, row, h in zip(linear, self.W1, self.h1, strict=True)
        ]

    def _region(self, d):
        """[M | c] of the region of the bits d: z' = M z + c."""
        on = [u for u in range(self.q) if d[u]]
        return [
            [self.A[i][j] + sum(self.W1[i][u] * self.W2[u][j] for u in on) for j in range(self.n)]
            + [self.h1[i] + sum(self.W1[i][u] * self.h2[u] for u in on)]
            for i in range(self.n)
        ]

    def _lies_in(self, z, d):
        return all((a >= 0 if bit else a <= 0) for a, bit in zip(self.preactivations(z), d, strict=True))

    def fixed_points(self):
        """All of them, each a tuple of fractions; None where a region is singular."""
        found = set()
        for d in product((0, 1), repeat=self.q):
            T = self._region(d)
            z = solved([[int(i == j) - T[i][j] for j in range(self.n)] + [T[i][-1]] for i in range(self.n)])
            if z is None:
                return None
            if self._lies_in(z, d):
                found.add(tuple(z))
        return found

    def two_cycles(self):
        """All points of cycles of period 2; None where a pair of regions is singular."""
        found, patterns = set(), list(product((0, 1), repeat=self.q))
        for d in patterns:
            for e in patterns:
                S, T = self._region(d), self._region(e)
                P = [[sum(T[i][k] * S[k][j] for k in range(self.n)) for j in range(self.n + 1)] for i in range(self.n)]
                rows = [[int(i == j) - P[i][j] for j in range(self.n)] + [P[i][-1] + T[i][-1]] for i in range(self.n)]
                z = solved(rows)
                if z is None:
                    return None
                after = [sum(S[i][j] * z[j] for j in range(self.n)) + S[i][-1] for i in range(self.n)]
                if self._lies_in(z, d) and self._lies_in(after, e) and after != z:
                    found.add(tuple(z))
        return found

    def residual(self, z):
        """|F(z) - z| relative to 1 + |z|, rounded at the end."""
        size = 1 + max(abs(Fraction(x)) for x in z)
        return float(max(abs(x - Fraction(y)) for x, y in zip(self.step(z), z, strict=True)) / size)


def rows_of(points, n):
    """Fractions rounded to float64 `(k, n)`."""
    return np.array([[float(x) for x in z] for z in points]).reshape(-1, n)


def missing(want, found):
    """How many of the rows `want` are none of the rows `found`, to 1e-6."""
    return sum(
        not (len(found) and (np.abs(found - z).max(axis=1) <= 1e-6 * (1.0 + np.abs(z).max())).any()) for z in want
    )


def gained(rng, kind, gain):
    """A random shallow network or PLRNN of 2 or 3 states whose weights multiply to about `gain`."""
    import retime as rt

    n, q = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    if kind == "plrnn":
        return rt.PLRNN(
            np.round(rng.uniform(-0.9, 0.9, n), 1), np.round(rng.normal(size=(n, n)), 1) * gain, rng.normal(size=n)
        )
    if kind == "dyadic":
        W1, W2 = rng.integers(-8, 9, (n, q)) * gain, rng.integers(-8, 9, (q, n)) / 8.0
        return rt.ShallowPLRNN(
            rng.integers(-7, 8, n) / 8.0, W1, W2, rng.integers(-8, 9, n) / 8.0, rng.integers(-8, 9, q) / 8.0
        )
    share = [1.0, np.sqrt(gain), gain][int(rng.integers(3))]
    W1, W2 = np.round(rng.normal(size=(n, q)), 1) * (gain / share), np.round(rng.normal(size=(q, n)), 1) * share
    return rt.ShallowPLRNN(np.round(rng.uniform(-0.9, 0.9, n), 1), W1, W2, rng.normal(size=n), rng.normal(size=q))

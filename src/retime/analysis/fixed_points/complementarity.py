"""All solutions of a piecewise-affine equation: a complementarity problem searched by branch and bound, in parallel.

Fixed points of maps, equilibria of flows and cycles of a given period are all of the form

    L z = W1 relu(a) + h1,    a = W2 z + h2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm
from retime.core.time import TimeBase
from retime.core.tolerances import EPS

DUST = 2.0**-44  # entries this small, relative to the largest of a balanced problem, do not set the scale


@dataclass(frozen=True, eq=False)
class Complementarity:
    """L z = W1 relu(a) + h1, a = W2 z + h2, with z `(N,)` and a `(Q,)`.

    Attributes:
        L `(N, N)`, W1 `(N, Q)`, W2 `(Q, N)`, h1 `(N,)`, h2 `(Q,)`.
        low `(N, N)`: what rounding left out of L = I - A. rate: of a flow, in whose units residuals are judged; 1 for a map.
    """

    L: Array
    W1: Array
    W2: Array
    h1: Array
    h2: Array
    low: Any = None
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.low is None:
            object.__setattr__(self, "low", np.zeros_like(self.L))

    @classmethod
    def of_points(cls, form: PiecewiseAffineForm, s: Array, time: TimeBase) -> Complementarity:
        """z = F(z, s) of a map, or 0 = F(z, s) of a flow, with a constant input s `(m,)`."""
        h1, h2 = form.h1 + form.C1 @ s, form.h2 + form.C2 @ s
        L, low = _parted(time.neutral * np.eye(form.num_states), form.A)
        return cls(L, form.W1, form.W2, h1, h2, low, time.scale(rate_of(form)))

    @classmethod
    def of_cycles(cls, form: PiecewiseAffineForm, s: Array, period: int) -> Complementarity:
        """z_1 = F(z_period), z_2 = F(z_1), ...: all cycles whose period divides `period`, stacked in one state."""
        one, turn = np.eye(period), np.roll(np.eye(period), 1, axis=0)
        A, h1, h2 = np.kron(turn, form.A), form.h1 + form.C1 @ s, form.h2 + form.C2 @ s
        W1, W2 = np.kron(turn, form.W1), np.kron(one, form.W2)
        L, low = _parted(np.eye(len(A)), A)
        return cls(L, W1, W2, np.tile(h1, period), np.tile(h2, period), low)

    def region(self, d: Array) -> tuple[Array, Array]:
        """Matrix `(N, N)` and right-hand side `(N,)` of the linear equation of pattern d `(Q,)`."""
        W = self.W1 * d
        return self.L - W @ self.W2, W @ self.h2 + self.h1

    def rounding(self, d: Array) -> tuple[Array, Array]:
        """Bounds `(N, N)` and `(N,)` of the errors that rounding makes in `region`."""
        W, unit = np.abs(self.W1) * d, (len(d) + 2) * EPS
        return unit * (np.abs(self.L) + W @ np.abs(self.W2)), unit * (W @ np.abs(self.h2) + np.abs(self.h1))

    @cached_property
    def deciding(self) -> Array:
        """The units whose sign has any effect; the others are read off at the end."""
        return np.flatnonzero(np.abs(self.W1).max(axis=0, initial=0.0) > 0.0)

    def balanced(self) -> tuple[Complementarity, Array, Array]:
        """The same problem in other units, and the factors `(N,)`, `(Q,)` that turn its z and a into ours: powers of two, so nothing is rounded.

        Rows, states, units (relu(c a) = c relu(a)) and offsets are scaled so that the logarithms of all entries are as small as possible in
        the sense of least squares: a network written in other units gives the same balanced problem.
        """
        found = self._in_units(*[x != 0 for x in self._blocks()])
        problem = found[0]
        sizes = [np.abs(x) for x in problem._blocks()]
        least = DUST * max(float(x.max(initial=0.0)) for x in sizes[:3])
        if any(((x > 0) & (x < least)).any() for x in sizes[:3]):  # rounding of zeros must not set the scale
            return self._in_units(*[x >= least for x in sizes[:3]], *[x > 0 for x in sizes[3:]])
        return found

    def _blocks(self) -> tuple[Array, ...]:
        return self.L, self.W1, self.W2, self.h1[:, None], self.h2[:, None]

    def _in_units(self, *on: Array) -> tuple[Complementarity, Array, Array]:
        """The problem scaled by the entries of each block that are `on`."""
        N, Q = self.W1.shape
        logs = [np.log2(np.where(m, np.abs(x), 1.0)) for m, x in zip(on, self._blocks(), strict=True)]
        L, W1, W2, h1, h2 = (m.astype(float) for m in on)
        H = np.zeros((2 * N + Q + 1, 2 * N + Q + 1))  # unknowns: rows, states, units, offsets
        r, z, a, t = slice(0, N), slice(N, 2 * N), slice(2 * N, 2 * N + Q), slice(2 * N + Q, None)
        H[r, z], H[r, a], H[r, t], H[z, a], H[a, t] = L, W1, h1, -W2.T, -h2
        H += H.T
        H[np.diag_indices_from(H)] = np.abs(H).sum(axis=1)
        g = np.concatenate(
            [
                logs[0].sum(1) + logs[1].sum(1) + logs[3][:, 0],
                logs[0].sum(0) + logs[2].sum(0),
                logs[1].sum(0) - logs[2].sum(1) - logs[4][:, 0],
                [logs[3].sum() + logs[4].sum()],
            ]
        )
        u = np.round(np.linalg.solve(H + 1e-9 * np.eye(len(H)), -g))
        rows, states, units, offset = 2.0 ** u[r], 2.0 ** u[z], 2.0 ** u[a], float(2.0 ** u[-1])
        problem = Complementarity(
            rows[:, None] * self.L * states, rows[:, None] * self.W1 * units, self.W2 * states / units[:, None],
            rows * self.h1 * offset, self.h2 * offset / units, rows[:, None] * self.low * states,
        )  # fmt: skip
        return problem, states / offset, units / offset

    @cached_property
    def extent(self) -> Array:
        """The size of the states `(N,)` that the offsets cause where all units are off, and where all are on."""
        largest = np.zeros(len(self.h1))
        for d in (np.zeros(len(self.h2)), np.ones(len(self.h2))):
            M, c = self.region(d)
            rows, columns = scales(M)
            z = columns * np.linalg.lstsq(rows[:, None] * M * columns, rows * c, rcond=1e-10)[0]
            largest = np.maximum(largest, np.where(np.isfinite(z), np.abs(z), 0.0))
        return largest

    @property
    def is_homogeneous(self) -> bool:
        """Whether there are units but no offsets: z = 0 solves it in every region, other solutions are rays."""
        return len(self.h2) > 0 and not self.h1.any() and not self.h2.any()


def _parted(one: Array, A: Array) -> tuple[Array, Array]:
    """L = one - A rounded, and what the rounding left out (exactly: Knuth's sum of two numbers)."""
    L = one - A
    part = L - one
    return L, (one - (L - part)) + (-A - part)


def rate_of(form: PiecewiseAffineForm) -> float:
    """The size of a flow's rates, 1 / model time: of its leak; where that is smaller than 1, of its weights up to 1."""
    leak = float(np.abs(form.A).max(initial=0.0))
    weights = float((np.abs(form.W1) @ np.abs(form.W2)).max(initial=0.0))
    return max(leak, min(1.0, weights)) or 1.0


def scales(M: Array) -> tuple[Array, Array]:
    """Powers of two that bring the largest entry of every row, then of every column, to about 1; 1 for empty ones."""
    rows = to_one(np.abs(M).max(axis=1, initial=0.0))
    return rows, to_one(np.abs(rows[:, None] * M).max(axis=0, initial=0.0))


def to_one(sizes: Array) -> Array:
    """Powers of two that bring sizes `(k,)` to about 1; 1 for zeros."""
    return 2.0 ** -np.round(np.log2(np.where(sizes > 0, sizes, 1.0)))

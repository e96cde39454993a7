"""Loss of continuous piecewise-linear networks under teacher forcing in time, and its gradient, through the exact flow: see `flow_kernels`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.learn.adjoint import BLOCK, NEAR
from retime.learn.flow_bound import largest_norm
from retime.learn.flow_kernels import DIVERGED, FULL, carry_back, follow
from retime.learn.flow_records import Data, Kept, Net, Scratch, Sums
from retime.learn.lanes import LANES, aligned
from retime.learn.windows import Windows
from retime.simulation.roots import DEGREE, DEPTH

REACH = 2.0  # longest theta of a pass: rounding grows at most like its exponential
MOST_PASSES = 64  # per sample; a network that needs more has run away


@dataclass
class FlowAdjoint:
    """Room for sixteen orbits of T intervals.

    Args:
        n: states. P: ReLU units, the last ones. N: observed states, the first ones. T: intervals. dtype: of all arrays but times.
    """

    n: int
    P: int
    N: int
    T: int
    dtype: Any

    def __post_init__(self) -> None:
        self.rows = -(-self.n // 4) * 4
        self._size = self.T + self.T // 2 + 16
        self._made: Any = None
        self._offsets: dict[int, Array] = {}
        self.scratch = _scratch(self.rows, self.dtype)
        self._ones = np.ones(LANES, self.dtype)

    def gradient(
        self, A: Array, W: Array, C: Array, h: Array, z0: Array, w: Windows, spans: Array
    ) -> tuple[float, Array, Array, Array, Array, Array]:
        """Loss, and its derivatives by A `(n,)`, W `(n, n)`, C `(n, m)`, h `(n,)` and z0 `(n, 16)`; of a run that left, inf and zeros.

        spans: `(T, 16)`, >= 0, lengths of the intervals; inputs are held over each.
        """
        net, s, n = self._net(A, W), w.inputs[:, :-1], self.n
        held = self._offset(C, h, s), np.ascontiguousarray(spans, dtype=np.float64)
        data = Data(w.forced, w.strength, w.wanted, w.weight, *held)
        kept, count = self._followed(net, data, z0)
        sums, ones, loss = self._sums._replace(by_offset=data.offset), self._ones, float(self.scratch.loss.sum())
        if count < 0 or not carry_back(net, kept, count, sums, self.scratch) or not math.isfinite(loss):
            zeros: Any = [np.zeros_like(a) for a in (A, W, C, h, z0)]
            return math.inf, zeros[0], zeros[1], zeros[2], zeros[3], zeros[4]
        l = sums.by_offset[:n] if self.T > 1 and len(s) else sums.H[:n, None]
        dW, dh = (sums.D @ ones)[:n, :n], (l @ ones).sum(axis=1)
        dC = np.tensordot(l, s, axes=([1, 2], [1, 2])) if len(s) else np.zeros_like(C)
        return loss, np.diagonal(dW) + (sums.off @ ones)[:n], dW, dC, dh, self.scratch.z[:n].copy()

    def end(self, A: Array, W: Array, C: Array, h: Array, z0: Array, s: Array, spans: Array) -> Array:
        """States `(n, 16)` after all intervals, without forcing; s `(m, T, 16)`. NaN of a run that left."""
        free = np.zeros((self.N, self.T + 1, LANES), self.dtype)
        data = Data(free, free, free, free, self._offset(C, h, s), np.ascontiguousarray(spans, dtype=np.float64))
        count = self._followed(self._net(A, W), data, z0)[1]
        return self.scratch.z[: self.n].copy() if count >= 0 else np.full_like(z0, np.nan)

    def _offset(self, C: Array, h: Array, s: Array) -> Array:
        """h + C s `(rows, 1 or T, 16)`."""
        size = self.T if len(s) else 1
        if size not in self._offsets:
            self._offsets[size] = aligned((self.rows, size, LANES), self.dtype)
        offset = self._offsets[size]
        offset[: self.n] = h[:, None, None]
        if len(s):
            offset[: self.n] += np.tensordot(C, s, axes=1)
        return offset

    def _net(self, A: Array, W: Array) -> Net:
        wide, square = np.zeros(self.rows, self.dtype), np.zeros((self.rows, self.rows), self.dtype)
        wide[: self.n], square[: self.n, : self.n] = A, W
        limits = np.array([max(largest_norm(A, W, self.P), 1e-30), REACH, np.finfo(self.dtype).eps])
        return Net(wide, square, np.ascontiguousarray(square.T), np.array([self.n, self.P, self.N]), limits)

    def _followed(self, net: Net, data: Data, z0: Array) -> tuple[Kept, int]:
        """What is kept of the passes, with room for them, and their number."""
        longest = min(REACH, float(net.limits[0] * data.spans.max()))
        most = MOST_PASSES * self.T + 1024
        while True:
            kept, w = self._room(_order(longest, self.dtype)), self.scratch
            w.z[:], w.on[:], w.ones[:] = 0.0, 1.0, 1.0
            w.z[: self.n] = z0
            count = follow(net, data, kept, w) if math.isfinite(longest) else DIVERGED
            if count != FULL or self._size >= most:
                return kept, count
            self._size = min(2 * self._size, most)

    def _room(self, order: int) -> Kept:
        if (self._size, order) != self._made:
            self._made, S, kind = (self._size, order), self._size, self.dtype
            shape = (S, order, -(-self.n // BLOCK) * BLOCK, LANES)
            some, (_, m, wide, _) = max(NEAR // order, 1), shape
            parts: Any = [(some, m, wide, LANES), (wide, wide, LANES), (wide, LANES), (self.rows, LANES), (0, 0, LANES)]
            self._sums = Sums(*[aligned(a, kind) for a in parts])
            by_state, passes = (aligned((S, self.N, LANES), kind) for _ in range(2))
            on, interval = aligned((S, self.rows, LANES), kind), np.empty((S, LANES), np.int64)
            forward, backward = (a.astype(kind) for a in _rules(order))
            tau, Y = aligned((S, LANES), kind), aligned(shape, kind)
            self._kept = Kept(tau, on, interval, by_state, passes, Y, forward, backward)
        return self._kept


def _order(theta: float, dtype: Any) -> int:
    """Nodes of Gauss's rule whose error, for the product of two series of a step theta, is below rounding."""
    for m in range(2, 12):
        error = math.factorial(m) ** 4 / ((2 * m + 1) * float(math.factorial(2 * m)) ** 3) * (2 * theta) ** (2 * m)
        if error <= np.finfo(dtype).eps:
            return m
    return 12


def _rules(order: int) -> tuple[Array, Array]:
    """Shares of the coefficients in states at the nodes, forward and backward: see `Kept`."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    k = np.arange(DEGREE + 1)
    x, ones = (nodes[:, None] + 1) / 2, np.ones((1, len(k)))
    return np.vstack([x**k, ones]), np.vstack([weights[:, None] / 2 * (1 - x) ** k, ones])


def _scratch(rows: int, dtype: Any) -> Scratch:
    c, p = (aligned((k, rows, LANES), dtype) for k in (DEGREE + 1, 2))
    states, lanes = ([aligned((k, LANES), dtype) for _ in range(c)] for k, c in ((rows, 4), (1, 4)))
    norms, whole = aligned((DEGREE + 1, LANES), dtype), [np.zeros(LANES, np.int64) for _ in range(2)]
    roots = np.zeros(DEGREE + 1), np.zeros((DEPTH + 2, DEGREE + 1)), np.zeros((2, DEPTH + 2))
    parts: Any = [c, p, *states, *(v[0] for v in lanes), norms, np.zeros(LANES), np.zeros(LANES), *whole, *roots]
    return Scratch(*parts)

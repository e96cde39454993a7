"""Loss and gradient of almost-linear networks under teacher forcing, by hand: one pass forward, one back, for sixteen sequences at a time.

    y_t = z_t + f_t (x_t - z_t) in the first N states, z_{t+1} = A y_t + W phi(y_t) + h,   L = sum_t mean (z_{t+1} - x_{t+1})^2 / T

phi passes the last P states through the ReLU. With l_t = dL/dz_t,

    dL/dy_t = A l_{t+1} + phi'(y_t) W^T l_{t+1},   l_t = (1 - f_t) dL/dy_t + 2 (z_t - x_t) / (N T b) in the first N states
    dL/dW = sum l_{t+1} phi(y_t)^T,   dL/dA = sum l_{t+1} y_t,   dL/dh = sum l_{t+1}

Arrays have the sequences last, so that one instruction acts on several of them; W acts four rows at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel

LANES = 16  # sequences at a time
ROWS = 4  # of W at a time: states are filled up with zeros to a multiple


@kernel
def run_forward(A: Array, W: Array, h: Array, low: Array, x: Array, f: Array, Z: Array, Y: Array, F: Array) -> None:
    """Z `(n, T + 1, 16)` from Z[:, 0]; Y, F `(n, T, 16)`: forced states and phi of them. x, f `(N, T + 1, 16)`.

    low `(n,)`: slope of phi below zero, 1 for linear states and 0 for ReLU units.
    """
    n, T, N, zero = Y.shape[0], Y.shape[1], x.shape[0], h.dtype.type(0)
    for t in range(T):
        for i in range(n):
            for b in range(16):
                Y[i, t, b] = Z[i, t, b]
        for i in range(N):
            for b in range(16):
                Y[i, t, b] += f[i, t, b] * (x[i, t, b] - Z[i, t, b])
        for i in range(n):
            a, c, slope = A[i], h[i], low[i]
            for b in range(16):
                y = Y[i, t, b]
                F[i, t, b] = y if y > zero else slope * y
                Z[i, t + 1, b] = a * y + c
        for j in range(n):
            for i in range(0, n, 4):
                w0, w1, w2, w3 = W[i, j], W[i + 1, j], W[i + 2, j], W[i + 3, j]
                for b in range(16):
                    p = F[j, t, b]
                    Z[i, t + 1, b] += w0 * p
                    Z[i + 1, t + 1, b] += w1 * p
                    Z[i + 2, t + 1, b] += w2 * p
                    Z[i + 3, t + 1, b] += w3 * p


@kernel
def run_back(
    A: Array,
    W: Array,
    low: Array,
    x: Array,
    f: Array,
    weight: Array,
    Z: Array,
    Y: Array,
    G: Array,
    state: Array,
    sums: Array,
) -> float:
    """Sum of weight (z - x)^2; G `(n, T, 16)`: dL/dz_{t+1}; state `(n, 16)`: dL/dz_0; sums `(2, n, 16)`: dL/dA and dL/dh of each sequence."""
    n, T, N, zero, two = Y.shape[0], Y.shape[1], x.shape[0], A.dtype.type(0), A.dtype.type(2)
    loss = 0.0
    for i in range(n):
        for b in range(16):
            state[i, b] = sums[0, i, b] = sums[1, i, b] = zero
    for t in range(T - 1, -1, -1):
        for i in range(n):
            for b in range(16):
                G[i, t, b] = state[i, b]
        for i in range(N):
            for b in range(16):
                e = Z[i, t + 1, b] - x[i, t + 1, b]
                g = weight[i, t + 1, b] * e
                loss += g * e
                G[i, t, b] += two * g
        for i in range(n):
            for b in range(16):
                sums[0, i, b] += G[i, t, b] * Y[i, t, b]
                sums[1, i, b] += G[i, t, b]
                state[i, b] = zero
        for i in range(n):
            for j in range(0, n, 4):
                w0, w1, w2, w3 = W[i, j], W[i, j + 1], W[i, j + 2], W[i, j + 3]
                for b in range(16):
                    g = G[i, t, b]
                    state[j, b] += w0 * g
                    state[j + 1, b] += w1 * g
                    state[j + 2, b] += w2 * g
                    state[j + 3, b] += w3 * g
        for j in range(n):
            a, slope = A[j], low[j]
            for b in range(16):
                kept = state[j, b] if Y[j, t, b] > zero else slope * state[j, b]
                state[j, b] = kept + a * G[j, t, b]
        for j in range(N):
            for b in range(16):
                state[j, b] -= f[j, t, b] * state[j, b]
    return loss


@dataclass
class Adjoint:
    """Room for sequences of one shape.

    Args:
        n: states. P: ReLU units, the last ones. N: observed states, the first ones. T: steps. dtype: of all arrays.
    """

    n: int
    P: int
    N: int
    T: int
    dtype: Any

    def __post_init__(self) -> None:
        self.rows = -(-self.n // ROWS) * ROWS
        shape = (self.rows, self.T, LANES)
        self.Y, self.F, self.G = (np.zeros(shape, self.dtype) for _ in range(3))
        self.Z = np.zeros((self.rows, self.T + 1, LANES), self.dtype)
        self.state, self.sums = np.zeros((self.rows, LANES), self.dtype), np.zeros((2, self.rows, LANES), self.dtype)
        self.A, self.h = np.zeros(self.rows, self.dtype), np.zeros(self.rows, self.dtype)
        self.W, self.low = np.zeros((self.rows, self.rows), self.dtype), np.ones(self.rows, self.dtype)
        self.low[self.n - self.P : self.n] = 0.0

    def gradient(
        self, A: Array, W: Array, h: Array, z0: Array, forced: Array, x: Array, f: Array, weight: Array
    ) -> tuple[float, Array, Array, Array, Array]:
        """Loss, and its derivatives by A `(n,)`, W `(n, n)`, h `(n,)` and z0 `(n, 16)`.

        forced: data that force `(N, T + 1, 16)`. x: data that are wanted, f: forcing, weight: of each squared error, of that shape.
        """
        n = self.n
        self.A[:n], self.h[:n], self.W[:n, :n], self.Z[:n, 0] = A, h, W, z0
        run_forward(self.A, self.W, self.h, self.low, forced, f, self.Z, self.Y, self.F)
        loss = run_back(self.A, self.W, self.low, x, f, weight, self.Z, self.Y, self.G, self.state, self.sums)
        dW = self.G.reshape(self.rows, -1) @ self.F.reshape(self.rows, -1).T
        dA, dh = self.sums.sum(axis=2)
        return loss, dA[:n], dW[:n, :n], dh[:n], self.state[:n]

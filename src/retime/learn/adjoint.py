"""Loss and gradient of almost-linear networks under teacher forcing, by hand: one pass forward, one back, for sixteen windows at a time.

    y_t = z_t + f_t (x_t - z_t) in the first N states, z_{t+1} = A y_t + W phi(y_t) + C s_t + h,   L = sum_t sum w_t (z_t - x_t)^2

phi passes the last P states through the ReLU. With l_t = dL/dz_t,

    dL/dy_t = A l_{t+1} + phi'(y_t) W^T l_{t+1},   l_t = (1 - f_t) dL/dy_t + 2 w_t (z_t - x_t) in the first N states
    dL/d[W C] = sum l_{t+1} [phi(y_t) s_t]^T,   dL/dA = sum l_{t+1} y_t,   dL/dh = sum l_{t+1}

Derived in docs/theory/learning.md. Arrays have the windows last, so that one instruction acts on several of them; a product takes five
columns at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.learn.lanes import LANES, add, load, multiply, multiply_add, spread, store, subtract, where_positive
from retime.learn.windows import Windows

COLUMNS = 5  # of a matrix at a time: they are filled up with zeros to a multiple


@subroutine
def add_product(M: Array, p: Array, out: Array) -> None:
    """out `(r, 16)` += M `(r, c)` p `(c, 16)`, c a multiple of five."""
    for j in range(0, p.shape[0], 5):
        p0, p1, p2, p3, p4 = load(p, j), load(p, j + 1), load(p, j + 2), load(p, j + 3), load(p, j + 4)
        for i in range(out.shape[0]):
            v = multiply_add(spread(M[i, j]), p0, load(out, i))
            v = multiply_add(spread(M[i, j + 1]), p1, v)
            v = multiply_add(spread(M[i, j + 2]), p2, v)
            v = multiply_add(spread(M[i, j + 3]), p3, v)
            store(out, i, multiply_add(spread(M[i, j + 4]), p4, v))


@kernel
def run_forward(
    A: Array,
    WC: Array,
    h: Array,
    low: Array,
    x: Array,
    f: Array,
    s: Array,
    z: Array,
    p: Array,
    F: Array,
    Y: Array,
    Z: Array,
) -> None:
    """From z `(n, 16)`, which is overwritten: F `(n + m, T, 16)`, phi of forced states and inputs; Y `(P, T, 16)`, the last forced states
    before the ReLU; Z `(N, T + 1, 16)`, observed states. WC `(n, c)`, p `(c, 16)`: room. x, f `(N, T + 1, 16)`, s `(m, T + 1, 16)`.

    low `(n,)`: slope of phi below zero, 1 for linear states and 0 for ReLU units.
    """
    n, T, N, m = z.shape[0], F.shape[1], x.shape[0], s.shape[0]
    before, rows = n - Y.shape[0], F.shape[1] + 1
    for i in range(N):
        store(Z, i * rows, load(z, i))
    for t in range(T):
        for i in range(N):
            free = load(z, i)
            store(z, i, multiply_add(load(f, i * rows + t), subtract(load(x, i * rows + t), free), free))
        for i in range(before, n):
            store(Y, (i - before) * T + t, load(z, i))
        for i in range(n):
            y = load(z, i)
            phi = where_positive(y, y, multiply(spread(low[i]), y))
            store(F, i * T + t, phi)
            store(p, i, phi)
            store(z, i, multiply_add(spread(A[i]), y, spread(h[i])))
        for i in range(m):
            drive = load(s, i * rows + t)
            store(F, (n + i) * T + t, drive)
            store(p, n + i, drive)
        add_product(WC, p, z)
        for i in range(N):
            store(Z, i * rows + t + 1, load(z, i))


@kernel
def run_back(
    A: Array,
    WT: Array,
    x: Array,
    f: Array,
    weight: Array,
    F: Array,
    Y: Array,
    Z: Array,
    g: Array,
    G: Array,
    l: Array,
    sums: Array,
) -> None:
    """G `(n, T, 16)`: dL/dz_{t+1}; l `(n, 16)`: dL/dz_0; sums `(2 n + 1, 16)`: dL/dA, dL/dh and loss of each window.

    WT `(n, c)`: W transposed; g `(c, 16)`: room.
    """
    n, T, N, nothing, two = l.shape[0], G.shape[1], x.shape[0], spread(A.dtype.type(0)), spread(A.dtype.type(2))
    before, rows, loss = n - Y.shape[0], T + 1, nothing
    for i in range(n):
        store(l, i, nothing)
        store(sums, i, nothing)
        store(sums, n + i, nothing)
    for t in range(T - 1, -1, -1):
        for i in range(N):
            at = i * rows + t + 1
            e = subtract(load(Z, at), load(x, at))
            w = multiply(load(weight, at), e)
            loss = multiply_add(w, e, loss)
            store(l, i, multiply_add(two, w, load(l, i)))
        for i in range(n):
            v = load(l, i)
            y = load(F, i * T + t) if i < before else load(Y, (i - before) * T + t)
            store(sums, i, multiply_add(v, y, load(sums, i)))
            store(sums, n + i, add(load(sums, n + i), v))
            store(G, i * T + t, v)
            store(g, i, v)
            store(l, i, nothing)
        add_product(WT, g, l)
        for i in range(before):
            store(l, i, multiply_add(spread(A[i]), load(g, i), load(l, i)))
        for i in range(before, n):
            kept = where_positive(load(Y, (i - before) * T + t), load(l, i), nothing)
            store(l, i, multiply_add(spread(A[i]), load(g, i), kept))
        for i in range(N):
            v = load(l, i)
            store(l, i, subtract(v, multiply(load(f, i * rows + t), v)))
    store(sums, 2 * n, loss)


@dataclass
class Adjoint:
    """Room for windows of one shape.

    Args:
        n: states. P: ReLU units, the last ones. N: observed states, the first ones. m: inputs. T: steps. dtype: of all arrays.
    """

    n: int
    P: int
    N: int
    m: int
    T: int
    dtype: Any

    def __post_init__(self) -> None:
        n, T, columns = self.n, self.T, -(-(self.n + self.m) // COLUMNS) * COLUMNS
        rows = -(-n // COLUMNS) * COLUMNS
        shapes = {
            "F": (n + self.m, T, LANES), "G": (n, T, LANES), "Y": (self.P, T, LANES), "Z": (self.N, T + 1, LANES),
            "z": (n, LANES), "l": (n, LANES), "p": (columns, LANES), "g": (rows, LANES), "sums": (2 * n + 1, LANES),
            "WC": (n, columns), "WT": (n, rows),
        }  # fmt: skip
        self.room = {k: np.zeros(shape, self.dtype) for k, shape in shapes.items()}
        self.low = np.ones(n, self.dtype)
        self.low[n - self.P :] = 0.0

    def gradient(
        self, A: Array, W: Array, C: Array, h: Array, z0: Array, windows: Windows
    ) -> tuple[float, Array, Array, Array, Array, Array]:
        """Loss, and its derivatives by A `(n,)`, W `(n, n)`, C `(n, m)`, h `(n,)` and z0 `(n, 16)`, of sixteen windows."""
        n, r, w = self.n, self.room, windows
        r["WC"][:, :n], r["WC"][:, n : n + self.m], r["WT"][:, :n], r["z"][:] = W, C, W.T, z0
        run_forward(A, r["WC"], h, self.low, w.forced, w.strength, w.inputs, r["z"], r["p"], r["F"], r["Y"], r["Z"])
        run_back(
            A, r["WT"], w.wanted, w.strength, w.weight, r["F"], r["Y"], r["Z"], r["g"], r["G"], r["l"], r["sums"]
        )  # fmt: skip
        dWC = r["G"].reshape(n, -1) @ r["F"].reshape(n + self.m, -1).T
        sums = r["sums"].sum(axis=1)
        return float(sums[-1]), sums[:n], dWC[:, :n], dWC[:, n:], sums[n:-1], r["l"]

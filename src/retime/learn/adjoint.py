"""Loss and gradient of almost-linear networks under teacher forcing, by hand: one pass forward, one back, for sixteen windows at a time.

    y_t = z_t + f_t (x_t - z_t) in the first N states, z_{t+1} = A y_t + W phi(y_t) + C s_t + h,   L = sum_t sum w_t (z_t - x_t)^2

phi passes the last P states through the ReLU. With l_t = dL/dz_t,

    dL/dy_t = A l_{t+1} + phi'(y_t) W^T l_{t+1},   l_t = (1 - f_t) dL/dy_t + 2 w_t (z_t - x_t) in the first N states
    dL/d[W C] = sum l_{t+1} [phi(y_t) s_t]^T,   dL/dA = sum l_{t+1} y_t,   dL/dh = sum l_{t+1}

Derived in docs/theory/learning.md. Arrays have the windows last, so that one instruction acts on several of them, and of what is kept the
time first, so that memory is read in order; they begin where a line of the cache does. Products take five columns at a time, and the sum
over time of l phi^T blocks of five by five where a register holds sixteen numbers, else of one by five, which stay in registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite.binding import get_host_cpu_features

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.learn.lanes import (
    LANES,
    add,
    aligned,
    load,
    multiply,
    multiply_add,
    spread,
    store,
    subtract,
    where_positive,
)
from retime.learn.windows import Windows

IS_WIDE = bool(
    get_host_cpu_features().get("avx512f")
)  # a register holds sixteen numbers in single precision, and there are 32
NEAR = 50 if IS_WIDE else 25  # times at which arrays stay near the processor while all blocks are summed
BLOCK = 5  # rows and columns of a matrix at a time: they are filled up with zeros to a multiple


@subroutine
def add_product(M: Array, p: Array, first: int, out: Array) -> None:
    """out `(r, 16)` += M `(r, c)` p, p the c rows of 16 from `first` on, c a multiple of five."""
    for j in range(0, M.shape[1], 5):
        k = first + j
        p0, p1, p2, p3, p4 = load(p, k), load(p, k + 1), load(p, k + 2), load(p, k + 3), load(p, k + 4)
        for i in range(out.shape[0]):
            v = multiply_add(spread(M[i, j]), p0, load(out, i))
            v = multiply_add(spread(M[i, j + 1]), p1, v)
            v = multiply_add(spread(M[i, j + 2]), p2, v)
            v = multiply_add(spread(M[i, j + 3]), p3, v)
            store(out, i, multiply_add(spread(M[i, j + 4]), p4, v))


@kernel
def run_forward(
    A: Array, WC: Array, h: Array, low: Array, x: Array, f: Array, s: Array, z: Array, F: Array, Y: Array, Z: Array
) -> None:
    """From z `(n, 16)`, which is overwritten: F `(T, c, 16)`, phi of forced states, inputs, zeros; Y `(T, P, 16)`, the last forced states
    before the ReLU; Z `(T + 1, N, 16)`, observed states. WC `(n, c)`. x, f `(N, T + 1, 16)`, s `(m, T + 1, 16)`.

    low `(n,)`: slope of phi below zero, 1 for linear states and 0 for ReLU units.
    """
    n, T, N, m = z.shape[0], F.shape[0], x.shape[0], s.shape[0]
    P, c, rows = Y.shape[1], F.shape[1], F.shape[0] + 1
    for i in range(N):
        store(Z, i, load(z, i))
    for t in range(T):
        for i in range(N):
            free = load(z, i)
            store(z, i, multiply_add(load(f, i * rows + t), subtract(load(x, i * rows + t), free), free))
        for i in range(n - P, n):
            store(Y, t * P + i - (n - P), load(z, i))
        for i in range(n):
            y = load(z, i)
            store(F, t * c + i, where_positive(y, y, multiply(spread(low[i]), y)))
            store(z, i, multiply_add(spread(A[i]), y, spread(h[i])))
        for i in range(m):
            store(F, t * c + n + i, load(s, i * rows + t))
        add_product(WC, F, t * c, z)
        for i in range(N):
            store(Z, (t + 1) * N + i, load(z, i))


@kernel
def run_back(
    A: Array, WT: Array, x: Array, f: Array, weight: Array, Y: Array, Z: Array, G: Array, l: Array, sums: Array
) -> None:
    """G `(T, r, 16)`: dL/dz_{t+1}, zeros below; l `(n, 16)`: dL/dz_0; sums `(P + 1, 16)`: dL/dA of the ReLU units, and loss, of each window.

    WT `(n, r)`: W transposed.
    """
    n, T, N, nothing, two = l.shape[0], G.shape[0], x.shape[0], spread(A.dtype.type(0)), spread(A.dtype.type(2))
    P, r, rows, loss = Y.shape[1], G.shape[1], G.shape[0] + 1, nothing
    for i in range(n):
        store(l, i, nothing)
    for i in range(P):
        store(sums, i, nothing)
    for t in range(T - 1, -1, -1):
        for i in range(N):
            at = i * rows + t + 1
            e = subtract(load(Z, (t + 1) * N + i), load(x, at))
            w = multiply(load(weight, at), e)
            loss = multiply_add(w, e, loss)
            store(l, i, multiply_add(two, w, load(l, i)))
        for i in range(n):
            store(G, t * r + i, load(l, i))
            store(l, i, nothing)
        add_product(WT, G, t * r, l)
        for i in range(n - P):
            store(l, i, multiply_add(spread(A[i]), load(G, t * r + i), load(l, i)))
        for i in range(n - P, n):
            k = i - (n - P)
            y, v = load(Y, t * P + k), load(G, t * r + i)
            store(sums, k, multiply_add(v, y, load(sums, k)))
            store(l, i, multiply_add(spread(A[i]), v, where_positive(y, load(l, i), nothing)))
        for i in range(N):
            v = load(l, i)
            store(l, i, subtract(v, multiply(load(f, i * rows + t), v)))
    store(sums, P, loss)


@subroutine
def _five(
    G: Array, k: int, f0: Any, f1: Any, f2: Any, f3: Any, f4: Any, a0: Any, a1: Any, a2: Any, a3: Any, a4: Any
) -> Any:
    """Five sums, each with row k of G times its factor more."""
    g = load(G, k)
    return (
        multiply_add(g, f0, a0), multiply_add(g, f1, a1), multiply_add(g, f2, a2), multiply_add(g, f3, a3), multiply_add(g, f4, a4)
    )  # fmt: skip


@subroutine
def _write(D: Array, k: int, a0: Any, a1: Any, a2: Any, a3: Any, a4: Any) -> None:
    """Add to five rows from k on."""
    store(D, k, add(load(D, k), a0))
    store(D, k + 1, add(load(D, k + 1), a1))
    store(D, k + 2, add(load(D, k + 2), a2))
    store(D, k + 3, add(load(D, k + 3), a3))
    store(D, k + 4, add(load(D, k + 4), a4))


@kernel
def sum_products(G: Array, F: Array, D: Array, H: Array) -> None:
    """D `(r, c, 16)`: sums over time of G_t `(r, 16)` times F_t `(c, 16)` for each window, H `(r, 16)`: of G_t; r, c multiples of five."""
    r, c, nothing = G.shape[1], F.shape[1], spread(G.dtype.type(0))
    for k in range(r * c):
        store(D, k, nothing)
    for i in range(r):
        store(H, i, nothing)
    for first in range(0, len(G), NEAR):
        add_products(G, first * r, F, first * c, min(NEAR, len(G) - first), D, H)


@subroutine
def add_products(G: Array, g: int, F: Array, f: int, count: int, D: Array, H: Array) -> None:
    """What so many times add to them, from rows g and f on."""
    r = len(D)
    if IS_WIDE:
        add_in_blocks(G, g, F, f, count, D)
    else:
        add_in_rows(G, g, F, f, count, D)
    for i in range(r):
        total = load(H, i)
        for t in range(count):
            total = add(total, load(G, g + t * r + i))
        store(H, i, total)


@subroutine
def add_in_rows(G: Array, g: int, F: Array, f: int, count: int, D: Array) -> None:
    """D, in blocks of two by three and two by two; the last of an odd number of rows by itself."""
    r, c = D.shape[0], D.shape[1]
    for i in range(0, r - 1, 2):
        for j in range(0, c, 5):
            _two_by_three(G, g + i, F, f + j, count, D, i * c + j)
            _two_by_two(G, g + i, F, f + j + 3, count, D, i * c + j + 3)
    for i in range(r - r % 2, r):
        for j in range(c):
            a = load(D, i * c + j)
            for t in range(count):
                a = multiply_add(load(G, g + t * r + i), load(F, f + t * c + j), a)
            store(D, i * c + j, a)


@subroutine
def _two_by_three(G: Array, g: int, F: Array, f: int, count: int, D: Array, k: int) -> None:
    r, c, nothing = D.shape[0], D.shape[1], spread(G.dtype.type(0))
    a0 = a1 = a2 = b0 = b1 = b2 = nothing
    for t in range(count):
        x, y, at = load(G, g + t * r), load(G, g + t * r + 1), f + t * c
        z = load(F, at)
        a0, b0 = multiply_add(x, z, a0), multiply_add(y, z, b0)
        z = load(F, at + 1)
        a1, b1 = multiply_add(x, z, a1), multiply_add(y, z, b1)
        z = load(F, at + 2)
        a2, b2 = multiply_add(x, z, a2), multiply_add(y, z, b2)
    store(D, k + 2, add(load(D, k + 2), a2))
    store(D, k + c + 2, add(load(D, k + c + 2), b2))
    _write_two(D, k, a0, a1)
    _write_two(D, k + c, b0, b1)


@subroutine
def _two_by_two(G: Array, g: int, F: Array, f: int, count: int, D: Array, k: int) -> None:
    r, c, nothing = D.shape[0], D.shape[1], spread(G.dtype.type(0))
    a0 = a1 = b0 = b1 = nothing
    for t in range(count):
        x, y, at = load(G, g + t * r), load(G, g + t * r + 1), f + t * c
        z = load(F, at)
        a0, b0 = multiply_add(x, z, a0), multiply_add(y, z, b0)
        z = load(F, at + 1)
        a1, b1 = multiply_add(x, z, a1), multiply_add(y, z, b1)
    _write_two(D, k, a0, a1)
    _write_two(D, k + c, b0, b1)


@subroutine
def _write_two(D: Array, k: int, a0: Any, a1: Any) -> None:
    """Add to two rows from k on."""
    store(D, k, add(load(D, k), a0))
    store(D, k + 1, add(load(D, k + 1), a1))


@subroutine
def add_in_blocks(G: Array, g: int, F: Array, f: int, count: int, D: Array) -> None:
    """D, in blocks of five by five."""
    r, c, nothing = D.shape[0], D.shape[1], spread(G.dtype.type(0))
    for i in range(0, r, 5):
        for j in range(0, c, 5):
            a0 = a1 = a2 = a3 = a4 = b0 = b1 = b2 = b3 = b4 = c0 = c1 = c2 = c3 = c4 = nothing
            d0 = d1 = d2 = d3 = d4 = e0 = e1 = e2 = e3 = e4 = nothing
            for t in range(count):
                k, at = g + t * r + i, f + t * c + j
                f0, f1, f2, f3, f4 = load(F, at), load(F, at + 1), load(F, at + 2), load(F, at + 3), load(F, at + 4)
                a0, a1, a2, a3, a4 = _five(G, k, f0, f1, f2, f3, f4, a0, a1, a2, a3, a4)
                b0, b1, b2, b3, b4 = _five(G, k + 1, f0, f1, f2, f3, f4, b0, b1, b2, b3, b4)
                c0, c1, c2, c3, c4 = _five(G, k + 2, f0, f1, f2, f3, f4, c0, c1, c2, c3, c4)
                d0, d1, d2, d3, d4 = _five(G, k + 3, f0, f1, f2, f3, f4, d0, d1, d2, d3, d4)
                e0, e1, e2, e3, e4 = _five(G, k + 4, f0, f1, f2, f3, f4, e0, e1, e2, e3, e4)
            _write(D, i * c + j, a0, a1, a2, a3, a4)
            _write(D, (i + 1) * c + j, b0, b1, b2, b3, b4)
            _write(D, (i + 2) * c + j, c0, c1, c2, c3, c4)
            _write(D, (i + 3) * c + j, d0, d1, d2, d3, d4)
            _write(D, (i + 4) * c + j, e0, e1, e2, e3, e4)


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
        n, T = self.n, self.T
        c, r = (-(-k // BLOCK) * BLOCK for k in (n + self.m, n))
        shapes = {
            "F": (T, c, LANES), "G": (T, r, LANES), "Y": (T, self.P, LANES), "Z": (T + 1, self.N, LANES), "D": (r, c, LANES),
            "H": (r, LANES), "z": (n, LANES), "l": (n, LANES), "sums": (self.P + 1, LANES), "WC": (n, c), "WT": (n, r),
        }  # fmt: skip
        self.room = {k: aligned(shape, self.dtype) for k, shape in shapes.items()}
        self.low = np.ones(n, self.dtype)
        self.low[n - self.P :] = 0.0
        self.ones = np.ones(LANES, self.dtype)

    def gradient(
        self, A: Array, W: Array, C: Array, h: Array, z0: Array, windows: Windows
    ) -> tuple[float, Array, Array, Array, Array, Array]:
        """Loss, and its derivatives by A `(n,)`, W `(n, n)`, C `(n, m)`, h `(n,)` and z0 `(n, 16)`, of sixteen windows."""
        n, P, r, w = self.n, self.P, self.room, windows
        r["WC"][:, :n], r["WC"][:, n : n + self.m], r["WT"][:, :n], r["z"][:] = W, C, W.T, z0
        run_forward(A, r["WC"], h, self.low, w.forced, w.strength, w.inputs, r["z"], r["F"], r["Y"], r["Z"])
        run_back(A, r["WT"], w.wanted, w.strength, w.weight, r["Y"], r["Z"], r["G"], r["l"], r["sums"])
        sum_products(r["G"], r["F"], r["D"], r["H"])
        D, sums = r["D"] @ self.ones, r["sums"] @ self.ones
        dA = np.concatenate([np.diagonal(D)[: n - P], sums[:P]])  # of linear states phi is y
        return float(sums[P]), dA, D[:n, :n], D[:n, n : n + self.m], (r["H"] @ self.ones)[:n], r["l"]

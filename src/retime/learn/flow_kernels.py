"""The exact flow of continuous piecewise-linear networks and its adjoint, sixteen orbits at a time, each with its own times and switches.

    dz/dt = A z + W phi(z) + h + C s,   A diagonal, phi passes the last P states through the ReLU, s held between samples

The orbits advance in *passes*. In a pass each orbit goes as far as it may inside its present region: to its next sample, to its next
switch, or over the longest step that the series allows. So no orbit waits for another, and one instruction acts on all. Inside a
pass the state is a Taylor polynomial in x = t / tau; with theta = tau times the bound of `flow_bound` for every region, what comes after
degree K is at most |c_K| theta/(K+1) / (1 - theta/(K+2)), and the series ends where that is below rounding. The first switch is the first
sign change of a polynomial (`simulation.roots`): none is missed.

The adjoint l = dL/dz obeys dl/dt = -(A + D W^T) l back through the same passes, D = phi'(z), without a jump at switches:
docs/theory/learning.md. The integrals of l phi(z)^T, l z and l are Gauss sums, exact to rounding for such series.

Arrays have the orbits last, as sixteen columns; rows is n filled up to a multiple of four with zeros.
"""

from __future__ import annotations

from typing import Any

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.learn.adjoint import add_products
from retime.learn.flow_records import Data, Kept, Net, Scratch, Sums
from retime.learn.flow_switches import AGAIN, find_switches
from retime.learn.lanes import (
    add,
    any_positive,
    load,
    multiply,
    multiply_add,
    spread,
    store,
    subtract,
    where_positive,
)
from retime.simulation.roots import DEGREE

FULL, DIVERGED = -1, -2  # what `follow` returns instead of a number of passes
LARGEST = 1e30  # square of a norm: a state beyond this has run away


@kernel
def follow(net: Net, data: Data, kept: Kept, w: Scratch) -> int:
    """Follow the orbits from w.z over all intervals; the number of passes, or FULL, or DIVERGED."""
    T, count = len(data.spans), 0
    for b in range(16):
        w.place[b], w.left[b], w.loss[b] = 0, data.spans[0, b], 0.0
    while True:
        running = False
        for b in range(16):
            running = running or w.place[b] < T
        if not running:
            return count
        if count == len(kept.tau):
            return FULL
        _prepare(net, data, kept, w, count)
        degree = series(net, w.on, 0, False, w)
        if degree < 0:
            return DIVERGED
        find_switches(net, w, degree)
        _keep(net, kept, w, count, degree)
        _advance(net, data, kept, w, count)
        count += 1


@subroutine
def _prepare(net: Net, data: Data, kept: Kept, w: Scratch, count: int) -> None:
    """Sides, offsets and longest steps of a pass."""
    n, P, T, last = net.sizes[0], net.sizes[1], len(data.spans), data.offset.shape[1] - 1
    longest, zero = net.limits[1] / net.limits[0], w.z.dtype.type(0)
    for i in range(n - P, n):
        z = load(w.z, i)
        off = where_positive(subtract(spread(zero), z), spread(zero), load(w.on, i))
        store(w.on, i, where_positive(z, load(w.ones, i), off))
    for b in range(16):
        k = w.place[b]
        w.tau[b] = min(w.left[b], longest) if k < T else 0.0
        kept.interval[count, b] = min(k, T - 1)
    for i in range(len(w.z)):
        store(w.c, i, load(w.z, i))
    if last > 0 or count == 0:
        for i in range(n):
            for b in range(16):
                w.u[i, b] = data.offset[i, min(kept.interval[count, b], last), b]


@subroutine
def series(net: Net, on: Array, first: int, is_back: bool, w: Scratch) -> int:
    """Coefficients from w.c[0] in steps w.tau of dy/dt = A y + W D y + u, and backwards of dy/dt = A y + D W^T y, D = diag(on) from row `first`
    of its array; the degree, or -1 where a state is too large."""
    M, rows, n, P = net.W if is_back else net.WT, len(net.W), net.sizes[0], net.sizes[1]
    kind, rounding, factor = M.dtype, net.limits[2], w.c if is_back else w.p  # what M is multiplied by
    zero, most = kind.type(0), spread(kind.type(LARGEST))
    norm, one, theta = spread(zero), spread(kind.type(1)), multiply(spread(kind.type(net.limits[0])), load(w.tau, 0))
    for i in range(rows):
        x = load(w.c, i)
        store(w.p, i, multiply(load(on, first + i), x))
        norm = multiply_add(x, x, norm)
    store(w.norms, 0, norm)
    largest = norm
    for k in range(DEGREE):
        norm, scale = spread(zero), multiply(spread(kind.type(1.0 / (k + 1))), load(w.tau, 0))
        new = ((k + 1) % 2) * rows
        old = k * rows if is_back else rows - new
        for i in range(0, rows, 4):
            v0, v1, v2, v3 = spread(zero), spread(zero), spread(zero), spread(zero)
            for j in range(rows):
                x = load(factor, old + j)
                v0 = multiply_add(spread(M[j, i]), x, v0)
                v1 = multiply_add(spread(M[j, i + 1]), x, v1)
                v2 = multiply_add(spread(M[j, i + 2]), x, v2)
                v3 = multiply_add(spread(M[j, i + 3]), x, v3)
            if n - P < i + 4 and is_back:
                v0, v1 = multiply(load(on, first + i), v0), multiply(load(on, first + i + 1), v1)
                v2, v3 = multiply(load(on, first + i + 2), v2), multiply(load(on, first + i + 3), v3)
            x0, x1 = _coefficient(net, v0, scale, k, i, w), _coefficient(net, v1, scale, k, i + 1, w)
            x2, x3 = _coefficient(net, v2, scale, k, i + 2, w), _coefficient(net, v3, scale, k, i + 3, w)
            norm = multiply_add(x0, x0, multiply_add(x1, x1, norm))
            norm = multiply_add(x2, x2, multiply_add(x3, x3, norm))
            if not is_back:
                if n - P < i + 4:
                    x0, x1 = multiply(load(on, first + i), x0), multiply(load(on, first + i + 1), x1)
                    x2, x3 = multiply(load(on, first + i + 2), x2), multiply(load(on, first + i + 3), x3)
                store(w.p, new + i, x0)
                store(w.p, new + i + 1, x1)
                store(w.p, new + i + 2, x2)
                store(w.p, new + i + 3, x3)
        store(w.norms, k + 1, norm)
        if any_positive(subtract(norm, most)):
            return -1
        largest, left = where_positive(subtract(norm, largest), norm, largest), multiply(norm, multiply(theta, theta))
        enough = multiply(
            spread(kind.type(rounding * (k + 2))), subtract(one, multiply(spread(kind.type(1 / (k + 3))), theta))
        )
        if not any_positive(subtract(left, multiply(multiply(enough, enough), largest))):
            return k + 1
    return DEGREE


@subroutine
def _coefficient(net: Net, v: Any, scale: Any, k: int, i: int, w: Scratch) -> Any:
    """Of degree k + 1 of state i, v that of the product with W."""
    at = k * len(w.z) + i
    x = multiply_add(spread(net.A[i]), load(w.c, at), v)
    if k == 0:
        x = add(x, load(w.u, i))
    x = multiply(x, scale)
    store(w.c, at + len(w.z), x)
    return x


# --- what is kept, and the next start --------------------------------------------------------------------------------


@subroutine
def _evaluate(shares: Array, degree: int, w: Scratch, n: int, size: Any, out: Array, first: int) -> None:
    """sum_k shares_jk c_k of n states: `size` times those of all j but the last in out from row `first` on, that of the last in w.z."""
    rows, m, wide, j = len(w.z), len(shares) - 1, out.shape[-2], 0
    while j <= m - 4:
        for i in range(n):
            at, x = first + j * wide + i, load(w.c, i)
            v0, v1 = multiply(spread(shares[j, 0]), x), multiply(spread(shares[j + 1, 0]), x)
            v2, v3 = multiply(spread(shares[j + 2, 0]), x), multiply(spread(shares[j + 3, 0]), x)
            v4 = multiply(spread(shares[j + 4, 0]), x)
            for k in range(1, degree + 1):
                x = load(w.c, k * rows + i)
                v0 = multiply_add(spread(shares[j, k]), x, v0)
                v1 = multiply_add(spread(shares[j + 1, k]), x, v1)
                v2 = multiply_add(spread(shares[j + 2, k]), x, v2)
                v3 = multiply_add(spread(shares[j + 3, k]), x, v3)
                v4 = multiply_add(spread(shares[j + 4, k]), x, v4)
            store(out, at, multiply(size, v0))
            store(out, at + wide, multiply(size, v1))
            store(out, at + 2 * wide, multiply(size, v2))
            store(out, at + 3 * wide, multiply(size, v3))
            if j + 4 < m:
                store(out, at + 4 * wide, multiply(size, v4))
            else:
                store(w.z, i, v4)
        j += 5
    for last in range(j, m + 1):
        for i in range(n):
            v = multiply(spread(shares[last, 0]), load(w.c, i))
            for k in range(1, degree + 1):
                v = multiply_add(spread(shares[last, k]), load(w.c, k * rows + i), v)
            if last < m:
                store(out, first + last * wide + i, multiply(size, v))
            else:
                store(w.z, i, v)


@subroutine
def _keep(net: Net, kept: Kept, w: Scratch, count: int, degree: int) -> None:
    """States at the nodes of the part that was gone, and at its end."""
    rows, shorter = len(w.z), False
    for b in range(16):
        shorter = shorter or w.x[b] < 1.0
    x = load(w.x, 0)
    store(kept.tau, count, multiply(load(w.tau, 0), x))
    if shorter:
        power = x
        for k in range(1, degree + 1):
            for i in range(rows):
                store(w.c, k * rows + i, multiply(load(w.c, k * rows + i), power))
            power = multiply(power, x)
    for i in range(rows):
        store(kept.on, count * rows + i, load(w.on, i))
    _evaluate(kept.forward, degree, w, net.sizes[0], load(w.ones, 0), kept.Y, count * kept.Y.shape[1] * kept.Y.shape[2])


@subroutine
def _advance(net: Net, data: Data, kept: Kept, w: Scratch, count: int) -> None:
    """From the end of the pass on: behind the switch, or scored and forced at the sample."""
    N, T = net.sizes[2], len(data.spans)
    longest, zero = net.limits[1] / net.limits[0], spread(w.z.dtype.type(0))
    for i in range(N):
        store(kept.by_state, count * N + i, zero)
        store(kept.passes, count * N + i, load(w.ones, i))
    for b in range(16):
        unit, k = w.unit[b], w.place[b]
        if k == T or unit == AGAIN:
            continue
        if unit >= 0:
            w.z[unit, b] = 0.0
            w.on[unit, b] = 1 - w.on[unit, b]
            w.left[b] = max(w.left[b] - float(w.x[b]) * float(w.tau[b]), 0.0)
        elif w.left[b] > longest:
            w.left[b] -= float(w.tau[b])
        else:
            k += 1
            w.place[b], w.left[b] = k, data.spans[k, b] if k < T else 0.0
            for i in range(N):
                z, f = w.z[i, b], data.f[i, k, b]
                e = z - data.wanted[i, k, b]
                g = data.weight[i, k, b] * e
                w.loss[b] += g * e
                kept.by_state[count, i, b], kept.passes[count, i, b] = 2 * g, 1 - f
                w.z[i, b] = z + f * (data.forced[i, k, b] - z)


# --- back ------------------------------------------------------------------------------------------------------------


@kernel
def carry_back(net: Net, kept: Kept, count: int, sums: Sums, w: Scratch) -> bool:
    """The sums; w.z becomes dL/dz_0, kept.Y phi of it. False where the adjoint is too large."""
    rows, some, N = len(w.z), len(sums.G), net.sizes[2]
    m, wide, above = kept.Y.shape[1], kept.Y.shape[2], count
    _clear(w, sums)
    for s in range(count - 1, -1, -1):
        store(w.tau, 0, load(kept.tau, s))
        for i in range(rows):
            l = load(w.z, i)
            if i < N:
                l = multiply_add(load(kept.passes, s * N + i), l, load(kept.by_state, s * N + i))
            store(w.c, i, l)
        degree = series(net, kept.on, s * rows, True, w)
        if degree < 0:
            return False
        _collect(net, kept, w, s, degree, sums)
        if s % some == 0:  # as long as they are near the processor
            add_products(sums.G, 0, kept.Y, s * m * wide, (above - s) * m, sums.D, sums.H)
            above = s
    return True


@subroutine
def _clear(w: Scratch, sums: Sums) -> None:
    zero = spread(w.z.dtype.type(0))
    for i in range(len(w.z)):
        store(w.z, i, zero)
        store(w.u, i, zero)
        store(sums.off, i, zero)
    for i in range(sums.by_offset.shape[0] * sums.by_offset.shape[1]):
        store(sums.by_offset, i, zero)
    for i in range(len(sums.H)):
        store(sums.H, i, zero)
        for j in range(len(sums.H)):
            store(sums.D, i * len(sums.H) + j, zero)


@subroutine
def _collect(net: Net, kept: Kept, w: Scratch, s: int, degree: int, sums: Sums) -> None:
    """Gauss's sums of a pass, and the adjoint at its start."""
    G, off, by_offset = sums.G, sums.off, sums.by_offset
    rows, m, wide = len(w.z), kept.Y.shape[1], kept.Y.shape[2]
    n, P, first, here = net.sizes[0], net.sizes[1], s * m * wide, s % len(G) * m * wide
    _evaluate(kept.backward, degree, w, n, load(w.tau, 0), G, here)
    for i in range(n - P, n):
        on, total = load(kept.on, s * rows + i), load(off, i)
        for j in range(0, m * wide, wide):
            y = load(kept.Y, first + j + i)
            phi = multiply(on, y)
            total = multiply_add(load(G, here + j + i), subtract(y, phi), total)
            store(kept.Y, first + j + i, phi)
        store(off, i, total)
    if by_offset.shape[1] == 1:
        return
    for i in range(n):
        total = load(G, here + i)
        for j in range(wide, m * wide, wide):
            total = add(total, load(G, here + j + i))
        store(w.p, i, total)
        for b in range(16):
            by_offset[i, kept.interval[s, b], b] += w.p[0, i, b]

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
        degree = series(net, net.WT, w.on, w.ones, 0, w)
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
def series(net: Net, MT: Array, inner: Array, outer: Array, first: int, w: Scratch) -> int:
    """Coefficients of dy/dt = A y + outer M inner y + u from w.c[0] in steps w.tau; the degree, or -1 where a state is too large.

    MT: M transposed. outer begins at row `first` of its array.
    """
    rows, kind, rounding = len(MT), MT.dtype, net.limits[2]
    zero, most = kind.type(0), spread(kind.type(LARGEST))
    norm, one, theta = spread(zero), spread(kind.type(1)), multiply(spread(kind.type(net.limits[0])), load(w.tau, 0))
    for i in range(rows):
        x = load(w.c, i)
        store(w.p, i, multiply(load(inner, i), x))
        norm = multiply_add(x, x, norm)
    store(w.norms, 0, norm)
    largest = norm
    for k in range(DEGREE):
        norm, scale = spread(zero), multiply(spread(MT.dtype.type(1.0 / (k + 1))), load(w.tau, 0))
        old, new = (k % 2) * rows, ((k + 1) % 2) * rows
        for i in range(0, rows, 4):
            v0, v1, v2, v3 = spread(zero), spread(zero), spread(zero), spread(zero)
            for j in range(rows):
                x = load(w.p, old + j)
                v0 = multiply_add(spread(MT[j, i]), x, v0)
                v1 = multiply_add(spread(MT[j, i + 1]), x, v1)
                v2 = multiply_add(spread(MT[j, i + 2]), x, v2)
                v3 = multiply_add(spread(MT[j, i + 3]), x, v3)
            norm = _coefficient(net, v0, scale, inner, outer, first, k, i, new, norm, w)
            norm = _coefficient(net, v1, scale, inner, outer, first, k, i + 1, new, norm, w)
            norm = _coefficient(net, v2, scale, inner, outer, first, k, i + 2, new, norm, w)
            norm = _coefficient(net, v3, scale, inner, outer, first, k, i + 3, new, norm, w)
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
def _coefficient(
    net: Net,
    v: Any,
    scale: Any,
    inner: Array,
    outer: Array,
    first: int,
    k: int,
    i: int,
    new: int,
    norm: Any,
    w: Scratch,
) -> Any:
    """Of degree k + 1 of state i, v that of M inner y; the norm with it."""
    at = k * len(w.z) + i
    x = multiply_add(spread(net.A[i]), load(w.c, at), multiply(load(outer, first + i), v))
    if k == 0:
        x = add(x, load(w.u, i))
    x = multiply(x, scale)
    store(w.c, at + len(w.z), x)
    store(w.p, new + i, multiply(load(inner, i), x))
    return multiply_add(x, x, norm)


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
        degree = series(net, net.W, w.ones, kept.on, s * rows, w)
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

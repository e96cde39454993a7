"""The exact flow of continuous piecewise-linear networks and its adjoint, sixteen orbits at a time, each with its own times and switches.

    dz/dt = A z + W phi(z) + h + C s,   A diagonal, phi passes the last P states through the ReLU, s held between samples

The orbits advance in *passes*. In a pass each orbit goes as far as it may inside its present region: to its next sample, to its next
switch, or over the longest step that the series allows. So no orbit waits for another, and one instruction acts on all. Inside a
pass the state is a Taylor polynomial in x = t / tau; with theta = tau (max |a_i| + ||W||), a bound for every region, what comes after
degree K is at most |c_K| theta/(K+1) / (1 - theta/(K+2)), and the series ends where that is below rounding. The first switch is the first
sign change of a polynomial (`simulation.roots`): none is missed.

The adjoint l = dL/dz obeys dl/dt = -(A + D W^T) l back through the same passes, D = phi'(z), without a jump at switches:
docs/theory/learning.md. The integrals of l phi(z)^T, l z and l are Gauss sums, exact to rounding for such series.

Arrays have the orbits last, as sixteen columns; rows is n filled up to a multiple of four with zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.learn.flow_records import Data, Kept, Net, Scratch
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
        w.place[b], w.left[b] = 0, data.spans[0, b]
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
        _keep(kept, w, count, degree)
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
            v0 = v1 = v2 = v3 = spread(zero)
            for j in range(rows):
                x = load(w.p, old + j)
                v0 = multiply_add(spread(MT[j, i]), x, v0)
                v1 = multiply_add(spread(MT[j, i + 1]), x, v1)
                v2 = multiply_add(spread(MT[j, i + 2]), x, v2)
                v3 = multiply_add(spread(MT[j, i + 3]), x, v3)
            store(w.p, new + i, v0)
            store(w.p, new + i + 1, v1)
            store(w.p, new + i + 2, v2)
            store(w.p, new + i + 3, v3)
        for i in range(rows):
            x = multiply(load(outer, first + i), load(w.p, new + i))
            x = multiply_add(spread(net.A[i]), load(w.c, k * rows + i), x)
            if k == 0:
                x = add(x, load(w.u, i))
            x = multiply(x, scale)
            store(w.c, (k + 1) * rows + i, x)
            store(w.p, new + i, multiply(load(inner, i), x))
            norm = multiply_add(x, x, norm)
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


# --- what is kept, and the next start --------------------------------------------------------------------------------


@subroutine
def _combine(shares: Array, c: Array, degree: int, i: int) -> Any:
    """sum_k shares_k c_k of state i."""
    rows = c.shape[1]
    v = multiply(spread(shares[0]), load(c, i))
    for k in range(1, degree + 1):
        v = multiply_add(spread(shares[k]), load(c, k * rows + i), v)
    return v


@subroutine
def _keep(kept: Kept, w: Scratch, count: int, degree: int) -> None:
    """States at the nodes of the part that was gone, and at its end."""
    rows, m, wide = len(w.z), kept.Y.shape[1], kept.Y.shape[2]
    n = min(rows, wide)
    shorter = False
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
        store(w.z, i, _combine(kept.forward[m], w.c, degree, i))
    for j in range(m):
        for i in range(n):
            store(kept.Y, (count * m + j) * wide + i, _combine(kept.forward[j], w.c, degree, i))


@subroutine
def _advance(net: Net, data: Data, kept: Kept, w: Scratch, count: int) -> None:
    """From the end of the pass on: behind the switch, or forced at the sample."""
    N, T = net.sizes[2], len(data.spans)
    longest = net.limits[1] / net.limits[0]
    for b in range(16):
        kept.sample[count, b] = 0
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
            kept.sample[count, b], w.place[b] = k, k
            w.left[b] = data.spans[k, b] if k < T else 0.0
            for i in range(N):
                z = w.z[i, b]
                kept.seen[i, k, b] = z
                w.z[i, b] = z + data.f[i, k, b] * (data.forced[i, k, b] - z)


# --- back ------------------------------------------------------------------------------------------------------------


@kernel
def carry_back(
    net: Net,
    data: Data,
    x: Array,
    weight: Array,
    kept: Kept,
    count: int,
    G: Array,
    by_offset: Array,
    off: Array,
    w: Scratch,
) -> float:
    """Sum of weight (z - x)^2; w.z becomes dL/dz_0.

    G `(S, m, wide, 16)`: Gauss's shares of l; kept.Y becomes phi of it; by_offset, as data.offset: integrals of l; off `(rows, 16)`:
    of l z where the unit is off.
    """
    loss, rows = 0.0, len(w.z)
    _clear(w, by_offset, off)
    for s in range(count - 1, -1, -1):
        loss += _score(net.sizes[2], data, x, weight, kept, s, w)
        for i in range(rows):
            store(w.c, i, load(w.z, i))
        degree = series(net, net.W, w.ones, kept.on, s * rows, w)
        if degree < 0:
            return np.inf
        _collect(net, kept, w, s, degree, G, by_offset, off)
    return loss


@subroutine
def _clear(w: Scratch, by_offset: Array, off: Array) -> None:
    zero = spread(w.z.dtype.type(0))
    for i in range(len(w.z)):
        store(w.z, i, zero)
        store(w.u, i, zero)
        store(off, i, zero)
    for i in range(by_offset.shape[0] * by_offset.shape[1]):
        store(by_offset, i, zero)


@subroutine
def _score(N: int, data: Data, x: Array, weight: Array, kept: Kept, s: int, w: Scratch) -> float:
    """Behind a sample: the adjoint before its forcing, with what its error adds."""
    loss = 0.0
    for b in range(16):
        k = kept.sample[s, b]
        w.tau[b] = kept.tau[s, b]
        if k > 0:
            for i in range(N):
                e = kept.seen[i, k, b] - x[i, k, b]
                g = weight[i, k, b] * e
                loss += g * e
                w.z[i, b] = (1 - data.f[i, k, b]) * w.z[i, b] + 2 * g
    return loss


@subroutine
def _collect(net: Net, kept: Kept, w: Scratch, s: int, degree: int, G: Array, by_offset: Array, off: Array) -> None:
    """Gauss's sums of a pass, and the adjoint at its start."""
    rows, m, wide = len(w.z), kept.Y.shape[1], kept.Y.shape[2]
    n, P, last, tau = net.sizes[0], net.sizes[1], by_offset.shape[1] - 1, load(w.tau, 0)
    for j in range(m):
        for i in range(n):
            store(G, (s * m + j) * wide + i, multiply(tau, _combine(kept.backward[j], w.c, degree, i)))
    for i in range(rows):
        store(w.u, i, multiply(tau, _combine(kept.backward[m + 1], w.c, degree, i)))
        store(w.z, i, _combine(kept.backward[m], w.c, degree, i))
    for i in range(n - P, n):
        on, total = load(kept.on, s * rows + i), load(off, i)
        for j in range(m):
            at = (s * m + j) * wide + i
            y = load(kept.Y, at)
            phi = multiply(on, y)
            total = multiply_add(load(G, at), subtract(y, phi), total)
            store(kept.Y, at, phi)
        store(off, i, total)
    for i in range(n):
        if last == 0:
            store(by_offset, i, add(load(by_offset, i), load(w.u, i)))
        else:
            for b in range(16):
                by_offset[i, kept.interval[s, b], b] += w.u[i, b]
    zero = spread(w.z.dtype.type(0))
    for i in range(rows):
        store(w.u, i, zero)

"""The exact flow of continuous piecewise-linear networks and its adjoint, sixteen orbits at a time, each with its own times and switches.

    dz/dt = A z + W phi(z) + h + C s,   A diagonal, phi passes the last P states through the ReLU, s held between samples

The orbits advance in *passes*. In a pass each orbit goes as far as it may inside its present region: to its next sample, to its next
switch, or over the longest step that the series allows. So no orbit waits for another, and one instruction acts on all. Inside a
pass the state is a Taylor polynomial in x = t / tau; with theta = tau (max |a_i| + ||W||), a bound for every region, what comes after
degree K is at most |c_K| theta/(K+1) / (1 - theta/(K+2)), and the series ends where that is below rounding. The first switch is the first
sign change of a polynomial (`simulation.roots`): none is missed.

The adjoint l = dL/dz obeys dl/dt = -(A + D W^T) l back through the same passes, D = phi'(z), without a jump at switches:
docs/theory/learning.md. The integrals of l phi(z)^T, l z and l are Gauss sums, exact to rounding for such series.

States are flat, `(R,)`, R = 16 rows: entry 16 i + b is of state i of orbit b; rows is n filled up to a multiple of four with zeros.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.roots import DEGREE, NONE, first_negative

LANES = 16
FULL, DIVERGED = -1, -2  # what `follow` returns instead of a number of passes


class Net(NamedTuple):
    """A `(R,)`, the same for all orbits; W, WT `(rows, rows)`; sizes `(3,)`: n, P, N; limits `(3,)` float64: bound of the generator,
    longest theta, rounding."""

    A: Array
    W: Array
    WT: Array
    sizes: Array
    limits: Array


class Data(NamedTuple):
    """forced, f `(N, T + 1, 16)`: what forces, and how much; offset `(rows, 1 or T, 16)`: h + C s; spans `(T, 16)` float64: between samples."""

    forced: Array
    f: Array
    offset: Array
    spans: Array


class Kept(NamedTuple):
    """Of each pass: tau `(S, 16)`; on `(S, R)`: phi'; interval, sample `(S, 16)`: where it is, and the sample that it ends at or 0.

    Y `(rows, S, m, 16)`: states at the m nodes of Gauss's rule. seen `(N, T + 1, 16)`: states at the samples, before forcing.
    forward `(m + 1, DEGREE + 1)`: powers of the nodes and, last, of 1. backward `(m + 2, DEGREE + 1)`: from the end, times the weights;
    then powers of 1, and integrals of the powers over [0, 1].
    """

    tau: Array
    on: Array
    interval: Array
    sample: Array
    Y: Array
    seen: Array
    forward: Array
    backward: Array


class Scratch(NamedTuple):
    """c `(DEGREE + 1, R)`; p, on, ones, u, z, tau, x, at `(R,)`; norms `(DEGREE + 1, 16)`; rest, bend, end `(R,)`; left `(16,)` float64;
    unit, place `(16,)` int; cube `(DEGREE + 1, rows, 16)`, square `(rows, 16)`: c and p again; poly, stack, ends: of `first_negative`."""

    c: Array
    p: Array
    on: Array
    ones: Array
    u: Array
    z: Array
    tau: Array
    x: Array
    at: Array
    rest: Array
    bend: Array
    end: Array
    norms: Array
    left: Array
    unit: Array
    place: Array
    cube: Array
    square: Array
    poly: Array
    stack: Array
    ends: Array


AGAIN = -2  # instead of a unit that switches: a unit was on the wrong side of its boundary, and the step is taken anew
_CURVE = np.array(  # the most of x - x^k on [0, 1]
    [0.0, 0.0] + [(1 - 1 / k) * k ** (-1 / (k - 1)) for k in range(2, DEGREE + 1)]
)


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
        degree = series(net, net.W, w.on, w.ones, w)
        if degree < 0:
            return DIVERGED
        _find_switches(net, w, degree)
        _keep(kept, w, count, degree)
        _advance(net, data, kept, w, count)
        count += 1


@subroutine
def _prepare(net: Net, data: Data, kept: Kept, w: Scratch, count: int) -> None:
    """Sides, offsets and longest steps of a pass."""
    n, P, T, last = net.sizes[0], net.sizes[1], len(data.spans), data.offset.shape[1] - 1
    longest = net.limits[1] / net.limits[0]
    for q in range(16 * (n - P), 16 * n):
        if w.z[q] != 0.0:
            w.on[q] = w.z[q] > 0.0
    for b in range(16):
        k = w.place[b]
        w.tau[b] = min(w.left[b], longest) if k < T else 0.0
        kept.interval[count, b] = min(k, T - 1)
    _spread(w.tau)
    for q in range(len(w.z)):
        w.c[0, q] = w.z[q]
    if last > 0:
        for i in range(n):
            for b in range(16):
                w.u[16 * i + b] = data.offset[i, kept.interval[count, b], b]
    elif count == 0:
        for i in range(n):
            for b in range(16):
                w.u[16 * i + b] = data.offset[i, 0, b]


@subroutine
def _spread(v: Array) -> None:
    """Repeat the first sixteen entries."""
    for q in range(16, len(v)):
        v[q] = v[q - 16]


@subroutine
def series(net: Net, M: Array, inner: Array, outer: Array, w: Scratch) -> int:
    """Coefficients of dy/dt = A y + outer M inner y + u from w.c[0] in steps w.tau; the degree, or -1 where a state is too large.

    w.end `(16,)` becomes the largest norm of a coefficient of each orbit.
    """
    largest, bound, rounding = w.end, net.limits[0], net.limits[2]
    _norm(w, 0)
    for b in range(16):
        largest[b] = w.norms[0, b]
    for k in range(DEGREE):
        c, out = w.c[k], w.c[k + 1]
        for q in range(len(c)):
            w.p[q] = inner[q] * c[q]
        product(M, w.square, w.cube[k + 1])
        share = M.dtype.type(1.0 / (k + 1))
        if k == 0:
            for q in range(len(c)):
                out[q] = (net.A[q] * c[q] + outer[q] * out[q] + w.u[q]) * w.tau[q]
        else:
            for q in range(len(c)):
                out[q] = (net.A[q] * c[q] + outer[q] * out[q]) * (share * w.tau[q])
        _norm(w, k + 1)
        is_small = True
        for b in range(16):
            theta, size = bound * w.tau[b], w.norms[k + 1, b]
            largest[b] = max(largest[b], size)
            if not size * theta <= rounding * largest[b] * (k + 2 - theta * (k + 2) / (k + 3)):
                is_small = False
                if not size < 1e15:
                    return -1
                break
        if is_small:
            return k + 1
    return DEGREE


@subroutine
def _norm(w: Scratch, k: int) -> None:
    """Euclidean norms of the coefficients of degree k."""
    c, norms = w.c[k], w.norms[k]
    for b in range(16):
        norms[b] = 0.0
    for i in range(0, len(c), 64):
        for b in range(16):
            x, y, z, u = c[i + b], c[i + b + 16], c[i + b + 32], c[i + b + 48]
            norms[b] += (x * x + y * y) + (z * z + u * u)
    for b in range(16):
        norms[b] = np.sqrt(norms[b])


@subroutine
def product(M: Array, p: Array, out: Array) -> None:
    """out = M p, `(rows, 16)`, four rows and columns at a time."""
    rows, zero = len(M), M.dtype.type(0)
    for i in range(0, rows, 4):
        for b in range(16):
            out[i, b] = out[i + 1, b] = out[i + 2, b] = out[i + 3, b] = zero
        for j in range(0, rows, 4):
            a0, a1, a2, a3 = M[i, j], M[i, j + 1], M[i, j + 2], M[i, j + 3]
            b0, b1, b2, b3 = M[i + 1, j], M[i + 1, j + 1], M[i + 1, j + 2], M[i + 1, j + 3]
            c0, c1, c2, c3 = M[i + 2, j], M[i + 2, j + 1], M[i + 2, j + 2], M[i + 2, j + 3]
            d0, d1, d2, d3 = M[i + 3, j], M[i + 3, j + 1], M[i + 3, j + 2], M[i + 3, j + 3]
            for b in range(16):
                x, y, z, u = p[j, b], p[j + 1, b], p[j + 2, b], p[j + 3, b]
                out[i, b] += a0 * x + a1 * y + a2 * z + a3 * u
                out[i + 1, b] += b0 * x + b1 * y + b2 * z + b3 * u
                out[i + 2, b] += c0 * x + c1 * y + c2 * z + c3 * u
                out[i + 3, b] += d0 * x + d1 * y + d2 * z + d3 * u


@subroutine
def _combine(shares: Array, c: Array, degree: int, out: Array) -> None:
    """out = sum_k shares_k c_k."""
    s = shares[0]
    for q in range(len(out)):
        out[q] = s * c[0, q]
    for k in range(1, degree + 1):
        s = shares[k]
        for q in range(len(out)):
            out[q] += s * c[k, q]


# --- switches --------------------------------------------------------------------------------------------------------


@subroutine
def _find_switches(net: Net, w: Scratch, degree: int) -> None:
    """The share w.x of its step that each orbit goes, and the unit that switches there, -1 for none, or AGAIN."""
    n, P = net.sizes[0], net.sizes[1]
    _enclose(w, 16 * (n - P), 16 * n, degree)
    for b in range(16):
        w.x[b], w.unit[b] = 1.0, -1
    for i in range(n - P, n):
        for b in range(16):
            q = 16 * i + b
            start, end, bend = w.c[0, q], w.end[q], w.bend[q]
            if abs(start) > w.rest[q] or (start > bend and end > bend) or (start < -bend and end < -bend):
                continue
            if w.tau[b] > 0.0:
                _find_switch(net, w, degree, i, b)


@subroutine
def _enclose(w: Scratch, first: int, last: int, degree: int) -> None:
    """How far each unit goes from its start at most, its end, and how far from the line between both at most."""
    c, rest, bend, end = w.c, w.rest, w.bend, w.end
    for q in range(first, last):
        rest[q] = abs(c[1, q])
        bend[q] = 0.0
        end[q] = c[0, q] + c[1, q]
    for k in range(2, degree + 1):
        most = c.dtype.type(_CURVE[k])
        for q in range(first, last):
            x = c[k, q]
            rest[q] += abs(x)
            bend[q] += most * abs(x)
            end[q] += x


@subroutine
def _find_switch(net: Net, w: Scratch, degree: int, i: int, b: int) -> None:
    """The first switch of unit i of orbit b, if it comes before those found; a unit on its boundary leaves it by its first derivative
    that is more than rounding, which is the same on both sides."""
    start, q = 0, 16 * i + b
    if w.c[0, q] == 0.0:
        theta = net.limits[0] * w.tau[b]
        start = 1
        while start <= degree and abs(w.c[start, q]) <= 64 * net.limits[2] * theta / start * w.norms[start - 1, b]:
            start += 1
        if start > degree:
            return
        if (w.c[start, q] > 0.0) != (w.on[q] > 0.0):
            w.on[q] = w.c[start, q] > 0.0
            w.x[b], w.unit[b] = 0.0, AGAIN
    if w.unit[b] == AGAIN:
        return
    sign = 1.0 if w.on[q] > 0.0 else -1.0
    for k in range(degree + 1 - start):
        w.poly[k] = sign * w.c[k + start, q]
    x = first_negative(w.poly, degree - start, float(w.x[b]), w.stack, w.ends)
    if x < NONE:
        w.x[b], w.unit[b] = x, i


# --- what is kept, and the next start --------------------------------------------------------------------------------


@subroutine
def _keep(kept: Kept, w: Scratch, count: int, degree: int) -> None:
    """States at the nodes of the part that was gone, and at its end."""
    _spread(w.x)
    shorter = False
    for b in range(16):
        kept.tau[count, b] = w.tau[b] * w.x[b]
        shorter = shorter or w.x[b] < 1.0
    if shorter:
        for q in range(len(w.at)):
            w.at[q] = w.x[q]
        for k in range(1, degree + 1):
            c = w.c[k]
            for q in range(len(c)):
                c[q] *= w.at[q]
                w.at[q] *= w.x[q]
    for j in range(kept.Y.shape[2]):
        _combine(kept.forward[j], w.c, degree, w.at)
        for i in range(len(kept.Y)):
            for b in range(16):
                kept.Y[i, count, j, b] = w.at[16 * i + b]
    for q in range(len(w.on)):
        kept.on[count, q] = w.on[q]
    _combine(kept.forward[kept.Y.shape[2]], w.c, degree, w.z)


@subroutine
def _advance(net: Net, data: Data, kept: Kept, w: Scratch, count: int) -> None:
    """From the end of the pass on: behind the switch, or forced at the sample."""
    N, T, zero = net.sizes[2], len(data.spans), w.z.dtype.type(0)
    longest = net.limits[1] / net.limits[0]
    for b in range(16):
        kept.sample[count, b] = 0
        unit, k = w.unit[b], w.place[b]
        if k == T or unit == AGAIN:
            continue
        if unit >= 0:
            q = 16 * unit + b
            w.z[q] = zero
            w.on[q] = 1 - w.on[q]
            w.left[b] = max(w.left[b] - float(w.x[b]) * float(w.tau[b]), 0.0)
        elif w.left[b] > longest:
            w.left[b] -= float(w.tau[b])
        else:
            k += 1
            kept.sample[count, b], w.place[b] = k, k
            w.left[b] = data.spans[k, b] if k < T else 0.0
            for i in range(N):
                z = w.z[16 * i + b]
                kept.seen[i, k, b] = z
                w.z[16 * i + b] = z + data.f[i, k, b] * (data.forced[i, k, b] - z)


# --- back ------------------------------------------------------------------------------------------------------------


@kernel
def carry_back(
    net: Net, data: Data, x: Array, weight: Array, kept: Kept, count: int, G: Array, by_offset: Array, off: Array, w: Scratch
) -> float:
    """Sum of weight (z - x)^2; w.z becomes dL/dz_0.

    G `(rows, S, m, 16)`: Gauss's shares of l; kept.Y becomes phi of it; by_offset, as data.offset: integrals of l; off `(rows, 16)`:
    of l z where the unit is off.
    """
    loss = 0.0
    _clear(w, by_offset, off)
    for s in range(count - 1, -1, -1):
        loss += _score(net.sizes[2], data, x, weight, kept, s, w)
        for q in range(len(w.z)):
            w.c[0, q] = w.z[q]
        degree = series(net, net.WT, w.ones, kept.on[s], w)
        if degree < 0:
            return np.inf
        _collect(net, kept, w, s, degree, G, by_offset, off)
    return loss


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
                w.z[16 * i + b] = (1 - data.f[i, k, b]) * w.z[16 * i + b] + 2 * g
    _spread(w.tau)
    return loss


@subroutine
def _clear(w: Scratch, by_offset: Array, off: Array) -> None:
    for q in range(len(w.z)):
        w.z[q] = w.u[q] = 0.0
    for i in range(len(by_offset)):
        for b in range(16):
            off[i, b] = 0.0
            for k in range(by_offset.shape[1]):
                by_offset[i, k, b] = 0.0


@subroutine
def _collect(
    net: Net, kept: Kept, w: Scratch, s: int, degree: int, G: Array, by_offset: Array, off: Array
) -> None:
    """Gauss's sums of a pass, and the adjoint at its start."""
    n, P, m, rows = net.sizes[0], net.sizes[1], kept.Y.shape[2], len(kept.Y)
    for j in range(m):
        _combine(kept.backward[j], w.c, degree, w.at)
        for q in range(len(w.at)):
            w.at[q] *= w.tau[q]
        for i in range(rows):
            for b in range(16):
                G[i, s, j, b] = w.at[16 * i + b]
        for i in range(n - P, n):
            for b in range(16):
                on, y = kept.on[s, 16 * i + b], kept.Y[i, s, j, b]
                off[i, b] += (1 - on) * w.at[16 * i + b] * y
                kept.Y[i, s, j, b] = on * y
    _combine(kept.backward[m + 1], w.c, degree, w.at)
    last = by_offset.shape[1] - 1
    for i in range(n):
        for b in range(16):
            by_offset[i, min(kept.interval[s, b], last), b] += w.tau[b] * w.at[16 * i + b]
    _combine(kept.backward[m], w.c, degree, w.z)

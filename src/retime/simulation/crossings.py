"""Where an affine piece meets the boundaries of its region, and to which side units on a boundary move."""

from __future__ import annotations

from retime.core.arrays import Array
from retime.core.kernel import subroutine
from retime.simulation.arrays import FormArrays
from retime.simulation.record import NOISE, Record, Scratch
from retime.simulation.roots import NONE, first_negative


@subroutine
def first_event(f: FormArrays, r: Record, w: Scratch, n: int, degree: int, tau: float, rows: int) -> tuple[float, int]:
    """Where in (0, 1] the first unit leaves its side, and which; rows q and q + 1 of w.p are the ends of sliding."""
    q, sliding = len(f.h2), r.at.sliding
    preactivation_series(f, w, n, degree, tau, 0, q)
    best, which = NONE, -1
    for i in range(rows):
        if i == sliding or (i < q and r.follows[i] != 0):
            continue
        sign, near = 1.0, False
        if i < q:
            sign, near = (1.0 if r.bits[i] else -1.0), r.on_boundary[i] == 1
        upto, rest, power = min(best, 1.0), 0.0, 1.0
        for k in range(1, degree + 1):
            power *= upto
            rest += abs(w.p[i, k]) * power
        if not near and sign * w.p[i, 0] > rest:
            continue
        if near:
            w.p[i, 0] = 0.0
        x = _leaves(w.p[i], sign, near, degree, upto, w.poly, w.stack, w.ends)
        if x < best:
            best, which = x, i
    return best, which


@subroutine
def preactivation_series(f: FormArrays, w: Scratch, n: int, degree: int, tau: float, first: int, last: int) -> None:
    """Coefficients of the preactivations of units first..last - 1 along w.c, into w.p."""
    selects = len(f.selection) > 0
    for i in range(first, last):
        for k in range(degree + 1):
            value = 0.0
            if selects:
                value = w.c[k, f.selection[i]]
            else:
                for j in range(n):
                    value += f.W2[i, j] * w.c[k, j]
            w.p[i, k] = value
        w.p[i, 0] += f.h2[i]
        for j in range(w.s.shape[1]):
            w.p[i, 0] += f.C2T[j, i] * w.s[0, j]
            w.p[i, 1] += f.C2T[j, i] * w.s[1, j] * tau


@subroutine
def _leaves(
    p: Array, sign: float, on_boundary: bool, degree: int, upto: float, poly: Array, stack: Array, ends: Array
) -> float:
    """First x at which sign * p turns negative. On the boundary the factor x is divided out as often as needed."""
    start = 0
    if on_boundary:
        size = 0.0
        for k in range(degree + 1):
            size = max(size, abs(p[k]))
        while start <= degree and abs(p[start]) <= NOISE * size:
            start += 1
        if start > degree:
            return NONE
    for k in range(degree + 1 - start):
        poly[k] = sign * p[k + start]
    if poly[0] <= 0.0:
        return 0.0
    return first_negative(poly, degree - start, upto, stack, ends)


@subroutine
def mark_boundaries(r: Record, w: Scratch, degree: int, x: float, q: int) -> None:
    """Units whose preactivation at the end of the piece is within rounding of zero are carried as zero."""
    for i in range(q):
        if i == r.at.sliding or r.follows[i] != 0:
            continue
        value, size, power = 0.0, 0.0, 1.0
        for k in range(degree + 1):
            value += w.p[i, k] * power
            size += abs(w.p[i, k]) * power
            power *= x
        near = abs(value) <= NOISE * size
        dead = size == 0.0 and r.on_boundary[i] == 1
        r.on_boundary[i] = near
        if near and not dead:
            r.at.resolve = 1


@subroutine
def accept(r: Record, n: int, same: bool) -> None:
    """Enter the region of r.bits: with auxiliary states 0 unless it is the one we are in."""
    for i in range(len(r.bits)):
        r.entered[i] = r.bits[i]
    if not same:
        for i in range(n, 2 * n):
            r.y[i] = 0.0
    r.at.resolve = r.at.initial = 0


@subroutine
def consistent(f: FormArrays, data: Array, n: int, N: int, keep: bool, r: Record, w: Scratch, bits: Array) -> bool:
    """Whether each unit on its boundary moves to the side that `bits` says, under the field of `data`."""
    for i in range(len(bits)):
        if r.on_boundary[i] and i != r.at.sliding:
            sign = direction(f, data, n, N, keep, r, w, i)
            if (sign > 0) != (bits[i] == 1):
                return False
    return True


@subroutine
def direction(f: FormArrays, data: Array, n: int, N: int, keep: bool, r: Record, w: Scratch, unit: int) -> int:
    """Sign of the first derivative of a unit's preactivation that is not rounding; 0 when it stays at zero.

    `keep`: with the present auxiliary states, else with zeros.
    """
    f0, f1, v, size, new_v, new_size = w.v[0], w.v[1], w.v[2], w.v[3], w.v[4], w.v[5]
    offset(data, N, w.s, f0, f1)
    for i in range(N):
        v[i] = r.y[i] if i < n or keep else 0.0
        size[i] = r.sizes[i] if i < n or keep else 0.0
    for order in range(1, min(2 * N, 12) + 1):
        for i in range(N):
            new_v[i] = f0[i] if order == 1 else (f1[i] if order == 2 else 0.0)
            new_size[i] = abs(new_v[i])
        for j in range(N):
            for i in range(N):
                new_v[i] += data[j, i] * v[j]
                new_size[i] += abs(data[j, i]) * size[j]
        speed, noise = 0.0, 0.0
        for i in range(N):
            v[i], size[i] = new_v[i], new_size[i]
        for i in range(n):
            speed += f.W2[unit, i] * v[i]
            noise += abs(f.W2[unit, i]) * size[i]
        if order == 1:
            for i in range(w.s.shape[1]):
                speed += f.C2T[i, unit] * w.s[1, i]
                noise += abs(f.C2T[i, unit] * w.s[1, i])
        if abs(speed) > NOISE * noise:
            return 1 if speed > 0 else -1
    return 0


@subroutine
def offset(data: Array, N: int, s: Array, f0: Array, f1: Array) -> None:
    """f0 = h + E s and f1 = E ds/dt from a region's rows: N columns of W, h, columns of E, scaling."""
    for i in range(N):
        f0[i] = data[N, i]
        f1[i] = 0.0
    for j in range(s.shape[1]):
        for i in range(N):
            f0[i] += s[0, j] * data[N + 1 + j, i]
            f1[i] += s[1, j] * data[N + 1 + j, i]

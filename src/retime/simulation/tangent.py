"""Tangent vectors along an orbit, compiled: products of step matrices, and flows through regions with their switches.

Vectors are the columns of Q, stored in blocks of four as `(n, B, 4)` (columns of zeros fill the last block), so that four
entries are one instruction. A vector that a singular matrix has taken to zero stays zero: it is dead.

Loops are written out: array expressions inside kernels cost seconds of compilation each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.taylor import REACH, affine_series, evaluate

AIM = 1e6  # growth of the first vector over that of the last between two orthonormalizations
ACCEPTED = 1e-8  # a smaller ratio is measured again with half the steps: rounding is 2^-52 over it
LOST = 1e-13  # of a singular matrix: what is left of a vector it takes to zero
LONGEST = 64  # steps without orthonormalization
LARGE = 1e100  # growth beyond this, or below its inverse, is measured again with fewer steps
SAME = 1e-9  # vectors that differ by less are the same; close exponents can amplify the rest for a while


def blocked(Q: Array) -> Array:
    """Vectors `(n, p)` in blocks of four columns `(n, B, 4)`, zeros appended."""
    n, p = Q.shape
    out = np.zeros((n, (p + 3) // 4, 4))
    out.reshape(n, -1)[:, :p] = Q
    return out


@subroutine
def multiply(M: Array, Y: Array, new: Array) -> None:
    """new = M Y."""
    n = len(M)
    for j in range(Y.shape[1]):
        for i in range(n):
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            for k in range(n):
                m = M[i, k]
                a += m * Y[k, j, 0]
                b += m * Y[k, j, 1]
                c += m * Y[k, j, 2]
                d += m * Y[k, j, 3]
            new[i, j, 0], new[i, j, 1], new[i, j, 2], new[i, j, 3] = a, b, c, d


@subroutine
def _subtract(Y: Array, n: int, block: int, lane: int) -> None:
    """Take column (block, lane), of length 1, out of the columns after it."""
    for b in range(block, Y.shape[1]):
        s, t, u, v = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            x = Y[i, block, lane]
            s += x * Y[i, b, 0]
            t += x * Y[i, b, 1]
            u += x * Y[i, b, 2]
            v += x * Y[i, b, 3]
        if b == block:
            s, t, u, v = 0.0, t if lane < 1 else 0.0, u if lane < 2 else 0.0, v if lane < 3 else 0.0
        for i in range(n):
            x = Y[i, block, lane]
            Y[i, b, 0] -= x * s
            Y[i, b, 1] -= x * t
            Y[i, b, 2] -= x * u
            Y[i, b, 3] -= x * v


@subroutine
def _largest(Y: Array, n: int) -> float:
    largest = 0.0
    for j in range(Y.shape[1]):
        for lane in range(4):
            size = 0.0
            for i in range(n):
                size += Y[i, j, lane] * Y[i, j, lane]
            largest = max(largest, size)
    return np.sqrt(largest)


@subroutine
def _gram_schmidt(Y: Array, n: int, r: Array, lost: float) -> None:
    """Orthonormalize the columns in place, r their lengths; a length of at most lost * (the longest before) is 0: dead."""
    largest = _largest(Y, n) if lost > 0.0 else 0.0
    for j in range(len(r)):
        block, lane = j // 4, j % 4
        size = 0.0
        for i in range(n):
            size += Y[i, block, lane] * Y[i, block, lane]
        size = np.sqrt(size)
        alive = size > lost * largest
        r[j] = size if alive else 0.0
        factor = 1.0 / size if alive else 0.0
        for i in range(n):
            Y[i, block, lane] *= factor
        if alive:
            _subtract(Y, n, block, lane)


@subroutine
def orthonormalize(Y: Array, n: int, r: Array, again: Array, dead: Array, lost: float) -> float:
    """Orthonormalize the first n entries of the columns in place, twice where rounding asks for it; r `(p,)` their lengths.

    dead `(p,)`: not 0 for columns that were zero before the steps that led to Y.

    Returns:
        Smallest over largest length of the others. 0 when a length is out of range, or is exactly 0: what is left of a column that
        has turned towards another one is rounding, and may be nothing at all.
    """
    _gram_schmidt(Y, n, r, lost)
    low, high = np.inf, 0.0
    for j in range(len(r)):
        if dead[j] == 0.0:
            low, high = min(low, r[j]), max(high, r[j])
    if low > high:
        return 1.0  # none is alive
    if not (high < LARGE and low > 1.0 / LARGE):
        return 0.0
    if low < 1e-7 * high:
        _gram_schmidt(Y, n, again, 0.0)
        for j in range(len(r)):
            r[j] *= again[j]
    return low / high


@subroutine
def _find_dead(Q: Array, dead: Array) -> None:
    """dead[j] = 1 for columns of zeros, else 0."""
    for j in range(len(dead)):
        size = 0.0
        for i in range(len(Q)):
            size = max(size, abs(Q[i, j // 4, j % 4]))
        dead[j] = 1.0 if size == 0.0 else 0.0


@subroutine
def _copy(source: Array, target: Array) -> None:
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            for k in range(4):
                target[i, j, k] = source[i, j, k]


@subroutine
def _is_singular(M: Array) -> bool:
    """Whether M is singular to rounding, rows and columns scaled to largest entry 1: elimination with complete pivoting."""
    n = len(M)
    A = M.copy()
    for side in range(2):
        for i in range(n):
            largest = 0.0
            for j in range(n):
                largest = max(largest, abs(A[i, j] if side == 0 else A[j, i]))
            if largest == 0.0:
                return True
            for j in range(n):
                if side == 0:
                    A[i, j] /= largest
                else:
                    A[j, i] /= largest
    for k in range(n):
        row, column, pivot = k, k, 0.0
        for i in range(k, n):
            for j in range(k, n):
                if abs(A[i, j]) > pivot:
                    row, column, pivot = i, j, abs(A[i, j])
        if pivot <= 4 * n * 2.0**-52:
            return True
        for j in range(n):
            A[k, j], A[row, j] = A[row, j], A[k, j]
        for i in range(n):
            A[i, k], A[i, column] = A[i, column], A[i, k]
        for i in range(k + 1, n):
            factor = A[i, k] / A[k, k]
            for j in range(k, n):
                A[i, j] -= factor * A[k, j]
    return False


class Steps(NamedTuple):
    """The step matrices of an orbit's steps 0..T - 1, and of words of w steps that come again and again.

    matrices `(r, n, n)` and numbers `(T,)`: step k is matrices[numbers[k]]. words `(u, n, n)` and word_index `(T // w,)`: the
    product of steps w k..w (k + 1) - 1; w = 1 when there are none.
    """

    matrices: Array
    numbers: Array
    words: Array
    word_index: Array


@subroutine
def _follow(s: Steps, length: int, first: int, last: int, Q: Array, growth: Array, work: Array, pace: int) -> int:
    """Take Q through steps first..last - 1 and add the logarithms of its growth; `pace` steps at a time at first.

    length: of a word, or 1. work `(2, n, B, 4)`. Returns the pace to go on with.
    """
    n, p = len(Q), len(growth)
    Y, new = work[0], work[1]
    r, again, dead = np.empty(p), np.empty(p), np.empty(p)
    _find_dead(Q, dead)
    k = first
    while k < last:
        steps = min(pace, last - k)
        _copy(Q, Y)
        i = k
        while i < k + steps:
            if length > 1 and i % length == 0 and i + length <= k + steps:
                multiply(s.words[s.word_index[i // length]], Y, new)
                i += length
            else:
                multiply(s.matrices[s.numbers[i]], Y, new)
                i += 1
            Y, new = new, Y
        ratio = orthonormalize(Y, n, r, again, dead, 0.0)
        if ratio < ACCEPTED and steps > 1:
            pace = max(steps // 2, 1)
            continue
        if ratio < LOST and _is_singular(s.matrices[s.numbers[k]]):
            multiply(s.matrices[s.numbers[k]], Q, Y)
            ratio = orthonormalize(Y, n, r, again, dead, LOST)
        _copy(Y, Q)
        for j in range(p):
            growth[j] += np.log(r[j])
            if r[j] == 0.0:
                dead[j] = 1.0
        k += steps
        wanted = LONGEST if ratio >= 1.0 else int(steps * np.log(AIM) / -np.log(max(ratio, 1e-300)))
        pace = max(1, min(wanted, max(pace, 2 * steps), LONGEST))
        if pace > length:
            pace -= (k + pace) % length
    return pace


@kernel
def follow_records(
    s: Steps,
    length: int,
    edges: Array,
    first: int,
    last: int,
    Q: Array,
    growth: Array,
    checks: Array,
    work: Array,
    pace: int,
) -> int:
    """Take Q through records first..last - 1, record k being the steps edges[k]..edges[k + 1] - 1.

    growth `(K, p)`: record k's logarithms are added to row k. checks `(c, n, B, 4)`: Q after 1, 2, 4, ... records. Returns the
    pace to go on with.
    """
    at = 0
    for k in range(first, last):
        pace = _follow(s, length, edges[k], edges[k + 1], Q, growth[k], work, pace)
        if k + 1 - first == 1 << at and at < len(checks):
            _copy(Q, checks[at])
            at += 1
    return pace


@subroutine
def _agree(Q: Array, other: Array) -> bool:
    """Whether the vectors are the same up to their signs."""
    for j in range(Q.shape[1]):
        for lane in range(4):
            plus, minus = 0.0, 0.0
            for i in range(len(Q)):
                plus = max(plus, abs(Q[i, j, lane] - other[i, j, lane]))
                minus = max(minus, abs(Q[i, j, lane] + other[i, j, lane]))
            if not min(plus, minus) <= SAME:
                return False
    return True


@kernel
def repair_records(
    s: Steps,
    length: int,
    edges: Array,
    first: int,
    last: int,
    Q: Array,
    growth: Array,
    checks: Array,
    work: Array,
    pace: int,
) -> int:
    """Records first..last - 1 were followed from a guess: follow them from Q until it agrees with what was followed then.

    Returns:
        Number of the first record that is good as it is; `last` when none is, Q then being the vectors at the end.
    """
    at = 0
    for k in range(first, last):
        for j in range(growth.shape[1]):
            growth[k, j] = 0.0
        pace = _follow(s, length, edges[k], edges[k + 1], Q, growth[k], work, pace)
        if k + 1 - first == 1 << at and at < len(checks):
            if _agree(Q, checks[at]):
                return k + 1
            at += 1
    return last


@kernel
def number_rows(rows: Array, index: Array, first: Array, slots: Array) -> int:
    """Number the different rows of `(T, q)` integers in the order in which they appear.

    index `(T,)`: the number of each row; first `(T,)`: where number k is seen first; slots: -1, a power of two of them, at
    least 2 T. Returns how many there are.
    """
    T, q = rows.shape
    count, mask = 0, len(slots) - 1
    for t in range(T):
        word = 1469598103934665603
        for i in range(q):
            word = (word ^ np.int64(rows[t, i])) * 1099511628211
        at = (word ^ (word >> 32)) & mask
        while True:
            k = slots[at]
            if k < 0:
                slots[at], first[count], index[t] = count, t, count
                count += 1
                break
            same = True
            for i in range(q):
                if rows[t, i] != rows[first[k], i]:
                    same = False
                    break
            if same:
                index[t] = k
                break
            at = (at + 1) & mask
    return count


# --- flows whose region is read from the state -------------------------------------------------------------------------

ANCHOR, SWITCH, INPUT = range(3)  # kinds of events
KIND, MINUS, PLUS, SLIDER, NORMAL = range(5)  # columns of Events.codes


class Events(NamedTuple):
    """What happens along an orbit, in order.

    times `(E,)`. codes `(E, 5)`: kind; for a switch the regions after it on either side of the boundary it slides along, the
    unit of that boundary, and the unit whose boundary is crossed. A flow that does not slide has the same region twice and
    unit -1; unit -1 as normal means that the time of the switch does not depend on the state. For an anchor, MINUS is the
    number of the sample and PLUS the record that ends there: -1 none, -2 all records before are forgotten.
    """

    times: Array
    codes: Array


class Field(NamedTuple):
    """Regions and input: data `(r, rows, width)` and extra `(r,)` as in a `RegionTable`, boundaries W2 `(q, n)`, C2T `(m, q)`, and
    the input's starts `(k,)`, values and slopes `(k, m)`."""

    data: Array
    extra: Array
    W2: Array
    C2T: Array
    starts: Array
    values: Array
    slopes: Array


class Flight(NamedTuple):
    """State of the tangent flow: y `(2 n,)` and vectors V `(p, 2 n)` with auxiliary states last, f, g, h `(2 n,)` fields, zero
    `(2 n,)`, series c, inputs s `(2, m)`, blocks Y `(2 n, B, 4)`, lengths r and again `(p,)`, which
    are dead `(p,)`, logs `(p,)`, reals: volume, reach."""

    y: Array
    V: Array
    f: Array
    g: Array
    h: Array
    zero: Array
    c: Array
    s: Array
    Y: Array
    r: Array
    again: Array
    dead: Array
    logs: Array
    reals: Array


REACH_QR = 6.0  # orthonormalize when alpha * time exceeds this: growth rates differ by at most about twice alpha
SLIDE_STEP = 0.02  # ||W|| times the Runge-Kutta step on a sliding piece: error about 1e-9 per 1 / ||W||
SLIDE_STEPS = (
    32  # of a sliding piece, at least: ||W||, balanced, does not bound how fast states drive each other along a chain
)


@kernel
def orthonormalize_rows(w: Flight, N: int, lost: float) -> None:
    """Orthonormalize the vectors of w.V and add the logarithms of their lengths."""
    p = len(w.V)
    for j in range(p):
        for i in range(N):
            w.Y[i, j // 4, j % 4] = w.V[j, i]
    _find_dead(w.Y, w.dead)
    orthonormalize(w.Y, N, w.r, w.again, w.dead, lost)
    for j in range(p):
        w.logs[j] += np.log(w.r[j])
        for i in range(N):
            w.V[j, i] = w.Y[i, j // 4, j % 4]
    w.reals[1] = 0.0


@subroutine
def _field(e: Field, region: int, n: int, t: float, piece: int, w: Flight, out: Array) -> None:
    """The region's field at w.y, with its auxiliary states."""
    data, N, m = e.data[region], n + e.extra[region], w.s.shape[1]
    for i in range(N):
        out[i] = data[N, i]
    for j in range(m):
        s = e.values[piece, j] + e.slopes[piece, j] * (t - e.starts[piece])
        for i in range(N):
            out[i] += s * data[N + 1 + j, i]
    for j in range(N):
        for i in range(N):
            out[i] += data[j, i] * w.y[j]


@subroutine
def _drift(e: Field, piece: int, unit: int) -> float:
    """Speed of a unit's preactivation that is due to the input."""
    drift = 0.0
    for j in range(len(e.C2T)):
        drift += e.C2T[j, unit] * e.slopes[piece, j]
    return drift


@subroutine
def _along(e: Field, unit: int, n: int, v: Array) -> float:
    value = 0.0
    for i in range(n):
        value += e.W2[unit, i] * v[i]
    return value


@subroutine
def _sliding_field(
    e: Field, minus: int, plus: int, unit: int, n: int, t: float, piece: int, w: Flight, out: Array
) -> None:
    """Filippov's field alpha f+ + (1 - alpha) f- at w.y, alpha = a- / (a- - a+), a the speed of the preactivation."""
    _field(e, minus, n, t, piece, w, w.g)
    _field(e, plus, n, t, piece, w, w.h)
    drift = _drift(e, piece, unit)
    below, above = _along(e, unit, n, w.g) + drift, _along(e, unit, n, w.h) + drift
    alpha = below / (below - above)
    for i in range(n):
        out[i] = w.g[i] + alpha * (w.h[i] - w.g[i])


@subroutine
def _field_of(e: Field, code: Array, n: int, t: float, piece: int, w: Flight, out: Array) -> int:
    """The field that a code names, into out; returns its number of states."""
    if code[SLIDER] >= 0:
        for i in range(n, 2 * n):
            w.y[i] = 0.0
        _sliding_field(e, code[MINUS], code[PLUS], code[SLIDER], n, t, piece, w, out)
        return n
    _field(e, code[MINUS], n, t, piece, w, out)
    return n + int(e.extra[code[MINUS]])


@subroutine
def _exit(e: Field, region: int, unit: int, n: int, piece: int, f: Array, gradient: Array) -> float:
    """Gradient of the speed at which the region's field leaves the unit's boundary, and how fast that grows while sliding with f: sliding
    ends when it is 0."""
    data, N, growth = e.data[region], n + e.extra[region], 0.0
    for j in range(n):
        gradient[j] = _along(e, unit, n, data[j])
        growth += gradient[j] * f[j]
    for j in range(e.values.shape[1]):
        growth += e.slopes[piece, j] * _along(e, unit, n, data[N + 1 + j])
    return growth


@subroutine
def _saltation_reach(e: Field, unit: int, n: int, before: Array, after: Array, speed: float, new_speed: float) -> float:
    """Half the logarithm of a bound on |S| |S^-1|: as alpha times a time, what may part the lengths of the vectors."""
    normal, jump = 0.0, 0.0
    for i in range(n):
        normal += e.W2[unit, i] * e.W2[unit, i]
        jump += (after[i] - before[i]) * (after[i] - before[i])
    size = np.sqrt(normal * jump)
    return 0.5 * (np.log1p(size / abs(speed)) + np.log1p(size / abs(new_speed))) if size > 0.0 else 0.0


@subroutine
def _saltation(e: Field, before: Array, after: Array, n: int, t: float, piece: int, w: Flight) -> None:
    """Take state and vectors across a boundary.

    S = P + (f+ - P f-) n^T / (n^T f- + g'),  P leaves auxiliary states behind, g' the speed of the boundary.

    Where sliding ends by itself the field goes on without a jump, but auxiliary states begin there, sooner or later for starts beside.
    """
    unit, f = after[NORMAL], w.f
    _field_of(e, before, n, t, piece, w, f)
    speed = 0.0
    if unit >= 0:
        speed = _along(e, unit, n, f) + _drift(e, piece, unit)
    for i in range(n, 2 * n):
        w.y[i] = 0.0
    back = w.c[0]
    for i in range(2 * n):
        back[i] = 0.0
    new = _field_of(e, after, n, t, piece, w, back)
    if unit >= 0:
        passed = (_along(e, unit, n, back) + _drift(e, piece, unit)) / speed
        w.reals[0] += np.log(abs(passed)) if after[SLIDER] < 0 else -np.inf
        reach = _saltation_reach(e, unit, n, f, back, speed, speed * passed)
        if w.reals[1] + reach > REACH_QR:
            orthonormalize_rows(w, n if before[SLIDER] >= 0 else n + e.extra[before[MINUS]], 0.0)
        w.reals[1] += reach
    ends = unit < 0 and before[SLIDER] >= 0 and after[SLIDER] < 0 and new > n
    if ends:
        speed = _exit(e, after[MINUS], before[SLIDER], n, piece, f, w.h)
    for j in range(len(w.V)):
        share = _along(e, unit, n, w.V[j]) / speed if unit >= 0 else 0.0
        for i in range(n):
            w.V[j, i] += (back[i] - f[i]) * share
        if ends and speed != 0.0:
            for i in range(n):
                share += w.h[i] * w.V[j, i] / speed
        for i in range(n, 2 * n):
            w.V[j, i] = back[i] * share if i < new else 0.0
    if after[SLIDER] >= 0 and unit == after[SLIDER]:  # the vectors now lie in the boundary: one dimension is lost
        orthonormalize_rows(w, new, LOST)
    elif w.reals[1] > REACH_QR:
        orthonormalize_rows(w, new, 0.0)


@subroutine
def _advance(WT: Array, N: int, scaling: Array, f0: Array, f1: Array, y: Array, span: float, c: Array) -> None:
    """y after a time of dy/dt = W y + f0 + t f1."""
    left = span
    while left > 0.0:
        tau, degree = affine_series(WT, N, scaling, f0, f1, y, left, c)
        evaluate(c, degree, N, 1.0, y)
        if tau >= left:
            return
        left -= tau
        for i in range(N):
            f0[i] += tau * f1[i]


@subroutine
def _affine_piece(e: Field, region: int, n: int, t: float, span: float, piece: int, w: Flight) -> None:
    """State and vectors after a time inside one region, orthonormalized as often as needed."""
    data, N, m = e.data[region], n + e.extra[region], w.s.shape[1]
    scaling = data[N + 1 + m :]
    alpha = scaling[2, 0]
    done, f0, f1 = 0.0, w.f, w.g
    while done < span:
        part = span - done
        if alpha * part > REACH:
            part = REACH / alpha
        for i in range(N):
            f0[i], f1[i] = data[N, i], 0.0
        for j in range(m):
            s = e.values[piece, j] + e.slopes[piece, j] * (t + done - e.starts[piece])
            for i in range(N):
                f0[i] += s * data[N + 1 + j, i]
                f1[i] += e.slopes[piece, j] * data[N + 1 + j, i]
        _advance(data, N, scaling, f0, f1, w.y, part, w.c)
        for j in range(len(w.V)):
            _advance(data, N, scaling, w.zero, w.zero, w.V[j], part, w.c)
        done += part
        w.reals[1] += alpha * part
        if w.reals[1] > REACH_QR:
            orthonormalize_rows(w, N, 0.0)
    for i in range(n):
        w.reals[0] += data[i, i] * span


@subroutine
def _sliding_slope(
    e: Field, code: Array, n: int, t: float, piece: int, v: Array, dv: Array, w: Flight, alpha: float, total: float
) -> None:
    """dv = (derivative of Filippov's field) v, where w.g and w.h are the two fields, total = a- - a+."""
    minus, plus, unit = e.data[code[MINUS]], e.data[code[PLUS]], code[SLIDER]
    below, above = 0.0, 0.0
    for i in range(n):
        a, b = 0.0, 0.0
        for j in range(n):
            a += minus[j, i] * v[j]
            b += plus[j, i] * v[j]
        dv[i] = a + alpha * (b - a)
        below += e.W2[unit, i] * a
        above += e.W2[unit, i] * b
    change = (below - alpha * (below - above)) / total
    for i in range(n):
        dv[i] += change * (w.h[i] - w.g[i])


@subroutine
def _sliding_rates(e: Field, code: Array, n: int, t: float, piece: int, X: Array, out: Array, w: Flight) -> None:
    """Rates of the state X[0] and of the vectors X[1:], all `(2 n,)`."""
    for i in range(n):
        w.y[i] = X[0, i]
    _sliding_field(e, code[MINUS], code[PLUS], code[SLIDER], n, t, piece, w, out[0])
    drift = _drift(e, piece, code[SLIDER])
    below = _along(e, code[SLIDER], n, w.g) + drift
    total = below - _along(e, code[SLIDER], n, w.h) - drift
    for j in range(1, len(X)):
        _sliding_slope(e, code, n, t, piece, X[j], out[j], w, below / total, total)


@subroutine
def _sliding_piece(e: Field, code: Array, n: int, t: float, span: float, piece: int, w: Flight) -> None:
    """State and vectors after a time of sliding, by classical Runge-Kutta steps."""
    m, p = w.s.shape[1], len(w.V)
    minus, plus = e.data[code[MINUS]], e.data[code[PLUS]]
    norm = max(minus[n + e.extra[code[MINUS]] + 2 + m, 0], plus[n + e.extra[code[PLUS]] + 2 + m, 0])
    steps = max(int(np.ceil(norm * span / SLIDE_STEP)), SLIDE_STEPS)
    h = span / steps
    X, Z, k, total = (
        np.zeros((p + 1, 2 * n)),
        np.zeros((p + 1, 2 * n)),
        np.zeros((p + 1, 2 * n)),
        np.zeros((p + 1, 2 * n)),
    )
    for step in range(steps):
        for j in range(p + 1):
            for i in range(n):
                X[j, i] = w.y[i] if j == 0 else w.V[j - 1, i]
                total[j, i], k[j, i] = 0.0, 0.0
        for stage in range(4):
            shift = 0.0 if stage == 0 else (0.5 if stage < 3 else 1.0)
            weight = 1.0 if stage == 0 or stage == 3 else 2.0
            for j in range(p + 1):
                for i in range(n):
                    Z[j, i] = X[j, i] + shift * h * k[j, i]
            _sliding_rates(e, code, n, t + (step + shift) * h, piece, Z, k, w)
            for j in range(p + 1):
                for i in range(n):
                    total[j, i] += weight * k[j, i]
        for j in range(p + 1):
            for i in range(n):
                x = X[j, i] + h / 6.0 * total[j, i]
                if j == 0:
                    w.y[i] = x
                else:
                    w.V[j - 1, i] = x
        w.reals[1] += 2.0 * norm * h
        if w.reals[1] > REACH_QR:
            orthonormalize_rows(w, n, 0.0)


@kernel
def follow_events(
    e: Field,
    events: Events,
    samples: Array,
    code: Array,
    w: Flight,
    growth: Array,
    volumes: Array,
    t: float,
    piece: int,
) -> int:
    """Take w.V from t along an orbit: through its pieces, across its switches; the state is set anew at every anchor.

    code `(5,)`: that of the region it is in. samples `(S, n)`; growth `(K, p)`, volumes `(K,)`: logarithms per record. piece: of
    the input. Returns the last one.
    """
    n, p = samples.shape[1], len(w.V)
    for k in range(len(events.times)):
        span = events.times[k] - t
        if span > 0.0:
            if code[SLIDER] >= 0:
                _sliding_piece(e, code, n, t, span, piece, w)
            else:
                _affine_piece(e, code[MINUS], n, t, span, piece, w)
            t = events.times[k]
        now = events.codes[k]
        if now[KIND] == INPUT:
            piece += 1
        elif now[KIND] == SWITCH:
            _saltation(e, code, now, n, t, piece, w)
            for i in range(5):
                code[i] = now[i]
        else:
            for i in range(n):
                w.y[i] = samples[now[MINUS], i]
            if now[PLUS] == -1:
                continue
            orthonormalize_rows(w, n if code[SLIDER] >= 0 else n + e.extra[code[MINUS]], 0.0)
            for j in range(p):
                if now[PLUS] >= 0:
                    growth[now[PLUS], j] = w.logs[j]
                w.logs[j] = 0.0
            if now[PLUS] >= 0:
                volumes[now[PLUS]] = w.reals[0]
            w.reals[0] = 0.0
    return piece

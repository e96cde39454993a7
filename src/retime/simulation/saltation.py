"""Tangent vectors of flows from switch to switch: within a region the exponential, at a switch the saltation matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.products import LOST, find_dead, orthonormalize
from retime.simulation.taylor import REACH, affine_series, evaluate

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
SLIDE_STEPS = 32  # of a sliding piece, at least: ||W||, balanced, does not bound how fast states drive each other


@kernel
def orthonormalize_rows(w: Flight, N: int, lost: float) -> None:
    """Orthonormalize the vectors of w.V and add the logarithms of their lengths."""
    p = len(w.V)
    for j in range(p):
        for i in range(N):
            w.Y[i, j // 4, j % 4] = w.V[j, i]
    find_dead(w.Y, w.dead)
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
    X, Z = np.zeros((p + 1, 2 * n)), np.zeros((p + 1, 2 * n))
    k, total = np.zeros((p + 1, 2 * n)), np.zeros((p + 1, 2 * n))
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

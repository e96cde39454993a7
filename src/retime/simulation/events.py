"""The event-driven flow of a piecewise-affine field: every switch located, sliding continued, nothing skipped.

One call of `advance` moves a `Record` through linear pieces until the horizon, an unknown region or a full switch
buffer. On each piece the state is a Taylor polynomial with a proven remainder, so the preactivation of every unit is a
polynomial too, and its first sign change is found by `roots.first_negative`. A unit on its boundary is carried as
exactly zero (`on_boundary`), and the side it moves to is decided by the first nonzero derivative.

Source: filippov1988 for sliding; docs/theory/flows.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from retime.core.arrays import Array
from retime.simulation.arrays import FormArrays, TableArrays
from retime.simulation.iterate import LIMIT, find_region
from retime.simulation.roots import DEGREE, DEPTH, NONE, first_negative, horner
from retime.simulation.taylor import REMAINDER, affine_series, evaluate, weighted_norm

# what `advance` returns
DONE, NEED_REGION, BUFFER_FULL, DIVERGED, UNDEFINED, NO_FLOW, ACCUMULATE = 0, 1, 2, 3, 4, 5, 6

# entries of Record.integers
NEXT_TIME, PIECE, REGION, SLIDING, MINUS, PLUS, RESOLVE, SWITCHES, INITIAL, SLIDES, MARK = range(11)
# entries of Record.reals
TIME, NONUNIQUE_TIME, MARK_TIME, SLIDE_START = range(4)

_NOISE = 64 * 2.0**-52
_MANY = 10_000  # switches within one instant that count as accumulation


class Record(NamedTuple):
    """The state of one simulation between calls.

    y `(2 n,)`: state, then auxiliary states. bits `(q,)`: the pattern. entered `(q,)`: the pattern of
    the region that the auxiliary states belong to. on_boundary `(q,)`: units carried as
    exactly zero. want `(q,)`: the pattern to add to the table on `NEED_REGION`. integers, reals: the counters above.
    switch_times, switch_units: buffers. slides `(., 3)`: start, end, unit of each sliding interval.
    """

    y: Array
    bits: Array
    entered: Array
    on_boundary: Array
    want: Array
    integers: Array
    reals: Array
    switch_times: Array
    switch_units: Array
    slides: Array


class Drive(NamedTuple):
    """Piecewise-linear input: starts `(k,)` and end of each piece `(k,)`, values `(k, m)`, slopes `(k, m)`."""

    starts: Array
    ends: Array
    values: Array
    slopes: Array


class Scratch(NamedTuple):
    """Work arrays: c, minus, plus `(DEGREE + 1, 2 n)`, p `(q, DEGREE + 1)`, stack, and five vectors `(2 n,)`."""

    c: Array
    minus: Array
    plus: Array
    p: Array
    stack: Array
    v: Array


def scratch(num_states: int, num_units: int) -> Scratch:
    """Work arrays for a system of n states and q units."""
    N = 2 * num_states
    wide = (DEGREE + 1, N)
    return Scratch(
        np.zeros(wide),
        np.zeros(wide),
        np.zeros(wide),
        np.zeros((num_units + 2, DEGREE + 1)),
        np.zeros((DEPTH + 2, DEGREE + 1)),
        np.zeros((8, N)),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def advance(f: FormArrays, t: TableArrays, drive: Drive, times: Array, out: Array, patterns: Array, r: Record, w: Scratch) -> int:
    """Move the record on, filling `out` (T, n) and `patterns` (T, q); return why it stopped."""
    n, q, end = out.shape[1], len(f.h2), times[-1]
    s, slope = np.empty(len(f.C1T)), np.empty(len(f.C1T))
    new = np.empty(2 * n)
    r.integers[REGION] = find_region(t, r.entered)
    if r.integers[SLIDING] >= 0:
        r.integers[RESOLVE] = 1
    while True:
        if r.integers[NEXT_TIME] >= len(times):
            return DONE
        if r.integers[SWITCHES] + q >= len(r.switch_times) or r.integers[SLIDES] + 1 >= len(r.slides):
            return BUFFER_FULL
        now = r.reals[TIME]
        _input_at(drive, r.integers[PIECE], now, s, slope)
        if r.integers[RESOLVE]:
            code = _resolve(f, t, r, w, s, slope, n)
            if code != DONE:
                return code
        last = min(drive.ends[r.integers[PIECE]], end)
        span = max(last - now, 0.0)
        tau, N = _series(f, t, r, w, s, slope, n, span)
        event, unit = _first_event(f, r, w, s, slope, n, tau)
        x = min(event, 1.0)
        reached = event > 1.0 and tau >= span
        after = last if reached else now + x * tau
        _emit(w.c, times, out, patterns, r, now, tau, after, n)
        evaluate(w.c, N, x, new)
        largest = 0.0
        for i in range(n):
            largest = max(largest, abs(new[i]))
        r.y[:N] = new[:N]
        r.reals[TIME] = after
        if not largest < LIMIT:
            return DIVERGED
        _mark_boundaries(r, w, x, q)
        _after_step(r, unit, event, q)
        if reached and last < end:
            r.integers[PIECE] += 1
            _read_bits(f, drive, r, n)
        if _accumulates(r):
            return ACCUMULATE


@njit(cache=True, nogil=True, error_model="numpy")
def _input_at(drive: Drive, piece: int, now: float, s: Array, slope: Array) -> None:
    for j in range(len(s)):
        slope[j] = drive.slopes[piece, j]
        s[j] = drive.values[piece, j] + slope[j] * (now - drive.starts[piece])


@njit(cache=True, nogil=True, error_model="numpy")
def _read_bits(f: FormArrays, drive: Drive, r: Record, n: int) -> None:
    """The input has jumped: read the pattern again; a unit within rounding of its boundary is carried as zero."""
    piece = r.integers[PIECE]
    for i in range(len(f.h2)):
        g, size = f.h2[i], abs(f.h2[i])
        for j in range(n):
            g += f.W2[i, j] * r.y[j]
            size += abs(f.W2[i, j] * r.y[j])
        for j in range(drive.values.shape[1]):
            g += f.C2T[j, i] * drive.values[piece, j]
            size += abs(f.C2T[j, i] * drive.values[piece, j])
        near = abs(g) <= _NOISE * size or (r.on_boundary[i] and abs(g) <= 100 * _NOISE * size)
        r.on_boundary[i] = near
        if not near and r.bits[i] != (g > 0.0):
            _switch(r, i)
        if near or r.integers[SLIDING] == i:
            r.integers[RESOLVE] = 1
    if drive.values.shape[1] and r.integers[SLIDING] >= 0:
        r.integers[RESOLVE] = 1


@njit(cache=True, nogil=True, error_model="numpy")
def _switch(r: Record, i: int) -> None:
    """Flip unit i and note when."""
    k = r.integers[SWITCHES]
    r.switch_times[k], r.switch_units[k] = r.reals[TIME], i
    r.integers[SWITCHES] = k + 1
    r.bits[i] = 1 - r.bits[i]
    r.integers[RESOLVE] = 1


@njit(cache=True, nogil=True, error_model="numpy")
def _accumulates(r: Record) -> bool:
    """Whether very many switches have happened while time stood still."""
    if r.integers[SWITCHES] - r.integers[MARK] < _MANY:
        return False
    stuck = r.reals[TIME] - r.reals[MARK_TIME] <= 1e-9 * max(1.0, abs(r.reals[TIME]))
    r.integers[MARK], r.reals[MARK_TIME] = r.integers[SWITCHES], r.reals[TIME]
    return stuck


@njit(cache=True, nogil=True, error_model="numpy")
def _emit(c: Array, times: Array, out: Array, patterns: Array, r: Record, now: float, tau: float, after: float, n: int) -> None:
    """Write the samples in (now, after], the one at `now` included when not yet written."""
    k = r.integers[NEXT_TIME]
    while k < len(times) and times[k] <= after:
        x = (times[k] - now) / tau if tau > 0.0 else 0.0
        evaluate(c, n, min(max(x, 0.0), 1.0), out[k])
        for i in range(len(r.bits)):
            patterns[k, i] = r.bits[i]
        k += 1
    r.integers[NEXT_TIME] = k


# --- series of one piece ---------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _offset(data: Array, N: int, s: Array, slope: Array, f0: Array, f1: Array) -> None:
    """f0 = h + E s and f1 = E ds/dt from a region's rows: N columns of W, h, columns of E, weights."""
    f0[:N] = data[N, :N]
    f1[:N] = 0.0
    for j in range(len(s)):
        f0[:N] += s[j] * data[N + 1 + j, :N]
        f1[:N] += slope[j] * data[N + 1 + j, :N]


@njit(cache=True, nogil=True, error_model="numpy")
def _series(f: FormArrays, t: TableArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int, tau: float) -> tuple[float, int]:
    """Fill w.c for the current region, or for sliding between two; return the step and the number of columns."""
    if r.integers[SLIDING] >= 0:
        return _sliding_series(f, t, r, w, s, slope, n, tau), n
    data = t.data[r.integers[REGION]]
    N = n + t.extra[r.integers[REGION]]
    _offset(data, N, s, slope, w.v[0], w.v[1])
    return affine_series(data, N, data[N + 1 + len(s)], w.v[0], w.v[1], r.y, tau, w.c), N


@njit(cache=True, nogil=True, error_model="numpy")
def _block_product(data: Array, n: int, z: Array, out: Array) -> None:
    """out += W[:n, :n] z."""
    for j in range(n):
        x = z[j]
        for i in range(n):
            out[i] += x * data[j, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _sliding_series(f: FormArrays, t: TableArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int, tau: float) -> float:
    """Filippov's field alpha f+ + (1 - alpha) f-, alpha = a- / (a- - a+), a = speed of the unit under f; by recurrence.

    The rows w.p[q], w.p[q + 1] get the speeds a- and -a+, both positive while the solution slides. The step is cut so
    that the last two coefficients are at rounding level (an estimate: the field is rational, not affine).
    """
    unit, q = r.integers[SLIDING], len(f.h2)
    minus, plus = t.data[r.integers[MINUS]], t.data[r.integers[PLUS]]
    Nm, Np = n + t.extra[r.integers[MINUS]], n + t.extra[r.integers[PLUS]]
    norm = max(weighted_norm(minus, n, minus[Nm + 1 + len(s)]), weighted_norm(plus, n, plus[Np + 1 + len(s)]))
    tau = min(tau, 1.0 / norm) if norm > 0 else tau
    drift = 0.0
    for j in range(len(s)):
        drift += f.C2T[j, unit] * slope[j]
    alpha, den = np.zeros(DEGREE + 1), np.zeros(DEGREE + 1)
    scale = 0.0
    w.c[0, :n] = r.y[:n]
    for k in range(DEGREE + 1):
        u, v = w.minus[k], w.plus[k]
        u[:n], v[:n] = 0.0, 0.0
        if k == 0:
            _offset(minus, Nm, s, slope, w.v[0], w.v[1])
            u[:n] = w.v[0, :n]
            _offset(plus, Np, s, slope, w.v[2], w.v[3])
            v[:n] = w.v[2, :n]
        elif k == 1:
            u[:n], v[:n] = tau * w.v[1, :n], tau * w.v[3, :n]
        _block_product(minus, n, w.c[k], u)
        _block_product(plus, n, w.c[k], v)
        below, above = 0.0, 0.0
        for i in range(n):
            below += f.W2[unit, i] * u[i]
            above += f.W2[unit, i] * v[i]
        if k == 0:
            below, above = below + drift, above + drift
        w.p[q, k], w.p[q + 1, k], den[k] = below, -above, below - above
        value = below
        for j in range(k):
            value -= alpha[j] * den[k - j]
        alpha[k] = value / den[0]
        if k == DEGREE:
            break
        for i in range(n):
            x = u[i]
            for j in range(k + 1):
                x += alpha[j] * (w.plus[k - j, i] - w.minus[k - j, i])
            w.c[k + 1, i] = x * tau / (k + 1)
            scale = max(scale, abs(w.c[k, i]))
    shrink = 1.0
    for k in (DEGREE - 1, DEGREE):
        size = np.abs(w.c[k, :n]).max()
        if size > REMAINDER * scale:
            shrink = min(shrink, 0.7 * (REMAINDER * scale / size) ** (1.0 / k))
    if shrink < 1.0:
        power = 1.0
        for k in range(1, DEGREE + 1):
            power *= shrink
            w.c[k, :n] *= power
            w.p[q, k] *= power
            w.p[q + 1, k] *= power
        tau *= shrink
    return tau




# --- events ----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _first_event(f: FormArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int, tau: float) -> tuple[float, int]:
    """Where in (0, 1] the first unit leaves its side, and which; q and q + 1 stand for the end of sliding."""
    q, sliding = len(f.h2), r.integers[SLIDING]
    best, which = NONE, -1
    poly = np.empty(DEGREE + 1)
    for i in range(q):
        if i == sliding:
            w.p[i] = 0.0
            continue
        _preactivation_series(f, w, s, slope, n, tau, i)
        if r.on_boundary[i]:
            w.p[i, 0] = 0.0
        sign = 1.0 if r.bits[i] else -1.0
        x = _leaves(w.p[i], sign, r.on_boundary[i] == 1, min(best, 1.0), poly, w.stack)
        if x < best:
            best, which = x, i
    if sliding >= 0:
        for i in (q, q + 1):
            x = _leaves(w.p[i], 1.0, False, min(best, 1.0), poly, w.stack)
            if x < best:
                best, which = x, i
    return best, which


@njit(cache=True, nogil=True, error_model="numpy")
def _preactivation_series(f: FormArrays, w: Scratch, s: Array, slope: Array, n: int, tau: float, i: int) -> None:
    p = w.p[i]
    if len(f.selection) > 0:
        j = f.selection[i]
        for k in range(DEGREE + 1):
            p[k] = w.c[k, j]
    else:
        for k in range(DEGREE + 1):
            value = 0.0
            for j in range(n):
                value += f.W2[i, j] * w.c[k, j]
            p[k] = value
    p[0] += f.h2[i]
    for j in range(len(s)):
        p[0] += f.C2T[j, i] * s[j]
        p[1] += f.C2T[j, i] * slope[j] * tau


@njit(cache=True, nogil=True, error_model="numpy")
def _leaves(p: Array, sign: float, on_boundary: bool, upto: float, poly: Array, stack: Array) -> float:
    """First x at which sign * p turns negative. On the boundary the factor x is divided out as often as needed."""
    start = 0
    if on_boundary:
        size = np.abs(p).max()
        while start <= DEGREE and abs(p[start]) <= _NOISE * size:
            start += 1
        if start > DEGREE:
            return NONE
    poly[:] = 0.0
    for k in range(start, DEGREE + 1):
        poly[k - start] = sign * p[k]
    if poly[0] <= 0.0:
        return NONE if on_boundary else 0.0
    return first_negative(poly, upto, stack)


@njit(cache=True, nogil=True, error_model="numpy")
def _mark_boundaries(r: Record, w: Scratch, x: float, q: int) -> None:
    """Units whose preactivation at the end of the step is within rounding of zero are carried as zero."""
    for i in range(q):
        if i == r.integers[SLIDING]:
            continue
        size, power = 0.0, 1.0
        for k in range(DEGREE + 1):
            size += abs(w.p[i, k]) * power
            power *= x
        near = abs(horner(w.p[i], x)) <= _NOISE * size
        if near and size == 0.0 and r.on_boundary[i]:
            continue
        r.on_boundary[i] = near
        if near:
            r.integers[RESOLVE] = 1


@njit(cache=True, nogil=True, error_model="numpy")
def _after_step(r: Record, unit: int, event: float, q: int) -> None:
    """Book the event: a crossing flips its unit (to be confirmed by `_resolve`), the end of sliding picks a side."""
    if event > 1.0:
        return
    r.integers[RESOLVE] = 1
    if unit >= q:
        sliding = r.integers[SLIDING]
        _end_slide(r)
        r.on_boundary[sliding] = 1
        if r.bits[sliding] != (unit == q + 1):
            _switch(r, sliding)
    else:
        r.on_boundary[unit] = 1
        _switch(r, unit)


@njit(cache=True, nogil=True, error_model="numpy")
def _end_slide(r: Record) -> None:
    k = r.integers[SLIDES]
    r.slides[k, 0], r.slides[k, 1], r.slides[k, 2] = r.reals[SLIDE_START], r.reals[TIME], r.integers[SLIDING]
    r.integers[SLIDES] = k + 1
    r.integers[SLIDING] = -1
    r.integers[REGION] = -1


# --- which region next -----------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _resolve(f: FormArrays, t: TableArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int) -> int:
    """Settle the pattern so that every unit on its boundary moves to the side its bit says, or start to slide."""
    q = len(f.h2)
    was_sliding = r.integers[SLIDING]
    units = np.flatnonzero(r.on_boundary)
    if was_sliding >= 0:
        code = _keep_sliding(f, t, r, w, s, slope, n, units)
        if code != UNDEFINED:
            return code
        _end_slide(r)
        r.on_boundary[was_sliding] = 1
        units = np.flatnonzero(r.on_boundary)
    trial = r.bits.copy()
    code = _settle(f, t, r, w, s, slope, n, units, trial)
    if code == UNDEFINED and len(units) <= 8:
        code = _try_all(f, t, r, w, s, slope, n, units, trial)
    if code == UNDEFINED and len(units) <= 8:
        return _start_sliding(f, t, r, w, s, slope, n, units, trial)
    if code == DONE and r.integers[INITIAL] and 0 < len(units) <= 3:
        code = _check_unique(f, t, r, w, s, slope, n, units, trial)
    if code != DONE:
        return code
    _accept(t, r, trial, n, q)
    r.integers[INITIAL] = 0
    return DONE


@njit(cache=True, nogil=True, error_model="numpy")
def _accept(t: TableArrays, r: Record, trial: Array, n: int, q: int) -> None:
    """Make `trial` the pattern; a region that is entered starts with auxiliary states 0."""
    for i in range(q):
        if r.bits[i] != trial[i]:
            _unswitch_or_switch(r, i)
    region = find_region(t, r.bits)
    if r.integers[REGION] != region:
        r.y[n:] = 0.0
    r.entered[:] = r.bits
    r.integers[REGION], r.integers[RESOLVE] = region, 0


@njit(cache=True, nogil=True, error_model="numpy")
def _unswitch_or_switch(r: Record, i: int) -> None:
    """Flip unit i; a flip booked at this very time is taken back instead of being noted twice."""
    k = r.integers[SWITCHES] - 1
    while k >= 0 and r.switch_times[k] == r.reals[TIME]:
        if r.switch_units[k] == i:
            for j in range(k, r.integers[SWITCHES] - 1):
                r.switch_times[j], r.switch_units[j] = r.switch_times[j + 1], r.switch_units[j + 1]
            r.integers[SWITCHES] -= 1
            r.bits[i] = 1 - r.bits[i]
            return
        k -= 1
    _switch(r, i)


@njit(cache=True, nogil=True, error_model="numpy")
def _settle(f: FormArrays, t: TableArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int, units: Array, trial: Array) -> int:
    """Flip inconsistent units until none is left; UNDEFINED when that does not end."""
    for attempt in range(2 * len(units) + 2):
        code, wrong = _check(f, t, r, w, s, slope, n, units, trial)
        if code != DONE or len(wrong) == 0:
            return code
        if attempt <= len(units):
            for i in wrong:
                trial[i] = 1 - trial[i]
        else:
            trial[wrong[0]] = 1 - trial[wrong[0]]
    return UNDEFINED


@njit(cache=True, nogil=True, error_model="numpy")
def _try_all(f: FormArrays, t: TableArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int, units: Array, trial: Array) -> int:
    for word in range(2 ** len(units)):
        for j in range(len(units)):
            trial[units[j]] = (word >> j) & 1
        code, wrong = _check(f, t, r, w, s, slope, n, units, trial)
        if code != DONE or len(wrong) == 0:
            return code
    return UNDEFINED


@njit(cache=True, nogil=True, error_model="numpy")
def _check_unique(f: FormArrays, t: TableArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int, units: Array, trial: Array) -> int:
    """Count the consistent patterns around an initial state on boundaries; more than one is noted."""
    other, found = trial.copy(), 0
    for word in range(2 ** len(units)):
        for j in range(len(units)):
            other[units[j]] = (word >> j) & 1
        code, wrong = _check(f, t, r, w, s, slope, n, units, other)
        if code == NEED_REGION:
            return code
        found += code == DONE and len(wrong) == 0
    if found > 1:
        r.reals[NONUNIQUE_TIME] = r.reals[TIME]
    return DONE


@njit(cache=True, nogil=True, error_model="numpy")
def _check(
    f: FormArrays, t: TableArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int, units: Array, trial: Array
) -> tuple[int, Array]:
    """Which boundary units would move to the other side than their bit says if the region were `trial`."""
    wrong = np.empty(len(units), dtype=np.int64)
    region = find_region(t, trial)
    if region < 0:
        r.want[:] = trial
        return NEED_REGION, wrong[:0]
    if t.extra[region] < 0:
        r.want[:] = trial
        return NO_FLOW, wrong[:0]
    if len(units) == 0:
        return DONE, wrong[:0]
    N = n + t.extra[region]
    start = r.y.copy()
    if region != r.integers[REGION]:
        start[n:] = 0.0
    signs = _directions(f, t.data[region], N, n, start, s, slope, units, w)
    count = 0
    for j in range(len(units)):
        if (signs[j] > 0) != (trial[units[j]] == 1):
            wrong[count] = units[j]
            count += 1
    return DONE, wrong[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _directions(f: FormArrays, data: Array, N: int, n: int, y: Array, s: Array, slope: Array, units: Array, w: Scratch) -> Array:
    """Sign of the first derivative of each unit's preactivation that is not rounding; 0 when it stays at zero."""
    signs = np.zeros(len(units), dtype=np.int64)
    f0, f1, v, size = w.v[0], w.v[1], w.v[2], w.v[3]
    next_v, next_size = w.v[4], w.v[5]
    _offset(data, N, s, slope, f0, f1)
    v[:N] = y[:N]
    size[:N] = np.abs(y[:N])
    for order in range(1, min(2 * N, 12) + 1):
        for i in range(N):
            next_v[i] = f0[i] if order == 1 else (f1[i] if order == 2 else 0.0)
            next_size[i] = abs(next_v[i])
        for j in range(N):
            for i in range(N):
                next_v[i] += data[j, i] * v[j]
                next_size[i] += abs(data[j, i]) * size[j]
        v[:N], size[:N] = next_v[:N], next_size[:N]
        left = 0
        for j in range(len(units)):
            if signs[j] == 0:
                speed, noise = 0.0, 0.0
                for i in range(n):
                    speed += f.W2[units[j], i] * v[i]
                    noise += abs(f.W2[units[j], i]) * size[i]
                if order == 1:
                    for i in range(len(s)):
                        speed += f.C2T[i, units[j]] * slope[i]
                        noise += abs(f.C2T[i, units[j]] * slope[i])
                if abs(speed) > _NOISE * noise:
                    signs[j] = 1 if speed > 0 else -1
                else:
                    left += 1
        if left == 0:
            break
    return signs


@njit(cache=True, nogil=True, error_model="numpy")
def _start_sliding(f: FormArrays, t: TableArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int, units: Array, trial: Array) -> int:
    """Slide on one of the boundaries with the other units on consistent sides; UNDEFINED if none works."""
    for unit in units:
        others = units[units != unit]
        for word in range(2 ** len(others)):
            for j in range(len(others)):
                trial[others[j]] = (word >> j) & 1
            code = _slides(f, t, r, w, s, slope, n, unit, others, trial)
            if code != UNDEFINED:
                if code == DONE:
                    r.reals[SLIDE_START] = r.reals[TIME]
                return code
    return UNDEFINED


@njit(cache=True, nogil=True, error_model="numpy")
def _keep_sliding(f: FormArrays, t: TableArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int, units: Array) -> int:
    """While sliding another unit has reached its boundary or the input has jumped: go on sliding if that is consistent."""
    unit, trial = r.integers[SLIDING], r.bits.copy()
    others = units[units != unit]
    code = _slides(f, t, r, w, s, slope, n, unit, others, trial)
    if code != UNDEFINED or len(others) > 8:
        return code
    for word in range(2 ** len(others)):
        for j in range(len(others)):
            trial[others[j]] = (word >> j) & 1
        code = _slides(f, t, r, w, s, slope, n, unit, others, trial)
        if code != UNDEFINED:
            return code
    return UNDEFINED


@njit(cache=True, nogil=True, error_model="numpy")
def _slides(
    f: FormArrays, t: TableArrays, r: Record, w: Scratch, s: Array, slope: Array, n: int, unit: int, others: Array, trial: Array
) -> int:
    """Adopt sliding on `unit` with the other bits of `trial` if both fields point at the boundary."""
    q, kept = len(f.h2), trial[unit]
    sides = np.empty(2, dtype=np.int64)
    for side in range(2):
        trial[unit] = side
        sides[side] = find_region(t, trial)
        if sides[side] < 0 or t.extra[sides[side]] < 0:
            r.want[:] = trial
            return NEED_REGION if sides[side] < 0 else NO_FLOW
    trial[unit] = kept
    before = (r.integers[SLIDING], r.integers[MINUS], r.integers[PLUS])
    r.integers[SLIDING], r.integers[MINUS], r.integers[PLUS] = unit, sides[0], sides[1]
    tau = _sliding_series(f, t, r, w, s, slope, n, 1.0)
    fits = w.p[q, 0] >= 0.0 and w.p[q + 1, 0] >= 0.0 and w.p[q, 0] + w.p[q + 1, 0] > 0.0
    for i in others:
        _preactivation_series(f, w, s, slope, n, tau, i)
        w.p[i, 0] = 0.0
        size, direction = np.abs(w.p[i]).max(), 0.0
        for k in range(1, DEGREE + 1):
            if abs(w.p[i, k]) > _NOISE * size:
                direction = w.p[i, k]
                break
        fits = fits and (direction > 0.0) == (trial[i] == 1)
    if not fits:
        r.integers[SLIDING], r.integers[MINUS], r.integers[PLUS] = before
        return UNDEFINED
    for i in range(q):
        if r.bits[i] != trial[i]:
            _unswitch_or_switch(r, i)
    r.on_boundary[unit] = 0
    r.y[n:] = 0.0
    r.entered[:] = r.bits
    r.integers[REGION], r.integers[RESOLVE], r.integers[INITIAL] = sides[kept], 0, 0
    return DONE

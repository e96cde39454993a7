"""The event-driven flow of a piecewise-affine field: every switch located, nothing skipped.

`advance` moves a `Record` through affine pieces. On each piece the state is a Taylor polynomial with a proven remainder,
so the preactivation of every unit is a polynomial too, and its first sign change is found by `roots.first_negative`. A
unit on its boundary is carried as exactly zero (`on_boundary`); the side it moves to is decided by the first nonzero
derivative. What a crossing does not settle (grazing, several units at once, sliding) is left to `sliding.decide`.

Loops are written out: array expressions inside kernels cost seconds of compilation each.

Source: docs/theory/flows.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.arrays import FormArrays, TableArrays
from retime.simulation.boundaries import bit_of_follower, find_followers
from retime.simulation.iterate import LIMIT, find_region
from retime.simulation.roots import DEGREE, DEPTH, NONE, first_negative
from retime.simulation.taylor import ROWS, affine_series, evaluate

# what `advance`, `decide` and `slide` return
DONE, NEED_REGION, BUFFER_FULL, DIVERGED, UNDEFINED, NO_FLOW, ACCUMULATE, DECIDE, SLIDE, PAUSED = range(10)

# entries of Record.integers
NEXT_TIME, PIECE, SLIDING, RESOLVE, SWITCHES, INITIAL, SLIDES, MARK, MEMBER, LAST, FRESH, EVENTS, BREATH = range(13)
# entries of Record.reals
TIME, NONUNIQUE_TIME, MARK_TIME, SLIDE_START = range(4)

NOISE = 64 * 2.0**-52
MANY = 10_000  # switches and decisions within one instant that count as accumulation


class Record(NamedTuple):
    """The state of one simulation between calls.

    y `(2 n,)`: state, then auxiliary states. sizes `(2 n,)`: the terms that summed up to y, to judge its rounding.
    bits `(q,)`: the pattern. entered `(q,)`: the pattern of the region that the auxiliary states belong to.
    on_boundary `(q,)`: leaders carried as exactly zero. follows `(q,)`: see `find_followers`. want `(q,)`: the pattern to add to the table
    on `NEED_REGION`.
    integers, reals: the counters above; BREATH: pieces that may follow before the kernel comes back, `PAUSED`.
    switch_times, switch_units: buffers. slides `(., 3)`: start, end, unit of each sliding interval. ends `(b, 2)`:
    where each member's switches and slides end in the buffers.
    """

    y: Array
    sizes: Array
    bits: Array
    entered: Array
    on_boundary: Array
    follows: Array
    want: Array
    integers: Array
    reals: Array
    switch_times: Array
    switch_units: Array
    slides: Array
    ends: Array


class Drive(NamedTuple):
    """Piecewise-linear input: starts and ends of the pieces `(k,)`, values at the starts and slopes `(k, 1 or b, m)`."""

    starts: Array
    ends: Array
    values: Array
    slopes: Array


class Scratch(NamedTuple):
    """Work arrays: series c, minus, plus `(ROWS, 2 n)`, polynomials p `(q + 2, DEGREE + 1)`, root stack, vectors
    v `(8, 2 n)`, input s and its slope `(2, m)`."""

    c: Array
    minus: Array
    plus: Array
    p: Array
    stack: Array
    v: Array
    s: Array
    poly: Array
    ends: Array


def scratch(num_states: int, num_units: int, num_inputs: int) -> Scratch:
    """Work arrays for n states, q units, m inputs."""
    N = 2 * num_states
    wide = (ROWS, N)
    return Scratch(
        np.zeros(wide),
        np.zeros(wide),
        np.zeros(wide),
        np.zeros((num_units + 2, DEGREE + 1)),
        np.zeros((DEPTH + 2, DEGREE + 1)),
        np.zeros((8, N)),
        np.zeros((2, num_inputs)),
        np.zeros(DEGREE + 1),
        np.zeros((2, DEPTH + 2)),
    )


@kernel
def advance_members(
    f: FormArrays,
    t: TableArrays,
    drive: Drive,
    times: Array,
    z0: Array,
    out: Array,
    patterns: Array,
    r: Record,
    w: Scratch,
) -> int:
    """Run members r.integers[MEMBER] .. r.integers[LAST] - 1 of z0 `(b, n)` one after the other; return why it stopped.

    out `(T, b, n)`, patterns `(T, b, q)`. DONE: all are finished; otherwise the current member stopped there.
    """
    while True:
        if r.integers[FRESH]:
            _begin(f, drive, times, z0[r.integers[MEMBER]], r)
        code = _advance(f, t, drive, times, out, patterns, r, w)
        if code != DONE:
            return code
        finish_member(r)
        if r.integers[MEMBER] >= r.integers[LAST]:
            return DONE


@subroutine
def _begin(f: FormArrays, drive: Drive, times: Array, z0: Array, r: Record) -> None:
    """Start a member: state, first piece of its input, pattern; the switch log goes on where the last member left it."""
    n = len(z0)
    for i in range(n):
        r.y[i], r.y[n + i] = z0[i], 0.0
        r.sizes[i], r.sizes[n + i] = abs(z0[i]), 0.0
    r.integers[NEXT_TIME] = r.integers[PIECE] = r.integers[FRESH] = 0
    r.integers[SLIDING] = -1
    r.integers[RESOLVE] = r.integers[INITIAL] = 1
    r.integers[MARK] = r.integers[EVENTS]
    r.reals[TIME], r.reals[NONUNIQUE_TIME], r.reals[MARK_TIME] = times[0], np.nan, -np.inf
    for i in range(len(f.h2)):
        r.entered[i], r.on_boundary[i], r.bits[i] = 2, 0, 0
    read_pattern_near(f, drive, r, n)


@subroutine
def note_slide(r: Record) -> None:
    """Book the sliding interval that ends now."""
    k = r.integers[SLIDES]
    r.slides[k, 0], r.slides[k, 1], r.slides[k, 2] = r.reals[SLIDE_START], r.reals[TIME], r.integers[SLIDING]
    r.integers[SLIDES] = k + 1
    r.integers[SLIDING] = -1


@kernel
def finish_member(r: Record) -> None:
    """Note where the member's switches end and go to the next member."""
    k = r.integers[MEMBER]
    if r.integers[SLIDING] >= 0:
        note_slide(r)
    r.ends[k, 0], r.ends[k, 1] = r.integers[SWITCHES], r.integers[SLIDES]
    r.integers[MEMBER] = k + 1
    r.integers[FRESH] = 1


@subroutine
def _advance(
    f: FormArrays, t: TableArrays, drive: Drive, times: Array, out: Array, patterns: Array, r: Record, w: Scratch
) -> int:
    """Move the current member through affine pieces."""
    n, q = out.shape[2], len(f.h2)
    while r.integers[NEXT_TIME] < len(times):
        if r.integers[SLIDING] >= 0:
            return SLIDE
        r.integers[BREATH] -= 1
        if r.integers[BREATH] < 0:
            return PAUSED
        if r.integers[SWITCHES] + 2 * q >= len(r.switch_times) or r.integers[SLIDES] + 2 >= len(r.slides):
            return BUFFER_FULL
        read_input(drive, r, w.s)
        if r.integers[RESOLVE]:
            code = _confirm(f, t, r, w, n)
            if code != DONE:
                return code
        region = find_region(t, r.bits)
        if region < 0:
            return _ask(r, r.bits)
        N = n + t.extra[region]
        offset(t.data[region], N, w.s, w.v[0], w.v[1])
        span = piece_end(drive, r, times) - r.reals[TIME]
        tau, degree = affine_series(
            t.data[region], N, t.data[region][N + 1 + w.s.shape[1] :], w.v[0], w.v[1], r.y, max(span, 0.0), w.c
        )
        event, unit = first_event(f, r, w, n, degree, tau, q)
        if not finish_piece(drive, times, out, patterns, r, w, N, degree, tau, span, event):
            return DIVERGED
        mark_boundaries(r, w, degree, min(event, 1.0), q)
        if event <= 1.0:
            r.on_boundary[unit] = 1
            switch(r, unit)
        elif tau >= span:
            next_piece(f, drive, times, r, n)
        if accumulates(r):
            return ACCUMULATE
    return DONE


# --- input, samples, bookkeeping: shared by affine and sliding pieces --------------------------------------------------


@subroutine
def read_input(drive: Drive, r: Record, s: Array) -> None:
    """s[0] = the input now, s[1] = its slope."""
    piece, member = r.integers[PIECE], r.integers[MEMBER] if drive.values.shape[1] > 1 else 0
    for j in range(s.shape[1]):
        s[1, j] = drive.slopes[piece, member, j]
        s[0, j] = drive.values[piece, member, j] + s[1, j] * (r.reals[TIME] - drive.starts[piece])


@subroutine
def piece_end(drive: Drive, r: Record, times: Array) -> float:
    """Where the input's piece or the horizon ends."""
    return min(drive.ends[r.integers[PIECE]], times[-1])


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


@subroutine
def finish_piece(
    drive: Drive,
    times: Array,
    out: Array,
    patterns: Array,
    r: Record,
    w: Scratch,
    N: int,
    degree: int,
    tau: float,
    span: float,
    event: float,
) -> bool:
    """Write the samples of the piece, move state and time to its end or to the event; False when not finite."""
    n, x, now, member = out.shape[2], min(event, 1.0), r.reals[TIME], r.integers[MEMBER]
    after = now + x * tau
    if event > 1.0 and tau >= span:
        after = piece_end(drive, r, times)
    k = r.integers[NEXT_TIME]
    while k < len(times) and times[k] <= after:
        at = (times[k] - now) / tau if tau > 0.0 else 0.0
        evaluate(w.c, degree, n, min(max(at, 0.0), 1.0), out[k, member])
        for i in range(len(r.bits)):
            patterns[k, member, i] = r.bits[i]
        k += 1
    r.integers[NEXT_TIME], r.reals[TIME] = k, after
    evaluate(w.c, degree, N, x, r.y)
    largest = 0.0
    for i in range(n):
        largest = max(largest, abs(r.y[i]))
    for i in range(N):
        size, power = 0.0, 1.0
        for j in range(degree + 1):
            size += abs(w.c[j, i]) * power
            power *= x
        r.sizes[i] = size
    return largest < LIMIT


@subroutine
def next_piece(f: FormArrays, drive: Drive, times: Array, r: Record, n: int) -> None:
    """Go to the next piece of the input, unless the horizon is reached, and read the pattern there."""
    if drive.ends[r.integers[PIECE]] >= times[-1]:
        return
    r.integers[PIECE] += 1
    read_pattern_near(f, drive, r, n)


@subroutine
def read_pattern_near(f: FormArrays, drive: Drive, r: Record, n: int) -> None:
    """Read the pattern at the present state and input; a unit within rounding of its boundary is carried as zero."""
    piece, member = r.integers[PIECE], r.integers[MEMBER] if drive.values.shape[1] > 1 else 0
    now = r.reals[TIME] - drive.starts[piece]
    s = np.empty((2, drive.values.shape[2]))
    read_input(drive, r, s)
    find_followers(f, s, r.follows)
    for i in range(len(f.h2)):
        if r.follows[i] != 0:
            _follow(r, i)
            continue
        g, size, terms = f.h2[i], abs(f.h2[i]), int(f.h2[i] != 0.0)
        for j in range(n):
            x = f.W2[i, j] * r.y[j]
            g, size, terms = g + x, size + abs(x), terms + (x != 0.0)
        for j in range(drive.values.shape[2]):
            x = f.C2T[j, i] * (drive.values[piece, member, j] + now * drive.slopes[piece, member, j])
            g, size, terms = g + x, size + abs(x), terms + (x != 0.0)
        noise = NOISE * size if terms > 1 else 0.0
        if r.on_boundary[i]:
            noise = 100 * NOISE * size
        near = abs(g) <= noise
        r.on_boundary[i] = near
        if r.integers[INITIAL]:
            r.bits[i] = g > 0.0
        elif not near and r.bits[i] != (g > 0.0) and i != r.integers[SLIDING]:
            switch(r, i)
        if near or r.integers[SLIDING] >= 0:
            r.integers[RESOLVE] = 1


@subroutine
def _follow(r: Record, i: int) -> None:
    """Give a unit that follows the side of its leader, which comes before it."""
    r.on_boundary[i] = 0
    bit = bit_of_follower(r.follows, r.bits, i)
    if r.integers[INITIAL]:
        r.bits[i] = bit
    elif r.bits[i] != bit:
        flip(r, i)


@subroutine
def switch(r: Record, i: int) -> None:
    """Flip unit i and those that follow it."""
    flip(r, i)
    for j in range(i + 1, len(r.bits)):
        if abs(r.follows[j]) == i + 1:
            flip(r, j)


@subroutine
def flip(r: Record, i: int) -> None:
    """Flip one unit and note when; to be confirmed before the next piece."""
    k = r.integers[SWITCHES]
    r.switch_times[k], r.switch_units[k] = r.reals[TIME], i
    r.integers[SWITCHES] = k + 1
    r.integers[EVENTS] += r.follows[i] == 0  # a switch of several units is one event
    r.bits[i] = 1 - r.bits[i]
    r.integers[RESOLVE] = 1


@subroutine
def accumulates(r: Record) -> bool:
    """Whether very many switches and decisions have happened while time stood still."""
    if r.integers[EVENTS] - r.integers[MARK] < MANY:
        return False
    stuck = r.reals[TIME] - r.reals[MARK_TIME] <= 1e-9 * max(1.0, abs(r.reals[TIME]))
    r.integers[MARK], r.reals[MARK_TIME] = r.integers[EVENTS], r.reals[TIME]
    return stuck


@subroutine
def _ask(r: Record, bits: Array) -> int:
    for i in range(len(bits)):
        r.want[i] = bits[i]
    return NEED_REGION


# --- events ----------------------------------------------------------------------------------------------------------


@subroutine
def first_event(f: FormArrays, r: Record, w: Scratch, n: int, degree: int, tau: float, rows: int) -> tuple[float, int]:
    """Where in (0, 1] the first unit leaves its side, and which; rows q and q + 1 of w.p are the ends of sliding."""
    q, sliding = len(f.h2), r.integers[SLIDING]
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
        if i == r.integers[SLIDING] or r.follows[i] != 0:
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
            r.integers[RESOLVE] = 1


# --- which region next: the common case -------------------------------------------------------------------------------


@subroutine
def _confirm(f: FormArrays, t: TableArrays, r: Record, w: Scratch, n: int) -> int:
    """Accept the pattern if every unit on its boundary moves to the side its bit says; else leave it to `decide`."""
    if r.integers[INITIAL]:
        for i in range(len(r.bits)):
            if r.on_boundary[i]:
                return DECIDE
    region = find_region(t, r.bits)
    if region < 0:
        return _ask(r, r.bits)
    if t.extra[region] < 0:
        return NO_FLOW
    same = True
    for i in range(len(r.bits)):
        same = same and (r.bits[i] == r.entered[i] or (f.idle[i] == 1 and r.entered[i] != 2))
    if not consistent(f, t.data[region], n, n + t.extra[region], same, r, w, r.bits):
        return DECIDE
    accept(r, n, same)
    return DONE


@subroutine
def accept(r: Record, n: int, same: bool) -> None:
    """Enter the region of r.bits: with auxiliary states 0 unless it is the one we are in."""
    for i in range(len(r.bits)):
        r.entered[i] = r.bits[i]
    if not same:
        for i in range(n, 2 * n):
            r.y[i] = 0.0
    r.integers[RESOLVE] = r.integers[INITIAL] = 0


@subroutine
def consistent(f: FormArrays, data: Array, n: int, N: int, keep: bool, r: Record, w: Scratch, bits: Array) -> bool:
    """Whether each unit on its boundary moves to the side that `bits` says, under the field of `data`."""
    for i in range(len(bits)):
        if r.on_boundary[i] and i != r.integers[SLIDING]:
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

"""The event-driven flow of a piecewise-affine field: every switch located, nothing skipped.

`advance` moves a `Record` through affine pieces. On each piece the state is a Taylor polynomial with a proven remainder,
so the preactivation of every unit is a polynomial too, and its first sign change is found by `roots.first_negative`. A
unit on its boundary is carried as exactly zero (`on_boundary`); the side it moves to is decided by the first nonzero
derivative. What a crossing does not settle (grazing, several units at once, sliding) is left to `sliding.decide`.

Loops are written out: array expressions inside kernels cost seconds of compilation each.

Source: docs/theory/flows.md.
"""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.arrays import FormArrays, TableArrays
from retime.simulation.boundaries import bit_of_follower, find_followers
from retime.simulation.crossings import accept, consistent, first_event, mark_boundaries, offset
from retime.simulation.iterate import LIMIT, find_region
from retime.simulation.record import (
    ACCUMULATE,
    BUFFER_FULL,
    DECIDE,
    DIVERGED,
    DONE,
    NEED_REGION,
    NO_FLOW,
    NOISE,
    PAUSED,
    SLIDE,
    Drive,
    Record,
    Scratch,
    accumulates,
    finish_member,
    flip,
    piece_end,
    read_input,
    switch,
)
from retime.simulation.taylor import affine_series, evaluate


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
    """Run members r.at.member .. r.at.last - 1 of z0 `(b, n)` one after the other; return why it stopped.

    out `(T, b, n)`, patterns `(T, b, q)`. DONE: all are finished; otherwise the current member stopped there.
    """
    while True:
        if r.at.fresh:
            _begin(f, drive, times, z0[r.at.member], r)
        code = _advance(f, t, drive, times, out, patterns, r, w)
        if code != DONE:
            return code
        finish_member(r)
        if r.at.member >= r.at.last:
            return DONE


@subroutine
def _begin(f: FormArrays, drive: Drive, times: Array, z0: Array, r: Record) -> None:
    """Start a member: state, first piece of its input, pattern; the switch log goes on where the last member left it."""
    n = len(z0)
    for i in range(n):
        r.y[i], r.y[n + i] = z0[i], 0.0
        r.sizes[i], r.sizes[n + i] = abs(z0[i]), 0.0
    r.at.next_time = r.at.piece = r.at.fresh = 0
    r.at.sliding = -1
    r.at.resolve = r.at.initial = 1
    r.at.mark = r.at.events
    r.at.time, r.at.nonunique_time, r.at.mark_time = times[0], np.nan, -np.inf
    for i in range(len(f.h2)):
        r.entered[i], r.on_boundary[i], r.bits[i] = 2, 0, 0
    read_pattern_near(f, drive, r, n)


@subroutine
def _advance(
    f: FormArrays, t: TableArrays, drive: Drive, times: Array, out: Array, patterns: Array, r: Record, w: Scratch
) -> int:
    """Move the current member through affine pieces."""
    n, q = out.shape[2], len(f.h2)
    while r.at.next_time < len(times):
        if r.at.sliding >= 0:
            return SLIDE
        r.at.breath -= 1
        if r.at.breath < 0:
            return PAUSED
        if r.at.switches + 2 * q >= len(r.switch_times) or r.at.slides + 2 >= len(r.slides):
            return BUFFER_FULL
        read_input(drive, r, w.s)
        if r.at.resolve:
            code = _confirm(f, t, r, w, n)
            if code != DONE:
                return code
        region = find_region(t, r.bits)
        if region < 0:
            return _ask(r, r.bits)
        N = n + t.extra[region]
        offset(t.data[region], N, w.s, w.v[0], w.v[1])
        span = piece_end(drive, r, times) - r.at.time
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
    n, x, now, member = out.shape[2], min(event, 1.0), r.at.time, r.at.member
    after = now + x * tau
    if event > 1.0 and tau >= span:
        after = piece_end(drive, r, times)
    k = r.at.next_time
    while k < len(times) and times[k] <= after:
        at = (times[k] - now) / tau if tau > 0.0 else 0.0
        evaluate(w.c, degree, n, min(max(at, 0.0), 1.0), out[k, member])
        for i in range(len(r.bits)):
            patterns[k, member, i] = r.bits[i]
        k += 1
    r.at.next_time, r.at.time = k, after
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
    if drive.ends[r.at.piece] >= times[-1]:
        return
    r.at.piece += 1
    read_pattern_near(f, drive, r, n)


@subroutine
def read_pattern_near(f: FormArrays, drive: Drive, r: Record, n: int) -> None:
    """Read the pattern at the present state and input; a unit within rounding of its boundary is carried as zero."""
    piece, member = r.at.piece, r.at.member if drive.values.shape[1] > 1 else 0
    now = r.at.time - drive.starts[piece]
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
        if r.at.initial:
            r.bits[i] = g > 0.0
        elif not near and r.bits[i] != (g > 0.0) and i != r.at.sliding:
            switch(r, i)
        if near or r.at.sliding >= 0:
            r.at.resolve = 1


@subroutine
def _follow(r: Record, i: int) -> None:
    """Give a unit that follows the side of its leader, which comes before it."""
    r.on_boundary[i] = 0
    bit = bit_of_follower(r.follows, r.bits, i)
    if r.at.initial:
        r.bits[i] = bit
    elif r.bits[i] != bit:
        flip(r, i)


@subroutine
def _confirm(f: FormArrays, t: TableArrays, r: Record, w: Scratch, n: int) -> int:
    """Accept the pattern if every unit on its boundary moves to the side its bit says; else leave it to `decide`."""
    if r.at.initial:
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
def _ask(r: Record, bits: Array) -> int:
    for i in range(len(bits)):
        r.want[i] = bits[i]
    return NEED_REGION

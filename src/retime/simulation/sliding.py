"""What a single crossing does not settle: grazing, several units at once, sliding along a boundary (Filippov).

Compiled only when it is needed.

Source: filippov1988; docs/theory/flows.md.
"""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.arrays import FormArrays, TableArrays
from retime.simulation.boundaries import set_unit
from retime.simulation.crossings import (
    accept,
    consistent,
    direction,
    first_event,
    mark_boundaries,
    offset,
    preactivation_series,
)
from retime.simulation.events import finish_piece, next_piece
from retime.simulation.iterate import find_region
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
    UNDEFINED,
    Drive,
    Record,
    Scratch,
    accumulates,
    flip,
    note_slide,
    piece_end,
    read_input,
    switch,
)
from retime.simulation.roots import DEGREE
from retime.simulation.taylor import REMAINDER, TINY, raise_scales

MOST = 8  # simultaneous boundaries up to which all patterns are tried


@kernel
def decide(f: FormArrays, t: TableArrays, drive: Drive, n: int, r: Record, w: Scratch) -> int:
    """Find a pattern whose field takes every boundary unit to its side, or a boundary to slide on.

    Returns:
        DONE, NEED_REGION (r.want), NO_FLOW, ACCUMULATE, or UNDEFINED when neither exists.
    """
    read_input(drive, r, w.s)
    r.at.events += 1
    if accumulates(r):
        return ACCUMULATE
    units = np.flatnonzero(r.on_boundary)
    trial = r.bits.copy()
    code = _flip_until_consistent(f, t, r, w, n, units, trial)
    if code == UNDEFINED and len(units) <= MOST:
        code = _try_all(f, t, r, w, n, units, trial)
    if code == UNDEFINED and len(units) <= MOST:
        return _start_sliding(f, t, r, w, n, units, trial)
    if code == DONE and r.at.initial and 0 < len(units) <= 3:
        code = _note_other_solutions(f, t, r, w, n, units, trial)
    if code == DONE:
        _adopt(r, trial, _bounces(f, t, r, trial))
        accept(r, n, False)
    return code


@subroutine
def _bounces(f: FormArrays, t: TableArrays, r: Record, trial: Array) -> bool:
    """Whether a raised region is left and entered again at once, which sets its auxiliary states to 0."""
    for i in range(len(trial)):
        if trial[i] != r.entered[i] and not f.idle[i]:
            return False
    return bool(t.extra[find_region(t, trial)] > 0)


@subroutine
def _fits(f: FormArrays, t: TableArrays, r: Record, w: Scratch, n: int, trial: Array) -> int:
    """DONE when `trial`, entered with auxiliary states 0, is consistent; UNDEFINED when not."""
    region = find_region(t, trial)
    if region < 0 or t.extra[region] < 0:
        for i in range(len(trial)):
            r.want[i] = trial[i]
        return NEED_REGION if region < 0 else NO_FLOW
    return DONE if consistent(f, t.data[region], n, n + t.extra[region], False, r, w, trial) else UNDEFINED


@subroutine
def _flip_until_consistent(
    f: FormArrays, t: TableArrays, r: Record, w: Scratch, n: int, units: Array, trial: Array
) -> int:
    """Flip every inconsistent unit, look again; UNDEFINED when that does not end."""
    for _ in range(2 * len(units) + 2):
        code = _fits(f, t, r, w, n, trial)
        if code != UNDEFINED:
            return code
        region = find_region(t, trial)
        N = n + t.extra[region]
        wrong = np.zeros(len(units), dtype=np.bool_)
        for j in range(len(units)):
            sign = direction(f, t.data[region], n, N, False, r, w, units[j])
            wrong[j] = (sign > 0) != (trial[units[j]] == 1)
        for j in range(len(units)):
            if wrong[j]:
                set_unit(r.follows, trial, units[j], 1 - trial[units[j]])
    return UNDEFINED


@subroutine
def _set_bits(follows: Array, trial: Array, units: Array, word: int) -> None:
    for j in range(len(units)):
        set_unit(follows, trial, units[j], (word >> j) & 1)


@subroutine
def _try_all(f: FormArrays, t: TableArrays, r: Record, w: Scratch, n: int, units: Array, trial: Array) -> int:
    for word in range(1 << len(units)):
        _set_bits(r.follows, trial, units, word)
        code = _fits(f, t, r, w, n, trial)
        if code != UNDEFINED:
            return code
    return UNDEFINED


@subroutine
def _note_other_solutions(
    f: FormArrays, t: TableArrays, r: Record, w: Scratch, n: int, units: Array, trial: Array
) -> int:
    """Count the consistent patterns around an initial state on boundaries; more than one is noted."""
    other, found = trial.copy(), 0
    for word in range(1 << len(units)):
        _set_bits(r.follows, other, units, word)
        code = _fits(f, t, r, w, n, other)
        if code == NEED_REGION:
            return code
        found += code == DONE
    if found > 1:
        r.at.nonunique_time = r.at.time
    return DONE


@subroutine
def _adopt(r: Record, trial: Array, twice: bool) -> None:
    """Make `trial` the pattern; a flip booked at this very time is taken back, or noted again if it happened `twice`."""
    for i in range(len(trial)):
        if r.at.initial:
            r.bits[i] = trial[i]
        if r.bits[i] == trial[i]:
            continue
        k = r.at.switches - 1
        while k >= 0 and r.switch_times[k] == r.at.time and r.switch_units[k] != i:
            k -= 1
        if not twice and k >= 0 and r.switch_times[k] == r.at.time:
            for j in range(k, r.at.switches - 1):
                r.switch_times[j], r.switch_units[j] = r.switch_times[j + 1], r.switch_units[j + 1]
            r.at.switches -= 1
            r.bits[i] = trial[i]
        else:
            flip(r, i)


# --- sliding ---------------------------------------------------------------------------------------------------------


@subroutine
def _start_sliding(f: FormArrays, t: TableArrays, r: Record, w: Scratch, n: int, units: Array, trial: Array) -> int:
    """Slide on one of the boundaries with the other units on consistent sides; UNDEFINED if none works."""
    for unit in units:
        others = units[units != unit]
        for word in range(1 << len(others)):
            _set_bits(r.follows, trial, others, word)
            code = _slides(f, t, r, w, n, unit, others, trial)
            if code == DONE:
                r.at.slide_start = r.at.time
                _adopt(r, trial, False)
                r.on_boundary[unit] = 0
                accept(r, n, False)
            if code != UNDEFINED:
                return code
    return UNDEFINED


@subroutine
def _slides(
    f: FormArrays, t: TableArrays, r: Record, w: Scratch, n: int, unit: int, others: Array, trial: Array
) -> int:
    """DONE (and r.at.sliding = unit) if both fields point at the boundary and the other units move to their sides."""
    q, before = len(f.h2), r.at.sliding
    r.at.sliding = unit
    code, tau = _series(f, t, r, w, n, trial, 1.0)
    if code == DONE:
        fits = w.p[q, 0] >= 0.0 and w.p[q + 1, 0] >= 0.0 and w.p[q, 0] + w.p[q + 1, 0] > 0.0
        for i in others:
            preactivation_series(f, w, n, DEGREE, tau, i, i + 1)
            fits = fits and (_first_sign(w.p[i]) > 0.0) == (trial[i] == 1)
        if fits:
            return DONE
        code = UNDEFINED
    r.at.sliding = before
    return code


@subroutine
def _first_sign(p: Array) -> float:
    """The first coefficient of x, x^2, ... that is not rounding; 0 when there is none."""
    size = 0.0
    for k in range(1, DEGREE + 1):
        size = max(size, abs(p[k]))
    for k in range(1, DEGREE + 1):
        if abs(p[k]) > NOISE * size:
            return p[k]
    return 0.0


@kernel
def slide(
    f: FormArrays, t: TableArrays, drive: Drive, times: Array, out: Array, patterns: Array, r: Record, w: Scratch
) -> int:
    """Move the current member along the boundary until sliding ends, the horizon is reached, or a region is needed."""
    n, q = out.shape[2], len(f.h2)
    while r.at.next_time < len(times):
        if r.at.switches + 2 * q >= len(r.switch_times) or r.at.slides + 2 >= len(r.slides):
            return BUFFER_FULL
        r.at.breath -= 1
        if r.at.breath < 0:
            return PAUSED
        read_input(drive, r, w.s)
        if r.at.resolve:
            code = _go_on(f, t, r, w, n)
            if code != DONE:
                return code
        span = max(piece_end(drive, r, times) - r.at.time, 0.0)
        code, tau = _series(f, t, r, w, n, r.bits, span)
        if code != DONE:
            return code
        event, unit = first_event(f, r, w, n, DEGREE, tau, q + 2)
        if not finish_piece(drive, times, out, patterns, r, w, n, DEGREE, tau, span, event):
            return DIVERGED
        mark_boundaries(r, w, DEGREE, min(event, 1.0), q)
        if event <= 1.0 and unit >= q:
            _end(r, unit == q + 1)
            return DECIDE
        if event <= 1.0:
            r.on_boundary[unit] = 1
            switch(r, unit)
        elif tau >= span:
            next_piece(f, drive, times, r, n)
    return DONE


@subroutine
def _go_on(f: FormArrays, t: TableArrays, r: Record, w: Scratch, n: int) -> int:
    """Another unit has reached its boundary, or the input has jumped: slide on if that is consistent, else DECIDE."""
    unit = r.at.sliding
    others = np.flatnonzero(r.on_boundary)
    others = others[others != unit]
    trial = r.bits.copy()
    code = _slides(f, t, r, w, n, unit, others, trial)
    if code == UNDEFINED and len(others) <= MOST:
        for word in range(1 << len(others)):
            _set_bits(r.follows, trial, others, word)
            code = _slides(f, t, r, w, n, unit, others, trial)
            if code != UNDEFINED:
                break
    if code == DONE:
        _adopt(r, trial, False)
        r.at.resolve = 0
    if code == UNDEFINED:
        _end(r, r.bits[unit] == 1)
        return DECIDE
    return code


@subroutine
def _end(r: Record, plus: bool) -> None:
    """Stop sliding towards the given side, to be confirmed by `decide`."""
    unit = r.at.sliding
    note_slide(r)
    r.on_boundary[unit] = 1
    if (r.bits[unit] == 1) != plus:
        switch(r, unit)
    r.at.resolve = 1


@subroutine
def _series(f: FormArrays, t: TableArrays, r: Record, w: Scratch, n: int, bits: Array, tau: float) -> tuple[int, float]:
    """Fill w.c with Filippov's solution: field alpha f+ + (1 - alpha) f-, alpha = a- / (a- - a+), by recurrence.

    a is the speed of the sliding unit's preactivation under f. Rows q and q + 1 of w.p get a- and -a+, both positive
    while the solution slides. Fields are taken at auxiliary states 0. The step is cut so that the last two coefficients
    are at rounding level (an estimate: the field is rational, not affine).
    """
    unit, q = r.at.sliding, len(f.h2)
    trial, sides = bits.copy(), np.zeros(2, dtype=np.int64)
    for side in range(2):
        set_unit(r.follows, trial, unit, side)
        sides[side] = find_region(t, trial)
        if sides[side] < 0 or t.extra[sides[side]] < 0:
            for i in range(q):
                r.want[i] = trial[i]
            return (NEED_REGION if sides[side] < 0 else NO_FLOW), tau
    minus, plus = t.data[sides[0]], t.data[sides[1]]
    Nm, Np, m = n + int(t.extra[sides[0]]), n + int(t.extra[sides[1]]), w.s.shape[1]
    norm = max(minus[Nm + 2 + m, 0], plus[Np + 2 + m, 0])
    if norm * tau > 1.0:
        tau = 1.0 / norm
    drift = 0.0
    for j in range(m):
        drift += f.C2T[j, unit] * w.s[1, j]
    for i in range(n):
        w.c[0, i] = r.y[i]
    alpha = np.zeros(DEGREE + 1)
    for k in range(DEGREE + 1):
        _field_terms(minus, Nm, n, w.s, w.v[0], w.v[1], w.c[k], k, tau, w.minus[k])
        _field_terms(plus, Np, n, w.s, w.v[0], w.v[1], w.c[k], k, tau, w.plus[k])
        below, above = (drift, drift) if k == 0 else (0.0, 0.0)
        for i in range(n):
            below += f.W2[unit, i] * w.minus[k, i]
            above += f.W2[unit, i] * w.plus[k, i]
        w.p[q, k], w.p[q + 1, k] = below, -above
        value = below
        for j in range(k):
            value -= alpha[j] * (w.p[q, k - j] + w.p[q + 1, k - j])
        alpha[k] = value / (w.p[q, 0] + w.p[q + 1, 0])
        if k < DEGREE:
            for i in range(n):
                x = w.minus[k, i]
                for j in range(k + 1):
                    x += alpha[j] * (w.plus[k - j, i] - w.minus[k - j, i])
                w.c[k + 1, i] = x * tau / (k + 1)
    return DONE, _cut(minus, plus, w, n, q, tau)


@subroutine
def _field_terms(
    data: Array, N: int, n: int, s: Array, f0: Array, f1: Array, z: Array, k: int, tau: float, out: Array
) -> None:
    """Coefficient k of W z + h + E s along the series, first n entries, from coefficient k of z."""
    offset(data, N, s, f0, f1)
    for i in range(n):
        out[i] = f0[i] if k == 0 else (tau * f1[i] if k == 1 else 0.0)
    for j in range(n):
        x = z[j]
        for i in range(n):
            out[i] += x * data[j, i]


@subroutine
def _cut(minus: Array, plus: Array, w: Scratch, n: int, q: int, tau: float) -> float:
    """Shorten the step until the last two coefficients of every state are at rounding level, relative to the state's own scale."""
    scales, shrink = w.c[DEGREE + 1], 1.0
    for i in range(n):
        scales[i] = TINY
        for k in range(4):
            scales[i] = max(scales[i], abs(w.c[k, i]))
    for side in (minus, plus):
        raise_scales(side, n, tau, 8.0, scales, w.c[DEGREE + 2])
    for k in range(DEGREE - 1, DEGREE + 1):
        size = 0.0
        for i in range(n):
            size = max(size, abs(w.c[k, i]) / scales[i])
        if size > REMAINDER:
            shrink = min(shrink, 0.7 * (REMAINDER / size) ** (1.0 / k))
    if shrink == 1.0:
        return tau
    power = 1.0
    for k in range(1, DEGREE + 1):
        power *= shrink
        for i in range(n):
            w.c[k, i] *= power
        w.p[q, k] *= power
        w.p[q + 1, k] *= power
    return tau * shrink

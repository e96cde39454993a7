"""One event-driven simulation between calls: its state, its input, its switches and slides.

Loops are written out: array expressions inside kernels cost seconds of compilation each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.roots import DEGREE, DEPTH
from retime.simulation.taylor import ROWS

# what `advance`, `decide` and `slide` return
DONE, NEED_REGION, BUFFER_FULL, DIVERGED, UNDEFINED, NO_FLOW, ACCUMULATE, DECIDE, SLIDE, PAUSED = range(10)

NOW = np.dtype(
    [(x, np.int64) for x in ("member", "last", "fresh", "next_time", "piece", "sliding", "resolve", "initial", "switches", "slides")]
    + [(x, np.int64) for x in ("events", "mark", "breath")]
    + [(x, np.float64) for x in ("time", "mark_time", "slide_start", "nonunique_time")]
)  # fmt: skip
"""Where a simulation is: the member of its batch and the last one, whether it has not begun; the next sample, the piece of the input; the
unit along whose boundary it slides (-1: none), whether its pattern is to be confirmed, and is that of an initial state; how many switches
and slides are booked; events, and how many there were at `mark_time`; pieces that may follow before the kernel comes back, `PAUSED`; the
time, when sliding began, and when another solution was found."""

NOISE = 64 * 2.0**-52  # rounding of a preactivation, relative to its terms
MANY = 10_000  # switches and decisions within one instant that count as accumulation


class Record(NamedTuple):
    """The state of one simulation between calls.

    y `(2 n,)`: state, then auxiliary states. sizes `(2 n,)`: the terms that summed up to y, to judge its rounding.
    bits `(q,)`: the pattern. entered `(q,)`: the pattern of the region that the auxiliary states belong to.
    on_boundary `(q,)`: leaders carried as exactly zero. follows `(q,)`: see `find_followers`. want `(q,)`: the pattern to add to the table
    on `NEED_REGION`.
    at: a `NOW`.
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
    at: Any
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
def finish_member(r: Record) -> None:
    """Note where the member's switches end and go to the next member."""
    k = r.at.member
    if r.at.sliding >= 0:
        note_slide(r)
    r.ends[k, 0], r.ends[k, 1] = r.at.switches, r.at.slides
    r.at.member = k + 1
    r.at.fresh = 1


@subroutine
def note_slide(r: Record) -> None:
    """Book the sliding interval that ends now."""
    k = r.at.slides
    r.slides[k, 0], r.slides[k, 1], r.slides[k, 2] = r.at.slide_start, r.at.time, r.at.sliding
    r.at.slides = k + 1
    r.at.sliding = -1


@subroutine
def read_input(drive: Drive, r: Record, s: Array) -> None:
    """s[0] = the input now, s[1] = its slope."""
    piece, member = r.at.piece, r.at.member if drive.values.shape[1] > 1 else 0
    for j in range(s.shape[1]):
        s[1, j] = drive.slopes[piece, member, j]
        s[0, j] = drive.values[piece, member, j] + s[1, j] * (r.at.time - drive.starts[piece])


@subroutine
def piece_end(drive: Drive, r: Record, times: Array) -> float:
    """Where the input's piece or the horizon ends."""
    return min(drive.ends[r.at.piece], times[-1])


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
    k = r.at.switches
    r.switch_times[k], r.switch_units[k] = r.at.time, i
    r.at.switches = k + 1
    r.at.events += r.follows[i] == 0  # a switch of several units is one event
    r.bits[i] = 1 - r.bits[i]
    r.at.resolve = 1


@subroutine
def accumulates(r: Record) -> bool:
    """Whether very many switches and decisions have happened while time stood still."""
    if r.at.events - r.at.mark < MANY:
        return False
    stuck = r.at.time - r.at.mark_time <= 1e-9 * max(1.0, abs(r.at.time))
    r.at.mark, r.at.mark_time = r.at.events, r.at.time
    return stuck

"""Branches of fixed points and cycles, followed as a parameter moves: by pattern where a system is piecewise affine, by arclength else.

A branch is cut into pieces on which the parameter is monotone. Where a piece turns (a fold), the next one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from retime.analysis.cycles.phase import is_same_cycle
from retime.core.arrays import Array
from retime.core.time import TimeBase
from retime.core.tolerances import SAME_FOLLOWED, size_of

SUB = 4  # looks between two values
TINY = 5e-11  # of the distance between values: how far beyond an event a branch is taken up again
LOOK = 1e-6  # of it: where admissibility on both sides of a border is measured
TOGETHER = 1e-10  # of it: units that cross this close do so at once
MARGIN = 1e-9  # a multiplier this close to the unit circle is on neither side of it
MOST_UNITS = 6  # at once, for which all regions around are looked at
CACHE = 2e8  # bytes of equations kept

PERSISTENCE, FOLD, BORDER_FLIP = "border persistence", "border fold", "border flip"
SADDLE_NODE, FLIP, NEIMARK_SACKER, HOPF = "saddle-node", "flip", "Neimark-Sacker", "Hopf"
CROSSING, DEGENERATE = "transcritical or pitchfork", "degenerate"


class Sample(NamedTuple):
    """A point or cycle at one value: z `(k, n)`, bits `(k, q)`, multipliers or rates w `(n,)`; whether results list it."""

    value: float
    z: Array
    bits: Array
    w: Array
    shown: bool


@dataclass(eq=False)
class Piece:
    """A branch on which the parameter is monotone: segments of samples with nothing in between but smooth change."""

    period: int
    segments: list[list[Sample]] = field(default_factory=list)


@dataclass(eq=False)
class Found:
    """An event and the pieces that it joins; `collapsed`: a cycle shrinks to one of a shorter period."""

    kind: str
    border: bool
    value: float
    error: float
    point: Array
    unit: int | None
    multiplier: complex | None
    pieces: list[Piece]
    period: int
    message: str
    predicted: str = ""
    collapsed: bool = False


def join(pieces: list[Piece], events: list[Found], first: Piece, last: Piece) -> None:
    """The ends of a loop: `last` came back to where `first` began, so that both are one piece."""
    if last is first:
        return
    first.segments += last.segments
    pieces.remove(last)
    for e in events:
        e.pieces = [first if p is last else p for p in e.pieces]


def is_same(a: Array, b: Array) -> bool:
    """Whether two cycles `(k, n)` are the same but for the phase."""
    return is_same_cycle(a, b, SAME_FOLLOWED * size_of(a))


def num_outside(w: Array, time: TimeBase, margin: float = 0.0) -> int:
    """How many multipliers are outside the unit circle, or rates right of the imaginary axis."""
    return int((time.sizes(w) - time.neutral > margin).sum())


def closest(w: Array, time: TimeBase) -> complex:
    """The multiplier closest to the unit circle (rate closest to the imaginary axis), upper half plane."""
    x = complex(w[int(np.argmin(np.abs(time.sizes(w) - time.neutral)))])
    return complex(x.real, abs(x.imag))


def named(w: complex, time: TimeBase, real: float, at_neutral: str = CROSSING) -> tuple[str, str]:
    """Kind and words of the event at which a multiplier (rate) is w; an imaginary part up to `real` counts as 0."""
    if abs(w.imag) > real:
        return time.turning, time.pair(w)
    if time.has_flips and w.real < 0:
        return FLIP, f"a {time.eigenvalue} is -1"
    return at_neutral, f"a {time.eigenvalue} is {time.neutral:g}"


def changes(
    count: Callable[[float], int], a: float, b: float, at_a: int, at_b: int, tolerance: float
) -> Iterator[tuple[float, float]]:
    """Brackets, no wider than `tolerance`, of the places in [a, b] where a count changes."""
    if abs(b - a) <= tolerance or (middle := 0.5 * (a + b)) in (a, b):
        yield a, b
        return
    at_m = count(middle)
    if at_m != at_a:
        yield from changes(count, a, middle, at_a, at_m, tolerance)
    if at_m != at_b:
        yield from changes(count, middle, b, at_m, at_b, tolerance)

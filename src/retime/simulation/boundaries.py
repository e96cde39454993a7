"""Units whose boundaries are one: rows, offsets and inputs in proportion. They flip together, one the opposite way if its row is.

The pattern in which only some of them have flipped belongs to no state; its field must decide nothing. One unit of such a group, the
leader, stands for it; the others follow. Which units these are depends on the input: parallel boundaries may meet while it is held.

Source: docs/theory/flows.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.arrays import FormArrays

SAME = 16 * 2.0**-52  # offsets this close, relative to their terms, are one


@kernel
def find_followers(f: FormArrays, s: Array, follows: Array) -> None:
    """follows `(q,)` under the input s[0] with slope s[1]: 0 for a leader; k + 1 for a unit that flips with unit k, -(k + 1) for one
    that flips the opposite way; i + 1 for unit i itself if its preactivation is 0 whatever the state: it never flips."""
    for i in range(len(follows)):
        follows[i] = 0
        first = f.parallel[i]
        if first < 0:
            offset, size, slope, change = _offset(f, s, i)
            if offset == 0.0 and slope == 0.0 and size == 0.0 and change == 0.0:
                follows[i] = i + 1
            continue
        for k in range(first, i):
            ratio = f.ratio[i] / f.ratio[k]
            if follows[k] == 0 and f.parallel[k] == first and _meet(f, s, i, k, ratio):
                follows[i] = k + 1 if ratio > 0.0 else -(k + 1)
                break


@subroutine
def _offset(f: FormArrays, s: Array, i: int) -> tuple[float, float, float, float]:
    """What a unit's preactivation is at z = 0, the size of its terms, and the same of its slope."""
    offset, size, slope, change = f.h2[i], abs(f.h2[i]), 0.0, 0.0
    for j in range(s.shape[1]):
        offset += f.C2T[j, i] * s[0, j]
        size += abs(f.C2T[j, i] * s[0, j])
        slope += f.C2T[j, i] * s[1, j]
        change += abs(f.C2T[j, i] * s[1, j])
    return offset, size, slope, change


@subroutine
def _meet(f: FormArrays, s: Array, i: int, k: int, ratio: float) -> bool:
    """Whether two parallel boundaries are one, now and as the input moves."""
    a, b = _offset(f, s, i), _offset(f, s, k)
    now = abs(a[0] - ratio * b[0]) <= SAME * (a[1] + abs(ratio) * b[1])
    return now and abs(a[2] - ratio * b[2]) <= SAME * (a[3] + abs(ratio) * b[3])


@subroutine
def bit_of_follower(follows: Array, bits: Array, i: int) -> Any:
    """The bit of a unit that follows, given its leader's."""
    k = abs(follows[i]) - 1
    if k == i:
        return 0
    return bits[k] if follows[i] > 0 else 1 - bits[k]


@subroutine
def set_unit(follows: Array, bits: Array, unit: int, bit: int) -> None:
    """Set a leader's bit and with it those of the units that follow."""
    bits[unit] = bit
    for j in range(unit + 1, len(bits)):
        if abs(follows[j]) == unit + 1:
            bits[j] = bit_of_follower(follows, bits, j)


def set_side(f: FormArrays, s: Array, patterns: Array, unit: int, *, on: bool) -> None:
    """Put patterns `(r, q)`, in place, on one side of the boundary of `unit`, under the input s[0] with slope s[1]: the units that share
    this boundary go with it."""
    follows = np.zeros(len(f.h2), dtype=np.int64)
    find_followers(f, s, follows)
    leader = abs(int(follows[unit])) - 1 if follows[unit] else unit
    set_rows(follows, patterns.view(np.uint8), leader, int(on) if follows[unit] >= 0 else 1 - int(on))


@kernel
def set_rows(follows: Array, patterns: Array, unit: int, bit: int) -> None:
    """Set a leader's bit in each row of patterns `(r, q)`, and with it those of the units that follow."""
    for row in range(len(patterns)):
        set_unit(follows, patterns[row], unit, bit)

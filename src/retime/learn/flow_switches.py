"""The first switch of each of sixteen orbits in a pass of `flow_kernels`: the first sign change of a polynomial, none missed.

Most polynomials that reach zero hardly bend within a step: their roots are found for sixteen orbits at once, the others one by one.
"""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import subroutine
from retime.learn.flow_records import Net, Scratch
from retime.learn.lanes import (
    absolute,
    add,
    any_positive,
    divide,
    load,
    multiply,
    multiply_add,
    spread,
    store,
    subtract,
    where_positive,
)
from retime.simulation.roots import DEGREE, NONE, first_negative

SINGLE, DOUBLE = 3, 4  # Newton's steps: errors of 0.08, 0.002, 2e-6, 1e-12, 4e-25 at most
AGAIN = -2  # instead of a unit that switches: a unit was on the wrong side of its boundary, and the step is taken anew
_CURVE = np.array(  # the most of x - x^k on [0, 1]
    [0.0, 0.0] + [(1 - 1 / k) * k ** (-1 / (k - 1)) for k in range(2, DEGREE + 1)]
)


@subroutine
def find_switches(net: Net, w: Scratch, degree: int) -> None:
    """The share w.x of its step that each orbit goes, and the unit that switches there, -1 for none, or AGAIN."""
    n, P, apart, tau, x, unit, root = net.sizes[0], net.sizes[1], w.apart, w.tau, w.x, w.unit, w.root
    noise, rounding = 16 * net.limits[2] * net.limits[0], max(net.limits[2] / 32, 4e-16)
    for b in range(16):
        x[b], unit[b] = 1.0, -1
    for i in range(n - P, n):
        if _may_switch(w, i, degree, noise):
            _switch_where_straight(w, i, degree, DOUBLE if net.limits[2] < 1e-12 else SINGLE)
            for b in range(16):
                if apart[b] > 0.0:
                    continue
                if root[b] < 0.0:
                    _find_switch(
                        w.c, w.on, x, unit, w.norms, w.poly, w.stack, w.ends, noise * tau[b], rounding, degree, i, b
                    )
                elif root[b] < x[b] and unit[b] != AGAIN:
                    x[b], unit[b] = root[b], i


@subroutine
def _switch_where_straight(w: Scratch, i: int, degree: int, steps: int) -> None:
    """w.root: where unit i reaches its boundary in each orbit, NONE where it does not, -1 where its polynomial p may bend too much to say.

    Where |p'(0)| > 2 sum_(k > 1) k^2 |p_k|, |p''| is at most |p'(0)| / 2 and |p'| at least 3/4 of it on [0, 1]: p has a root there if its end
    has another sign, one only; the chord's root is at most 1/12 off, and each of Newton's steps squares the error and divides it by three.
    """
    rows, kind = len(w.z), w.c.dtype
    zero, one, two = spread(kind.type(0)), spread(kind.type(1)), spread(kind.type(2))
    side = subtract(multiply(two, load(w.on, i)), one)
    first, slope = multiply(side, load(w.c, i)), multiply(side, load(w.c, rows + i))
    bend, end = zero, add(first, slope)
    for k in range(2, degree + 1):
        x = multiply(side, load(w.c, k * rows + i))
        bend = multiply_add(spread(kind.type(2 * k * k)), absolute(x), bend)
        end = add(end, x)
    is_straight = subtract(absolute(slope), bend)
    x = divide(first, subtract(first, end))
    for _ in range(steps):
        value = rate = zero
        for k in range(degree, 0, -1):
            rate = multiply_add(rate, x, value)
            value = multiply_add(value, x, multiply(side, load(w.c, k * rows + i)))
        rate = multiply_add(rate, x, value)
        value = multiply_add(value, x, first)
        x = subtract(x, divide(value, rate))
    none, again = spread(kind.type(NONE)), spread(kind.type(-1))
    found = where_positive(subtract(zero, end), where_positive(x, where_positive(subtract(x, one), one, x), zero), none)
    store(w.root, 0, where_positive(first, where_positive(is_straight, found, again), again))


@subroutine
def _may_switch(w: Scratch, i: int, degree: int, noise: float) -> bool:
    """Whether unit i may reach its boundary in an orbit: w.apart is > 0 where it does not.

    It does not where it is farther away than it goes from its start, nor where start and end are on one side, farther away
    than it is from the line between both, nor where it leaves its boundary, to its side, faster than it bends back.
    """
    rows, kind = len(w.z), w.c.dtype
    zero, one, tau = spread(kind.type(0)), spread(kind.type(1)), load(w.tau, 0)
    start, slope = load(w.c, i), load(w.c, rows + i)
    rest, bend, end = zero, zero, add(start, slope)
    for k in range(2, degree + 1):
        x = load(w.c, k * rows + i)
        size = absolute(x)
        rest, end = add(rest, size), add(end, x)
        bend = multiply_add(spread(kind.type(_CURVE[k])), size, bend)
    is_end_higher, distance = subtract(end, start), absolute(start)
    low, high = where_positive(is_end_higher, start, end), where_positive(is_end_higher, end, start)
    above, below = subtract(low, bend), subtract(subtract(zero, bend), high)
    near = subtract(subtract(distance, absolute(slope)), rest)
    apart = where_positive(above, above, where_positive(below, below, near))
    away = where_positive(load(w.on, i), subtract(slope, rest), subtract(subtract(zero, slope), rest))
    unsure = multiply(spread(kind.type(noise)), tau)
    is_sure = subtract(multiply(slope, slope), multiply(multiply(unsure, unsure), load(w.norms, 0)))
    apart = where_positive(distance, apart, where_positive(is_sure, away, zero))
    apart = where_positive(tau, apart, one)
    store(w.apart, 0, apart)
    return any_positive(where_positive(apart, zero, one))


@subroutine
def _find_switch(
    c: Array,
    on: Array,
    x: Array,
    unit: Array,
    norms: Array,
    poly: Array,
    stack: Array,
    ends: Array,
    noise: float,
    rounding: float,
    degree: int,
    i: int,
    b: int,
) -> None:
    """The first switch of unit i of orbit b, if it comes before those found; a unit on its boundary leaves it by its first derivative
    that is more than rounding, which is the same on both sides."""
    start = 0
    if c[0, i, b] == 0.0:
        start = 1
        while start <= degree and abs(c[start, i, b]) <= noise / start * np.sqrt(norms[start - 1, b]):
            start += 1
        if start > degree:
            return
        if (c[start, i, b] > 0.0) != (on[i, b] > 0.0):
            on[i, b] = c[start, i, b] > 0.0
            x[b], unit[b] = 0.0, AGAIN
    if unit[b] == AGAIN:
        return
    sign = 1.0 if on[i, b] > 0.0 else -1.0
    for k in range(degree + 1 - start):
        poly[k] = sign * c[k + start, i, b]
    first = first_negative(poly, degree - start, float(x[b]), stack, ends, rounding)
    if first < NONE:
        x[b], unit[b] = first, i

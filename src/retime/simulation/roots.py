"""First sign change of a polynomial on [0, 1], certain up to rounding: Bernstein coefficients and subdivision."""

from __future__ import annotations

from math import comb

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import subroutine

DEGREE = 24
DEPTH = 52
NONE = 2.0  # no root: the interval ends at 1


def _bernstein_matrices() -> Array:
    """Entry (d, j, i): the share of x^i in Bernstein coefficient j of degree d."""
    matrices = np.zeros((DEGREE + 1, DEGREE + 1, DEGREE + 1))
    for d in range(DEGREE + 1):
        for j in range(d + 1):
            for i in range(j + 1):
                matrices[d, j, i] = comb(j, i) / comb(d, i)
    return matrices


_TO_BERNSTEIN = _bernstein_matrices()


@subroutine
def first_negative(p: Array, degree: int, upto: float, stack: Array, ends: Array, rounding: float = 4e-16) -> float:
    """Smallest x in (0, upto] beyond which p, positive at 0, is negative; `NONE` (2.0) if there is none.

    The Bernstein coefficients of p on an interval enclose its values there (convex hull), and their sign changes bound
    its roots (variation diminishing): an interval with nonnegative coefficients is discarded, one with a single change
    holds exactly one root, any other is halved. Two roots in one window are found down to widths of 1e-15 of the interval.

    Args:
        p: `(DEGREE + 1,)`, p[0] > 0; entries beyond `degree` are not read. upto: 0 < upto <= 1.
        stack, ends: scratch `(DEPTH + 2, DEGREE + 1)` and `(2, DEPTH + 2)`. rounding: of the root, relative.
    """
    rest, bend, power = 0.0, 0.0, 1.0
    for k in range(1, degree + 1):
        size = abs(p[k]) * power
        bend += k * size if k > 1 else 0.0
        rest += size * upto
        power *= upto
    if p[0] > rest:
        return NONE
    if abs(p[1]) > bend:  # monotonic
        end = 0.0
        for k in range(degree, -1, -1):
            end = end * upto + p[k]
        return NONE if end >= 0.0 else _bisect(p, degree, 0.0, upto, upto * (p[0] / (p[0] - end)), rounding)
    _to_bernstein(p, degree, upto, stack[DEPTH + 1], stack[0])
    depth = 0
    ends[0, 0], ends[1, 0] = 0.0, upto
    while depth >= 0:
        b, low, high = stack[depth], ends[0, depth], ends[1, depth]
        changes, negative = _sign_changes(b, degree)
        if negative == 0:
            depth -= 1
        elif b[0] <= 0.0:
            return low if low > 0.0 else 0.0
        elif changes == 1 and b[degree] < 0.0:
            return _bisect(p, degree, low, high, low + (high - low) * (b[0] / (b[0] - b[degree])), rounding)
        elif depth == DEPTH or high - low <= 1e-15 * upto:
            return low
        else:
            _halve(b, stack[depth + 1], degree)
            middle = 0.5 * (low + high)
            ends[0, depth], ends[1, depth] = middle, high
            depth += 1
            ends[0, depth], ends[1, depth] = low, middle
    return NONE


@subroutine
def _to_bernstein(p: Array, degree: int, upto: float, scaled: Array, b: Array) -> None:
    power = 1.0
    for k in range(degree + 1):
        scaled[k] = p[k] * power
        power *= upto
    for j in range(degree + 1):
        value = 0.0
        for i in range(j + 1):
            value += _TO_BERNSTEIN[degree, j, i] * scaled[i]
        b[j] = value


@subroutine
def _sign_changes(b: Array, degree: int) -> tuple[int, int]:
    changes, negative, last = 0, 0, 1
    for j in range(degree + 1):
        if b[j] < 0.0:
            negative += 1
            changes += last == 1
            last = -1
        elif b[j] > 0.0:
            changes += last == -1
            last = 1
    return changes, negative


@subroutine
def _halve(b: Array, left: Array, degree: int) -> None:
    """De Casteljau at 1/2: `left` gets the left half, `b` becomes the right half."""
    for j in range(degree + 1):
        left[j] = b[0]
        for i in range(degree - j):
            b[i] = 0.5 * (b[i] + b[i + 1])


@subroutine
def _bisect(p: Array, degree: int, low: float, high: float, x: float, near: float) -> float:
    """The one root in (low, high]: Newton steps in a shrinking bracket, closed from the other side once a step is rounding."""
    rounding = near
    if not low < x < high:
        x = 0.5 * (low + high)
    for _ in range(200):
        value, slope = 0.0, 0.0
        for k in range(degree, -1, -1):
            slope = slope * x + value
            value = value * x + p[k]
        if value > 0.0:
            low = x
        else:
            high = x
        if high - low <= rounding * high:
            break
        new = x - value / slope if slope != 0.0 else low
        if abs(new - x) <= near * x:
            new = x + near * x if value > 0.0 else x - near * x
            near *= 2.0
        if not low < new < high:
            new = 0.5 * (low + high)
        if new == x:
            break
        x = new
    return high if x <= low else x

"""Products of step matrices along an orbit: tangent vectors followed, orthonormalized, and made again where rounding took them.

Vectors are the columns of Q, stored in blocks of four as `(n, B, 4)` (columns of zeros fill the last block), so that four
entries are one instruction. A vector that a singular matrix has taken to zero stays zero: it is dead.

Loops are written out: array expressions inside kernels cost seconds of compilation each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine

AIM = 1e6  # growth of the first vector over that of the last between two orthonormalizations
ACCEPTED = 1e-8  # a smaller ratio is measured again with half the steps: rounding is 2^-52 over it
LOST = 1e-13  # of a singular matrix: what is left of a vector it takes to zero
LONGEST = 64  # steps without orthonormalization
LARGE = 1e100  # growth beyond this, or below its inverse, is measured again with fewer steps
SAME = 1e-9  # vectors that differ by less are the same; close exponents can amplify the rest for a while


def blocked(Q: Array) -> Array:
    """Vectors `(n, p)` in blocks of four columns `(n, B, 4)`, zeros appended."""
    n, p = Q.shape
    out = np.zeros((n, (p + 3) // 4, 4))
    out.reshape(n, -1)[:, :p] = Q
    return out


@subroutine
def multiply(M: Array, Y: Array, new: Array) -> None:
    """new = M Y."""
    n = len(M)
    for j in range(Y.shape[1]):
        for i in range(n):
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            for k in range(n):
                m = M[i, k]
                a += m * Y[k, j, 0]
                b += m * Y[k, j, 1]
                c += m * Y[k, j, 2]
                d += m * Y[k, j, 3]
            new[i, j, 0], new[i, j, 1], new[i, j, 2], new[i, j, 3] = a, b, c, d


@subroutine
def _subtract(Y: Array, n: int, block: int, lane: int) -> None:
    """Take column (block, lane), of length 1, out of the columns after it."""
    for b in range(block, Y.shape[1]):
        s, t, u, v = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            x = Y[i, block, lane]
            s += x * Y[i, b, 0]
            t += x * Y[i, b, 1]
            u += x * Y[i, b, 2]
            v += x * Y[i, b, 3]
        if b == block:
            s, t, u, v = 0.0, t if lane < 1 else 0.0, u if lane < 2 else 0.0, v if lane < 3 else 0.0
        for i in range(n):
            x = Y[i, block, lane]
            Y[i, b, 0] -= x * s
            Y[i, b, 1] -= x * t
            Y[i, b, 2] -= x * u
            Y[i, b, 3] -= x * v


@subroutine
def _largest(Y: Array, n: int) -> float:
    largest = 0.0
    for j in range(Y.shape[1]):
        for lane in range(4):
            size = 0.0
            for i in range(n):
                size += Y[i, j, lane] * Y[i, j, lane]
            largest = max(largest, size)
    return np.sqrt(largest)


@subroutine
def _gram_schmidt(Y: Array, n: int, r: Array, lost: float) -> None:
    """Orthonormalize the columns in place, r their lengths; a length of at most lost * (the longest before) is 0: dead."""
    largest = _largest(Y, n) if lost > 0.0 else 0.0
    for j in range(len(r)):
        block, lane = j // 4, j % 4
        size = 0.0
        for i in range(n):
            size += Y[i, block, lane] * Y[i, block, lane]
        size = np.sqrt(size)
        alive = size > lost * largest
        r[j] = size if alive else 0.0
        factor = 1.0 / size if alive else 0.0
        for i in range(n):
            Y[i, block, lane] *= factor
        if alive:
            _subtract(Y, n, block, lane)


@subroutine
def orthonormalize(Y: Array, n: int, r: Array, again: Array, dead: Array, lost: float) -> float:
    """Orthonormalize the first n entries of the columns in place, twice where rounding asks for it; r `(p,)` their lengths.

    dead `(p,)`: not 0 for columns that were zero before the steps that led to Y.

    Returns:
        Smallest over largest length of the others. 0 when a length is out of range, or is exactly 0: what is left of a column that
        has turned towards another one is rounding, and may be nothing at all.
    """
    _gram_schmidt(Y, n, r, lost)
    low, high = np.inf, 0.0
    for j in range(len(r)):
        if dead[j] == 0.0:
            low, high = min(low, r[j]), max(high, r[j])
    if low > high:
        return 1.0  # none is alive
    if not (high < LARGE and low > 1.0 / LARGE):
        return 0.0
    if low < 1e-7 * high:
        _gram_schmidt(Y, n, again, 0.0)
        for j in range(len(r)):
            r[j] *= again[j]
    return low / high


@subroutine
def find_dead(Q: Array, dead: Array) -> None:
    """dead[j] = 1 for columns of zeros, else 0."""
    for j in range(len(dead)):
        size = 0.0
        for i in range(len(Q)):
            size = max(size, abs(Q[i, j // 4, j % 4]))
        dead[j] = 1.0 if size == 0.0 else 0.0


@subroutine
def _copy(source: Array, target: Array) -> None:
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            for k in range(4):
                target[i, j, k] = source[i, j, k]


@subroutine
def _is_singular(M: Array) -> bool:
    """Whether M is singular to rounding, rows and columns scaled to largest entry 1: elimination with complete pivoting."""
    n = len(M)
    A = M.copy()
    for side in range(2):
        for i in range(n):
            largest = 0.0
            for j in range(n):
                largest = max(largest, abs(A[i, j] if side == 0 else A[j, i]))
            if largest == 0.0:
                return True
            for j in range(n):
                if side == 0:
                    A[i, j] /= largest
                else:
                    A[j, i] /= largest
    for k in range(n):
        row, column, pivot = k, k, 0.0
        for i in range(k, n):
            for j in range(k, n):
                if abs(A[i, j]) > pivot:
                    row, column, pivot = i, j, abs(A[i, j])
        if pivot <= 4 * n * 2.0**-52:
            return True
        for j in range(n):
            A[k, j], A[row, j] = A[row, j], A[k, j]
        for i in range(n):
            A[i, k], A[i, column] = A[i, column], A[i, k]
        for i in range(k + 1, n):
            factor = A[i, k] / A[k, k]
            for j in range(k, n):
                A[i, j] -= factor * A[k, j]
    return False


class Steps(NamedTuple):
    """The step matrices of an orbit's steps 0..T - 1, and of words of w steps that come again and again.

    matrices `(r, n, n)` and numbers `(T,)`: step k is matrices[numbers[k]]. words `(u, n, n)` and word_index `(T // w,)`: the
    product of steps w k..w (k + 1) - 1; w = 1 when there are none.
    """

    matrices: Array
    numbers: Array
    words: Array
    word_index: Array


@subroutine
def _follow(s: Steps, length: int, first: int, last: int, Q: Array, growth: Array, work: Array, pace: int) -> int:
    """Take Q through steps first..last - 1 and add the logarithms of its growth; `pace` steps at a time at first.

    length: of a word, or 1. work `(2, n, B, 4)`. Returns the pace to go on with.
    """
    n, p = len(Q), len(growth)
    Y, new = work[0], work[1]
    r, again, dead = np.empty(p), np.empty(p), np.empty(p)
    find_dead(Q, dead)
    k = first
    while k < last:
        steps = min(pace, last - k)
        _copy(Q, Y)
        i = k
        while i < k + steps:
            if length > 1 and i % length == 0 and i + length <= k + steps:
                multiply(s.words[s.word_index[i // length]], Y, new)
                i += length
            else:
                multiply(s.matrices[s.numbers[i]], Y, new)
                i += 1
            Y, new = new, Y
        ratio = orthonormalize(Y, n, r, again, dead, 0.0)
        if ratio < ACCEPTED and steps > 1:
            pace = max(steps // 2, 1)
            continue
        if ratio < LOST and _is_singular(s.matrices[s.numbers[k]]):
            multiply(s.matrices[s.numbers[k]], Q, Y)
            ratio = orthonormalize(Y, n, r, again, dead, LOST)
        _copy(Y, Q)
        for j in range(p):
            growth[j] += np.log(r[j])
            if r[j] == 0.0:
                dead[j] = 1.0
        k += steps
        wanted = LONGEST if ratio >= 1.0 else int(steps * np.log(AIM) / -np.log(max(ratio, 1e-300)))
        pace = max(1, min(wanted, max(pace, 2 * steps), LONGEST))
        if pace > length:
            pace -= (k + pace) % length
    return pace


@kernel
def follow_records(
    s: Steps,
    length: int,
    edges: Array,
    first: int,
    last: int,
    Q: Array,
    growth: Array,
    checks: Array,
    work: Array,
    pace: int,
) -> int:
    """Take Q through records first..last - 1, record k being the steps edges[k]..edges[k + 1] - 1.

    growth `(K, p)`: record k's logarithms are added to row k. checks `(c, n, B, 4)`: Q after 1, 2, 4, ... records. Returns the
    pace to go on with.
    """
    at = 0
    for k in range(first, last):
        pace = _follow(s, length, edges[k], edges[k + 1], Q, growth[k], work, pace)
        if k + 1 - first == 1 << at and at < len(checks):
            _copy(Q, checks[at])
            at += 1
    return pace


@subroutine
def _agree(Q: Array, other: Array) -> bool:
    """Whether the vectors are the same up to their signs."""
    for j in range(Q.shape[1]):
        for lane in range(4):
            plus, minus = 0.0, 0.0
            for i in range(len(Q)):
                plus = max(plus, abs(Q[i, j, lane] - other[i, j, lane]))
                minus = max(minus, abs(Q[i, j, lane] + other[i, j, lane]))
            if not min(plus, minus) <= SAME:
                return False
    return True


@kernel
def repair_records(
    s: Steps,
    length: int,
    edges: Array,
    first: int,
    last: int,
    Q: Array,
    growth: Array,
    checks: Array,
    work: Array,
    pace: int,
) -> int:
    """Records first..last - 1 were followed from a guess: follow them from Q until it agrees with what was followed then.

    Returns:
        Number of the first record that is good as it is; `last` when none is, Q then being the vectors at the end.
    """
    at = 0
    for k in range(first, last):
        for j in range(growth.shape[1]):
            growth[k, j] = 0.0
        pace = _follow(s, length, edges[k], edges[k + 1], Q, growth[k], work, pace)
        if k + 1 - first == 1 << at and at < len(checks):
            if _agree(Q, checks[at]):
                return k + 1
            at += 1
    return last


@kernel
def number_rows(rows: Array, index: Array, first: Array, slots: Array) -> int:
    """Number the different rows of `(T, q)` integers in the order in which they appear.

    index `(T,)`: the number of each row; first `(T,)`: where number k is seen first; slots: -1, a power of two of them, at
    least 2 T. Returns how many there are.
    """
    T, q = rows.shape
    count, mask = 0, len(slots) - 1
    for t in range(T):
        word = 1469598103934665603
        for i in range(q):
            word = (word ^ np.int64(rows[t, i])) * 1099511628211
        at = (word ^ (word >> 32)) & mask
        while True:
            k = slots[at]
            if k < 0:
                slots[at], first[count], index[t] = count, t, count
                count += 1
                break
            same = True
            for i in range(q):
                if rows[t, i] != rows[first[k], i]:
                    same = False
                    break
            if same:
                index[t] = k
                break
            at = (at + 1) & mask
    return count


def numbered(rows: Array) -> tuple[Array, Array]:
    """The number of each row `(T,)` and where each number is seen first."""
    T = len(rows)
    rows = np.ascontiguousarray(rows).view(np.uint8).reshape(T, -1)  # bytes, of patterns and of pairs of numbers
    index, first = np.empty(T, dtype=np.int64), np.empty(T, dtype=np.int64)
    slots = np.full(1 << (2 * T).bit_length(), -1)
    count = number_rows(rows, index, first, slots)
    return index, first[:count]

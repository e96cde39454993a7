"""Compiled iteration of piecewise-affine maps, and of clock-held flows from sample to sample.

The step is written out in one function: a call that takes a FormArrays counts references of each of its arrays, which
costs more than the step of a small network.
"""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.arrays import FormArrays, TableArrays

LIMIT = 1e150  # a state beyond this has diverged: products of two states would overflow


@subroutine
def preactivate(f: FormArrays, z: Array, s: Array, a: Array) -> None:
    """a = W2 z + C2 s + h2."""
    q = len(a)
    if len(f.selection) > 0:
        for i in range(q):
            a[i] = f.h2[i] + z[f.selection[i]]
    else:
        for i in range(q):
            a[i] = f.h2[i]
        for j in range(len(z)):
            x = z[j]
            for i in range(q):
                a[i] += x * f.W2T[j, i]
    for j in range(len(s)):
        x = s[j]
        for i in range(q):
            a[i] += x * f.C2T[j, i]


@subroutine
def read_pattern(f: FormArrays, z: Array, s: Array, a: Array, bits: Array) -> None:
    """bits = (W2 z + C2 s + h2) > 0, with a the values."""
    preactivate(f, z, s, a)
    for i in range(len(a)):
        bits[i] = a[i] > 0.0


@kernel
def iterate(f: FormArrays, states: Array, inputs: Array, patterns: Array, first: int, last: int, done: Array) -> None:
    """Iterate members first..last - 1 of states `(T, b, n)` from states[0]; done `(b,)`, given as
    T - 1, becomes each one's last finite step.

    inputs `(T, 1 or b, m)`, patterns `(T, b, q)`.
    """
    steps, n, q, m = len(states) - 1, states.shape[2], len(f.h2), inputs.shape[2]
    z, s, a, new = np.empty(n), np.empty(m), np.empty(q), np.empty(n)
    diagonal, selects, own = len(f.diagonal) > 0, len(f.selection) > 0, inputs.shape[1] > 1
    for k in range(steps):
        for member in range(first, last):
            for i in range(n):
                z[i] = states[k, member, i]
            for j in range(m):
                s[j] = inputs[k, member if own else 0, j]
            if diagonal:
                for i in range(n):
                    new[i] = f.diagonal[i] * z[i] + f.h1[i]
            else:
                for i in range(n):
                    new[i] = f.h1[i]
                for j in range(n):
                    x = z[j]
                    for i in range(n):
                        new[i] += x * f.AT[j, i]
            if not selects:
                preactivate(f, z, s, a)
            for j in range(q):
                x = z[f.selection[j]] + f.h2[j] if selects else a[j]
                if selects and m > 0:
                    for i in range(m):
                        x += s[i] * f.C2T[i, j]
                if x > 0.0:
                    patterns[k, member, j] = 1
                    for i in range(n):
                        new[i] += x * f.W1T[j, i]
            for j in range(m):
                x = s[j]
                for i in range(n):
                    new[i] += x * f.C1T[j, i]
            size = 0.0
            for i in range(n):
                states[k + 1, member, i] = new[i]
                size += abs(new[i])
            if not size < LIMIT:
                done[member] = min(done[member], k)
    for member in range(first, last):
        if done[member] == steps:
            read_pattern(f, states[steps, member], inputs[steps, member if own else 0], a, patterns[steps, member])


@subroutine
def find_region(t: TableArrays, bits: Array) -> int:
    """Number of the region with these bits, or -1."""
    word = 0
    for i in range(len(bits)):
        if bits[i]:
            word ^= t.keys[i]
    size = len(t.slots)
    at = word % size
    while t.slots[at] >= 0:
        k = t.slots[at]
        same = True
        for i in range(len(bits)):
            if t.bits[k, i] != bits[i]:
                same = False
                break
        if same:
            return k
        at = (at + 1) % size
    return -1


@kernel
def clock_steps(
    f: FormArrays, t: TableArrays, states: Array, inputs: Array, patterns: Array, last: int, done: Array, at: Array
) -> bool:
    """Advance clock-held flows over whole steps with each region's transition (rows: offset, columns of Phi, of Psi).

    at `(3,)`: step and member to go on with, first member; members end before `last`; arrays as for `iterate`.

    Returns:
        False when the region patterns[at] is not in the table, True when done.
    """
    steps, n, first = len(states) - 1, states.shape[2], at[2]
    q, m, own = len(f.h2), inputs.shape[2], inputs.shape[1] > 1
    z, s, a, bits, new = np.empty(n), np.empty(m), np.empty(q), np.empty(q, dtype=np.uint8), np.empty(n)
    for k in range(at[0], steps + 1):
        for member in range(at[1], last):
            if done[member] < k:
                continue
            for i in range(n):
                z[i] = states[k, member, i]
            for j in range(m):
                s[j] = inputs[k, member if own else 0, j]
            read_pattern(f, z, s, a, bits)
            for j in range(q):
                patterns[k, member, j] = bits[j]
            if k == steps:
                continue
            region = find_region(t, bits)
            if region < 0:
                at[0], at[1] = k, member
                return False
            for i in range(n):
                new[i] = t.data[region, 0, i]
            for j in range(n):
                x = z[j]
                for i in range(n):
                    new[i] += x * t.data[region, 1 + j, i]
            for j in range(m):
                x = s[j]
                for i in range(n):
                    new[i] += x * t.data[region, 1 + n + j, i]
            largest = 0.0
            for i in range(n):
                states[k + 1, member, i] = new[i]
                largest = max(largest, abs(new[i]))
            if largest < LIMIT:
                done[member] = k + 1
        at[1] = first
    return True

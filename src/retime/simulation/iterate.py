"""Compiled iteration of piecewise-affine maps, and of clock-held flows from sample to sample."""

from __future__ import annotations

import numpy as np
from numba import njit

from retime.core.arrays import Array
from retime.simulation.arrays import FormArrays, TableArrays

LIMIT = 1e150  # a state beyond this has diverged: products of two states would overflow


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def iterate(f: FormArrays, states: Array, inputs: Array, patterns: Array) -> int:
    """Fill states[1:] from states[0] (steps + 1, n) and patterns (steps + 1, q); return the last finite step."""
    steps, n, q = len(states) - 1, states.shape[1], len(f.h2)
    a, new = np.empty(q), np.empty(n)
    diagonal = len(f.diagonal) > 0
    for k in range(steps):
        z, s = states[k], inputs[k]
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
        preactivate(f, z, s, a)
        for j in range(q):
            x = a[j]
            if x > 0.0:
                patterns[k, j] = 1
                for i in range(n):
                    new[i] += x * f.W1T[j, i]
        for j in range(len(s)):
            x = s[j]
            for i in range(n):
                new[i] += x * f.C1T[j, i]
        largest = 0.0
        for i in range(n):
            states[k + 1, i] = new[i]
            largest = max(largest, abs(new[i]))
        if not largest < LIMIT:
            return k
    preactivate(f, states[steps], inputs[steps], a)
    for j in range(q):
        patterns[steps, j] = a[j] > 0.0
    return steps


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def clock_steps(f: FormArrays, t: TableArrays, states: Array, inputs: Array, patterns: Array, first: int) -> int:
    """Advance a clock-held flow over whole steps with each region's transition (rows: offset, columns of Phi, of Psi).

    Returns:
        the step whose region is not in the table (patterns[step] is set), `steps` when done, or -(k + 2) when the state
        after step k is not finite.
    """
    steps, n, q = len(states) - 1, states.shape[1], len(f.h2)
    a, new = np.empty(q), np.empty(n)
    for k in range(first, steps + 1):
        z, s = states[k], inputs[k]
        preactivate(f, z, s, a)
        for j in range(q):
            patterns[k, j] = a[j] > 0.0
        if k == steps:
            return steps
        region = find_region(t, patterns[k])
        if region < 0:
            return k
        data = t.data[region]
        for i in range(n):
            new[i] = data[0, i]
        for j in range(n):
            x = z[j]
            for i in range(n):
                new[i] += x * data[1 + j, i]
        for j in range(len(s)):
            x = s[j]
            for i in range(n):
                new[i] += x * data[1 + n + j, i]
        largest = 0.0
        for i in range(n):
            states[k + 1, i] = new[i]
            largest = max(largest, abs(new[i]))
        if not largest < LIMIT:
            return -(k + 2)
    return steps

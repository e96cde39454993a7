"""Arrays of the exact flow of sixteen orbits: the network, the data, what is kept of each pass, and room for the work."""

from __future__ import annotations

from typing import NamedTuple

from retime.core.arrays import Array


class Net(NamedTuple):
    """A `(rows,)`; W, WT `(rows, rows)`; sizes `(3,)`: n, P, N; limits `(3,)` float64: bound of the generator, longest theta, rounding."""

    A: Array
    W: Array
    WT: Array
    sizes: Array
    limits: Array


class Data(NamedTuple):
    """forced, f `(N, T + 1, 16)`: what forces, and how much; wanted, weight: what is compared, and by what weight; offset
    `(rows, 1 or T, 16)`: h + C s; spans `(T, 16)` float64: between samples."""

    forced: Array
    f: Array
    wanted: Array
    weight: Array
    offset: Array
    spans: Array


class Kept(NamedTuple):
    """Of each pass: tau `(S, 16)`; on `(S, rows, 16)`: phi'; interval `(S, 16)`: where it is.

    by_state, passes `(S, N, 16)`: dL/dz of the sample at its end, 0 if there is none, and how much of the state passes the forcing there.
    Y `(S, m, wide, 16)`: states at the m nodes of Gauss's rule, zeros up to a multiple of five.
    forward `(m + 1, DEGREE + 1)`: powers of the nodes and, last, of 1. backward, of that shape: from the end, times the weights; last, of 1.
    """

    tau: Array
    on: Array
    interval: Array
    by_state: Array
    passes: Array
    Y: Array
    forward: Array
    backward: Array


class Sums(NamedTuple):
    """Integrals: G `(c, m, wide, 16)`: of l at the nodes of c passes, by Gauss's weights; D `(wide, wide, 16)`: of l phi(z)^T; H `(wide, 16)`:
    of l; off `(rows, 16)`: of l z where the unit is off; by_offset `(rows, T, 16)`: of l in each interval, untouched if there is one."""

    G: Array
    D: Array
    H: Array
    off: Array
    by_offset: Array


class Scratch(NamedTuple):
    """c `(DEGREE + 1, rows, 16)`; p `(2, rows, 16)`; on, ones, u, z `(rows, 16)`; tau, x, apart, root `(16,)`; norms, squares of
    those of the coefficients, `(DEGREE + 1, 16)`; left, loss `(16,)` float64; unit, place `(16,)` int; poly, stack, ends: of
    `first_negative`."""

    c: Array
    p: Array
    on: Array
    ones: Array
    u: Array
    z: Array
    tau: Array
    x: Array
    apart: Array
    root: Array
    norms: Array
    left: Array
    loss: Array
    unit: Array
    place: Array
    poly: Array
    stack: Array
    ends: Array

"""The period of what an orbit settles on, as a stability map shows it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retime.analysis.branches.places import SOLVED
from retime.analysis.view import AffineView, affine_view
from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm
from retime.core.equation import evaluate
from retime.core.newton import Linearized, newton
from retime.core.tolerances import EPS, FAR, size_of
from retime.simulation.arrays import form_arrays
from retime.simulation.iterate import iterate

APERIODIC, DIVERGED, UNKNOWN = 0, -1, -2
GROWN = 1e3  # growth over the last half of an orbit in regions that expand: it diverges
FARTHEST = 10.0  # times the distance that a return after k steps and the spectral radius imply: a shorter cycle this close is meant
SETTLED = 1e-13  # returns this close, relative to 1 + |z|, are exact: no shorter cycle can be meant
CLOSE = 1e-7  # return after k steps, relative to 1 + |z|, that counts as a period


def period_of(z: Array, max_period: int, z0: Array) -> int:
    """Of the last states `(T, n)`: smallest k after which they return."""
    if not np.abs(z[-1]).max() <= FAR * size_of(z0):
        return DIVERGED
    size = CLOSE * size_of(z)
    for k in range(1, max_period + 1):
        if np.abs(z[k:] - z[:-k]).max() <= size:
            return k
    return APERIODIC


def shortest(model: Any, s: Array, z: Array, k: int) -> int:
    """The period of a smooth map's orbit `(T, n)` that returns after k steps: a divisor where Newton's method finds a shorter cycle."""
    if k <= 1 or affine_view(model) is not None:
        return k
    gap, size = float(np.abs(z[k:] - z[:-k]).max()), size_of(z)
    if gap <= SETTLED * size:
        return k
    for j in (j for j in range(1, k) if k % j == 0):
        start = len(z) - k
        x, radius = _shorter_cycle(model, s, z[start::j].mean(axis=0), j)
        if radius < 1.0 and np.abs(x - z[start]).max() <= FARTHEST * gap / (1.0 - radius ** (k // j)):
            return j
    return k


def _shorter_cycle(model: Any, s: Array, x: Array, period: int) -> tuple[Array, float]:
    """First point and spectral radius of the cycle that Newton's method finds from x; radius inf where it finds none."""

    def equations(x: Array) -> Linearized:
        y, product = x, np.eye(len(x))
        for _ in range(period):
            product = model.jacobian(y[None], s[None])[0] @ product
            y = evaluate(model.equation, y[None], s[None])[0]
        return Linearized(y - x, product - np.eye(len(x)), product)

    def is_closed(x: Array, at: Linearized, step: Array) -> bool:
        return bool(np.abs(at.residual).max() <= SOLVED * 1e-2 * size_of(x))

    root = newton(equations, x, is_closed, most=11, rcond=len(x) * EPS)
    if root is None or not root.is_solved:
        return x, math.inf
    return root.x, float(np.abs(np.linalg.eigvals(root.at.extra)).max())


def affine_period(view: AffineView, s: Array, z0: Array, steps: int, max_period: int) -> int:
    """The period of a piecewise-affine map's orbit; slow convergence is decided by solving for the cycle of the regions it repeats."""
    f = view.form
    n, q, length = f.num_states, f.num_units, 4 * max_period
    driven = PiecewiseAffineForm(f.A, f.W1, f.W2, f.h1 + f.C1 @ s, f.h2 + f.C2 @ s, np.zeros((n, 0)), np.zeros((q, 0)))
    count = steps + length
    states, patterns = np.empty((count + 1, 1, n)), np.zeros((count + 1, 1, q), dtype=np.uint8)
    states[0, 0] = z0
    done = np.full(1, count)
    iterate(form_arrays(driven), states, np.zeros((count + 1, 1, 0)), patterns, 0, 1, done)
    if done[0] < count:
        return DIVERGED
    z, bits = states[steps:, 0], patterns[steps:, 0].astype(bool)
    found = period_of(z, max_period, z0)
    if found > 0:
        return _shortest_word(driven, bits, z, found)
    if found == DIVERGED:
        return DIVERGED
    for k in range(1, max_period + 1):
        if np.array_equal(bits[k:], bits[:-k]):
            if attractor_of(driven, bits[:k]) is not None:
                return k
            sizes = np.abs(states[[steps // 2, -1], 0]).max(axis=1)
            grows = sizes[1] > GROWN * (1.0 + sizes[0])
            return DIVERGED if _escapes(driven, bits[:k], z[0], bool(grows)) else APERIODIC
    return APERIODIC


def _shortest_word(form: PiecewiseAffineForm, bits: Array, z: Array, k: int) -> int:
    """The period when the orbit returns after k steps: a divisor of k where a shorter cycle, solved for, attracts the orbit.

    With a multiplier near -1 the return after twice the period falls below the tolerance before that after the period does.
    """
    gap = float(np.abs(z[k:] - z[:-k]).max())
    for j in (j for j in range(1, k) if k % j == 0):
        for start in range(0, k, j):
            cycle = attractor_of(form, bits[start : start + j])
            if cycle is None:
                continue
            if np.array_equal(bits[j:], bits[:-j]):
                return j
            x, radius = cycle
            if np.abs(x - z[start]).max() <= FARTHEST * gap / (1.0 - radius ** (k // j)):
                return j
    return k


def _word(form: PiecewiseAffineForm, bits: Array) -> tuple[Array, Array, Array, Array]:
    """Matrices and offsets of a sequence of regions `(k, q)`, and those of all its steps together."""
    M, c, _ = form.regions(bits)
    product, offset = np.eye(M.shape[1]), np.zeros(M.shape[1])
    for A, b in zip(M, c, strict=True):
        product, offset = A @ product, A @ offset + b
    return M, c, product, offset


def attractor_of(form: PiecewiseAffineForm, bits: Array) -> tuple[Array, float] | None:
    """First point and spectral radius of the cycle of a sequence of regions `(k, q)`; None where it does not exist or is not stable."""
    M, c, product, offset = _word(form, bits)
    radius = float(np.abs(np.linalg.eigvals(product)).max())
    if radius >= 1.0:
        return None
    first = x = np.linalg.solve(np.eye(len(offset)) - product, offset)
    for k, d in enumerate(bits):
        a = form.preactivation(x)
        if (((a > 0) != d) & (np.abs(a) > 1e-9 * size_of(a))).any():
            return None
        x = M[k] @ x + c[k]
    return first, radius


def _escapes(form: PiecewiseAffineForm, bits: Array, z: Array, grows: bool) -> bool:
    """Whether an orbit that repeats regions `(k, q)` leaves for infinity: it grows, or the direction it expands in stays in them for ever."""
    M, _, product, offset = _word(form, bits)
    w, V = np.linalg.eig(product)
    k = int(np.argmax(np.abs(w)))
    if not np.abs(w[k]) > 1.0:
        return False
    if grows:
        return True
    if np.imag(w[k]) != 0 or np.linalg.cond(V) > 1e12:
        return False
    x = np.linalg.lstsq(np.eye(len(z)) - product, offset)[0]
    direction = np.real(V[:, k]) * np.real(np.linalg.solve(V, (z - x).astype(complex))[k])
    for step in range(2 * len(bits)):  # twice around: a negative multiplier turns the direction
        a, d = form.preactivation(direction) - form.preactivation(np.zeros(len(z))), bits[step % len(bits)]
        if not direction.any() or (((a > 0) != d) & (np.abs(a) > 1e-9 * np.abs(a).max(initial=0.0))).any():
            return False
        direction = M[step % len(bits)] @ direction
    return True

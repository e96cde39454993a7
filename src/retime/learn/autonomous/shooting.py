"""Several steps at once: the last stage of a fit, for errors that add up along an orbit, such as those of a period.

The normal equations are those of single steps, written out, and those of the ends of windows of K steps: an error there is
sum_j Phi_j half_j (outer_j dP + ...), Phi_j the derivative of the end by the state after step j.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.learn.autonomous.field import Field
from retime.learn.autonomous.projection import LEAST_DAMPING, MOST_DAMPING, Equations, Steps
from retime.learn.autonomous.samples import Windows

GROUP = 128  # windows at a time
SHARE = 0.1  # of the squared errors of windows, per step, beside those of single steps
MOST_CHANGE = 0.02  # of the time scale; more is not an error of a clock, as where orbits come to rest
LOST = 0.5  # distance from the map's orbit, in sizes of the orbits, at which the end of a window says nothing any more


def window_ends(field: Field, windows: Windows) -> Array:
    """Where the flow takes the first states `(b, n)`."""
    n, x = field.sizes[0], windows.x[0].copy()
    for held in windows.x:
        x[:, n:] = held[:, n:]
        x[:, :n] = field.after(x)
    return x[:, :n]


def _followed(field: Field, windows: Windows) -> Windows:
    """Windows as long as the field still follows them to half the size of the orbits."""
    while len(windows.x) > 1:
        with np.errstate(over="ignore", invalid="ignore"):
            off = np.abs(window_ends(field, windows) - windows.ends).max()
        if off <= LOST:
            break
        half = len(windows.x) // 2
        windows = Windows(windows.x[:half], windows.x[half][:, : field.sizes[0]])
    return windows


def timed(field: Field, windows: Windows) -> Field:
    """The same orbits, as fast as the map's: the whole field times the number with which it follows windows best.

    The end z of K steps moves by K f(z) dc when f becomes (1 + dc) f.
    """
    windows = _followed(field, windows)
    for _ in range(2):
        x, ends = windows.x[-1].copy(), window_ends(field, windows)
        x[:, : field.sizes[0]] = ends
        moved, off = len(windows.x) * field.rates(x), windows.ends - ends
        square = float((moved**2).sum())
        change = float((moved * off).sum()) / square if square > 0.0 else 0.0
        found = replace(field, L=field.L * (1.0 + change), W1=field.W1 * (1.0 + change))
        if abs(change) > MOST_CHANGE or ((windows.ends - window_ends(found, windows)) ** 2).sum() >= (off**2).sum():
            break
        field = found
    return field


def _rows(field: Field, x: Array) -> tuple[Array, Array]:
    """Ends `(b, n)` of windows `(K, b, k)`, and their derivatives `(b n, p)` by outer and inner weights."""
    n, k, q = field.sizes
    b = x.shape[1]
    now, passed = x[0].copy(), []
    for held in x:
        now[:, n:] = held[:, n:]
        passed.append(field.linearized(now))
        now[:, :n] = passed[-1].end
    outer, inner = np.zeros((b, n, k + q, n)), np.zeros((b, n, q, k))
    after = np.broadcast_to(np.eye(n), (b, n, n))
    for at in reversed(passed):
        middle = after @ at.half
        outer += middle[:, :, None, :] * at.outer[:, None, :, None]
        inner += (middle @ field.W1)[:, :, :, None] * at.inner[:, None]
        after = middle @ at.half
    return now[:, :n], np.concatenate([outer.reshape(b * n, -1), inner.reshape(b * n, -1)], axis=1)


def _equations(field: Field, steps: Steps, windows: Windows, weight: float) -> tuple[Equations, Array, Array]:
    """Matrix and right-hand side of all weights together."""
    at, n = Equations(field, steps), field.sizes[0]
    k, W1 = field.sizes[1], field.W1
    size, p = at.G.shape[0] * n, at.square.shape[0]
    H, right = np.empty((size + p, size + p)), np.concatenate([at.R.ravel(), at.slope])
    H[:size, :size] = np.kron(at.G, np.eye(n))
    H[:size, size:] = (at.mixed[:, None, :] * W1.repeat(k, axis=1)).reshape(size, p)
    H[size:, :size] = H[:size, size:].T
    H[size:, size:] = (W1.T @ W1).repeat(k, axis=0).repeat(k, axis=1) * at.square
    for first in range(0, windows.x.shape[1], GROUP):
        part = slice(first, first + GROUP)
        ends, J = _rows(field, windows.x[:, part])
        H += weight * (J.T @ J)
        right += weight * (J.T @ (windows.ends[part] - ends).ravel())
    return at, H, right


def shoot(
    field: Field,
    steps: Steps,
    windows: Windows,
    patience: Patience,
    *,
    most: int,
    enough: float,
    seen: Callable[[Any], None],
) -> Field:
    """Gauss-Newton steps on single steps and windows together, until one gains less than the share `enough` of the cost."""
    n, k, q = field.sizes
    windows = _followed(field, windows)
    weight, damping = SHARE / (windows.x.shape[1] * len(windows.x)), 1e-4

    def cost(at: Equations, candidate: Field) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            off = windows.ends - window_ends(candidate, windows)
            value = at.cost_of(candidate) + weight * float((off * off).sum())
        return value if np.isfinite(value) else float("inf")

    for _ in range(most):
        patience.check()
        at, H, right = _equations(field, steps, windows, weight)
        before, scale, found = cost(at, field), np.diagonal(H).copy(), None
        after = before
        scale += 1e-12 * scale.max()
        while found is None and damping <= MOST_DAMPING:
            try:
                step = cho_solve(cho_factor(H + np.diag(damping * scale)), right)
            except LinAlgError:
                damping *= 10.0
                continue
            candidate = field.moved(step[: n * (k + q)].reshape(-1, n), step[n * (k + q) :].reshape(q, k))
            after = cost(at, candidate)
            found = candidate if after < before else None
            damping *= 0.25 if found is not None else 5.0
        if found is None:
            break
        field, damping = found, max(damping, LEAST_DAMPING)
        seen(field)
        if 1.0 - after / before < enough:
            break
    return field

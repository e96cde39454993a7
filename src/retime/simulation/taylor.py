"""Taylor series of affine flows with a proven remainder: no eigenvalues, no inverses, any spectrum."""

from __future__ import annotations

import numpy as np
from numba import njit

from retime.core.arrays import Array
from retime.simulation.roots import DEGREE

REACH = 4.0  # largest ||W|| tau of a step: rounding grows like its exponential
REMAINDER = 2.0**-55  # relative size of what the series leaves out


@njit(cache=True, nogil=True, error_model="numpy")
def weighted_norm(WT: Array, N: int, weights: Array) -> float:
    """max_i sum_j |W_ij| weights_j / weights_i, given the transpose's leading (N, N) block.

    The norm that belongs to max_i |y_i| / weights_i; with the weights of a balanced matrix a large gain on one unit does
    not shorten the steps of all.
    """
    sums = np.zeros(N)
    for j in range(N):
        for i in range(N):
            sums[i] += abs(WT[j, i]) * weights[j]
    norm = 0.0
    for i in range(N):
        norm = max(norm, sums[i] / weights[i])
    return norm


@njit(cache=True, nogil=True, error_model="numpy")
def affine_series(WT: Array, N: int, weights: Array, f0: Array, f1: Array, y: Array, tau: float, c: Array) -> tuple[float, int]:
    """Coefficients in x = t / step of the solution of dy/dt = W y + f0 + t f1 from y: c `(DEGREE + 1, N)`.

    The step, at most tau, and the degree used are returned: the remainder after it is below `REMAINDER` times the largest
    coefficient, by the bound ||c_{k+1}|| <= ||W|| step ||c_k|| / (k + 1), in the norm max_i |y_i| / weights_i.
    """
    norm = weighted_norm(WT, N, weights)
    if norm * tau > REACH:
        tau = REACH / norm
    theta = norm * tau
    scale, size = 0.0, 0.0
    for i in range(N):
        c[0, i] = y[i]
        scale = max(scale, abs(y[i]) / weights[i])
    for k in range(DEGREE):
        factor = tau / (k + 1)
        row, last = c[k + 1], c[k]
        for i in range(N):
            row[i] = f0[i] if k == 0 else (tau * f1[i] if k == 1 else 0.0)
        for j in range(N):
            x = last[j]
            if x != 0.0:
                for i in range(N):
                    row[i] += x * WT[j, i]
        size = 0.0
        for i in range(N):
            row[i] *= factor
            size = max(size, abs(row[i]) / weights[i])
        scale = max(scale, size)
        ratio = theta / (k + 2)
        if k > 1 and ratio < 0.5 and size * ratio / (1 - ratio) <= 0.25 * REMAINDER * scale:
            return tau, k + 1
    ratio = theta / (DEGREE + 1)
    tail = size * ratio / (1 - ratio)
    if tail > REMAINDER * scale:
        shrink = (REMAINDER * scale / tail) ** (1.0 / DEGREE)
        power = 1.0
        for k in range(1, DEGREE + 1):
            power *= shrink
            for i in range(N):
                c[k, i] *= power
        tau *= shrink
    return tau, DEGREE


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate(c: Array, degree: int, N: int, x: float, y: Array) -> None:
    """y = sum_k c_k x^k for k <= degree."""
    for i in range(N):
        y[i] = c[degree, i]
    for k in range(degree - 1, -1, -1):
        for i in range(N):
            y[i] = y[i] * x + c[k, i]


@njit(cache=True, nogil=True, error_model="numpy")
def flow_samples(WT: Array, weights: Array, f0: Array, y0: Array, times: Array, out: Array) -> None:
    """States at increasing times >= 0 of dy/dt = W y + f0 from y0 at time 0; out `(len(times), n)`, n <= N."""
    N, n = len(y0), out.shape[1]
    c, y, zero = np.empty((DEGREE + 1, N)), y0.copy(), np.zeros(N)
    t, k = 0.0, 0
    sample = np.empty(N)
    while k < len(times):
        span = times[-1] - t
        tau, degree = affine_series(WT, N, weights, f0, zero, y, span, c)
        last = tau >= span
        while k < len(times) and (last or times[k] <= t + tau):
            x = (times[k] - t) / tau if tau > 0.0 else 0.0
            evaluate(c, degree, N, min(max(x, 0.0), 1.0), sample)
            for i in range(n):
                out[k, i] = sample[i]
            k += 1
        evaluate(c, degree, N, 1.0, y)
        t += tau

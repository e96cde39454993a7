"""Taylor series of affine flows with a remainder proven small for every state: no eigenvalues, no inverses, any spectrum."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel, subroutine
from retime.simulation.roots import DEGREE

REACH = 4.0  # largest alpha * step, alpha a bound of ||W^j||^(1/j): rounding grows like its exponential
SPREAD = 10.0  # largest rho * step, rho a bound of the spectral radius of |W|: the bound of the remainder grows with it
REMAINDER = 2.0**-55  # what the series leaves out of a state, relative to that state's own scale
TINY = 2.0**-900  # the smallest scale: below it a remainder is nothing, so that a decayed state does not stop the steps
ROWS = DEGREE + 3  # of an array that holds a series: its coefficients, the scales of the states, and one row of work
ENOUGH = 12.0  # a theta up to which scales need not be raised: the bound of the remainder is then below its first term
SWEEPS, ATTEMPTS = 64, 64
STRICT = 3  # attempts with the scales of an eighth of the step; then of half a step, which short steps always meet


@subroutine
def affine_series(
    WT: Array, N: int, scaling: Array, f0: Array, f1: Array, y: Array, tau: float, c: Array
) -> tuple[float, int]:
    """Coefficients in x = t / step of the solution of dy/dt = W y + f0 + t f1 from y: c `(ROWS, N)`.

    The step, at most tau, and the degree K used are returned. What is left out of state i is below `REMAINDER` times its scale
    w_i: the largest of its own coefficients, or what the other states make of it, in a time of at most twice the step. With
    c_{K+j} = (step W)^j c_K K! / (K+j)!,  step |W| w <= theta w  and  |c_K| <= m w  bound it for each state by

        w_i m [theta / (K+1) + theta^2 / ((K+1)(K+2)) + ...] <= w_i m theta / (K+1) / (1 - theta / (K+2)).

    Args:
        scaling: `(3, >= N)`, rows rho, ||W||, alpha, each repeated, from `scaling_rows`.

    Source: docs/theory/flows.md.
    """
    rho, alpha = scaling[0, 0], scaling[2, 0]
    tau = min(tau, REACH / alpha if alpha > 0.0 else tau, SPREAD / rho if rho > 0.0 else tau)
    degree = DEGREE
    for attempt in range(ATTEMPTS):
        theta = max(8.0 if attempt < STRICT else 2.0, 1.5 * rho * tau)
        degree, shrink = _series_within(WT, N, rho, f0, f1, y, tau, theta, c)
        if shrink == 1.0:
            break
        if shrink >= 0.5:  # the scales are those of the longer step
            power = 1.0
            for k in range(1, DEGREE + 1):
                power *= shrink
                for i in range(N):
                    c[k, i] *= power
            return tau * shrink, DEGREE
        tau *= max(shrink, 2.0**-8)
    return tau, degree


@subroutine
def _series_within(
    WT: Array, N: int, rho: float, f0: Array, f1: Array, y: Array, tau: float, wanted: float, c: Array
) -> tuple[int, float]:
    """Coefficients for a step tau, the degree used, and the share of the step over which the remainder is small enough."""
    w, theta = c[DEGREE + 1], np.nan
    for i in range(N):
        c[0, i] = y[i]
        w[i] = max(abs(y[i]), TINY)
    for k in range(DEGREE):
        factor = tau / (k + 1)
        for i in range(N):
            c[k + 1, i] = f0[i] if k == 0 else (tau * f1[i] if k == 1 else 0.0)
        for j in range(N):
            x = c[k, j]
            if x != 0.0:
                for i in range(N):
                    c[k + 1, i] += x * WT[j, i]
        for i in range(N):
            x = c[k + 1, i] * factor
            c[k + 1, i] = x
            w[i] = abs(x) if abs(x) > w[i] else w[i]
        is_small, likely = k > 1, min(REMAINDER * (k + 2) / (2.0 * rho * tau), 0.5)  # else not worth a product with |W|
        for i in range(N):
            if not is_small:
                break
            is_small = abs(c[k + 1, i]) <= likely * w[i]
        if not is_small:
            theta = np.nan
        elif np.isnan(theta):  # kept while the coefficients stay small: they then leave the scales as they are
            theta = raise_scales(WT, N, tau, wanted, w, c[DEGREE + 2])
        if is_small and _remainder(c, N, k + 1, theta) <= REMAINDER:
            return k + 1, 1.0
    tail = _remainder(c, N, DEGREE, raise_scales(WT, N, tau, wanted, w, c[DEGREE + 2]))
    if np.isnan(tail) or tail <= REMAINDER:
        return DEGREE, 1.0
    return DEGREE, (REMAINDER / tail) ** (1.0 / DEGREE)


@subroutine
def raise_scales(WT: Array, N: int, tau: float, theta: float, w: Array, v: Array) -> float:
    """Raise scales w to what other states make of them in the time tau / theta; the smallest t with tau |W| w <= t w.

    It is at most `ENOUGH` or 1.25 theta, unless theta is below the spectral radius of tau |W|.
    """
    largest = np.inf
    for _ in range(SWEEPS):
        for i in range(N):
            v[i] = 0.0
        for j in range(N):
            x = tau * w[j]
            for i in range(N):
                v[i] += abs(WT[j, i]) * x
        largest = 0.0
        for i in range(N):
            if v[i] > largest * w[i]:
                largest = v[i] / w[i]
        if largest <= max(1.25 * theta, ENOUGH):
            return largest
        for i in range(N):
            w[i] = max(w[i], v[i] / theta)
    return largest


@subroutine
def _remainder(c: Array, N: int, k: int, theta: float) -> float:
    """Bound of what comes after degree k, relative to the scales in c."""
    if theta >= 0.9 * (k + 2):
        return np.inf
    most = 0.0
    for i in range(N):
        most = max(most, abs(c[k, i]) / c[DEGREE + 1, i])
    return most * theta / (k + 1) / (1.0 - theta / (k + 2))


@subroutine
def evaluate(c: Array, degree: int, N: int, x: float, y: Array) -> None:
    """y = sum_k c_k x^k for k <= degree."""
    for i in range(N):
        y[i] = c[degree, i]
    for k in range(degree - 1, -1, -1):
        for i in range(N):
            y[i] = y[i] * x + c[k, i]


@kernel
def flow_samples(WT: Array, scaling: Array, f0: Array, y0: Array, times: Array, out: Array) -> None:
    """States at increasing times >= 0 of dy/dt = W y + f0 from y0 at time 0; out `(len(times), n)`, n <= N."""
    N, n = len(y0), out.shape[1]
    c, y, zero = np.empty((ROWS, N)), y0.copy(), np.zeros(N)
    t, k = 0.0, 0
    sample = np.empty(N)
    while k < len(times):
        span = times[-1] - t
        tau, degree = affine_series(WT, N, scaling, f0, zero, y, span, c)
        last = tau >= span
        while k < len(times) and (last or times[k] <= t + tau):
            x = (times[k] - t) / tau if tau > 0.0 else 0.0
            evaluate(c, degree, N, min(max(x, 0.0), 1.0), sample)
            for i in range(n):
                out[k, i] = sample[i]
            k += 1
        evaluate(c, degree, N, 1.0, y)
        t += tau

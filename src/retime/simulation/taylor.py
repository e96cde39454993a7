"""Taylor series of affine flows with a proven remainder: no eigenvalues, no inverses, any spectrum."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel
from retime.simulation.roots import DEGREE

REACH = 4.0  # largest alpha * step, alpha a bound of ||W^j||^(1/j): rounding grows like its exponential
REMAINDER = 2.0**-55  # relative size of what the series leaves out
TINY = 1e-290  # below this a remainder is nothing, however small the state: a decayed state must not stop the steps


@kernel
def affine_series(
    WT: Array, N: int, scaling: Array, f0: Array, f1: Array, y: Array, tau: float, c: Array
) -> tuple[float, int]:
    """Coefficients in x = t / step of the solution of dy/dt = W y + f0 + t f1 from y: c `(DEGREE + 1, N)`.

    The step, at most tau, and the degree used are returned: the remainder after it is below `REMAINDER` times the largest
    coefficient, in the norm max_i |y_i| / weights_i. With c_{k+j} = (step W)^j c_k k! / (k+j)!, the bounds ||W|| and
    alpha >= ||W^j||^(1/j), j >= 2, of `scaling` make the remainder at most

        ||c_k|| [||W|| step / (k+1) + (alpha step)^2 / ((k+1)(k+2)) / (1 - alpha step / (k+3))].

    Args:
        scaling: `(3, >= N)`, rows weights, ||W|| (repeated), alpha (repeated), from `scaling_rows`.
    """
    norm, alpha = scaling[1, 0], scaling[2, 0]
    if alpha * tau > REACH:
        tau = REACH / alpha
    scale, size = 0.0, 0.0
    for i in range(N):
        c[0, i] = y[i]
        scale = max(scale, abs(y[i]) / scaling[0, i])
    for k in range(DEGREE):
        factor = tau / (k + 1)
        for i in range(N):
            c[k + 1, i] = f0[i] if k == 0 else (tau * f1[i] if k == 1 else 0.0)
        for j in range(N):
            x = c[k, j]
            if x != 0.0:
                for i in range(N):
                    c[k + 1, i] += x * WT[j, i]
        size = 0.0
        for i in range(N):
            c[k + 1, i] *= factor
            size = max(size, abs(c[k + 1, i]) / scaling[0, i])
        scale = max(scale, size)
        if k > 1 and _remainder(size, norm * tau, alpha * tau, k + 1) <= max(0.25 * REMAINDER * scale, TINY):
            return tau, k + 1
    tail = _remainder(size, norm * tau, alpha * tau, DEGREE)
    allowed = max(REMAINDER * scale, TINY)
    if tail > allowed:
        shrink = (allowed / tail) ** (1.0 / DEGREE)
        power = 1.0
        for k in range(1, DEGREE + 1):
            power *= shrink
            for i in range(N):
                c[k, i] *= power
        tau *= shrink
    return tau, DEGREE


@kernel
def _remainder(size: float, norm: float, alpha: float, k: int) -> float:
    """Bound of the terms after k, given the size of term k and ||W|| step, alpha step."""
    if alpha >= 0.9 * (k + 3):
        return np.inf
    return size * (norm / (k + 1) + alpha * alpha / ((k + 1) * (k + 2)) / (1.0 - alpha / (k + 3)))


@kernel
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
    c, y, zero = np.empty((DEGREE + 1, N)), y0.copy(), np.zeros(N)
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

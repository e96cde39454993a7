"""How well a mean over one orbit is known: standard errors from sums over windows of the orbit."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array

WINDOWS = (64, 8)  # shares of the orbit, 1 / 64 to 1 / 8, over which windows are summed
FEWEST = 32  # records, below which they are taken as independent
UNSETTLED = 1.4  # errors from the longest windows over those from the shortest, above which they disagree
INDEPENDENT = 24.0  # windows of a usual length that fit in the orbit
ROUNDING = 16.0 * np.finfo(float).eps  # of each quantity: sums of those that differ by less do not differ
EXCEEDED = 0.97725  # 1 - chance that a normal variable exceeds two standard deviations


def standard_errors(durations: Array, sums: Array) -> tuple[Array, Array]:
    """Standard errors of sum(sums) / sum(durations) along one orbit, such that twice that much holds the limit in 95 of 100 cases.

    V(L), the mean square of sums over windows of length L less their mean, is s^2 L + c for windows that are long compared with the
    memory of the orbit; extrapolated to the whole orbit, length T, the error is (s^2 T + c)^(1/2) / T. Of a chaotic orbit s^2 T prevails, of
    a periodic or quasi-periodic one c: its error falls as 1 / T.

    Where V grows faster than L, the orbit is short compared with its memory (or with its slowest change): V is then extrapolated as the
    power of L that is seen, and the error is called not settled. It may be too small still: what the orbit has not met, it cannot tell.

    Args:
        durations: `(K,)`, model time of each record of the orbit, about equal. sums: `(K, p)`, of the quantities over it, finite.

    Returns:
        errors `(p,)`, 1 / model time, inf where K < 2; settled, bool `(p,)`.

    Source: flyvbjerg1989 (windows of different lengths); docs/theory/analysis.md.
    """
    K, p = sums.shape
    if K < 2:
        return np.full(p, np.inf), np.ones(p, dtype=bool)
    total = durations.sum()
    rest = sums - durations[:, None] * (sums.sum(axis=0) / total)
    rounding = np.maximum(ROUNDING * np.abs(sums).sum(axis=0), np.finfo(float).tiny)
    settled = np.ones(p, dtype=bool)
    if K < FEWEST:
        deviation = _factor(K - 1.0) * np.sqrt(K) * rest.std(axis=0, ddof=1)
    else:
        deviation, settled = _extrapolated(rest / rounding)
        deviation = deviation * rounding
    return np.maximum(deviation, rounding) / total, settled


def _factor(freedom: float) -> float:
    """What a standard error that is itself an estimate is multiplied by, so that two of it are exceeded no more often."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, EXCEEDED)) / 2.0


def _extrapolated(rest: Array) -> tuple[Array, Array]:
    """Standard deviation of the sum of all records `(p,)`, and whether windows of all lengths agree on it; 1 is as good as 0."""
    K = len(rest)
    lengths = np.arange(max(K // WINDOWS[0], 1), K // WINDOWS[1] + 1)
    path = np.vstack([np.zeros(rest.shape[1]), np.cumsum(rest, axis=0)])
    x = lengths / K
    # the windows know the mean of the same orbit only: their own variance is smaller by 1 - L / K
    V = np.array([((path[L:] - path[:-L]) ** 2).mean(axis=0) for L in lengths]) / (1.0 - x)[:, None]
    growth = np.log((V[-1] + 1.0) / (V[0] + 1.0)) / np.log(x[-1] / x[0])
    settled = growth <= 1.0 + 2.0 * np.log(UNSETTLED) / np.log(WINDOWS[0] / WINDOWS[1])
    variance = _fitted(x, V)
    return np.sqrt(np.where(settled, variance, np.maximum(variance, V[-1] * x[-1] ** -growth))), settled


def _fitted(x: Array, V: Array) -> Array:
    """s^2 + c of the fit V(x) = s^2 x + c, with weights 1 / x; neither is negative."""
    w = 1.0 / x
    slope, c = np.linalg.lstsq(np.column_stack([np.ones_like(x), w]), V * w[:, None], rcond=None)[0]
    constant = (w**2 @ V) / (w**2).sum()
    return np.where(slope <= 0.0, constant, _factor(INDEPENDENT) ** 2 * slope + np.maximum(c, 0.0))

"""How two series occupy the state space: histograms over a grid, mixtures of Gaussians, and their divergence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.analysis.reconstruction.conventions import Histogram, Mixture
from retime.core.arrays import Array

BLOCKS = 10  # of the jackknife
CHUNK = 2**21  # numbers held at once by the Gaussian mixtures
VANISHED = -150 * np.log(2.0)  # logarithm of a number that is 0 in single precision


# --- histograms -------------------------------------------------------------------------------------------------------


class Binned(NamedTuple):
    """Divergence of two histograms.

    Attributes:
        value, error: the divergence, and its standard error by a jackknife; infinite and NaN without points.
        occupied: bins with a point of either series.
        mass: part of the reference's distribution that comes from the smoothing.
        outside: points of the reference and of the generated series that do not count.
    """

    value: float
    error: float
    occupied: int
    mass: float
    outside: tuple[int, int]


def binned_divergence(x: Array, y: Array, bins: int, box: Array, alpha: float, rule: Histogram | None) -> Binned:
    """D of the smoothed histograms of a reference `(T, d)` and a generated series over `box` `(d, 2)`; a rule says which points count."""
    cells = [_cells(series, bins, box) if rule is None else rule.cells(series, bins, box) for series in (x, y)]
    inside = np.concatenate([c[kept] for c, kept in cells])
    words = np.ascontiguousarray(inside.astype(np.int32))
    _, number = np.unique(words.view(f"V{4 * words.shape[1]}").ravel(), return_inverse=True)
    occupied = int(number.max()) + 1 if len(number) else 0
    split = int(cells[0][1].sum())
    p = _counted(number[:split], cells[0][1], occupied)
    q = _counted(number[split:], cells[1][1], occupied)
    total = float(bins) ** x.shape[1] if x.shape[1] * np.log10(bins) < 300 else np.inf
    n, m = p.blocks.sum(axis=0), q.blocks.sum(axis=0)
    mass = 1.0 if total == np.inf else alpha * total / (n.sum() + alpha * total)
    empty = m.sum() == 0 or n.sum() == 0
    value = float("inf") if empty else _divergence(n, m, total, alpha)
    error = float("nan") if empty or min(len(x), len(y)) < 2 * BLOCKS else _jackknife(p.blocks, q.blocks, total, alpha)
    error = 0.0 if np.array_equal(x, y) else error  # left out of one series only, a block would make them differ
    return Binned(value, error, occupied, mass, (p.outside, q.outside))


class _Counts(NamedTuple):
    """Points per occupied bin in blocks of consecutive points, `(BLOCKS, k)`, and the number outside."""

    blocks: Array
    outside: int


def _cells(x: Array, bins: int, box: Array) -> tuple[Array, Array]:
    """Bin of every point `(T, d)` and whether it is inside; the upper end belongs to the last bin."""
    width = box[:, 1] - box[:, 0]
    inside = np.asarray(((x >= box[:, 0]) & (x <= box[:, 1])).all(axis=1))
    place = np.where(inside[:, None], (x - box[:, 0]) / width, 0.0)
    return np.minimum((bins * place).astype(np.int64), bins - 1), inside


def _counted(number: Array, inside: Array, occupied: int) -> _Counts:
    block = (np.arange(len(inside)) * BLOCKS // len(inside))[inside]
    counts = np.bincount(block * occupied + number, minlength=BLOCKS * occupied)
    return _Counts(counts.reshape(BLOCKS, occupied), int((~inside).sum()))


def _divergence(n: Array, m: Array, total: float, alpha: float) -> float:
    """D of the smoothed counts n, m of the occupied bins; the other `total` - k bins hold alpha each."""
    if total == np.inf:
        return 0.0
    N, M = n.sum() + alpha * total, m.sum() + alpha * total
    shift = np.log(M) - np.log(N)
    terms = (n + alpha) / N * (np.log((n + alpha) / (m + alpha)) + shift)
    return max(0.0, float(terms.sum() + (total - len(n)) * alpha / N * shift))  # below 0 by rounding only


def _jackknife(p: Array, q: Array, total: float, alpha: float) -> float:
    """Standard error from leaving out one block of one series at a time."""
    n, m, variance = p.sum(axis=0), q.sum(axis=0), 0.0
    for values in (
        np.array([_divergence(n - block, m, total, alpha) for block in p]),
        np.array([_divergence(n, m - block, total, alpha) for block in q]),
    ):
        variance += (BLOCKS - 1) / BLOCKS * ((values - values.mean()) ** 2).sum()
    return float(np.sqrt(variance))


# --- Gaussian mixtures ------------------------------------------------------------------------------------------------


class Mixed(NamedTuple):
    """Divergence of two mixtures of Gaussians, its Monte Carlo error, and how many drawn points did not count."""

    value: float
    error: float
    dropped: int


def mixture_divergence(x: Array, y: Array, samples: int, seed: int) -> Mixed:
    """D of mixtures of unit Gaussians around the points `(T, d)`, by points drawn from the first."""
    (p, _), (q, _) = _log_densities(x, y, samples, np.random.default_rng(seed))
    ratio = p - q
    return Mixed(float(ratio.mean()), float(ratio.std(ddof=1) / np.sqrt(samples)), 0)


def published_mixture_divergence(x: Array, y: Array, width: float, samples: int, seed: int, rule: Mixture) -> Mixed:
    """The same as a published program has it, with Gaussians of one width in the units of the data."""
    rng, norm = np.random.default_rng(seed), x.shape[1] * np.log(width)
    values, variance, dropped = [], 0.0, 0
    for first, second in ((x, y), (y, x))[: 1 + rule.is_symmetric]:
        (p, near), (q, near_other) = _log_densities(first / width, second / width, samples, rng)
        counts = (near_other >= VANISHED) & ((near >= VANISHED) | (not rule.needs_both))
        p, q = (np.logaddexp(z - norm, np.log(rule.offset)) if rule.offset else z for z in (p[counts], q[counts]))
        dropped += samples - len(p)
        values.append(float((p - q).mean()) if len(p) else np.inf)
        variance += float((p - q).var(ddof=1) / len(p)) if len(p) > 1 else np.nan
    return Mixed(float(np.mean(values)), float(np.sqrt(variance)) / len(values), dropped)


def _log_densities(
    x: Array, y: Array, samples: int, rng: np.random.Generator
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """`_log_density` of both mixtures at points drawn from the first."""
    drawn = x[rng.integers(len(x), size=samples)] + rng.normal(size=(samples, x.shape[1]))
    return _log_density(drawn, x), _log_density(drawn, y)


def _log_density(at: Array, centers: Array) -> tuple[Array, Array]:
    """log of the mean of unit Gaussians around the centers, and of the largest of them, but for a constant; for points `(k, d)`."""
    from scipy.spatial.distance import cdist
    from scipy.special import logsumexp

    size, parts, nearest = max(1, CHUNK // len(centers)), [], []
    for k in range(0, len(at), size):
        exponents = -0.5 * cdist(at[k : k + size], centers, "sqeuclidean")
        parts.append(logsumexp(exponents, axis=1))
        nearest.append(exponents.max(axis=1))
    return np.concatenate(parts) - np.log(len(centers)), np.concatenate(nearest)

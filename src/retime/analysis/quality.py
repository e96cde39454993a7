"""How well generated series reproduce the long-term behavior of others: occupancy of the state space, and power spectra.

The two measures of dynamical systems reconstruction: D_stsp, the Kullback-Leibler divergence of the distributions over the state
space, and D_H, the Hellinger distance of the power spectra. Both compare invariant statistics; neither compares orbits
point by point, which in chaos says nothing.

Source: koppe2019, mikhaeil2022, brenner2022, hess2023.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np

from retime.core.arrays import Array, positive, real_array
from retime.core.errors import ShapeError
from retime.core.result import Result
from retime.core.trajectory import Trajectory

BLOCKS = 10  # of the jackknife
FEW = 16  # samples below which the measures say little
WIDE = 0.25  # a smoothing of this part of the spectrum hides its shape
CONSTANT = 1e-12  # a spread below this part of the values is rounding
CHUNK = 2**21  # numbers held at once by the Gaussian mixtures


# --- occupancy of the state space -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class StateSpaceDivergence(Result):
    """D_stsp, the Kullback-Leibler divergence of two distributions over the state space, in nats; `float(result)` is the value.

    It is not symmetric: what the reference visits and the generated series does not weighs most.

    Attributes:
        value: the divergence; infinite when no generated point lies in the box.
        standard_error: of the sampling. Binned: delete-one-block jackknife over 10 blocks of consecutive points of each series (NaN
            with fewer than 20 points). Mixtures: of the Monte Carlo average. 0 when both series are identical: their divergence is 0
            whatever was sampled.
        method: "binned" or "gmm".
        bins: per dimension; 0 for mixtures.
        box: `(d, 2)`, the range that was binned; empty `(0, 2)` for mixtures.
        occupied: number of bins with a point of either series.
        smoothing_mass: part of the reference's distribution that comes from the smoothing, 0 to 1; the measure is blind when it is near 1.
        bandwidth: standard deviation of the Gaussians, in standard deviations of the reference; NaN when binned.
        num_points: points of the reference and of the generated series.
        outside: how many of them are outside the box (and dropped).
        message: a doubt about the value in words; empty when there is none.
    """

    value: float
    standard_error: float
    method: str
    bins: int
    box: Array
    occupied: int
    smoothing_mass: float
    bandwidth: float
    num_points: tuple[int, int]
    outside: tuple[int, int]
    message: str

    def __float__(self) -> float:
        return self.value

    def _title(self) -> str:
        error = f" +- {self.standard_error:.2g}" if np.isfinite(self.standard_error) else ""
        text = f"D_stsp = {self.value:.4g}{error} nats ({self.method})"
        return f"{text}; {self.message}" if self.message else text

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = [["points", *map(str, self.num_points)]]
        rows += [["outside the box", *map(str, self.outside)]] if self.method == "binned" else []
        return ["", "reference", "generated"], rows

    def _data(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def state_space_divergence(
    reference: Any,
    generated: Any,
    *,
    method: Literal["binned", "gmm"] | None = None,
    bins: int = 30,
    box: Any = "cover",
    alpha: float = 1e-5,
    bandwidth: float = 1.0,
    samples: int = 1000,
    seed: int = 0,
) -> StateSpaceDivergence:
    """D_stsp: how differently two series occupy the state space.

    D = sum_i p_i log(p_i / q_i),   p_i = (n_i + alpha) / (N + alpha K),   K = bins^d,   q alike from the generated series

    Binned, as in the published code of the measure: a grid over the reference's range, Laplace smoothing over all K bins
    (those with no point in closed form, so K may be large), points outside dropped; how many is reported. With d > 5 the smoothing
    outweighs the points, and the published code takes Gaussian mixtures, one Gaussian per point: D is then the average of log(p / q) over
    points drawn from p. Conventions differ between publications (the Python code of brenner2022 also drops the first bin of every
    dimension, which counts here): compare only values that were made alike.

    The value has a positive bias from finite series, which the standard error does not show: take the divergence between two halves
    of the reference as the floor that a perfect model would reach.

    Args:
        reference: `(T, d)`, a batch `(T, b, d)` (pooled), or a Trajectory: its outputs if it has a readout, else its states.
        generated: the same, of any length.
        method: "binned" or "gmm"; None: binned up to d = 5.
        bins: per dimension.
        box: "cover": from the reference's minimum to its maximum and a tenth of a standard deviation more on both sides (hess2023);
            "two_sigma": its mean +- 2 standard deviations (brenner2022, where series are standardized); or `(d, 2)`, (low, high).
        alpha: smoothing, > 0: the count that is added to every bin.
        bandwidth: for mixtures: standard deviation of each Gaussian, in standard deviations of the reference per dimension.
        samples: for mixtures: number of points drawn.
        seed: for mixtures: of the random numbers.

    Returns:
        StateSpaceDivergence.

    Raises:
        ShapeError: different dimensions, or empty series. ValueError: values that are not finite, a constant reference, an unknown
        method or box.

    Cost: binned O(T d), mixtures O(samples T d). Backend: NumPy float64, SciPy.
    Source: koppe2019 (the measure); brenner2022, hess2023 (smoothing, range, mixtures).
    """
    x, y = _series("reference", reference), _series("generated", generated)
    _same_dimension(x, y)
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    if method not in (None, "binned", "gmm"):
        raise ValueError(f'`method` is {method!r}; it must be "binned", "gmm" or None (binned up to 5 dimensions).')
    if method == "gmm" or (method is None and x.shape[1] > 5):
        return _mixture_divergence(x, y, positive("bandwidth", bandwidth, "standard deviations"), samples, seed)
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ValueError(f"`bins` is {bins!r}; it must be a whole number >= 1, the bins per dimension.")
    return _binned_divergence(x, y, int(bins), _range(box, x), positive("alpha", alpha, "points per bin"))


def _series(name: str, value: Any) -> Array:
    """A series `(T, b, d)`, finite and not empty."""
    if isinstance(value, Trajectory):
        rows = value.states if value.outputs is None else value.outputs
        if np.isnan(rows).any():
            raise ValueError(
                f"`{name}` stopped early ({value.status} at t = {value.status_time:.6g}): its later rows are lost. Simulate for a "
                "shorter time, or pass the rows before that as an array."
            )
        value = rows
    else:
        array = np.asarray(value)
        if array.dtype.kind == "f" and array.ndim and not np.isfinite(array).all():
            bad = int((~np.isfinite(array.reshape(len(array), -1))).any(axis=1).sum())
            raise ValueError(
                f"`{name}` has {bad} of {len(array)} rows with NaN or infinity; drop them (the series then has gaps), or pass the part "
                "before the model diverged."
            )
    x = real_array(name, value)
    x = x[:, None] if x.ndim == 1 else x
    x = x[:, None] if x.ndim == 2 else x
    if x.ndim != 3 or x.size == 0:
        raise ShapeError(
            f"`{name}` has shape {np.shape(value)}; it must be (T, d), one row per time, or (T, b, d); none of them 0."
        )
    return x


def _same_dimension(x: Array, y: Array) -> None:
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(
            f"`generated` has {y.shape[-1]} dimensions, `reference` {x.shape[-1]}; compare the same observables (a Trajectory gives its "
            "outputs if the model has a readout)."
        )


def _spread(x: Array) -> Array:
    """Standard deviations per dimension of `(T, d)`; exactly 0 where they are rounding."""
    sigma = x.std(axis=0)
    return np.where(sigma <= CONSTANT * np.abs(x).max(axis=0), 0.0, sigma)


def _varying(x: Array) -> Array:
    """Standard deviations of the reference.

    Raises:
        ValueError: a dimension is constant.
    """
    sigma = _spread(x)
    if (sigma == 0).any():
        raise ValueError(
            f"`reference` is constant in dimension {int(np.argmin(sigma))}; leave that dimension out: nothing can be compared in it."
        )
    return sigma


def _range(box: Any, x: Array) -> Array:
    """The binned range `(d, 2)`."""
    if isinstance(box, str):
        if box not in ("cover", "two_sigma"):
            raise ValueError(f'`box` is {box!r}; it must be "cover", "two_sigma", (d, 2) or (low, high).')
        sigma = _varying(x)
        if box == "two_sigma":
            return np.stack([x.mean(axis=0) - 2 * sigma, x.mean(axis=0) + 2 * sigma], axis=1)
        return np.stack([x.min(axis=0) - 0.1 * sigma, x.max(axis=0) + 0.1 * sigma], axis=1)
    d = x.shape[1]
    ends = real_array("box", box)
    ends = np.tile(ends, (d, 1)) if ends.shape == (2,) else ends
    if ends.shape != (d, 2):
        raise ShapeError(f"`box` has shape {ends.shape}; it must be ({d}, 2), lower and upper end per dimension.")
    if (ends[:, 0] >= ends[:, 1]).any():
        raise ValueError("`box` has a lower end that is not below its upper end.")
    return ends


class _Counts(NamedTuple):
    """Points per occupied bin in blocks of consecutive points, `(BLOCKS, k)`, and the number outside."""

    blocks: Array
    outside: int


def _binned_divergence(x: Array, y: Array, bins: int, box: Array, alpha: float) -> StateSpaceDivergence:
    cells = [_cells(series, bins, box) for series in (x, y)]
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
    message = _joined(_few(x, y), _doubt(p.outside / len(x), q.outside / len(y), mass))
    empty = m.sum() == 0 or n.sum() == 0
    value = float("inf") if empty else _divergence(n, m, total, alpha)
    error = float("nan") if empty or min(len(x), len(y)) < 2 * BLOCKS else _jackknife(p.blocks, q.blocks, total, alpha)
    error = 0.0 if np.array_equal(x, y) else error  # left out of one series only, a block would make them differ
    points, outside = (len(x), len(y)), (p.outside, q.outside)
    return StateSpaceDivergence(
        value, error, "binned", bins, box, occupied, mass, float("nan"), points, outside, message
    )


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


def _joined(*doubts: str) -> str:
    return "; ".join(doubt for doubt in doubts if doubt)


def _few(x: Array, y: Array) -> str:
    count = min(len(x), len(y))
    return f"{count} samples are too few to say anything (use at least {FEW}, better thousands)" if count < FEW else ""


def _doubt(lost_reference: float, lost: float, mass: float) -> str:
    doubts = []
    if lost == 1.0:
        doubts.append("no generated point lies in the box")
    elif lost > 0.1:
        doubts.append(f"{100 * lost:.0f} % of the generated points lie outside the box and do not count")
    if lost_reference > 0.1:
        doubts.append(f"{100 * lost_reference:.0f} % of the reference lie outside the box")
    if mass > 0.1:
        doubts.append(
            f'the smoothing holds {100 * mass:.0f} % of the distribution and hides differences: use method="gmm"'
        )
    return "; ".join(doubts)


# --- Gaussian mixtures ------------------------------------------------------------------------------------------------


def _mixture_divergence(x: Array, y: Array, bandwidth: float, samples: Any, seed: int) -> StateSpaceDivergence:
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 2:
        raise ValueError(f"`samples` is {samples!r}; it must be a whole number >= 2, the points drawn.")
    sigma, rng, message = _varying(x) * bandwidth, np.random.default_rng(seed), _few(x, y)
    x, y = x / sigma, y / sigma
    drawn = x[rng.integers(len(x), size=samples)] + rng.normal(size=(samples, x.shape[1]))
    ratio = _log_density(drawn, x) - _log_density(drawn, y)
    error = float(ratio.std(ddof=1) / np.sqrt(samples))
    points = (len(x), len(y))
    return StateSpaceDivergence(
        float(ratio.mean()), error, "gmm", 0, np.zeros((0, 2)), 0, 0.0, bandwidth, points, (0, 0), message
    )


def _log_density(at: Array, centers: Array) -> Array:
    """log of the mean of unit Gaussians around the centers, but for a constant; for points `(k, d)`."""
    from scipy.spatial.distance import cdist
    from scipy.special import logsumexp

    size = max(1, CHUNK // len(centers))
    parts = [logsumexp(-0.5 * cdist(at[k : k + size], centers, "sqeuclidean"), axis=1) for k in range(0, len(at), size)]
    return np.concatenate(parts) - np.log(len(centers))


# --- power spectra ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class SpectralDistance(Result):
    """D_H, the Hellinger distance of power spectra, 0 (equal) to 1 (no common frequency); `float(result)` is the value.

    Attributes:
        value: the mean over dimensions.
        distances: `(d,)`, per dimension.
        frequencies: `(f,)`, cycles per unit of time.
        reference_spectrum, generated_spectrum: `(f, d)`, smoothed, each column adds up to 1; NaN where a generated series is constant.
        smoothing: standard deviation of the Gaussian, in frequency bins.
        num_samples: samples of each series that were used.
        message: a doubt about the value in words; empty when there is none.
    """

    value: float
    distances: Array
    frequencies: Array
    reference_spectrum: Array
    generated_spectrum: Array
    smoothing: float
    num_samples: int
    message: str

    def __float__(self) -> float:
        return self.value

    def _title(self) -> str:
        text = f"D_H = {self.value:.4g} (smoothing {self.smoothing:g} bins, {self.num_samples} samples)"
        return f"{text}; {self.message}" if self.message else text

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return ["dimension", "distance"], [[str(k), f"{x:.4g}"] for k, x in enumerate(self.distances)]

    def _data(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def spectral_distance(
    reference: Any, generated: Any, *, smoothing: float = 20.0, cutoff: float | None = None, dt: float | None = None
) -> SpectralDistance:
    """D_H: how differently the power of two series is distributed over frequencies.

    H = sqrt(1 - sum_w sqrt(F(w) G(w))),   F, G the smoothed power spectra, each with sum 1

    Per dimension: subtract the mean, divide by the standard deviation, |FFT|^2 at the frequencies 0 to 1 / (2 dt), convolve
    with a Gaussian of `smoothing` bins (cut at four standard deviations, the spectrum mirrored at both ends), drop what lies above
    `cutoff`, normalize. The value is the mean over dimensions. A smoothing of s bins is s / (T dt) in frequency: compare only
    values with the same T and smoothing.

    Args:
        reference: `(T, d)`, a batch `(T, b, d)` (spectra averaged), or a Trajectory with equal time steps: its outputs if it has a
            readout, else its states.
        generated: the same; if the lengths differ, the first samples of the longer series are used.
        smoothing: standard deviation of the Gaussian in frequency bins, >= 0; publications take 1 to 50.
        cutoff: largest frequency that counts, in cycles per unit of time; None: all.
        dt: time between samples; None: that of the trajectories, else 1.

    Returns:
        SpectralDistance. A constant generated series has all its power at frequency 0, where the reference has none: distance 1; in a
            batch its share of the mean spectrum lies there. `message` says so.

    Raises:
        ShapeError: different dimensions, or empty series. ValueError: values that are not finite, a constant reference, fewer than 4
        samples, unequal time steps, a smoothing of as many bins as there are frequencies, or a cutoff below the first frequency.

    Backend: NumPy float64, SciPy. Source: mikhaeil2022 (the measure, smoothing).
    """
    x, y = _series("reference", reference), _series("generated", generated)
    _same_dimension(x, y)
    T = min(len(x), len(y))
    if T < 4:
        raise ValueError(
            f"The shorter series has {T} samples; a spectrum needs at least 4 (and should have many more)."
        )
    if not np.isfinite(smoothing) or smoothing < 0:
        raise ValueError(f"`smoothing` is {smoothing}; it must be a finite number >= 0, in frequency bins.")
    step = _step(dt, reference, generated)
    x, y = x[:T], y[:T]
    for k in range(x.shape[1]):
        _varying(x[:, k])
    frequencies = np.fft.rfftfreq(T, step)
    if smoothing >= len(frequencies):
        raise ValueError(
            f"`smoothing` is {smoothing:g} bins, but {T} samples have {len(frequencies)} frequencies: nothing of the spectrum would be left. "
            "Take fewer bins (a twentieth of the frequencies, or 0), or longer series."
        )
    kept = _kept(frequencies, cutoff)
    F, _ = _spectrum(x, smoothing, kept)
    G, still = _spectrum(y, smoothing, kept)
    distances = np.sqrt(((np.sqrt(F) - np.sqrt(G)) ** 2).sum(axis=0) / 2)  # equals the H above, exact for F = G
    distances = np.minimum(np.where(still == 1, 1.0, distances), 1.0)
    # constant members: a share of the mean spectrum lies at frequency 0, where the reference has nothing
    distances = np.where(still > 0, np.sqrt(1.0 - np.sqrt(1.0 - still) * (1.0 - distances**2)), distances)
    message = _joined(_constants(still, y.shape[1]), _few(x, y), _wide(smoothing, int(kept.sum())))
    return SpectralDistance(float(distances.mean()), distances, frequencies[kept], F, G, float(smoothing), T, message)


def _constants(still: Array, members: int) -> str:
    """Which dimensions of the generated series stand still, in how many members."""
    where = ", ".join(
        f"{k} ({round(members * c)} of {members} series)" if members > 1 else str(k) for k, c in enumerate(still) if c
    )
    return f"the generated series is constant in dimension {where}" if where else ""


def _wide(smoothing: float, count: int) -> str:
    if smoothing < WIDE * count:
        return ""
    return f"the smoothing of {smoothing:g} bins is wide for {count} frequencies and hides differences: take fewer bins or longer series"


def _step(dt: float | None, *series: Any) -> float:
    """The time between samples."""
    if dt is not None:
        return positive("dt", dt)
    steps = []
    for path in series:
        if isinstance(path, Trajectory) and len(path.times) > 1:
            gaps = np.diff(path.times)
            if np.ptp(gaps) > 1e-6 * gaps.mean():
                raise ValueError(
                    f"The times of a trajectory are {gaps.min():.6g} to {gaps.max():.6g} apart; a spectrum needs equal steps. Simulate with "
                    "times=np.arange(...), or pass `dt` if they are equal."
                )
            steps.append(float(gaps.mean()))
    if len(steps) == 2 and abs(steps[0] - steps[1]) > 1e-6 * steps[0]:
        raise ValueError(f"The trajectories step by {steps[0]:.6g} and {steps[1]:.6g}; sample both at the same times.")
    return steps[0] if steps else 1.0


def _kept(frequencies: Array, cutoff: float | None) -> Array:
    if cutoff is None:
        return np.ones(len(frequencies), dtype=bool)
    if not cutoff >= frequencies[1]:
        raise ValueError(f"`cutoff` is {cutoff}; it must be at least the first frequency, {frequencies[1]:.6g}.")
    return frequencies <= cutoff


def _spectrum(x: Array, smoothing: float, kept: Array) -> tuple[Array, Array]:
    """Smoothed, normalized spectra `(f, d)`, averaged over the batch of `(T, b, d)`; and the share of members `(d,)` that are constant.

    A constant member of a batch has no spectrum and is left out of the average.
    """
    from scipy.ndimage import gaussian_filter1d

    sigma = _spread(x)
    still = (sigma == 0).mean(axis=0)
    standard = (x - x.mean(axis=0)) / np.where(sigma > 0, sigma, np.inf)
    power = np.abs(np.fft.rfft(standard, axis=0)) ** 2
    if smoothing > 0:
        power = np.maximum(gaussian_filter1d(power, smoothing, axis=0, mode="reflect", truncate=4.0), 0.0)
    power = power[kept]
    power /= np.where(sigma > 0, power.sum(axis=0), 1.0)
    mean = power.sum(axis=1) / np.maximum((sigma > 0).sum(axis=0), 1)
    return np.where(still == 1, np.nan, mean), still

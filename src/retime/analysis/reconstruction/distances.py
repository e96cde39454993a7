"""How well generated series reproduce the long-term behavior of others: occupancy of the state space, and power spectra.

The two measures of dynamical systems reconstruction: D_stsp, the Kullback-Leibler divergence of the distributions over the state
space, and D_H, the Hellinger distance of the power spectra. Both compare invariant statistics; neither compares orbits
point by point, which in chaos says nothing.

Source: koppe2019, mikhaeil2022, brenner2022, hess2023.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from retime.analysis.reconstruction.conventions import OWN, Convention, Spectrum, convention_of
from retime.analysis.reconstruction.occupancy import binned_divergence, mixture_divergence, published_mixture_divergence
from retime.analysis.reconstruction.spectra import deviations, hellinger, kept_frequencies
from retime.core.arrays import Array, positive, real_array
from retime.core.errors import ShapeError
from retime.core.result import Result
from retime.core.trajectory import Trajectory

FEW = 16  # samples below which the measures say little
WIDE = 0.25  # a smoothing of this part of the spectrum hides its shape


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
        bandwidth: standard deviation of the Gaussians, in standard deviations of the reference (with a published convention in the units
            of the data); NaN when binned.
        num_points: points of the reference and of the generated series.
        outside: how many of them are outside the box (and dropped).
        message: a doubt about the value in words; empty when there is none.
        convention: "retime", or the name of the published program whose ranges, edges and constants were used.
        dropped: of mixtures by a published convention, drawn points whose density is 0 in single precision, which do not count.
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
    convention: str = OWN
    dropped: int = 0

    def __float__(self) -> float:
        return self.value

    def _title(self) -> str:
        error = f" +- {self.standard_error:.2g}" if np.isfinite(self.standard_error) else ""
        text = f"D_stsp = {self.value:.4g}{error} nats ({self.method}, convention {self.convention})"
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
    convention: str | None = None,
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
    points drawn from p.

    Published programs differ in the range, in which bins count, and in the width of the Gaussians, and so do their values (on the same
    series by a factor of two and more): `convention` computes what one of them computes, and the result says which.

    | convention | source | range of the bins | counts | mixtures |
    |---|---|---|---|---|
    | None, "retime" | | `box` | all within, the upper end too | `bandwidth` in standard deviations of the reference |
    | "gtf-shplrnn" | GTF-shPLRNN, default (hess2023) | min - 0.1 s to max + 0.1 s | all within | units of the data, first 10,000 points |
    | "gtf-shplrnn-legacy" | GTF-shPLRNN, legacy | -2 s to 2 s around 0 | all within | none |
    | "dendplrnn" | dendPLRNN (brenner2022) | -2 s to 2 s around 0 | not the first bin of a dimension | both directions averaged |
    | "alrnn" | ALRNN-DSR, Python (brenner2024) | min to max | neither the first bin nor the maximum | 1e-8 added to densities |
    | "chaosrnn" | ChaosRNN (mikhaeil2022) | -2 s to 2 s around 0 | not the first bin of a dimension | none |

    s is the standard deviation with T - 1.

    The value has a positive bias from finite series, which the standard error does not show: take the divergence between two halves
    of the reference as the floor that a perfect model would reach.

    Args:
        reference: `(T, d)`, a batch `(T, b, d)` (pooled), or a Trajectory: its outputs if it has a readout, else its states.
        generated: the same, of any length.
        convention: None for retime's own, or the name of a published one, which fixes the range and which points count.
        method: "binned" or "gmm"; None: binned up to d = 5.
        bins: per dimension.
        box: "cover": from the reference's minimum to its maximum and a tenth of a standard deviation more on both sides (hess2023);
            "two_sigma": its mean +- 2 standard deviations; or `(d, 2)`, (low, high). Not with a published convention.
        alpha: smoothing, > 0: the count that is added to every bin.
        bandwidth: for mixtures: standard deviation of each Gaussian, in standard deviations of the reference per dimension; with a
            published convention in the units of the data (the square root of what the programs call `scaling`, 1 by default).
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
    rule = convention_of(convention, "D_stsp")
    if rule is not None and (not isinstance(box, str) or box != "cover"):
        raise ValueError(f"`box` was given, but the convention {rule.name!r} has a range of its own. Drop one of them.")
    if method == "gmm" or (method is None and x.shape[1] > (5 if rule is None else rule.widest)):
        return _mixed(x, y, positive("bandwidth", bandwidth, "standard deviations"), samples, seed, rule)
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ValueError(f"`bins` is {bins!r}; it must be a whole number >= 1, the bins per dimension.")
    return _binned(x, y, int(bins), box, positive("alpha", alpha, "points per bin"), rule)


def _binned(x: Array, y: Array, bins: int, box: Any, alpha: float, rule: Convention | None) -> StateSpaceDivergence:
    histogram = None if rule is None else rule.histogram
    if histogram is not None:
        _varying(x)
    ends = _range(box, x) if histogram is None else histogram.range(x)
    found = binned_divergence(x, y, bins, ends, alpha, histogram)
    message = _joined(_few(x, y), _doubt(found.outside[0] / len(x), found.outside[1] / len(y), found.mass))
    points, name = (len(x), len(y)), OWN if rule is None else rule.name
    return StateSpaceDivergence(
        found.value, found.error, "binned", bins, ends, found.occupied, found.mass, float("nan"), points, found.outside, message, name
    )  # fmt: skip


def _mixed(
    x: Array, y: Array, bandwidth: float, samples: Any, seed: int, rule: Convention | None
) -> StateSpaceDivergence:
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 2:
        raise ValueError(f"`samples` is {samples!r}; it must be a whole number >= 2, the points drawn.")
    sigma, name = _varying(x) * bandwidth, OWN if rule is None else rule.name
    if rule is None:
        found = mixture_divergence(x / sigma, y / sigma, int(samples), seed)
    elif rule.mixture is None:
        raise ValueError(f'`method` is "gmm", but the convention {name!r} has no mixtures; take method="binned".')
    else:
        x, y = x[: rule.mixture.most], y[: min(len(x), rule.mixture.most)]
        if len(y) < len(x):
            raise ShapeError(
                f"`generated` has {len(y)} points; the convention {name!r} needs as many as of the reference ({len(x)})."
            )
        found = published_mixture_divergence(x, y, bandwidth, int(samples), seed, rule.mixture)
    lost = (
        f"{found.dropped} of the drawn points have no density in single precision and do not count"
        if found.dropped
        else ""
    )
    points, message = (len(x), len(y)), _joined(_few(x, y), lost)
    return StateSpaceDivergence(
        found.value, found.error, "gmm", 0, np.zeros((0, 2)), 0, 0.0, bandwidth, points, (0, 0), message, name, found.dropped
    )  # fmt: skip


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


def _varying(x: Array) -> Array:
    """Standard deviations of the reference.

    Raises:
        ValueError: a dimension is constant.
    """
    sigma = deviations(x)
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
        convention: "retime", or the name of the published program whose edges and constants were used.
    """

    value: float
    distances: Array
    frequencies: Array
    reference_spectrum: Array
    generated_spectrum: Array
    smoothing: float
    num_samples: int
    message: str
    convention: str = OWN

    def __float__(self) -> float:
        return self.value

    def _title(self) -> str:
        text = f"D_H = {self.value:.4g} (convention {self.convention}, smoothing {self.smoothing:g} bins, {self.num_samples} samples)"
        return f"{text}; {self.message}" if self.message else text

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return ["dimension", "distance"], [[str(k), f"{x:.4g}"] for k, x in enumerate(self.distances)]

    def _data(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def spectral_distance(
    reference: Any,
    generated: Any,
    *,
    convention: str | None = None,
    smoothing: float | None = None,
    cutoff: float | None = None,
    dt: float | None = None,
) -> SpectralDistance:
    """D_H: how differently the power of two series is distributed over frequencies.

    H = sqrt(1 - sum_w sqrt(F(w) G(w))),   F, G the smoothed power spectra, each with sum 1

    Per dimension: subtract the mean, divide by the standard deviation, |FFT|^2 at the frequencies 0 to 1 / (2 dt), convolve
    with a Gaussian of `smoothing` bins (cut at four standard deviations, the spectrum mirrored at both ends), drop what lies above
    `cutoff`, normalize. The value is the mean over dimensions. A smoothing of s bins is s / (T dt) in frequency: compare only
    values with the same T and smoothing.

    Published programs differ at the ends of the spectrum: `convention` computes what one of them computes, and the result says which.

    | convention | source | smoothing | beyond the ends | sum over |
    |---|---|---|---|---|
    | None, "retime" | | 20 | mirrored, the end twice | all frequencies |
    | "alrnn" | ALRNN-DSR, Python (brenner2024) | 20 | the same | all: equals retime's |
    | "gtf-shplrnn" | GTF-shPLRNN (hess2023) | 20 | mirrored, the end once | all |
    | "chaosrnn" | ChaosRNN (mikhaeil2022) | 2, cut at five | zeros | the first 500, by the trapezoidal rule; not normalized |

    The `dendPLRNN` program reports a correlation of spectra in decibels, which is no distance, and is not offered.

    Args:
        reference: `(T, d)`, a batch `(T, b, d)` (spectra averaged), or a Trajectory with equal time steps: its outputs if it has a
            readout, else its states.
        generated: the same; if the lengths differ, the first samples of the longer series are used.
        convention: None for retime's own, or the name of a published one.
        smoothing: standard deviation of the Gaussian in frequency bins, >= 0; None: that of the convention. Publications take 1 to 50.
        cutoff: largest frequency that counts, in cycles per unit of time; None: all, or those of the convention.
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
    named = convention_of(convention, "D_H")
    rule = (named and named.spectrum) or Spectrum(20.0, "reflect", 4.0)
    smoothing = rule.smoothing if smoothing is None else smoothing
    T = min(len(x), len(y))
    T -= 0 if rule.is_normalized else T % 2
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
    kept = kept_frequencies(frequencies, cutoff, rule.first)
    distances, F, G, still = hellinger(x, y, smoothing, kept, rule)
    message = _joined(_constants(still, y.shape[1]), _few(x, y), _wide(smoothing, int(kept.sum())))
    name, width = OWN if named is None else named.name, float(smoothing)
    return SpectralDistance(float(distances.mean()), distances, frequencies[kept], F, G, width, T, message, name)


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

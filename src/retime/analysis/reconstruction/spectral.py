"""How far two power spectra are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.analysis.reconstruction.conventions import OWN, Spectrum, convention_of
from retime.analysis.reconstruction.series import as_series, few, joined, same_dimension, varying
from retime.analysis.reconstruction.spectra import hellinger, kept_frequencies
from retime.core.arguments import is_number
from retime.core.arrays import Array, positive
from retime.core.result import Result
from retime.core.trajectory import Trajectory

WIDE = 0.25  # a smoothing of this part of the spectrum hides its shape


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

    _plot: ClassVar[str] = "power_spectra"

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

    Examples:
        >>> import numpy as np, retime as rt
        >>> t = 0.1 * np.arange(2000)
        >>> slow, fast = np.sin(t)[:, None], np.sin(3 * t)[:, None]
        >>> float(rt.spectral_distance(slow, slow)) < 0.01 < float(rt.spectral_distance(slow, fast))
        True
    """
    x, y = as_series("reference", reference), as_series("generated", generated)
    same_dimension(x, y)
    named = convention_of(convention, "D_H")
    rule = (named and named.spectrum) or Spectrum(20.0, "reflect", 4.0)
    smoothing = rule.smoothing if smoothing is None else smoothing
    T = min(len(x), len(y))
    T -= 0 if rule.is_normalized else T % 2
    if T < 4:
        raise ValueError(
            f"The shorter series has {T} samples; a spectrum needs at least 4 (and should have many more)."
        )
    if not is_number(smoothing) or not 0 <= smoothing < np.inf:
        raise ValueError(f"`smoothing` is {smoothing!r}; it must be a finite number >= 0, in frequency bins.")
    step = _step(dt, reference, generated)
    x, y = x[:T], y[:T]
    for k in range(x.shape[1]):
        varying(x[:, k])
    frequencies = np.fft.rfftfreq(T, step)
    if smoothing >= len(frequencies):
        raise ValueError(
            f"`smoothing` is {smoothing:g} bins, but {T} samples have {len(frequencies)} frequencies: nothing of the spectrum would be left. "
            "Take fewer bins (a twentieth of the frequencies, or 0), or longer series."
        )
    kept = kept_frequencies(frequencies, cutoff, rule.first)
    distances, F, G, still = hellinger(x, y, smoothing, kept, rule)
    message = joined(_constants(still, y.shape[1]), few(x, y), _wide(smoothing, int(kept.sum())))
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

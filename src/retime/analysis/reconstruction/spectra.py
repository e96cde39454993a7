"""Smoothed power spectra of series, and their Hellinger distance."""

from __future__ import annotations

import numpy as np

from retime.analysis.reconstruction.conventions import Spectrum
from retime.core.arguments import is_number
from retime.core.arrays import Array

CONSTANT = 1e-12  # a spread below this part of the values is rounding


def deviations(x: Array) -> Array:
    """Standard deviations per dimension of `(T, d)`; exactly 0 where they are rounding."""
    sigma = x.std(axis=0)
    return np.where(sigma <= CONSTANT * np.abs(x).max(axis=0), 0.0, sigma)


def kept_frequencies(frequencies: Array, cutoff: float | None, first: int | None) -> Array:
    """Which frequencies (bool) count: up to `cutoff`, or the first ones.

    Raises:
        ValueError: `cutoff` is below the first frequency.
    """
    if cutoff is None:
        return np.arange(len(frequencies)) < (len(frequencies) if first is None else first)
    if not is_number(cutoff) or not cutoff >= frequencies[1]:
        raise ValueError(f"`cutoff` is {cutoff!r}; it must be at least the first frequency, {frequencies[1]:.6g}.")
    return frequencies <= cutoff


def hellinger(x: Array, y: Array, smoothing: float, kept: Array, rule: Spectrum) -> tuple[Array, Array, Array, Array]:
    """Distances `(d,)` of the spectra of series `(T, b, d)`, both spectra `(f, d)`, and the share of members `(d,)` of y that are constant."""
    F, _ = _spectrum(x, smoothing, kept, rule)
    G, still = _spectrum(y, smoothing, kept, rule)
    if rule.is_normalized:
        distances = np.sqrt(((np.sqrt(F) - np.sqrt(G)) ** 2).sum(axis=0) / 2)  # equals sqrt(1 - sum), exact for F = G
    else:
        distances = np.sqrt(np.maximum(1.0 - np.trapezoid(np.sqrt(F * G), axis=0), 0.0))
    distances = np.minimum(np.where(still == 1, 1.0, distances), 1.0)
    # constant members: a share of the mean spectrum lies at frequency 0, where the reference has nothing
    distances = np.where(still > 0, np.sqrt(1.0 - np.sqrt(1.0 - still) * (1.0 - distances**2)), distances)
    return distances, F, G, still


def _spectrum(x: Array, smoothing: float, kept: Array, rule: Spectrum) -> tuple[Array, Array]:
    """Smoothed, normalized spectra `(f, d)`, averaged over the batch of `(T, b, d)`; and the share of members `(d,)` that are constant.

    A constant member of a batch has no spectrum and is left out of the average.
    """
    from scipy.ndimage import gaussian_filter1d

    sigma = deviations(x)
    still = (sigma == 0).mean(axis=0)
    standard = (x - x.mean(axis=0)) / np.where(sigma > 0, sigma, np.inf)
    power = np.abs(np.fft.rfft(standard, axis=0)) ** 2
    if smoothing > 0:
        power = np.maximum(gaussian_filter1d(power, smoothing, axis=0, mode=rule.edges, truncate=rule.truncate), 0.0)
    power = power[kept]
    power /= np.where(sigma > 0, power.sum(axis=0), 1.0) if rule.is_normalized else 0.5 * len(x) ** 2
    mean = power.sum(axis=1) / np.maximum((sigma > 0).sum(axis=0), 1)
    return np.where(still == 1, np.nan, mean), still

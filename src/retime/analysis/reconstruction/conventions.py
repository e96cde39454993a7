"""D_stsp and D_H as published programs compute them: named, with their sources, so that values can be compared with those of papers.

Each is described from what the program does, with its ranges, edges and constants, and computed by retime in double precision (the programs
work in single precision, so values agree to about 1e-6 of themselves, exactly where no state lies within rounding of an edge).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arrays import Array

OWN = "retime"


@dataclass(frozen=True)
class Histogram:
    """A histogram over a grid.

    Attributes:
        margin: standard deviations (ddof 1) of the reference by which the range exceeds its minimum and maximum; None: the range is
            -2 to 2 standard deviations around 0, for data that were standardized.
        has_first: whether the first bin of every dimension counts. The end of the range belongs to no bin.
    """

    margin: float | None
    has_first: bool

    def range(self, x: Array) -> Array:
        """Lowest and highest value `(d, 2)` that are binned, for a reference `(T, d)`."""
        sigma = x.std(axis=0, ddof=1)
        if self.margin is None:
            return np.stack([-2.0 * sigma, 2.0 * sigma], axis=1)
        return np.stack([x.min(axis=0) - self.margin * sigma, x.max(axis=0) + self.margin * sigma], axis=1)

    def cells(self, x: Array, bins: int, box: Array) -> tuple[Array, Array]:
        """Bin of every point `(T, d)`, and whether (bool) it counts."""
        place = np.floor(bins * (x - box[:, 0]) / (box[:, 1] - box[:, 0]))
        counts = np.asarray(((place >= (0 if self.has_first else 1)) & (place < bins)).all(axis=1))
        return np.where(counts[:, None], place, 0).astype(np.int64), counts


@dataclass(frozen=True)
class Mixture:
    """One Gaussian per point, and a Monte Carlo estimate of the divergence of the two mixtures.

    Attributes:
        is_symmetric: whether both directions are averaged.
        needs_both: whether a drawn point counts only where both densities exceed zero in single precision; else the generated one alone.
        offset: added to both densities (without the factor (2 pi)^(-d/2)) before the logarithm.
        most: points of each series that are used, the first ones.
    """

    is_symmetric: bool = False
    needs_both: bool = True
    offset: float = 0.0
    most: int = 10_000


@dataclass(frozen=True)
class Spectrum:
    """A smoothed power spectrum for D_H.

    Attributes:
        smoothing: standard deviation of the Gaussian, in frequency bins.
        edges: how the spectrum goes on beyond its ends: "reflect" (the end twice), "mirror" (the end once) or "constant" (zeros).
        truncate: standard deviations at which the Gaussian is cut.
        first: frequencies that count, from 0 on; None: all.
        is_normalized: whether a spectrum is divided by its sum. Without, an even number of samples is used, |FFT|^2 is multiplied by 2 / T^2,
            the members of a batch are averaged, and sums are trapezoidal.
    """

    smoothing: float
    edges: str
    truncate: float
    first: int | None = None
    is_normalized: bool = True


@dataclass(frozen=True)
class Convention:
    """What a published program computes.

    Attributes:
        name, source: how it is asked for; the program, and the key of its paper in docs/refs.bib.
        histogram, mixture: of D_stsp; None where the program has none. widest: dimensions up to which it takes the histogram.
        spectrum: of D_H, or None.
    """

    name: str
    source: str
    histogram: Histogram | None = None
    mixture: Mixture | None = None
    widest: int = 5
    spectrum: Spectrum | None = None


CONVENTIONS = {
    c.name: c
    for c in (
        Convention(
            "gtf-shplrnn",
            "DurstewitzLab/GTF-shPLRNN, binning `default` (hess2023)",
            Histogram(0.1, True),
            Mixture(),
            spectrum=Spectrum(20.0, "mirror", 4.0),
        ),
        Convention(
            "gtf-shplrnn-legacy", "DurstewitzLab/GTF-shPLRNN, binning `legacy` (hess2023)", Histogram(None, True)
        ),
        Convention(
            "dendplrnn",
            "DurstewitzLab/dendPLRNN, klx and klx_gmm (brenner2022)",
            Histogram(None, False),
            Mixture(is_symmetric=True, needs_both=False),
        ),
        Convention(
            "alrnn",
            "DurstewitzLab/ALRNN-DSR, Python (brenner2024)",
            Histogram(0.0, False),
            Mixture(needs_both=False, offset=1e-8),
            spectrum=Spectrum(20.0, "reflect", 4.0),
        ),
        Convention(
            "chaosrnn",
            "DurstewitzLab/ChaosRNN (mikhaeil2022)",
            Histogram(None, False),
            spectrum=Spectrum(2.0, "constant", 5.0, first=500, is_normalized=False),
        ),
    )
}


def convention_of(name: Any, part: str) -> Convention | None:
    """The convention with this name, None for retime's own.

    Raises:
        ValueError: there is none of this name for the `part` ("D_stsp" or "D_H") that is asked for.
    """
    if name is None or (isinstance(name, str) and name == OWN):
        return None
    known = [c.name for c in CONVENTIONS.values() if part == "D_stsp" or c.spectrum is not None]
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"`convention` is {name!r}; for {part} it must be one of {', '.join([OWN, *known])}, or None for retime's own."
        )
    return CONVENTIONS[name]

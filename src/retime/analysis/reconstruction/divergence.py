"""How far two distributions over the state space are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from retime.analysis.reconstruction.conventions import OWN, Convention, convention_of
from retime.analysis.reconstruction.occupancy import binned_divergence, mixture_divergence, published_mixture_divergence
from retime.analysis.reconstruction.series import as_series, few, joined, same_dimension, varying
from retime.core.arguments import box_of, seed_of, whole
from retime.core.arrays import Array, positive
from retime.core.errors import ShapeError
from retime.core.result import Result


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
    seed: int | None = 0,
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

    Examples:
        >>> import numpy as np, retime as rt
        >>> series = np.random.default_rng(0).normal(size=(2000, 2))
        >>> near, far = (float(rt.state_space_divergence(series, series + shift)) for shift in (0.0, 3.0))
        >>> near < 0.01 < far
        True
    """
    x, y = as_series("reference", reference), as_series("generated", generated)
    same_dimension(x, y)
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    if method not in (None, "binned", "gmm"):
        raise ValueError(f'`method` is {method!r}; it must be "binned", "gmm" or None (binned up to 5 dimensions).')
    rule = convention_of(convention, "D_stsp")
    if rule is not None and (not isinstance(box, str) or box != "cover"):
        raise ValueError(f"`box` was given, but the convention {rule.name!r} has a range of its own. Drop one of them.")
    bins, samples, seed = whole("bins", bins, 1), whole("samples", samples, 2), seed_of(seed)
    if method == "gmm" or (method is None and x.shape[1] > (5 if rule is None else rule.widest)):
        return _mixed(x, y, positive("bandwidth", bandwidth, "standard deviations"), samples, seed, rule)
    return _binned(x, y, bins, box, positive("alpha", alpha, "points per bin"), rule)


def _binned(x: Array, y: Array, bins: int, box: Any, alpha: float, rule: Convention | None) -> StateSpaceDivergence:
    histogram = None if rule is None else rule.histogram
    if histogram is not None:
        varying(x)
    ends = _range(box, x) if histogram is None else histogram.range(x)
    found = binned_divergence(x, y, bins, ends, alpha, histogram)
    message = joined(few(x, y), _doubt(found.outside[0] / len(x), found.outside[1] / len(y), found.mass))
    points, name = (len(x), len(y)), OWN if rule is None else rule.name
    return StateSpaceDivergence(
        found.value, found.error, "binned", bins, ends, found.occupied, found.mass, float("nan"), points, found.outside, message, name
    )  # fmt: skip


def _mixed(
    x: Array, y: Array, bandwidth: float, samples: int, seed: int, rule: Convention | None
) -> StateSpaceDivergence:
    sigma, name = varying(x) * bandwidth, OWN if rule is None else rule.name
    if rule is None:
        found = mixture_divergence(x / sigma, y / sigma, samples, seed)
    elif rule.mixture is None:
        raise ValueError(f'`method` is "gmm", but the convention {name!r} has no mixtures; take method="binned".')
    else:
        x, y = x[: rule.mixture.most], y[: min(len(x), rule.mixture.most)]
        if len(y) < len(x):
            raise ShapeError(
                f"`generated` has {len(y)} points; the convention {name!r} needs as many as of the reference ({len(x)})."
            )
        found = published_mixture_divergence(x, y, bandwidth, samples, seed, rule.mixture)
    lost = (
        f"{found.dropped} of the drawn points have no density in single precision and do not count"
        if found.dropped
        else ""
    )
    points, message = (len(x), len(y)), joined(few(x, y), lost)
    return StateSpaceDivergence(
        found.value, found.error, "gmm", 0, np.zeros((0, 2)), 0, 0.0, bandwidth, points, (0, 0), message, name, found.dropped
    )  # fmt: skip


def _range(box: Any, x: Array) -> Array:
    """The binned range `(d, 2)`."""
    if isinstance(box, str):
        if box not in ("cover", "two_sigma"):
            raise ValueError(f'`box` is {box!r}; it must be "cover", "two_sigma", (d, 2) or (low, high).')
        sigma = varying(x)
        if box == "two_sigma":
            return np.stack([x.mean(axis=0) - 2 * sigma, x.mean(axis=0) + 2 * sigma], axis=1)
        return np.stack([x.min(axis=0) - 0.1 * sigma, x.max(axis=0) + 0.1 * sigma], axis=1)
    return box_of(box, x.shape[1])


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

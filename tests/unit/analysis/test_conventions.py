"""D_stsp and D_H by the conventions of published programs: each against its definition written out for every bin and point."""

import numpy as np
import pytest

from retime.analysis.reconstruction.conventions import CONVENTIONS
from retime.analysis.reconstruction.divergence import state_space_divergence
from retime.analysis.reconstruction.spectral import spectral_distance
from retime.core.errors import ShapeError


@pytest.fixture
def series(rng):
    """Two series that are neither standardized nor centered, of 3 dimensions."""
    t = 0.05 * np.arange(3000)[:, None]
    x = np.sin(t * [1.0, 1.7, 2.3]) * [1.0, 2.0, 0.5] + 0.1 * rng.normal(size=(3000, 3)) + [0.7, -1.0, 0.2]
    y = np.sin(t * [1.1, 1.7, 2.0]) * [0.9, 2.2, 0.5] + 0.1 * rng.normal(size=(3000, 3)) + [0.5, -1.0, 0.3]
    return x, y


def divergence(counts_x, counts_y, total):
    """Of dictionaries of counts per bin, with 1e-5 added to every one of `total` bins."""
    N, M = sum(counts_x.values()) + 1e-5 * total, sum(counts_y.values()) + 1e-5 * total
    seen = set(counts_x) | set(counts_y)
    value = (total - len(seen)) * (1e-5 / N) * np.log(M / N)
    for cell in seen:
        p, q = (counts_x.get(cell, 0) + 1e-5) / N, (counts_y.get(cell, 0) + 1e-5) / M
        value += p * np.log(p / q)
    return value


def counted(x, low, high, bins, least):
    """Points per bin, bins below `least` and at the end of the range left out."""
    counts = {}
    for row in x:
        cell = tuple(int(np.floor(bins * (v - a) / (b - a))) for v, a, b in zip(row, low, high, strict=True))
        if all(least <= c < bins for c in cell):
            counts[cell] = counts.get(cell, 0) + 1
    return counts


def published_range(name, x):
    s = np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=0) / (len(x) - 1))
    if name == "gtf-shplrnn":
        return x.min(axis=0) - 0.1 * s, x.max(axis=0) + 0.1 * s
    return (x.min(axis=0), x.max(axis=0)) if name == "alrnn" else (-2 * s, 2 * s)


@pytest.mark.parametrize("name", ["gtf-shplrnn", "gtf-shplrnn-legacy", "dendplrnn", "alrnn", "chaosrnn"])
def test_binned_divergence_is_the_definition_written_out(series, name):
    x, y = series
    low, high = published_range(name, x)
    least = 0 if name.startswith("gtf") else 1
    want = divergence(*(counted(z, low, high, 30, least) for z in (x, y)), 30**3)
    got = state_space_divergence(x, y, convention=name)
    assert abs(got.value - want) <= 1e-10
    assert f"convention {name}" in repr(got)
    assert got.to_dict()["convention"] == name


def test_the_conventions_differ_on_the_same_series(series):
    values = {name: float(state_space_divergence(*series, convention=name)) for name in (None, *CONVENTIONS)}
    assert abs(values[None] - values["gtf-shplrnn"]) <= 0.1 * values[None]
    assert values["dendplrnn"] == values["chaosrnn"]
    assert len({round(v, 6) for v in values.values()}) >= 4


def test_bin_0_and_the_maximum_do_not_count_in_the_al_rnn_program():
    x = np.array([0.0, 0.5, 2.5, 2.6, 10.0])[:, None]  # bins of width 1: 0, 0, 2, 2 and the end
    got = state_space_divergence(x, x[2:4], convention="alrnn", bins=10)
    assert got.outside == (3, 0)
    assert got.occupied == 1


def normal_mixture(at, centers, width):
    """Mean over centers of exp(-|z - c|^2 / (2 width^2)) / width^d, for each point."""
    squares = ((at[:, None] - centers[None]) ** 2).sum(axis=2)
    return np.exp(-0.5 * squares / width**2).mean(axis=1) / width ** at.shape[1]


def drawn(rng, centers, width, samples):
    return centers[rng.integers(len(centers), size=samples)] + width * rng.normal(size=(samples, centers.shape[1]))


def expected_mixture(name, x, y, width, rng, samples=10_000):
    def one_way(x, y):
        z = drawn(rng, x, width, samples)
        p, q = normal_mixture(z, x, width), normal_mixture(z, y, width)
        offset = 1e-8 if name == "alrnn" else 0.0
        return np.log(p + offset) - np.log(q + offset)

    terms = [one_way(x, y), one_way(y, x)] if name == "dendplrnn" else [one_way(x, y)]
    return np.mean([t.mean() for t in terms]), np.sqrt(sum(t.var() / samples for t in terms)) / len(terms)


@pytest.mark.parametrize("name", ["gtf-shplrnn", "dendplrnn", "alrnn"])
def test_mixtures_have_an_absolute_width_and_the_directions_of_the_program(name, rng):
    x, y = 3.0 * rng.normal(size=(60, 6)), 2.0 * rng.normal(size=(60, 6)) + 1.0
    want, error = expected_mixture(name, x, y, 1.5, rng)
    got = state_space_divergence(x, y, convention=name, bandwidth=1.5, samples=10_000)
    assert got.method == "gmm"  # six dimensions
    assert abs(got.value - want) <= 5 * np.hypot(error, got.standard_error)
    own = state_space_divergence(x, y, bandwidth=1.5, samples=4000)
    assert abs(own.value - want) > 20 * own.standard_error


@pytest.mark.parametrize("name", ["gtf-shplrnn", "dendplrnn"])
def test_drawn_points_without_a_density_in_single_precision_do_not_count_and_are_counted(name):
    # the second cluster of the reference is 20 widths away from all of the generated series: exp(-200) is 0 in single precision
    x, y = np.zeros((100, 1)), np.zeros((100, 1))
    x[50:] = 20.0
    got = state_space_divergence(x, y, convention=name, method="gmm", samples=2000)
    assert 800 < got.dropped < 1200
    assert f"{got.dropped} of the drawn points have no density in single precision" in got.message
    # what is left: log(1/2) of the reference around 0, and log 2 the other way
    assert abs(got.value - (-np.log(2) if name == "gtf-shplrnn" else 0.0)) <= 1e-12


def test_only_the_first_ten_thousand_points_are_used(rng):
    x, y = rng.normal(size=(10_100, 1)), rng.normal(size=(10_100, 1))
    y[10_000:] = 1e3
    got = state_space_divergence(x, y, convention="gtf-shplrnn", method="gmm", samples=50)
    assert got.num_points == (10_000, 10_000)
    with pytest.raises(ShapeError, match="needs as many as of the reference"):
        state_space_divergence(x, y[:500], convention="gtf-shplrnn", method="gmm")


# --- spectra -------------------------------------------------------------------------------------------------------------


def smoothed(power, sigma, cut, beyond):
    """Convolved with a Gaussian, the spectrum continued by the function `beyond(power, reach)`."""
    reach = int(cut * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(beyond(power, reach), kernel / kernel.sum(), mode="valid")


BEYOND = {
    "alrnn": lambda p, k: np.concatenate([p[:k][::-1], p, p[-k:][::-1]]),
    "gtf-shplrnn": lambda p, k: np.concatenate([p[1 : k + 1][::-1], p, p[-k - 1 : -1][::-1]]),
    "chaosrnn": lambda p, k: np.concatenate([np.zeros(k), p, np.zeros(k)]),
}


@pytest.mark.parametrize("name", ["alrnn", "gtf-shplrnn"])
def test_spectral_distance_is_the_definition_written_out(series, name):
    distances = []
    for a, b in zip(series[0].T, series[1].T, strict=True):
        spectra = [
            smoothed(np.abs(np.fft.rfft((z - z.mean()) / z.std())) ** 2, 20.0, 4.0, BEYOND[name]) for z in (a, b)
        ]
        p, q = (s / s.sum() for s in spectra)
        distances.append(np.sqrt(1 - np.sqrt(p * q).sum()))
    got = spectral_distance(*series, convention=name)
    assert abs(got.value - np.mean(distances)) <= 1e-10
    assert f"convention {name}" in repr(got)


def test_the_al_rnn_program_has_retimes_own_spectral_distance_and_the_gtf_program_another(series):
    own = spectral_distance(*series).value
    assert spectral_distance(*series, convention="alrnn").value == own
    assert abs(spectral_distance(*series, convention="gtf-shplrnn").value - own) > 1e-6


def test_the_chaos_rnn_program_sums_500_frequencies_that_are_not_normalized(series):
    distances = []
    for a, b in zip(series[0][:2999].T, series[1][:2999].T, strict=True):
        spectra = []
        for z in (a[:2998], b[:2998]):  # an even number of samples
            power = 2 * np.abs(np.fft.rfft((z - z.mean()) / z.std())) ** 2 / 2998**2
            spectra.append(smoothed(power, 2.0, 5.0, BEYOND["chaosrnn"])[:500])
        root = np.sqrt(spectra[0] * spectra[1])
        distances.append(np.sqrt(1 - (root.sum() - (root[0] + root[-1]) / 2)))
    got = spectral_distance(series[0][:2999], series[1][:2999], convention="chaosrnn")
    assert abs(got.value - np.mean(distances)) <= 1e-10
    assert len(got.frequencies) == 500


# --- arguments -----------------------------------------------------------------------------------------------------------


def test_unknown_names_and_superfluous_ranges_are_refused(series):
    with pytest.raises(ValueError, match="`convention` is 'lstm'; for D_stsp it must be one of retime, gtf-shplrnn"):
        state_space_divergence(*series, convention="lstm")
    with pytest.raises(
        ValueError, match="`convention` is 'dendplrnn'; for D_H it must be one of retime, gtf-shplrnn, alrnn, chaosrnn"
    ):
        spectral_distance(*series, convention="dendplrnn")
    with pytest.raises(ValueError, match="`box` was given, but the convention 'alrnn' has a range of its own"):
        state_space_divergence(*series, convention="alrnn", box="two_sigma")
    with pytest.raises(ValueError, match="the convention 'chaosrnn' has no mixtures"):
        state_space_divergence(*series, convention="chaosrnn", method="gmm")


def test_retimes_own_convention_is_the_default(series):
    assert state_space_divergence(*series, convention="retime").value == state_space_divergence(*series).value
    assert "convention retime" in repr(state_space_divergence(*series))

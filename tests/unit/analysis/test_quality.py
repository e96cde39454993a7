"""D_stsp and D_H: against brute force, closed forms and published data."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

import retime as rt
from retime.analysis.reconstruction.divergence import state_space_divergence
from retime.analysis.reconstruction.spectral import spectral_distance


@pytest.fixture(scope="module")
def lorenz(data):
    return np.load(data / "lorenz63_train.npy"), np.load(data / "lorenz63_test.npy")


def dense_divergence(x, y, bins, box, alpha):
    """All bins^d bins written out."""
    histograms = []
    for series in (x, y):
        n, _ = np.histogramdd(series, bins=bins, range=box)
        histograms.append((n + alpha) / (n.sum() + alpha * n.size))
    p, q = histograms
    return (p * np.log(p / q)).sum()


def noise_with_spectrum_of(x, rng):
    """The same power spectrum up to a permutation of frequencies."""
    F = np.fft.rfft(x - x.mean(axis=0), axis=0)
    return np.fft.irfft(F[rng.permutation(len(F))], n=len(x), axis=0)


# --- state space --------------------------------------------------------------------------------------------------------


def test_two_histograms_written_out():
    got = state_space_divergence([0.1, 0.2, 0.3, 0.9], [0.1, 0.6, 0.7, 0.8], bins=2, box=(0, 1), alpha=0.5)
    p, q = np.array([3.5, 1.5]) / 5, np.array([1.5, 3.5]) / 5
    assert float(got) == pytest.approx((p * np.log(p / q)).sum(), abs=1e-15)
    assert got.smoothing_mass == pytest.approx(1 / 5, abs=1e-15)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_value_is_that_of_all_bins_written_out(rng, d):
    x, y = rng.normal(size=(500, d)), rng.normal(size=(300, d)) * 1.5
    box = np.tile([-2.0, 2.5], (d, 1))
    got = state_space_divergence(x, y, bins=9, box=box, alpha=1e-3)
    assert got.value == pytest.approx(dense_divergence(x, y, 9, box, 1e-3), abs=1e-11)  # 9^4 terms
    assert got.outside == tuple(int(((s < -2) | (s > 2.5)).any(axis=1).sum()) for s in (x, y))


def test_default_range_covers_the_reference_and_two_sigma_is_the_older_one(rng):
    x, y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    s = x.std(axis=0)
    cover = np.stack([x.min(axis=0) - 0.1 * s, x.max(axis=0) + 0.1 * s], axis=1)
    older = np.stack([x.mean(axis=0) - 2 * s, x.mean(axis=0) + 2 * s], axis=1)
    for got, box in (
        (state_space_divergence(x, y), cover),
        (state_space_divergence(x, y, box="two_sigma"), older),
    ):
        np.testing.assert_allclose(got.box, box, rtol=0, atol=1e-14)
        assert got.value == pytest.approx(dense_divergence(x, y, 30, box, 1e-5), abs=1e-11)


def test_a_series_does_not_differ_from_itself_in_another_order(rng):
    x = rng.normal(size=(1000, 3))
    assert state_space_divergence(x, rng.permutation(x)).value == 0.0


def test_divergence_is_not_negative_nor_symmetric(rng):
    wide, narrow = rng.uniform(-1, 1, (2000, 2)), rng.uniform(-0.5, 0.5, (2000, 2))
    there, back = (state_space_divergence(*xy, box=(-1, 1), bins=4) for xy in ((wide, narrow), (narrow, wide)))
    assert there.value > 3 * back.value > 0


def test_thirty_dimensions_need_no_dense_grid_and_the_blindness_is_reported(rng):
    got = state_space_divergence(rng.normal(size=(100, 30)), rng.normal(size=(100, 30)), method="binned")
    assert 0 <= got.value < 1e-6
    assert got.smoothing_mass > 0.999
    assert 'use method="gmm"' in got.message


def test_points_outside_are_counted_and_mentioned(rng):
    x = rng.uniform(size=(100, 2))
    y = np.vstack([x[:50], x[:50] + 9])
    got = state_space_divergence(x, y)
    assert got.outside == (0, 50)
    assert "50 % of the generated points lie outside the box" in repr(got)


def test_no_point_inside_is_infinitely_far(rng):
    got = state_space_divergence(rng.uniform(size=(100, 2)), rng.uniform(size=(100, 2)) + 5)
    assert got.value == np.inf
    assert "no generated point lies in the box" in got.message


def test_standard_error_is_the_spread_over_independent_series(rng):
    found = [state_space_divergence(*rng.normal(size=(2, 2000, 1)), bins=8, box=(-3, 3)) for _ in range(60)]
    errors, spread = np.median([x.standard_error for x in found]), np.std([x.value for x in found])
    # near zero the divergence is quadratic in the noise and the jackknife is rough
    assert 0.3 < errors / spread < 3


def test_published_test_data_are_near_and_noise_is_far(lorenz, rng):
    train, test = (x[::5] for x in lorenz)
    near, far = state_space_divergence(train, test), state_space_divergence(train, noise_with_spectrum_of(train, rng))
    assert near.value + 5 * near.standard_error < far.value - 5 * far.standard_error
    assert far.value > 2 * near.value


def test_a_trajectory_counts_by_its_outputs(rng):
    model = rt.PLRNN([0.9, 0.5], [[0.0, -0.3], [0.4, 0.0]], [0.1, -0.2], readout=([[1.0, 2.0]], [0.5]))
    path = rt.simulate(model, rng.normal(size=(3, 2)), steps=50)
    x = rng.normal(size=(100, 1))
    want = state_space_divergence(x, path.outputs.reshape(-1, 1)).value
    assert state_space_divergence(x, path).value == want


def test_mixtures_of_single_points_have_a_closed_form():
    # two Gaussians of variance bandwidth^2 around 0 and 1 (x in units of its deviation 1): D = (m1 - m2)^2 / 2 sigma^2
    x = np.array([[-1.0], [1.0]] * 2)
    y = x + 0.5
    got = state_space_divergence(x, y, method="gmm", bandwidth=0.01, samples=4000)
    # the components do not overlap: (0.5 / 0.01)^2 / 2, but for the noise of the average, whose deviation is 50
    assert abs(got.value - 1250) < 4 * got.standard_error
    assert got.standard_error == pytest.approx(50 / np.sqrt(4000), rel=0.1)


def test_mixtures_are_taken_in_more_than_five_dimensions(rng):
    x, y = rng.normal(size=(300, 6)), rng.normal(size=(300, 6)) + 1
    near, far = state_space_divergence(x, x), state_space_divergence(x, y)
    assert near.method == far.method == "gmm"
    assert near.value == 0.0
    assert far.value > 10 * far.standard_error


def test_standard_error_of_identical_series_is_zero(rng):
    x = rng.normal(size=(500, 2))
    got = state_space_divergence(x, x.copy())
    assert (got.value, got.standard_error) == (0.0, 0.0)


@pytest.mark.parametrize("d", [2, 6])
def test_few_points_are_mentioned(rng, d):
    assert "10 samples are too few" in state_space_divergence(*rng.normal(size=(2, 10, d))).message


# --- spectra ------------------------------------------------------------------------------------------------------------


def test_a_series_does_not_differ_from_itself(lorenz):
    assert spectral_distance(lorenz[0][:4000], 3 + 2 * lorenz[0][:4000]).value < 1e-7  # rounding of sqrt(power)
    assert spectral_distance(lorenz[0][:4000], lorenz[0][:4000]).value == 0.0


def test_value_is_that_of_the_formula(rng):
    x, y = rng.normal(size=(301, 2)), np.cumsum(rng.normal(size=(301, 2)), axis=0)
    got = spectral_distance(x, y, smoothing=3.0)
    for k in range(2):
        F, G = (gaussian_filter1d(np.abs(np.fft.rfft((s - s.mean()) / s.std())) ** 2, 3.0) for s in (x[:, k], y[:, k]))
        want = np.sqrt(1 - np.sqrt(F / F.sum() * G / G.sum()).sum())
        assert got.distances[k] == pytest.approx(want, abs=1e-12)
    assert got.value == got.distances.mean()


def test_sines_of_different_frequencies_are_apart():
    t = np.arange(2000)
    x, y = np.sin(2 * np.pi * 0.05 * t), np.sin(2 * np.pi * 0.2 * t)
    assert spectral_distance(x, y, smoothing=0).value == pytest.approx(1, abs=1e-6)
    assert spectral_distance(x, y).value == pytest.approx(1, abs=1e-3)


def test_two_lines_of_power_written_out():
    # power a^2 and b^2 at two frequencies: F = (1, 0), G = (1, 1) / 2
    t = np.arange(1000)
    one, two = np.sin(0.02 * np.pi * t), np.sin(0.2 * np.pi * t)
    got = spectral_distance(one, one + two, smoothing=0)
    assert got.value == pytest.approx(np.sqrt(1 - np.sqrt(0.5)), abs=1e-9)


def test_cutoff_drops_higher_frequencies():
    t = np.arange(1000)
    slow, fast = np.sin(0.02 * np.pi * t), np.sin(0.2 * np.pi * t)
    got = spectral_distance(slow, slow + fast, smoothing=0, cutoff=5.0, dt=0.01)
    assert got.value < 1e-6
    assert got.frequencies.max() == pytest.approx(5.0, abs=1e-12)
    np.testing.assert_allclose(got.generated_spectrum.sum(axis=0), 1, rtol=0, atol=1e-14)


def test_longer_series_is_cut_to_the_shorter(rng):
    x, y = rng.normal(size=(500, 1)), rng.normal(size=(800, 1))
    got = spectral_distance(x, y)
    assert got.num_samples == 500
    assert got.value == spectral_distance(x, y[:500]).value


def test_spectra_of_a_batch_are_averaged(rng):
    x, y = rng.normal(size=(400, 1)), rng.normal(size=(400, 3, 1))
    got = spectral_distance(x, y, smoothing=2.0)
    parts = [spectral_distance(x, y[:, k], smoothing=2.0).generated_spectrum for k in range(3)]
    np.testing.assert_allclose(got.generated_spectrum, np.mean(parts, axis=0), rtol=0, atol=1e-16)


def test_published_test_data_have_the_spectrum_and_shuffled_frequencies_do_not(lorenz, rng):
    train, test = lorenz
    assert spectral_distance(train, test).value < 0.1
    assert spectral_distance(train, noise_with_spectrum_of(train, rng)).value > 0.8


def test_constant_members_of_a_batch_count_and_are_named(rng):
    """Three quarters of the mean spectrum lie at frequency 0: the overlap with the reference is half of what it was."""
    x, y = rng.normal(size=(2, 400, 4, 2))
    y[:, 1:, 0] = 3.0
    alive = rt.spectral_distance(x, y[:, :1], smoothing=5.0).distances[0]
    got = rt.spectral_distance(x, y, smoothing=5.0)
    assert abs(got.distances[0] - np.sqrt(1 - 0.5 * (1 - alive**2))) < 1e-12
    assert got.distances[1] < 0.3
    assert "constant in dimension 0 (3 of 4 series)" in got.message


def test_constant_generated_series_is_as_far_as_can_be(rng):
    got = spectral_distance(rng.normal(size=(100, 2)), np.stack([rng.normal(size=100), np.full(100, 0.1)], axis=1))
    assert got.distances[1] == 1.0
    assert "constant in dimension 1" in repr(got)


def test_time_step_is_that_of_the_trajectory():
    flow = rt.LinearSystem([[0.0, -1], [1, 0]], [0, 0], np.zeros((2, 0)), time=rt.Continuous())
    path = rt.simulate(flow, [1.0, 0], times=np.arange(0, 100, 0.1))
    got = spectral_distance(path, path.states, smoothing=0)
    peak = got.frequencies[np.argmax(got.reference_spectrum[:, 0])]
    assert abs(peak - 1 / (2 * np.pi)) < 0.01  # the spacing of frequencies
    uneven = rt.simulate(flow, [1.0, 0], times=[0, 1, 3, 4, 5])
    with pytest.raises(ValueError, match="a spectrum needs equal steps"):
        spectral_distance(uneven, uneven)


def test_a_smoothing_that_hides_the_spectrum_is_mentioned_or_refused(rng):
    x, y = rng.normal(size=(2, 100, 1))
    assert "20 bins is wide for 51 frequencies" in repr(spectral_distance(x, y))
    assert spectral_distance(x, y, smoothing=3.0).message == ""
    with pytest.raises(ValueError, match="`smoothing` is 1000 bins, but 100 samples have 51 frequencies"):
        spectral_distance(x, y, smoothing=1000)


def test_spectra_of_few_samples_are_mentioned(rng):
    assert "10 samples are too few" in spectral_distance(*rng.normal(size=(2, 10, 1)), smoothing=0).message


# --- what both refuse ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [state_space_divergence, spectral_distance])
def test_unusable_series_are_refused(measure, rng):
    x = rng.normal(size=(50, 2))
    bad = x.copy()
    bad[7:9, 0] = np.nan
    with pytest.raises(ValueError, match="`generated` has 2 of 50 rows with NaN or infinity"):
        measure(x, bad)
    with pytest.raises(ValueError, match=r"`reference` has shape \(0, 2\)"):
        measure(x[:0], x)
    with pytest.raises(ValueError, match="`generated` has 1 dimensions, `reference` 2"):
        measure(x, x[:, :1])
    with pytest.raises(ValueError, match="`reference` is constant in dimension 0"):
        measure(np.full((50, 1), 0.1), x[:, :1])
    with pytest.raises(ValueError, match="`generated` stopped early"):
        measure(x[:, :1], rt.simulate(rt.PLRNN([-3.0], [[0.0]], [1.0]), [1.0], steps=400))


def test_wrong_options_are_refused(rng):
    x = rng.normal(size=(50, 2))
    for options, message in (
        ({"bins": 0}, "`bins` is 0"),
        ({"box": "all"}, "`box` is 'all'"),
        ({"box": (1, 0)}, "every lower end must be below"),
        ({"method": "kde"}, "`method` is 'kde'"),
        ({"alpha": 0.0}, "`alpha` is 0"),
        ({"method": "gmm", "samples": 1}, "`samples` is 1"),
    ):
        with pytest.raises(ValueError, match=message):
            state_space_divergence(x, x, **options)
    with pytest.raises(ValueError, match="`smoothing` is -1"):
        spectral_distance(x, x, smoothing=-1)
    with pytest.raises(ValueError, match="`cutoff` is 0"):
        spectral_distance(x, x, cutoff=0.0)
    with pytest.raises(ValueError, match="has 3 samples"):
        spectral_distance(x[:3], x)

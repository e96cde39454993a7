"""`standard_errors`: independent records, bounded sums, slow changes, rounding."""

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import sem

from retime.analysis.comparison.dynamics import mean_return
from retime.analysis.exponents.averages import standard_errors


def errors_of(sums):
    return standard_errors(np.ones(len(sums)), sums)


@pytest.mark.parametrize("records", [20, 100, 1000])
def test_two_errors_of_independent_records_hold_the_mean_in_95_of_100_cases(rng, records):
    errors, settled = errors_of(x := rng.normal(size=(records, 400)))
    share = (np.abs(x.mean(axis=0)) <= 2 * errors).mean()
    assert 0.9 < share < 0.99
    assert (~settled).mean() < 0.05


def test_error_of_correlated_records_is_that_of_their_integrated_correlation(rng):
    x, noise = np.zeros((1000, 100)), rng.normal(size=(1000, 100))
    for k in range(1, len(x)):
        x[k] = 0.8 * x[k - 1] + noise[k]
    errors, _ = errors_of(x)
    assert np.median(errors) == pytest.approx(5 / np.sqrt(1000), rel=0.2)  # sum of 0.8^k


def test_error_of_a_quasiperiodic_sum_falls_as_one_over_its_length():
    """Records cos(w (k + 1/2)) 2 sin(w / 2) sum to sin(w k): the mean is off by a difference of two sines over K, variance 1 in all."""
    w = 2.4
    for K in (100, 1000):
        x = 2 * np.sin(w / 2) * np.cos(w * (np.arange(K) + 0.5))
        errors, settled = errors_of(x[:, None])
        assert 0.7 < errors[0] * K < 2
        assert settled.all()


def test_slow_changes_are_not_settled(rng):
    """Two levels that change places about twice in the orbit: errors from short and from long windows disagree."""
    levels = np.repeat([1.0, -1.0, 1.0], [150, 500, 350])
    errors, settled = errors_of(levels[:, None] + 0.1 * rng.normal(size=(1000, 1)))
    assert not settled[0]
    assert errors[0] > 0.25  # windows of 1/64 alone say 0.1


def test_mean_that_drifts_as_a_logarithm_is_not_settled():
    """Vectors of a shear grow as k: the exponent is 0, what is measured between K and 10 K is ln 10 / (9 K)."""
    growth = np.log1p(1 / np.arange(100.0, 1000.0))
    errors, settled = errors_of(growth[:, None])
    assert not settled[0]
    assert growth.mean() <= 3 * errors[0]


def test_equal_records_have_the_error_of_rounding():
    errors, settled = errors_of(np.full((1000, 1), 0.1) + 1e-17)
    assert 0 < errors[0] < 1e-15
    assert settled.all()


def test_one_record_has_no_error():
    assert errors_of(np.ones((1, 2)))[0].tolist() == [np.inf, np.inf]


def test_mean_return_and_its_standard_error_are_those_of_the_crossings():
    """A series of straight lines that comes up through 0.25 at known times; only its second half counts."""
    gaps = np.array([9.0, 9.0, 9.0, 9.0, 1.0, 1.5, 1.25, 2.0, 1.0])
    ups = np.cumsum(gaps)
    times = np.sort(np.concatenate([ups - 0.3, ups + 0.1, [0.0]]))
    x = 0.25 + np.concatenate([[-1.0], np.tile([-0.75, 0.25], len(ups))])
    mean, error = mean_return(times, x, 0.25)
    used = np.diff(ups[4:])
    assert mean == pytest.approx(used.mean(), abs=1e-14)
    assert error == pytest.approx(sem(used, ddof=0), abs=1e-14)
    assert np.isnan(mean_return(times[:8], x[:8], 0.25)[0])


def test_mean_square_of_the_error_of_independent_records_is_their_variance_over_their_number(rng):
    """But for the factor of Student's t; windows of up to 1/8 of the orbit know its mean, which would take 10 % away."""
    errors, _ = errors_of(rng.normal(size=(1000, 500)))
    factor = stdtrit(24, 0.97725) / 2
    assert (
        0.98 < (errors**2).mean() * 1000 / factor**2 < 1.12
    )  # above 1: a constant that is fitted is not taken below 0

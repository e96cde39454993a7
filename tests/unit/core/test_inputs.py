"""Inputs held or interpolated between times."""

import numpy as np
import pytest

import retime as rt


def test_zero_hold_keeps_a_row_until_the_next_time():
    s = rt.Inputs([0, 1, 3], [1.0, 2.0, 5.0])
    assert [s(t)[0] for t in (0, 0.99, 1, 2.99, 3, 10)] == [1, 1, 2, 2, 5, 5]
    np.testing.assert_array_equal(s.slopes(), np.zeros((3, 1)))


def test_linear_hold_interpolates_and_then_stays():
    s = rt.Inputs([0, 1, 3], [1.0, 2.0, 5.0], "linear")
    np.testing.assert_allclose([s(t)[0] for t in (0, 0.5, 2, 3, 10)], [1, 1.5, 3.5, 5, 5], rtol=0, atol=1e-15)
    np.testing.assert_allclose(s.slopes()[:, 0], [1, 1.5, 0], rtol=0, atol=1e-15)


def test_sampled_function_is_interpolated_to_second_order():
    s = rt.Inputs.sample(lambda t: [np.sin(t), np.cos(t)], np.linspace(0, 3, 301))
    assert abs(s(1.2345)[0] - np.sin(1.2345)) <= 0.01**2 / 8 * 1.01
    assert s.num_inputs == 2


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: rt.Inputs([0, 1], [1.0]), r"`values` has shape \(1, 1\); it must be \(2, m\)"),
        (lambda: rt.Inputs([1, 0], [1.0, 2.0]), "`times` must be strictly increasing"),
        (lambda: rt.Inputs([0], [1.0], "cubic"), '`hold` is \'cubic\'; it must be "zero" or "linear"'),
        (lambda: rt.Inputs([0], [np.nan]), "`values` holds nan"),
    ],
)
def test_wrong_inputs_are_refused_with_a_reason(call, match):
    with pytest.raises(ValueError, match=match):
        call()

"""LinearSystem conversion against python-control, SciPy and published zero-order-hold numbers."""

import control
import numpy as np
import pytest
from scipy.signal import cont2discrete

import retime as rt


def test_published_zero_order_hold_numbers_convert_back():
    Ad = [[0.9509478368863918, -0.027970882212682433], [0.018647254808454958, 0.9136533272694819]]
    A, B = np.array([[-5.0, -3.0], [2.0, -9.0]]), np.diag([1.0, 2.0])
    Bd = np.linalg.solve(A, (np.array(Ad) - np.eye(2)) @ B)
    got = rt.to_continuous(rt.LinearSystem(Ad, np.zeros(2), Bd, time=rt.Discrete(0.01))).model
    assert got.time == rt.Continuous()
    np.testing.assert_allclose(got.A, A, rtol=0, atol=1e-12)  # 17 digits of Ad divided by dt = 0.01
    np.testing.assert_allclose(got.E, B, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dt", [1e-3, 0.1, 0.5])
def test_scipy_zero_order_hold_converts_back(dt, rng):
    A, B, C, D = (
        rng.normal(size=(4, 4)) - np.eye(4),
        rng.normal(size=(4, 2)),
        rng.normal(size=(3, 4)),
        rng.normal(size=(3, 2)),
    )
    Ad, Bd, Cd, Dd, _ = cont2discrete((A, B, C, D), dt)
    discrete = rt.LinearSystem(Ad, np.zeros(4), Bd, time=rt.Discrete(dt), readout=(Cd, np.zeros(3)), D=Dd)
    got = rt.to_continuous(discrete).model
    np.testing.assert_allclose(got.A, A, rtol=0, atol=1e-14 * 100 / dt)  # rounding of Ad divided by dt
    np.testing.assert_allclose(got.E, B, rtol=0, atol=1e-14 * 100 / dt)
    np.testing.assert_array_equal(got.readout.B, C)
    np.testing.assert_array_equal(got.D, D)


def test_unpaired_negative_pole_becomes_the_published_second_order_system():
    discrete = rt.io.from_control(control.ss(control.tf([1.0], [1.0, 0.5], 0.1)))
    continuous = rt.io.to_control(rt.to_continuous(discrete).model)
    assert continuous.dt == 0
    tf = control.tf(continuous)
    num, den = tf.num[0][0] / tf.den[0][0][0], tf.den[0][0] / tf.den[0][0][0]
    gain, zero = num[-2], num[-1] / num[-2]
    assert abs(gain - 4.621) <= 5e-4  # half a unit of the last digit printed
    assert abs(zero - 149.3) <= 0.05
    assert abs(den[1] - 13.86) <= 5e-3
    assert abs(den[2] - 1035) <= 0.5


def test_raised_system_discretizes_to_the_same_pulse_response():
    discrete = rt.io.from_control(control.ss(control.tf([1.0], [1.0, 0.5], 0.1)))
    continuous = rt.to_continuous(discrete).model
    Ad, Bd, Cd, _, _ = cont2discrete((continuous.A, continuous.E, continuous.readout.B, np.zeros((1, 1))), 0.1)
    response = [(Cd @ np.linalg.matrix_power(Ad, k) @ Bd).item() for k in range(12)]
    np.testing.assert_allclose(response, (-0.5) ** np.arange(12), rtol=0, atol=1e-13)


def test_control_round_trip_keeps_a_state_space_bit_for_bit(rng):
    A, B, C, D = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=(2, 3)), rng.normal(size=(2, 2))
    for dt in (0, 0.25):
        back = rt.io.to_control(rt.io.from_control(control.ss(A, B, C, D, dt)))
        assert back.dt == dt
        for name, want in zip("ABCD", (A, B, C, D), strict=True):
            np.testing.assert_array_equal(getattr(back, name), want)


def test_step_response_with_feedthrough_equals_python_control(rng):
    A, B, C, D = (
        0.5 * rng.normal(size=(3, 3)),
        rng.normal(size=(3, 2)),
        rng.normal(size=(2, 3)),
        rng.normal(size=(2, 2)),
    )
    system = control.ss(A, B, C, D, 0.5)
    s = rng.normal(size=(20, 2))
    want = control.forced_response(system, inputs=s.T).outputs.T
    got = rt.simulate(rt.io.from_control(system), np.zeros(3), steps=20, inputs=s)
    np.testing.assert_allclose(got.outputs[:-1], want, rtol=0, atol=1e-13)

"""Every state of an affine flow is right to its own scale, whatever the others are: against 60-digit arithmetic."""

import mpmath
import numpy as np
import pytest

import retime as rt
from references import state_in_digits

OWN = 1e-12  # of the largest value that a state itself takes


def linear(W, h=None):
    W = np.asarray(W, float)
    n = len(W)
    return rt.LinearSystem(W, np.zeros(n) if h is None else h, np.zeros((n, 0)), time=rt.Continuous())


def chain(n, leak, gain=1.0):
    """dz_0/dt = -leak z_0, dz_i/dt = gain z_{i-1} - leak z_i."""
    return gain * np.diag(np.ones(n - 1), -1) - leak * np.eye(n)


def triangular(rng, n):
    return np.tril(rng.normal(size=(n, n)), -1) - np.diag(rng.uniform(0, 1, n))


KINDS = {
    "triangular": triangular,
    "nearly triangular": lambda rng, n: triangular(rng, n) + 1e-17 * rng.normal(size=(n, n)),
    "barely coupled": lambda rng, n: triangular(rng, n) + 1e-9 * rng.normal(size=(n, n)),
    "chain": lambda rng, n: chain(n, 1e-4),
    "leaky chain": lambda rng, n: chain(n, 1.0),
    "stiff": lambda rng, n: np.diag(-(10 ** rng.uniform(-3, 2, n))) + 0.1 * np.tril(rng.normal(size=(n, n)), -1),
    "non-normal": lambda rng, n: np.triu(3 * rng.normal(size=(n, n)), 1) / n**0.5 - np.diag(rng.uniform(0.1, 1, n)),
    "very different gains": lambda rng, n: (
        np.tril(rng.normal(size=(n, n)) * 10.0 ** rng.integers(-8, 9, (n, n)), -1) / n - 0.3 * np.eye(n)
    ),
    "other units": lambda rng, n: _in_other_units(rng.normal(size=(n, n)) / n**0.5 - 0.5 * np.eye(n), rng),
}


def _in_other_units(W, rng):
    units = 10.0 ** rng.integers(-6, 7, len(W))
    return W * units[:, None] / units


def agrees(W, h, y, times):
    got = rt.simulate(linear(W, h), y, times=times).states
    want = np.array([state_in_digits(W, h, y, t) for t in times])
    own = np.maximum.accumulate(np.abs(want), axis=0)
    assert (np.abs(got - want) <= OWN * own).all()


@pytest.mark.parametrize("n", [1, 2, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_every_state_is_right_to_its_own_scale(kind, n, rng):
    W = KINDS[kind](rng, n)
    is_chain = "chain" in kind
    h, y = (np.zeros(n), np.eye(n)[0]) if is_chain else (rng.normal(size=n), rng.normal(size=n))
    agrees(W, h, y, np.array([0.0, 0.1, 1.0, 2.5]))


@pytest.mark.slow
@pytest.mark.parametrize("n", [13, 25])
@pytest.mark.parametrize("kind", KINDS)
def test_every_state_of_a_large_system_is_right_to_its_own_scale(kind, n, rng):
    W = KINDS[kind](rng, n)
    is_chain = "chain" in kind
    h, y = (np.zeros(n), np.eye(n)[0]) if is_chain else (rng.normal(size=n), rng.normal(size=n))
    agrees(W, h, y, np.array([0.0, 2.5]))


@pytest.mark.parametrize("slow", [0.0, -1e-17, -1e-12, 1e-9])
def test_a_slow_state_does_not_spoil_the_one_it_drives(slow):
    W, one = np.array([[slow, 0], [1, -0.3]]), np.ones(2)
    got = rt.simulate(linear(W, one), one, times=[0, 3]).states[-1]
    np.testing.assert_allclose(got, state_in_digits(W, one, one, 3.0), rtol=1e-14)
    assert abs(got[1] - 7.76910148) < 1e-8


def test_chain_of_six_leaky_integrators():
    W, y = chain(6, 1e-4), np.eye(6)[0]
    got = rt.simulate(linear(W), y, times=[0, 2]).states[-1]
    want = [2.0**k / float(mpmath.factorial(k)) * np.exp(-2e-4) for k in range(6)]  # t^k / k! exp(-leak t)
    np.testing.assert_allclose(got, want, rtol=1e-14)


def test_unit_at_the_end_of_a_chain_switches_when_its_state_crosses():
    # z_5 = t^5 / 120 exp(-leak t) - 0.01 crosses 0 at t = (120 0.01)^(1/5), but for the leak
    n, leak = 6, 1e-4
    z0 = np.append(np.eye(6)[0][:5], -0.01)
    model = rt.ContinuousPLRNN(chain(n, leak), np.zeros((n, n)), np.append(np.zeros(5), -0.01 * leak), num_relu=1)
    path = rt.simulate(model, z0, times=[0, 2])
    want = float(mpmath.findroot(lambda t: t**5 / 120 * mpmath.exp(-leak * t) - 0.01, 1.04))
    assert path.num_switches == 1
    np.testing.assert_allclose(path.switch_times, [want], rtol=1e-13)


@pytest.mark.parametrize("gain", [2.8, -0.3, 40.0])
def test_conversion_and_back_of_an_integrator_follows_the_map(gain):
    field = rt.LinearSystem([[0, 0], [gain, -0.6]], [0, 0], [[1.0], [0.0]], time=rt.Continuous())
    steps = rt.to_discrete(field, 2.0, method=rt.ZeroOrderHold()).model
    back = rt.to_continuous(steps).model
    u = np.array([[1.0], [-0.5], [0.25]])
    path = rt.simulate(back, [1.0, 1.0], times=2.0 * np.arange(4), inputs=u)
    want = rt.simulate(steps, [1.0, 1.0], steps=3, inputs=u).states
    np.testing.assert_allclose(path.states, want, rtol=1e-12)


def test_random_two_state_systems_with_an_integrator():
    rng, worst = np.random.default_rng(0), 0.0
    for k in range(120):
        A = np.array([[0, 0], [2 * rng.normal(), -rng.uniform(0.01, 1)]])
        A = A[::-1, ::-1].copy() if k % 2 else A
        A = A + 1e-17 * rng.normal(size=(2, 2)) if k % 3 == 1 else A
        if k % 3 == 2:  # the integrator's zero is lost in rounding
            S = rng.normal(size=(2, 2))
            A = S @ A @ np.linalg.inv(S)
        h, y, t = rng.normal(size=2), rng.normal(size=2), rng.uniform(0.5, 4)
        want = state_in_digits(A, h, y, t)
        worst = max(worst, np.abs(rt.simulate(linear(A, h), y, times=[0, t]).states[-1] - want).max())
    assert worst <= 1e-10


def nearly_triangular_map(rng):
    """An AL-RNN whose second unit barely acts on the first, and back within rounding."""
    A = np.array([[1.0, 0.0, 0.0], [0.7, 0.6, 1e-17], [0.0, 0.5, 0.8]])
    W = np.zeros((3, 3))
    W[0, 2] = 1e-16
    return rt.AlmostLinearRNN(A, W, 0.1 * rng.normal(size=3), num_relu=1)


def test_compare_by_state_finds_no_error_where_nothing_is_crossed(rng):
    model = nearly_triangular_map(rng)
    result = rt.compare(model, rt.to_continuous(model).model, [1.0, 1.0, 1.0], steps=30, switching="state")
    assert len(result.crossing_steps) == 0
    assert (result.one_step_error <= 1e-12 * result.state_size).all()


def test_clock_flow_between_samples_is_right_to_each_states_own_scale(rng):
    model = nearly_triangular_map(rng)
    flow = rt.to_continuous(model).model
    times = np.array([0.0, 0.25, 0.5, 0.9])
    path = rt.simulate(flow, [1.0, 1.0, 1.0], times=times)
    r = flow.region(path.patterns[0])
    want = np.array([state_in_digits(r.W, r.h, np.ones(3), t) for t in times])
    np.testing.assert_allclose(path.states, want, rtol=1e-12)

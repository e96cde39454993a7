"""Filippov sliding against closed forms, scalar sliding equations and steep blends of the two fields."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import retime as rt
from relays import relay


def test_relay_slides_with_the_convex_combination():
    # z1 > 0: (-2, 4); z1 <= 0: (1, 1).  alpha = 1/3, so dz2/dt = 2 on the boundary
    flow = relay([[1, 1], [-2, 4]], [0])
    path = rt.simulate(flow, [1.0, 0.0], times=[0, 0.25, 0.5, 1.5], switching="state")
    want = [[1, 0], [0.5, 1], [0, 2], [0, 4]]
    np.testing.assert_allclose(path.states, want, rtol=0, atol=1e-14)  # polynomials of degree one: rounding only
    np.testing.assert_allclose(path.sliding, [[0.5, 1.5, 0]], rtol=0, atol=1e-14)
    assert path.status == "completed"


def test_sliding_ends_where_one_field_turns_away():
    # z1 > 0: dz1/dt = z2 - 1; z1 <= 0: dz1/dt = 1; dz2/dt = 1: released when z2 passes 1, then z1 = (z2 - 1)^2 / 2
    flow = relay([[1, 1], [-1, 1]], [0], W=[np.zeros((2, 2)), [[0, 1], [0, 0]]])
    path = rt.simulate(flow, [0.0, 0.0], times=[0, 0.5, 1.0, 2.0, 3.0], switching="state")
    np.testing.assert_allclose(path.states[:, 0], [0, 0, 0, 0.5, 2], rtol=0, atol=1e-12)
    np.testing.assert_allclose(path.sliding, [[0, 1, 0]], rtol=0, atol=1e-12)


def test_sliding_with_leak_follows_the_exponential():
    # z1 > 0: (-1, -z2); z1 <= 0: (1, -z2): on the boundary z2 decays as exp(-t)
    leak = [[0, 0], [0, -1.0]]
    flow, times = relay([[1, 0], [-1, 0]], [0], W=[leak, leak]), np.linspace(0, 5, 23)
    path = rt.simulate(flow, [0.0, 1.0], times=times, switching="state")
    np.testing.assert_allclose(path.states, np.column_stack([0 * times, np.exp(-times)]), rtol=0, atol=1e-13)


@pytest.fixture(scope="module")
def sliding_case():
    """A converted two-unit network that slides, its state flow and the interval of sliding."""
    rng = np.random.default_rng(7)
    for _ in range(2000):
        angle = rng.uniform(0.3, 2.5)
        A = 0.9 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) + 0.1 * rng.normal(
            size=(2, 2)
        )
        model = rt.AlmostLinearRNN(A, rng.normal(size=(2, 2)), rng.normal(size=2), num_relu=1)
        flow = rt.to_continuous(model, throw=False).model
        if any(r.status != "principal" for r in flow.convert([[False], [True]])):
            continue
        z0 = 2 * rng.normal(size=2)
        path = rt.simulate(flow, z0, times=[0, 8.0], switching="state")
        if (
            path.status == "completed"
            and len(path.sliding) == 1
            and np.diff(path.sliding[0, :2]) > 0.1 < path.sliding[0, 0]
        ):
            start, end, _ = path.sliding[0]
            times = np.concatenate([[0], np.linspace(start, end, 12)])
            return flow, rt.simulate(flow, z0, times=times, switching="state")
    pytest.fail("no random network slides")


def test_converted_network_slides_along_the_scalar_sliding_equation(sliding_case):
    flow, path = sliding_case
    start, end, unit = path.sliding[0]
    off, on = flow.convert([[False], [True]])

    def scalar(t, y):  # z2 = 0; alpha cancels the normal speed
        z = np.array([y[0], 0.0])
        f, g = off.W @ z + off.h, on.W @ z + on.h
        alpha = f[1] / (f[1] - g[1])
        return [(alpha * g + (1 - alpha) * f)[0]]

    assert unit == 0
    r = solve_ivp(
        scalar,
        (start, end),
        path.states[1, :1],
        method="DOP853",
        rtol=1e-13,
        atol=1e-14,
        t_eval=path.times[1:],
        max_step=0.01,
    )
    assert np.abs(path.states[1:, 0] - r.y[0]).max() <= 1e-11  # DOP853's interpolation
    assert np.abs(path.states[1:, 1]).max() <= 1e-13  # on the boundary


def test_converted_network_slides_as_the_limit_of_steep_blends(sliding_case):
    flow, path = sliding_case
    off, on = flow.convert([[False], [True]])
    width = 1e-5

    def blend(t, z):
        alpha = 0.5 * (1 + np.tanh(z[1] / width))
        return alpha * (on.W @ z + on.h) + (1 - alpha) * (off.W @ z + off.h)

    times = path.times[:-2]  # where sliding ends the blend's layer opens: its error is not O(width) there
    r = solve_ivp(blend, (0, times[-1]), path.states[0], method="Radau", rtol=1e-8, atol=1e-10, t_eval=times)
    assert np.abs(r.y.T - path.states[: len(times)]).max() <= 100 * width  # a blend is off by O(width)

"""Maps and vector fields that are functions of the user's."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import retime as rt


def test_function_of_the_state_alone_and_of_state_and_input():
    alone = rt.Map(lambda z: 2.0 * z, 2)
    driven = rt.Map(lambda z, s: 2.0 * z + s, 2, 2)
    idle = rt.Map(lambda z, s: 2.0 * z, 2)  # reads an input of length 0
    np.testing.assert_array_equal(alone.step([1.0, 2.0]), [2.0, 4.0])
    np.testing.assert_array_equal(driven.step([1.0, 2.0], [1.0, -1.0]), [3.0, 3.0])
    np.testing.assert_array_equal(idle.step([1.0, 2.0]), [2.0, 4.0])


def test_lists_and_integers_are_taken_as_states():
    model = rt.VectorField(lambda z: [z[1], -z[0]], 2)
    got = model.field([3, 4])
    np.testing.assert_array_equal(got, [4.0, -3.0])
    assert got.dtype == np.float64


def test_function_with_branches_on_values_is_called_back():
    def tent(z):
        return 2 * z if z[0] < 0.5 else 2 - 2 * z

    path = rt.simulate(rt.Map(tent, 1), [0.2], steps=3)
    np.testing.assert_allclose(path.states[:, 0], [0.2, 0.4, 0.8, 0.4], rtol=0, atol=1e-15)


def test_own_jacobian_is_used():
    """A wrong one on purpose: it is what comes back."""
    wrong = rt.VectorField(lambda z: z, 2, jacobian_of=lambda z: np.array([[z[0], 1.0], [2.0, 3.0]]))
    got = wrong.jacobian(np.array([[5.0, 0.0], [7.0, 0.0]]))
    np.testing.assert_array_equal(got[:, 0, 0], [5.0, 7.0])
    driven = rt.Map(lambda z, s: z * s, 2, 2, jacobian_of=lambda z, s: np.diag(s))
    np.testing.assert_array_equal(driven.jacobian(np.zeros((3, 2)), [4.0, 6.0])[1], np.diag([4.0, 6.0]))
    np.testing.assert_array_equal(rt.linearize(wrong, [5.0, 0.0]).A, [[5.0, 1.0], [2.0, 3.0]])


@pytest.mark.slow
def test_lorenz_written_as_a_function_is_solved_as_by_scipy():
    def lorenz(z):
        x, y, w = z
        return jnp.stack([10 * (y - x), x * (28 - w) - y, x * y - 8 / 3 * w])

    times = np.linspace(0, 2, 9)
    path = rt.simulate(rt.VectorField(lorenz, 3), [1.0, 1.0, 1.0], times=times, tolerance=1e-11)
    want = solve_ivp(
        lambda t, z: np.array([10 * (z[1] - z[0]), z[0] * (28 - z[2]) - z[1], z[0] * z[1] - 8 / 3 * z[2]]),
        (0, 2), [1, 1, 1], method="DOP853", rtol=1e-13, atol=1e-13, t_eval=times,
    ).y.T  # fmt: skip
    np.testing.assert_allclose(path.states, want, rtol=0, atol=1e-7)  # e^(0.9 * 2) and states of size 40


def test_repr_names_the_function():
    def pendulum(z):
        return z

    assert repr(rt.VectorField(pendulum, 2)) == "VectorField(2 states, pendulum, Continuous())"


def test_models_of_the_same_function_are_equal():
    f = jnp.tanh
    assert rt.Map(f, 2) == rt.Map(f, 2)
    assert rt.Map(f, 2) != rt.Map(f, 3)
    assert rt.Map(f, 2) != rt.Map(jnp.sin, 2)


def test_readout_of_a_function_is_an_output():
    model = rt.Map(lambda z: 0.5 * z, 2, readout=([[1.0, 1.0]], [1.0]))
    np.testing.assert_array_equal(rt.simulate(model, [1.0, 3.0], steps=1).outputs, [[5.0], [3.0]])


def test_function_that_fails_raises_its_own_error():
    def broken(z):
        raise KeyError("parameter")

    with pytest.raises(ValueError, match=r"`f` fails on ones of shape \(2,\): KeyError: 'parameter'"):
        rt.Map(broken, 2)

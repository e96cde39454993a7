"""Cells made of a field and a method."""

import numpy as np
import pytest

import retime as rt

N, M = 3, 2


@pytest.fixture
def field(rng):
    return rt.RateRNN(rng.normal(size=(N, N)), rng.normal(size=(N, M)), rng.normal(size=N), tau=1.0)


def test_a_cell_gives_its_field_back_and_says_its_class(field):
    cell = rt.ODERNN(field, rt.RungeKutta(rt.RK3), dt=0.3)
    assert (cell.n, cell.t) == (3, 1)
    assert "n = 3, t = 1" in repr(cell)
    assert rt.to_continuous(cell).model is field
    assert rt.ODERNN(field, "ab3", dt=0.3).num_states == 3 * N


def test_order_two_is_the_equation_of_the_second_derivative(field, rng):
    """h'' = F(h, s): the step is that of the first-order system, written out for Heun's method."""
    cell = rt.ODERNN(field, rt.Heun(), dt=0.2, order=2)
    z, s = rng.normal(size=2 * N), rng.normal(size=M)
    F = lambda z: np.concatenate([z[N:], field.field(z[:N], s)])  # noqa: E731
    one = F(z)
    np.testing.assert_allclose(cell.step(z, s), z + 0.1 * (one + F(z + 0.2 * one)), rtol=0, atol=1e-14)
    assert cell.t == 2


def test_a_function_of_the_derivatives_is_a_field(rng):
    import jax.numpy as jnp

    cell = rt.ODERNN(
        lambda h, v, a, s: -h - v - 2 * a + jnp.tanh(s[0]), "euler", dt=0.1, order=3, num_states=2, num_inputs=1
    )
    z, s = rng.normal(size=6), rng.normal(size=1)
    h, v, a = np.split(z, 3)
    want = np.concatenate([h + 0.1 * v, v + 0.1 * a, a + 0.1 * (-h - v - 2 * a + np.tanh(s[0]))])
    np.testing.assert_allclose(cell.step(z, s), want, rtol=0, atol=1e-14)


def test_a_readout_of_the_positions_is_one_of_the_whole_state(field, rng):
    B = rng.normal(size=(1, N))
    cell = rt.ODERNN(field, "ab2", dt=0.1, order=2, readout=(B, [0.5]))
    z = rng.normal(size=cell.num_states)
    np.testing.assert_allclose(cell.outputs(z), B @ z[:N] + 0.5)


def test_a_cell_is_saved_and_loaded(field, tmp_path):
    cell = rt.ODERNN(field, rt.RungeKutta(rt.RK4), dt=0.3, order=2)
    assert rt.load(rt.save(cell, tmp_path / "cell.npz")) == cell


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"method": "implicit-euler"}, TypeError, "explicit"),
        ({"method": rt.ZeroOrderHold()}, TypeError, "explicit"),
        ({"dt": 0.0}, ValueError, "`dt`"),
        ({"dt": None}, ValueError, "`dt`"),
        ({"order": 0}, ValueError, "`order`"),
        ({"field": 3}, TypeError, "`field`"),
        ({"field": rt.TanhRNN(np.eye(2), None, np.zeros(2))}, TypeError, "continuous time"),
        ({"field": lambda z: z}, ValueError, "`num_states`"),
        ({"field": lambda z: z[:1], "num_states": 2}, rt.ShapeError, "shape"),
    ],
)
def test_what_makes_no_cell_is_named(field, arguments, error, match):
    given = {"field": field, "method": "rk4", "dt": 0.1} | arguments
    with pytest.raises(error, match=match):
        rt.ODERNN(given.pop("field"), given.pop("method"), **given)


def test_a_tableau_that_does_not_add_up_is_refused():
    with pytest.raises(ValueError, match="sum b"):
        rt.Tableau("wrong", [[0, 0], [1, 0]], [0.5, 0.6], 2)

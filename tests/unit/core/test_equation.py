"""Right-hand sides as pure functions: broadcasting, precision, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import retime as rt
from retime.core.equation import Equation, double_precision, evaluate, jacobians


def product(xp, p, z, s):
    return p["a"] * z * xp.sum(s)


EQUATION = Equation(product, {"a": np.array([1.0, 2.0, 3.0])})


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.data())
def test_states_and_inputs_broadcast_like_arrays(data):
    shapes = st.sampled_from([((), ()), ((2,), ()), ((), (2,)), ((2,), (2,)), ((2, 1), (2,)), ((1, 2), (2, 1))])
    lead_z, lead_s = data.draw(shapes)
    number = st.floats(-10, 10)
    z = np.array(data.draw(st.lists(number, min_size=12, max_size=12)))[: int(np.prod(lead_z)) * 3].reshape(*lead_z, 3)
    s = np.array(data.draw(st.lists(number, min_size=8, max_size=8)))[: int(np.prod(lead_s)) * 2].reshape(*lead_s, 2)
    got = evaluate(EQUATION, z, s)
    want = EQUATION.parameters["a"] * z * s.sum(axis=-1, keepdims=True)
    assert got.shape == (*np.broadcast_shapes(lead_z, lead_s), 3)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-13 * 600)
    J, E = jacobians(EQUATION, z, s)
    lead = np.broadcast_shapes(lead_z, lead_s)
    assert (J.shape, E.shape) == ((*lead, 3, 3), (*lead, 3, 2))


def test_derivatives_are_exact():
    z, s = np.array([1.0, -2.0, 0.5]), np.array([0.25, 3.0])
    J, E = jacobians(EQUATION, z, s)
    np.testing.assert_allclose(J, np.diag([3.25, 6.5, 9.75]), rtol=0, atol=1e-15)
    np.testing.assert_allclose(E, np.outer([1.0, -4.0, 1.5], [1, 1]), rtol=0, atol=1e-15)


def test_states_that_do_not_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"shape mismatch|could not be broadcast"):
        evaluate(EQUATION, np.zeros((2, 3)), np.zeros((3, 2)))


def test_no_states_give_no_values():
    assert evaluate(EQUATION, np.zeros((0, 3)), np.zeros(2)).shape == (0, 3)


def test_double_precision_ends_with_its_block():
    before = jnp.ones(1).dtype
    with double_precision():
        assert jnp.ones(1).dtype == jnp.float64
    assert jnp.ones(1).dtype == before == jnp.float32
    assert not jax.config.jax_enable_x64


def test_results_are_double_whatever_the_caller_set():
    tiny = Equation(product, {"a": np.array([1.0, 1.0 + 2**-40, 1.0])})
    assert evaluate(tiny, np.ones(3), np.array([1.0, 0.0]))[1] == 1.0 + 2**-40
    with double_precision():
        assert evaluate(tiny, np.ones(3), np.array([1.0, 0.0]))[1] == 1.0 + 2**-40


def test_equal_functions_share_their_compiled_code():
    from retime.core.equation import _evaluator

    a, b = (rt.TanhRNN(np.eye(2) * k, np.zeros((2, 1)), np.zeros(2)) for k in (0.5, 0.7))
    a.step(np.zeros(2))
    size = _evaluator()._cache_size()
    b.step(np.ones(2))
    rt.TanhRNN(np.eye(2), np.zeros((2, 1)), np.ones(2)).step(np.ones(2))
    assert _evaluator()._cache_size() == size


def test_canonical_form_is_an_equation_too(rng):
    model = rt.PLRNN(rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(3, 2)))
    z, s = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    np.testing.assert_allclose(evaluate(model.equation, z, s), model.step(z, s), rtol=0, atol=1e-14)


def test_flow_with_a_sample_clock_has_no_right_hand_side():
    flow = rt.to_continuous(rt.PLRNN([0.5], [[0.1]], [1.0])).model
    with pytest.raises(TypeError, match="one field per region and no field of the state alone"):
        flow.equation  # noqa: B018

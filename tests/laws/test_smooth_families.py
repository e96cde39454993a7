"""Every smooth family is its equation: values, derivatives, orbits of maps and flows."""

from dataclasses import FrozenInstanceError, fields, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import retime as rt
from families import SMOOTH, SMOOTH_MAPS, make_smooth

N, M, BATCH = 4, 2, 3
SOLVED = ["hopfield", "numpy_field", "rate_current", "tanh_flow", "vector_field"]  # a solver is seconds of compilation


@cache
def smooth(name):
    """One model per family for all tests of this file: compiled once per shape."""
    return make_smooth(name, np.random.default_rng(20200713), readout=True)


def rows(equation, z, s):
    return np.array([equation(a, b) for a, b in zip(z, s, strict=True)])


def differences(F, x, h=1e-3):
    """Five-point differences of F at x, one column per entry."""
    columns = []
    for e in np.eye(len(x)) * h:
        columns.append((8 * (F(x + e) - F(x - e)) - (F(x + 2 * e) - F(x - 2 * e))) / (12 * h))
    return np.array(columns).T


@pytest.mark.parametrize("name", SMOOTH)
def test_right_hand_side_is_the_equation_for_states_and_inputs_that_broadcast(name, rng):
    model, equation = smooth(name)
    apply = model.step if name in SMOOTH_MAPS else model.field
    z, s = 1.5 * rng.normal(size=(5, 1, N)), rng.normal(size=(BATCH, M))
    got = apply(z, s)
    assert got.shape == (5, BATCH, N)
    assert got.dtype == np.float64
    want = [[equation(z[i, 0], s[j]) for j in range(BATCH)] for i in range(5)]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)  # sums of order-one numbers


@pytest.mark.parametrize("name", SMOOTH)
def test_jacobians_are_differences_of_the_equation(name, rng):
    model, equation = smooth(name)
    z, s = rng.normal(size=(5, N)), rng.normal(size=(5, M))
    J, E = model.jacobian(z, s), model.input_jacobian(z, s)
    assert (J.shape, E.shape) == ((5, N, N), (5, N, M))
    for k in range(5):  # five-point differences: h^4 of order-one derivatives and rounding / h
        np.testing.assert_allclose(J[k], differences(lambda x, k=k: equation(x, s[k]), z[k]), rtol=0, atol=2e-10)
        np.testing.assert_allclose(E[k], differences(lambda x, k=k: equation(z[k], x), s[k]), rtol=0, atol=2e-10)


@pytest.mark.parametrize("name", SMOOTH_MAPS)
def test_simulated_map_is_the_equation_iterated(name, rng):
    model, equation = smooth(name)
    z, s = rng.normal(size=(BATCH, N)), rng.normal(size=(30, BATCH, M))
    path = rt.simulate(model, z, steps=30, inputs=s)
    assert path.states.shape == (31, BATCH, N)
    assert path.statuses == ("completed",) * BATCH
    for k in range(30):  # each step from the simulated state: no growth of rounding along the orbit
        np.testing.assert_allclose(path.states[k + 1], rows(equation, path.states[k], s[k]), rtol=0, atol=1e-13)
    np.testing.assert_allclose(path.outputs, path.states @ model.readout.B.T + model.readout.b, rtol=0, atol=1e-13)
    np.testing.assert_allclose(path.times, 0.3 * np.arange(31), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", sorted(set(SMOOTH_MAPS) - {"numpy_map", "gru_reset_before"}))
def test_batch_of_map_orbits_with_shared_inputs_is_one_by_one(name, rng):
    model, _ = smooth(name)
    z, s = rng.normal(size=(BATCH, N)), rng.normal(size=(30, M))
    batch = rt.simulate(model, z, steps=30, inputs=s)
    for k in range(BATCH):
        single = rt.simulate(model, z[k], steps=30, inputs=s)
        assert single.states.shape == (31, N)
        # products summed in another order, over 30 steps of maps that may stretch a little
        np.testing.assert_allclose(batch.states[:, k], single.states, rtol=0, atol=1e-11)
        np.testing.assert_allclose(batch.outputs[:, k], single.outputs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", SOLVED)
@pytest.mark.slow
def test_simulated_flow_is_the_equation_solved(name, rng):
    """Irregular times; each member of the batch has its own input, held between times."""
    model, equation = smooth(name)
    times = np.array([0.5, 0.6, 1.1, 1.15, 2.0, 2.6, 3.1, 3.2, 4.0])
    z, s = rng.normal(size=(BATCH, N)), 0.5 * rng.normal(size=(8, BATCH, M))
    path = rt.simulate(model, z, times=times, inputs=s)
    assert path.statuses == ("completed",) * BATCH
    assert path.tolerance == 1e-9
    for b in range(BATCH):
        want = [z[b]]
        for k, span in enumerate(pairwise(times)):
            solved = solve_ivp(
                lambda t, y, k=k, b=b: equation(y, s[k, b]), span, want[-1], method="DOP853", rtol=1e-12, atol=1e-13
            )
            want.append(solved.y[:, -1])
        # 1e-9 per step of the solver, tens of steps, contracting or mildly expanding flows
        np.testing.assert_allclose(path.states[:, b], want, rtol=0, atol=1e-7)
    np.testing.assert_allclose(path.outputs, path.states @ model.readout.B.T + model.readout.b, rtol=0, atol=1e-13)


def test_functions_written_with_numpy_and_with_jax_agree(rng):
    z, s = rng.normal(size=(5, N)), rng.normal(size=(5, M))
    for traced, called in (("map", "numpy_map"), ("vector_field", "numpy_field")):
        a, b = smooth(traced)[0], smooth(called)[0]
        np.testing.assert_allclose(a.apply(z, s), b.apply(z, s), rtol=0, atol=1e-14)
        np.testing.assert_allclose(a.jacobian(z, s), b.jacobian(z, s), rtol=0, atol=1e-10)  # differences in one


@pytest.mark.parametrize("name", SMOOTH)
def test_inputs_left_out_are_zero(name, rng):
    model, equation = smooth(name)
    z = rng.normal(size=(5, N))
    np.testing.assert_allclose(model.apply(z), rows(equation, z, np.zeros((5, M))), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", SMOOTH)
def test_models_with_the_same_parameters_are_equal_and_cannot_be_changed(name):
    model, _ = smooth(name)
    again = make_smooth(name, np.random.default_rng(20200713), readout=True)[0]
    assert again == model == replace(model)
    assert hash(again) == hash(model)
    assert make_smooth(name, np.random.default_rng(20200713))[0] != model  # no readout
    with pytest.raises(FrozenInstanceError, match="time"):
        model.time = rt.Continuous()
    for field in fields(model):
        value = getattr(model, field.name)
        if isinstance(value, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                value.flat[0] = 0.0
            other = value.copy()
            other.flat[0] = np.nextafter(other.flat[0], 10)
            assert replace(model, **{field.name: other}) != model, field.name


@pytest.mark.parametrize("name", SMOOTH)
def test_repr_names_the_family_its_sizes_and_its_time_base(name):
    model, _ = smooth(name)
    text = repr(model)
    assert text.startswith(type(model).__name__ + "(4 states")
    assert "2 inputs, 3 outputs" in text
    assert repr(model.time) in text
    assert "\n" not in text


@pytest.mark.parametrize("name", SMOOTH)
def test_states_and_inputs_of_another_length_are_refused(name):
    model, _ = smooth(name)
    with pytest.raises(rt.ShapeError, match=r"`z` has shape \(3,\); its last axis must have 4 entries"):
        model.apply(np.ones(3))
    with pytest.raises(rt.ShapeError, match=r"`s` has shape \(3,\); its last axis must have 2 entries"):
        model.apply(np.ones(4), np.ones(3))


@pytest.mark.parametrize("name", SMOOTH)
def test_step_is_for_maps_and_field_for_flows(name):
    model, _ = smooth(name)
    wrong = model.field if name in SMOOTH_MAPS else model.step
    with pytest.raises(TypeError, match=r"is a map: use `step`|is in continuous time: use `field`"):
        wrong(np.ones(N))


def test_evaluating_leaves_the_precision_of_jax_as_it_was(rng):
    import jax
    import jax.numpy as jnp

    smooth("tanh")[0].step(rng.normal(size=(5, N)))
    assert not jax.config.jax_enable_x64
    assert jnp.ones(2).dtype == jnp.float32

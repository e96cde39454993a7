"""Systems that a method made of others, and stacks of layers."""

import numpy as np
import pytest

import retime as rt
from families import make, make_smooth


def test_derived_system_names_what_it_is_made_of(rng):
    model, _ = make_smooth("rate", rng)
    step = rt.to_discrete(model, 0.1, method=rt.RungeKutta(rt.RK4)).model
    assert type(step) is rt.DerivedSystem
    assert step.base is model
    assert repr(step) == "DerivedSystem(4 states, RungeKutta(RK4), of RateRNN, 2 inputs, Discrete(dt=0.1))"
    assert step == rt.to_discrete(model, 0.1, method=rt.RungeKutta(rt.RK4)).model
    assert step != rt.to_discrete(model, 0.1, method=rt.RungeKutta(rt.RK3)).model
    assert step != rt.to_discrete(model, 0.2, method=rt.RungeKutta(rt.RK4)).model


def test_derived_system_keeps_the_readout_and_pads_it_for_a_memory(rng):
    model, _ = make_smooth("rate", rng, readout=True)
    step = rt.to_discrete(model, 0.1, method=rt.AdamsBashforth(3)).model
    assert step.num_states == 12
    np.testing.assert_array_equal(step.readout.B[:, :4], model.readout.B)
    np.testing.assert_array_equal(step.readout.B[:, 4:], 0.0)
    np.testing.assert_array_equal(step.readout.b, model.readout.b)


def test_state_of_a_multistep_method_of_another_length_is_refused(rng):
    step = rt.to_discrete(make_smooth("rate", rng)[0], 0.1, method=rt.AdamsBashforth(3)).model
    with pytest.raises(rt.ShapeError, match=r"`z` has shape \(8,\); its last axis must have 12 entries"):
        step.start(np.zeros(8))
    with pytest.raises(rt.ShapeError, match=r"`z0` has shape \(8,\); it must be \(12,\)"):
        rt.simulate(step, np.zeros(8), steps=1)


def test_stack_of_relu_layers_is_one_after_the_other(rng):
    """Layers may be piecewise affine too; the upper layer reads the new state of the lower one."""
    (low, F), (high, G) = make("relu", rng, n=3, m=2), make("plrnn", rng, n=2, m=3)
    stack = rt.StackedRNN([low, high], time=rt.Discrete(0.2))
    z, s = rng.normal(size=5), rng.normal(size=2)
    below = F(z[:3], s)
    np.testing.assert_allclose(stack.step(z, s), np.concatenate([below, G(z[3:], below)]), rtol=0, atol=1e-14)
    assert repr(stack) == "StackedRNN(5 states, ReluRNN > PLRNN, 2 inputs, Discrete(dt=0.2))"


def test_three_layers_with_lstms_pass_on_their_outputs(rng):
    (a, F), (b, G), (c, H) = (
        make_smooth("lstm", rng, n=4, m=1),
        make_smooth("lstm", rng, n=2, m=2),
        make_smooth("gru", rng, n=2, m=1),
    )
    stack = rt.StackedRNN([a, b, c])
    z, s = rng.normal(size=8), rng.normal(size=1)
    one = F(z[:4], s)
    two = G(z[4:6], one[:2])
    want = np.concatenate([one, two, H(z[6:], two[:1])])
    np.testing.assert_allclose(stack.step(z, s), want, rtol=0, atol=1e-13)


def test_regionwise_map_has_the_derivatives_of_its_regions(rng):
    model, _ = make("continuous_plrnn", rng)
    step = rt.to_discrete(model, 0.3, method=rt.ZeroOrderHold()).model
    assert type(step) is rt.RegionwiseMap
    z, s = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
    dz, ds = 1e-7 * rng.normal(size=(5, 4)), 1e-7 * rng.normal(size=(5, 2))
    J, E = step.jacobian(z, s), step.input_jacobian(z, s)
    change = np.einsum("kij,kj->ki", J, dz) + np.einsum("kij,kj->ki", E, ds)
    # affine per region: exact up to rounding of states of size one
    np.testing.assert_allclose(step.step(z + dz, s + ds) - step.step(z, s), change, rtol=0, atol=1e-14)


def test_regionwise_map_equals_the_flow_within_a_region(rng):
    model = rt.ContinuousPLRNN([-1.0, -0.5], [[0.0, 0.5], [-0.3, 0.0]], [2.0, 2.0], [[1.0], [0.0]])
    step = rt.to_discrete(model, 0.25, method=rt.ZeroOrderHold()).model
    s = 0.5 * rng.normal(size=(12, 1))
    path = rt.simulate(model, [1.0, 1.0], times=0.25 * np.arange(13), inputs=s)
    assert path.patterns.all()
    np.testing.assert_allclose(
        rt.simulate(step, [1.0, 1.0], steps=12, inputs=s).states, path.states, rtol=0, atol=1e-12
    )


def test_samples_of_a_converted_flow_are_the_map_again(rng):
    model, equation = make("plrnn", rng)
    step = rt.to_discrete(rt.to_continuous(model).model, model.dt, method=rt.ZeroOrderHold()).model
    z, s = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
    want = [equation(a, b) for a, b in zip(z, s, strict=True)]
    np.testing.assert_allclose(step.step(z, s), want, rtol=0, atol=1e-12)
    assert rt.to_continuous(step).model.map == rt.to_continuous(model).model.map

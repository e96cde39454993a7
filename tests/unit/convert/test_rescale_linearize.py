"""`rescale_time` and `linearize`: what they accept, refuse and return."""

import numpy as np
import pytest

import retime as rt
from families import make, make_smooth

RATE = rt.RateRNN([[0.5, -1.0], [1.0, 0.2]], [[1.0], [0.0]], [0.1, 0.0], tau=1.0)


@pytest.mark.parametrize("factor", [0.0, -1.0, np.inf, np.nan, "twice"])
def test_factor_must_be_a_positive_number(factor):
    with pytest.raises(ValueError, match=r"`factor` is .*; it must be a positive .*dimensionless"):
        rt.rescale_time(RATE, factor)


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="`model` is float; rescale_time takes a retime model"):
        rt.rescale_time(1.0, 2.0)
    with pytest.raises(TypeError, match="`model` is float; linearize takes a retime model"):
        rt.linearize(1.0, [0.0])


def test_time_constants_are_multiplied():
    assert rt.rescale_time(RATE, 2.5).tau == 2.5
    hopfield = rt.HopfieldNetwork(np.eye(2), np.zeros(2), capacitance=[1.0, 2.0])
    np.testing.assert_array_equal(rt.rescale_time(hopfield, 2.0).capacitance, [2.0, 4.0])
    linear = rt.LinearSystem([-1.0, -2.0], np.zeros(2), np.zeros((2, 0)), time=rt.Continuous())
    np.testing.assert_allclose(
        rt.rescale_time(linear, 2.0).time_constants, 2 * linear.time_constants, rtol=0, atol=1e-15
    )


def test_rescaling_twice_is_rescaling_by_the_product():
    field = rt.VectorField(lambda z: -z, 2)
    twice = rt.rescale_time(rt.rescale_time(field, 2.0), 3.0)
    assert twice.base is field
    np.testing.assert_allclose(twice.field([6.0, 0.0]), [-1.0, 0.0], rtol=0, atol=1e-15)


def test_formal_logarithm_is_rescaled_with_its_map(rng):
    model, _ = make_smooth("gru", rng)
    field = rt.to_continuous(model, method=rt.FormalLog(3)).model
    slow = rt.rescale_time(field, 2.0)
    z, s = rng.normal(size=4), rng.normal(size=2)
    np.testing.assert_allclose(slow.field(z, s), field.field(z, s) / 2, rtol=0, atol=1e-13)
    assert slow.base.dt == 2 * model.dt


def test_samples_of_a_converted_flow_are_rescaled_with_it(rng):
    model, _ = make("plrnn", rng)
    flow = rt.to_continuous(model).model
    for dt in (model.dt, model.dt / 2):
        step = rt.to_discrete(flow, dt, method=rt.ZeroOrderHold()).model
        slow = rt.rescale_time(step, 3.0)
        assert slow.dt == pytest.approx(3 * dt, abs=1e-15)
        z, s = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
        np.testing.assert_allclose(slow.step(z, s), step.step(z, s), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_linearization_along_a_trajectory_is_one_system_per_sample(rng):
    path = rt.simulate(RATE, [1.0, -0.5], times=np.linspace(0, 1, 5), inputs=rng.normal(size=(4, 1)))
    s = rng.normal(size=(5, 1))
    systems = rt.linearize(RATE, path, inputs=s)
    assert isinstance(systems, tuple)
    assert len(systems) == 5
    for system, z, u in zip(systems, path.states, s, strict=True):
        assert type(system) is rt.LinearSystem
        np.testing.assert_allclose(system.A, RATE.jacobian(z, u), rtol=0, atol=1e-14)
        np.testing.assert_allclose(system.field(z, u), RATE.field(z, u), rtol=0, atol=1e-14)
    one = rt.linearize(RATE, path.states[2], inputs=s[2])
    np.testing.assert_allclose(one.A, systems[2].A, rtol=0, atol=1e-15)
    shared = rt.linearize(RATE, path, inputs=s[2])
    np.testing.assert_allclose(shared[2].b, systems[2].b, rtol=0, atol=1e-15)


def test_linearization_of_a_linear_system_is_itself(rng):
    model = rt.LinearSystem(
        rng.normal(size=(3, 3)),
        rng.normal(size=3),
        rng.normal(size=(3, 1)),
        readout=rng.normal(size=(2, 3)),
        D=np.ones((2, 1)),
    )
    got = rt.linearize(model, rng.normal(size=3), inputs=[0.3])
    np.testing.assert_allclose(got.b, model.b, rtol=0, atol=1e-14)
    for name in ("A", "E", "D"):
        np.testing.assert_array_equal(getattr(got, name), getattr(model, name))


def test_linearization_of_a_converted_flow_is_the_flow_of_its_region(rng):
    model, _ = make("plrnn", rng)
    flow = rt.to_continuous(model).model
    z, s = rng.normal(size=4), rng.normal(size=2)
    system = rt.linearize(flow, z, inputs=s)
    region = flow.region(flow.pattern(z, s))
    np.testing.assert_array_equal(system.A, region.W)
    assert system.time == rt.Continuous()
    assert system.auxiliary == region.auxiliary


def test_linearization_of_a_raised_region_has_its_auxiliary_states_last():
    model = rt.PLRNN([-0.5, 0.5], np.zeros((2, 2)), [1.0, 0.0], readout=np.eye(2))
    system = rt.linearize(rt.to_continuous(model).model, [1.0, 1.0])
    assert (system.num_states, system.auxiliary) == (3, 1)
    np.testing.assert_array_equal(system.readout.B, np.eye(3)[:2])
    path = rt.simulate(system, [1.0, 1.0], times=[0.0, 1.0])
    np.testing.assert_allclose(path.outputs[1], model.step([1.0, 1.0]), rtol=0, atol=1e-13)


def test_linearization_in_a_region_without_a_flow_is_refused():
    model = rt.PLRNN([[0.0, 1.0], [0.0, 0.0]], np.zeros((2, 2)), np.ones(2))
    with pytest.raises(rt.CertificateError, match=r"no autonomous linear flow|nilpotent"):
        rt.linearize(rt.to_continuous(model, throw=False).model, [1.0, 1.0])


@pytest.mark.parametrize(
    ("at", "inputs", "match"),
    [
        (0.0, None, r"`at` has shape \(\)"),
        (np.zeros((2, 2, 2)), None, r"`at` has shape \(2, 2, 2\)"),
        (np.zeros(2), np.zeros(2), r"`inputs` has shape \(2,\); it must be \(1,\), or one row per state"),
        (np.zeros((4, 2)), np.zeros((3, 1)), r"`inputs` has shape \(3, 1\)"),
    ],
)
def test_states_and_inputs_of_a_wrong_shape_are_refused(at, inputs, match):
    with pytest.raises(rt.ShapeError, match=match):
        rt.linearize(RATE, at, inputs=inputs)

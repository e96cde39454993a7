"""`retime_to`: another step without training again, with the difference measured."""

import numpy as np
import pytest

import retime as rt
from families import make, make_smooth


def test_half_steps_of_an_exact_conversion_are_the_map(rng):
    model = rt.LinearSystem(
        0.5 * np.array([[0.8, -0.6], [0.6, 0.8]]), [1.0, 0.0], [[1.0], [0.5]], time=rt.Discrete(0.4)
    )
    conversion = rt.retime_to(model, 0.1)
    assert conversion.model.dt == 0.1
    z, s = rng.normal(size=2), [0.7]
    want = model.step(z, s)
    for _ in range(4):
        z = conversion.model.step(z, s)
    np.testing.assert_allclose(z, want, rtol=0, atol=1e-14)
    same = next(c for c in conversion.certificate.conditions if "common time" in c.name)
    assert same.holds
    assert "4 steps of dt = 0.1 against 1 of dt = 0.4" in conversion.certificate.claim


def test_longer_steps_of_a_piecewise_affine_map_hold_their_region(rng):
    model, _ = make("plrnn", rng, dt=0.1)
    new = rt.retime_to(model, 0.2).model
    assert type(new) is rt.RegionwiseMap
    z = rng.normal(size=(200, 4))
    once = model.step(z)
    stays = (model.pattern(once) == model.pattern(z)).all(axis=1)
    raised = np.array([new.flow.region(p).auxiliary > 0 for p in model.pattern(z)])
    kept = stays & ~raised
    assert kept.sum() > 5
    np.testing.assert_allclose(new.step(z[kept]), model.step(once[kept]), rtol=0, atol=1e-12)


def test_the_same_step_gives_the_map_back(rng):
    model, _ = make("shallow", rng)
    conversion = rt.retime_to(model, model.dt)
    z, s = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
    np.testing.assert_allclose(conversion.model.step(z, s), model.step(z, s), rtol=0, atol=1e-12)
    assert conversion.certificate.holds


def test_elman_network_becomes_leaky(rng):
    model, equation = make_smooth("tanh", rng)
    new = rt.retime_to(model, 0.1, method=rt.EulerField()).model
    assert type(new) is rt.LeakyRNN
    np.testing.assert_allclose(new.alpha, 1 / 3, rtol=0, atol=1e-15)
    z, s = rng.normal(size=4), rng.normal(size=2)
    np.testing.assert_allclose(new.step(z, s), z * 2 / 3 + equation(z, s) / 3, rtol=0, atol=1e-14)


@pytest.mark.parametrize("order", [2, 4])
def test_certificate_states_the_measured_difference(order, rng):
    model, equation = make_smooth("leaky_rate", rng)
    z, s = rng.normal(size=(3, 4)), rng.normal(size=(3, 2))
    conversion = rt.retime_to(model, 0.15, method=rt.FormalLog(order), states=z, inputs=s)
    got = conversion.model.step(conversion.model.step(z, s), s)
    want = np.array([equation(a, u) for a, u in zip(z, s, strict=True)])
    worst = (np.abs(got - want).max(axis=1) / (1 + np.abs(want).max(axis=1))).max()
    assert f"off by {worst:.2e}" in conversion.certificate.claim
    assert not next(c for c in conversion.certificate.conditions if "common time" in c.name).holds


def test_steps_without_a_common_multiple_are_not_measured(rng):
    model, _ = make("linear", rng, dt=0.3)
    certificate = rt.retime_to(model, 0.3 * np.sqrt(2)).certificate
    assert certificate.scope == "not measured"
    assert not certificate.holds
    assert np.isnan(certificate.conditions[0].margin)


def test_smooth_map_needs_a_method(rng):
    model, _ = make_smooth("gru", rng)
    with pytest.raises(ValueError, match=r"GRU is smooth.*nothing exact can be the default"):
        rt.retime_to(model, 0.1)
    with pytest.raises(TypeError, match="takes a piecewise-affine map; GRU is smooth"):
        rt.retime_to(model, 0.1, method=rt.MatrixLog())
    with pytest.raises(ValueError, match=r"`new_dt` is 0\.0"):
        rt.retime_to(model, 0.0, method=rt.EulerField())


@pytest.mark.parametrize("order", [0, 13, 1.5, True])
def test_order_of_the_formal_logarithm_out_of_range_is_refused(order):
    with pytest.raises(ValueError, match=r"`order` is .*; it must be a whole number from 1 to 12"):
        rt.FormalLog(order)

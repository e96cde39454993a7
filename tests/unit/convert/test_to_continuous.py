"""`to_continuous`: what it accepts, what it certifies."""

import json

import numpy as np
import pytest

import retime as rt
from families import MAP_NAMES, make

NILPOTENT = [[0.0, 1.0], [0.0, 0.0]]


def test_time_varying_region_raises_when_it_is_asked_for():
    flow = rt.to_continuous(rt.PLRNN(NILPOTENT, np.zeros((2, 2)), np.ones(2))).model
    with pytest.raises(rt.CertificateError, match=r"Region 00 has a nilpotent part.*throw=False"):
        flow.region([False, False])


def test_linear_system_without_an_ode_raises_with_its_certificate():
    with pytest.raises(rt.CertificateError, match="nilpotent part of index > 1") as caught:
        rt.to_continuous(rt.LinearSystem(NILPOTENT, np.zeros(2), np.zeros((2, 0))))
    assert not caught.value.certificate.holds


def test_time_varying_error_of_a_flow_carries_its_certificate():
    flow = rt.to_continuous(rt.PLRNN(NILPOTENT, np.zeros((2, 2)), np.ones(2))).model
    with pytest.raises(rt.CertificateError, match="nilpotent") as caught:
        rt.simulate(flow, [1.0, -1.0], steps=3)
    assert caught.value.certificate is not None


@pytest.mark.parametrize("name", MAP_NAMES)
def test_certificate_of_a_visited_orbit_holds(name, rng):
    model, _ = make(name, rng)
    conversion = rt.to_continuous(model)
    rt.compare(model, conversion.model, rng.normal(size=4), steps=20)
    certificate = conversion.certificate
    assert certificate.holds
    assert all(c.margin >= 0 if c.holds else not c.margin > 0 for c in certificate.conditions)
    assert "global" in certificate.scope
    assert str(certificate).count("\n") > len(certificate.conditions)


def test_certificate_counts_the_regions_converted_up_to_now(rng):
    conversion = rt.to_continuous(make("plrnn", rng)[0])
    conversion.model.region(np.zeros(4, bool))
    assert "1 of 2^4 regions" in conversion.certificate.scope
    conversion.model.region(np.ones(4, bool))
    assert "2 of 2^4 regions" in conversion.certificate.scope


def test_certificate_fails_for_a_region_without_a_flow():
    model = rt.PLRNN(NILPOTENT, np.zeros((2, 2)), np.ones(2))
    certificate = rt.to_continuous(model).certificate
    assert not certificate.holds
    failed = [c.name for c in certificate.conditions if c.required and not c.holds]
    assert failed == ["each region has an autonomous linear flow"]


def test_conversion_is_plain_data_for_json(rng):
    json.dumps(rt.to_continuous(make("shallow", rng)[0]).to_dict(), allow_nan=False)


def test_html_of_a_conversion_escapes_and_is_a_table(rng):
    assert rt.to_continuous(make("shallow", rng)[0])._repr_html_().startswith("<table>")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m: rt.to_continuous(3), "`model` is int; to_continuous takes a retime model in discrete time"),
        (lambda m: rt.to_continuous(rt.ContinuousPLRNN(m.A, m.W, m.h)), "is in continuous time already"),
        (lambda m: rt.to_continuous(m, method=3), "`method` is 3; it must be MatrixLog"),
        (lambda m: rt.to_continuous(rt.to_continuous(m).model), "PiecewiseAffineFlow is in continuous time already"),
    ],
)
def test_wrong_argument_is_refused_with_a_reason(call, match):
    with pytest.raises(TypeError, match=match):
        call(rt.PLRNN([0.5], [[0.0]], [0.0]))


def test_an_unknown_name_of_a_method_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"`method` is 'log'; it must be matrix-log, euler-field, or formal-log:ORDER"):
        rt.to_continuous(rt.PLRNN([0.5], [[0.0]], [0.0]), method="log")


def test_methods_of_maps_have_names(rng):
    model = rt.TanhRNN(rng.normal(size=(2, 2)), None, np.zeros(2))
    assert rt.to_continuous(model, method="euler").model == rt.to_continuous(model, method=rt.EulerField()).model
    assert rt.to_continuous(model, method="formal-log:2").model.method == rt.FormalLog(2)
    plrnn = rt.PLRNN([0.5], [[0.0]], [0.0])
    assert rt.to_continuous(plrnn, method="matrix_log").model.method == rt.MatrixLog()


def test_raised_linear_system_keeps_its_outputs(rng):
    model = rt.LinearSystem(np.diag([-0.5, 0.5, -0.2]), np.ones(3), rng.normal(size=(3, 1)))
    flow = rt.to_continuous(model).model
    assert (flow.num_states, flow.num_outputs) == (5, 3)
    s, z0 = rng.normal(size=(8, 1)), rng.normal(size=3)
    want = rt.simulate(model, z0, steps=8, inputs=s).states
    got = rt.simulate(flow, np.concatenate([z0, np.zeros(2)]), times=np.arange(9.0), inputs=s)
    np.testing.assert_allclose(got.outputs, want, rtol=0, atol=1e-13)

"""`interchange`: arguments and the printed result."""

import json

import numpy as np
import pytest

import retime as rt

RATE = rt.RateRNN([[0.5, -1.0], [1.0, 0.2]], [[1.0], [0.0]], [0.1, 0.0], tau=1.0)
LINEAR = rt.LinearSystem([-1.0, -2.0], [1.0, 0.0], [[1.0], [1.0]], time=rt.Continuous())


@pytest.mark.parametrize(
    ("pair", "options", "match"),
    [
        (("rescale", "rescale"), {}, "`first`, `second` are 'rescale', 'rescale'; they must be two different ones"),
        (("rescale", "sample"), {}, "`first`, `second` are 'rescale', 'sample'"),
        (("rescale", "discretize"), {"dt": 0.1, "method": rt.Euler()}, '`factor` is missing; "rescale" needs it'),
        (("rescale", "discretize"), {"factor": 2.0, "method": rt.Euler()}, '`dt` is missing; "discretize" needs it'),
        (("linearize", "discretize"), {"dt": 0.1}, '`method` is missing; "discretize" needs it'),
        (("linearize", "discretize"), {"dt": -0.1, "method": rt.Euler()}, r"`dt` is -0\.1"),
        (("rescale", "linearize"), {"factor": 0.0}, r"`factor` is 0\.0"),
        (("rescale", "to_continuous"), {}, '"to_continuous" is compared with "discretize" only'),
        (("rescale", "linearize"), {"factor": 2.0, "at": [1.0]}, r"`(at|z)` has shape \(1,\)"),
        (("rescale", "linearize"), {"factor": 2.0, "inputs": [1.0, 2.0]}, r"`(inputs|s)` has shape \(2,\)"),
    ],
)
def test_wrong_argument_is_refused_with_a_reason(pair, options, match):
    with pytest.raises(ValueError, match=match):
        rt.interchange(RATE, *pair, **options)


def test_what_is_no_model_or_no_flow_is_refused():
    with pytest.raises(TypeError, match="`model` is int; interchange takes a retime model"):
        rt.interchange(3, "rescale", "linearize", factor=2.0)
    with pytest.raises(TypeError, match="to_discrete takes a system in continuous time"):
        rt.interchange(rt.PLRNN([0.5], [[0.0]], [0.0]), "rescale", "discretize", factor=2.0, dt=0.1, method=rt.Euler())


def test_result_is_a_table_in_words_and_plain_data():
    result = rt.interchange(LINEAR, "linearize", "discretize", dt=0.1, method=rt.Euler())
    text = repr(result)
    assert "linearize, then discretize" in text
    assert "discretize, then linearize" in text
    assert "commutes" in text
    assert "yes" in text
    assert "sampling keeps controllability" in text
    assert result._repr_html_().startswith("<table>")
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["commutes"] is True
    assert data["procedures"] == ["linearize", "discretize"]
    assert len(data["conditions"]) == 2


def test_base_point_and_input_default_to_zero():
    result = rt.interchange(RATE, "rescale", "linearize", factor=2.0)
    np.testing.assert_allclose(result.results[0].A, RATE.jacobian(np.zeros(2)) / 2, rtol=0, atol=1e-15)


def test_controllability_is_not_judged_without_inputs():
    model = rt.LinearSystem([-1.0], [0.0], np.zeros((1, 0)), time=rt.Continuous())
    result = rt.interchange(model, "linearize", "discretize", dt=0.1, method=rt.ZeroOrderHold())
    assert result.controllability is None
    assert result.commutes

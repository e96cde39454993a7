"""Fits that go on from a model: nothing is lost or rescaled on the way in, hidden states begin where they belong, others are refused."""

from dataclasses import replace

import numpy as np
import pytest

import retime as rt
from retime.learn import fit
from retime.learn.dynamics import Setting
from retime.learn.networks import network
from retime.learn.solved import SolvedFlow

QUICK = {"epochs": 1, "batches": 1, "batch_size": 4, "sequence": 12, "dtype": "float64"}
STILL = QUICK | {"learning_rate": 1e-30}


@pytest.fixture
def spiral(rng):
    """300 samples of a noisy rotation, 0.5 apart."""
    phase = 0.3 * np.arange(300)
    return 3.0 * np.stack([np.cos(phase), np.sin(phase)], axis=1) + [5.0, -2.0] + 0.03 * rng.normal(size=(300, 2))


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("alrnn", {"num_relu": 2}),
        ("alrnn", {"num_relu": 2, "observation": "linear"}),
        ("plrnn", {}),
        ("continuous_plrnn", {}),
        ("shallow_plrnn", {"num_hidden": 3, "clipped": False}),
        ("dendritic_plrnn", {"num_bases": 2}),
        ("gru", {}),
        ("continuous_plrnn", {"num_relu": 2}),
    ],
)
def test_a_fit_that_does_not_move_returns_the_model(rng, spiral, family, options):
    """With inputs, on another part of the data, whose mean and spread are others."""
    inputs = {"inputs": rng.normal(size=(300, 1))}
    model = fit(spiral, family=family, num_states=4, dt=0.5, **inputs, **options, **QUICK).model
    own = {k: v for k, v in options.items() if k == "observation"}
    time = {} if isinstance(model.time, rt.Discrete) else {"dt": 0.5}
    half = {"inputs": 3.0 * inputs["inputs"][:120]}
    again = fit(2.0 * spiral[:120], family=model, **own, **time, **half, **STILL).model
    assert type(again) is type(model)
    z, s = rng.normal(size=(5, 4)), rng.normal(size=(1, 5, 1))
    horizon = {"steps": 1} if not time else {"times": [0.0, 0.5]}
    ours, theirs = (rt.simulate(m, z, inputs=s, **horizon).outputs for m in (again, model))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_the_weights_of_a_rate_network_are_those_that_make_it(rng):
    model = rt.RateRNN(
        rng.normal(size=(3, 3)), np.zeros((3, 1)), np.ones(3), tau=2.5, form="rate", readout=(np.eye(1, 3), [0.0])
    )
    dynamics = SolvedFlow(Setting(network("rate_rnn", 3, 1, 1, {"form": "rate"}), "float64", 0.1))
    assert dynamics.model(dynamics.weights_of(model), np.zeros(1), np.ones(1)) == replace(model, tau=np.full(3, 2.5))


def test_hidden_states_begin_where_forcing_leads_them(spiral):
    """z3' = 2 z1 - z2 one step later: the best linear function of a sample on a circle is found from the data alone."""
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    W = np.zeros((3, 3))
    W[:2, :2], W[2, :2] = turn, [2.0, -1.0]
    model = rt.AlmostLinearRNN(
        np.zeros(3), W, np.zeros(3), num_relu=0, time=rt.Discrete(0.5), readout=(3.0 * np.eye(2, 3), [5.0, -2.0])
    )
    first = fit(spiral, family=model, **STILL).history[0]
    free = fit(spiral, family=model, **STILL | {"epochs": 2, "every": 1}).history
    assert first["step"] == 0
    assert first["prediction_error"] < 0.03
    assert free[-1]["prediction_error"] == first["prediction_error"]


def test_what_is_no_better_leaves_the_model_as_it_was(spiral):
    """The given model is the first that is checked."""
    start = fit(
        spiral,
        family="alrnn",
        num_states=2,
        num_relu=0,
        dt=0.5,
        learning_rate=(1e-2, 1e-3),
        **QUICK | {"epochs": 30, "batches": 20},
    )
    found = fit(spiral, family=start.model, learning_rate=30.0, **QUICK)
    assert found.metrics["epoch"] == 0
    np.testing.assert_allclose(found.model.W, start.model.W, rtol=0, atol=1e-12)


def test_a_fit_of_a_model_is_resumed_by_the_same_model_only(spiral, tmp_path):
    options = {"checkpoint": tmp_path / "c", "resume": True, **QUICK}
    model = fit(spiral, family="plrnn", num_states=3, **QUICK).model
    whole = fit(spiral, family=model, **QUICK).model
    fit(spiral, family=model, **QUICK, checkpoint=tmp_path / "c", time_limit=1e-9)
    with pytest.raises(rt.RetimeError, match="of another run: start is"):
        fit(spiral, family=fit(spiral, family="plrnn", num_states=3, seed=1, **QUICK).model, **options)
    assert fit(spiral, family=model, **options).model == whole


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dt": 0.4}, ValueError, "whose step is 0.5; the samples are 0.4 apart"),
        ({"num_states": 3}, ValueError, "`num_states` is 3; `family` is a PLRNN of 2 states"),
        ({"num_relu": 1}, ValueError, "`num_relu` is an option of a family by name"),
        ({"inputs": np.ones((300, 1))}, rt.ShapeError, "a PLRNN of 0 inputs; the recording has 1"),
        ({"readout": (np.array([[0.0, 1.0], [1.0, 0.0]]), np.zeros(2))}, ValueError, "whose outputs mix its states; give observation"),
        ({"readout": (np.ones((1, 2)), np.zeros(1))}, rt.ShapeError, "`series` has 2 channels"),
        ({"A": np.ones((2, 2))}, TypeError, "only a diagonal A is trained"),
        ({"time": rt.Continuous()}, ValueError, "or from a flow of continuous_plrnn, rate_rnn"),
    ],
)  # fmt: skip
def test_models_that_do_not_fit_the_recording_are_refused(spiral, change, error, message):
    own = {"A": np.full(2, 0.5), "time": rt.Discrete(0.5), "readout": None}
    own |= {k: change[k] for k in own if k in change}
    model = rt.PLRNN(own.pop("A"), np.eye(2), np.zeros(2), **own)
    with pytest.raises(error, match=message):
        fit(spiral, family=model, **{k: v for k, v in change.items() if k not in ("A", "time", "readout")}, **QUICK)


def test_a_family_by_name_needs_its_size(spiral):
    with pytest.raises(ValueError, match="`num_states` is None; plrnn by name needs it"):
        fit(spiral, family="plrnn")


@pytest.mark.parametrize(("times", "is_asked"), [(1.0, False), (10.0, True)])
def test_data_in_other_units_than_the_models_are_asked_about(spiral, caplog, times, is_asked):
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    model = rt.AlmostLinearRNN(np.zeros(2), turn, np.zeros(2), num_relu=0, readout=(3.0 * np.eye(2), [5.0, -2.0]))
    fit(times * spiral, family=model, **STILL)
    assert ("are they in the units of its outputs" in caplog.text) == is_asked

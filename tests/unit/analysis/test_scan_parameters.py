"""Parameters of scans: entries, input levels, directions and functions, against `dataclasses.replace` written out."""

from dataclasses import replace

import numpy as np
import pytest

import retime as rt
from retime.analysis.branches.parameter import parameter_of
from retime.core.errors import ShapeError

NONE = np.zeros(0)


@pytest.fixture
def model(rng):
    return rt.PLRNN(rng.uniform(0, 0.9, 3), rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(3, 2)))


def at(model, parameter, value, s=None):
    return parameter_of(model, parameter).apply(model, np.zeros(model.num_inputs) if s is None else s, value)


@pytest.mark.parametrize(
    ("text", "name", "index"),
    [("W[0, 1]", "W", (0, 1)), ("h[2]", "h", 2), ("A[1]", "A", (1, 1)), ("C[2,-1]", "C", (2, 1)), (" W[-1, 0] ", "W", (2, 0))],
)  # fmt: skip
def test_an_entry_is_replaced_by_the_value(model, text, name, index):
    wanted = np.array(getattr(model, name))
    wanted[index] = 0.25
    made, _ = at(model, text, 0.25)
    assert made == replace(model, **{name: wanted})


def test_an_input_level_is_set_and_the_model_stays(model):
    made, s = at(model, "inputs[1]", 3.0, np.array([1.0, 2.0]))
    assert made is model
    assert s.tolist() == [1.0, 3.0]


def test_a_direction_is_added_to_the_weights(model, rng):
    D, d, e = rng.normal(size=(3, 3)), rng.normal(size=3), np.array([0.0, 1.0])
    made, s = at(model, {"W": D, "A": d, "inputs": e}, 0.5)
    assert np.array_equal(made.W, model.W + 0.5 * D)
    assert np.array_equal(made.A, model.A + np.diag(0.5 * d))
    assert s.tolist() == [0.0, 0.5]


def test_a_function_makes_the_model(model):
    made, _ = at(model, lambda x: replace(model, h=np.full(3, x)), 7.0)
    assert made.h.tolist() == [7.0] * 3


def test_a_converted_flow_is_converted_anew(model):
    flow = rt.to_continuous(model).model
    made, _ = at(flow, "W[0, 1]", 0.25)
    assert type(made) is type(flow)
    assert made.map == at(model, "W[0, 1]", 0.25)[0]
    assert not made.converted


def test_all_entries_of_a_vector_are_set_without_an_index():
    model = rt.RateRNN(np.eye(2), None, np.zeros(2), tau=np.array([1.0, 2.0]))
    made, _ = at(model, "tau", 3.0)
    assert np.array_equal(np.broadcast_to(made.tau, 2), [3.0, 3.0])


def test_a_scan_of_a_name_without_an_index_turns_all_entries():
    made = rt.scan(rt.PLRNN([0.5, 0.5], np.zeros((2, 2)), [7.0, 9.0]), "h", [1.0, 2.0])
    assert made.parameter == "h"
    assert made.branches[0].points[:, 0].tolist() == [[2.0, 2.0], [4.0, 4.0]]


@pytest.mark.parametrize(
    ("parameter", "error", "message"),
    [
        ("W 0", ValueError, "write an entry as"),
        ("V[0]", ValueError, "this PLRNN has A, W, h, C, inputs"),
        ("W", ValueError, "give 2 indices"),
        ("h[0, 1]", ValueError, "give 1 indices"),
        ("h[3]", ValueError, "index 3 is not from -3 to 2"),
        ("inputs[2]", ValueError, "index 2 is not from -2 to 1"),
        ({}, ValueError, "empty dictionary"),
        ({"V": [1.0]}, ValueError, "names 'V'"),
        ({"h": [1.0]}, ShapeError, r"has shape \(1,\); it must be \(3,\)"),
        (3, TypeError, "`parameter` is int"),
    ],
)
def test_a_parameter_that_is_none_says_what_there_is(model, parameter, error, message):
    with pytest.raises(error, match=message):
        parameter_of(model, parameter)


def test_a_function_must_return_a_model_of_the_same_size(model):
    with pytest.raises(TypeError, match=r"returned float at 1\.0"):
        at(model, lambda x: x, 1.0)
    with pytest.raises(ShapeError, match="returned 1 states"):
        at(model, lambda x: rt.PLRNN([x], [[0.0]], [0.0]), 1.0)


def test_an_input_of_a_model_without_inputs_is_refused():
    with pytest.raises(ValueError, match="this PLRNN has no inputs"):
        parameter_of(rt.PLRNN([0.5], [[0.0]], [0.0]), "inputs[0]")

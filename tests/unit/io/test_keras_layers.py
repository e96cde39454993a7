"""What Keras layers are read as, and which are refused: from descriptions of layers, without Keras."""

from pathlib import Path

import numpy as np
import pytest

import retime as rt
from retime.io.arrays import FileArrays, KerasLayer
from retime.io.families import recognize
from retime.models import GRU, StackedRNN, TanhRNN

n, m = 3, 2
GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


def layer(kind, name="rnn", *, inputs=m, calls=(), bias=None, **config):
    """A layer with random weights; `bias` is a shape, False for none."""
    rng = np.random.default_rng(20200713)
    columns = GATES[kind] * n
    weights = {"kernel": rng.normal(size=(inputs, columns)), "recurrent_kernel": rng.normal(size=(n, columns))}
    if bias is not False:
        weights["bias"] = rng.normal(size=(columns,) if bias is None else bias)
    return KerasLayer(kind, name, config, weights, calls)


def plain(kind, name="other", calls=(), weights=None, **config):
    return KerasLayer(kind, name, config, weights or {}, calls)


def dense(calls=(), **config):
    return plain("Dense", "out", calls, {"kernel": np.ones((n, 2)), "bias": np.ones(2)}, **config)


def read(*layers, family=None, **options):
    file = FileArrays(Path("m.keras"), "keras-v3", {"x": np.ones(1)}, layers=layers)
    return recognize(file, family, 0.1, options)[0]


def test_configuration_of_old_versions_means_their_defaults():
    assert isinstance(read(layer("SimpleRNN")), TanhRNN)
    assert read(layer("GRU")).reset_after is False
    assert not read(layer("GRU", bias=False)).b_in.any()


def test_gates_of_a_gru_are_put_in_our_order():
    source = layer("GRU", reset_after=True, bias=(2, 3 * n))
    model = read(source)
    update, reset, new = np.split(source.weights["recurrent_kernel"].T, 3)
    np.testing.assert_array_equal(model.W_rec, np.concatenate([reset, update, new]))
    np.testing.assert_array_equal(model.b_in[n : 2 * n], source.weights["bias"][0, :n])
    np.testing.assert_array_equal(model.b_rec[:n], source.weights["bias"][1, n : 2 * n])


def test_inactive_layers_are_passed_over():
    around = [plain("InputLayer"), plain("Masking"), plain("Dropout")]
    model = read(*around, layer("LSTM"), plain("Activation", activation="linear"), dense(), plain("Dropout"))
    assert (model.num_states, model.num_outputs) == (2 * n, 2)


def test_function_given_as_activation_is_named():
    assert isinstance(read(layer("SimpleRNN", activation={"class_name": "function", "config": "relu"})), rt.ReluRNN)


def test_given_family_must_be_that_of_the_layers():
    assert isinstance(read(layer("GRU"), family="gru"), GRU)
    assert isinstance(read(layer("GRU"), family="stacked_rnn"), StackedRNN)
    with pytest.raises(rt.ModelFileError, match="the file says itself that it is gru, not 'lstm'; drop `family`"):
        read(layer("GRU"), family="lstm")


def test_option_that_the_family_has_not_is_refused():
    with pytest.raises(TypeError, match=r"the family found with options \{'alpha': 1\}"):
        read(layer("SimpleRNN"), alpha=1)


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        ([plain("Conv1D"), layer("GRU")], r"the Keras model is Conv1D \+ GRU; supported are SimpleRNN, GRU and LSTM layers"),
        ([plain("InputLayer")], "the Keras model is no layers"),
        ([dense()], "the Keras model is Dense;"),
        ([layer("GRU"), dense(), dense()], r"GRU \+ Dense \+ Dense; supported"),
        ([layer("GRU"), dense(), layer("GRU")], r"GRU \+ Dense \+ GRU; supported"),
        ([layer("SimpleRNN"), plain("Activation", activation="tanh")], r"SimpleRNN \+ Activation\(tanh\); supported"),
        ([plain("Bidirectional")], "a Bidirectional layer reads the future.*Load a model with its forward layer alone"),
        ([plain("RNN", cell={"class_name": "StackedRNNCells"})], r"RNN\(StackedRNNCells\); supported"),
        ([layer("GRU", go_backwards=True)], "layer 'rnn' has go_backwards=True.*reverse the inputs instead"),
        ([layer("SimpleRNN", activation="elu")], "has activation 'elu'; supported are tanh, relu, linear, sigmoid and"),
        ([layer("LSTM", recurrent_activation="hard_sigmoid")], "has recurrent_activation 'hard_sigmoid'; retime's LSTM has sigmoid"),
        ([layer("GRU", activation="relu")], "has activation 'relu'; retime's GRU has tanh. Train it with"),
        ([layer("GRU", reset_after=True)], r"a `bias` of shape \(9,\); its configuration and kernels ask for \(2, 9\)"),
        ([plain("GRU")], "'other' .GRU. has no weights `kernel`; it has none"),
        ([layer("GRU"), dense(activation="softmax")], "layer 'out' has activation 'softmax'; a readout must be linear"),
        ([layer("GRU"), plain("Dense")], "layer 'other' has no weights `kernel`"),
        ([layer("GRU"), layer("LSTM", inputs=5)], "Layer 1 reads 5 inputs; layer 0 below it has 3"),
    ],
)  # fmt: skip
def test_layer_that_is_not_read_is_named(layers, match):
    with pytest.raises(rt.ModelFileError, match=match):
        read(*layers)


def test_kernels_of_another_cell_are_refused():
    source = layer("GRU")
    wrong = KerasLayer("LSTM", "rnn", {}, source.weights)
    with pytest.raises(
        rt.ModelFileError, match=r"`kernel` \(2, 9\) and `recurrent_kernel` \(3, 9\); both must have 4 x units"
    ):
        read(wrong)


def functional(**changes):
    """input -> masking -> first -> second -> out, with the calls of some layers changed."""
    calls = {
        "masking": (("input",),),
        "first": (("masking", "start"),),
        "second": (("first",),),
        "out": (("second",),),
    } | changes
    return [
        plain("InputLayer", "input"),
        plain("InputLayer", "start"),
        plain("Masking", "masking", calls["masking"]),
        layer("GRU", "first", calls=calls["first"]),
        layer("GRU", "second", inputs=n, calls=calls["second"]),
        dense(calls["out"]),
    ]


def test_functional_model_in_one_line_is_a_stack():
    assert isinstance(read(*functional()), StackedRNN)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"second": (("input",),)}, "layer 'second' reads 'input'; supported are"),
        ({"second": (("first", "first"),)}, "layer 'second' reads 'first', 'first'"),
        ({"first": (("second",),)}, "layer 'first' reads 'second'"),
        ({"out": (("first",),)}, "layer 'out' reads 'first'"),
        ({"second": (("first",), ("first",))}, "layer 'second' is used 2 times"),
    ],
)
def test_functional_model_with_branches_is_refused(changes, match):
    with pytest.raises(rt.ModelFileError, match=match):
        read(*functional(**changes))


def test_description_that_makes_no_sense_is_an_error():
    with pytest.raises(rt.ModelFileError, match="the file does not describe a network"):
        read(layer("GRU"), plain("TimeDistributed", layer="Dense"))

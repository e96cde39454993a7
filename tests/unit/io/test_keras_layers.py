"""What Keras layers are read as, and which are refused: from descriptions of layers, without Keras."""

import re
from dataclasses import replace
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


def dense(calls=(), weights=None, **config):
    return plain("Dense", "out", calls, {"kernel": np.ones((n, 2)), "bias": np.ones(2)} | (weights or {}), **config)


def read(*layers, family=None, version="", outputs=(), **options):
    metadata = {"keras_version": version}
    file = FileArrays(Path("m.keras"), "keras-v3", {"x": np.ones(1)}, layers=layers, metadata=metadata, outputs=outputs)
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
        ([layer("GRU"), dense(), dense()], r"A linear layer reads 3 numbers; the one below it gives 2"),
        ([layer("GRU"), dense(activation="relu"), layer("GRU")], r"GRU \+ Dense \+ GRU; supported.*'out' .Dense. before a recurrent one is"),
        ([plain("LayerNormalization"), layer("GRU")], r"LayerNormalization \+ GRU; supported.*'other' .LayerN.* is not affine"),
        ([plain("BatchNormalization", axis=1), layer("GRU")], r"'other' \(BatchNormalization\) acts along axis 1; only along the last"),
        ([plain("BatchNormalization"), layer("GRU")], r"'other' \(BatchNormalization\) has no weights `moving_mean`; it has none"),
        ([plain("Rescaling", scale=[1.0, 2.0, 3.0]), layer("GRU")], "A layer scales 3 numbers; it is given 2"),
        ([dense(), layer("GRU", inputs=4)], "A linear layer reads 4 numbers; the one below it gives 2"),
        ([layer("GRU"), plain("Sequential")], r"GRU \+ Sequential; supported"),
        ([plain("Bidirectional")], "a Bidirectional layer reads the future.*Load a model with its forward layer alone"),
        ([plain("RNN", cell={"class_name": "StackedRNNCells"})], r"RNN\(StackedRNNCells\); supported"),
        ([layer("GRU", go_backwards=True)], "layer 'rnn' has go_backwards=True.*reverse the inputs instead"),
        ([layer("SimpleRNN", activation="elu")], "has activation 'elu'; supported are tanh, relu, linear, sigmoid and"),
        ([layer("LSTM", recurrent_activation="hard_sigmoid")], "has recurrent_activation 'hard_sigmoid'; retime's LSTM has sigmoid"),
        ([layer("GRU", activation="relu")], "has activation 'relu'; retime's GRU has tanh. Train it with"),
        ([layer("GRU", reset_after=True)], r"a `bias` of shape \(9,\); its configuration and kernels ask for \(2, 9\)"),
        ([plain("GRU")], "'other' .GRU. has no weights `kernel`; it has none"),
        ([layer("GRU"), plain("Dense")], "layer 'other' .Dense. has no weights `kernel`"),
        ([plain("my>GRU")], "the Keras model is my>GRU; supported"),
        ([plain("RNN", cell={"class_name": "GRUCell", "module": "mine"})], r"RNN\(custom>GRUCell\); supported"),
        ([layer("GRU", inner_activation="hard_sigmoid")], "has inner_activation 'hard_sigmoid'; retime's GRU has sigmoid"),
        ([layer("GRU", bias=False, use_bias=True)], "'rnn' .GRU. has use_bias=True and no weights `bias`; it has kernel, rec"),
        ([layer("GRU"), dense(dtype="int8_from_float32")], "layer 'out' .Dense. is quantized; its weights are codes and scales"),
        ([layer("GRU"), dense(dtype={"config": {"mode": "int4/128"}})], "is quantized.*as it was before model.quantize"),
        ([layer("GRU"), dense(weights={"kernel": np.ones((n, 2), "i1")})], "layer 'out' .Dense. is quantized"),
        ([layer("GRU"), dense(weights={"lora_kernel_a": np.ones((n, 1))})], "'out' .Dense. also has the weights `lora_kernel_a`"),
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


@pytest.mark.parametrize(
    ("place", "outputs", "match"),
    [
        (5, (("out", 0),), "layer 'out' reads output 2 of layer 'second', one of its last states; retime reads the outputs only"),
        (2, (("out", 0),), None),
        (None, (("out", 0), ("second", 2)), None),
        (None, (("second", 2),), "the model gives output 2 of 'second'; it must give the outputs .output 0. of its last layer 'out'"),
    ],
)  # fmt: skip
def test_state_read_in_place_of_the_outputs_is_refused(place, outputs, match):
    layers = functional()
    if place is not None:
        layers[place] = replace(layers[place], reads=((2,),))
    if match is None:
        assert read(*layers, outputs=outputs).num_outputs == 2
        return
    with pytest.raises(rt.ModelFileError, match=match):
        read(*layers, outputs=outputs)


def test_gates_of_keras_1_are_hard_unless_said_otherwise():
    with pytest.raises(rt.ModelFileError, match="has inner_activation 'hard_sigmoid'; retime's LSTM has sigmoid"):
        read(layer("LSTM"), version="1.2.2")
    assert isinstance(read(layer("GRU", inner_activation="sigmoid"), version="1.2.2"), GRU)


def test_description_that_makes_no_sense_is_an_error():
    with pytest.raises(rt.ModelFileError, match="the file does not describe a network"):
        read(layer("GRU"), plain("TimeDistributed", layer="Dense"))


@pytest.mark.parametrize(
    ("layers", "activation"),
    [
        ([dense(activation="softmax")], "softmax"),
        ([dense(), plain("Softmax", "head")], "softmax"),
        ([dense(), plain("Dropout"), plain("Activation", "head", activation="sigmoid")], "logistic"),
        ([dense(activation={"class_name": "function", "config": "exponential"})], "exp"),
        ([dense(), plain("ReLU", max_value=None)], "relu"),
    ],
)
def test_function_of_the_outputs_is_the_activation_of_the_readout(layers, activation):
    model = read(layer("GRU"), *layers)
    assert (model.num_outputs, model.readout.activation) == (2, activation)


@pytest.mark.parametrize(
    ("layers", "note"),
    [
        ([dense(activation="gelu")], "Not read: the activation 'gelu' of layer 'out'"),
        ([dense(), plain("ReLU", "head", max_value=6.0)], r"Not read: layer 'head' \(ReLU\)"),
        ([dense(), plain("Flatten"), plain("Conv1D", "head")], r"layers 'other' \(Flatten\), 'head' \(Conv1D\)"),
        ([dense(), plain("Softmax"), dense()], r"layer 'out' \(Dense\)"),
        ([dense(), plain("Softmax", axis=1)], r"layer 'other' \(Softmax\)"),
    ],
)
def test_what_no_readout_is_is_named_and_left_out(layers, note):
    file = FileArrays(Path("m.keras"), "keras-v3", {"x": np.ones(1)}, layers=(layer("GRU"), *layers))
    model, recognition = recognize(file, None, 0.1, {})
    assert model.num_outputs == 2
    assert re.search(rf"{note}; the outputs are what (it is|they are) applied to", recognition.sentence("m.keras"))


def test_layers_below_are_part_of_the_input_weights():
    below = plain("BatchNormalization", weights={k: np.array(v) for k, v in {
        "gamma": [2.0, 0.5], "beta": [0.1, -0.3], "moving_mean": [1.0, 2.0], "moving_variance": [0.5, 3.0]}.items()}, epsilon=0.01)  # fmt: skip
    source = layer("LSTM")
    with_it, alone = read(below, plain("Dropout"), source), read(source)
    s, z = np.array([0.7, -0.4]), np.linspace(-0.5, 0.5, 2 * n)
    normalized = np.array([2.0, 0.5]) * (s - [1.0, 2.0]) / np.sqrt(np.array([0.5, 3.0]) + 0.01) + [0.1, -0.3]
    np.testing.assert_allclose(with_it.step(z, s), alone.step(z, normalized), rtol=0, atol=1e-14)


def test_a_head_of_a_functional_model_is_passed_over():
    chain = (layer("GRU", calls=(("in",),)), dense(calls=(("rnn",),)), plain("Softmax", "head", calls=(("out",),)))
    model = read(plain("InputLayer", "in"), *chain, outputs=(("head", 0),))
    assert model.num_outputs == 2

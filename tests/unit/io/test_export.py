"""`to_torch` and `to_keras`: what is handed over, and which models have no layer there."""

import sys
from dataclasses import replace

import numpy as np
import pytest

import retime as rt
from retime.io import to_keras, to_torch
from retime.models import GRU, LSTM, LeakyRNN, LinearSystem, StackedRNN, TanhRNN

n, m = 3, 2


def elman(rng, inputs=m, units=n):
    return rng.normal(size=(units, units)), rng.normal(size=(units, inputs)), rng.normal(size=units)


def gates(rng, g, inputs=m):
    return rng.normal(size=(g * n, n)), rng.normal(size=(g * n, inputs)), *rng.normal(size=(2, g * n))


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


# PyTorch.


def test_bias_of_an_elman_network_is_the_input_bias(torch, rng):
    model = TanhRNN(*elman(rng))
    weights = to_torch(model, dtype="float64")
    assert weights.layer == "RNN"
    assert weights.arguments == {
        "input_size": m, "hidden_size": n, "num_layers": 1, "nonlinearity": "tanh", "dtype": torch.float64
    }  # fmt: skip
    np.testing.assert_array_equal(weights.rnn["bias_ih_l0"].numpy(), model.b)
    assert not weights.rnn["bias_hh_l0"].any()
    assert weights.readout is None


def test_names_are_those_of_the_modules(torch, rng):
    model = StackedRNN([LSTM(*gates(rng, 4)), LSTM(*gates(rng, 4, n))])
    readout = np.zeros((2, 4 * n))
    readout[:, 2 * n : 3 * n] = 1.0
    weights = to_torch(replace(model, readout=readout))
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    assert list(weights.rnn) == [f"{name}_l{k}" for k in (0, 1) for name in names]
    assert list(weights.state_dict())[-2:] == ["readout.weight", "readout.bias"]
    rnn, linear = weights.modules()
    assert (rnn.num_layers, linear.in_features, linear.out_features) == (2, n, 2)


def test_missing_torch_names_the_command(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(rt.MissingDependencyError, match=r"pip install 'retime\[torch\]'"):
        to_torch(TanhRNN(*elman(rng)))


# Keras.


def test_gates_are_put_in_the_order_of_keras(rng):
    model = GRU(*gates(rng, 3))
    layer = to_keras(model).layers[0]
    reset, update, new = np.split(model.W_rec, 3)
    np.testing.assert_array_equal(layer.weights[1], np.concatenate([update, reset, new]).T.astype(np.float32))
    assert layer.weights[2].shape == (2, 3 * n)
    assert layer.arguments == {"units": n, "return_sequences": True, "reset_after": True}


def test_biases_are_added_where_keras_has_one(rng):
    before, lstm = GRU(*gates(rng, 3), reset_after=False), LSTM(*gates(rng, 4))
    assert to_keras(before).layers[0].weights[2].shape == (3 * n,)
    np.testing.assert_array_equal(to_keras(lstm).layers[0].weights[2], (lstm.b_in + lstm.b_rec).astype(np.float32))


@pytest.mark.parametrize(
    ("make", "activation"),
    [
        (lambda w: TanhRNN(*w), "tanh"),
        (lambda w: rt.ReluRNN(*w), "relu"),
        (lambda w: LinearSystem(w[0], w[2], w[1]), "linear"),
        (lambda w: LeakyRNN(*w, alpha=1.0, activation="sigmoid", form="rate"), "sigmoid"),
        (lambda w: LeakyRNN(*w, alpha=np.ones(n), activation="softplus", form="rate"), "softplus"),
    ],
)
def test_elman_networks_are_simple_rnn_layers(make, activation, rng):
    network = to_keras(make(elman(rng)))
    assert (network.num_inputs, network.layers[0].layer) == (m, "SimpleRNN")
    assert network.layers[0].arguments["activation"] == activation


def test_readout_is_a_dense_layer(rng):
    B, b = rng.normal(size=(2, n)), rng.normal(size=2)
    dense = to_keras(TanhRNN(*elman(rng), readout=(B, b))).readout
    assert (dense.layer, dense.arguments) == ("Dense", {"units": 2})
    np.testing.assert_array_equal(dense.weights[0], B.T.astype(np.float32))


def test_missing_keras_names_the_command(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(rt.MissingDependencyError, match=r"pip install 'retime\[keras\]'"):
        to_keras(TanhRNN(*elman(rng))).model()


# What has no layer.

LEAKY = {
    "leak": lambda r: LeakyRNN(*elman(r), alpha=0.5, form="rate"),
    "form": lambda r: LeakyRNN(*elman(r), alpha=1.0, form="current"),
}


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda r: rt.PLRNN(np.ones(n), np.eye(n), np.ones(n)), TypeError, "`model` is PLRNN; .* has layers for TanhRNN"),
        (lambda r: StackedRNN([rt.PLRNN(np.ones(n), np.eye(n), np.ones(n))]), TypeError, "a StackedRNN with a layer PLRNN"),
        (lambda r: None, TypeError, "`model` is NoneType"),
        (lambda r: TanhRNN(*elman(r), time=rt.Continuous()), ValueError, "`model` is TanhRNN in continuous time"),
        (LEAKY["leak"], ValueError, r"a LeakyRNN with alpha = 0\.5 and form='rate'; \w+ has no leak"),
        (LEAKY["form"], ValueError, "form='current'"),
        (lambda r: LeakyRNN(*elman(r), alpha=1.0, activation=np.sin, form="rate"), ValueError, "has a function as activation"),
        (lambda r: LinearSystem(np.eye(n), np.ones(n), np.ones((n, m)), readout=np.eye(n), D=np.ones((n, m))), ValueError, "direct feedthrough"),
        (lambda r: LSTM(*gates(r, 4), readout=np.ones((1, 2 * n))), ValueError, "`model.readout` reads the cells of the LSTM"),
        (lambda r: StackedRNN([GRU(*gates(r, 3)), GRU(*gates(r, 3, n))], readout=np.ones((1, 2 * n))), ValueError, "reads lower layers"),
        (lambda r: TanhRNN(1e300 * np.eye(n), np.ones((n, m)), np.ones(n)), ValueError, r"A weight of 1e\+300 is too large for float32"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("export", [to_torch, to_keras])
def test_model_without_a_layer_is_refused(export, make, error, match, rng):
    if export is to_torch:
        pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(error, match=match):
        export(make(rng))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda r: GRU(*gates(r, 3), reset_after=False), "PyTorch has no such cell: its reset gate acts after"),
        (
            lambda r: LinearSystem(np.eye(n), np.ones(n), np.ones((n, m))),
            "linear units; torch.nn.RNN has tanh and relu",
        ),
        (lambda r: LeakyRNN(*elman(r), alpha=1.0, activation="softplus", form="rate"), "has softplus units"),
        (lambda r: StackedRNN([GRU(*gates(r, 3)), LSTM(*gates(r, 4, n))]), "stacks GRU of 3 units, LSTM of 3 units"),
        (
            lambda r: StackedRNN([TanhRNN(*elman(r)), TanhRNN(*elman(r, n, 5))]),
            "TanhRNN of 3 units, TanhRNN of 5 units",
        ),
        (lambda r: StackedRNN([TanhRNN(*elman(r)), rt.ReluRNN(*elman(r, n))]), "layers of one kind and size only"),
    ],
)
def test_what_only_torch_has_not_is_refused(make, match, torch, rng):
    with pytest.raises(ValueError, match=match):
        to_torch(make(rng))


def test_other_precision_is_refused(rng):
    with pytest.raises(ValueError, match='`dtype` is \'float16\'; it must be "float32" or "float64"'):
        to_torch(TanhRNN(*elman(rng)), dtype="float16")


def test_network_without_inputs_does_not_go_to_torch():
    model = TanhRNN(np.eye(2), np.zeros((2, 0)), np.zeros(2))
    with pytest.raises(
        ValueError, match=r"`model` has 0 inputs; PyTorch's recurrent layers need input_size >= 1. Give"
    ):
        to_torch(model)

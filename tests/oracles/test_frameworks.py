"""Recurrent layers of PyTorch, Keras and ONNX: their outputs, step by step, are those of the loaded model.

Weights are those of the frameworks' initializers with random biases (moderate: every entry below 1), as made and after a
few steps of training. Tolerances: float32 weights are taken exactly and the frameworks compute in float32, whose rounding
(6e-8) accumulates over 30 steps, below 1e-6; in float64 the two differ by rounding alone, below 1e-12.
"""

import os
import warnings
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np
import pytest

import retime as rt
from retime.io import load_recognized, to_keras, to_torch
from retime.models import GRU, LSTM, LeakyRNN, LinearSystem, StackedRNN, TanhRNN

os.environ.setdefault("KERAS_BACKEND", "jax")

STEPS, BATCH, INPUTS, UNITS, OUTPUTS = 30, 4, 3, 6, 2
FLOAT32, FLOAT64 = 1e-6, 1e-12

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
needs_keras = pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed")
needs_onnx = pytest.mark.skipif(find_spec("onnx") is None, reason="onnx is not installed")


@contextmanager
def quiet():
    """Frameworks warn about themselves; retime's own warnings stay errors outside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def orbit(model, z, inputs):
    """States `(steps, batch, n)` after each step, for inputs `(steps, batch, m)`."""
    states = []
    for s in inputs:
        z = model.step(z, s)
        states.append(z)
    return np.array(states)


def load_quietly(path, **options):
    return load_recognized(path, **options)[0]


def worst(a, b):
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


# PyTorch. A case is (class, constructor's arguments, family= where the file does not tell).

TORCH_CASES = {
    "tanh": ("RNN", {}, None),
    "relu": ("RNN", {"nonlinearity": "relu"}, "relu_rnn"),
    "gru": ("GRU", {}, None),
    "lstm": ("LSTM", {}, None),
    "no bias": ("GRU", {"bias": False}, None),
    "two tanh layers": ("RNN", {"num_layers": 2}, None),
    "two relu layers": ("RNN", {"num_layers": 2, "nonlinearity": "relu"}, "relu_rnn"),
    "two gru layers": ("GRU", {"num_layers": 2}, None),
    "two lstm layers": ("LSTM", {"num_layers": 2}, None),
}
torch_cases = pytest.mark.parametrize("case", TORCH_CASES)


def torch_network(case, dtype):
    """A module with a recurrent and a linear part, its biases random."""
    import torch

    torch.manual_seed(20200713)
    kind, arguments, _ = TORCH_CASES[case]

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = getattr(torch.nn, kind)(INPUTS, UNITS, dtype=dtype, **arguments)
            self.readout = torch.nn.Linear(UNITS, OUTPUTS, dtype=dtype)

        def forward(self, x, state=None):
            return self.readout(self.rnn(x, state)[0])

    return Network()


def torch_trained(network, dtype):
    """A few steps of Adam on a random target."""
    import torch

    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    x, y = torch.randn(STEPS, BATCH, INPUTS, dtype=dtype), torch.randn(STEPS, BATCH, OUTPUTS, dtype=dtype)
    for _ in range(5):
        optimizer.zero_grad()
        ((network(x) - y) ** 2).mean().backward()
        optimizer.step()
    return network


def torch_start(network, rng, dtype):
    """A random start in PyTorch's form and in ours: layer by layer, outputs then cells."""
    import torch

    layers = network.rnn.num_layers
    h, c = rng.uniform(-1, 1, (2, layers, BATCH, UNITS))
    h, c = (torch.tensor(x, dtype=dtype) for x in (h, c))
    if isinstance(network.rnn, torch.nn.LSTM):
        parts = [x for k in range(layers) for x in (h[k], c[k])]
        return (h, c), torch.cat(parts, dim=-1).numpy().astype(float)
    return h, torch.cat(list(h), dim=-1).numpy().astype(float)


@needs_torch
@torch_cases
@pytest.mark.parametrize("trained", [False, True], ids=["random", "trained"])
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", FLOAT32), ("float64", FLOAT64)])
def test_torch_network_runs_alike(case, trained, precision, tolerance, rng, tmp_path):
    with quiet():
        import torch

        dtype = getattr(torch, precision)
        network = torch_network(case, dtype)
        network = torch_trained(network, dtype) if trained else network
        start, z = torch_start(network, rng, dtype)
        x = torch.tensor(rng.normal(size=(STEPS, BATCH, INPUTS)), dtype=dtype)
        with torch.no_grad():
            hidden, wanted = network.rnn(x, start)[0].numpy(), network(x, start).numpy()
        torch.save(network.state_dict(), tmp_path / "net.pt")
    model = load_quietly(tmp_path / "net.pt", family=TORCH_CASES[case][2])
    states = orbit(model, z, x.numpy().astype(float))
    last = states.shape[-1] - (2 * UNITS if "lstm" in case else UNITS)
    assert worst(states[..., last : last + UNITS], hidden) <= tolerance
    assert worst(model.outputs(states), wanted) <= tolerance


@needs_torch
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_torch_weights_read_alike_from_every_format(suffix, tmp_path):
    with quiet():
        import torch
        from safetensors.torch import save_file

        network = torch_network("two gru layers", torch.float32)
        weights = network.state_dict()
        torch.save(weights, tmp_path / "a.pt")
        save_file(weights, tmp_path / "a.safetensors")
        np.savez(tmp_path / "a.npz", **{name: value.numpy() for name, value in weights.items()})
    model = load_quietly(tmp_path / f"a{suffix}")
    assert isinstance(model, StackedRNN)
    np.testing.assert_array_equal(model.layers[1].W_rec, weights["rnn.weight_hh_l1"].numpy())
    np.testing.assert_array_equal(model.readout.B[:, UNITS:], weights["readout.weight"].numpy())


@needs_torch
@pytest.mark.parametrize(("cell", "family"), [("RNNCell", "tanh_rnn"), ("GRUCell", "gru"), ("LSTMCell", "lstm")])
def test_torch_cell_runs_alike(cell, family, rng, tmp_path):
    with quiet():
        import torch

        torch.manual_seed(1)
        layer = getattr(torch.nn, cell)(INPUTS, UNITS, dtype=torch.float64)
        torch.save(layer.state_dict(), tmp_path / "cell.pt")
        h, c, s = (
            rng.normal(size=(3, BATCH, UNITS))[0],
            rng.normal(size=(BATCH, UNITS)),
            rng.normal(size=(BATCH, INPUTS)),
        )
        start = (torch.tensor(h), torch.tensor(c)) if cell == "LSTMCell" else torch.tensor(h)
        with torch.no_grad():
            new = layer(torch.tensor(s), start)
        wanted = torch.cat(new, dim=-1).numpy() if cell == "LSTMCell" else new.numpy()
    model = load_quietly(tmp_path / "cell.pt")
    assert model.family == family
    z = np.concatenate([h, c], axis=-1) if cell == "LSTMCell" else h
    assert worst(model.step(z, s), wanted) <= FLOAT64


@needs_torch
@torch_cases
def test_model_goes_to_torch_and_comes_back(case, rng, tmp_path):
    with quiet():
        import torch

        torch.save(torch_network(case, torch.float32).state_dict(), tmp_path / "net.pt")
        model = load_quietly(tmp_path / "net.pt", family=TORCH_CASES[case][2])
        weights = to_torch(model)
        rnn, readout = weights.modules()
        x = torch.tensor(rng.normal(size=(STEPS, BATCH, INPUTS)), dtype=torch.float32)
        with torch.no_grad():
            wanted = readout(rnn(x)[0]).numpy()
        torch.save(weights.state_dict(), tmp_path / "again.pt")
    z = np.zeros((BATCH, model.num_states))
    assert worst(model.outputs(orbit(model, z, x.numpy().astype(float))), wanted) <= FLOAT32
    again = load_quietly(tmp_path / "again.pt", family=TORCH_CASES[case][2])
    assert worst(again.step(z, x[0].numpy()), model.step(z, x[0].numpy())) <= FLOAT32  # float32(b_ih + b_hh)


@needs_torch
def test_float64_weights_come_back_from_torch_bit_for_bit(rng, tmp_path):
    model = GRU(*rng.normal(size=(2, 9, 3)), *rng.normal(size=(2, 9)), readout=rng.normal(size=(2, 3)))
    with quiet():
        import torch

        torch.save(to_torch(model, dtype="float64").state_dict(), tmp_path / "gru.pt")
    assert load_quietly(tmp_path / "gru.pt") == model


# Keras.

KERAS_CASES = {
    "tanh": [("SimpleRNN", {})],
    "relu": [("SimpleRNN", {"activation": "relu"})],
    "linear": [("SimpleRNN", {"activation": "linear"})],
    "sigmoid": [("SimpleRNN", {"activation": "sigmoid"})],
    "softplus": [("SimpleRNN", {"activation": "softplus"})],
    "gru": [("GRU", {})],
    "gru, reset before": [("GRU", {"reset_after": False})],
    "lstm": [("LSTM", {})],
    "no bias": [("LSTM", {"use_bias": False})],
    "gru > lstm": [("GRU", {"dropout": 0.1}), ("LSTM", {"unit_forget_bias": False})],
    "two simple": [("SimpleRNN", {}), ("SimpleRNN", {"activation": "relu"})],
}
KERAS_CLASSES = {
    "tanh": TanhRNN,
    "relu": rt.ReluRNN,
    "linear": LinearSystem,
    "sigmoid": LeakyRNN,
    "softplus": LeakyRNN,
    "gru": GRU,
    "gru, reset before": GRU,
    "lstm": LSTM,
    "no bias": LSTM,
    "gru > lstm": StackedRNN,
    "two simple": StackedRNN,
}
keras_cases = pytest.mark.parametrize("case", KERAS_CASES)


def keras_network(case, rng):
    """A Sequential model with a Dense readout, its biases random and recurrent weights contracting."""
    import keras

    keras.utils.set_random_seed(20200713)
    layers = [
        getattr(keras.layers, kind)(UNITS, return_sequences=True, **arguments) for kind, arguments in KERAS_CASES[case]
    ]
    network = keras.Sequential([keras.layers.Input((STEPS, INPUTS)), *layers, keras.layers.Dense(OUTPUTS)])
    for layer in network.layers:
        weights = layer.get_weights()
        layer.set_weights([w * 0.5 if k == 1 else w if w.ndim == 2 and k == 0 else rng.uniform(-0.5, 0.5, w.shape)
                           for k, w in enumerate(weights)])  # fmt: skip
    return network


def keras_trained(network, rng):
    network.compile(optimizer="adam", loss="mse")
    x, y = rng.normal(size=(16, STEPS, INPUTS)), rng.normal(size=(16, STEPS, OUTPUTS))
    network.fit(x, y, epochs=2, batch_size=4, verbose=0)
    return network


def keras_outputs(network, x):
    return np.moveaxis(np.asarray(network(np.moveaxis(x, 0, 1))), 0, 1)


@needs_keras
@pytest.mark.parametrize(
    ("case", "trained"),
    [(case, False) for case in KERAS_CASES] + [(case, True) for case in ("tanh", "gru", "lstm", "gru > lstm")],
    ids=[f"random-{case}" for case in KERAS_CASES]
    + ["trained-tanh", "trained-gru", "trained-lstm", "trained-gru > lstm"],
)
def test_keras_network_runs_alike(case, trained, rng, tmp_path):
    with quiet():
        network = keras_network(case, rng)
        network = keras_trained(network, rng) if trained else network
        x = rng.normal(size=(STEPS, BATCH, INPUTS)).astype(np.float32)
        wanted = keras_outputs(network, x)
        network.save(tmp_path / "net.keras")
        network.save(tmp_path / "net.h5")
    model = load_quietly(tmp_path / "net.keras", dt=0.5)
    assert isinstance(model, KERAS_CLASSES[case])
    assert model.time == rt.Discrete(0.5)
    states = orbit(model, np.zeros((BATCH, model.num_states)), x.astype(float))
    assert worst(model.outputs(states), wanted) <= FLOAT32
    assert load_quietly(tmp_path / "net.h5", dt=0.5) == model


@needs_keras
@pytest.mark.parametrize("case", ["tanh", "gru", "gru, reset before", "lstm"])
def test_keras_layer_runs_alike_from_any_start(case, rng, tmp_path):
    with quiet():
        network = keras_network(case, rng)
        network.save(tmp_path / "net.keras")
        x = rng.normal(size=(STEPS, BATCH, INPUTS)).astype(np.float32)
        parts = rng.uniform(-1, 1, (2 if case == "lstm" else 1, BATCH, UNITS)).astype(np.float32)
        hidden = network.layers[0](np.moveaxis(x, 0, 1), initial_state=list(parts))
    model = load_quietly(tmp_path / "net.keras")
    states = orbit(model, np.concatenate(parts, axis=-1).astype(float), x.astype(float))
    assert worst(states[..., :UNITS], np.moveaxis(np.asarray(hidden), 0, 1)) <= FLOAT32


@needs_keras
@keras_cases
def test_model_goes_to_keras_and_comes_back(case, rng, tmp_path):
    with quiet():
        keras_network(case, rng).save(tmp_path / "net.keras")
        model = load_quietly(tmp_path / "net.keras")
        network = to_keras(model).model()
        x = rng.normal(size=(STEPS, BATCH, INPUTS)).astype(np.float32)
        wanted = keras_outputs(network, x)
        network.save(tmp_path / "again.keras")
    states = orbit(model, np.zeros((BATCH, model.num_states)), x.astype(float))
    assert worst(model.outputs(states), wanted) <= FLOAT32
    assert load_quietly(tmp_path / "again.keras") == model


@needs_keras
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_functional_keras_model_with_masking_wrappers_and_state_inputs_is_read(suffix, rng, tmp_path):
    with quiet():
        import keras

        layers = keras.layers
        x, h = layers.Input((None, INPUTS)), layers.Input((UNITS,))
        y = layers.Dropout(0.2)(layers.Masking()(x))
        y = layers.RNN(layers.GRUCell(UNITS), return_sequences=True)(y, initial_state=h)
        y = layers.Activation("linear")(y)
        network = keras.Model([x, h], layers.TimeDistributed(layers.Dense(OUTPUTS))(y))
        data = rng.normal(size=(STEPS, BATCH, INPUTS)).astype(np.float32)
        start = rng.uniform(-1, 1, (BATCH, UNITS)).astype(np.float32)
        wanted = np.moveaxis(np.asarray(network([np.moveaxis(data, 0, 1), start])), 0, 1)
        network.save(tmp_path / f"net.{suffix}")
    model = load_quietly(tmp_path / f"net.{suffix}")
    assert isinstance(model, GRU)
    assert worst(model.outputs(orbit(model, start.astype(float), data.astype(float))), wanted) <= FLOAT32


def around_recurrent_layers(case):
    """Layers of Keras around recurrent ones, and how many of them at the end are not read."""
    from keras import layers as k

    sequences = {"return_sequences": True}
    return {
        "everything affine": (
            [
                k.Normalization(mean=[1.0, -2.0, 0.5], variance=[2.0, 1.0, 0.3]),
                k.Rescaling(2.0, offset=0.1),
                k.TimeDistributed(k.Dense(4)),
                k.BatchNormalization(scale=False),
                k.GRU(UNITS, **sequences),
                k.BatchNormalization(center=False),
                k.Dense(3),
                k.TimeDistributed(k.BatchNormalization()),
                k.Dense(OUTPUTS, activation="sigmoid"),
            ],
            0,
        ),
        "between": (
            [
                k.LSTM(UNITS, **sequences),
                k.BatchNormalization(),
                k.Dense(4),
                k.SimpleRNN(UNITS, activation="linear", **sequences),
                k.Dense(OUTPUTS),
                k.Softmax(),
            ],
            0,
        ),
        "hidden layer": ([k.SimpleRNN(UNITS, **sequences), k.Dense(5, activation="relu"), k.Dense(1)], 1),
        "no dense": ([k.SimpleRNN(UNITS, **sequences), k.Activation("exponential")], 0),
    }[case]


@needs_keras
@pytest.mark.parametrize(
    "case",
    ["no dense", *(pytest.param(x, marks=pytest.mark.slow) for x in ("everything affine", "between", "hidden layer"))],
)
def test_layers_without_memory_around_recurrent_ones_are_folded(case, rng, tmp_path):
    with quiet():
        import keras

        layers, unread = around_recurrent_layers(case)
        network = keras.Sequential([keras.layers.Input((None, INPUTS)), *layers])
        for w in network.weights:
            w.assign(
                rng.uniform(0.5, 1.5, w.shape)
                if w.name in ("gamma", "moving_variance")
                else 0.4 * rng.normal(size=w.shape)
            )
        x = rng.normal(size=(STEPS, INPUTS))
        wanted = keras_outputs(keras.Sequential(network.layers[: len(layers) - unread]), x[:, None])[:, 0]
        for suffix in (".keras", ".h5"):
            network.save(tmp_path / f"net{suffix}")
    model = load_quietly(tmp_path / "net.keras")
    assert load_quietly(tmp_path / "net.h5") == model
    assert worst(rt.simulate(model, np.zeros(model.num_states), steps=STEPS, inputs=x).outputs[1:], wanted) <= FLOAT32
    with quiet():
        back = to_keras(model).model()
        assert worst(keras_outputs(back, x[:, None])[:, 0], wanted) <= FLOAT32


def randomized(network, rng):
    network.set_weights([0.4 * rng.normal(size=w.shape) for w in network.get_weights()])
    return network


@needs_keras
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_quantized_keras_layer_is_refused(suffix, rng, tmp_path):
    with quiet():
        network = keras_network("gru", rng)
        network.quantize("int8")
        network.save(tmp_path / f"net{suffix}")
    with pytest.raises(rt.ModelFileError, match="is quantized; its weights are codes and scales"):
        rt.load(tmp_path / f"net{suffix}")


@needs_keras
def test_adapters_of_a_keras_layer_are_merged_or_refused(rng, tmp_path):
    with quiet():
        network = keras_network("gru", rng)
        network.layers[-1].enable_lora(1)
        randomized(network, rng)
        network.save(tmp_path / "net.keras")
        network.save(tmp_path / "net.h5")
        x = rng.normal(size=(STEPS, INPUTS))
        wanted = keras_outputs(network, x[:, None])[:, 0]
    model = load_quietly(tmp_path / "net.keras")
    outputs = rt.simulate(model, np.zeros(UNITS), steps=STEPS, inputs=x).outputs[1:]
    assert worst(outputs, wanted) < 10 * FLOAT32  # the merged kernel is rounded once more
    with pytest.raises(rt.ModelFileError, match="also has the weights `lora_kernel_a`, `lora_kernel_b`"):
        rt.load(tmp_path / "net.h5")


@needs_keras
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_model_that_reads_the_cells_is_refused(suffix, tmp_path):
    import keras

    inputs = keras.layers.Input((None, 2))
    *_, cells = keras.layers.LSTM(4, return_state=True, name="rnn")(inputs)
    for outputs, match in (
        (keras.layers.Dense(2)(cells), "reads output 2 of layer 'rnn', one of its last states"),
        (cells, "the model gives output 2 of 'rnn'; it must give the outputs"),
    ):
        with quiet():
            keras.Model(inputs, outputs).save(tmp_path / f"net{suffix}")
        with pytest.raises(rt.ModelFileError, match=match):
            rt.load(tmp_path / f"net{suffix}")


@needs_keras
def test_keras_layer_of_another_class_under_a_known_name_is_refused(tmp_path):
    import keras

    class GRU(keras.layers.GRU):
        pass

    with quiet():
        keras.Sequential([keras.layers.Input((None, 2)), GRU(4)]).save(tmp_path / "net.keras")
    with pytest.raises(rt.ModelFileError, match="the Keras model is custom>GRU; supported are"):
        rt.load(tmp_path / "net.keras")


def test_keras_2_model_from_a_publication_is_loaded(data):
    import h5py

    path = data / "flipflop_simplernn_n400.hdf5"
    model = load_quietly(path, dt=1.0)
    assert isinstance(model, TanhRNN)
    assert (model.num_states, model.num_inputs, model.num_outputs, model.time) == (400, 3, 3, rt.Discrete(1.0))
    with h5py.File(path) as file:
        stored = {}
        file["model_weights"].visititems(
            lambda name, node: (
                stored.update({name.split("/")[-1] + str(node.shape): node[()]})
                if isinstance(node, h5py.Dataset)
                else None
            )
        )
    np.testing.assert_array_equal(model.W_rec, stored["recurrent_kernel:0(400, 400)"].T)
    np.testing.assert_array_equal(model.W_in, stored["kernel:0(3, 400)"].T)
    np.testing.assert_array_equal(model.readout.B, stored["kernel:0(400, 3)"].T)
    assert not model.b.any()


# ONNX: single nodes against its reference implementation (which has no ReLU), in float64, and files that PyTorch exports.

ONNX_CASES = {
    "tanh": ("RNN", {}),
    "gru, reset after": ("GRU", {"linear_before_reset": 1}),
    "gru, reset before": ("GRU", {"linear_before_reset": 0}),
    "lstm": ("LSTM", {}),
}


def onnx_model(case, rng, weights):
    """One recurrent node and a Gemm on the flattened outputs, with random weights in float64."""
    import onnx
    from onnx import helper

    kind, arguments = ONNX_CASES[case]
    rows = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind] * UNITS
    shapes = {"W": (1, rows, INPUTS), "R": (1, rows, UNITS), "B": (1, 2 * rows)}
    weights |= {name: rng.uniform(-0.5, 0.5, shape) for name, shape in shapes.items()}
    weights |= {"V": rng.normal(size=(OUTPUTS, UNITS)), "c": rng.normal(size=OUTPUTS)}
    constants = {"axes": np.array([1]), "rows": np.array([-1, UNITS])}
    states = ["h0", "c0"] if kind == "LSTM" else ["h0"]
    double = onnx.TensorProto.DOUBLE
    nodes = [
        helper.make_node(kind, ["x", "W", "R", "B", "", *states], ["Y"], hidden_size=UNITS, **arguments),
        helper.make_node("Squeeze", ["Y", "axes"], ["flat"]),
        helper.make_node("Reshape", ["flat", "rows"], ["table"]),
        helper.make_node("Gemm", ["table", "V", "c"], ["y"], transB=1),
    ]
    inputs = [helper.make_tensor_value_info("x", double, ["T", "B", INPUTS])]
    inputs += [helper.make_tensor_value_info(name, double, [1, "B", UNITS]) for name in states]
    outputs = [helper.make_tensor_value_info(name, double, None) for name in ("Y", "y")]
    stored = [onnx.numpy_helper.from_array(value, name) for name, value in (weights | constants).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


@needs_onnx
@pytest.mark.parametrize("case", ONNX_CASES)
def test_onnx_node_runs_as_its_reference(case, rng, tmp_path):
    with quiet():
        import onnx
        from onnx.reference import ReferenceEvaluator

        model = onnx_model(case, rng, {})
        onnx.save(model, tmp_path / "net.onnx")
        x, h, c = rng.normal(size=(STEPS, BATCH, INPUTS)), *rng.uniform(-1, 1, (2, BATCH, UNITS))
        starts = {"h0": h[None], "c0": c[None]} if case == "lstm" else {"h0": h[None]}
        Y, y = ReferenceEvaluator(model).run(None, {"x": x} | starts)
    found = load_quietly(tmp_path / "net.onnx")
    states = orbit(found, np.concatenate([h, c], axis=-1) if case == "lstm" else h, x)
    assert worst(states[..., :UNITS], Y[:, 0]) <= FLOAT64
    assert worst(found.outputs(states).reshape(-1, OUTPUTS), y) <= FLOAT64


@needs_torch
@needs_onnx
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("case", ["tanh", "relu", "gru", "lstm", "two gru layers", "two lstm layers", "no bias"])
def test_onnx_file_of_torch_is_read_as_its_state_dict(case, batch_first, tmp_path):
    with quiet():
        import torch

        network = torch_network(case, torch.float32)
        network.rnn.batch_first = batch_first
        x = torch.zeros(STEPS, BATCH, INPUTS)
        free = {"x": {0: "a", 1: "b"}}
        torch.onnx.export(network, (x,), tmp_path / "net.onnx", dynamo=False, input_names=["x"], dynamic_axes=free)
        torch.save(network.state_dict(), tmp_path / "net.pt")
    found = load_quietly(tmp_path / "net.onnx")
    wanted = load_quietly(tmp_path / "net.pt", family=TORCH_CASES[case][2])
    assert found == wanted


@needs_torch
@needs_onnx
@pytest.mark.slow
@pytest.mark.skipif(find_spec("onnxscript") is None, reason="onnxscript is not installed")
@pytest.mark.parametrize("is_free", [False, True], ids=["fixed", "free"])
@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_onnx_file_of_torch_by_its_default_exporter_is_read(kind, is_free, rng, tmp_path):
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = torch.nn.Linear(INPUTS, 4)
            self.rnn = getattr(torch.nn, kind)(4, UNITS, 2, batch_first=True)
            self.decode = torch.nn.Sequential(
                torch.nn.Linear(UNITS, 5), torch.nn.Linear(5, OUTPUTS), torch.nn.Sigmoid()
            )

        def forward(self, x):
            return self.decode(self.rnn(self.encode(x))[0])

    torch.manual_seed(0)
    network, x = Net().eval(), torch.as_tensor(rng.normal(size=(BATCH, STEPS, INPUTS)), dtype=torch.float32)
    free = {"x": {0: "batch"}} if is_free else None
    with quiet():
        torch.onnx.export(network, (x,), tmp_path / "net.onnx", input_names=["x"], dynamic_axes=free, verbose=False)
    wanted = network(x).detach().numpy()
    model = load_quietly(tmp_path / "net.onnx")
    states = orbit(model, np.zeros((BATCH, model.num_states)), np.moveaxis(x.numpy().astype(float), 0, 1))
    assert worst(model.outputs(states), np.moveaxis(wanted, 0, 1)) <= FLOAT32

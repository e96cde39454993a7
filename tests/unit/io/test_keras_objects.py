"""Live Keras models and layers, and files of bfloat16 weights, against what Keras itself gives."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

import retime as rt
from retime.io import load_recognized

os.environ.setdefault("KERAS_BACKEND", "jax")
pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed")

UNITS = 3


@pytest.fixture(scope="module")
def keras():
    import keras

    return keras


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 4, 2)).astype(np.float32)


def layer(keras, kind, **options):
    return getattr(keras.layers, kind)(UNITS, return_sequences=True, **options)


@pytest.mark.slow  # Keras compiles each layer before it runs
@pytest.mark.parametrize(("kind", "family"), [("SimpleRNN", "tanh_rnn"), ("GRU", "gru"), ("LSTM", "lstm")])
def test_a_sequential_model_gives_its_own_outputs(kind, family, keras, x):
    net = keras.Sequential([keras.Input((None, 2)), layer(keras, kind), keras.layers.Dense(1)])
    model, recognition = load_recognized(net, check=(x, np.asarray(net(x))))
    assert model.family == family
    assert recognition.reason.startswith(f"Keras {kind} + Dense")


@pytest.mark.slow
def test_a_functional_model_a_layer_and_a_class_of_ones_own_are_read(keras, x):
    start = keras.Input((None, 2))
    functional = keras.Model(start, keras.layers.Dense(2)(layer(keras, "GRU")(start)))
    assert rt.load(functional, check=(x, np.asarray(functional(x)))).num_outputs == 2
    alone = layer(keras, "SimpleRNN", activation="relu")
    wanted = np.asarray(alone(x))
    assert isinstance(rt.load(alone, check=(x, wanted)), rt.ReluRNN)

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = layer(keras, "LSTM"), keras.layers.Dense(1)

        def call(self, s):
            return self.out(self.rnn(s))

    own = Own()
    recognition = load_recognized(own, check=(x, np.asarray(own(x))))[1]
    assert any("taken one after the other, as it holds them" in note for note in recognition.notes)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of Keras
def test_a_live_model_and_its_file_are_one(keras, tmp_path):
    net = keras.Sequential(
        [keras.Input((None, 2)), layer(keras, "SimpleRNN", activation="relu"), keras.layers.Dense(1)]
    )
    net.save(tmp_path / "net.keras")
    assert rt.load(net) == rt.load(tmp_path / "net.keras")


def test_what_cannot_be_read_is_named(keras):
    with pytest.raises(
        rt.ModelFileError, match=r"GRU: expected a built Keras .* found no weights yet\. Call it on inputs"
    ):
        rt.load(layer(keras, "GRU"))
    dense = keras.layers.Dense(2)
    dense.build((None, 2))
    with pytest.raises(rt.ModelFileError, match="the Keras model is Dense"):
        rt.load(dense)


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        ("keras", "bfloat16"),
        *(pytest.param(*x, marks=pytest.mark.slow) for x in [("h5", "bfloat16"), ("keras", "float16")]),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_files_of_half_precision_are_read_exactly(suffix, dtype, keras, tmp_path):
    recurrent = layer(keras, "SimpleRNN", recurrent_initializer="glorot_uniform", dtype=dtype)
    net = keras.Sequential([keras.Input((None, 2)), recurrent, keras.layers.Dense(1, dtype=dtype)])
    net.save(tmp_path / f"net.{suffix}")
    want = np.asarray(recurrent.weights[1]).astype(np.float64).T
    for source in (net, tmp_path / f"net.{suffix}"):
        np.testing.assert_array_equal(rt.load(source).W_rec, want)

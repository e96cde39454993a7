"""Wrong parameters of a smooth family are refused with a reason; equivalent ones give equal models."""

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt

I2, Z2, C2 = np.ones(2), np.zeros((2, 2)), np.zeros((2, 1))
G, G1, g = np.zeros((6, 2)), np.zeros((6, 1)), np.zeros(6)
L, L1, l8 = np.zeros((8, 2)), np.zeros((8, 1)), np.zeros(8)

SHAPES = {
    "W_rec not square": (lambda: rt.TanhRNN(np.zeros((2, 3)), C2, I2), r"`W_rec` has shape \(2, 3\)"),
    "W_in of another size": (
        lambda: rt.TanhRNN(Z2, np.zeros((3, 1)), I2),
        r"`W_in` has shape \(3, 1\); it must be \(2, any\), one row per unit of `W_rec` \(2\)",
    ),
    "b too long": (lambda: rt.TanhRNN(Z2, C2, np.ones(3)), r"`b` has shape \(3,\); it must be \(2,\)"),
    "alpha too long": (
        lambda: rt.LeakyRNN(Z2, C2, I2, alpha=np.ones(3)),
        r"`alpha` has shape \(3,\); it must be a number or \(2,\), one per unit",
    ),
    "tau a matrix": (lambda: rt.RateRNN(Z2, C2, I2, tau=Z2 + 1), r"`tau` has shape \(2, 2\)"),
    "GRU with four gates": (
        lambda: rt.GRU(L, L1, l8, l8),
        r"`W_rec` has shape \(8, 2\); a GRU of 2 units needs \(6, 2\): 3 gates, stacked as in PyTorch",
    ),
    "GRU with a transposed kernel": (lambda: rt.GRU(G.T, G1, g, g), r"`W_rec` has shape \(2, 6\); a GRU of 6 units"),
    "GRU with one bias too short": (lambda: rt.GRU(G, G1, g[:2], g), r"`b_rec` has shape \(2,\); it must be \(6,\)"),
    "GRU with inputs of another size": (
        lambda: rt.GRU(G, np.zeros((5, 1)), g, g),
        r"`W_in` has shape \(5, 1\); it must be \(6, any\), 3 gates of 2 units",
    ),
    "LSTM with three gates": (
        lambda: rt.LSTM(G, G1, g, g),
        r"`W_rec` has shape \(6, 2\); an LSTM of 2 units needs \(8, 2\): 4 gates",
    ),
    "layers that do not fit": (
        lambda: rt.StackedRNN([rt.LSTM(L, L1, l8, l8), rt.TanhRNN(Z2, np.zeros((2, 4)), I2)]),
        "Layer 1 reads 4 inputs; layer 0 below it has 2 outputs",
    ),
    "resistance too long": (
        lambda: rt.HopfieldNetwork(Z2, I2, resistance=np.ones(3)),
        r"`resistance` has shape \(3,\); it must be a number or \(2,\)",
    ),
    "two gains": (lambda: rt.HopfieldNetwork(Z2, I2, gain=[1.0, 2.0]), r"`gain` has shape \(2,\)"),
    "map of another size": (
        lambda: rt.Map(lambda z: z[:1], 2),
        r"`f` of arguments of shape \(2,\) has shape \(1,\); it must be \(2,\)",
    ),
    "NumPy field of another size": (
        lambda: rt.VectorField(lambda z, s: np.concatenate([np.asarray(z, dtype=float), s]), 2, 1),
        r"`f` of arguments of shape \(2,\), \(1,\) has shape \(3,\); it must be \(2,\)",
    ),
    "Jacobian of another shape": (
        lambda: rt.VectorField(lambda z: z, 2, jacobian_of=lambda z: z),
        r"has shape \(2,\); it must be \(2, 2\)",
    ),
    "activation that is not elementwise": (
        lambda: rt.RateRNN(Z2, C2, I2, tau=1.0, activation=lambda x: jnp.sum(x)),
        r"`activation` of arguments of shape \(2,\) has shape \(\); it must be \(2,\)",
    ),
    "readout of another size": (
        lambda: rt.GRU(G, G1, g, g, readout=np.zeros((1, 3))),
        r"`readout B` has shape \(1, 3\); it must be \(any, 2\)",
    ),
}

VALUES = {
    "alpha zero": (
        lambda: rt.LeakyRNN(Z2, C2, I2, alpha=0.0),
        r"`alpha` holds 0\.0; the leak, dt / tau, must be positive",
    ),
    "one alpha negative": (lambda: rt.LeakyRNN(Z2, C2, I2, alpha=[0.5, -0.5]), r"`alpha` holds -0\.5"),
    "tau negative": (lambda: rt.RateRNN(Z2, C2, I2, tau=-1.0), "`tau` holds -1.0; the time constant, must be positive"),
    "tau NaN": (lambda: rt.RateRNN(Z2, C2, I2, tau=np.nan), "`tau` holds nan"),
    "unknown form": (
        lambda: rt.RateRNN(Z2, C2, I2, tau=1.0, form="voltage"),
        "`form` is 'voltage'; it must be \"current\"",
    ),
    "unknown activation": (
        lambda: rt.RateRNN(Z2, C2, I2, tau=1.0, activation="gelu"),
        "`activation` is 'gelu'; it must be one of tanh, relu, softplus, logistic, linear",
    ),
    "LeakyRNN in continuous time": (
        lambda: rt.LeakyRNN(Z2, C2, I2, alpha=0.5, time=rt.Continuous()),
        r"a LeakyRNN steps\. For a differential equation use RateRNN",
    ),
    "RateRNN in discrete time": (
        lambda: rt.RateRNN(Z2, C2, I2, tau=1.0, time=rt.Discrete(0.1)),
        r"`time` is Discrete\(dt=0\.1\); a RateRNN flows",
    ),
    "HopfieldNetwork in discrete time": (
        lambda: rt.HopfieldNetwork(Z2, I2, time=rt.Discrete(0.1)),
        "a HopfieldNetwork flows",
    ),
    "Hopfield activation without an inverse": (
        lambda: rt.HopfieldNetwork(Z2, I2, activation="relu"),
        '`activation` is \'relu\'; it must be "tanh" or "logistic", which have an inverse',
    ),
    "capacitance zero": (lambda: rt.HopfieldNetwork(Z2, I2, capacitance=[1.0, 0.0]), r"`capacitance` holds 0\.0"),
    "gain negative": (lambda: rt.HopfieldNetwork(Z2, I2, gain=-2.0), r"`gain` holds -2\.0"),
    "no layers": (lambda: rt.StackedRNN([]), "`layers` is empty"),
    "stack in continuous time": (
        lambda: rt.StackedRNN([rt.TanhRNN(Z2, C2, I2)], time=rt.Continuous()),
        "a StackedRNN steps",
    ),
    "map in continuous time": (
        lambda: rt.Map(lambda z: z, 2, time=rt.Continuous()),
        r"a Map steps\. For a differential equation use VectorField",
    ),
    "field in discrete time": (
        lambda: rt.VectorField(lambda z: z, 2, time=rt.Discrete(0.1)),
        r"a VectorField flows\. For a map use Map",
    ),
    "no states": (lambda: rt.Map(lambda z: z, 0), "`num_states` is 0; it must be a whole number >= 1"),
    "states not counted": (lambda: rt.Map(lambda z: z), "`num_states` is 0; it must be a whole number >= 1"),
    "half an input": (lambda: rt.Map(lambda z, s: z, 2, 0.5), "`num_inputs` is 0.5"),
    "NaN in a gate": (
        lambda: rt.GRU(G + np.nan, G1, g, g),
        r"`W_rec` holds nan at \(0, 0\); every entry must be finite",
    ),
    "complex weights": (lambda: rt.TanhRNN(Z2 * 1j, C2, I2), "`W_rec` is complex; it must be real"),
}

TYPES = {
    "layer in continuous time": (
        lambda: rt.StackedRNN([rt.RateRNN(Z2, C2, I2, tau=1.0)]),
        r"every layer must be a map \(a model in discrete time\)",
    ),
    "layer that is no model": (lambda: rt.StackedRNN(["lstm"]), "`layers` holds 'lstm'"),
    "activation that is a number": (
        lambda: rt.RateRNN(Z2, C2, I2, tau=1.0, activation=3),
        r"`activation` is 3; it must be a name \(tanh, relu",
    ),
    "field that is no function": (lambda: rt.VectorField(Z2, 2), "`f` is ndarray; it must be a function of the state"),
    "time that is a number": (lambda: rt.TanhRNN(Z2, C2, I2, time=0.1), r"it must be Discrete\(dt\) or Continuous\(\)"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_parameter_of_a_wrong_shape_is_refused_with_a_reason(name):
    make, match = SHAPES[name]
    with pytest.raises(rt.ShapeError, match=match):
        make()


@pytest.mark.parametrize("name", VALUES)
def test_parameter_with_a_wrong_value_is_refused_with_a_reason(name):
    make, match = VALUES[name]
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("name", TYPES)
def test_parameter_of_a_wrong_type_is_refused_with_a_reason(name):
    make, match = TYPES[name]
    with pytest.raises(TypeError, match=match):
        make()


def test_one_time_constant_is_the_same_for_all_units(rng):
    W, b, z = rng.normal(size=(2, 2)), rng.normal(size=2), rng.normal(size=2)
    one, each = rt.RateRNN(W, C2, b, tau=0.7), rt.RateRNN(W, C2, b, tau=[0.7, 0.7])
    np.testing.assert_array_equal(one.field(z), each.field(z))
    assert isinstance(one.tau, float)


def test_networks_without_inputs_take_none(rng):
    model = rt.RateRNN(rng.normal(size=(2, 2)), None, I2, tau=1.0)
    assert model.num_inputs == 0
    assert rt.HopfieldNetwork(Z2, I2).num_inputs == 0
    z = rng.normal(size=2)
    np.testing.assert_allclose(model.field(z), -z + model.W_rec @ np.tanh(z) + 1, rtol=0, atol=1e-14)

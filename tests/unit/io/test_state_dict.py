"""Recurrent weights by name: which cell, how many layers, which readout, and what is refused."""

import re

import numpy as np
import pytest

import retime as rt
from retime.io import load_recognized
from retime.models import GRU, LSTM, LeakyRNN, RateRNN, StackedRNN, TanhRNN

n, m = 3, 2


def layer(rng, gates=1, *, k=0, inputs=m, prefix="", bias=True, units=n):
    """Arrays of one layer under PyTorch's names."""
    shapes = {f"weight_ih_l{k}": (gates * units, inputs), f"weight_hh_l{k}": (gates * units, units)}
    if bias:
        shapes |= {f"bias_ih_l{k}": (gates * units,), f"bias_hh_l{k}": (gates * units,)}
    return {prefix + name: rng.normal(size=shape) for name, shape in shapes.items()}


@pytest.fixture
def written(tmp_path):
    def write(arrays):
        np.savez(tmp_path / "net.npz", **arrays)
        return tmp_path / "net.npz"

    return write


@pytest.mark.parametrize(("gates", "cls"), [(1, TanhRNN), (3, GRU), (4, LSTM)])
@pytest.mark.parametrize("prefix", ["", "rnn.", "model.encoder."])
def test_rows_decide_the_cell_under_any_prefix(gates, cls, prefix, rng, written):
    arrays = layer(rng, gates, prefix=prefix)
    model, recognition = load_recognized(written(arrays), dt=0.1)
    assert type(model) is cls
    assert recognition.family == cls.family
    assert model.time == rt.Discrete(0.1)
    np.testing.assert_array_equal(model.W_rec, arrays[f"{prefix}weight_hh_l0"])


def test_biases_of_an_elman_network_are_added(rng, written):
    arrays = layer(rng)
    model = load_recognized(written(arrays))[0]
    np.testing.assert_array_equal(model.b, arrays["bias_ih_l0"] + arrays["bias_hh_l0"])


def test_missing_biases_are_zero(rng, written):
    model = load_recognized(written(layer(rng, 3, bias=False)))[0]
    assert not model.b_in.any()
    assert not model.b_rec.any()


def test_nonlinearity_that_the_file_does_not_name_is_said(rng, written, caplog):
    rt.load(written(layer(rng)))
    assert "read as tanh_rnn (`weight_hh_l0` 3x3, `weight_ih_l0` 3x2)." in caplog.messages[0]
    assert 'The same arrays also fit family="relu_rnn".' in caplog.messages[0]
    assert "does not name its nonlinearity: tanh is the default of nn.RNN" in caplog.messages[0]


def test_plain_names_are_a_relu_network(rng, written):
    model, recognition = load_recognized(written({"W_rec": np.eye(n), "W_in": np.ones((n, m)), "b": np.ones(n)}))
    assert model == rt.ReluRNN(np.eye(n), np.ones((n, m)), np.ones(n))
    assert recognition.others == (
        'family="tanh_rnn"', 'family="leaky_rnn" (needs alpha=...)', 'family="rate_rnn" (needs tau=...)'
    )  # fmt: skip
    assert "neither the nonlinearity, nor a leak or a time constant" in recognition.notes[0]


@pytest.mark.parametrize(
    ("family", "options", "wanted"),
    [
        ("tanh_rnn", {}, TanhRNN),
        ("relu_rnn", {}, rt.ReluRNN),
        ("leaky_rnn", {"alpha": 0.25, "activation": "relu"}, LeakyRNN),
        ("rate_rnn", {"tau": 2.0, "activation": "softplus", "form": "rate"}, RateRNN),
        ("stacked_rnn", {}, StackedRNN),
    ],
)
@pytest.mark.parametrize("names", ["torch", "plain"])
def test_given_family_and_its_options_are_taken(family, options, wanted, names, rng, written):
    arrays = layer(rng, bias=False)
    W_rec, W_in = arrays["weight_hh_l0"], arrays["weight_ih_l0"]
    path = written(arrays if names == "torch" else {"W_rec": W_rec, "W_in": W_in})
    model, recognition = load_recognized(path, family=family, **options)
    assert type(model) is wanted
    assert recognition.family == family
    assert all(getattr(model, name) == value for name, value in options.items())


def test_gates_under_plain_names_are_read(rng, written):
    W_rec, W_in, b_rec, b_in = rng.normal(size=(9, 3)), rng.normal(size=(9, 2)), *rng.normal(size=(2, 9))
    path = written({"W_rec": W_rec, "W_in": W_in, "b_rec": b_rec, "b_in": b_in})
    assert load_recognized(path)[0] == GRU(W_rec, W_in, b_rec, b_in)
    assert load_recognized(path, family="gru", reset_after=False)[0] == GRU(W_rec, W_in, b_rec, b_in, reset_after=False)


def test_rate_network_without_inputs_is_read(rng, written):
    W = rng.normal(size=(n, n))
    assert load_recognized(written({"W_rec": W, "b": np.ones(n)}), family="rate_rnn", tau=1.0)[0].num_inputs == 0


def test_layers_are_stacked_in_the_order_of_their_numbers(rng, written):
    arrays = layer(rng, 4, k=1, inputs=n) | layer(rng, 4, k=0) | layer(rng, 4, k=2, inputs=n)
    model, recognition = load_recognized(written(arrays), dt=0.5)
    assert [type(x) for x in model.layers] == [LSTM] * 3
    np.testing.assert_array_equal(model.layers[2].W_in, arrays["weight_ih_l2"])
    assert {x.time for x in (model, *model.layers)} == {rt.Discrete(0.5)}
    assert "`weight_hh_l2` 12x3" in recognition.reason


def test_given_family_is_that_of_every_layer(rng, written):
    path = written(layer(rng) | layer(rng, k=1, inputs=n))
    relu = load_recognized(path, family="relu_rnn")[0]
    assert [type(x) for x in relu.layers] == [rt.ReluRNN] * 2
    leaky = load_recognized(path, family="leaky_rnn", alpha=0.5)[0]
    assert [x.alpha for x in leaky.layers] == [0.5, 0.5]


@pytest.mark.parametrize(("gates", "layers", "states"), [(1, 1, 3), (4, 1, 6), (3, 2, 6), (4, 2, 12)])
def test_readout_acts_on_the_last_outputs(gates, layers, states, rng, written):
    arrays = {}
    for k in range(layers):
        arrays |= layer(rng, gates, k=k, inputs=n if k else m, prefix="rnn.")
    arrays |= {"fc.weight": rng.normal(size=(2, n)), "fc.bias": rng.normal(size=2)}
    model, recognition = load_recognized(written(arrays))
    first = states - (2 * n if gates == 4 else n)
    wanted = np.zeros((2, states))
    wanted[:, first : first + n] = arrays["fc.weight"]
    np.testing.assert_array_equal(model.readout.B, wanted)
    np.testing.assert_array_equal(model.readout.b, arrays["fc.bias"])
    assert recognition.notes[-1] == "`fc.weight` is the readout."


def test_decoder_of_several_layers_is_not_taken_for_a_readout(rng, written):
    arrays = layer(rng, 3) | {"fc1.weight": rng.normal(size=(8, n)), "fc2.weight": rng.normal(size=(2, 8))}
    model, recognition = load_recognized(written(arrays))
    assert model.readout is None
    assert recognition.notes == (
        "No readout in `fc1.weight`, `fc2.weight`; it is one linear layer (outputs x 3) after the recurrent one.",
    )
    assert recognition.sentence("net.npz").endswith("Not read: `fc1.weight` 8x3, `fc2.weight` 2x8.")


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ({"embedding.weight": (100, n)}, {}, "`embedding.weight` is not taken for the readout: .*it is an embedding"),
        ({}, {"embed.weight": (100, n)}, "`embed.weight` is not taken for the readout: .*it is an embedding"),
        ({"encoder.weight": (m, n), "encoder.bias": (m,)}, {}, "it stands before the recurrent weights"),
        ({}, {"attn.in_proj_weight": (9, n), "attn.out_proj.weight": (n, n)}, "`attn.in_proj_weight` beside it"),
        ({}, {"fc.weight": (2, n), "fc.weight_mask": (2, n)}, "`fc.weight_mask` beside it belongs to the same module"),
    ],
)
def test_layer_that_may_feed_the_network_is_not_taken_for_a_readout(before, after, why, rng, written):
    made = [{name: rng.normal(size=shape) for name, shape in x.items()} for x in (before, after)]
    model, recognition = load_recognized(written(made[0] | layer(rng, 3, prefix="rnn.") | made[1]))
    assert model.readout is None
    assert re.search(why, recognition.notes[-1])
    assert all(f"`{name}`" in recognition.unread for name in before | after)


def test_bias_of_the_readout_beside_plain_names_is_kept(written):
    arrays = {"W_rec": np.eye(n), "W_in": np.ones((n, m)), "B": np.ones((2, n)), "b": np.array([1.0, 2.0])}
    np.testing.assert_array_equal(load_recognized(written(arrays))[0].readout.b, arrays["b"])


@pytest.mark.parametrize("options", [{}, {"family": "relu_rnn"}])
def test_arrays_that_are_not_read_are_listed(options, written, caplog):
    arrays = {
        "W_rec": np.eye(n),
        "W_in": np.ones((n, m)),
        "targets": np.ones((2, 7)),
        "noise": np.ones(2),
        "z0": np.ones(n),
    }
    rt.load(written(arrays), **options)
    assert caplog.messages[0].endswith("Not read: `targets` 2x7, `noise` 2.")


def test_layers_under_plain_names_of_two_places_are_refused(written):
    arrays = {f"l{k}.{name}": (k + 1) * np.eye(n) for k in range(2) for name in ("W_rec", "W_in")}
    with pytest.raises(
        rt.ModelFileError, match=r"2 different arrays for `W_rec` \(`l0.W_rec`, `l1.W_rec`\).*save it alone"
    ):
        rt.load(written(arrays))


def test_own_readout_is_kept(rng, written):
    arrays = {"W_rec": np.eye(n), "W_in": np.ones((n, m)), "B": np.ones((2, n)), "readout_b": np.ones(2)}
    assert load_recognized(written(arrays))[0].num_outputs == 2


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        ({"weight_ih_l0": (12, m)}, {}, "`weight_ih_l0` 12x2 does not go with `weight_hh_l0` 9x3, a GRU of 3 units; it must be 9 x"),
        ({"bias_ih_l0": (12,)}, {}, "`bias_ih_l0` 12 does not go with `weight_hh_l0` 9x3.*it must be 9. Check"),
        ({"bias_hh_l0": (3,)}, {}, "`bias_hh_l0` 3 does not go with `weight_hh_l0` 9x3"),
        ({"weight_hh_l0": (6, 3)}, {}, "`weight_hh_l0` is 6x3; it must be n x n .*3n x n .*4n x n"),
        ({"weight_hh_l0": (9,)}, {}, "`weight_hh_l0` is 9; it must be"),
        ({"weight_hh_l0_reverse": (9, 3)}, {}, "backward direction .`weight_hh_l0_reverse`., which reads the future"),
        ({"weight_hr_l0": (2, 3)}, {}, "projected outputs .`weight_hr_l0`, proj_size > 0."),
        ({"other.weight_ih_l0": (9, 2)}, {}, r"2 recurrent modules \(, other\)"),
        ({"weight_hh_l1": (9, 3)}, {}, "`weight_ih_l1` is missing; each of the 2 layers"),
        ({"weight_hh_l2": (9, 3), "weight_ih_l2": (9, 3)}, {}, "`weight_hh_l1` is missing"),
        ({"weight_hh_l1": (9, 3), "weight_ih_l1": (9, 5)}, {}, "Layer 1 reads 5 inputs; layer 0 below it has 3 outputs"),
        ({"B": (2, 4)}, {"family": "tanh_rnn"}, "`weight_hh_l0` 9x3 is a GRU, not 'tanh_rnn'; pass family='gru', or leave"),
        ({"fc.weight": (2, 3), "fc.bias": (5,)}, {}, "`readout b` has shape"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_named(change, options, match, rng, written):
    arrays = layer(rng, 3) | {name: rng.normal(size=shape) for name, shape in change.items()}
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(written(arrays), **options)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"family": "rate_rnn"}, TypeError, "family 'rate_rnn' with options {}: it needs tau="),
        ({"family": "leaky_rnn"}, TypeError, "it needs alpha="),
        ({"family": "tanh_rnn", "alpha": 0.1}, TypeError, "family 'tanh_rnn' with options .*alpha"),
        ({"reset_after": True}, TypeError, "the family found with options"),
        (
            {"family": "rate_rnn", "tau": 1.0, "dt": 0.1},
            ValueError,
            "`dt` was given, but a rate_rnn is in continuous time",
        ),
        ({"family": "rate_rnn", "tau": -1.0}, rt.ModelFileError, "`tau` holds -1"),
        (
            {"family": "lstm"},
            rt.ModelFileError,
            "3x3 is an Elman network, not 'lstm'; pass family='tanh_rnn' or 'relu_rnn'",
        ),
    ],
)
def test_wrong_option_is_refused_with_a_reason(options, error, match, rng, written):
    with pytest.raises(error, match=match):
        rt.load(written(layer(rng)), **options)


def test_family_without_recurrent_weights_says_what_it_needs(written):
    with pytest.raises(rt.ModelFileError, match=r"family lstm needs `W_rec` \(also accepted: weight_hh_l0, weight_hh"):
        rt.load(written({"A": np.eye(2)}), family="lstm")


def test_families_without_a_file_of_their_own_are_read_by_the_constructors_names(rng, written):
    T = rng.normal(size=(n, n))
    assert rt.load(written({"T": T, "I": np.ones(n)}), family="hopfield", gain=2.0).gain == 2.0
    arrays = {"A": np.eye(n), "W1": np.ones((n, 4)), "W2": np.ones((4, n)), "h1": np.ones(n), "h2": np.ones(4)}
    model = rt.load(written(arrays | {"C2": np.ones((4, m))}), family="piecewise_affine", dt=0.1)
    assert (model.num_units, model.num_inputs, model.dt) == (4, m, 0.1)
    with pytest.raises(rt.ModelFileError, match="family hopfield needs `T`, `I`; the file holds"):
        rt.load(written(arrays), family="hopfield")


def linear_layers(rng, *shapes):
    return {
        f"{name}.{x}": rng.normal(size=size)
        for name, *shape in shapes
        for x, size in (("weight", shape), ("bias", shape[0]))
    }


def test_linear_layers_one_after_the_other_are_one_readout(rng, tmp_path):
    rnn = {"rnn.weight_ih_l0": rng.normal(size=(4, 2)), "rnn.weight_hh_l0": rng.normal(size=(4, 4))}
    head = linear_layers(rng, ("fc.0", 5, 4), ("fc.1", 3, 5))
    np.savez(tmp_path / "net.npz", **rnn, **head)
    z = rng.normal(size=4)
    wanted = head["fc.1.weight"] @ (head["fc.0.weight"] @ z + head["fc.0.bias"]) + head["fc.1.bias"]
    np.testing.assert_allclose(rt.load(tmp_path / "net.npz").outputs(z), wanted, rtol=0, atol=1e-13)
    np.savez(tmp_path / "net.npz", **rnn, **linear_layers(rng, ("fc.0", 5, 4), ("fc.2", 3, 5)))  # fc.1 is a function
    assert rt.load(tmp_path / "net.npz").readout is None


def test_a_linear_layer_below_does_not_hide_the_readout(rng, tmp_path, caplog):
    arrays = linear_layers(rng, ("encode", 2, 7))
    arrays |= {"rnn.weight_ih_l0": rng.normal(size=(4, 2)), "rnn.weight_hh_l0": rng.normal(size=(4, 4))}
    arrays |= linear_layers(rng, ("decode", 3, 4))
    np.savez(tmp_path / "net.npz", **arrays)
    model = rt.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(model.readout.B, arrays["decode.weight"])
    assert "`encode.weight` feeds the recurrent layer and is not part of the model, whose inputs are" in caplog.text

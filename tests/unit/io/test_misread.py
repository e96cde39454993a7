"""Files that look like one network and are another: read rightly, or the doubt is said."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.io

import retime as rt
from retime.io import load_recognized

n, m, B = 4, 2, 3
TORCH = {"weight_ih_l0": (n, m), "weight_hh_l0": (n, n), "bias_ih_l0": (n,), "bias_hh_l0": (n,)}


@pytest.fixture
def written(tmp_path):
    def write(arrays, name="net.npz"):
        path = tmp_path / name
        scipy.io.savemat(path, arrays) if path.suffix == ".mat" else np.savez(path, **arrays)
        return path

    return write


@pytest.fixture
def plrnn(rng):
    W = rng.normal(size=(n, n)) / 3
    np.fill_diagonal(W, 0)
    return {"A": rng.uniform(0.3, 0.9, n), "W": W, "h": rng.normal(size=n)}


def lstm_layer(rng, k, inputs, prefix="rnn."):
    shapes = {
        f"weight_ih_l{k}": (4 * n, inputs),
        f"weight_hh_l{k}": (4 * n, n),
        f"bias_ih_l{k}": (4 * n,),
        f"bias_hh_l{k}": (4 * n,),
    }
    return {prefix + name: rng.normal(size=shape) for name, shape in shapes.items()}


# Leak, time constant, nonlinearity.


def test_recurrent_weights_without_a_form_name_the_families_that_fit(rng, written, caplog):
    arrays = {
        "W_rec": rng.normal(size=(n, n)),
        "W_in": rng.normal(size=(n, m)),
        "W_out": rng.normal(size=(1, n)),
        "b_out": [0.5],
    }
    model = rt.load(written(arrays | {"init_state": np.ones((1, n))}))
    assert "neither the nonlinearity, nor a leak or a time constant" in caplog.messages[0]
    assert 'family="leaky_rnn" (needs alpha=...) and family="rate_rnn" (needs tau=...)' in caplog.messages[0]
    np.testing.assert_array_equal(model.readout.B, arrays["W_out"])
    np.testing.assert_array_equal(model.readout.b, [0.5])


def test_initial_state_of_such_a_file_is_read(rng, written):
    path = written(
        {"W_rec": rng.normal(size=(n, n)), "W_in": rng.normal(size=(n, m)), "init_state": np.arange(n)[None]}
    )
    np.testing.assert_array_equal(rt.io.initial_states(path), np.arange(n)[None])


@pytest.mark.parametrize("name", ["alpha", "tau", "leak_rate"])
def test_a_file_with_a_leak_is_not_read_without_one(name, rng, written):
    arrays = {"W_rec": rng.normal(size=(n, n)), "W_in": rng.normal(size=(n, m)), name: 0.2}
    with pytest.raises(rt.ModelFileError, match=rf'holds `{name}`, as leaky networks do.*family="leaky_rnn", alpha='):
        rt.load(written(arrays))
    assert rt.load(written(arrays), family="leaky_rnn", alpha=0.2).alpha == 0.2


def test_layers_of_a_continuous_time_rnn_ask_for_the_leak(rng, written):
    arrays = {"rnn.h2h.weight": rng.normal(size=(n, n)), "rnn.h2h.bias": rng.normal(size=n)}
    arrays |= {"rnn.input2h.weight": rng.normal(size=(n, m)), "rnn.input2h.bias": rng.normal(size=n)}
    with pytest.raises(rt.ModelFileError, match=r"has the layers `h2h` and `input2h`.*alpha="):
        rt.load(written(arrays))
    model = rt.load(written(arrays), family="leaky_rnn", alpha=0.1, activation="relu", form="rate")
    z, s = rng.normal(size=n), rng.normal(size=m)
    g = (
        arrays["rnn.h2h.weight"] @ z
        + arrays["rnn.input2h.weight"] @ s
        + arrays["rnn.h2h.bias"]
        + arrays["rnn.input2h.bias"]
    )
    np.testing.assert_allclose(model.step(z, s), 0.9 * z + 0.1 * np.maximum(g, 0), rtol=0, atol=1e-14)


def test_order_of_gates_under_plain_names_is_said(rng, written, caplog):
    rt.load(written({"W_rec": rng.normal(size=(3 * n, n)), "W_in": rng.normal(size=(3 * n, m))}))
    assert "does not say the order of the gates: read as r, u, n, as in PyTorch" in caplog.messages[0]


def test_a_rate_beside_pytorch_weights_is_a_warning(rng, written, caplog):
    rt.load(written({f"rnn.{k}": rng.normal(size=v) for k, v in TORCH.items()} | {"rnn.alpha": 0.2}))
    assert "Warning: `rnn.alpha` scalar may belong to the dynamics" in caplog.messages[0]


@pytest.mark.parametrize("options", [{}, {"family": "plrnn"}])
def test_arrays_as_long_as_the_state_that_are_not_read_are_a_warning(options, plrnn, rng, written, caplog):
    rt.load(written(plrnn | {"gain": rng.normal(size=n), "targets": rng.normal(size=(9, 1))}), **options)
    assert "Warning: `gain` 4 may belong to the dynamics" in caplog.messages[-1]
    assert "targets" not in caplog.messages[-1].partition("Warning")[2]


# PLRNNs.


def test_a_matlab_plrnn_names_the_form_in_which_h_is_a_threshold(plrnn, written, caplog):
    path = written(plrnn | {"S": np.eye(n), "G": np.eye(n)}, "net.mat")
    rt.load(path)
    assert (
        'family="dendritic_plrnn" (`h` a threshold, the form of 2017: z\' = A z + W max(z - h, 0))'
        in caplog.messages[0]
    )
    assert "cannot tell whether `h` is added or is a threshold; with `S` and `G`" in caplog.messages[0]


def test_the_form_of_2017_has_its_own_fixed_points(plrnn, rng, written):
    Bz = rng.normal(size=(2, n))
    model, recognition = load_recognized(written(plrnn | {"B": Bz}, "net.mat"), family="dendritic_plrnn")
    z = rng.normal(size=n)
    want = plrnn["A"] * z + plrnn["W"] @ np.maximum(z - plrnn["h"], 0)
    np.testing.assert_allclose(model.step(z), want, rtol=0, atol=1e-15)
    np.testing.assert_allclose(model.outputs(z), Bz @ np.maximum(z - plrnn["h"], 0), rtol=0, atol=1e-14)
    assert "`B` is the readout." in recognition.notes


@pytest.mark.parametrize("names", [("alphas", "thetas"), ("slopes", "theta")])
def test_bases_with_thetas_are_dendritic_with_the_sign_turned(names, plrnn, rng, written):
    slopes, thetas = rng.normal(size=B), rng.normal(size=(n, B))
    model = rt.load(written(plrnn | dict(zip(names, (slopes, thetas), strict=True))))
    assert isinstance(model, rt.DendriticPLRNN)
    z = rng.normal(size=n)
    want = plrnn["A"] * z + plrnn["W"] @ (np.maximum(z[:, None] + thetas, 0) @ slopes) + plrnn["h"]
    np.testing.assert_allclose(model.step(z), want, rtol=0, atol=1e-14)


def test_thetas_of_another_shape_are_refused(plrnn, written):
    with pytest.raises(rt.ModelFileError, match="`thetas` is 3x4; it must be 4 x bases"):
        rt.load(written(plrnn | {"alphas": np.ones(B), "thetas": np.zeros((B, n))}))


@pytest.mark.parametrize("given", [(), ("A",)])
def test_the_diagonal_of_AW_is_counted_once(given, plrnn, written):
    arrays = {"net.AW": plrnn["W"] + np.diag(plrnn["A"]), "net.h": plrnn["h"]} | {f"net.{k}": plrnn[k] for k in given}
    model = rt.load(written(arrays | {"output_layer.weight": np.eye(2, n)}))
    np.testing.assert_array_equal(model.A, np.diag(plrnn["A"]))
    np.testing.assert_array_equal(model.W, plrnn["W"])
    np.testing.assert_array_equal(model.readout.B, np.eye(2, n))


def test_AW_without_a_diagonal_beside_A_is_W(plrnn, written):
    model = rt.load(written({"A": plrnn["A"], "AW": plrnn["W"], "h": plrnn["h"]}))
    np.testing.assert_array_equal(model.W, plrnn["W"])


def test_two_different_diagonals_are_refused(plrnn, written):
    arrays = {"A": plrnn["A"], "AW": plrnn["W"] + 0.1 * np.eye(n), "h": plrnn["h"]}
    with pytest.raises(rt.ModelFileError, match="`AW` has a diagonal, and another one is stored as `A`"):
        rt.load(written(arrays))


def test_a_column_for_A_is_its_diagonal(plrnn, written):
    path = written({"A": plrnn["A"][:, None], "W": plrnn["W"], "h": plrnn["h"][:, None]}, "net.mat")
    np.testing.assert_array_equal(rt.load(path).A, np.diag(plrnn["A"]))


def test_a_cell_of_parameters_is_read_by_its_order(plrnn, tmp_path, caplog):
    cell = np.empty((1, 3), dtype=object)
    cell[0] = [np.diag(plrnn["A"]), plrnn["W"], plrnn["h"][:, None]]
    scipy.io.savemat(tmp_path / "net.mat", {"params": cell})
    np.testing.assert_array_equal(rt.load(tmp_path / "net.mat").W, plrnn["W"])
    assert "The cell `params` is read as {A, W, h}" in caplog.messages[0]


def test_initial_states_in_columns_are_turned(plrnn, rng, written):
    z = rng.normal(size=(5, n))
    np.testing.assert_array_equal(rt.io.initial_states(written(plrnn | {"mu0": z.T}, "net.mat")), z)
    np.testing.assert_array_equal(rt.io.initial_states(written(plrnn | {"mu0": z}, "net.mat")), z)
    with pytest.raises(
        rt.ModelFileError, match=r"`mu0` has shape \(5, 3\); initial states must be rows \(or columns\) of 4"
    ):
        rt.io.initial_states(written(plrnn | {"mu0": z[:, :3]}, "net.mat"))


# Parametrized weights.


def normalized(v, g):
    return g * v / np.linalg.norm(v, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "form", ["rnn.parametrizations.{}.original0|rnn.parametrizations.{}.original1", "rnn.{}_g|rnn.{}_v"]
)
def test_a_parametrized_layer_is_folded_and_not_left_out(form, rng, written):
    arrays = lstm_layer(rng, 0, m) | lstm_layer(rng, 1, n)
    v, g = arrays.pop("rnn.weight_hh_l1"), rng.uniform(1, 2, size=(4 * n, 1))
    arrays |= dict(zip((x.format("weight_hh_l1") for x in form.split("|")), (g, v), strict=True))
    model = rt.load(written(arrays))
    assert isinstance(model, rt.StackedRNN)
    np.testing.assert_allclose(model.layers[1].W_rec, normalized(v, g), rtol=0, atol=1e-15)


def test_a_spectral_norm_and_a_pruning_mask_are_folded(rng, written):
    W, mask = rng.normal(size=(n, n)), rng.integers(0, 2, size=(n, n))
    U, S, V = np.linalg.svd(W)
    arrays = {k: rng.normal(size=v) for k, v in TORCH.items()}
    del arrays["weight_hh_l0"], arrays["weight_ih_l0"]
    arrays |= {"parametrizations.weight_hh_l0.original": W, "parametrizations.weight_hh_l0.0._u": U[:, 0]}
    arrays |= {"parametrizations.weight_hh_l0.0._v": V[0], "weight_ih_l0_orig": W, "weight_ih_l0_mask": mask}
    model = rt.load(written(arrays))
    np.testing.assert_allclose(model.W_rec, W / S[0], rtol=0, atol=1e-14)
    np.testing.assert_array_equal(model.W_in, W * mask)


def test_another_parametrization_is_refused_by_name(rng, written):
    arrays = lstm_layer(rng, 0, m) | lstm_layer(rng, 1, n)
    arrays["rnn.parametrizations.weight_hh_l1.original"] = arrays.pop("rnn.weight_hh_l1")
    with pytest.raises(rt.ModelFileError, match=re.escape("`rnn.weight_hh_l1` is parametrized")):
        rt.load(written(arrays))


def test_the_layer_that_pytorch_normalizes_is_what_it_computes(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    rnn = torch.nn.utils.parametrizations.weight_norm(torch.nn.GRU(m, n), "weight_hh_l0")
    torch.save(rnn.state_dict(), tmp_path / "net.pt")
    want = rnn.weight_hh_l0.detach().double().numpy()
    np.testing.assert_allclose(rt.load(tmp_path / "net.pt").W_rec, want, rtol=0, atol=1e-7)


# Names and entries that are not arrays.


def test_a_prefix_with_a_slash_is_a_prefix(rng, written):
    path = written({f"rnn/{k}": rng.normal(size=v) for k, v in TORCH.items()})
    assert isinstance(rt.load(path), rt.TanhRNN)


@pytest.mark.parametrize("extra", [np.array(None, dtype=object), np.array([{}, 1], dtype=object), np.ones(2) * 1j])
def test_an_entry_that_is_no_array_is_listed(extra, plrnn, written, caplog):
    rt.load(written(plrnn | {"extra": extra}))
    assert re.search(r"Not read: `extra` \((Python objects \(a pickle\)|complex numbers)", caplog.messages[0])


@pytest.mark.parametrize("name", ["W", "thresholds", "net.weight_hh_l1"])
def test_an_entry_that_the_network_needs_must_be_an_array(name, plrnn, written):
    arrays = plrnn | {name: np.array([None], dtype=object)}
    with pytest.raises(rt.ModelFileError, match=f"real numeric arrays in `{re.escape(name)}`; found Python objects"):
        rt.load(written(arrays))


def test_complex_and_sparse_extras_of_a_matlab_file_are_listed(plrnn, written, caplog):
    from scipy.sparse import csc_array

    rt.load(written(plrnn | {"lambda": np.ones(2) * 1j, "conn": csc_array(np.eye(3))}, "net.mat"))
    assert "`lambda` (complex numbers)" in caplog.messages[0]
    assert "`conn` (a sparse matrix)" in caplog.messages[0]


def test_devices_numbers_and_arguments_in_a_checkpoint_are_passed_by(tmp_path, caplog):
    torch = pytest.importorskip("torch")
    import argparse

    content = {"state": torch.nn.RNN(m, n).state_dict(), "device": torch.device("cpu"), "best": np.float64(0.5)}
    torch.save(content | {"arguments": argparse.Namespace(lr=0.1)}, tmp_path / "net.pt")
    assert isinstance(rt.load(tmp_path / "net.pt"), rt.TanhRNN)
    assert "Not read: `device` (a torch.device object, which was not made)." in caplog.messages[0]
    assert rt.io.read_arrays(tmp_path / "net.pt").metadata["best"] == "0.5"


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("model.bson", b"F\x01\x00\x00\x03model\x00", r"a BSON file \(Julia's BSON\.jl\).*jldsave"),
        ("saved_model.pb", b"\x08\x01\x12\x10", r"a TensorFlow graph \(SavedModel\).*model\.save\('model\.keras'\)"),
    ],
)
def test_a_file_of_another_program_is_named(name, content, match, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(tmp_path / name)

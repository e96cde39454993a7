"""Live objects: modules, models and dictionaries are recognized as files are, and are not changed."""

import subprocess
import sys

import numpy as np
import pytest

import retime as rt
from retime.io import load_recognized
from retime.io.objects import arrays_of

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):
    def __init__(self, kind=torch.nn.RNN, **options):
        super().__init__()
        self.rnn = kind(2, 5, **options)
        self.fc = torch.nn.Linear(5, 1)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


# PyTorch.


@pytest.mark.parametrize(
    ("kind", "options", "family"),
    [
        (torch.nn.RNN, {}, "tanh_rnn"),
        (torch.nn.RNN, {"nonlinearity": "relu"}, "relu_rnn"),
        (torch.nn.RNNCell, {"nonlinearity": "relu"}, "relu_rnn"),
        (torch.nn.RNNCell, {}, "tanh_rnn"),
        (torch.nn.GRU, {"bias": False}, "gru"),
        (torch.nn.GRUCell, {}, "gru"),
        (torch.nn.LSTM, {"num_layers": 2, "dropout": 0.5}, "stacked_rnn"),
        (torch.nn.RNN, {"num_layers": 2, "nonlinearity": "relu"}, "stacked_rnn"),
    ],
)
@pytest.mark.parametrize("is_alone", [True, False])
def test_a_module_says_its_family(kind, options, family, is_alone):
    net = Net(kind, **options)
    model, recognition = load_recognized(net.rnn if is_alone else net)
    assert model.family == family
    assert recognition.others == ()
    assert recognition.notes == (() if is_alone else ("`fc.weight` is the readout.",))
    if family == "stacked_rnn" and kind is torch.nn.RNN:
        assert {layer.family for layer in model.layers} == {"relu_rnn"}


@pytest.mark.parametrize("source", ["module", "state dict", "arrays", "file"])
def test_a_module_its_state_dict_its_arrays_and_its_file_are_one_model(source, tmp_path):
    net = Net(torch.nn.GRU)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    arrays = {name: x.numpy() for name, x in net.state_dict().items()}
    sources = {"module": net, "state dict": net.state_dict(), "arrays": arrays, "file": tmp_path / "net.pt"}
    model = rt.load(sources[source], dt=0.5)
    np.testing.assert_array_equal(model.W_rec, net.rnn.weight_hh_l0.detach().numpy())
    np.testing.assert_array_equal(model.readout.B, net.fc.weight.detach().numpy())
    assert model.dt == 0.5


def test_the_copy_does_not_follow_the_module():
    net = Net().double()
    model = rt.load(net)
    before = model.W_rec.copy()
    with torch.no_grad():
        net.rnn.weight_hh_l0.mul_(2)
    np.testing.assert_array_equal(model.W_rec, before)


@pytest.mark.parametrize(
    ("net", "match"),
    [
        (lambda: torch.nn.GRU(2, 3, bidirectional=True), "GRU has the weights of a backward direction"),
        (lambda: torch.nn.LSTM(2, 3, proj_size=2), "LSTM has projected outputs"),
        (lambda: torch.nn.Linear(2, 3), r"Linear: no family fits.*The file holds `weight` 3x2"),
        (lambda: torch.nn.ReLU(), "ReLU: expected named arrays"),
    ],
)
def test_a_module_that_is_no_network_of_retime_is_refused_by_name(net, match):
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(net())


def test_a_family_against_what_the_module_says_is_refused():
    with pytest.raises(rt.ModelFileError, match="says itself that its nonlinearity is relu, not 'tanh_rnn'"):
        rt.load(Net(nonlinearity="relu"), family="tanh_rnn")


class Leaky(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.alpha = 0.2
        self.W_rec, self.W_in = (torch.nn.Parameter(torch.randn(4, k)) for k in (4, 2))


def test_a_leak_that_the_module_keeps_as_a_number_is_seen():
    with pytest.raises(rt.ModelFileError, match="Leaky holds `alpha`, as leaky networks do"):
        rt.load(Leaky())
    model, recognition = load_recognized(Leaky(), family="leaky_rnn", alpha=0.2, activation="relu")
    assert model.alpha == 0.2
    assert (recognition.unread, recognition.doubt) == ("", "")


def test_a_cell_of_ones_own_and_functions_around_it_are_named():
    net = Net()
    net.rnn.__class__ = type("MyRNN", (torch.nn.RNN,), {})
    net.act = torch.nn.Sigmoid()
    notes = load_recognized(net)[1].notes
    assert any("MyRNN is not PyTorch's" in note for note in notes)
    assert any("Not read: Sigmoid `act`. Where it acts on the outputs" in note for note in notes)
    assert notes[0].startswith(
        "The module does not name its nonlinearity: tanh is the default of nn.RNN; known outputs decide"
    )


@pytest.mark.parametrize(
    "change", [lambda x: x.half(), lambda x: x.bfloat16(), lambda x: x.to_sparse(),
        lambda x: x.to_sparse_csr(), lambda x: x.double().T.contiguous().T]
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Sparse")
def test_tensors_of_every_type_and_layout_are_read(change):
    tensors = {"W_rec": change(torch.randn(3, 3)), "W_in": torch.randn(3, 2), "b": torch.nn.Parameter(torch.ones(3))}
    want = tensors["W_rec"]
    want = want.to_dense() if want.layout != torch.strided else want
    np.testing.assert_array_equal(rt.load(tensors).W_rec, want.double().numpy())


# Dictionaries.


def test_a_dictionary_of_lists_numbers_and_nested_dictionaries_is_read(tmp_path):
    cell = {"W_rec": [[0.1, 0.2], [0.3, 0.4]], "W_in": [[1.0], [2.0]], "b": [0.5, -0.5]}
    model, recognition = load_recognized({"net": cell, "dt": 0.1, "epoch": np.int64(3), "f": max, "name": "x"})
    np.testing.assert_array_equal(model.W_rec, cell["W_rec"])
    assert model.dt == 0.1
    assert "`f` (a builtins.builtin_function_or_method object" in recognition.unread
    np.savez(tmp_path / "net.npz", **{k: np.array(x) for k, x in cell.items()})
    with np.load(tmp_path / "net.npz") as file:
        np.testing.assert_array_equal(rt.load(file).W_in, cell["W_in"])


def test_a_dictionary_that_contains_itself_is_read_once():
    content = {"W_rec": np.eye(2), "W_in": np.ones((2, 1))}
    content["self"] = content
    assert rt.load(content).num_states == 2


@pytest.mark.parametrize("value", [np.ones((3, 3)), [np.ones(3)], None, 3, torch.ones(2), b"x", object()])
def test_another_object_is_a_type_error_that_says_what_is_taken(value):
    with pytest.raises(
        TypeError, match="load takes the path of a weights file, a PyTorch module or state dict, a Keras"
    ):
        rt.load(value)


def test_initial_states_of_an_object_are_read():
    arrays = {"A": np.full(2, 0.5), "W": np.zeros((2, 2)), "h": np.ones(2), "z0": [1.0, 2.0]}
    np.testing.assert_array_equal(rt.io.initial_states(arrays), [[1.0, 2.0]])


def test_arrays_of_other_libraries_are_asked_for_numbers_by_their_own_methods():
    values = np.random.default_rng(0).normal(size=(2, 2))

    class Foreign:
        def __array__(self, dtype=None, copy=None):
            return values

    np.testing.assert_array_equal(arrays_of({"W_rec": Foreign()}).arrays["W_rec"], values)


def test_reading_an_object_imports_no_framework():
    code = """
import sys, numpy as np, retime as rt
rt.load({"W_rec": np.eye(2), "W_in": np.ones((2, 1))}, family="relu_rnn")
print([m for m in ("torch", "keras", "tensorflow", "jax") if m in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

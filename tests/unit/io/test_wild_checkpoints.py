"""Checkpoints as they are in the wild: what is no tensor is passed by, in every protocol, and the weights are read."""

import argparse
import collections
import dataclasses
import datetime
import enum
import functools
import pathlib
import pickle
import random
import re
import types
import warnings
from fractions import Fraction
from uuid import UUID

import numpy as np
import pytest

import retime as rt
from retime.io import load_recognized, read_arrays

torch = pytest.importorskip("torch")


class Color(enum.Enum):
    RED = 1


class Kind(enum.StrEnum):
    GATED = "gated"


@dataclasses.dataclass
class Settings:
    lr: float = 0.1
    layers: tuple = (3, 4)


@dataclasses.dataclass(slots=True)
class Slots:
    lr: float = 0.1


class Attributes(dict):
    """A dictionary with attributes, as configuration libraries have it."""


Pair = collections.namedtuple("Pair", "mean deviation")


def quantized(x):
    with warnings.catch_warnings(action="ignore"):
        return torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)


def wild():
    net = torch.nn.GRU(2, 5)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(3, 2))[0].sum().backward()
    optimizer.step()
    items = {
        "defaultdict": collections.defaultdict(list, a=[1, 2]),
        "nested_defaultdict": collections.defaultdict(functools.partial(collections.defaultdict, int)),
        "ordered": collections.OrderedDict(x=1),
        "counter": collections.Counter("hello"),
        "deque": collections.deque([1, 2], maxlen=3),
        "device": torch.device("cpu"),
        "size": torch.Size([3, 2]),
        "dtype": torch.float16,
        "layout": torch.strided,
        "namespace": argparse.Namespace(lr=0.1, path=pathlib.Path("a/b")),
        "simple": types.SimpleNamespace(a=1),
        "path": pathlib.PurePosixPath("a/b"),
        "windows": pathlib.PureWindowsPath("c:/b"),
        "scalar": np.float64(0.5),
        "small": np.float32(0.25),
        "boolean": np.bool_(True),
        "complex_scalar": np.complex128(1j),
        "text_array": np.array(["a", "b"]),
        "objects": np.array([{}, None], dtype=object),
        "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
        "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
        "set": {1, 2},
        "frozen": frozenset({"a"}),
        "complex": 1 + 2j,
        ("a", 3): "tuple key",
        Color.RED: "enum key",
        "big": 10**30,
        "bytes": b"\x00\xff",
        "array_bytes": bytearray(b"abc"),
        "date": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        "delta": datetime.timedelta(days=1),
        "color": Color.RED,
        "kind": Kind.GATED,
        "settings": Settings(),
        "slots": Slots(),
        "attributes": Attributes(a=1),
        "pair": Pair(1.0, 2.0),
        "partial": functools.partial(max, 1),
        "function": np.tanh,
        "method": "abc".upper,
        "kernel": torch.nn.functional.relu,
        "class": torch.nn.GRU,
        "fraction": Fraction(1, 3),
        "uuid": UUID(int=5),
        "range": range(3),
        "slice": slice(1, 2),
        "none": None,
        "generator": np.random.default_rng(0),
        "old_generator": np.random.RandomState(0),
        "complex_tensor": torch.ones(2, dtype=torch.complex64),
        "quantized": quantized(torch.ones(2)),
        "meta": torch.empty(3, device="meta"),
        "float8": torch.ones(2).to(torch.float8_e4m3fn),
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3).state_dict(),
        "optimizer_object": optimizer,
        "rng_state": torch.get_rng_state(),
        "python_rng": random.getstate(),
        "numpy_rng": np.random.get_state(),  # noqa: NPY002
        "epoch": 3,
    }
    return net, {"model": net.state_dict()} | items


@pytest.fixture(scope="module")
def checkpoint():
    with torch.random.fork_rng():
        return wild()


def written(content, path, protocol=2, zipped=True):
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_everything_beside_the_weights_is_passed_by(protocol, zipped, checkpoint, tmp_path):
    net, content = checkpoint
    content = content if zipped else {k: x for k, x in content.items() if k != "float8"}
    model, recognition = load_recognized(written(content, tmp_path / "net.pt", protocol, zipped))
    assert isinstance(model, rt.GRU)
    np.testing.assert_array_equal(model.W_rec, net.weight_hh_l0.detach().numpy())
    assert "`quantized` (a quantized tensor" in recognition.unread
    assert re.search(r"\d+ objects that are no arrays \(`device`, ", recognition.unread)
    for name in ("optimizer", "rng", "scheduler", "epoch", "exp_avg", "generator"):
        assert name not in recognition.unread, "of training"


@pytest.mark.parametrize("name", list(wild()[1])[1:], ids=str)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_each_kind_of_object_alone_is_passed_by(name, checkpoint, tmp_path):
    net, content = checkpoint
    model, _ = load_recognized(written({"model": content["model"], name: content[name]}, tmp_path / "net.pt"))
    np.testing.assert_array_equal(model.b_in, net.bias_ih_l0.detach().numpy())


def test_numbers_of_numpy_are_notes_and_arrays_of_numpy_are_arrays(tmp_path):
    arrays = {
        "A": np.arange(6.0).reshape(2, 3, order="F"),
        "big": np.arange(3, dtype=">i4"),
        "empty": np.zeros((0, 3), "f4"),
    }
    content = {"state": torch.nn.RNN(2, 3).state_dict(), "loss": np.float64(0.5)} | arrays
    for protocol in (2, 4, 5):
        file = read_arrays(written(content, tmp_path / f"{protocol}.pt", protocol))
        assert file.metadata["loss"] == "0.5"
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.arrays[name], array)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_of_numpy_arrays_is_read_as_data(protocol, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "W_rec": rng.normal(size=(3, 3)),
        "W_in": np.asfortranarray(rng.normal(size=(3, 2))),
        "b": rng.normal(size=3),
    }
    (tmp_path / "net.pkl").write_bytes(
        pickle.dumps(arrays | {"note": "x", "date": datetime.date(2020, 1, 1)}, protocol)
    )
    model = rt.load(tmp_path / "net.pkl")
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(model, name), array)


@pytest.mark.parametrize("zipped", [True, False])
def test_sparse_tensors_are_read(zipped, tmp_path):
    dense = torch.tensor([[0.0, 1.5, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    with warnings.catch_warnings(action="ignore"):  # of PyTorch, once
        twice = torch.sparse_coo_tensor([[0, 0, 1], [1, 1, 0]], [1.0, 0.5, 2.0], (3, 3))
        compressed = {"csr": dense.to_sparse_csr(), "csc": dense.to_sparse_csc()}
    content = {"coo": dense.to_sparse(), "twice": twice} | compressed
    arrays = read_arrays(
        written(content | {"mixed": torch.ones(2, 2).to_sparse(1)}, tmp_path / "net.pt", 2, zipped)
    ).arrays
    for name in ("coo", "csr", "csc"):
        np.testing.assert_array_equal(arrays[name], dense.numpy())
    np.testing.assert_array_equal(arrays["twice"], twice.to_dense().numpy())
    np.testing.assert_array_equal(arrays["mixed"], np.ones((2, 2)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8"])
@pytest.mark.parametrize("zipped", [True, False])
def test_types_of_elements_are_read_in_both_formats(dtype, zipped, tmp_path):
    x = (torch.arange(6) - 2.5).reshape(2, 3).to(getattr(torch, dtype))
    base = torch.arange(10).to(getattr(torch, dtype))
    found = read_arrays(written({"x": x, "view": base[2:8:2], "turned": x.T}, tmp_path / "x.pt", 2, zipped)).arrays
    np.testing.assert_array_equal(found["x"], x.double().numpy())
    np.testing.assert_array_equal(found["view"], [2, 4, 6])
    np.testing.assert_array_equal(found["turned"], x.T.double().numpy())


class Net(torch.nn.Module):
    def __init__(self, nonlinearity="relu"):
        super().__init__()
        self.embedding = torch.nn.Linear(3, 3)
        self.rnn = torch.nn.RNN(2, 5, nonlinearity=nonlinearity, batch_first=True)
        self.fc = torch.nn.Linear(5, 1)
        self.register_buffer("scratch", torch.ones(2), persistent=False)
        self.parent = [self]  # a reference in a circle
        self.color = Color.RED


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_a_whole_pickled_module_is_read_as_its_state_dict_with_its_nonlinearity(zipped, nonlinearity, tmp_path):
    net = Net(nonlinearity)
    path = written({"net": net, "device": torch.device("cpu")}, tmp_path / "net.pt", 2, zipped)
    file = read_arrays(path)
    assert list(file.arrays) == [f"net.{name}" for name in net.state_dict()]
    assert file.modules["net.rnn"]["mode"] == f"RNN_{nonlinearity.upper()}"
    model, recognition = load_recognized(path)
    assert model.family == f"{nonlinearity}_rnn"
    assert recognition.others == ()


@pytest.mark.parametrize("is_file", [True, False])
def test_a_scripted_module_says_its_nonlinearity(is_file, tmp_path):
    with warnings.catch_warnings(action="ignore"):  # of PyTorch, that TorchScript is old
        net = torch.jit.script(torch.nn.RNN(2, 5, nonlinearity="relu"))
        torch.jit.save(net, tmp_path / "net.pt")
    model, recognition = load_recognized(tmp_path / "net.pt" if is_file else net)
    assert model.family == "relu_rnn"
    assert (recognition.others, recognition.unread) == ((), "")
    np.testing.assert_array_equal(model.W_rec, net.weight_hh_l0.detach().numpy())


def test_a_model_and_its_average_are_told_apart_by_the_prefix(tmp_path):
    model, average = torch.nn.GRU(2, 3), torch.nn.GRU(2, 3)
    path = written({"model": model.state_dict(), "ema": average.state_dict(), "optimizer": {}}, tmp_path / "net.pt")
    with pytest.raises(rt.ModelFileError, match=r"2 recurrent modules \(ema, model\).*prefix='ema'"):
        rt.load(path)
    np.testing.assert_array_equal(rt.load(path, prefix="ema").W_rec, average.weight_hh_l0.detach().numpy())


def test_weights_under_a_name_that_the_network_needs_are_not_left_out(tmp_path):
    state = torch.nn.GRU(2, 3).state_dict()
    state["bias_hh_l0"] = quantized(state["bias_hh_l0"])
    with pytest.raises(rt.ModelFileError, match=r"`bias_hh_l0`; found a quantized tensor.*dequantize"):
        rt.load(written(state, tmp_path / "net.pt"))


def test_a_truncated_file_from_before_version_1_6_is_named(tmp_path):
    path = written(torch.nn.GRU(2, 3).state_dict(), tmp_path / "net.pt", 2, False)
    data = path.read_bytes()
    for length in (30, 200, len(data) - 7):
        path.write_bytes(data[:length])
        with pytest.raises(rt.ModelFileError, match="truncated"):
            rt.load(path)

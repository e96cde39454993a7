"""What every reader has in common: values as their framework wrote them, and errors that say what to do."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from retime.core.errors import ModelFileError
from retime.io.formats import read_arrays

FIXTURES = Path(__file__).parents[2] / "fixtures"


def load_expected() -> dict[str, dict[str, np.ndarray]]:
    expected: dict[str, dict[str, np.ndarray]] = {}
    for key, (shape, values) in json.loads((FIXTURES / "expected.json").read_text()).items():
        file, _, name = key.partition(":")
        expected.setdefault(file, {})[name] = np.reshape(values, shape)
    return expected


EXPECTED = load_expected()

FORMATS = {
    "toy_v5.mat": "mat-v5",
    "toy_v73.mat": "mat-v7.3",
    "toy.pt": "torch-zip",
    "toy_protocol4.pt": "torch-zip",
    "toy.safetensors": "safetensors",
    "toy.npz": "npz",
    "sequential.h5": "keras-h5",
    "functional.h5": "keras-h5",
    "sequential.keras": "keras-v3",
    "functional.keras": "keras-v3",
    "toy.jld2": "jld2",
}


@pytest.fixture
def unpack(tmp_path):
    def copy(name: str, as_name: str | None = None) -> Path:
        packed = FIXTURES / f"{name}.gz"
        data = gzip.decompress(packed.read_bytes()) if packed.exists() else (FIXTURES / name).read_bytes()
        path = tmp_path / (as_name or name)
        path.write_bytes(data)
        return path

    return copy


def test_every_format_has_expected_values():
    assert set(EXPECTED) == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_arrays_equal_what_the_framework_wrote(name, unpack):
    arrays = read_arrays(unpack(name)).arrays
    assert set(arrays) == set(EXPECTED[name])
    for key, value in EXPECTED[name].items():
        np.testing.assert_array_equal(arrays[key], value, strict=False)
        assert arrays[key].shape == value.shape


@pytest.mark.parametrize("name", FORMATS)
def test_arrays_are_native_and_in_c_order(name, unpack):
    for array in read_arrays(unpack(name)).arrays.values():
        assert array.flags.c_contiguous
        assert array.dtype.isnative
        assert array.flags.aligned


@pytest.mark.parametrize(("name", "format"), FORMATS.items())
def test_format_is_told_from_the_content(name, format, unpack):
    assert read_arrays(unpack(name, "renamed.bin")).format == format


def test_path_may_be_a_string():
    assert read_arrays(str(FIXTURES / "toy.npz")).path == FIXTURES / "toy.npz"


def test_absent_file_is_named_with_a_similar_one():
    with pytest.raises(ModelFileError, match=r"toy\.npy: expected a weights file; found no such file.*holds toy\.npz"):
        read_arrays(FIXTURES / "toy.npy")


def test_folder_that_is_absent_is_an_error(tmp_path):
    with pytest.raises(ModelFileError, match=r"found no such file\. Check the path\."):
        read_arrays(tmp_path / "none" / "model.mat")


def test_directory_is_an_error():
    with pytest.raises(ModelFileError, match="found a directory"):
        read_arrays(FIXTURES)


def test_empty_file_is_an_error(tmp_path):
    path = tmp_path / "model.mat"
    path.touch()
    with pytest.raises(ModelFileError, match=r"model\.mat: .*found an empty file"):
        read_arrays(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"hello world", r"starts with b'hello wo', under the suffix \.mat"),
        (b"\x80\x04N.", "expected named NumPy arrays; found a single nonetype without names.*numpy.savez"),
        (b"\x93NUMPY\x01\x00", r"a NumPy \.npy file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer.*Run git lfs pull"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\0" * 257 + b"ustar" + b"\0" * 300, "tar archive"),
        (b"PK\x05\x06" + b"\0" * 18, "one with 0 members"),
    ],
)
def test_unsupported_content_is_named(content, found, tmp_path):
    path = tmp_path / "model.mat"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=found):
        read_arrays(path)


def test_plain_hdf5_file_is_refused_because_its_order_is_unknown(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["A"] = np.eye(2)
    with pytest.raises(ModelFileError, match="whether rows or columns come first"):
        read_arrays(tmp_path / "model.h5")


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("vanderpol_plrnn.mat", {"A": (10, 10), "W": (10, 10), "h": (10, 1), "B": (2, 10)}),
        ("lorenz_plrnn.mat", {"A": (10, 10), "W": (10, 10), "h": (10, 1), "B": (3, 10)}),
        ("lorenz_alrnn_m20_p2.pt", {"A": (20,), "W": (20, 20), "h": (20,), "B": (3, 20)}),
        ("shallow_plrnn_cycles.npz", {"A": (2,), "W1": (2, 10), "W2": (10, 2), "h1": (2,), "h2": (10,)}),
        (
            "flipflop_simplernn_n400.hdf5",
            {"simple_rnn_10.kernel": (3, 400), "simple_rnn_10.recurrent_kernel": (400, 400), "dense_10.bias": (3,)},
        ),
    ],
)
def test_published_network_has_its_shapes(name, shapes, data):
    arrays = read_arrays(data / name).arrays
    assert {key: arrays[key].shape for key in shapes} == shapes

"""MATLAB files, against SciPy and hdf5storage; what they cannot write is assembled by hand from the format's tags."""

import gzip
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from scipy.io import loadmat, savemat

from retime.core.errors import ModelFileError
from retime.io.formats import read_arrays

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(params=["toy_v5.mat", "toy_v73.mat"])
def toy(request, tmp_path):
    packed = FIXTURES / f"{request.param}.gz"
    path = tmp_path / request.param
    path.write_bytes(gzip.decompress(packed.read_bytes()) if packed.exists() else (FIXTURES / path.name).read_bytes())
    return read_arrays(path)


def test_cells_of_arrays_are_kept_as_tuples(toy):
    assert [cell.ravel().tolist() for cell in toy.cells["mu0"]] == [[1.0, 2.0], [3.0, 4.0]]


def test_cells_keep_their_column_shape(toy):
    assert [cell.shape for cell in toy.cells["mu0"]] == [(2, 1), (2, 1)]


def test_strings_go_to_the_metadata(toy):
    assert toy.metadata == {"note": "hello", "net.title": "toy"}


@pytest.mark.parametrize(("name", "dtype"), [("flags", "?"), ("counts", "u1"), ("empty", "f8"), ("A", "f8")])
def test_matlab_class_is_kept(name, dtype, toy):
    assert toy.arrays[name].dtype == np.dtype(dtype)


@pytest.mark.parametrize("name", ["vanderpol_plrnn.mat", "lorenz_plrnn.mat"])
def test_published_file_equals_what_scipy_reads(name, data):
    arrays, reference = read_arrays(data / name).arrays, loadmat(data / name, mat_dtype=True)
    assert len(arrays) >= 6
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, reference[key], strict=True)


def test_published_initial_states_equal_what_scipy_reads(data):
    path = data / "vanderpol_plrnn.mat"
    cells, reference = read_arrays(path).cells["mu0"], loadmat(path)["mu0"].ravel(order="F")
    assert len(cells) == len(reference) == 6
    for cell, expected in zip(cells, reference, strict=True):
        np.testing.assert_array_equal(cell, expected, strict=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mat")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    value=hnp.arrays(
        st.sampled_from([np.dtype(code) for code in ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?")]),
        hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=4),
        elements={"allow_nan": False},
    ),
    is_compressed=st.booleans(),
)
def test_any_numeric_array_survives_scipy_to_retime(value, is_compressed, folder):
    savemat(folder / "m.mat", {"A": value}, do_compression=is_compressed)
    np.testing.assert_array_equal(read_arrays(folder / "m.mat").arrays["A"], value, strict=True)


def test_array_of_structs_is_numbered_as_in_matlab(tmp_path):
    layers = np.zeros((1, 2), [("W", object)])
    layers[0, 0]["W"], layers[0, 1]["W"] = np.eye(2), np.ones((1, 3))
    savemat(tmp_path / "m.mat", {"net": layers})
    assert {key: value.shape for key, value in read_arrays(tmp_path / "m.mat").arrays.items()} == {
        "net(1).W": (2, 2),
        "net(2).W": (1, 3),
    }


def test_mixed_cell_is_numbered_as_in_matlab(tmp_path):
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = np.eye(2), "tanh"
    savemat(tmp_path / "m.mat", {"net": cell})
    result = read_arrays(tmp_path / "m.mat")
    assert (set(result.arrays), result.metadata) == ({"net{1}"}, {"net{2}": "tanh"})


def test_several_rows_of_characters_are_joined_by_lines(tmp_path):
    savemat(tmp_path / "m.mat", {"names": np.array(["ab", "cd"]), "A": np.eye(2)})
    assert read_arrays(tmp_path / "m.mat").metadata["names"] == "ab\ncd"


def test_sparse_matrix_is_refused_with_a_remedy(tmp_path):
    savemat(tmp_path / "m.mat", {"W": sparse.eye_array(3, format="csc")})
    with pytest.raises(ModelFileError, match=r"`W`; found a sparse matrix\. Run full"):
        read_arrays(tmp_path / "m.mat")


def test_complex_matrix_is_refused(tmp_path):
    savemat(tmp_path / "m.mat", {"W": np.eye(2) * 1j})
    with pytest.raises(ModelFileError, match="`W`; found complex numbers"):
        read_arrays(tmp_path / "m.mat")


def element(kind: int, body: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(body)) + body + b"\0" * (-len(body) % 8)


def v5_file(*variables: bytes, order: str = "<") -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}HH", 0x0100, 0x4D49) + b"".join(variables)


def matrix(kind: int, name: bytes, shape: tuple[int, ...], *parts: bytes, order: str = "<") -> bytes:
    head = element(6, struct.pack(f"{order}II", kind, 0), order)
    dims = element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    return element(14, head + dims + element(1, name, order) + b"".join(parts), order)


def test_big_endian_file_is_read(tmp_path):
    values = element(9, struct.pack(">2d", 1.5, -2.0), ">")
    (tmp_path / "m.mat").write_bytes(v5_file(matrix(6, b"A", (1, 2), values, order=">"), order=">"))
    assert read_arrays(tmp_path / "m.mat").arrays["A"].tolist() == [[1.5, -2.0]]


def test_doubles_stored_as_bytes_are_doubles(tmp_path):
    (tmp_path / "m.mat").write_bytes(v5_file(matrix(6, b"A", (1, 3), element(2, bytes([1, 2, 3])))))
    assert read_arrays(tmp_path / "m.mat").arrays["A"].dtype == np.float64


def test_matlab_object_is_refused_by_name(tmp_path):
    opaque = element(14, element(6, struct.pack("<II", 17, 0)) + element(1, b"net") + element(1, b"MCOS"))
    (tmp_path / "m.mat").write_bytes(v5_file(opaque))
    with pytest.raises(ModelFileError, match=r"`net`; found a MATLAB object or function.*Convert it in MATLAB"):
        read_arrays(tmp_path / "m.mat")


def test_shape_beyond_the_bytes_present_is_an_error(tmp_path):
    (tmp_path / "m.mat").write_bytes(v5_file(matrix(6, b"A", (2**30, 2**30), element(9, b"\0" * 8))))
    with pytest.raises(ModelFileError, match=r"damaged.*cannot reshape"):
        read_arrays(tmp_path / "m.mat")


def v73_file(path: Path) -> h5py.File:
    """The layout of `save -v7.3`: HDF5 behind a user block, column-major arrays, classes as attributes."""
    return h5py.File(path, "w", userblock_size=512)


def sign_v73(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + data[128:])


def test_sparse_matrix_in_v73_is_refused(tmp_path):
    with v73_file(tmp_path / "m.mat") as file:
        group = file.create_group("W")
        group.attrs["MATLAB_class"], group.attrs["MATLAB_sparse"] = np.bytes_("double"), np.uint64(3)
    sign_v73(tmp_path / "m.mat")
    with pytest.raises(ModelFileError, match="`W`; found a sparse matrix"):
        read_arrays(tmp_path / "m.mat")


def test_complex_matrix_in_v73_is_refused(tmp_path):
    with v73_file(tmp_path / "m.mat") as file:
        file["W"] = np.zeros((2, 2), [("real", "f8"), ("imag", "f8")])
        file["W"].attrs["MATLAB_class"] = np.bytes_("double")
    sign_v73(tmp_path / "m.mat")
    with pytest.raises(ModelFileError, match="`W`; found complex numbers"):
        read_arrays(tmp_path / "m.mat")


def test_matlab_object_in_v73_is_refused(tmp_path):
    with v73_file(tmp_path / "m.mat") as file:
        file["net"] = np.zeros((1, 6), "u4")
        file["net"].attrs["MATLAB_class"], file["net"].attrs["MATLAB_object_decode"] = np.bytes_("dlnetwork"), 3
    sign_v73(tmp_path / "m.mat")
    with pytest.raises(ModelFileError, match=r"`net`; found a MATLAB object or function \(dlnetwork\)"):
        read_arrays(tmp_path / "m.mat")


def test_cell_that_contains_itself_is_refused(tmp_path):
    with v73_file(tmp_path / "m.mat") as file:
        loop = file.create_dataset("loop", (2, 1), h5py.ref_dtype)
        loop[...] = [[loop.ref], [loop.ref]]
        loop.attrs["MATLAB_class"] = np.bytes_("cell")
    sign_v73(tmp_path / "m.mat")
    with pytest.raises(ModelFileError, match=r"m\.mat: expected .*; found"):
        read_arrays(tmp_path / "m.mat")


@pytest.mark.parametrize("length", [1, 30000])
def test_struct_that_contains_itself_is_refused(length, tmp_path):
    with v73_file(tmp_path / "m.mat") as file:
        group = file.create_group("n" * length)
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        group["m" * length] = group["l" * length] = group
    sign_v73(tmp_path / "m.mat")
    with pytest.raises(ModelFileError, match=r"(n\.[lm]|\.\.\.)`; found a group that contains itself") as caught:
        read_arrays(tmp_path / "m.mat")
    assert len(str(caught.value)) < 1000


def test_array_kept_in_another_file_is_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(b"\0" * 32)
    with v73_file(tmp_path / "m.mat") as file:
        data = file.create_dataset("W", (2, 2), "f8", external=[(str(tmp_path / "secret"), 0, 32)])
        data.attrs["MATLAB_class"] = np.bytes_("double")
    sign_v73(tmp_path / "m.mat")
    with pytest.raises(ModelFileError, match="`W`; found data kept in another file"):
        read_arrays(tmp_path / "m.mat")


def test_dataset_that_declares_more_than_it_stores_is_refused(tmp_path):
    with v73_file(tmp_path / "m.mat") as file:
        file.create_dataset("W", (2**40,), "f8", chunks=(1024,))
        file["W"].attrs["MATLAB_class"] = np.bytes_("double")
    sign_v73(tmp_path / "m.mat")
    with pytest.raises(ModelFileError, match="`W`; found 8796093022208 bytes declared, at most 0 stored"):
        read_arrays(tmp_path / "m.mat")

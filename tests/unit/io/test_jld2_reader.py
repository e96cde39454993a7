"""JLD2. There is no Julia here: the files are laid out by h5py the way that JLD2 does it (512 bytes of header, arrays
with their dimensions reversed, structs as compounds that refer to their arrays)."""

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest

from retime.core.errors import ModelFileError
from retime.io.formats import read_arrays

FIXTURES = Path(__file__).parents[2] / "fixtures"
HEADER = b"HDF5-based Julia Data Format, version 0.1.1\x00 (Julia 1.10.4)\x00"


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "toy.jld2"
    path.write_bytes(gzip.decompress((FIXTURES / "toy.jld2.gz").read_bytes()))
    return read_arrays(path)


def sign(path: Path) -> Path:
    path.write_bytes(HEADER.ljust(512, b"\0") + path.read_bytes()[512:])
    return path


def test_matrix_has_the_shape_that_julia_shows(toy):
    assert toy.arrays["W"].shape == (3, 2)


def test_named_tuple_is_flattened_and_its_references_followed(toy):
    assert (toy.arrays["tuple.W1"].shape, toy.arrays["tuple.alpha"].item()) == ((3, 2), 0.5)


def test_vector_of_arrays_becomes_cells(toy):
    assert [cell.shape for cell in toy.cells["starts"]] == [(3,), (3,)]


def test_type_descriptions_are_left_out(toy):
    assert not [name for name in toy.arrays if "_types" in name]


def test_header_is_not_needed_under_the_suffix(tmp_path):
    with h5py.File(tmp_path / "m.jld2", "w") as file:
        file["W"] = np.zeros((2, 3))
    assert read_arrays(tmp_path / "m.jld2").arrays["W"].shape == (3, 2)


def test_entry_of_another_kind_leaves_a_note(tmp_path):
    with h5py.File(tmp_path / "m.jld2", "w", userblock_size=512) as file:
        file["W"] = np.zeros((2, 3))
        file["losses"] = np.zeros(3, [("step", "i8"), ("loss", "f8")])
    assert read_arrays(sign(tmp_path / "m.jld2")).metadata == {"losses": "(not read: an array of structs)"}


def test_complex_matrix_is_refused(tmp_path):
    with h5py.File(tmp_path / "m.jld2", "w", userblock_size=512) as file:
        file["W"] = np.zeros((2, 2), [("re", "f8"), ("im", "f8")])
    with pytest.raises(ModelFileError, match="`W`; found complex numbers"):
        read_arrays(sign(tmp_path / "m.jld2"))


def test_links_in_a_circle_are_refused(tmp_path):
    with h5py.File(tmp_path / "m.jld2", "w", userblock_size=512) as file:
        group = file.create_group("a")
        group["b"], group["c"] = file, file
    with pytest.raises(ModelFileError, match=r"m\.jld2: expected .*; found"):
        read_arrays(sign(tmp_path / "m.jld2"))


def test_link_to_another_file_is_not_followed(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["W"] = np.zeros(2)
    with h5py.File(tmp_path / "m.jld2", "w", userblock_size=512) as file:
        file["A"], file["W"] = np.zeros(2), h5py.ExternalLink(str(tmp_path / "other.h5"), "/W")
    assert set(read_arrays(sign(tmp_path / "m.jld2")).arrays) == {"A"}

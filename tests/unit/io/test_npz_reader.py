"""NumPy archives: strings are metadata, pickles are refused."""

import io
import json
import zipfile

import numpy as np
import pytest

from retime.core.errors import ModelFileError
from retime.io.formats import read_arrays


def test_unicode_scalar_goes_to_the_metadata(tmp_path):
    np.savez(tmp_path / "m.npz", A=np.eye(2), retime=json.dumps({"family": "PLRNN"}))
    result = read_arrays(tmp_path / "m.npz")
    assert json.loads(result.metadata["retime"]) == {"family": "PLRNN"}
    assert set(result.arrays) == {"A"}


def test_list_of_strings_goes_to_the_metadata_as_json(tmp_path):
    np.savez(tmp_path / "m.npz", A=np.eye(2), names=np.array(["x", "y"]))
    assert json.loads(read_arrays(tmp_path / "m.npz").metadata["names"]) == ["x", "y"]


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8", "<i8", "u1", "?"])
def test_dtype_is_kept_in_native_byte_order(dtype, tmp_path):
    value = np.arange(6).reshape(2, 3).astype(dtype)
    np.savez_compressed(tmp_path / "m.npz", A=value)
    array = read_arrays(tmp_path / "m.npz").arrays["A"]
    assert array.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(array, value)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1), (2, 3, 4)])
def test_shape_is_kept(shape, tmp_path):
    np.savez(tmp_path / "m.npz", A=np.zeros(shape))
    assert read_arrays(tmp_path / "m.npz").arrays["A"].shape == shape


def test_object_array_is_refused_without_unpickling(tmp_path):
    np.savez(tmp_path / "m.npz", A=np.array([{}, 1], dtype=object))
    with pytest.raises(ModelFileError, match=r"in `A`; found Python objects \(a pickle\)"):
        read_arrays(tmp_path / "m.npz")


def test_complex_array_is_refused(tmp_path):
    np.savez(tmp_path / "m.npz", A=np.ones(2) * 1j)
    with pytest.raises(ModelFileError, match="`A`; found complex numbers"):
        read_arrays(tmp_path / "m.npz")


def test_structured_array_is_refused(tmp_path):
    np.savez(tmp_path / "m.npz", A=np.zeros(2, [("x", "f8")]))
    with pytest.raises(ModelFileError, match="`A`; found values of type"):
        read_arrays(tmp_path / "m.npz")


def test_archive_of_strings_only_is_refused(tmp_path):
    np.savez(tmp_path / "m.npz", note="hello")
    with pytest.raises(ModelFileError, match="named arrays in this npz file; found none"):
        read_arrays(tmp_path / "m.npz")


def npy(shape: str, body: bytes) -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + body


def test_shape_beyond_the_bytes_present_is_refused_before_allocation(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("A.npy", npy("(1000000000, 1000000)", b"\0" * 16))
    with pytest.raises(ModelFileError, match="8000000000000000 bytes declared by its header, 16 present"):
        read_arrays(tmp_path / "m.npz")


def test_wrong_checksum_is_an_error(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, A=np.full(8, 0.5))
    data = bytearray(buffer.getvalue())
    data[data.index(np.full(8, 0.5).tobytes())] ^= 1
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(ModelFileError, match=r"damaged.*Bad CRC-32"):
        read_arrays(tmp_path / "m.npz")

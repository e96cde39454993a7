"""safetensors: every real width, metadata kept."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from retime.core.errors import ModelFileError
from retime.io.formats import read_arrays


def write_raw(path, dtype: str, shape: list[int], body: bytes) -> None:
    header = json.dumps({"A": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(body)]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + body)


def test_metadata_is_kept(tmp_path):
    save_file({"A": np.eye(2)}, tmp_path / "m.safetensors", metadata={"family": "PLRNN"})
    assert read_arrays(tmp_path / "m.safetensors").metadata == {"family": "PLRNN"}


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i4", "i8", "u1", "u4", "?"])
def test_dtype_is_kept(dtype, tmp_path):
    value = np.arange(6).reshape(2, 3).astype(dtype)
    save_file({"A": value}, tmp_path / "m.safetensors")
    np.testing.assert_array_equal(read_arrays(tmp_path / "m.safetensors").arrays["A"], value, strict=True)


def test_bfloat16_becomes_float32_exactly(tmp_path):
    write_raw(tmp_path / "m.safetensors", "BF16", [3], np.array([0x3F80, 0xC049, 0x7F80], "<u2").tobytes())
    array = read_arrays(tmp_path / "m.safetensors").arrays["A"]
    np.testing.assert_array_equal(array, np.array([1.0, -3.140625, np.inf], np.float32), strict=True)


def test_scalar_and_empty_tensors_keep_their_shape(tmp_path):
    save_file({"s": np.array(2.0), "e": np.zeros((0, 3))}, tmp_path / "m.safetensors")
    arrays = read_arrays(tmp_path / "m.safetensors").arrays
    assert (arrays["s"].shape, arrays["e"].shape) == ((), (0, 3))


def test_float8_is_refused_with_a_remedy(tmp_path):
    write_raw(tmp_path / "m.safetensors", "F8_E4M3", [2], b"\0\0")
    with pytest.raises(ModelFileError, match=r"`A`; found values of type F8_E4M3\. Convert them to float32"):
        read_arrays(tmp_path / "m.safetensors")


def test_shape_beyond_the_bytes_present_is_an_error(tmp_path):
    write_raw(tmp_path / "m.safetensors", "F32", [1000], b"\0" * 8)
    with pytest.raises(ModelFileError, match="damaged"):
        read_arrays(tmp_path / "m.safetensors")

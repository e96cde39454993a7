"""PyTorch checkpoints: tensors in every disguise, and nothing that runs."""

import gzip
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from retime.core.errors import ModelFileError
from retime.io.formats import read_arrays

FIXTURES = Path(__file__).parents[2] / "fixtures"


def read_packed(name: str, folder: Path):
    (folder / name).write_bytes(gzip.decompress((FIXTURES / f"{name}.gz").read_bytes()))
    return read_arrays(folder / name)


def write(path: Path, program: bytes, **members: bytes) -> Path:
    """A checkpoint with the pickle and the storages given."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", b"3\n")
        for name, data in members.items():
            archive.writestr(f"archive/{name.replace('_', '/')}", data)
    return path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(number(value) for value in values) + b"t"


def storage(kind: str = "FloatStorage", key: str = "0", count: int = 6) -> bytes:
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(source: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...], extra: bytes = b"") -> bytes:
    head = b"ctorch._utils\n_rebuild_tensor_v2\n("
    return head + source + number(offset) + numbers(*size) + numbers(*stride) + b"\x89}" + extra + b"tR"


def state_dict(value: bytes) -> bytes:
    return b"\x80\x02}" + text("A") + value + b"s."


SIX = np.arange(6, dtype="<f4").tobytes()


def test_protocols_2_and_4_hold_the_same(tmp_path):
    first, second = (read_packed(name, tmp_path).arrays for name in ("toy.pt", "toy_protocol4.pt"))
    assert set(first) == set(second)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], strict=True)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("A", "f4"), ("bias", "f8"), ("half", "f2"), ("bfloat", "f4"), ("mask", "?"), ("codes", "u1"), ("count", "i8")],
)
def test_element_type_is_kept(name, dtype, tmp_path):
    assert read_packed("toy.pt", tmp_path).arrays[f"state_dict.{name}"].dtype == np.dtype(dtype)


def test_numbers_beside_the_tensors_go_to_the_metadata(tmp_path):
    assert read_packed("toy.pt", tmp_path).metadata["epoch"] == "3"


def test_strided_view_is_a_copy_of_the_right_elements(tmp_path):
    path = write(tmp_path / "m.pt", state_dict(tensor(storage(), 1, (2, 2), (1, 3))), data_0=SIX)
    assert read_arrays(path).arrays["A"].tolist() == [[1, 4], [2, 5]]


def test_big_endian_checkpoint_is_read(tmp_path):
    data = np.arange(6, dtype=">f4").tobytes()
    path = write(tmp_path / "m.pt", state_dict(tensor(storage(), 0, (6,), (1,))), data_0=data, byteorder=b"big")
    assert read_arrays(path).arrays["A"].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("offset", "size", "stride", "found"),
    [
        (0, (7,), (1,), "reaches element 6 of a storage of 6"),
        (0, (2,), (6,), "reaches element 6 of a storage of 6"),
        (6, (1,), (1,), "reaches element 6 of a storage of 6"),
        (-1, (1,), (1,), "offset -1"),
        (0, (-2,), (1,), r"shape \(-2,\)"),
        (5, (2,), (-1,), r"strides \(-1,\)"),
        (0, (2, 2), (1,), "shape or strides are missing"),
        (0, (2**30, 2**30), (0, 0), "arrays far larger than the file"),
    ],
)
def test_view_outside_its_storage_is_refused(offset, size, stride, found, tmp_path):
    path = write(tmp_path / "m.pt", state_dict(tensor(storage(), offset, size, stride)), data_0=SIX)
    with pytest.raises(ModelFileError, match=found):
        read_arrays(path)


def test_storage_shorter_than_declared_is_refused(tmp_path):
    path = write(tmp_path / "m.pt", state_dict(tensor(storage(count=1000), 0, (6,), (1,))), data_0=SIX)
    with pytest.raises(ModelFileError, match="storage '0' declared with 1000 elements of Float, 6 present"):
        read_arrays(path)


def test_storage_that_is_absent_is_refused(tmp_path):
    path = write(tmp_path / "m.pt", state_dict(tensor(storage(key="9"), 0, (6,), (1,))), data_0=SIX)
    with pytest.raises(ModelFileError, match="no member `archive/data/9`"):
        read_arrays(path)


def test_complex_tensor_is_refused(tmp_path):
    value = tensor(storage("ComplexFloatStorage", count=3), 0, (3,), (1,))
    with pytest.raises(ModelFileError, match="`A`; found complex numbers"):
        read_arrays(write(tmp_path / "m.pt", state_dict(value), data_0=SIX))


def test_tensor_with_a_pending_negation_is_refused(tmp_path):
    value = tensor(storage(), 0, (6,), (1,), extra=b"}" + text("neg") + b"\x88s")
    with pytest.raises(ModelFileError, match="pending negation"):
        read_arrays(write(tmp_path / "m.pt", state_dict(value), data_0=SIX))


def test_quantized_tensor_is_refused_with_a_remedy(tmp_path):
    value = tensor(storage("QInt8Storage"), 0, (6,), (1,))
    with pytest.raises(ModelFileError, match="elements of type QInt8; convert them to float32"):
        read_arrays(write(tmp_path / "m.pt", state_dict(value), data_0=SIX))


def test_bare_tensor_is_refused(tmp_path):
    path = write(tmp_path / "m.pt", b"\x80\x02" + tensor(storage(), 0, (6,), (1,)) + b".", data_0=SIX)
    with pytest.raises(ModelFileError, match="a single tensor without names"):
        read_arrays(path)


def test_tensors_of_torchscript_are_read(tmp_path):
    found = read_packed("torchscript.pt", tmp_path)
    assert {name: x.shape for name, x in found.arrays.items()} == {"weight": (1, 2), "bias": (1,)}
    assert found.modules[""]["class"] == "torch.nn.modules.linear.Linear"


def test_wrong_checksum_is_an_error(tmp_path):
    path = write(tmp_path / "m.pt", state_dict(tensor(storage(), 0, (6,), (1,))), data_0=SIX)
    data = path.read_bytes()
    path.write_bytes(data.replace(SIX, b"\x01" + SIX[1:]))
    with pytest.raises(ModelFileError, match="Bad CRC-32"):
        read_arrays(path)


# Hostile pickles.


class Payload:
    """Unpickled by `pickle`, this makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickle_that_calls_the_system_is_refused_and_not_run(protocol, tmp_path):
    target = tmp_path / "made"
    program = pickle.dumps({"A": Payload(target)}, protocol=protocol)
    with pytest.raises(ModelFileError, match=r"`A`; found a (posix|nt)\.mkdir object, which was not made"):
        read_arrays(write(tmp_path / "m.pt", program))
    assert not target.exists()


def test_the_payload_would_have_run_in_pickle(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "made")))
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (b"cbuiltins\neval\n" + text("1") + b"\x85R.", r"global `builtins\.eval`"),
        (b"cbuiltins\ngetattr\n.", r"global `builtins\.getattr`"),
        (b"ccopyreg\n_reconstructor\n.", r"global `copyreg\._reconstructor`"),
        (b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.", r"_rebuild_tensor_v2\.__globals__`"),
        (b"ctorch\nos.system\n.", r"global `torch\.os\.system`"),
        (b"ctorch\n__class__.__base__Storage.x\n.", "global `torch"),
        (text("posix") + text("system") + b"\x93.", r"global `posix\.system`"),
        (b"\x80\x04)\x85\x93.", "takes more values than it put"),
        (b"ccollections\nOrderedDict\n}" + text("__init__") + text("x") + b"sb.", "attributes set on a function"),
        (b"ctorch\nFloatStorage\n}b.", "attributes set on a type"),
        (text("x") + text("y") + b"\x85R.", "a call of a str"),
        (b"ctorch\nFloatStorage\n)R.", "a call of a type"),
        (b"ccollections\nOrderedDict\n)\x81.", "found none"),
        (b"(S'x'\niposix\nsystem\n.", r"global `posix\.system`"),
        (b"\x82\x01.", "instruction EXT1"),
        (storage()[:-1] + b"QQ.", "a persistent id that names no storage|no member"),
        (b"}Q.", "a persistent id that names no storage"),
        (b"(" + text("module") + b"tQ.", "a persistent id that names no storage"),
        (b"}))s.", "found none"),
        (b"}ccollections\ndeque\nX\x01\0\0\0a\x85R.", "a container made of a str"),
        (text("x" * 5000) + b"q\0" + b"c_codecs\nencode\nh\0\x85R" * 500 + b".", "makes far more than it holds"),
        (b"}" + text("a") + b"Nsr\xff\xff\xff\xff.", "named arrays in this torch-zip file; found none"),
        (b"Px\n.", "instruction PERSID"),
        (b"]2.", "found none"),
        (b"h\x07.", "damaged"),
        (b"s.", "takes more values than it put"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "damaged"),
        (b"", "damaged"),
    ],
)
def test_hostile_pickle_is_refused(program, found, tmp_path):
    with pytest.raises(ModelFileError, match=found):
        read_arrays(write(tmp_path / "m.pt", program))


def test_containers_that_multiply_are_refused(tmp_path):
    program = state_dict(nested_doubling(40))
    with pytest.raises(ModelFileError, match="more than 100000 objects, or references in a circle"):
        read_arrays(write(tmp_path / "m.pt", program))


def nested_doubling(depth: int) -> bytes:
    """A pair of twice the pair of twice ..., 2**depth entries in a few bytes, through the memo."""
    return b"}" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(depth))


def test_containers_nested_too_deep_are_refused(tmp_path):
    program = state_dict(b"]" + b"\x85" * 100_000)
    with pytest.raises(ModelFileError, match="RecursionError"):
        read_arrays(write(tmp_path / "m.pt", program))


def test_dictionary_that_contains_itself_is_refused(tmp_path):
    program = b"\x80\x02}q\x00" + text("A") + b"h\x00s."
    with pytest.raises(ModelFileError, match="`A`; found a reference in a circle"):
        read_arrays(write(tmp_path / "m.pt", program))


def test_long_keys_that_are_joined_many_times_are_refused(tmp_path):
    content = {"k" * 1_000_000: {str(k): 1 for k in range(200)}}
    path = write(tmp_path / "m.pt", pickle.dumps(content, 2))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(ModelFileError, match="found names and texts far larger than the file") as caught:
        read_arrays(path)
    assert len(str(caught.value)) < 1000

"""Damage: whatever happened to a file, it reads or it is a ModelFileError."""

import contextlib
import gzip
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retime.core.errors import ModelFileError
from retime.io.formats import read_arrays

FIXTURES = Path(__file__).parents[2] / "fixtures"
SHARED = Path(__file__).parents[4] / "shared" / "data"


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


KEPT = (".gz", ".mat", ".npz", ".pt", ".safetensors", *([".onnx"] if find_spec("onnx") else []))
CONTENTS = {path.name.removesuffix(".gz"): content(path) for path in sorted(FIXTURES.iterdir()) if path.suffix in KEPT}
PUBLISHED = [path.name for path in sorted(SHARED.glob("*")) if path.suffix in (".mat", ".pt", ".npz", ".hdf5")]


def read_or_refuse(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with warnings.catch_warnings(action="error"), contextlib.suppress(ModelFileError):
        read_arrays(path)


def test_there_are_fixtures_to_damage():
    assert len(CONTENTS) == (16 if find_spec("onnx") else 15)


def cut(data: bytes, kept: str) -> bytes:
    return data[: {"10 bytes": 10, "half": len(data) // 2, "95 %": len(data) * 95 // 100}[kept]]


@pytest.mark.parametrize("kept", ["10 bytes", "half", "95 %"])
@pytest.mark.parametrize("name", CONTENTS)
def test_truncated_file_is_an_error(name, kept, tmp_path):
    path = tmp_path / name
    path.write_bytes(cut(CONTENTS[name], kept))
    with pytest.raises(ModelFileError, match=rf"{name}: expected .*; found .*\. [A-Z]"):
        read_arrays(path)


@pytest.mark.parametrize("kept", ["10 bytes", "half", "95 %"])
@pytest.mark.parametrize("name", PUBLISHED or ["none"])
def test_truncated_published_file_is_an_error(name, kept, tmp_path, data):
    path = tmp_path / name
    path.write_bytes(cut((data / name).read_bytes(), kept))
    with pytest.raises(ModelFileError, match=f"{name}: expected"):
        read_arrays(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


# The examples are the same in every run (derandomize): the HDF5 library itself is not proof against every wrong byte.


@pytest.mark.parametrize("name", CONTENTS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_file_cut_anywhere_reads_or_is_refused(name, data, folder):
    whole = CONTENTS[name]
    read_or_refuse(folder / name, whole[: data.draw(st.integers(1, len(whole) - 1))])


@pytest.mark.parametrize("name", CONTENTS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_file_with_wrong_bytes_reads_or_is_refused(name, data, folder):
    damaged = bytearray(CONTENTS[name])
    places = st.integers(0, len(damaged) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        damaged[place] = byte
    read_or_refuse(folder / name, bytes(damaged))

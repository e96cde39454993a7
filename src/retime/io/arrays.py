"""From a weights file to named arrays; what the arrays mean is decided elsewhere.

`read_arrays` looks at the bytes, not at the suffix, and no reader executes anything that a file holds. Whatever is
wrong with a file is a `ModelFileError` that names the file, what was expected, what was found and what to do.
"""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from retime.core.errors import ModelFileError

__all__ = ["FileArrays", "KerasLayer", "OnnxGraph", "OnnxNode", "read_arrays"]

MAX_OBJECTS = 100_000
"""Objects visited in one file: far above any model, far below what a file of crossing references can ask for."""

MAX_EXPANSION = 1100
"""Largest ratio of an array's bytes to the bytes that store it (deflate reaches 1032)."""

FREE_BYTES = 2**26
"""Bytes that even the smallest file may expand to."""

NOT_READ = "not read: "
"""How the note on an entry that was left out begins."""

SUPPORTED = ".mat, .pt, .pth, .safetensors, .npz, .h5, .hdf5, .keras, .onnx, .jld2"


@dataclass(frozen=True, eq=False)
class KerasLayer:
    """One layer of a Keras model.

    `weights` has short names (`kernel`, `recurrent_kernel`, `bias`; `forward.kernel` in a Bidirectional, `inner.kernel`
    in a nested model) and Keras's shapes: kernels are (inputs, units), the transpose of PyTorch's. `calls` has, for each
    use of the layer in a functional model, the names of the layers that it reads, data first; it is empty in a Sequential.
    `reads` has beside each of these names which output of that layer it is: 0 the first, others the states of a recurrent one.
    A class that is not Keras' own is called "package>Name".
    """

    class_name: str
    name: str
    config: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    calls: tuple[tuple[str, ...], ...] = ()
    reads: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One operation of an ONNX graph: its operator, the names of what it reads ("" for nothing) and makes, its attributes.

    Attributes are numbers, strings, tuples of these, or arrays; a subgraph is None.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """The operations of an ONNX file in order, and the names of what the graph reads and gives."""

    nodes: tuple[OnnxNode, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FileArrays:
    """What a weights file holds, without a guess at the model.

    `format` is one of mat-v5, mat-v7.3, torch-zip, safetensors, npz, keras-h5, keras-v3, onnx, jld2. `arrays` are real and
    numeric, in native byte order and C order, with the dtype and the shape that the source language shows (bfloat16
    becomes float32, exactly); nested names are joined with ".". `cells` are MATLAB cell arrays (and Julia vectors of
    arrays) of such arrays, in column-major order. `layers` is for Keras, in network order, and `outputs` (layer, number of
    its output) for a functional model of it; `graph` is for ONNX.
    `metadata` holds strings, and a note in parentheses for each entry that was not read; `refused` has the full message for those
    among them that are no real arrays.
    """

    path: Path
    format: str
    arrays: Mapping[str, np.ndarray]
    cells: Mapping[str, tuple[np.ndarray, ...]] = field(default_factory=dict)
    layers: tuple[KerasLayer, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    graph: OnnxGraph | None = None
    outputs: tuple[tuple[str, int], ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def read_arrays(path: str | Path) -> FileArrays:
    """Read the named arrays of a weights file of any supported format.

    Args:
        path: a MATLAB (v5, v7.3), PyTorch (zip), safetensors, NumPy `.npz`, Keras (HDF5, `.keras`), ONNX or JLD2 file; the
            content decides which.

    Returns:
        A `FileArrays`.

    Raises:
        ModelFileError: the file is absent, empty, damaged, of another kind, or holds what retime refuses to read
            (code, complex or sparse arrays, objects).
        MissingDependencyError: an ONNX file, and the `onnx` package is not installed.

    Cost: one pass over the file; the arrays are held in memory once.
    """
    path = _existing_file(Path(path))
    with reading(path, "readable weights file"):
        is_apart = _holds_hdf5(path, _head(path))
    if is_apart:
        from retime.io.reader_process import read_apart

        return read_apart(path)
    return read_here(path)


def read_here(path: Path) -> FileArrays:
    """`read_arrays` of an existing file in this process, of whatever kind it is."""
    with reading(path, "readable weights file"):
        head = _head(path)
    return _reader_of_content(path, head)(path)


def _holds_hdf5(path: Path, head: bytes) -> bool:
    """Whether the HDF5 library would be asked to read a part of the file."""
    if head.startswith(b"PK"):
        with reading(path, "zip archive (PyTorch, NumPy or Keras)"), zipfile.ZipFile(path) as archive:
            return "config.json" in archive.namelist()
    return head.startswith((b"MATLAB 7.3", b"HDF5-based", _HDF5[:4])) or head[512:520] == _HDF5


def refusal(path: Path, *, expected: str, found: str, remedy: str) -> ModelFileError:
    """The one form of every message about a file."""
    return ModelFileError(f"{path}: expected {expected}; found {found}. {remedy}")


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into a `ModelFileError`."""
    try:
        yield
    except ModelFileError:
        raise
    except FileNotFoundError as error:
        raise refusal(path, expected=f"a {kind}", found="no such file", remedy="Check the path.") from error
    except PermissionError as error:
        remedy = "Ask for the right to read it."
        raise refusal(path, expected=f"a {kind}", found="a file that may not be read", remedy=remedy) from error
    except Exception as error:
        text = next(iter(str(error).splitlines()), "")[:200]
        raise refusal(
            path,
            expected=f"a complete {kind}",
            found=f"a truncated or damaged one ({type(error).__name__}: {text})",
            remedy="Copy or download it again, or save it again from its framework.",
        ) from error


class UnreadableEntry(ModelFileError):
    """One entry of a file is no real array: what it is is in `found`."""

    def __init__(self, message: str, found: str) -> None:
        super().__init__(message)
        self.found = found


class ArrayCollector:
    """Gathers one file's entries, checks each, and bounds how many objects and bytes the file may ask for."""

    def __init__(self, path: Path, format: str) -> None:
        self.path, self.format = path, format
        self.arrays: dict[str, np.ndarray] = {}
        self.cells: dict[str, tuple[np.ndarray, ...]] = {}
        self.metadata: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self._visits = 0
        self._bytes_left = max(FREE_BYTES, MAX_EXPANSION * path.stat().st_size)
        self._text_left = FREE_BYTES + path.stat().st_size
        self._inside: set[Any] = set()

    def visit(self, name: str) -> None:
        """Count one object and its name; a file whose references multiply is stopped here."""
        self._visits += 1
        if self._visits > MAX_OBJECTS:
            raise self.refuse(name, f"more than {MAX_OBJECTS} objects, or references in a circle")
        self._reserve_text(name, len(name))

    def _reserve_text(self, name: str, length: int) -> None:
        self._text_left -= length
        if self._text_left < 0:
            raise self.refuse(name, "names and texts far larger than the file", "Give the arrays short names.")

    @contextmanager
    def inside(self, name: str, group: Any) -> Iterator[None]:
        """While a group of an HDF5 file is read; one that contains itself is refused."""
        if group.id in self._inside:  # identifiers are equal where they stand for the same object of the file
            raise self.refuse(name, "a group that contains itself, references in a circle", "Save plain arrays.")
        self._inside.add(group.id)
        try:
            yield
        finally:
            self._inside.discard(group.id)

    def reserve(self, name: str, num_bytes: int) -> None:
        """Account for an array before it is made."""
        self._bytes_left -= num_bytes
        if self._bytes_left < 0:
            raise self.refuse(name, f"arrays far larger than the file ({num_bytes} bytes here)")

    def refuse(self, name: str, found: str, remedy: str = "Save it as plain real arrays.") -> ModelFileError:
        """The error for a file that asks for too much, or that does not fit together."""
        shown = name if len(name) <= 200 else f"{name[:200]}..."
        return refusal(self.path, expected=f"real numeric arrays in `{shown}`", found=found, remedy=remedy)

    def unreadable(self, name: str, found: str, remedy: str = "Save it as plain real arrays.") -> ModelFileError:
        """The error for one entry that is no real array; inside `optional` the entry is left out, with the reason."""
        return UnreadableEntry(str(self.refuse(name, found, remedy)), found)

    @contextmanager
    def optional(self, name: str) -> Iterator[None]:
        """While one entry is read: an unreadable one is noted and left out, since it may be no part of the network."""
        try:
            yield
        except UnreadableEntry as error:
            self.leave_out(name, error.found, str(error))

    def leave_out(self, name: str, found: str, message: str = "") -> None:
        """Note an entry that is not read; `message` is the error where the network turns out to need it."""
        self.refused.setdefault(name, message or str(self.refuse(name, found)))
        self.add_text(name, f"({NOT_READ}{found})")

    def real(self, name: str, value: Any) -> np.ndarray:
        """The value as a real numeric array in native byte order and C order; not copied where it is one already."""
        array = np.asarray(value)
        if array.dtype.kind == "c":
            raise self.unreadable(name, "complex numbers", "Save the real and the imaginary parts as two arrays.")
        if array.dtype.kind not in "biuf":
            raise self.unreadable(name, f"values of type {array.dtype}")
        return np.require(array, dtype=array.dtype.newbyteorder("="), requirements=("C", "A"))

    def add_array(self, name: str, value: Any) -> None:
        """Keep a real numeric array."""
        if name in self.arrays:
            raise self.refuse(name, "two arrays with this name", "Rename one of them.")
        self.arrays[name] = self.real(name, value)

    def add_cells(self, name: str, values: list[Any]) -> None:
        """Keep a list of real numeric arrays."""
        self.cells[name] = tuple(self.real(name, value) for value in values)

    def add_text(self, name: str, value: Any) -> None:
        """Keep a string."""
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        self._reserve_text(name, len(name) + len(text))
        self.metadata[name] = text

    def finish(
        self,
        layers: tuple[KerasLayer, ...] = (),
        graph: OnnxGraph | None = None,
        outputs: tuple[tuple[str, int], ...] = (),
    ) -> FileArrays:
        """The result; a file without any array is an error."""
        if not self.arrays and not self.cells and self.refused:
            raise ModelFileError(next(iter(self.refused.values())))
        if not self.arrays and not self.cells:
            remedy = "Save the network's weights as named arrays."
            raise refusal(self.path, expected=f"named arrays in this {self.format} file", found="none", remedy=remedy)
        return FileArrays(
            self.path, self.format, self.arrays, self.cells, layers, self.metadata, graph, outputs, self.refused
        )


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """bfloat16 bit patterns (uint16) as float32: the upper half of its bits, hence exact."""
    wide = np.array(bits, dtype=np.uint32, order="C")
    wide <<= np.uint32(16)
    return wide.view(np.float32)


# Zip archives (PyTorch, NumPy, Keras 3).


@contextmanager
def open_member(archive: zipfile.ZipFile, name: str, path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """One member for reading, with its size, which is believed only within reason; its checksum is verified at its end."""
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        found = f"`{name}` compressed by method {info.compress_type}"
        raise refusal(path, expected="stored or deflated members", found=found, remedy="Save it uncompressed.")
    if info.file_size > MAX_EXPANSION * info.compress_size + 64:
        found = f"`{name}` declaring {info.file_size} bytes from {info.compress_size}"
        raise refusal(path, expected="an honest zip archive", found=found, remedy="Get the file from its source.")
    with archive.open(name) as stream:
        yield stream, info.file_size


def fill(target: np.ndarray, head: bytes, stream: IO[bytes]) -> None:
    """Bytes of a member into an array of bytes: `head`, which was read already, then the rest to the end of the member.

    Raises:
        ValueError: there are more bytes, or fewer.
    """
    place, part = 0, head
    while part:
        if place + len(part) > target.size:
            raise ValueError(f"more than the {target.size} bytes that were declared")
        target[place : place + len(part)] = np.frombuffer(part, np.uint8)
        place += len(part)
        part = stream.read(_PART)
    if place != target.size or stream.read(1):
        raise ValueError(f"{target.size} bytes declared, {place} present")


_PART = 2**20  # bytes at a time


def read_member(archive: zipfile.ZipFile, name: str, path: Path, most: int | None = None) -> bytearray:
    """One member's bytes, with its checksum verified; at most `most` of them (None: any number)."""
    with open_member(archive, name, path) as (stream, size):
        if most is not None and size > most:
            found = f"`{name}` of {size} bytes"
            raise refusal(path, expected=f"at most {most} bytes there", found=found, remedy="Save the weights alone.")
        data = bytearray(size)
        target = np.frombuffer(data, np.uint8) if size else np.empty(0, np.uint8)
        fill(target, stream.read(_PART), stream)
        return data


# Which reader.


def _existing_file(path: Path) -> Path:
    expected = "a weights file"
    if path.is_dir():
        raise refusal(path, expected=expected, found="a directory", remedy="Name the file inside it.")
    if not path.exists():
        remedy = f"Check the path{_similar_name(path)}."
        raise refusal(path, expected=expected, found="no such file", remedy=remedy)
    if not path.is_file():
        raise refusal(path, expected=expected, found="a device or a pipe", remedy="Write it to a file first.")
    if path.stat().st_size == 0:
        raise refusal(path, expected=expected, found="an empty file (0 bytes)", remedy="Copy or save it again.")
    return path


def _similar_name(path: Path) -> str:
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; the folder holds {close[0]}" if close else ""


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1024)


_HDF5 = b"\x89HDF\r\n\x1a\n"

_SAVE_TORCH = "Load it in a current PyTorch and run torch.save(model.state_dict(), path)."

_REFUSED_STARTS = (
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", "a file of PyTorch before 1.6, a bare pickle", _SAVE_TORCH),
    (b"\x80", "a bare pickle, which retime does not open because that may run code", _SAVE_TORCH),
    (b"\x93NUMPY", "a NumPy .npy file, one array without a name", "Save named arrays with numpy.savez."),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "Run git lfs pull."),
    (b"<", "a web page or XML", "Download the raw file."),
)


def _reader_of_content(path: Path, head: bytes) -> Callable[[Path], FileArrays]:
    from retime.io import jld2, mat, onnx, safetensors

    if head.startswith(b"PK"):
        return _reader_of_zip(path)
    if head.startswith(b"MATLAB 7.3"):
        return mat.read_mat_v73
    if head.startswith(b"MATLAB 5.0") or head[126:128] in (b"IM", b"MI"):
        return mat.read_mat_v5
    if head.startswith(b"HDF5-based"):
        return jld2.read_jld2
    if head.startswith(_HDF5[:4]) or head[512:520] == _HDF5:
        return _reader_of_hdf5(path)
    if path.suffix == ".pb":
        raise _saved_model(path)
    if _is_onnx(path, head):
        return onnx.read_onnx
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        return safetensors.read_safetensors
    raise _unsupported(path, head)


def _saved_model(path: Path) -> ModelFileError:
    return refusal(
        path,
        expected=f"one of the supported formats ({SUPPORTED})",
        found="a TensorFlow graph (SavedModel), which is a program",
        remedy="Load it in Keras and run model.save('model.keras').",
    )


def _is_onnx(path: Path, head: bytes) -> bool:
    """ONNX has no signature: a file starts with its version (field 1, below 128), then another field of a model."""
    starts_so = len(head) > 2 and head[0] == 0x08 and head[1] < 0x80 and head[2] in _ONNX_FIELDS
    return starts_so and (path.suffix == ".onnx" or head[8:9] != b"{")


_ONNX_FIELDS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72)


def _unsupported(path: Path, head: bytes) -> ModelFileError:
    expected = f"one of the supported formats ({SUPPORTED})"
    for start, found, remedy in _REFUSED_STARTS:
        if head.startswith(start):
            return refusal(path, expected=expected, found=found, remedy=remedy)
    if path.suffix == ".bson" or head[4:8] in (b"\x03mod", b"\x03_ba"):
        found, remedy = (
            "a BSON file (Julia's BSON.jl), which may hold code",
            "In Julia: using JLD2; jldsave(path; A=..., W=..., h=...).",
        )
        return refusal(path, expected=expected, found=found, remedy=remedy)
    if head[257:262] == b"ustar":
        return refusal(path, expected=expected, found="a tar archive (PyTorch before 0.1.10)", remedy=_SAVE_TORCH)
    found = f"unknown content that starts with {head[:8]!r}, under the suffix {path.suffix or '(none)'}"
    remedy = "If it is a MATLAB v4 or text file, save it with -v7; else export the weights to one of these."
    return refusal(path, expected=expected, found=found, remedy=remedy)


def _reader_of_zip(path: Path) -> Callable[[Path], FileArrays]:
    from retime.io import keras, npz, torch

    with reading(path, "zip archive (PyTorch, NumPy or Keras)"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.rpartition("/")[2] in ("data.pkl", "constants.pkl") for name in names):
        return torch.read_torch
    if "config.json" in names:
        return keras.read_keras_v3
    if any(name.endswith(".npy") for name in names):
        return npz.read_npz
    raise refusal(
        path,
        expected="a zip archive written by PyTorch, NumPy or Keras",
        found=f"one with {len(names)} members, the first {names[:3]}",
        remedy="If it contains the weights file, unzip it and name that file.",
    )


def _reader_of_hdf5(path: Path) -> Callable[[Path], FileArrays]:
    from retime.io import jld2, keras, mat
    from retime.io.hdf5 import children, open_hdf5

    with reading(path, "HDF5 file"), open_hdf5(path) as file:
        if "model_config" in file.attrs or "layer_names" in file.attrs or "layers" in file:
            return keras.read_keras_h5
        if any("MATLAB_class" in child.attrs for _, child in children(file)):
            return mat.read_mat_v73
        names = list(file)
    if path.suffix == ".jld2":
        return jld2.read_jld2
    raise refusal(
        path,
        expected="an HDF5 file written by Keras, MATLAB or JLD2",
        found=f"a plain one with the members {names[:5]}, which does not say whether rows or columns come first",
        remedy="Save the arrays with numpy.savez.",
    )

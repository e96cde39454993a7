"""What a weights file holds, as named arrays; what they mean is decided elsewhere.

Whatever is wrong with a file is a `ModelFileError` that names the file, what was expected, what was found and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.errors import ModelFileError

MAX_OBJECTS = 100_000
"""Objects visited in one file: far above any model, far below what a file of crossing references can ask for."""

MAX_EXPANSION = 1100
"""Largest ratio of an array's bytes to the bytes that store it (deflate reaches 1032)."""

FREE_BYTES = 2**26
"""Bytes that even the smallest file may expand to."""

NO_FILE = 2**40
"""Bytes of an object in memory, which has its size already: no limit."""

NOT_READ = "not read: "
"""How the note on an entry that was left out begins."""

NOT_MADE = "object, which was not made"
"""How the note on an object of Python ends."""

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
    """The operations of an ONNX file in order, the names of what the graph reads and gives, and the shapes of tensors that it states
    (numbers, names, None where it is silent)."""

    nodes: tuple[OnnxNode, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int | str | None, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FileArrays:
    """What a weights file holds, without a guess at the model.

    `format` is one of mat-v5, mat-v7.3, torch-zip, torch-legacy, pickle, safetensors, npz, keras-h5, keras-v3, onnx, jld2, or object and
    keras-object for what was in memory (`path` is then its class). `arrays` are real and numeric, in native byte order and C order,
    with the dtype and the shape that the source language shows (bfloat16 becomes float32, exactly); nested names are joined with ".".
    `cells` are MATLAB cell arrays (and Julia vectors of arrays) of such arrays, in column-major order. `layers` is for Keras, in
    network order, and `outputs` (layer, number of its output) for a functional model of it; `graph` is for ONNX.
    `metadata` holds strings, and a note in parentheses for each entry that was not read; `refused` has the full message for those
    among them that are no real arrays. `modules` is for PyTorch modules: by name ("" the whole) their class and the numbers and
    strings that they say of themselves (`nonlinearity`, `bidirectional`, ...); a state dict has none.
    `remarks` is what the reader should know of how the file was read.
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
    modules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


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
    """Gathers one file's entries, checks each, and bounds how many objects and bytes the file may ask for.

    Args:
        path: the file. format: see `FileArrays`.
        size: bytes of the file; for an object in memory any large number.
    """

    def __init__(self, path: Path, format: str, size: int | None = None) -> None:
        size = path.stat().st_size if size is None else size
        self.path, self.format = path, format
        self.arrays: dict[str, np.ndarray] = {}
        self.cells: dict[str, tuple[np.ndarray, ...]] = {}
        self.metadata: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.modules: dict[str, dict[str, Any]] = {}
        self._visits = 0
        self._bytes_left = max(FREE_BYTES, MAX_EXPANSION * size)
        self._text_left = FREE_BYTES + size
        self._inside: set[Any] = set()
        self._beside: set[Path] = set()

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

    def take_from(self, path: Path, name: str, num_bytes: int) -> None:
        """Account for an array that lies in a file beside this one, whose size counts once."""
        if path not in self._beside:
            self._beside.add(path)
            self._bytes_left += path.stat().st_size
        self.reserve(name, num_bytes)

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
            raise refusal(
                self.path,
                expected=f"named arrays in this {self.format}{' file' if self.path.suffix else ''}",
                found="none",
                remedy=remedy,
            )
        return FileArrays(
            self.path,
            self.format,
            self.arrays,
            self.cells,
            layers,
            self.metadata,
            graph,
            outputs,
            self.refused,
            self.modules,
        )


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """bfloat16 bit patterns (uint16) as float32: the upper half of its bits, hence exact."""
    wide = np.array(bits, dtype=np.uint32, order="C")
    wide <<= np.uint32(16)
    return wide.view(np.float32)

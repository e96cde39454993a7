"""MATLAB `.mat` files: v5 and v7.3 (HDF5), with the shapes and the column-major order that MATLAB shows."""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from retime.io.arrays import MAX_EXPANSION, ArrayCollector, FileArrays, reading
from retime.io.hdf5 import attribute, children, open_hdf5, read_dataset

_REAL = "Save the real and the imaginary parts as two arrays."
_FULL = "Run full(...) on it in MATLAB and save again."
_PLAIN = "Convert it in MATLAB to plain arrays, structs or char, and save again."


def read_mat_v5(path: Path) -> FileArrays:
    """Read a MATLAB v5 file (`save -v6` or `-v7`, Octave, SciPy).

    Structs are flattened with ".", cells of numbers go to `cells`, chars to the metadata. The decoder is our own:
    SciPy's is fast but reads outside its memory, and may crash, where a byte of the file is wrong.

    Raises:
        ModelFileError: damaged, or an entry is complex, sparse, or an object of a MATLAB class.
    """
    collector = ArrayCollector(path, "mat-v5")
    with reading(path, "MATLAB v5 file"), path.open("rb") as file:
        for body, order in _variables(file):
            matrix = _open_matrix(body, order)
            if matrix.name:  # MATLAB keeps its workspace of function handles in a nameless one
                with collector.optional(matrix.name):
                    _collect_v5(collector, matrix.name, matrix)
    return collector.finish()


_COMPRESSED = 15

_CELL, _STRUCT, _CHAR, _SPARSE = 1, 2, 4, 5

_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}

_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}

_ENCODINGS = {"u1": "latin-1", "i1": "latin-1", "u2": "utf-16", "utf8": "utf-8", "utf16": "utf-16", "utf32": "utf-32"}

_TEXT_STORED = {**_STORED, 16: "utf8", 17: "utf16", 18: "utf32"}


@dataclass(frozen=True)
class _Matrix:
    """A variable, a cell or a field: its class, flags and shape, and the elements that hold its values."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str
    parts: Iterator[tuple[int, memoryview]]
    order: str

    @property
    def is_real(self) -> bool:
        return self.kind in _CLASSES and not self.is_complex

    @property
    def is_complex(self) -> bool:
        return bool(self.flags & 8)


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The (type, content) of consecutive data elements, each checked to lie inside `data`."""
    position = 0
    while position < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, position)
        start = position + 8
        if kind >> 16:  # at most four bytes, packed into the tag
            kind, size, start = kind & 0xFFFF, kind >> 16, position + 4
        stop = start + size
        if stop > len(data) or (start == position + 4 and size > 4):
            raise ValueError(f"an element of {size} bytes where {len(data) - start} are left")
        yield kind, data[start:stop]
        position = stop if kind == _COMPRESSED else stop + (position - stop) % 8


def _variables(file: IO[bytes]) -> Iterator[tuple[memoryview, str]]:
    """The body of each variable of a file and its byte order, one in memory at a time."""
    order = {b"IM": "<", b"MI": ">"}[file.read(128)[126:]]
    end = os.fstat(file.fileno()).st_size
    while tag := file.read(8):
        kind, size = struct.unpack(f"{order}II", tag)
        if kind >> 16:  # at most four bytes, packed into the tag: no variable is so small
            raise ValueError("a variable of at most four bytes")
        if size > end - file.tell():
            raise ValueError(f"a variable of {size} bytes where {end - file.tell()} are left")
        if kind == _COMPRESSED:
            yield _part(_elements(_inflated(file, size), order))[1], order
            continue
        body = memoryview(file.read(size))
        file.seek(-size % 8, 1)
        yield body, order


def _inflated(file: IO[bytes], size: int) -> memoryview:
    """A compressed element, a piece at a time, its checksum verified."""
    stream, found, left = zlib.decompressobj(), bytearray(), size
    while left and not stream.eof:
        piece = file.read(min(left, _PIECE))
        left -= len(piece)
        while piece and not stream.eof:
            found += stream.decompress(piece, _PIECE)
            piece = stream.unconsumed_tail
        if len(found) > MAX_EXPANSION * size + 64:
            raise ValueError("a compressed variable that is larger than it can be")
    if not stream.eof:
        raise ValueError("a compressed variable that does not end")
    file.seek(left, 1)
    return memoryview(found)


_PIECE = 2**18  # bytes


def _part(parts: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    part = next(parts, None)
    if part is None:
        raise ValueError("a variable that ends early")
    return part


def _open_matrix(body: memoryview, order: str) -> _Matrix:
    if not body:
        return _Matrix(6, 0, (0, 0), "", iter([(9, body)]), order)
    parts = _elements(body, order)
    (word,) = struct.unpack_from(f"{order}I", _part(parts)[1])
    kind, flags = word & 0xFF, word >> 8 & 0xFF
    shape = (0, 0)
    if kind != 17:  # opaque objects have no shape
        shape = tuple(np.frombuffer(_part(parts)[1], f"{order}i4").tolist())
    if min(shape, default=-1) < 0:
        raise ValueError(f"a variable of shape {shape}")
    name = bytes(_part(parts)[1]).decode("latin-1")
    return _Matrix(kind, flags, shape, name, parts, order)


def _collect_v5(collector: ArrayCollector, name: str, matrix: _Matrix) -> None:
    collector.visit(name)
    if matrix.is_complex:
        raise collector.unreadable(name, "complex numbers", _REAL)
    if matrix.kind == _SPARSE:
        raise collector.unreadable(name, "a sparse matrix", _FULL)
    if matrix.kind == _STRUCT:
        _collect_struct_v5(collector, name, matrix)
    elif matrix.kind == _CELL:
        _collect_cell_v5(collector, name, matrix)
    elif matrix.kind == _CHAR:
        collector.add_text(name, _text_v5(matrix))
    elif matrix.kind in _CLASSES:
        collector.add_array(name, _array_v5(collector, name, matrix))
    else:
        raise collector.unreadable(name, f"a MATLAB object or function (class number {matrix.kind})", _PLAIN)


def _inner(matrix: _Matrix, count: int) -> list[_Matrix]:
    inner = [_open_matrix(body, matrix.order) for _, body in matrix.parts]
    if len(inner) != count:
        raise ValueError(f"{count} elements declared, {len(inner)} present")
    return inner


def _collect_struct_v5(collector: ArrayCollector, name: str, matrix: _Matrix) -> None:
    (length,) = struct.unpack_from(f"{matrix.order}i", _part(matrix.parts)[1])
    text = bytes(_part(matrix.parts)[1])
    keys = [text[i : i + length].split(b"\0")[0].decode("latin-1") for i in range(0, len(text), length)]
    count = math.prod(matrix.shape)
    fields = _inner(matrix, count * len(keys))
    for i, field in enumerate(fields):
        owner = name if count == 1 else f"{name}({i // len(keys) + 1})"
        entry = f"{owner}.{keys[i % len(keys)]}"
        with collector.optional(entry):
            _collect_v5(collector, entry, field)


def _collect_cell_v5(collector: ArrayCollector, name: str, matrix: _Matrix) -> None:
    elements = _inner(matrix, math.prod(matrix.shape))
    if all(element.is_real for element in elements):
        for _ in elements:
            collector.visit(name)
        collector.add_cells(name, [_array_v5(collector, name, element) for element in elements])
        return
    for i, element in enumerate(elements):
        _collect_v5(collector, f"{name}{{{i + 1}}}", element)


def _array_v5(collector: ArrayCollector, name: str, matrix: _Matrix) -> np.ndarray:
    """MATLAB stores small whole numbers in narrow types; the class says what they are."""
    kind, body = _part(matrix.parts)
    stored = np.frombuffer(body, f"{matrix.order}{_STORED[kind]}") if body else np.empty(0)
    dtype = np.dtype("?" if matrix.flags & 2 else _CLASSES[matrix.kind])
    collector.reserve(name, stored.size * dtype.itemsize)
    return np.array(stored.reshape(matrix.shape, order="F"), dtype=dtype, order="C")


def _text_v5(matrix: _Matrix) -> str:
    kind, body = _part(matrix.parts)
    encoding = _ENCODINGS[_TEXT_STORED[kind]]
    endian = {"<": "-le", ">": "-be"}[matrix.order] if encoding in ("utf-16", "utf-32") else ""
    text = bytes(body).decode(encoding + endian, "replace")
    num_rows = max(matrix.shape[0], 1)
    return "\n".join(text[i::num_rows] for i in range(num_rows))


def read_mat_v73(path: Path) -> FileArrays:
    """Read a MATLAB v7.3 file (HDF5, `save -v7.3`).

    The same entries under the same names and shapes as from a v5 file.

    Raises:
        ModelFileError: damaged, or an entry is complex, sparse, or an object of a MATLAB class.
    """
    collector = ArrayCollector(path, "mat-v7.3")
    with reading(path, "MATLAB v7.3 (HDF5) file"), open_hdf5(path) as file:
        for name, child in children(file):
            if not name.startswith("#"):
                with collector.optional(name):
                    _collect_v73(collector, name, child)
    return collector.finish()


def _collect_v73(collector: ArrayCollector, name: str, node: Any) -> None:
    import h5py

    collector.visit(name)
    kind = _matlab_class(node)
    if "MATLAB_sparse" in node.attrs:
        raise collector.unreadable(name, "a sparse matrix", _FULL)
    if "MATLAB_object_decode" in node.attrs or kind in ("function_handle", "string", "table"):
        raise collector.unreadable(name, f"a MATLAB object or function ({kind})", _PLAIN)
    if isinstance(node, h5py.Group):
        with collector.inside(name, node):
            for key, child in children(node):
                with collector.optional(f"{name}.{key}"):
                    _collect_v73(collector, f"{name}.{key}", child)
    elif node.dtype == h5py.ref_dtype:
        _collect_references_v73(collector, name, node, kind)
    elif kind == "char":
        collector.add_text(name, _text_v73(collector, name, node))
    elif kind == "cell":
        collector.add_cells(name, [])
    else:
        collector.add_array(name, _array_v73(collector, name, node, kind))


def _matlab_class(node: Any) -> str:
    value = attribute(node, "MATLAB_class", b"")
    return value.decode() if isinstance(value, bytes) else str(value)


def _collect_references_v73(collector: ArrayCollector, name: str, node: Any, kind: str) -> None:
    """A cell array, or one field of an array of structs: both are datasets of references."""
    references = read_dataset(node, name, collector).ravel()
    elements = [node.file[reference] for reference in references]
    if kind == "cell" and all(_is_numeric_v73(element) for element in elements):
        for _ in elements:
            collector.visit(name)
        collector.add_cells(name, [_array_v73(collector, name, item, _matlab_class(item)) for item in elements])
        return
    owner, _, key = name.rpartition(".")
    for i, element in enumerate(elements):
        entry = f"{name}{{{i + 1}}}" if kind == "cell" else f"{owner}({i + 1}).{key}"
        _collect_v73(collector, entry, element)


def _is_numeric_v73(node: Any) -> bool:
    is_plain = not {"MATLAB_sparse", "MATLAB_object_decode"} & set(node.attrs)
    return is_plain and hasattr(node, "dtype") and node.dtype.kind in "biuf" and _matlab_class(node) in _DTYPES


_DTYPES = {
    "double": "f8", "single": "f4", "logical": "?", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2",
    "int32": "i4", "uint32": "u4", "int64": "i8", "uint64": "u8", "canonical empty": "f8",
}  # fmt: skip


def _array_v73(collector: ArrayCollector, name: str, node: Any, kind: str) -> np.ndarray:
    value = read_dataset(node, name, collector)
    if value.dtype.names:
        raise collector.unreadable(name, "complex numbers", _REAL)
    if kind not in _DTYPES:
        raise collector.unreadable(name, f"a variable of class `{kind or 'unknown'}`", _PLAIN)
    if attribute(node, "MATLAB_empty", 0):  # the values are the dimensions then
        shape = tuple(int(size) for size in value.ravel())
        if 0 not in shape:
            raise collector.refuse(name, f"an array marked empty with the shape {shape}", "Save it again.")
        return np.zeros(shape, _DTYPES[kind])
    return np.asarray(value).T.astype(_DTYPES[kind] if kind == "logical" else value.dtype)


def _text_v73(collector: ArrayCollector, name: str, node: Any) -> str:
    codes = read_dataset(node, name, collector)
    if attribute(node, "MATLAB_empty", 0):
        return ""
    rows = np.atleast_2d(np.asarray(codes, np.uint16).T)
    return "\n".join(row.tobytes().decode("utf-16-le", "replace") for row in rows.astype("<u2"))

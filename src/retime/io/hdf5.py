"""HDF5 as MATLAB v7.3, Keras and JLD2 use it: only what the file itself stores is read, as plain numbers and strings.

Links to other files or names are not followed. The HDF5 library itself may crash on a damaged file: `reader_process` keeps that away.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from retime.io.archive import Bytes
from retime.io.arrays import MAX_EXPANSION, ArrayCollector


@contextmanager
def open_hdf5(source: Path | bytearray) -> Iterator[Any]:
    """An HDF5 file, or the bytes of one, opened for reading, after a check of what its library believes unseen."""
    import h5py

    if isinstance(source, bytearray):
        _check_heaps(source)
        with h5py.File(Bytes(source), "r") as file:
            yield file
        return
    with source.open("rb") as content, mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as data:
        _check_heaps(data)
    with h5py.File(source, "r") as file:
        yield file


def _check_heaps(data: Any) -> None:
    """Walk the heaps of strings as the HDF5 library does: in a damaged one it would walk in place for ever."""
    start = data.find(b"GCOL\x01\0\0\0")
    while start >= 0:
        stop = start + int.from_bytes(data[start + 8 : start + 16], "little")
        position = start + 16
        while position + 16 <= min(stop, len(data)):
            index, size = struct.unpack_from("<H6xQ", data, position)
            position += 16 + size + -size % 8 if index else size
            if (index == 0 and size == 0) or position > stop:
                raise ValueError("a heap of strings whose parts do not fit")
        start = data.find(b"GCOL\x01\0\0\0", max(start + 8, stop))


def attribute(node: Any, key: str, default: Any = None) -> Any:
    """An attribute's value, if it is a number, a string or an array of these."""
    import h5py

    if key not in node.attrs:
        return default
    kind = h5py.h5a.open(node.id, key.encode()).get_type()
    if not is_plain(kind):
        raise TypeError(f"the attribute {key} has a type that is not read")
    return node.attrs[key]


def is_plain(kind: Any) -> bool:
    """Whether an HDF5 type consists of numbers, strings and references to objects (no variable-length sequences)."""
    from h5py import h5t

    category = kind.get_class()
    if category == h5t.COMPOUND:
        return all(is_plain(kind.get_member_type(i)) for i in range(kind.get_nmembers()))
    if category == h5t.REFERENCE:
        return kind.equal(h5t.STD_REF_OBJ)
    return category in (h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM, h5t.OPAQUE)


def children(group: Any) -> Iterator[tuple[str, Any]]:
    """The members that a group itself holds, with their names."""
    import h5py

    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            yield name, group[name]


def read_dataset(dataset: Any, name: str, collector: ArrayCollector) -> Any:
    """A dataset's value, where the file really stores it."""
    import h5py

    if dataset.shape is None:
        return np.empty(0, dataset.dtype)
    plan = dataset.id.get_create_plist()
    if dataset.is_virtual or plan.get_external_count():
        raise collector.refuse(name, "data kept in another file", "Save everything into one file.")
    stored = dataset.id.get_storage_size()
    if plan.get_layout() == h5py.h5d.CHUNKED:
        stored *= MAX_EXPANSION
    if dataset.nbytes > stored:
        raise collector.refuse(name, f"{dataset.nbytes} bytes declared, at most {stored} stored", "Save it again.")
    if not is_plain(dataset.id.get_type()):
        raise TypeError(f"`{name}` has a type that is not read")
    collector.reserve(name, dataset.nbytes)
    return dataset[()]

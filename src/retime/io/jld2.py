"""Julia's JLD2: HDF5 after a 512-byte header, arrays column-major, structs as compounds that refer to their arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from retime.io.arrays import ArrayCollector, FileArrays, reading
from retime.io.hdf5 import children, open_hdf5, read_dataset


def read_jld2(path: Path) -> FileArrays:
    """Read the arrays of a JLD2 file, in the shapes that Julia shows.

    Groups, structs and named tuples are flattened with "."; a vector of arrays goes to `cells`; an entry of another
    kind is left out with a note in the metadata.

    Raises:
        ModelFileError: damaged, or an array is complex.
    """
    collector = ArrayCollector(path, "jld2")
    with reading(path, "JLD2 file"), open_hdf5(path) as file:
        for name, child in children(file):
            if name != "_types":
                with collector.optional(name):
                    _collect(collector, name, child)
    return collector.finish()


def _collect(collector: ArrayCollector, name: str, node: Any) -> None:
    import h5py

    collector.visit(name)
    if isinstance(node, h5py.Group):
        with collector.inside(name, node):
            for key, child in children(node):
                with collector.optional(f"{name}.{key}"):
                    _collect(collector, f"{name}.{key}", child)
    elif isinstance(node, h5py.Dataset):
        _collect_dataset(collector, name, node)


def _collect_dataset(collector: ArrayCollector, name: str, node: Any) -> None:
    try:
        value = read_dataset(node, name, collector)
    except TypeError as error:  # a type that NumPy does not have
        collector.add_text(name, f"(not read: {error})")
        return
    _collect_value(collector, name, value, node.file)


def _collect_value(collector: ArrayCollector, name: str, value: Any, file: Any) -> None:
    """Keep a dataset's value or a struct's field."""
    import h5py

    if isinstance(value, h5py.Reference):
        if value:
            _collect(collector, name, file[value])
    elif isinstance(value, (str, bytes)):
        collector.add_text(name, value)
    elif value.dtype.names:
        _collect_struct(collector, name, value, file)
    elif value.dtype.kind == "O":
        _collect_list(collector, name, value, file)
    elif value.dtype.kind in "SUV":
        collector.add_text(name, f"(not read: values of type {value.dtype})")
    else:
        collector.add_array(name, value.T)


def _collect_struct(collector: ArrayCollector, name: str, value: Any, file: Any) -> None:
    if value.dtype.names == ("re", "im"):
        raise collector.unreadable(name, "complex numbers", "Save the real and the imaginary parts as two arrays.")
    if value.ndim:
        collector.add_text(name, "(not read: an array of structs)")
        return
    for key in value.dtype.names:
        with collector.optional(f"{name}.{key}"):
            _collect_value(collector, f"{name}.{key}", value[key], file)


def _collect_list(collector: ArrayCollector, name: str, value: np.ndarray, file: Any) -> None:
    """A vector of arrays becomes cells; of anything else, a note."""
    import h5py

    items = [file[item] if isinstance(item, h5py.Reference) and item else item for item in value.ravel()]
    if items and all(isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf" for item in items):
        for _ in items:
            collector.visit(name)
        collector.add_cells(name, [read_dataset(item, name, collector).T for item in items])
    else:
        collector.add_text(name, f"(not read: an array of {value.size} objects)")

"""NumPy `.npz` archives, decoded without pickle."""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np

from retime.io.arrays import ArrayCollector, FileArrays, read_member, reading

__all__ = ["read_npz"]


def read_npz(path: Path) -> FileArrays:
    """Read the arrays of an `.npz` archive; strings (0-d unicode arrays, retime's header) go to the metadata.

    Args:
        path: an existing file.

    Returns:
        A `FileArrays` of format "npz".

    Raises:
        ModelFileError: damaged, or an array is complex, structured or of Python objects (nothing is unpickled).
    """
    collector = ArrayCollector(path, "npz")
    with reading(path, "NumPy .npz archive"), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                name = member.removesuffix(".npy")
                _collect(collector, name, read_member(archive, member, path))
    return collector.finish()


def _collect(collector: ArrayCollector, name: str, data: bytes) -> None:
    collector.visit(name)
    array = _decode(collector, name, data)
    if array.dtype.kind not in "US":
        collector.add_array(name, array)
    elif array.ndim == 0:
        collector.add_text(name, array[()])
    else:
        collector.add_text(name, json.dumps(array.astype(str).tolist()))


def _decode(collector: ArrayCollector, name: str, data: bytes) -> np.ndarray:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_column_major, dtype = read_header(file)
    if dtype.hasobject:
        raise collector.refuse(name, "Python objects (a pickle), which retime does not open")
    body = data[file.tell() :]
    declared = math.prod(shape) * dtype.itemsize
    if declared != len(body):
        raise collector.refuse(name, f"{declared} bytes declared by its header, {len(body)} present", "Save it again.")
    collector.reserve(name, declared)
    flat = np.frombuffer(body, dtype) if declared else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if is_column_major else "C")

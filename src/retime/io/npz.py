"""NumPy `.npz` archives, decoded without pickle."""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from retime.io.archive import fill, open_member
from retime.io.arrays import ArrayCollector, FileArrays, reading


def read_npz(path: Path) -> FileArrays:
    """Read the arrays of an `.npz` archive; strings (0-d unicode arrays, retime's header) go to the metadata.

    Raises:
        ModelFileError: damaged, or an array is complex, structured or of Python objects (nothing is unpickled).
    """
    collector = ArrayCollector(path, "npz")
    with reading(path, "NumPy .npz archive"), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                name = member.removesuffix(".npy")
                with collector.optional(name), open_member(archive, member, path) as (stream, size):
                    _collect(collector, name, stream, size)
    return collector.finish()


def _collect(collector: ArrayCollector, name: str, stream: IO[bytes], size: int) -> None:
    collector.visit(name)
    array = _decode(collector, name, stream, size)
    if array.dtype.kind not in "US":
        collector.add_array(name, array)
    elif array.ndim == 0:
        collector.add_text(name, array[()])
    else:
        collector.add_text(name, json.dumps(array.astype(str).tolist()))


_HEADER = 64 + 10_000  # bytes; NumPy refuses longer ones


def _decode(collector: ArrayCollector, name: str, stream: IO[bytes], size: int) -> np.ndarray:
    """The array, filled from the stream without a second copy of its bytes."""
    head = io.BytesIO(stream.read(_HEADER))
    version = np.lib.format.read_magic(head)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_column_major, dtype = read_header(head)
    if dtype.hasobject:
        raise collector.unreadable(name, "Python objects (a pickle), which retime does not open")
    present, declared = size - head.tell(), math.prod(shape) * dtype.itemsize
    if declared != present:
        raise collector.refuse(name, f"{declared} bytes declared by its header, {present} present", "Save it again.")
    collector.reserve(name, declared)
    array = np.empty(shape, dtype, order="F" if is_column_major else "C")
    fill(array.reshape(-1, order="A").view(np.uint8) if declared else np.empty(0, np.uint8), head.read(), stream)
    return array

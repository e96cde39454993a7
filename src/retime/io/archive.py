"""Zip archives (PyTorch, NumPy, Keras 3): members with their checksums verified, and without a second copy of their bytes; `.npz`."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from retime.io.arrays import MAX_EXPANSION, ArrayCollector, FileArrays, reading, refusal


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


class Bytes(io.RawIOBase):
    """Bytes as a file, without a copy of them."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data, self._place = memoryview(data), 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where it is."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: len(self._data)}[whence]
        self._place = max(base + offset, 0)
        return self._place

    def readinto(self, target: Any) -> int:
        """Fill the target as far as there are bytes."""
        part = self._data[self._place : self._place + len(target)]
        target[: len(part)] = part
        self._place += len(part)
        return len(part)


# NumPy's .npz, decoded without pickle.


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

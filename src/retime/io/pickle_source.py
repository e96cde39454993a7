"""Where a pickle is read from: bytes without a copy of them, or a file without reading it whole."""

from __future__ import annotations

import os
from typing import IO

__all__ = ["source_of"]


def source_of(program: bytes | bytearray | memoryview | IO[bytes]) -> _Bytes | _File:
    """Something with `read`, `readline`, its `size` and the `place` that was reached; it gives no more than it has."""
    return _Bytes(program) if isinstance(program, (bytes, bytearray, memoryview)) else _File(program)


class _Bytes:
    """Bytes as a file, without a copy of them."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data, self.place, self.size = memoryview(data), 0, len(data)

    def read(self, count: int) -> bytes:
        part = bytes(self._data[self.place : self.place + count])
        self.place += len(part)
        return part

    def readline(self) -> bytes:
        line, width = b"", 256
        while not line.endswith(b"\n"):
            part = bytes(self._data[self.place : self.place + width])
            stop = part.find(b"\n") + 1 or len(part)
            line, self.place = line + part[:stop], self.place + stop
            if not part:
                break
            width *= 2
        return line


class _File:
    """A file that is asked for no more than it has."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.size = file, os.fstat(file.fileno()).st_size

    @property
    def place(self) -> int:
        return self._file.tell()

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self.size - self.place))

    def readline(self) -> bytes:
        return self._file.readline()

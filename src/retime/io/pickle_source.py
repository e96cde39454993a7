"""Where a pickle is read from: bytes without a copy of them, or a file without reading it whole."""

from __future__ import annotations

import io
import os
from typing import IO

from retime.io.archive import Bytes


class Source:
    """Bytes, or an open file, with the `place` that was reached; it is asked for no more than its `size`."""

    def __init__(self, program: bytes | bytearray | memoryview | IO[bytes]) -> None:
        if isinstance(program, (bytes, bytearray, memoryview)):
            self._file, self.size = io.BufferedReader(Bytes(program)), len(program)
        else:
            self._file, self.size = program, os.fstat(program.fileno()).st_size

    @property
    def place(self) -> int:
        """Bytes read up to now."""
        return self._file.tell()

    def read(self, count: int) -> bytes:
        """So many bytes, or those that are left."""
        return self._file.read(min(count, self.size - self.place))

    def readline(self) -> bytes:
        """A line with its end."""
        return self._file.readline()

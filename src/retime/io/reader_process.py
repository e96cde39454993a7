"""HDF5 files are read in a process of their own.

The HDF5 library believes much of what a file says, and ends the process where a damaged or hostile one lies to it; no check of ours could
be complete without being another HDF5 library. So the readers run in a second Python, which is started at the first such file (about
0.4 s), answers the next ones in milliseconds, and ends by itself after a minute without work, or with this process. Where it dies, or works
without end, that is an error about the file. What comes back are bytes of arrays and JSON, nothing that could run.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from retime.core.errors import ModelFileError
from retime.io.arrays import FREE_BYTES, MAX_EXPANSION, FileArrays, KerasLayer, refusal

IDLE = 60.0
"""Seconds without work after which the process ends."""

SWOLLEN = 2**30
"""Bytes of memory after which the process is replaced."""

CPU_SECONDS = 30
"""Seconds of work for one file, and one more for every 10 MB."""

_HELLO = b"retime reads HDF5\n"

_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from retime.io.formats import read_here
from retime.io.reader_process import serve
serve(read_here)
"""


def read_apart(path: Path) -> FileArrays | None:
    """What `formats.read_here` finds, in the other process; None where no other Python can be started.

    Raises:
        ModelFileError: as `read_here`; or the HDF5 library ended on the file, or did not end.
    """
    with _lock:
        for _ in range(2):  # the process may have ended, idle, since the last file
            process = _process()
            if process is None:
                break
            found = process.ask(path)
            if found is not None:
                return found
    return None


_lock = threading.Lock()
_state: dict[str, Any] = {"process": None, "pid": 0, "is_possible": True}


def _process() -> _Process | None:
    """The running process, started if need be; None where that is not possible. After a fork the parent's is not ours."""
    process = _state["process"] if _state["pid"] == os.getpid() else None
    if process is not None and process.is_running:
        return process
    if not _state["is_possible"] or not Path(sys.executable or "").name.lower().startswith(("python", "pypy")):
        return None
    try:
        process = _Process()
    except OSError:
        _state["is_possible"] = False
        return None
    _state.update(process=process, pid=os.getpid())
    return process


class _Process:
    """The other Python, and the pipes to it."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process
        )
        atexit.register(self.close)
        if self._from.readline() != _HELLO:
            self.close()
            raise OSError("no second Python answers")

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    @property
    def _to(self) -> IO[bytes]:
        return self._popen.stdin  # type: ignore[return-value]

    @property
    def _from(self) -> IO[bytes]:
        return self._popen.stdout  # type: ignore[return-value]

    def ask(self, path: Path) -> FileArrays | None:
        """What the file holds; None where the process had ended before."""
        try:
            self._to.write(json.dumps(str(path.absolute())).encode() + b"\n")
            self._to.flush()
            head = self._from.readline()
            answer = json.loads(head) if head.endswith(b"\n") else None
            found = None if answer is None else _received(path, answer, self._from)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            answer = found = None
        except BaseException:  # an interrupt leaves the pipes in the middle of an answer
            self.close()
            raise
        if answer is not None and "error" in answer:
            raise ModelFileError(answer["error"])
        if found is not None:
            return found
        code = self.close()
        if code == 0:
            return None
        raise refusal(
            path,
            expected="a complete HDF5 file",
            found=f"a damaged one, on which the HDF5 library {'did not end' if code == -24 else 'failed'} (in a process of its own)",
            remedy="Copy or download it again, or save it again from its framework.",
        )

    def close(self) -> int:
        """End the process; its exit status."""
        atexit.unregister(self.close)
        for pipe in (self._to, self._from):
            with suppress(OSError):
                pipe.close()
        try:
            return self._popen.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait()


# What goes through the pipe: a line of JSON, then the bytes of the arrays.


def _received(path: Path, answer: Mapping[str, Any], stream: IO[bytes]) -> FileArrays | None:
    if "arrays" not in answer:
        return None
    left = FREE_BYTES + MAX_EXPANSION * path.stat().st_size
    arrays = {}
    for name, code, shape in answer["arrays"]:
        array = np.empty(shape, np.dtype(code))
        left -= array.nbytes
        if left < 0 or array.dtype.hasobject:
            raise ValueError("an answer that is larger than the file can be")
        _fill(array, stream)
        arrays[name] = array
    cells = {name: tuple(arrays.pop(key) for key in keys) for name, keys in answer["cells"].items()}
    layers = tuple(_layer(entry, arrays) for entry in answer["layers"])
    outputs = tuple((name, k) for name, k in answer["outputs"])
    return FileArrays(
        path, answer["format"], arrays, cells, layers, answer["metadata"], outputs=outputs, refused=answer["refused"]
    )


def _fill(array: np.ndarray, stream: IO[bytes]) -> None:
    if array.nbytes == 0:
        return
    target = array.reshape(-1).view(np.uint8).data
    place = 0
    while place < len(target):
        count = stream.readinto(target[place:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError("the answer ends early")
        place += count


def _layer(entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> KerasLayer:
    weights = {short: arrays[name] for short, name in entry["weights"].items()}
    calls, reads = (tuple(tuple(use) for use in entry[key]) for key in ("calls", "reads"))
    return KerasLayer(entry["class_name"], entry["name"], entry["config"], weights, calls, reads)


def _send(found: FileArrays, stream: IO[bytes]) -> None:
    """The answer; each array is let go when it has been sent."""
    arrays = dict(found.arrays)
    cells = {name: [f"{name}{{{k}}}" for k in range(len(parts))] for name, parts in found.cells.items()}
    for name, parts in found.cells.items():
        arrays |= dict(zip(cells[name], parts, strict=True))
    layers = [
        {"class_name": x.class_name, "name": x.name, "config": x.config, "calls": x.calls, "reads": x.reads,
         "weights": {short: f"{x.name}.{short}" for short in x.weights}}
        for x in found.layers
    ]  # fmt: skip
    answer = {
        "format": found.format, "arrays": [(name, a.dtype.str, a.shape) for name, a in arrays.items()], "cells": cells,
        "layers": layers, "metadata": found.metadata, "outputs": found.outputs, "refused": found.refused,
    }  # fmt: skip
    stream.write(json.dumps(answer).encode() + b"\n")
    del found
    for name in list(arrays):
        array = arrays.pop(name)
        if array.nbytes:
            stream.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    stream.flush()


# The other side.


def serve(read: Callable[[Path], FileArrays]) -> None:
    """Answer questions until there are no more: paths as lines of JSON on standard input, what `read` finds on standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no answer
    answers.write(_HELLO)
    answers.flush()
    while True:
        clock = threading.Timer(IDLE, os._exit, (0,))
        clock.daemon = True
        clock.start()
        line = sys.stdin.buffer.readline()
        clock.cancel()
        if not line:
            os._exit(0)
        path = Path(json.loads(line))
        _limit(path)
        try:
            _send(read(path), answers)
        except ModelFileError as error:
            answers.write(json.dumps({"error": str(error)}).encode() + b"\n")
            answers.flush()
        if _memory() > SWOLLEN:  # what hostile files leave behind; the next file starts another process
            os._exit(0)


def _memory() -> int:
    """Memory that this process holds, bytes; 0 where the system does not tell. Its largest one would be that of its parent too."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _limit(path: Path) -> None:
    """A bound on the work and the memory that one file may take, where the system has such bounds."""
    try:
        import resource
    except ImportError:
        return
    size = path.stat().st_size if path.exists() else 0
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(usage.ru_utime + usage.ru_stime) + CPU_SECONDS + size // 10**7
    memory = 2**32 + 2 * (FREE_BYTES + MAX_EXPANSION * size)
    for kind, value in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory)):
        _, hard = resource.getrlimit(kind)
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))

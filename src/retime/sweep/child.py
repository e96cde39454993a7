"""A process that runs cases, one after another: it can be killed, by itself or by a time limit, and takes nothing with it.

It reads frames from stdin (length, bytes) and answers in frames. It ends when stdin does, at once, whatever it is doing: when the process that
started it has died, nobody waits for its answer. What the function prints is kept with the result.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import random
import struct
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from retime.sweep.values import Packed, columns

LENGTH = struct.Struct("<Q")
IDLE = 600.0  # seconds without a case after which it ends
UNLOADABLE = "unloadable"
"""Status of an answer: the function could not be made of its bytes, so that no case can be run."""


def main() -> None:
    """Answer until stdin ends: each question is the bytes of the function (none: the last one), a seed, and the bytes of the arguments."""
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    faulthandler.enable()
    questions: queue.Queue[list[bytes]] = queue.Queue()
    threading.Thread(target=_listen, args=(asked, questions), daemon=True).start()
    function: Any = None
    while True:
        try:
            code, seed, arguments = questions.get(timeout=IDLE)
        except queue.Empty:
            os._exit(0)
        try:
            import cloudpickle

            function = cloudpickle.loads(code) if code else function
            given = cloudpickle.loads(arguments)
        except Exception as error:  # whatever importing the user's module raises
            record, files = failure(error) | {"status": UNLOADABLE}, {}
        else:
            write_frames(answers, [])  # from now on its time counts
            record, files = answer(function, given, int.from_bytes(seed, "big"))
        sys.stdout.flush()
        sys.stderr.flush()
        write_frames(answers, [json.dumps(record).encode(), *(x for k, v in files.items() for x in (k.encode(), v))])


def answer(function: Any, arguments: Any, seed: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Run one case: what its record says, and the files beside it. Whatever the function raises is part of the answer."""
    begun = time.perf_counter()
    try:
        with seeded(seed):
            value = function(**arguments)
        spent = time.perf_counter() - begun
        packed = Packed(value)
    except (Exception, SystemExit) as error:
        return failure(error) | {"seconds": time.perf_counter() - begun}, {}
    found = {"status": "completed", "seconds": spent, "row": columns(packed.tree), "result": packed.tree}
    return found, packed.files


def failure(error: BaseException) -> dict[str, Any]:
    """The record of a case that raised."""
    text = f"{type(error).__name__}: {error}".strip()
    lines = traceback.format_exception(error)
    return {"status": "failed", "seconds": 0.0, "error": text, "traceback": "".join(lines)}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The generators that belong to the process begin anew at each case: its result does not depend on those before it."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002  what the user's function may draw from
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed % 2**63)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002


def write_frames(stream: BinaryIO, frames: list[bytes]) -> None:
    """Send their number, then each with its length."""
    stream.write(LENGTH.pack(len(frames)))
    for frame in frames:
        stream.write(LENGTH.pack(len(frame)))
        stream.write(frame)
    stream.flush()


def read_frames(stream: BinaryIO) -> list[bytes]:
    """What `write_frames` sent.

    Raises:
        EOFError: the other side has gone.
    """
    return [_read(stream, _number(stream)) for _ in range(_number(stream))]


def _number(stream: BinaryIO) -> int:
    return LENGTH.unpack(_read(stream, LENGTH.size))[0]


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _listen(asked: BinaryIO, questions: queue.Queue[list[bytes]]) -> None:
    try:
        while True:
            questions.put(read_frames(asked))
    except EOFError:
        os._exit(1)

"""Ctrl-C, heard at any moment: in our own code as a KeyboardInterrupt, elsewhere by ending at once.

Python hands a KeyboardInterrupt to whatever runs when Ctrl-C comes. Our searches catch it and return what they have; an import or a
compiler may swallow it, print a traceback, or not return to Python for many seconds. There the process ends: unfinished files
are removed, one line is printed, the exit code is 130.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130
SENTENCE = "retime: interrupted; files that were to be written are as they were."
PATIENCE = 1.0  # seconds of the main thread's processor time in which Python has to hear of a Ctrl-C
LONGEST = 10.0  # seconds on the wall for the same, where the main thread waits
_FOREIGN = ("importlib.", "_frozen_importlib", "numba.", "llvmlite.")


class _Ear:
    """What was pressed and heard up to now, and whether a command is at work."""

    pressed = 0
    heard = 0
    at_work = False


@contextmanager
def listening() -> Iterator[None]:
    """Hear Ctrl-C while a command line runs; everything is as before afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    _Ear.pressed = _Ear.heard = 0
    handler, hook = signal.signal(signal.SIGINT, _on_interrupt), sys.unraisablehook
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    sys.unraisablehook = lambda found: _swallowed(found, hook)
    threading.Thread(target=_watch, args=(reading, _clock_of_this_thread()), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, handler)
        sys.unraisablehook = hook
        os.close(writing)


@contextmanager
def working() -> Iterator[None]:
    """A command is at work: the first Ctrl-C is a KeyboardInterrupt, which a search turns into what it has found."""
    _Ear.at_work = True
    try:
        yield
    finally:
        _Ear.at_work = False


def end() -> None:
    """End the process: remove unfinished files, print one line, exit code 130."""
    from retime.core.files import discard_unfinished

    discard_unfinished()
    cursor = "\x1b[?25h" if os.isatty(2) else ""  # a progress bar hides it
    os.write(2, f"{cursor}{SENTENCE}\n".encode())
    os._exit(INTERRUPTED)


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    _Ear.heard += 1
    if _Ear.heard > 1 or not _Ear.at_work or _is_foreign(frame):
        end()
    raise KeyboardInterrupt


def _is_foreign(frame: FrameType | None) -> bool:
    """Whether an import or a compiler is on the stack."""
    while frame is not None:
        if f"{frame.f_globals.get('__name__', '')}.".startswith(_FOREIGN):
            return True
        frame = frame.f_back
    return False


def _swallowed(found: Any, hook: Any) -> None:
    """A KeyboardInterrupt raised where exceptions vanish (a finalizer, a callback of C code) is not lost."""
    if isinstance(found.exc_value, KeyboardInterrupt):
        end()
    hook(found)


def _clock_of_this_thread() -> Any:
    """A function that says how long this thread has computed, in seconds."""
    try:
        clock = time.pthread_getcpuclockid(threading.get_ident())
    except (AttributeError, OSError):  # not on every system
        return time.process_time
    return lambda: time.clock_gettime(clock)


def _watch(reading: int, worked: Any) -> None:
    """In a thread of its own: end the process when the main thread does not return to Python after Ctrl-C."""
    while pressed := os.read(reading, 1):
        if pressed[0] != signal.SIGINT:
            continue
        _Ear.pressed += 1
        start, begun = worked(), time.perf_counter()
        while _Ear.heard < _Ear.pressed:
            if worked() - start > PATIENCE or time.perf_counter() - begun > LONGEST:
                end()
            time.sleep(0.02)
    os.close(reading)

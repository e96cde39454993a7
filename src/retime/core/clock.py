"""Seconds of work: what every limit of time counts.

A limit says how much work may be done, so it counts neither the compilation of kernels and flows, which is paid once an
installation or a process, nor the time that other programs take of a busy machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class WorkClock:
    """Seconds of the wall clock or of the processor, whichever pass more slowly, less those spent compiling.

    Attributes:
        rate: seconds that it shows per second of work.
    """

    def __init__(self) -> None:
        self.rate = 1.0
        self._lock = threading.Lock()
        self._shown, self._compiling, self._counting = 0.0, 0, 0
        self._left_out: list[tuple[float, float]] = []
        self._start()

    def _start(self) -> None:
        self._wall, self._processor = time.monotonic(), time.process_time()
        self._left_out.clear()

    def read(self) -> float:
        """Seconds of work since the clock was made; it stands still while something is compiled."""
        with self._lock:
            if self._compiling == 0:
                left_out = sum(end - start for start, end in self._left_out)
                passed = min(time.monotonic() - self._wall - left_out, time.process_time() - self._processor)
                self._shown += self.rate * max(passed, 0.0)
                self._start()
            return self._shown

    def begin_compiling(self) -> None:
        """Something begins to be compiled, perhaps within or beside something else that is."""
        self.read()
        with self._lock:
            self._compiling += 1

    def end_compiling(self) -> None:
        """Something is compiled."""
        with self._lock:
            self._compiling -= 1
            if self._compiling == 0:
                self._start()

    def leave_out(self, start: float, end: float) -> None:
        """Leave out a span of wall-clock time that ends now (any epoch); one that begins before earlier ones contains them."""
        if self._counting:
            return
        with self._lock:
            before = [span for span in self._left_out if span[0] < start]
            self._left_out = [*before, (max(start, before[-1][1]) if before else start, end)]

    @contextmanager
    def counting_spans(self, wanted: bool = True) -> Iterator[None]:
        """Leave no spans out inside: where every part of the work compiles anew, a limit of time must end it."""
        self._counting += wanted
        try:
            yield
        finally:
            self._counting -= wanted


CLOCK = WorkClock()


def work_seconds() -> float:
    """Seconds of work of this process; limits of time are differences of them."""
    return CLOCK.read()

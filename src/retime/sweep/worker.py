"""What a worker of Dask does: hand cases to a process of its own beside it, and survive whatever that process does.

A function that computes in compiled code can neither be interrupted nor timed out within its process, and one that crashes takes its process
with it; beside the worker it is killed, and started anew, without the scheduler's noticing. Kernels run on one thread there.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, BinaryIO, NamedTuple

from retime.sweep.child import read_frames, write_frames

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "NPROC": "1",  # XLA's pool
}
_CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
COMPILED = {  # what XLA compiles for one process, the others and the next sweep load; code for one machine is not for another
    "JAX_COMPILATION_CACHE_DIR": os.path.join(_CACHE, "retime", "xla", platform.node() or "here"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    "JAX_COMPILATION_CACHE_MAX_SIZE": str(
        10**9 if find_spec("filelock") else -1
    ),  # bytes; what was not used for longest goes. -1: no limit
}
XLA_FLAGS = "--xla_cpu_multi_thread_eigen=false"
PRINTED = 5_000  # bytes of what a case prints that are kept
START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from retime.sweep.child import main; main()"


class Job(NamedTuple):
    """What is the same for all cases of a sweep.

    Attributes:
        sweep: names the sweep. function: its bytes. paths: where the asking process looks for modules; where a worker has these folders too
            (a shared disk), its processes look there after their own.
        retries: further tries of a case whose process dies. timeout: seconds of a case, None: none.
    """

    sweep: str
    function: bytes
    paths: tuple[str, ...]
    retries: int
    timeout: float | None


class Question(NamedTuple):
    """A case on its way: its key, and the bytes of its arguments."""

    key: str
    arguments: bytes


class Answer(NamedTuple):
    """The record of a case as JSON, and the files beside it."""

    record: dict[str, Any]
    files: dict[str, bytes]


def run_cases(job: Job, questions: list[Question]) -> list[Answer]:
    """Run cases in a process of this worker: the task that Dask sees. It raises nothing that the function raises."""
    return [_run_case(job, x) for x in questions]


def _run_case(job: Job, question: Question) -> Answer:
    """Try until there is an answer, time is up, or all tries are spent."""
    attempt, (found, may_repeat) = 1, _tried(job, question)
    while may_repeat and attempt <= job.retries:
        attempt, (found, may_repeat) = attempt + 1, _tried(job, question)
    return Answer(found.record | {"attempts": attempt}, found.files)


def _tried(job: Job, question: Question) -> tuple[Answer, bool]:
    """What came of one try, and whether another may come to something else."""
    with _process(job) as process:
        answer, error = process.ask(job, question)
        printed = process.last_lines()
    if answer is not None:
        return Answer(answer.record | printed, answer.files), False
    record = {"status": "failed", "seconds": process.seconds, "error": error}
    return Answer(record | printed, {}), not process.is_late


def start_processes(job: Job, count: int) -> None:
    """Start processes that the first cases find free."""
    made = [_Process.start(job) for _ in range(count)]
    with _LOCK:
        _ALL.update(made)
        _FREE.extend(made)


def end_processes(sweep: str) -> None:
    """End the processes of a sweep that is over, or interrupted: now, whatever they do."""
    with _LOCK:
        _ENDED.add(sweep)
        own = [x for x in _ALL if x.sweep == sweep]
        _ALL.difference_update(own)
        free = [x for x in _FREE if x.sweep == sweep]
        _FREE[:] = [x for x in _FREE if x.sweep != sweep]
    for process in own:
        process.kill()
    for process in free:  # those at work are closed where their answer is waited for
        process.close()


@dataclass(eq=False)
class _Process:
    """A child, and what it was told."""

    sweep: str
    process: subprocess.Popen[bytes]
    printed: BinaryIO
    knows_function: bool = False
    is_late: bool = False
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(cls, job: Job) -> _Process:
        flags = f"{os.environ.get('XLA_FLAGS', '')} {XLA_FLAGS}".strip()
        paths = [*sys.path, *(p for p in job.paths if p not in sys.path and os.path.isdir(p))]
        printed = tempfile.TemporaryFile()  # noqa: SIM115  both processes write and read at one place in it
        process = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps(paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            env=COMPILED | os.environ | ONE_THREAD | {"XLA_FLAGS": flags},
            start_new_session=True,  # Ctrl-C is for the process that asks; what the function starts is killed with it
        )
        return cls(job.sweep, process, printed)

    def ask(self, job: Job, question: Question) -> tuple[Answer | None, str]:
        """The answer, or None and why there is none."""
        timer = threading.Timer(job.timeout, self._expire) if job.timeout is not None else None
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("The process was started without pipes.")
        try:
            code = b"" if self.knows_function else job.function
            write_frames(stdin, [code, int(question.key, 16).to_bytes(8, "big"), question.arguments])  # type: ignore[arg-type]
            self.knows_function = True
            first = read_frames(stdout)  # type: ignore[arg-type]
            if timer is not None and not first:
                timer.start()
            record, *rest = first or read_frames(stdout)  # type: ignore[arg-type]
        except (EOFError, OSError):
            return None, self._end(job)
        finally:
            if timer is not None:
                timer.cancel()
        names, contents = [x.decode() for x in rest[::2]], rest[1::2]
        return Answer(json.loads(record), dict(zip(names, contents, strict=True))), ""

    def last_lines(self) -> dict[str, str]:
        """What was printed since the last call, its end where it is long; nothing where nothing was."""
        size = self.printed.seek(0, os.SEEK_END)
        self.printed.seek(max(size - PRINTED, 0))
        text = self.printed.read().decode(errors="replace")
        self.printed.seek(0)
        self.printed.truncate()
        return {"printed": text} if text else {}

    def kill(self) -> None:
        """End it and what it started."""
        with self._lock, suppress(ProcessLookupError, PermissionError):
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL) if hasattr(os, "killpg") else self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Nothing of it is left."""
        for stream in (self.process.stdin, self.process.stdout, self.printed):
            if stream is not None:
                with suppress(BrokenPipeError):  # the end of a question that nobody reads any more
                    stream.close()

    def _expire(self) -> None:
        self.is_late = True
        self.kill()

    def _end(self, job: Job) -> str:
        self.kill()
        if self.is_late:
            self.seconds = job.timeout or 0.0
            return f"took longer than timeout={job.timeout:g} seconds"
        code = self.process.returncode
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        return f"the process that ran it {how}"


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name


_LOCK = threading.Lock()
_ALL: set[_Process] = set()
_FREE: list[_Process] = []
_ENDED: set[str] = set()


@contextmanager
def _process(job: Job) -> Iterator[_Process]:
    """A process for one case: one that is free, or a new one; kept for the next case unless it died."""
    with _LOCK:
        if job.sweep in _ENDED:
            raise RuntimeError(f"The sweep {job.sweep} is over.")
        own = [x for x in _FREE if x.sweep == job.sweep and x.process.poll() is None]
        found = own[0] if own else _Process.start(job)
        _FREE[:] = [x for x in _FREE if x is not found]
        _ALL.add(found)
    try:
        yield found
    finally:
        with _LOCK:
            lives = found.process.poll() is None and found in _ALL
            if lives:
                _FREE.append(found)
            else:
                _ALL.discard(found)
        if not lives:
            found.close()

"""Where cases are run: on Dask's workers, or one after another in this process. Both give answers as they come, in any order."""

from __future__ import annotations

import importlib.util
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from typing import Any, Protocol

from retime.core.arguments import whole
from retime.core.errors import MissingDependencyError, RetimeError
from retime.core.notice import notify
from retime.sweep.cases import Case
from retime.sweep.child import UNLOADABLE, answer
from retime.sweep.function import as_bytes
from retime.sweep.worker import Answer, Job, Question, end_processes, run_case

AHEAD = 4  # cases per thread that are on their way: enough that no worker waits, few enough that memory does not grow with their number
LEAST_AHEAD = 32
HEAVY = 10_000_000  # bytes of a function that is sent with every case


class Engine(Protocol):
    """What runs cases."""

    def run(self, cases: Sequence[Case]) -> Iterator[tuple[Case, Answer]]:
        """Each case with its answer, as they end; KeyboardInterrupt passes through, and what still runs is ended."""
        ...


class InProcess:
    """One case after another, here: for looking for errors, and where Dask is not installed."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def run(self, cases: Sequence[Case]) -> Iterator[tuple[Case, Answer]]:
        """Each case with its answer."""
        for case in cases:
            yield case, Answer(*answer(self.function, case.arguments, int(case.key, 16)))


class OnDask:
    """On the workers of a client, each of which runs a case in a process of its own."""

    def __init__(self, function: Callable[..., Any], client: Any, retries: int, timeout: float | None) -> None:
        self.client, self.retries, self._threads = client, retries, 1
        self._running: dict[Any, tuple[Case, int]] = {}
        self._ended: Any = None
        self.job = Job(uuid.uuid4().hex, as_bytes(function), retries, timeout)
        if len(self.job.function) > HEAVY:
            notify(
                f"The function holds {len(self.job.function) / 1e6:.0f} MB of data, which is sent with every case: "
                "read them from a file inside the function."
            )

    def run(self, cases: Sequence[Case]) -> Iterator[tuple[Case, Answer]]:
        """Each case with its answer, as they end.

        Raises:
            RetimeError: the scheduler is gone, or its workers cannot run the function.
        """
        from distributed import as_completed

        waiting = iter(cases)
        self._ended = as_completed(loop=self.client.loop, with_results=True, raise_errors=False)
        try:
            for case in islice(waiting, self._ahead()):
                self._send(case, 1)
            for batch in self._ended.batches():
                for future, found in batch:
                    case, tries = self._running.pop(future)
                    if isinstance(found, Answer):
                        yield case, _loadable(found)
                    elif not self._is_of_dead_workers(future):
                        raise RetimeError(self._useless(future))
                    elif tries <= self.retries:
                        self._send(case, tries + 1)
                    else:
                        yield case, Answer(_DEAD | {"attempts": tries}, {})
                for case in islice(waiting, max(self._ahead() - len(self._running), 0)):
                    self._send(case, 1)
        finally:
            self._end()

    def _send(self, case: Case, attempt: int) -> None:
        import cloudpickle

        question = Question(case.key, cloudpickle.dumps(dict(case.arguments)))
        name = f"{case.name}-{self.job.sweep[:8]}-{attempt}"
        future = self.client.submit(run_case, self.job, question, key=name, pure=False)
        self._running[future] = case, attempt
        self._ended.add(future)

    def _ahead(self) -> int:
        with suppress(Exception):  # the scheduler is gone: said where its answers are waited for
            self._threads = sum(self.client.nthreads().values())
        return max(LEAST_AHEAD, AHEAD * self._threads)

    def _is_of_dead_workers(self, future: Any) -> bool:
        from distributed.scheduler import KilledWorker

        return future.status == "error" and isinstance(future.exception(), KilledWorker)

    def _useless(self, future: Any) -> str:
        """Why no case can be run any more."""
        address = getattr(self.client.scheduler, "address", "")
        if future.status == "error":
            return f"The workers of {address} cannot run cases ({future.exception()!r}); install the same retime and Python there."
        return f"The scheduler at {address} is gone; what was finished is kept: start it, and call again."

    def _end(self) -> None:
        """Nothing of this sweep runs on when it is over, whatever ended it."""
        with suppress(Exception):  # the scheduler may be gone
            if self._running:
                self.client.cancel([*self._running])
            if self.client.status == "running":
                self.client.run(end_processes, self.job.sweep, on_error="ignore")
        self._running.clear()


_DEAD = {"status": "failed", "seconds": None, "error": "the workers that ran it died"}


def _loadable(found: Answer) -> Answer:
    if found.record["status"] == UNLOADABLE:
        raise RetimeError(
            f"The function cannot be made on a worker ({found.record['error']}); a module of yours must be there too: install it, or give the "
            "workers its file with client.upload_file('work.py')."
        )
    return found


@contextmanager
def engine_of(
    function: Callable[..., Any], client: Any, retries: int, timeout: float | None, num_cases: int
) -> Iterator[Engine]:
    """What runs the cases, as the argument `client` says.

    Raises:
        MissingDependencyError: Dask is not installed, and something needs it. TypeError: no client. RetimeError: no scheduler answers.
    """
    if is_whole(client) and client == 0:
        _refuse(timeout, "client=0 runs the cases in this process, where a case cannot be ended", "leave `client` out")
        yield InProcess(function)
    elif importlib.util.find_spec("distributed") is None:
        if client is not None:
            raise MissingDependencyError(f"`client` needs Dask: {INSTALL}")
        _refuse(timeout, "without Dask the cases run in this process, where a case cannot be ended", INSTALL)
        notify(
            f"Dask is not installed: the cases run one after another in this process. For several at once: {INSTALL}"
        )
        yield InProcess(function)
    else:
        with _connected(client, num_cases) as found:
            yield OnDask(function, found, retries, timeout)


INSTALL = "pip install 'retime[sweep]'"


def _refuse(timeout: float | None, why: str, instead: str) -> None:
    if timeout is not None:
        raise ValueError(f"`timeout` is {timeout!r}, but {why}: {instead}, or give no `timeout`.")


def is_whole(value: Any) -> bool:
    """Whether it is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


@contextmanager
def _connected(client: Any, num_cases: int) -> Iterator[Any]:
    """A client of Dask; what was made for it is closed afterwards."""
    from distributed import Client

    if isinstance(client, Client):
        if client.asynchronous:
            raise TypeError("`client` is an asynchronous client; give a synchronous one, Client(address).")
        yield client
        return
    with ExitStack() as made:
        if client is None or is_whole(client):
            count = whole("client", _cores() if client is None else client, 1)
            client = made.enter_context(_local_cluster(min(count, num_cases)))
        elif not isinstance(client, str) and not hasattr(client, "scheduler_address"):
            raise TypeError(
                f"`client` is {client!r}; it must be a client or a cluster of Dask, a scheduler's address "
                "(tcp://host:8786), or a number of workers."
            )
        try:
            yield made.enter_context(Client(client, set_as_default=False))
        except (OSError, TimeoutError) as error:
            raise RetimeError(
                f"`client` is {client!r}, where no scheduler answers ({error}); start one (`dask scheduler`), and give its address."
            ) from error


def _local_cluster(workers: int) -> Any:
    """Workers within this process: they only wait for the processes of their cases."""
    from distributed import LocalCluster

    shows = importlib.util.find_spec("bokeh") is not None
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        memory_limit=0,
        dashboard_address="127.0.0.1:0" if shows else None,
        silence_logs=logging.ERROR,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

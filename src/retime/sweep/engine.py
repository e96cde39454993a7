"""Where cases are run: on Dask's workers, or one after another in this process. Both give answers as they come, in any order."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from statistics import median
from typing import Any, Protocol

from retime.core.arguments import whole
from retime.core.errors import MissingDependencyError, RetimeError
from retime.core.notice import notify
from retime.core.threads import cores
from retime.sweep.cases import Case
from retime.sweep.child import UNLOADABLE, answer
from retime.sweep.function import as_bytes
from retime.sweep.worker import Answer, Job, Question, end_processes, run_cases, start_processes

AHEAD = 4  # tasks per thread that are on their way: enough that no worker waits, few enough that memory does not grow with the cases
LEAST_AHEAD = 16  # cases
ASK_EVERY = 2.0  # seconds between two looks at how many workers there are
TASK_BYTES = 2_000_000  # of results that come back at once
TASK = 0.2  # seconds of work that go to a worker at once, where cases are shorter: a task costs Dask 3 ms
HEAVY = 10_000_000  # bytes of a function that is sent with every case


class Engine(Protocol):
    """What runs cases."""

    def run(self, cases: Sequence[Case]) -> Generator[tuple[Case, Answer], None, None]:
        """Each case with its answer, as they end; KeyboardInterrupt passes through, and what still runs is ended."""
        ...


class InProcess:
    """One case after another, here: for looking for errors, and where Dask is not installed."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def run(self, cases: Sequence[Case]) -> Generator[tuple[Case, Answer], None, None]:
        """Each case with its answer."""
        for case in cases:
            yield case, Answer(*answer(self.function, case.arguments, int(case.key, 16)))


class OnDask:
    """On the workers of a client, each of which runs a case in a process of its own."""

    def __init__(self, job: Job, client: Any) -> None:
        self.job, self.client, self._threads, self._ask_again, self._pace = job, client, 1, 0.0, _Pace()
        self._running: dict[Any, tuple[Sequence[Case], int]] = {}
        self._ended: Any = None

    def run(self, cases: Sequence[Case]) -> Generator[tuple[Case, Answer], None, None]:
        """Each case with its answer, as they end.

        Raises:
            RetimeError: the scheduler is gone, or its workers cannot run the function.
        """
        from distributed import as_completed

        waiting = deque(cases)
        self._ended = as_completed(loop=self.client.loop, with_results=True, raise_errors=False)
        try:
            self._send_more(waiting)
            for batch in self._ended.batches():
                for future, found in batch:
                    few, tries = self._running.pop(future)
                    if isinstance(found, list):
                        self._pace.learn(found)
                        yield from zip(few, map(_loadable, found), strict=True)
                    elif not self._is_of_dead_workers(future):
                        raise RetimeError(self._useless(future))
                    elif tries <= self.job.retries:
                        for case in few:
                            self._send([case], tries + 1)
                    else:
                        yield from ((case, Answer(_DEAD | {"attempts": tries}, {})) for case in few)
                self._send_more(waiting)
        finally:
            self._end()

    def _send_more(self, waiting: deque[Case]) -> None:
        threads = self._count_threads()
        under_way = sum(len(few) for few, _ in self._running.values())
        while waiting and (len(self._running) < AHEAD * threads or under_way < LEAST_AHEAD):
            size = min(self._pace.size, -(-len(waiting) // (2 * threads)))
            self._send([waiting.popleft() for _ in range(size)], 1)
            under_way += size

    def _send(self, few: Sequence[Case], attempt: int) -> None:
        import cloudpickle

        questions = [Question(case.key, cloudpickle.dumps(dict(case.arguments))) for case in few]
        name = f"{few[0].name}-{self.job.sweep[:8]}-{attempt}"
        future = self.client.submit(run_cases, self.job, questions, key=name, pure=False)
        self._running[future] = few, attempt
        self._ended.add(future)

    def _count_threads(self) -> int:
        """Of all workers, which come and go: asked for now and then."""
        if time.monotonic() >= self._ask_again:
            with suppress(Exception):  # the scheduler is gone: said where its answers are waited for
                self._threads = max(sum(self.client.nthreads().values()), 1)
            self._ask_again = time.monotonic() + ASK_EVERY
        return self._threads

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


class _Pace:
    """How many cases make a task: one, until they are known to be short, and their results to be small."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=50)

    def learn(self, answers: Sequence[Answer]) -> None:
        """Look at the last ones: each takes the share of a task that its seconds do, or its files."""
        for one in answers:
            size = sum(map(len, one.files.values()))
            self._recent.append(max(one.record["seconds"] / TASK, size / TASK_BYTES, 0.005))

    @property
    def size(self) -> int:
        """Cases of the next task."""
        return max(int(1 / median(self._recent)), 1) if len(self._recent) > 3 else 1


_DEAD = {"status": "failed", "seconds": 0.0, "error": "the workers that ran it died"}


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
        job = _job(function, retries, timeout)
        try:
            if client is None or is_whole(client):
                client = min(whole("client", cores() if client is None else client, 1), num_cases)
                start_processes(job, client)  # which import what they need while Dask is started here
            with _connected(client) as found:
                yield OnDask(job, found)
        finally:
            end_processes(job.sweep)


def _job(function: Callable[..., Any], retries: int, timeout: float | None) -> Job:
    paths = tuple(os.path.abspath(p) for p in sys.path)
    job = Job(uuid.uuid4().hex, as_bytes(function), paths, retries, timeout)
    if len(job.function) > HEAVY:
        notify(
            f"The function holds {len(job.function) / 1e6:.0f} MB of data, which is sent with every case: "
            "read them from a file inside the function."
        )
    return job


INSTALL = "pip install 'retime[sweep]'"


def _refuse(timeout: float | None, why: str, instead: str) -> None:
    if timeout is not None:
        raise ValueError(f"`timeout` is {timeout!r}, but {why}: {instead}, or give no `timeout`.")


def is_whole(value: Any) -> bool:
    """Whether it is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


@contextmanager
def _connected(client: Any) -> Iterator[Any]:
    """A client of Dask; what was made for it is closed afterwards."""
    from distributed import Client

    if isinstance(client, Client):
        if client.asynchronous:
            raise TypeError("`client` is an asynchronous client; give a synchronous one, Client(address).")
        _introduce(client)
        yield client
        return
    with ExitStack() as made:
        if is_whole(client):
            client = made.enter_context(_local_cluster(client))
        elif not isinstance(client, str) and not hasattr(client, "scheduler_address"):
            raise TypeError(
                f"`client` is {client!r}; it must be a client or a cluster of Dask, a scheduler's address "
                "(tcp://host:8786), or a number of workers."
            )
        made.enter_context(_unheard())
        try:
            found = made.enter_context(Client(client, set_as_default=False))
        except (OSError, TimeoutError) as error:
            raise RetimeError(
                f"`client` is {client!r}, where no scheduler answers ({error}); start one (`dask scheduler`), and give its address."
            ) from error
        _introduce(found)
        yield found


@contextmanager
def _unheard() -> Iterator[None]:
    """Dask's client prints a traceback for each try to reach a scheduler that has gone, which is said in one line anyway."""
    log = logging.getLogger("distributed.client")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


@contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    """Workers within this process: they only wait for the processes of their cases."""
    import dask.config
    from distributed import LocalCluster

    quiet = {  # it looks at its workers' threads every few milliseconds, which only wait here
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "200ms",
        "distributed.admin.system-monitor.interval": "5s",
    }
    with (
        dask.config.set(quiet),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        ) as cluster,
    ):
        yield cluster


def _introduce(client: Any) -> None:
    """Say where the cases run, and where that is to be seen."""
    threads, info = client.nthreads(), client.scheduler_info(n_workers=0)
    address, port = info["address"], info.get("services", {}).get("dashboard")
    if not threads:
        notify(f"The scheduler at {address} has no worker yet; the cases wait for one (`dask worker {address}`).")
    if port is not None and importlib.util.find_spec("bokeh") is not None:  # which draws the dashboard
        host = "127.0.0.1" if address.startswith("inproc") else address.rpartition("/")[2].rpartition(":")[0]
        notify(f"{sum(threads.values())} workers; dashboard: http://{host}:{port}/status", once=False)

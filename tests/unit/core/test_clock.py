"""Seconds of work: neither compilation nor waiting counts, and none counts twice."""

import threading
import time

import jax
import numpy as np
import pytest

from retime.core.clock import CLOCK, WorkClock, work_seconds
from retime.core.equation import double_precision
from retime.core.kernel import kernel


@pytest.fixture
def clock(monkeypatch):
    """A clock, and the wall and processor times that it is shown."""
    now = {"wall": 100.0, "processor": 7.0}
    monkeypatch.setattr(time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(time, "process_time", lambda: now["processor"])
    made = WorkClock()

    def passes(wall, processor):
        now["wall"] += wall
        now["processor"] += processor

    return made, passes


def test_it_shows_the_slower_of_wall_and_processor_time(clock):
    made, passes = clock
    passes(2.0, 0.5)  # a busy machine, or waiting
    assert made.read() == 0.5
    passes(1.0, 1.8)  # two threads
    assert made.read() == 1.5


def test_it_stands_still_while_anything_is_compiled(clock):
    made, passes = clock
    passes(1.0, 1.0)
    made.begin_compiling()
    passes(5.0, 5.0)
    made.begin_compiling()  # a subroutine, or another thread
    passes(5.0, 5.0)
    made.end_compiling()
    passes(5.0, 5.0)
    assert made.read() == 1.0
    made.end_compiling()
    passes(0.25, 0.25)
    assert made.read() == 1.25


def test_spans_that_contain_or_overlap_others_are_left_out_once(clock):
    made, passes = clock
    passes(10.0, 10.0)
    made.leave_out(1.0, 2.0)
    made.leave_out(3.0, 4.0)
    made.leave_out(2.5, 6.0)  # contains the second one
    assert made.read() == pytest.approx(10 - 1 - 3.5)
    passes(10.0, 10.0)
    made.leave_out(11.0, 15.0)
    made.leave_out(14.0, 17.0)
    assert made.read() == pytest.approx(5.5 + 10 - 6)


def test_spans_count_where_every_part_of_the_work_compiles_anew(clock):
    made, passes = clock
    with made.counting_spans(), made.counting_spans(False):
        passes(3.0, 3.0)
        made.leave_out(100.0, 102.0)
        assert made.read() == 3.0
    passes(3.0, 3.0)
    made.leave_out(103.0, 105.0)
    assert made.read() == 4.0


def test_it_never_goes_back(clock):
    made, passes = clock
    passes(1.0, 1.0)
    made.leave_out(0.0, 50.0)
    assert made.read() == 0.0
    passes(1.0, 1.0)
    assert made.read() == 1.0


def busy(seconds):
    began = time.process_time()
    while time.process_time() < began + seconds:
        pass


def test_kernels_that_are_compiled_do_not_count():
    def kernel_of(count):
        @kernel
        def total(x):
            sums = np.zeros(4)
            for i in range(count):
                sums[i % 4] += np.sqrt(x) + sums.max()
            return sums.sum()

        return total

    assert kernel_of(1)(4.0) == 2.0  # Numba itself has started
    before, began = work_seconds(), time.process_time()
    assert kernel_of(2)(4.0) == 6.0
    spent = time.process_time() - began
    assert (work_seconds() - before) / CLOCK.rate < 0.5 * spent
    before = work_seconds()
    busy(0.1)
    assert (work_seconds() - before) / CLOCK.rate > 0.05


def test_flows_that_are_compiled_do_not_count():
    @jax.jit
    def roots(x):
        return jax.lax.fori_loop(0, 3, lambda _, y: y - jax.numpy.linalg.solve(y @ y.T + x, y), x)

    with double_precision():
        before, began = work_seconds(), time.process_time()
        roots(np.eye(3)).block_until_ready()
        spent = time.process_time() - began
        assert (work_seconds() - before) / CLOCK.rate < 0.5 * spent


def test_threads_read_one_clock():
    made, read = WorkClock(), []

    def watch():
        read.extend(made.read() for _ in range(1000))

    threads = [threading.Thread(target=watch) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(read) == 4000
    assert made.read() >= max(read)

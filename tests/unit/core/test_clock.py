"""Seconds of work: neither compilation nor waiting counts, and none counts twice."""

import threading
import time

import jax
import numpy as np
import pytest
from numba import njit

import retime.core.kernel  # noqa: F401 - tells the clock of Numba's compilations
from retime.core.clock import CLOCK, WorkClock, work_seconds
from retime.core.equation import double_precision


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


def teller(name, method, heard):
    """The method, which notes its calls."""

    def tell(*given):
        heard.append((name, *given))
        method(*given)

    return tell


@pytest.fixture
def told(monkeypatch):
    """What the clock of this process is told, in order; nothing here depends on how long anything takes."""
    heard = []
    for name in ("begin_compiling", "end_compiling", "leave_out"):
        monkeypatch.setattr(CLOCK, name, teller(name, getattr(CLOCK, name), heard))
    return heard


def test_kernels_that_are_compiled_do_not_count(told):
    @njit  # no cache: it is compiled in every run
    def total(x):
        return np.sqrt(x) + 1.0

    assert total(4.0) == 3.0
    assert told[0] == ("begin_compiling",)
    assert told[-1] == ("end_compiling",)
    assert told.count(("begin_compiling",)) == told.count(("end_compiling",))
    told.clear()
    assert total(9.0) == 4.0  # work
    assert told == []


def test_flows_that_are_compiled_do_not_count(told):
    @jax.jit
    def roots(x):
        return x + jax.numpy.sqrt(x)

    with double_precision():
        assert roots(np.array(4.0)) == 6.0
        spans = [given[1:] for given in told]
        assert {given[0] for given in told} == {"leave_out"}
        assert all(start <= end <= time.time() for start, end in spans)
        told.clear()
        assert roots(np.array(9.0)) == 12.0
    assert told == []


def test_work_counts():
    before, began = work_seconds(), time.process_time()
    while time.process_time() < began + 0.2:
        pass
    assert work_seconds() > before


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

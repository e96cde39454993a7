"""Fixtures of all tests; `families.py`, `references.py`, `relays.py` and `interrupts.py` beside this file serve several of them."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from retime.core.clock import CLOCK
from retime.core.quiet import one_blas_thread

ROOT = Path(__file__).resolve().parents[1]


FIRST = ("test_kernels.py",)  # compiles; beside it, what needs no kernel
BESIDE = (
    "test_frameworks.py",
    "test_smooth_families.py",
    "test_newton.py",
    "test_smooth.py",
    "test_reachable_states.py",
)


def pytest_configure(config):
    """Flows of the default run are small, and each is compiled once: XLA optimizes those of the slow tests only."""
    if config.option.markexpr == "not slow":
        os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


def pytest_collection_modifyitems(items):
    """Kernels are compiled by one worker, while the other one runs tests that need none; then both find them compiled."""
    items.sort(key=lambda item: 0 if item.path.name in FIRST else 1 if item.path.name in BESIDE else 2)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """One BLAS thread: on small matrices, and beside JAX's own threads, more of them mostly wait for each other."""
    with one_blas_thread():
        yield


@pytest.fixture(autouse=True, scope="session")
def clock_of_work():
    """Limits of time count a third of the work: what else the machine does, which slows every instruction, changes no result."""
    CLOCK.rate = 1 / 3
    yield
    CLOCK.rate = 1.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A KeyboardInterrupt that a test raises itself and the library lets through fails that test; it does not end the run."""
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *given: (pressed.append(1), signal.default_int_handler(*given)))
    try:
        return (yield)
    except KeyboardInterrupt as error:
        if pressed:  # by the person who runs the tests
            raise
        raise AssertionError("The interrupt of this test was not caught.") from error
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def rng():
    """The one source of random numbers: the same in every run."""
    return np.random.default_rng(20200713)


@pytest.fixture(scope="session")
def data():
    """The folder of published networks beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the published networks (../shared/data) are not here")
    return folder


@pytest.fixture
def no_hang():
    """Fail instead of hanging, after a minute of processor time (kernels return to Python between events)."""

    def stop(*_):
        raise TimeoutError("The call did not return.")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, 60)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)

"""Fixtures of all tests; `families.py`, `references.py` and `relays.py` beside this file hold models and solvers."""

import signal
from pathlib import Path

import numpy as np
import pytest

from retime.core.quiet import one_blas_thread

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """One BLAS thread: on small matrices, and beside JAX's own threads, more of them mostly wait for each other."""
    with one_blas_thread():
        yield


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
    """Fail instead of hanging: an alarm that interrupts Python after 20 s (kernels return to Python between events)."""

    def stop(*_):
        raise TimeoutError("The call did not return.")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)

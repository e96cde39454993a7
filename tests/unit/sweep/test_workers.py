"""Sweeps on workers: what happens to a case happens to no other; nothing depends on how many there are."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import retime as rt

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
ROOT = Path(__file__).resolve().parents[3]

WORK = """
import os, signal, sys, time
import numpy as np

def run(seed):
    print("seed", seed)
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 2:
        time.sleep(1000)
    if seed == 3:
        raise SystemExit(5)
    if seed == 4:
        os._exit(6)
    if seed == 5:
        input()
    threads = [os.environ[f"{k}_NUM_THREADS"] for k in ("OMP", "OPENBLAS", "MKL", "NUMBA")]
    limit = os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"]
    return {"threads": "".join(threads), "limit": limit, "draw": float(np.random.rand()), "path": np.arange(seed), "pid": os.getpid()}
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The function, in a module of a script's folder."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "sweep_work.py").write_text(WORK)
    sys.path.insert(0, str(folder))
    import sweep_work

    yield sweep_work.run
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def swept(work, tmp_path_factory):
    """Eight cases, five of which are trouble."""
    return rt.sweep(work, [{"seed": k} for k in range(8)], folder=tmp_path_factory.mktemp("out"), client=2, timeout=2)


def row(found, seed):
    (one,) = [r for r in found.table if r["seed"] == seed]
    return one


def record(found, seed):
    (file,) = (found.folder / "cases").glob(f"seed={seed}-*.json")
    return json.loads(file.read_text())


@pytest.mark.parametrize(
    ("seed", "error"),
    [
        (1, "the process that ran it was killed by SIGKILL (out of memory?)"),
        (2, "took longer than timeout=2 seconds"),
        (3, "SystemExit: 5"),
        (4, "the process that ran it ended with exit code 6"),
        (5, "EOFError: EOF when reading a line"),
    ],
)
def test_a_case_that_ends_its_process_has_failed_and_the_others_have_not(swept, seed, error):
    assert row(swept, seed)["status"] == "failed"
    assert row(swept, seed)["error"] == error
    assert [row(swept, k)["status"] for k in (0, 6, 7)] == ["completed"] * 3


def test_only_cases_whose_process_died_are_tried_again(swept):
    assert [record(swept, k)["attempts"] for k in range(8)] == [1, 2, 1, 1, 2, 1, 1, 1]
    assert row(swept, 1)["attempts"] == 2


def test_what_a_case_printed_is_kept_even_where_it_died(swept):
    assert [record(swept, k)["printed"] for k in (0, 1, 2, 7)] == ["seed 0\n", "seed 1\n", "seed 2\n", "seed 7\n"]


def test_kernels_have_one_thread(swept):
    assert row(swept, 0)["threads"] == "1111"


def test_what_is_compiled_for_all_takes_no_more_than_a_gigabyte(swept):
    pytest.importorskip("filelock")  # without it JAX cannot share a folder with a limit
    assert row(swept, 0)["limit"] == "1000000000"


def test_results_do_not_depend_on_the_workers_and_a_process_runs_many_cases(swept, work, tmp_path):
    good = [{"seed": k} for k in (7, 0, 6)]
    here = rt.sweep(work, good, folder=tmp_path, client=1).table
    assert [r["draw"] for r in here] == [row(swept, r["seed"])["draw"] for r in here]
    np.testing.assert_array_equal(swept.results[7]["path"], np.arange(7))
    assert len({r["pid"] for r in here}) == 1  # what it has compiled, it has for the next case


def test_a_function_that_cannot_leave_its_process_says_so(tmp_path):
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"`function` \(.*\) cannot be sent to other processes: .*client=0"):
        rt.sweep(lambda seed: lock.locked(), [{"seed": 0}], folder=tmp_path)


def test_a_scheduler_that_does_not_answer_is_named(work, tmp_path):
    short, wanted = (
        {"distributed.comm.timeouts.connect": "0.2s"},
        r"`client` is 'tcp://127\.0\.0\.1:9', where no scheduler answers",
    )
    with dask.config.set(short), pytest.raises(rt.RetimeError, match=wanted):
        rt.sweep(work, [{"seed": 0}], folder=tmp_path, client="tcp://127.0.0.1:9")


SCRIPT = """
import resource
import distributed
import numpy as np
import retime as rt

def big(seed):
    return {"x": np.full(500_000, float(seed))}  # 4 MB

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = peak()
found = rt.sweep(big, [{"seed": k} for k in range(60)], folder="out", client=2)
assert found.status == "completed" and found.results[59]["x"][0] == 59
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_results(tmp_path):
    """240 MB of results, of a script without `if __name__` whose function is its own."""
    (tmp_path / "script.py").write_text(SCRIPT)
    run = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 120


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["worker", "scheduler", "main"])
def test_what_is_killed_loses_nothing_that_was_finished(kind):
    """A scheduler and two workers, separate processes over TCP; one of the three kinds is killed and the same call goes on."""
    command = [sys.executable, str(ROOT / "benchmarks" / "sweep_kills.py"), "1", "5", kind]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 of 1 runs ended in the table of the run that nothing disturbed" in run.stdout

"""Worker processes: what was forked after JAX had started says so and does not hang; everything else works."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

SCRIPT = """
import json, multiprocessing, sys
import numpy as np
import retime as rt

NET = dict(W_rec=[[0.5]], W_in=np.zeros((1, 0)), b=[0.1])

def work(name):
    try:
        return JOBS[name]()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def smooth_flow():
    return rt.simulate(rt.RateRNN(**NET, tau=1.0), [0.3], times=np.linspace(0, 1, 5)).states[-1].tolist()

def smooth_map():
    return rt.simulate(rt.TanhRNN(**NET), [0.3], steps=5).states[-1].tolist()

def one_step():
    return rt.TanhRNN(**NET).step([0.3], []).tolist()

def own_function():
    return rt.Map(lambda z: 0.5 * z, 1).num_states

def piecewise_linear():
    net = rt.PLRNN([0.5], [[0.2]], [0.1])
    flow = rt.to_continuous(net).model
    return rt.simulate(net, [0.3], steps=5).states[-1].tolist() + rt.simulate(flow, [0.3], times=[0.0, 5.0]).states[-1].tolist()

JOBS = {f.__name__: f for f in (smooth_flow, smooth_map, one_step, own_function, piecewise_linear)}

def answers(method, names):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return {name: pool.map_async(work, [name]).get(timeout=200)[0] for name in names}

if __name__ == "__main__":
    MODEL = rt.Map(lambda z: 0.5 * z, 1)  # traced, not run
    found = {"early": answers("fork", ["one_step"]), "parent": {f.__name__: f() for f in (one_step, piecewise_linear)}}
    found["late"], found["spawn"] = answers("fork", list(JOBS)), answers("spawn", ["one_step"])
    json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    script = tmp_path_factory.mktemp("workers") / "workers.py"
    script.write_text(SCRIPT, encoding="utf-8")
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("name", ["smooth_flow", "smooth_map", "one_step", "own_function"])
def test_smooth_work_in_a_process_forked_after_jax_started_is_an_error_that_names_the_way_out(found, name):
    assert found["late"][name].startswith("RetimeError: This process was forked from one in which JAX had started")
    assert 'multiprocessing.get_context("spawn")' in found["late"][name]


def test_piecewise_linear_work_in_such_a_process_is_that_of_its_parent(found):
    assert found["late"]["piecewise_linear"] == found["parent"]["piecewise_linear"]


def test_a_process_forked_before_jax_started_does_smooth_work(found):
    assert found["early"]["one_step"] == found["parent"]["one_step"]


def test_a_spawned_process_does_smooth_work(found):
    assert found["spawn"]["one_step"] == found["parent"]["one_step"]

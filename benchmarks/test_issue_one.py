"""Conversion and simulation of piecewise-linear networks against what a user would pick instead.

    pytest benchmarks --benchmark-only

Both sides of a group run in the same session; kernels are compiled before they are timed.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg
from scipy.integrate import solve_ivp

import retime as rt


@pytest.fixture(scope="module")
def network():
    """A 10-unit PLRNN with a bounded orbit that changes region often (found by its seed), started on that orbit."""
    g, n = np.random.default_rng(114), 10
    A, W, h = g.uniform(0.3, 0.95, n), g.normal(size=(n, n)) * 0.6 / np.sqrt(n), g.normal(size=n) * 0.3
    model = rt.PLRNN(A, W, h, time=rt.Discrete(0.1))
    return model, rt.simulate(model, np.zeros(n), steps=3000).states[-1]


def patterns_of(count: int, q: int) -> np.ndarray:
    return (np.arange(count)[:, None] >> np.arange(q)) & 1 == 1


def timed(benchmark, who: str, group: str, function, rounds: int = 7):
    benchmark.group, benchmark.extra_info["who"] = group, who
    function()
    return benchmark.pedantic(function, rounds=rounds, iterations=1, warmup_rounds=1)


CONVERT = "convert 1,000 distinct regions of a 10-unit network"


def test_convert_regions(benchmark, network):
    model, _ = network
    patterns = patterns_of(1000, 10)
    timed(benchmark, "retime", CONVERT, lambda: rt.to_continuous(model).model.convert(patterns))


def test_convert_regions_by_logm(benchmark, network):
    model, _ = network
    M, c, _ = model.canonical.regions(patterns_of(1000, 10))
    G = np.zeros((1000, 11, 11))
    G[:, :10, :10], G[:, :10, 10], G[:, 10, 10] = M, c, 1.0
    timed(benchmark, "scipy.linalg.logm", CONVERT, lambda: [scipy.linalg.logm(x) for x in G], rounds=3)


ITERATE = "iterate a 10-unit map for 100,000 steps"


def test_iterate(benchmark, network):
    model, z0 = network
    timed(benchmark, "retime", ITERATE, lambda: rt.simulate(model, z0, steps=100_000))


def test_iterate_in_numpy(benchmark, network):
    model, z0 = network
    A, W, h = np.diagonal(model.A).copy(), model.W, model.h

    def loop():
        states = np.empty((100_001, 10))
        states[0] = z = z0
        for k in range(100_000):
            states[k + 1] = z = A * z + W @ np.maximum(z, 0) + h
        return states

    timed(benchmark, "NumPy loop", ITERATE, loop, rounds=3)


STATE = "state-switched orbit of 1,000 steps, 10 units"


def test_state_switched_orbit(benchmark, network):
    model, z0 = network
    flow = rt.to_continuous(model).model
    times = model.dt * np.arange(1001)
    path = rt.simulate(flow, z0, times=times, switching="state")
    assert path.num_switches > 100
    timed(benchmark, "retime", STATE, lambda: rt.simulate(flow, z0, times=times, switching="state"))


def test_state_switched_orbit_by_solve_ivp(benchmark, network):
    model, z0 = network
    flow = rt.to_continuous(model).model
    times = model.dt * np.arange(1001)
    want = rt.simulate(flow, z0, times=times, switching="state").states

    def orbit():
        return restarted(flow, z0, times)

    error = np.abs(orbit() - want).max()
    assert error < 1e-4, error
    timed(benchmark, "solve_ivp DOP853 rtol 1e-10, events", STATE, orbit, rounds=2)


def restarted(flow, z0, times):
    """solve_ivp stopped at every event and started again in the next region."""
    n, z, t, k = len(z0), z0.copy(), times[0], 1
    out, on = np.empty((len(times), n)), z0 > 0
    out[0] = z0
    while k < len(times):
        r = flow.region(on)
        if r.auxiliary:
            raise ValueError("the reference does not know auxiliary states")
        W, h = r.W, r.h
        events = []
        for i in range(n):

            def leaves(s, y, i=i):
                return y[i]

            leaves.terminal, leaves.direction = True, -1 if on[i] else 1
            events.append(leaves)
        r = solve_ivp(
            lambda s, y, W=W, h=h: W @ y + h,
            (t, times[-1]),
            z,
            "DOP853",
            rtol=1e-10,
            atol=1e-12,
            events=events,
            dense_output=True,
        )
        while k < len(times) and times[k] <= r.t[-1] + 1e-14:
            out[k] = r.sol(times[k])
            k += 1
        z, t = r.y[:, -1].copy(), r.t[-1]
        if r.status == 1:
            i = next(j for j in range(n) if len(r.t_events[j]))
            on = on.copy()
            on[i] = not on[i]
            z[i] = 0.0
    return out


BATCH = "1,000 initial states for 1,000 steps"


def test_batch(benchmark, network):
    model, _ = network
    z0 = np.random.default_rng(0).normal(size=(1000, 10))
    timed(benchmark, "retime", BATCH, lambda: rt.simulate(model, z0, steps=1000), rounds=5)


def test_batch_one_core(benchmark, network, monkeypatch):
    model, _ = network
    z0 = np.random.default_rng(0).normal(size=(1000, 10))
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    timed(benchmark, "retime on one core", BATCH, lambda: rt.simulate(model, z0, steps=1000), rounds=5)


def test_batch_in_numpy(benchmark, network):
    model, _ = network
    A, W, h = np.diagonal(model.A).copy(), model.W, model.h
    z0 = np.random.default_rng(0).normal(size=(1000, 10))

    def loop():
        states = np.empty((1001, 1000, 10))
        states[0] = z = z0
        for k in range(1000):
            states[k + 1] = z = A * z + np.maximum(z, 0) @ W.T + h
        return states

    timed(benchmark, "NumPy loop over a batch", BATCH, loop, rounds=5)


FLOWS = "1,000 initial states, state-switched flow, 20 steps"


def test_batch_of_flows(benchmark, network):
    model, _ = network
    flow = rt.to_continuous(model).model
    z0 = np.random.default_rng(0).normal(size=(1000, 10))
    timed(benchmark, "retime", FLOWS, lambda: rt.simulate(flow, z0, steps=20, switching="state"), rounds=3)


def test_batch_of_flows_one_core(benchmark, network, monkeypatch):
    model, _ = network
    flow = rt.to_continuous(model).model
    z0 = np.random.default_rng(0).normal(size=(1000, 10))
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    timed(benchmark, "retime on one core", FLOWS, lambda: rt.simulate(flow, z0, steps=20, switching="state"), rounds=3)


MEMORY = """
import resource, time, numpy as np, retime as rt
g = np.random.default_rng(0)
n = 100
W = g.normal(size=(n, n)) * 0.4 / np.sqrt(n)
model = rt.PLRNN(g.uniform(0.3, 0.7, n), W, g.normal(size=n), C=g.normal(size=(n, 3)), time=rt.Discrete(0.1))
flow = rt.to_continuous(model).model
start = time.perf_counter()
path = rt.simulate(flow, np.zeros(n), steps=6000, inputs=g.normal(size=(6000, 3)) * 3)
seconds = time.perf_counter() - start
flows = list(flow.converted.values())
gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
worst = max(r.residual for r in flows)
print(f"{len(flows)} regions of a 100-unit network, worst residual {worst:.1e}, {seconds:.0f} s, peak memory {gib:.2f} GiB")
assert len(flows) >= 5000 and path.status == "completed" and gib < 2
"""


def test_memory_of_a_large_network(benchmark, capsys):
    benchmark.group, benchmark.extra_info["who"] = "100 units, 5,000 visited regions (fresh process)", "retime"

    def run():
        return subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout

    said = benchmark.pedantic(run, rounds=1, iterations=1)
    with capsys.disabled():
        print(said)

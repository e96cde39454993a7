"""Smooth networks and their flows against what a user would pick instead.

    pytest benchmarks/test_issue_two.py --benchmark-only

Both sides of a group run in the same session and in the same precision (64 bits); compilation is done before timing, and
timed on its own in the last group.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import retime as rt

FLIP_FLOP = "400 tanh units, 1,000 trials of 340 steps, 64 bits"
GATED = "one sequence of 1,000 steps, GRU of 64 units"
FLOW = "flow of a chaotic rate network, 10 units, 100 time units, 1,001 samples, tolerance {:.0e}"
BATCH = "the same from 100 initial states, tolerance 1e-09"


def timed(benchmark, who: str, group: str, function, rounds: int = 7):
    benchmark.group, benchmark.extra_info["who"] = group, who
    function()
    return benchmark.pedantic(function, rounds=rounds, iterations=1, warmup_rounds=1)


@pytest.fixture(scope="module")
def flip_flop():
    """A tanh network of the size of the published flip-flop network, and a batch of inputs."""
    g, n = np.random.default_rng(0), 400
    model = rt.TanhRNN(g.normal(size=(n, n)) / np.sqrt(n), g.normal(size=(n, 3)), np.zeros(n))
    return model, g.normal(size=(340, 1000, 3))


def test_flip_flop(benchmark, flip_flop):
    model, s = flip_flop
    z0 = np.zeros((1000, 400))
    timed(benchmark, "retime", FLIP_FLOP, lambda: rt.simulate(model, z0, steps=340, inputs=s), rounds=5)


def test_flip_flop_in_pytorch(benchmark, flip_flop):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    model, s = flip_flop
    rnn, x = torch.nn.RNN(3, 400).double(), torch.as_tensor(s)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(torch.as_tensor(model.W_rec.copy()))
        rnn.weight_ih_l0.copy_(torch.as_tensor(model.W_in.copy()))
        rnn.bias_hh_l0.zero_()
        rnn.bias_ih_l0.zero_()
        got = rnn(x)[0].numpy()
        want = rt.simulate(model, np.zeros((1000, 400)), steps=340, inputs=s).states[1:]
        assert np.abs(got[:10] - want[:10]).max() < 1e-10
        timed(benchmark, "PyTorch nn.RNN", FLIP_FLOP, lambda: rnn(x), rounds=5)


def test_flip_flop_in_numpy(benchmark, flip_flop):
    model, s = flip_flop
    W, U = np.ascontiguousarray(model.W_rec.T), np.ascontiguousarray(model.W_in.T)

    def loop():
        states = np.zeros((341, 1000, 400))
        for k in range(340):
            np.tanh(states[k] @ W + s[k] @ U, out=states[k + 1])
        return states

    timed(benchmark, "NumPy loop over the batch", FLIP_FLOP, loop, rounds=5)


@pytest.fixture(scope="module")
def gated():
    g, H, m = np.random.default_rng(1), 64, 8
    parts = (g.normal(size=(3 * H, H)) / 8, g.normal(size=(3 * H, m)), g.normal(size=3 * H), g.normal(size=3 * H))
    return rt.GRU(*parts), g.normal(size=(1000, m))


def test_gru(benchmark, gated):
    model, s = gated
    timed(benchmark, "retime", GATED, lambda: rt.simulate(model, np.zeros(64), steps=1000, inputs=s), rounds=15)


def test_gru_in_numpy(benchmark, gated):
    model, s = gated
    R, W, bR, bW, H = model.W_rec, model.W_in, model.b_rec, model.b_in, 64

    def loop():
        states = np.zeros((1001, H))
        for k in range(1000):
            a, d = R @ states[k] + bR, W @ s[k] + bW
            gates = 1 / (1 + np.exp(-(a[: 2 * H] + d[: 2 * H])))
            candidate = np.tanh(d[2 * H :] + gates[:H] * a[2 * H :])
            states[k + 1] = (1 - gates[H:]) * candidate + gates[H:] * states[k]
        return states

    want = loop()
    assert np.abs(rt.simulate(model, np.zeros(H), steps=1000, inputs=s).states - want).max() < 1e-12
    timed(benchmark, "NumPy loop", GATED, loop)


@pytest.fixture(scope="module")
def rate():
    g, n = np.random.default_rng(1), 10
    W = g.normal(size=(n, n)) * 2.5 / np.sqrt(n)
    model = rt.RateRNN(W, None, g.normal(size=n) * 0.1, tau=1.0)
    return model, g.normal(size=n), np.linspace(0, 100, 1001)


@pytest.mark.parametrize("tolerance", [1e-6, 1e-9, 1e-12])
def test_rate_flow(benchmark, rate, tolerance):
    model, z0, times = rate
    run = partial(rt.simulate, model, z0, times=times, tolerance=tolerance)
    timed(benchmark, "retime", FLOW.format(tolerance), run, rounds=100)


@pytest.mark.parametrize("tolerance", [1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("method", ["RK45", "DOP853", "LSODA"])
def test_rate_flow_by_solve_ivp(benchmark, rate, method, tolerance):
    model, z0, times = rate
    W, b = model.W_rec, model.b
    run = partial(
        solve_ivp, lambda t, z: W @ np.tanh(z) - z + b, (0, 100), z0, method, times, rtol=tolerance, atol=tolerance
    )
    timed(benchmark, f"solve_ivp {method}", FLOW.format(tolerance), run, rounds=5)


def test_rate_batch(benchmark, rate):
    model, _, times = rate
    starts = np.random.default_rng(2).normal(size=(100, 10))
    timed(benchmark, "retime", BATCH, lambda: rt.simulate(model, starts, times=times, tolerance=1e-9), rounds=5)


def test_rate_batch_by_solve_ivp(benchmark, rate):
    model, _, times = rate
    W, b = model.W_rec, model.b
    starts = np.random.default_rng(2).normal(size=(100, 10))

    def loop():
        for z in starts:
            solve_ivp(lambda t, z: W @ np.tanh(z) - z + b, (0, 100), z, t_eval=times, rtol=1e-9, atol=1e-9)

    timed(benchmark, "solve_ivp RK45, a loop", BATCH, loop, rounds=1)


@pytest.mark.parametrize("what", ["map", "flow"])
def test_compilation(benchmark, what):
    """The first call for a new size, in a process that has JAX loaded: compilation and one run."""
    benchmark.group, benchmark.extra_info["who"] = f"first simulation of a new {what}: compilation", "retime"
    sizes = iter(range(11, 100))

    def first():
        n = next(sizes)
        model = rt.RateRNN(np.eye(n), None, np.zeros(n), tau=1.0)
        if what == "map":
            rt.simulate(rt.TanhRNN(np.eye(n), np.zeros((n, 1)), np.zeros(n)), np.zeros(n), steps=100)
        else:
            rt.simulate(model, np.zeros(n), times=np.linspace(0, 1, 101))

    start = time.perf_counter()
    first()
    benchmark.extra_info["with import of JAX"] = time.perf_counter() - start
    benchmark.pedantic(first, rounds=5, iterations=1)

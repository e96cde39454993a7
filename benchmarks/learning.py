"""Speed and memory of `fit` beside eager PyTorch, in one process, one thread each: python benchmarks/learning.py [ROUNDS]

One epoch is 50 updates of 16 windows of 200 steps of an AL-RNN of 20 units, 10 of them ReLU, on 100,000 samples of 3 channels, forced every
16 steps, noise 0.05, RAdam. Rounds of either alternate, so that other work of the machine meets both; medians of processor seconds.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

import retime as rt
from retime.core.quiet import one_blas_thread
from retime.learn.descent import Packing, RAdam
from retime.learn.dynamics import Setting
from retime.learn.fitted import FITTED
from retime.learn.networks import network
from retime.learn.recordings import recording as recorded
from retime.learn.windows import Cutter

UPDATES, WINDOWS, STEPS, UNITS, RELU, EVERY, NOISE = 50, 16, 200, 20, 10, 16, 0.05


def recording(samples: int, channels: int) -> np.ndarray:
    """Rotations at several speeds, with noise."""
    rng = np.random.default_rng(0)
    phase = np.outer(np.arange(samples), rng.uniform(0.01, 0.1, size=channels))
    return np.sin(phase) + 0.05 * rng.normal(size=(samples, channels))


def epoch_of_retime(series: np.ndarray, dtype: str) -> Callable[[], float]:
    """Processor seconds of an epoch of `fit`: windows cut, gradient, optimizer; its checks are not updates."""
    net = network("alrnn", UNITS, 0, series.shape[1], {"num_relu": RELU})
    dynamics = FITTED["alrnn"](Setting(net, dtype))
    cutter = Cutter(recorded(series, missing=False, standardize=True), STEPS, WINDOWS, NOISE, 0, dtype)
    start = dynamics.parameters(np.random.default_rng(0))
    packing, rule = Packing({k: np.shape(v) for k, v in start.items()}, dtype), RAdam(lambda k: 1e-3)
    forcing, vector, number = rt.learn.SparseForcing(EVERY), packing.pack(start), 0
    state = rule.init(vector)

    def epoch() -> float:
        nonlocal vector, state, number
        begun = time.process_time()
        for _ in range(UPDATES):
            windows = cutter.cut(number, forcing.strength(STEPS + 1, 0.0))
            _, found = dynamics.gradient(packing.unpack(vector), windows)
            vector, state = rule.apply(vector, state, packing.pack(found), number)
            number += 1
        return time.process_time() - begun

    return epoch


def epoch_of_torch(series: np.ndarray) -> Callable[[], float]:
    """The same in eager PyTorch, single precision, as the published programs are written."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = torch.tensor((series - series.mean(axis=0)) / series.std(axis=0), dtype=torch.float32)
    N = data.shape[1]
    A, h = (torch.nn.Parameter(x) for x in (torch.full((UNITS,), 0.7), torch.zeros(UNITS)))
    W = torch.nn.Parameter(0.1 * torch.randn(UNITS, UNITS) / UNITS**0.5)
    lift = torch.nn.Parameter(0.1 * torch.randn(UNITS - N, N))
    rule = torch.optim.RAdam([A, W, h, lift], lr=1e-3)

    def update() -> None:
        start = torch.randint(0, len(data) - STEPS - 1, (WINDOWS,))
        x = torch.stack([data[k : k + STEPS + 1] for k in start], dim=1)
        forced = x + NOISE * torch.randn_like(x)
        z = torch.cat([forced[0], forced[0] @ lift.T], dim=1)
        seen = []
        for t in range(STEPS):
            if t % EVERY == 0:
                z = torch.cat([forced[t], z[:, N:]], dim=1)
            phi = torch.cat([z[:, :-RELU], torch.relu(z[:, -RELU:])], dim=1)
            z = A * z + phi @ W.T + h
            seen.append(z[:, :N])
        loss = ((torch.stack(seen) - x[1:]) ** 2).mean()
        rule.zero_grad()
        loss.backward()
        rule.step()

    def epoch() -> float:
        begun = time.process_time()
        for _ in range(UPDATES):
            update()
        return time.process_time() - begun

    return epoch


def memory() -> float:
    """Largest memory of the process, GiB, after a fit of 100,000 samples of 64 channels."""
    rt.fit(recording(100_000, 64), family="alrnn", num_states=80, num_relu=10, epochs=2, every=1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(rounds: int) -> None:
    """Print what docs/benchmarks.md holds."""
    print(f"largest memory, 100,000 samples of 64 channels: {memory():.2f} GiB")
    series = recording(100_000, 3)
    epochs = {f"retime, {dtype}": epoch_of_retime(series, dtype) for dtype in ("float32", "float64")}
    if find_spec("torch"):
        epochs["PyTorch, eager, float32"] = epoch_of_torch(series)
    found: dict[str, list[float]] = {name: [] for name in epochs}
    with one_blas_thread():
        for epoch in epochs.values():
            for _ in range(20 if epoch.__qualname__.startswith("epoch_of_retime") else 1):
                epoch()
        for _ in range(rounds):
            for name, epoch in epochs.items():
                found[name] += [epoch() for _ in range(10 if "retime" in name else 1)]
    steps, ours = UPDATES * WINDOWS * STEPS, statistics.median(found["retime, float32"])
    for name, seconds in found.items():
        middle = statistics.median(seconds)
        rate, whole = steps / middle, 3.2e8 / steps * middle
        print(
            f"{name}: {middle * 1e3:.1f} ms an epoch, {rate:.3g} time steps/s per core, {whole:.0f} s for 3.2e8, {middle / ours:.1f} of ours"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)

"""Circuits beside what one would do by hand: write the same netlist with f-strings, and run ngspice once per sample.

python benchmarks/circuits.py
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np

import retime as rt
from retime.circuits.derivation import derive
from retime.circuits.reader import read_netlist


def by_hand(W: np.ndarray, b: np.ndarray, tau: float, C: float) -> str:
    """The netlist of a rate network as a script would write it: no comments, no checks."""
    n = len(b)
    lines = ["* by hand", "vref ref 0 DC 1.0"]
    lines += [f"b{i} y{i} 0 V=tanh(V(x{i}))" for i in range(1, n + 1)]
    for i in range(n):
        lines += [f"cx{i + 1} x{i + 1} 0 {C!r}", f"rx{i + 1} x{i + 1} 0 {tau / C!r}"]
        lines += [f"gx{i + 1}_y{j + 1} 0 x{i + 1} y{j + 1} 0 {float(W[i, j] * C / tau)!r}" for j in range(n)]
        lines.append(f"gx{i + 1}_ref 0 x{i + 1} ref 0 {float(b[i] * C / tau)!r}")
    return "\n".join([*lines, ".end", ""])


def measured(job: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor time (the best of three), and the peak of memory in MiB (of a run of its own)."""
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        job()
        seconds.append(time.process_time() - begun)
    tracemalloc.start()
    job()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return min(seconds), peak


def netlists(n: int = 400) -> None:
    """160,000 synapses written, read and derived."""
    g = np.random.default_rng(0)
    W, b, tau = g.normal(size=(n, n)) / np.sqrt(n), g.normal(size=n), 0.01
    circuit = rt.to_circuit(rt.RateRNN(W, np.zeros((n, 0)), b, tau=tau))
    text = circuit.netlist()
    elements = read_netlist(text)
    hand = measured(lambda: by_hand(W, b, tau, 1e-7))
    jobs = {"written": circuit.netlist, "read": lambda: read_netlist(text), "derived": lambda: derive(elements)}
    print(f"{n} units by hand: {hand[0]:.2f} s, {hand[1]:.0f} MiB")
    for name, job in jobs.items():
        seconds, peak = measured(job)
        print(f"{name}: {seconds:.2f} s ({seconds / hand[0]:.1f} times), {peak:.0f} MiB ({peak / hand[1]:.1f} times)")


def samples(n: int = 16, spice: int = 3) -> None:
    """200 samples by their network beside a loop over ngspice, of which a few are timed."""
    g = np.random.default_rng(0)
    model = rt.RateRNN(g.normal(size=(n, n)) / 8, np.zeros((n, 0)), g.normal(size=n), tau=0.01)
    circuit, z0 = rt.to_circuit(model), g.normal(size=n)
    begun = time.perf_counter()
    circuit.monte_carlo(200, z0=z0)
    ours = time.perf_counter() - begun
    begun = time.perf_counter()
    circuit.monte_carlo(spice, z0=z0, method="spice", backend="ngspice")
    loop = (time.perf_counter() - begun) * 200 / spice
    print(
        f"200 samples of {n} units: {ours:.1f} s; loop over ngspice: {loop:.0f} s (from {spice}), ratio {loop / ours:.0f}"
    )


if __name__ == "__main__":
    netlists()
    samples()

"""What a sweep costs beside its cases: 1,000 small analyses on two workers, against an ideal split of the time that they take one by one.

    python benchmarks/sweep.py [CASES] [WORKERS]

One case: all fixed points, with proof, and the exponents over 20,000 steps of a random piecewise-linear network of 10 units. The cases are run
once in one process (compiled beforehand), once by `sweep`, each in its own time and the processor's; a busy machine shows in the first.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import resource
import sys
import tempfile
import time

import numpy as np

import retime as rt

STEPS = 20_000


def analysis(seed: int) -> dict[str, float | None]:
    """The case."""
    rng = np.random.default_rng(seed)
    n = 10
    model = rt.PLRNN(rng.uniform(0.2, 0.8, n), rng.normal(0, 0.6 / np.sqrt(n), (n, n)), rng.normal(0, 0.5, n))
    points = rt.find_fixed_points(model)
    exponent = rt.lyapunov_spectrum(model, np.zeros(n), steps=STEPS).exponents[0]
    return {"points": len(points.points), "exponent": float(exponent) if np.isfinite(exponent) else None}


def processor() -> float:
    """Seconds of this process and of its children that have ended."""
    use = [resource.getrusage(x) for x in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(x.ru_utime + x.ru_stime for x in use)


def main(cases: int, workers: int) -> None:
    """Measure and print."""
    analysis(0)
    begun, used = time.perf_counter(), processor()
    alone = [analysis(seed) for seed in range(cases)]
    serial, serial_used = time.perf_counter() - begun, processor() - used
    with tempfile.TemporaryDirectory() as folder:
        begun, used = time.perf_counter(), processor()
        found = rt.sweep(analysis, [{"seed": k} for k in range(cases)], folder=folder, client=workers)
        spent, spent_used = time.perf_counter() - begun, processor() - used
    same = [{k: row[k] for k in alone[0]} for row in found.table] == alone
    inside = sum(row["seconds"] for row in found.table)
    print(f"{cases} cases on {workers} workers; results the same as one by one: {same}")
    print(
        f"one by one:  {serial:.2f} s, {serial_used:.2f} s of the processor, {1e3 * serial_used / cases:.1f} ms of it each"
    )
    print(f"sweep:       {spent:.2f} s, {spent_used:.2f} s of the processor, {inside:.2f} s within the cases")
    print(f"sweep / ideal split of the time one by one: {spent * workers / serial:.3f}")
    print(
        f"sweep / ideal split of the time within its own cases: {spent * workers / inside:.3f} (whatever else the machine does)"
    )
    print(f"processor time of the sweep / one by one: {spent_used / serial_used:.3f}, start of all processes included")


if __name__ == "__main__":
    given = [int(x) for x in sys.argv[1:]]
    main(given[0] if given else 1000, given[1] if len(given) > 1 else 2)

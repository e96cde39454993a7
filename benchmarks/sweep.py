"""What a sweep costs beside its cases: 1,000 small analyses on two workers, against an ideal split of the time that a loop takes.

    python benchmarks/sweep.py [CASES] [WORKERS]
    python benchmarks/sweep.py memory [CASES] [WORKERS]    peak memory after a tenth of the cases, and after all, of 100 kB each

One case: all fixed points, with proof, and the exponents over 20,000 steps of a random piecewise-linear network of 10 units, on one thread.
Loop and sweep are each a fresh process (kernels are compiled beforehand), so both include imports; the sweep starts one more process per
worker. Split by hand: as many loops at once as workers, each with its share of the cases, which share the machine's caches as the sweep's
processes do.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

import numpy as np

import retime as rt

STEPS, ROUNDS = 20_000, 3


def analysis(seed: int) -> dict[str, float | None]:
    """The case."""
    rng = np.random.default_rng(seed)
    n = 10
    model = rt.PLRNN(rng.uniform(0.2, 0.8, n), rng.normal(0, 0.6 / np.sqrt(n), (n, n)), rng.normal(0, 0.5, n))
    points = rt.find_fixed_points(model)
    exponent = rt.lyapunov_spectrum(model, np.zeros(n), steps=STEPS).exponents[0]
    return {"points": len(points.points), "exponent": float(exponent) if np.isfinite(exponent) else None}


def loop(cases: int, first: int = 0, step: int = 1) -> None:
    """One by one, every `step`-th."""
    print(json.dumps([analysis(seed) for seed in range(first, cases, step)]))


def swept(cases: int, workers: int) -> None:
    """On workers."""
    with tempfile.TemporaryDirectory() as folder:
        found = rt.sweep(analysis, [{"seed": k} for k in range(cases)], folder=folder, client=workers)
    print(json.dumps([{k: row[k] for k in ("points", "exponent")} for row in found.table]))


def memory(cases: int, workers: int) -> None:
    """Results that would be gigabytes."""
    with tempfile.TemporaryDirectory() as folder:
        for count in (cases // 10, cases):
            begun = time.perf_counter()
            rt.sweep(noise, [{"seed": k} for k in range(count)], folder=folder, client=workers)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            size = sum(x.stat().st_size for x in os.scandir(f"{folder}/cases")) / 2**20
            print(
                f"{count} cases: peak {peak:.0f} MiB, {size:.0f} MiB on disk, {time.perf_counter() - begun:.1f} s",
                flush=True,
            )


def noise(seed: int) -> dict[str, np.ndarray]:
    """A case of 100 kB."""
    return {"x": np.random.default_rng(seed).normal(size=12_500)}


def timed(*runs: Sequence[object]) -> tuple[float, float, list[Any]]:
    """Seconds on the wall and of the processor of this script run with other arguments, at once, and what each run prints."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    started = [
        subprocess.Popen(
            [sys.executable, __file__, *map(str, given)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for given in runs
    ]
    printed = [json.loads(run.communicate()[0]) for run in started]
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, printed


def main(cases: int, workers: int) -> None:
    """Measure and print."""
    analysis(0)
    rounds = []
    for _ in range(ROUNDS):
        alone, by_hand = timed(("loop", cases)), timed(*[("loop", cases, k, workers) for k in range(workers)])
        swept = timed(("sweep", cases, workers))
        print(f"{cases} cases, {workers} workers; the results are the same: {alone[2] == swept[2]}")
        for name, (wall, used, _) in {"loop": alone, "split by hand": by_hand, "sweep": swept}.items():
            print(f"{name:14s} {wall:5.1f} s, of the processor {used:5.1f} s", flush=True)
        rounds.append((swept[0] * workers / alone[0], swept[0] / by_hand[0], swept[1] / alone[1]))
    medians = [statistics.median(x) for x in zip(*rounds, strict=True)]
    print(
        "sweep's wall / the loop's over workers, / the split by hand, and processor time / the loop's: medians", end=" "
    )
    print(", ".join(f"{x:.3f}" for x in medians))


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:] if sys.argv[1:2] in (["loop"], ["sweep"], ["memory"]) else ["", *sys.argv[1:]]
    count = [int(x) for x in numbers] + [10_000 if kind == "memory" else 1000, 2][len(numbers) :]
    if kind == "loop":
        loop(*map(int, numbers))
    else:
        {"sweep": swept, "memory": memory, "": main}[kind](*count)

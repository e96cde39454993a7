"""Proofs, cycles and exponents against what a user would pick instead.

    pytest benchmarks/test_issue_three.py --benchmark-only

Both sides of a group solve the same problem in the same session, and their answers are compared; compilation is done before timing.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

import retime as rt
from retime.analysis.cycles.virtual_cycles import search_from
from retime.analysis.fixed_points.branching import search, stack
from retime.analysis.fixed_points.complementarity import Complementarity
from retime.analysis.fixed_points.search import first_dictionary
from retime.core.system import PiecewiseAffineSystem
from retime.simulation.arrays import form_arrays

PROOF = "all fixed points of 16 random units, with proof"
LARGER = "all fixed points of {} random units (gain 0.8), with proof"
EXPONENTS = "all 10 exponents of a 10-unit map, {:,} steps"
CYCLES = "10-cycles of a 10-unit network from 200 starts, at most 24 linear systems each"


def timed(benchmark, who: str, group: str, function, rounds: int = 5):
    benchmark.group, benchmark.extra_info["who"] = group, who
    function()
    return benchmark.pedantic(function, rounds=rounds, iterations=1, warmup_rounds=0)


def network(n: int, gain: float, seed: int) -> rt.PLRNN:
    g = np.random.default_rng(seed)
    return rt.PLRNN(g.uniform(-0.9, 0.9, n), g.normal(size=(n, n)) * gain / np.sqrt(n), g.normal(size=n))


# --- fixed points ------------------------------------------------------------------------------------------------------


def equations(model: PiecewiseAffineSystem):
    """E x = f in x = (p, n) >= 0 with z eliminated, for a PLRNN: (I - A - W) p - (I - A) n = h."""
    f, one = model.canonical, np.eye(model.num_states)
    return np.hstack([one - f.A - f.W1, f.A - one]), f.h1


def branch(model, feasible) -> list[np.ndarray]:
    """Depth-first search over signs; `feasible(bounds)` answers with x, or None."""
    q, found, todo = model.num_units, [], [np.full(model.num_units, -1)]
    while todo:
        signs = todo.pop()
        upper = np.where(np.concatenate([signs == 0, signs == 1]), 0.0, np.inf)
        x = feasible(upper)
        if x is None:
            continue
        if (signs >= 0).all():
            found.append(signs)
            continue
        both = np.where(signs < 0, np.minimum(x[:q], x[q:]) * 1e6 + np.maximum(x[:q], x[q:]), -1.0)
        for value in (0, 1):
            child = signs.copy()
            child[int(np.argmax(both))] = value
            todo.append(child)
    return found


def test_proof(benchmark):
    model = network(16, 0.8, 1)
    result = timed(benchmark, "retime", PROOF, lambda: rt.find_fixed_points(model), rounds=15)
    assert result.complete


def test_proof_by_cold_programs(benchmark):
    model = network(16, 0.8, 1)
    E, f = equations(model)

    def feasible(upper):
        return linprog(
            np.zeros(E.shape[1]), A_eq=E, b_eq=f, bounds=np.column_stack([np.zeros_like(upper), upper]), method="highs"
        ).x

    found = timed(
        benchmark,
        "one cold LP per node (scipy.optimize.linprog, HiGHS)",
        PROOF,
        lambda: branch(model, feasible),
        rounds=3,
    )
    assert len(found) == len(rt.find_fixed_points(model).points)


def test_proof_by_warm_highs(benchmark):
    highspy = pytest.importorskip("highspy")
    model = network(16, 0.8, 1)
    E, f = equations(model)
    m = E.shape[1]

    def solve():
        h = highspy.Highs()
        h.setOptionValue("output_flag", False)
        h.setOptionValue("presolve", "off")
        h.addVars(m, np.zeros(m), np.full(m, highspy.kHighsInf))
        for row, value in zip(E, f, strict=True):
            h.addRow(value, value, m, np.arange(m, dtype=np.int32), row)
        index = np.arange(m, dtype=np.int32)

        def feasible(upper):
            h.changeColsBounds(m, index, np.zeros(m), np.where(np.isinf(upper), highspy.kHighsInf, upper))
            h.run()
            if h.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                return None
            return np.array(h.getSolution().col_value)

        return branch(model, feasible)

    found = timed(benchmark, "one warm LP per node (highspy, bounds changed)", PROOF, solve, rounds=3)
    assert len(found) == len(rt.find_fixed_points(model).points)


def test_proof_on_one_core(benchmark):
    model = network(16, 0.8, 1)
    problem = Complementarity.of_points(model.canonical, np.zeros(0), model.time)

    def solve():
        first = first_dictionary(problem)
        leaves, left, counts = np.empty((4096, 16), np.int8), np.empty((18, 16), np.int8), np.zeros(4, np.int64)
        search(first, stack(first, 16), np.full(16, -1, np.int8), 10**9, leaves, left, counts)
        return counts

    counts = timed(benchmark, "retime's search alone, one core", PROOF, solve, rounds=15)
    benchmark.extra_info["nodes"] = int(counts[2])


@pytest.mark.parametrize("n", [30, 50])
def test_proof_of_larger_networks(benchmark, n):
    models = [network(n, 0.8, seed) for seed in range(10)]
    results = timed(
        benchmark,
        "retime",
        LARGER.format(f"ten networks of {n}"),
        lambda: [rt.find_fixed_points(m) for m in models],
        rounds=3,
    )
    assert all(r.complete for r in results)


# --- exponents ---------------------------------------------------------------------------------------------------------


def qr_loop(model, z, steps: int):
    """The textbook loop: step, region's matrix, QR at every step."""
    A, W, h = np.diag(model.A).copy(), model.W, model.h
    Q, total = np.eye(len(z)), np.zeros(len(z))
    for _ in range(steps):
        J = W * (z > 0)
        J[np.diag_indices_from(J)] += A
        z = A * z + W @ np.maximum(z, 0.0) + h
        Q, R = np.linalg.qr(J @ Q)
        total += np.log(np.abs(np.diagonal(R)))
    return total / steps


def chaotic(n: int = 10) -> rt.PLRNN:
    """A bounded chaotic network (seeds were tried in order)."""
    for seed in range(1000):
        model = network(n, 2.2, seed)
        path = rt.simulate(model, np.zeros(n), steps=5000)
        if (
            path.status == "completed"
            and np.abs(path.states).max() < 1e3
            and qr_loop(model, path.states[-1], 500)[0] > 0.02
        ):
            return model
    raise RuntimeError("no chaotic network among the seeds")


@pytest.fixture(scope="module")
def wild():
    model = chaotic()
    return model, rt.simulate(model, np.zeros(10), steps=5000).states[-1]


@pytest.mark.parametrize("steps", [100_000])
def test_exponents(benchmark, wild, steps):
    model, z = wild
    timed(benchmark, "retime", EXPONENTS.format(steps), lambda: rt.lyapunov_spectrum(model, z, steps=steps), rounds=9)


@pytest.mark.parametrize("steps", [100_000])
def test_exponents_in_numpy(benchmark, wild, steps):
    model, z = wild
    got = timed(benchmark, "NumPy QR loop", EXPONENTS.format(steps), lambda: qr_loop(model, z, steps), rounds=3)
    ours = rt.lyapunov_spectrum(model, z, steps=steps)
    assert np.all(np.abs(ours.exponents - got) <= 4 * ours.standard_errors + 1e-3)


# --- cycles ------------------------------------------------------------------------------------------------------------


def virtual_cycles(model, starts, k: int, tries: int) -> list[bool]:
    """The same search in NumPy, one start at a time."""
    A, W, h = np.diag(model.A).copy(), model.W, model.h
    one, found = np.eye(len(h)), []

    def patterns(z, follow=None):
        rows = []
        for j in range(k):
            on = z > 0
            rows.append(on)
            use = on if follow is None else follow[j]
            z = A * z + W @ np.where(use, z, 0.0) + h
        return np.array(rows)

    for z in starts:
        sequence, hit = patterns(z), False
        for attempt in range(tries):
            P, c = one, np.zeros(len(h))
            for on in sequence:
                M = W * on
                M[np.diag_indices_from(M)] += A
                P, c = M @ P, M @ c + h
            z = np.linalg.solve(one - P, c)
            actual = patterns(z, sequence)
            if np.array_equal(actual, sequence):
                hit = True
                break
            sequence = patterns(z) if attempt % 2 == 1 else actual
        found.append(hit)
    return found


@pytest.fixture(scope="module")
def cyclic():
    g, n = np.random.default_rng(1662), 10
    model = rt.PLRNN(g.uniform(-0.9, 0.9, n), g.normal(size=(n, n)) * 1.3 / np.sqrt(n), g.normal(size=n))
    return model, np.random.default_rng(0).normal(size=(200, n)) * 3


def compiled_search(model, starts, k: int, tries: int):
    """The kernel on all cores, as `find_cycles` calls it."""
    import os
    from concurrent.futures import ThreadPoolExecutor

    f, b, q = form_arrays(model.canonical), len(starts), model.num_units
    rows, found, solved = np.zeros((b, k, q), np.uint8), np.zeros(b, np.int64), np.zeros(b, np.int64)
    edges = np.linspace(0, b, 4 * (os.cpu_count() or 1) + 1).astype(int)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(
            pool.map(
                lambda i: search_from(f, starts, edges[i], edges[i + 1], tries, rows, found, solved),
                range(len(edges) - 1),
            )
        )
    return found == 1


def test_cycles(benchmark, cyclic):
    timed(benchmark, "retime", CYCLES, lambda: compiled_search(*cyclic, 10, 24), rounds=15)


def test_cycles_in_numpy(benchmark, cyclic):
    found = timed(benchmark, "the same search in NumPy", CYCLES, lambda: virtual_cycles(*cyclic, 10, 24), rounds=3)
    assert np.mean(np.array(found) == compiled_search(*cyclic, 10, 24)) > 0.98  # rounding decides the rest

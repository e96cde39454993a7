"""How `fit` reconstructs Lorenz-63, over recipes, sizes and seeds: the search behind its defaults.

    python benchmarks/lorenz_defaults.py DATA FOLDER [--recipes default "alpha0.1 noise0.05"] [--sizes 20,10 20,2] [--seeds 500] [--workers 2]

DATA holds lorenz63_train.npy and lorenz63_test.npy (published with ALRNN-DSR). Each training of an almost-linear network is a case of a sweep,
whose results are in FOLDER: the same command goes on where it was ended. Epochs are chosen by `fit` on the held-out end of the training file;
the test file is seen here only, by a free run of as many steps after 1,000,000 others.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

import retime as rt
from retime.learn import GeneralizedForcing, SparseForcing

DT = 0.01  # Lorenz time units between samples


def recipe_of(name: str) -> dict[str, object]:
    """Arguments of `fit` from a name such as "alpha0.2-0.02 rate2e-3 epochs500 noise0.05": all others are the defaults."""
    found: dict[str, object] = {}
    for word in name.split():
        kind, number = re.fullmatch(r"([a-z]+)(.*)", word).groups()
        if kind == "alpha":
            ends = [float(a) for a in number.split("-")]
            found["forcing"] = GeneralizedForcing(ends[0] if len(ends) == 1 else (ends[0], ends[1]))
        elif kind == "sparse":
            found["forcing"] = SparseForcing(int(number))
        elif kind == "rate":
            found["learning_rate"] = (float(number), 1e-5)
        elif kind in ("noise", "epochs", "sequence", "every"):
            found[kind] = float(number) if kind == "noise" else int(number)
    return found


def reconstruct(recipe: str, num_states: int, num_relu: int, seed: int, data: str) -> dict[str, Any]:
    """Train and judge one network."""
    train, test = (np.load(Path(data) / f"lorenz63_{part}.npy") for part in ("train", "test"))
    begun = time.process_time()
    found = rt.fit(
        train, family="alrnn", num_states=num_states, num_relu=num_relu, dt=DT, seed=seed, **recipe_of(recipe)
    )
    spent, model = time.process_time() - begun, found.model
    z = np.zeros(num_states)
    z[:3] = (test[0] - train.mean(axis=0)) / train.std(axis=0)
    for _ in range(10):
        z = rt.simulate(model, z, steps=100_000).states[-1]
    run = rt.simulate(model, z, steps=len(test) - 1)
    exponents = rt.lyapunov_spectrum(model, run.states[0], steps=100_000).exponents
    chosen = min((r for r in found.history), key=lambda r: r["score"])
    return {
        "D_stsp": float(rt.state_space_divergence(test, run)), "D_H": float(rt.spectral_distance(test, run)),
        "exponents": float(exponents[:2].sum()), "largest": float(exponents[0]), "after": str(run.status), "update": int(chosen["step"]),
        "held_out_D": found.metrics["state_space_divergence"], "held_out_H": found.metrics["spectral_distance"],
        "prediction": found.metrics["prediction_error"], "cpu_seconds": spent, "model": model, "history": list(found.history),
    }  # fmt: skip


def main() -> None:
    """Do what the folder does not hold yet, and print the table and medians over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("folder")
    parser.add_argument("--recipes", nargs="+", default=["default"])
    parser.add_argument("--sizes", nargs="+", default=["20,10"], help="units,ReLU units")
    parser.add_argument("--seeds", nargs="+", type=int, default=[500, 501, 502, 503, 504])
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    cases = [
        {"recipe": recipe, "num_states": n, "num_relu": p, "seed": seed, "data": given.data}
        for seed in given.seeds
        for recipe in given.recipes
        for n, p in (map(int, size.split(",")) for size in given.sizes)
    ]
    found = rt.sweep(reconstruct, cases, folder=given.folder, client=given.workers)
    print(found)
    columns = (
        "recipe",
        "num_states",
        "num_relu",
        "seed",
        "D_stsp",
        "D_H",
        "exponents",
        "largest",
        "after",
        "cpu_seconds",
    )
    medians = [row | {"seed": f"median of {row['cases']}"} for row in found.summary("recipe", "num_states", "num_relu")]
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in (*found.table, *medians):
        shown = (row.get(k) for k in columns)
        print(f"| {' | '.join(f'{x:.3g}' if isinstance(x, float) else str('' if x is None else x) for x in shown)} |")


if __name__ == "__main__":
    main()

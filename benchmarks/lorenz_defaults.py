"""How `fit` reconstructs Lorenz-63 under several recipes: the search behind its defaults, kept in a table.

    python benchmarks/lorenz_defaults.py DATA TABLE RECIPE[,RECIPE ...] SEED[,SEED ...]

DATA holds lorenz63_train.npy and lorenz63_test.npy (published with ALRNN-DSR). Each row of TABLE is one training of an AL-RNN of 20 units,
10 of them ReLU; what the table holds already is not done again. Epochs are chosen by `fit` on the held-out end of the training file; the
test file is seen here only, by a free run of 100,000 steps after 1,000,000 others.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from pathlib import Path

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


COLUMNS = (
    "recipe", "seed", "D_stsp", "D_H", "exponents", "largest", "after", "update", "held_out_D", "held_out_H", "error", "cpu_seconds",
)  # fmt: skip


def main(data: Path, table: Path, recipes: list[str], seeds: list[int]) -> None:
    """Do what the table does not hold yet."""
    train, test = np.load(data / "lorenz63_train.npy"), np.load(data / "lorenz63_test.npy")
    done = {(r["recipe"], int(r["seed"])) for r in csv.DictReader(table.open())} if table.exists() else set()
    for seed in seeds:
        for recipe in recipes:
            if (recipe, seed) not in done:
                row = one(recipe, seed, train, test, table)
                fresh = not table.exists()
                with table.open("a", newline="") as file:
                    writer = csv.DictWriter(file, COLUMNS)
                    if fresh:
                        writer.writeheader()
                    writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
                print(row, flush=True)


def one(recipe: str, seed: int, train: np.ndarray, test: np.ndarray, table: Path) -> dict[str, object]:
    """Train and judge one network."""
    begun = time.process_time()
    found = rt.fit(train, family="alrnn", num_states=20, num_relu=10, dt=DT, seed=seed, **recipe_of(recipe))
    spent, model = time.process_time() - begun, found.model
    table.with_suffix(f".{recipe}.{seed}.json".replace(" ", "_")).write_text(json.dumps(list(found.history)))
    z = np.zeros(20)
    z[:3] = (test[0] - train.mean(axis=0)) / train.std(axis=0)
    for _ in range(10):
        z = rt.simulate(model, z, steps=100_000).states[-1]
    run = rt.simulate(model, z, steps=len(test) - 1)
    exponents = rt.lyapunov_spectrum(model, run.states[0], steps=100_000).exponents
    chosen = min((r for r in found.history), key=lambda r: r["score"])
    return {
        "recipe": recipe, "seed": seed, "D_stsp": float(rt.state_space_divergence(test, run)),
        "D_H": float(rt.spectral_distance(test, run)), "exponents": float(exponents[:2].sum()), "largest": float(exponents[0]),
        "after": str(run.status), "update": int(chosen["step"]), "held_out_D": found.metrics["state_space_divergence"],
        "held_out_H": found.metrics["spectral_distance"], "error": found.metrics["prediction_error"], "cpu_seconds": spent,
    }  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(","), [int(k) for k in sys.argv[4].split(",")])

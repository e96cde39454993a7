"""Leaky integrate-and-fire voltage from 100 irregular samples: how far the free run of a ContinuousPLRNN is from the regular series.

    python benchmarks/lif_irregular.py FOLDER [--seeds 5] [--record lif.jsonl]

FOLDER holds `X_lif_irregular.npy`, `t_lif_irregular.npy` (training) and `lif_neuron_data.npy` (1,000 regular samples, which judge and are never
trained on). 25 units, 2 ReLU; forcing every 3 samples, sequences of 20, noise 0.05, gradient norm 10. One line per seed, then the median.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import retime as rt

RECIPE = {"num_states": 25, "num_relu": 2, "sequence": 20, "noise": 0.05, "clip": 10.0, "learning_rate": (5e-3, 1e-4)}


def divergence(model: rt.ContinuousPLRNN, x0: np.ndarray, real: np.ndarray) -> float:
    """D_stsp of a free run at the times of the regular series, after one length of it."""
    steps = len(real)
    run = rt.simulate(model, x0, times=np.arange(2.0 * steps))
    if run.status != "completed":
        return float("inf")
    return float(rt.state_space_divergence(real, np.asarray(run.outputs)[steps:]))


def one(folder: Path, seed: int, epochs: int) -> dict[str, object]:
    """Fit and judge one seed."""
    x, t = np.load(folder / "X_lif_irregular.npy"), np.load(folder / "t_lif_irregular.npy")
    real = np.load(folder / "lif_neuron_data.npy")
    begun = time.process_time()
    fit = rt.fit(
        x,
        times=t,
        family="continuous_plrnn",
        forcing=rt.learn.SparseForcing(3),
        epochs=epochs,
        seed=seed,
        held_out=0.02,
        **RECIPE,
    )
    start = np.random.default_rng(seed).normal(size=25) * 0.1
    start[0] = (x[0, 0] - x.mean()) / x.std()
    value = divergence(fit.model, start, real)
    return {"seed": seed, "epochs": epochs, "D_stsp": value, "status": str(fit.status), "cpu_seconds": time.process_time() - begun,
            "metrics": fit.metrics}  # fmt: skip


def main() -> None:
    """Run the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    found = []
    for seed in range(given.seeds):
        found.append(one(given.folder, seed, given.epochs))
        line = json.dumps(found[-1])
        print(line, flush=True)
        if given.record:
            with given.record.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
    print("median D_stsp", float(np.median([f["D_stsp"] for f in found])))


if __name__ == "__main__":
    main()

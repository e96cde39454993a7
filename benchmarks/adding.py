"""The adding problem: which cells get below an error of 0.01, after how many updates, in how many CPU seconds.

    python benchmarks/adding.py [RECIPE ...]

Answering 1 always has an error of 1/6. An ODERNN whose field is the equation of a minGRU (gates nearly closed at the start), integrated
by Heun's method, learns trials of 200 steps; fields of one tanh layer, of order 1 and 2, and coupled oscillators did not within these times.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import retime as rt

TRAINING = {"batch_size": 64, "held_out": 256, "every": 100, "learning_rate": 3e-3, "seed": 0}


def heun_of_min_gru(task: Any) -> Any:
    """n = 2, t = 1: Heun's method on dz/dt of a minGRU of 64 units, as it starts."""
    start = rt.train(task, family="min_gru", num_states=64, updates=1, batch_size=4, held_out=8, seed=0)
    return rt.ODERNN(rt.to_continuous(start.model).model, rt.RungeKutta(rt.HEUN), dt=1.0)


RECIPES: dict[str, tuple[int, Any, dict[str, Any]]] = {  # steps of a trial, family, options
    "odernn-200": (200, heun_of_min_gru, {"updates": 2000}),
    "mingru-200": (200, "min_gru", {"num_states": 64, "updates": 2000}),
    "lstm-100": (100, "lstm", {"num_states": 64, "updates": 2000}),
}


def main(names: list[str]) -> None:
    """Train each, and say what was reached when."""
    for name in names or RECIPES:
        steps, family, options = RECIPES[name]
        task = rt.learn.AddingProblem(steps=steps)
        cell = family if isinstance(family, str) else family(task)
        begun = time.process_time()
        fit = rt.train(task, family=cell, **TRAINING, **options)
        spent = time.process_time() - begun
        below = next((int(r["step"]) for r in fit.history if r["loss"] < 0.01), None)
        share = (
            "never" if below is None else f"after {below} updates, about {spent * below / options['updates']:.0f} CPU s"
        )
        print(f"{name}: {fit.model!r}")
        print(f"  error {fit.metrics['loss']:.2g} in {spent:.0f} CPU s; below 0.01 {share}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

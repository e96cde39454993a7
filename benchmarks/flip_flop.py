"""How fast the 3-bit flip-flop is learned, and when all its 8 memories are there.

    python benchmarks/flip_flop.py FOLDER [--seeds 0 1 2 3 4] [--updates 3000] [--workers 2] [train's options as NAME=VALUE]

Trains 100 tanh units for each seed and looks at every 250 updates (`train` goes on from its checkpoint): sign accuracy on 512 fresh
trials, CPU seconds so far, and the stable fixed points of the map without input: the 8 corners that are held (outputs within 0.1), and
what else is stable. A seed ends when the accuracy is 99 % and all 8 corners are there and nothing else is.
Each seed is a case of a sweep, whose results are in FOLDER: the same command goes on where it was ended.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import tempfile
import time
from typing import Any

import numpy as np

import retime as rt
from retime.sweep import grid

CORNERS = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))


def sign_accuracy(model: Any, task: Any, trials: int = 512, seed: int = 10**6) -> float:
    """Share of the outputs with the sign of the target, where that counts and is +-1, on fresh trials."""
    inputs, targets, mask = task.batch(trials, seed)
    z, right, counted = np.zeros((trials, model.num_states)), 0, 0
    for k in range(inputs.shape[1]):
        z = model.step(z, inputs[:, k])
        counts = (np.abs(targets[:, k]) > 0.5) & (mask[:, k] > 0 if mask.ndim == 3 else mask[:, k, None] > 0)
        right += int((counts & (np.sign(model.outputs(z)) == np.sign(targets[:, k]))).sum())
        counted += int(counts.sum())
    return right / counted


def settled(model: Any, trials: int = 256, rest: int = 1000) -> np.ndarray:
    """States `(trials, n)` after a trial each and a long time without input."""
    inputs = rt.learn.FlipFlop(num_bits=3).batch(trials, 10**6).inputs
    z = np.zeros((trials, model.num_states))
    for k in range(inputs.shape[1] + rest):
        z = model.step(z, inputs[:, k] if k < inputs.shape[1] else None)
    return z


def memories(model: Any) -> dict[str, Any]:
    """Corners held by a stable point, and the outputs of stable points at no corner."""
    # a proof for this many ReLU units takes too long: there, where trials come to rest
    options = {"complete": False, "starts": settled(model)} if model.family == "relu_rnn" else {}
    points = rt.find_fixed_points(model, **options)
    outputs = model.outputs(np.asarray(points.points)[points.stable])
    far = np.abs(outputs[:, None] - CORNERS).max(axis=2)
    held = far.min(axis=0) <= 0.1 if len(outputs) else np.zeros(8, bool)
    other = outputs[far.min(axis=1) > 0.1] if len(outputs) else outputs
    return {
        "corners": int(held.sum()),
        "stable": len(outputs),
        "points": len(points.points),
        "search": str(points.status),
        "distance": round(float(far.min(axis=0).max()), 4) if len(outputs) else None,
        "others": np.round(other, 3).tolist(),
    }


def learn(seed: int, updates: int, look: int, **options: Any) -> dict[str, Any]:
    """Train until the seed is ready, look now and then, and say what was found last."""
    task, spent, looks = rt.learn.FlipFlop(num_bits=3), 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        for reached in range(look, updates + 1, look):
            begun = time.process_time()
            fit = rt.train(
                task, num_states=100, updates=reached, seed=seed, checkpoint=f"{folder}/run", resume=True, **options
            )
            spent += time.process_time() - begun
            looks.append({"updates_made": reached, "cpu_seconds": round(spent, 2)})
            looks[-1] |= {"accuracy": round(sign_accuracy(fit.model, task), 5), **memories(fit.model)}
            if is_ready(looks[-1]):
                break
    return {**looks[-1], "ready": is_ready(looks[-1]), "looks": looks, "model": fit.model}


def main() -> None:
    """One case of a sweep per seed, and the table of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--look", type=int, default=250)
    parser.add_argument("--workers", type=int)
    parser.add_argument("options", nargs="*", help="of train, as name=value")
    given = parser.parse_intermixed_args()
    options = {k: _value(v) for k, v in (text.split("=", 1) for text in given.options)}
    cases = grid(seed=given.seeds, updates=given.updates, look=given.look)
    found = rt.sweep(learn, [case | options for case in cases], folder=given.folder, client=given.workers)
    print(found)
    columns = ("seed", "updates_made", "cpu_seconds", "accuracy", "corners", "stable", "distance")
    print(f"\n| {' | '.join(columns).replace('_', ' ')} |\n|{'---|' * len(columns)}")
    for row in found.table:
        print(f"| {' | '.join(str(row.get(k)) for k in columns)} |")


def is_ready(record: dict[str, Any]) -> bool:
    """Whether the seed has reached what is asked for."""
    return record["accuracy"] >= 0.99 and record["corners"] == record["stable"] == 8


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()

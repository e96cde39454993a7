"""How fast the 3-bit flip-flop is learned, and when all its 8 memories are there.

    python benchmarks/flip_flop.py records.jsonl [--seeds 0 1 2 3 4] [--updates 3000] [train's options as NAME=VALUE]

Trains 100 tanh units for each seed and looks at every 250 updates (`train` goes on from its checkpoint): sign accuracy on 512 fresh
trials, CPU seconds so far, and the stable fixed points of the map without input: the 8 corners that are held (outputs within 0.1), and
what else is stable. A seed ends when the accuracy is 99 % and all 8 corners are there and nothing else is.
Records that are in the file already are
not made again, so the script can be stopped and started.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import retime as rt

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
        "error": float(far.min(axis=0).max()) if len(outputs) else None,
        "others": np.round(other, 3).tolist(),
    }


def main() -> None:
    """Train, look, write one line per look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--look", type=int, default=250)
    parser.add_argument("options", nargs="*", help="of train, as name=value")
    given = parser.parse_intermixed_args()
    options = {k: _value(v) for k, v in (text.split("=", 1) for text in given.options)}
    lines = given.records.read_text().splitlines() if given.records.exists() else []
    known = {(r["options"], r["seed"], r["updates"]): r for r in map(json.loads, lines)}
    task, name = rt.learn.FlipFlop(num_bits=3), " ".join(sorted(given.options))
    for seed in given.seeds:
        spent, ready = 0.0, False
        with tempfile.TemporaryDirectory() as folder:
            for updates in range(given.look, given.updates + 1, given.look):
                if record := known.get((name, seed, updates)):
                    spent, ready = record["cpu_seconds"], is_ready(record)
                    continue
                if ready:
                    break
                begun = time.process_time()
                fit = rt.train(
                    task, num_states=100, updates=updates, seed=seed, checkpoint=f"{folder}/run", resume=True, **options
                )
                spent += time.process_time() - begun
                found = {"options": name, "seed": seed, "updates": updates, "cpu_seconds": round(spent, 2)}
                found |= {"accuracy": round(sign_accuracy(fit.model, task), 5), **memories(fit.model)}
                with given.records.open("a") as file:
                    print(json.dumps(found), file=file, flush=True)
                print(found, flush=True)
                ready = is_ready(found)


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

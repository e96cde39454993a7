"""Train the networks of the zoo, each by its name, check them, and write them where the package ships them.

    python scripts/train_zoo.py flip_flop flip_flop_relu adding lorenz_alrnn lorenz_plrnn lorenz_continuous vanderpol_alrnn

A network that does not pass its check is not written. The file holds the weights in 64 bits, a start, and the record of what was measured
(`--records` prints those of all shipped networks). Training amplifies rounding: another machine or library version may end in other weights
of the same quality.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import retime as rt
from retime.learn import AddingProblem, FlipFlop, GeneralizedForcing

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "src" / "retime" / "zoo" / "weights"
sys.path.insert(0, str(ROOT / "benchmarks"))
from flip_flop import memories, sign_accuracy  # noqa: E402

Found = tuple[Any, dict[str, Any], bool, Any]  # model, record, whether it passes, start


def flip_flop(family: str) -> Found:
    """3 bits, 100 units: at least 99 % on fresh trials, and the 8 corners are all that is stable."""
    fit = rt.train(FlipFlop(num_bits=3), family=family, num_states=100, updates=250, seed=0)
    found = memories(fit.model)
    accuracy = sign_accuracy(fit.model, FlipFlop(num_bits=3))
    record = {"sign_accuracy": accuracy, **found, "updates": fit.history[-1]["step"]}
    good = accuracy >= 0.99 and found["corners"] == found["stable"] == 8
    return fit.model, record, good, 0.1 * np.random.default_rng(0).standard_normal(100)


def adding() -> Found:
    """A GRU of 32 units, trials of 50 steps: a mean squared error of at most 0.002 on fresh trials; answering 1 always has 1/6."""
    task = AddingProblem(50)
    fit = rt.train(task, family="gru", num_states=32, updates=3000, seed=0, learning_rate=3e-3, patience=12)
    inputs, targets, _ = task.batch(1000, 10**6)
    z = np.zeros((1000, 32))
    for k in range(50):
        z = fit.model.step(z, inputs[:, k])
    error = float(np.mean((fit.model.outputs(z) - targets[:, -1]) ** 2))
    return fit.model, {"mean_squared_error": error, "updates": fit.history[-1]["step"]}, error <= 0.002, np.zeros(32)


def lorenz(family: Any, seed: int = 0, **options: Any) -> Found:
    """Lorenz-63, 20 units, recorded every 0.01 with noise of 0.05: 100,000 samples of the free run lie as others recorded, chaotic."""
    series = _recording(rt.zoo.load("lorenz63"), [1.0, 1.0, 20.0], 0.01, 200_000)
    recorded = series + 0.05 * np.random.default_rng(0).standard_normal(series.shape)
    fit = rt.fit(recorded[:100_000], family=family, dt=0.01, seed=seed, **options)
    discrete = isinstance(fit.model.time, rt.Discrete)
    horizon = {"steps": 200_000} if discrete else {"times": 0.01 * np.arange(200_001)}
    run = rt.simulate(fit.model, _lift(fit, series[-1]), **horizon)
    record = _distances(recorded[-100_000:], run.outputs[-100_000:]) | {"updates": fit.history[-1]["step"]}
    length = {"steps": 100_000} if discrete else {"times": [0.0, 1000.0]}
    exponents = rt.lyapunov_spectrum(fit.model, run.states[-1], num=2, **length).exponents
    record["exponents"] = [round(float(x), 4) for x in exponents]
    good = record["state_space_divergence"] <= 0.25 and record["spectral_distance"] <= 0.09 and exponents[0] > 0.5
    return fit.model, record, bool(good), run.states[-1]


def first_good(family: str, **options: Any) -> Found:
    """The Lorenz network of the first seed that passes, of five; else that of the last one."""
    for seed in range(5):
        found = lorenz(family, seed, num_states=20, **options)
        print(f"seed {seed}:", json.dumps(found[1]), flush=True)
        if found[2]:
            break
    return found


def lorenz_continuous() -> Found:
    """The field of the shipped almost-linear network's units, trained on by the exact flow."""
    start = rt.zoo.entry("lorenz_alrnn")
    states = rt.simulate(start.model, start.z0, steps=10_000).states
    method = rt.FlowFit(keep_units=True, tolerance=0.05)
    field = rt.to_continuous(start.model, method=method, states=states).model
    return lorenz(field, epochs=100, every=5, learning_rate=(5e-4, 1e-5))


def vanderpol() -> Found:
    """The van der Pol oscillator (mu = 2), 12 units of which 6 are ReLU, dt = 0.1: period and amplitude within 1 %."""
    field = rt.VectorField(lambda z: jnp.array([z[1], 2.0 * (1 - z[0] ** 2) * z[1] - z[0]]), 2)
    series = _recording(field, [2.0, 0.0], 0.1, 12_000)
    fit = rt.fit(
        series[:10_000], family="alrnn", num_states=12, num_relu=6, forcing=GeneralizedForcing(0.1), noise=0.02, dt=0.1,
        epochs=600, seed=0,
    )  # fmt: skip
    run = rt.simulate(fit.model, _lift(fit, series[-1]), steps=12_000)
    pairs = [(_period(x[-2000:, 0]), float(np.abs(x[-2000:, 0]).max())) for x in (series, run.outputs)]
    errors = [abs(b / a - 1) for a, b in zip(*pairs, strict=True)]
    record = {
        "period_error": errors[0],
        "amplitude_error": errors[1],
        **_distances(series[-2000:], run.outputs[-2000:]),
    }
    return fit.model, record | {"updates": fit.history[-1]["step"]}, max(errors) <= 0.01, run.states[-1]


def _recording(system: Any, start: list[float], dt: float, steps: int) -> np.ndarray:
    settled = rt.simulate(system, start, times=[0.0, 50.0]).states[-1]
    return rt.simulate(system, settled, times=dt * np.arange(steps)).states


def _lift(fit: Any, x: np.ndarray) -> np.ndarray:
    """A state whose outputs are x: the observed states come first."""
    B, b = fit.model.readout
    return np.linalg.pinv(B) @ (x - b)


def _distances(real: np.ndarray, free: np.ndarray) -> dict[str, float]:
    return {
        "state_space_divergence": float(rt.state_space_divergence(real, free)),
        "spectral_distance": float(rt.spectral_distance(real, free)),
    }


def _period(x: np.ndarray) -> float:
    """Steps between upward zero crossings, interpolated."""
    k = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
    at = k - x[k] / (x[k + 1] - x[k])
    return float((at[-1] - at[0]) / (len(at) - 1)) if len(at) > 1 else np.inf


def write(name: str, model: Any, record: dict[str, Any], z0: np.ndarray) -> Path:
    """The weights of every field, the readout, the time of a step, a start and the record."""
    arrays = {f.name: getattr(model, f.name) for f in fields(model) if f.name not in ("time", "readout")}
    B, b = model.readout
    path = WEIGHTS / f"{name}.npz"
    time = {"dt": model.dt} if isinstance(model.time, rt.Discrete) else {}
    about = {"family": model.family, "z0": z0, "readout_B": B, "readout_b": b, "record": json.dumps(record)}
    np.savez_compressed(path, **about, **time, **{k: v for k, v in arrays.items() if v is not None})
    return path


NETWORKS: dict[str, Callable[[], Found]] = {
    "flip_flop": lambda: flip_flop("tanh_rnn"),
    "flip_flop_relu": lambda: flip_flop("relu_rnn"),
    "adding": adding,
    "lorenz_alrnn": lambda: first_good("alrnn", num_relu=10, epochs=1000),
    "lorenz_plrnn": lambda: first_good("plrnn", epochs=1000),
    "lorenz_continuous": lorenz_continuous,
    "vanderpol_alrnn": vanderpol,
}


def main() -> None:
    """Train, check, write, say what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument(
        "--records", action="store_true", help="print what was measured of the shipped ones, and train none"
    )
    options = parser.parse_args()
    for name in options.names or NETWORKS:
        path = WEIGHTS / f"{name}.npz"
        if options.records:
            print(name, str(np.load(path)["record"]) if path.exists() else "is not shipped", flush=True)
            continue
        model, record, good, z0 = NETWORKS[name]()
        print(
            name,
            json.dumps(record),
            write(name, model, record, z0) if good else "DOES NOT PASS, not written",
            flush=True,
        )


if __name__ == "__main__":
    main()

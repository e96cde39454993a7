"""Train the two piecewise-linear recurrent networks of the zoo: van der Pol and Lorenz-63.

The model is the PLRNN

    z_{k+1} = A z_k + W relu(z_k) + h,    x_k = B z_k + b,

with a diagonal A (n,), a full W (n, n), h (n,), B (p, n) and b (p,), one step per dt. The reference system is
integrated with scipy, standardized, and learned by back-propagation through time under teacher forcing: at the forced
steps the state is pulled toward the data through the pseudo-inverse of the readout,

    z <- z + alpha pinv(B) (x_data - b - B z),

with alpha annealed over training, while a penalty makes free runs from far states come back. Every few hundred updates
the network runs freely, and the checkpoint whose free run is closest to the reference attractor is kept. The readout is
de-standardized before it is saved, so x is in the original units.

    python scripts/train_zoo.py --system vanderpol --seed 1 --out weights
    python scripts/train_zoo.py --system lorenz --seed 0 --out weights

made the shipped files. The learning-rate and forcing schedules are counted in updates, so a run that ends before
`--minutes` depends on the seed alone; one cut short by the budget says so. Training amplifies rounding, so another
machine or library version may end in different weights of the same quality.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.integrate import solve_ivp
from scipy.signal import welch

jax.config.update("jax_enable_x64", True)

Params = dict[str, Any]
STARTS = 20  # free runs of every check
FAR, NEAR = 4.0, 2.0  # root mean squares of the far states, and of those that count as back; standardized units
RETURN_WEIGHT = 0.02
JITTER = 0.2  # standard deviation added to every unit of a starting state


def vanderpol(x: np.ndarray) -> np.ndarray:
    """Velocity of x'' = 2 (1 - x^2) x' - x at states (2, m)."""
    return np.stack([x[1], 2.0 * (1.0 - x[0] ** 2) * x[1] - x[0]])


def lorenz(x: np.ndarray) -> np.ndarray:
    """Velocity of Lorenz-63 (10, 28, 8/3) at states (3, m)."""
    return np.stack([10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]])


@dataclass(frozen=True)
class Recipe:
    """One system and how it is trained; times are counted in steps of dt unless said otherwise."""

    velocity: Callable[[np.ndarray], np.ndarray]
    low: tuple[float, ...]  # box of the initial states, original units
    high: tuple[float, ...]
    near: tuple[tuple[float, ...], ...]  # points around which every second trajectory starts instead
    dt: float
    trajectories: int
    length: int  # samples of each trajectory
    settle: int  # samples dropped before statistics
    units: int
    window: int  # samples of a training sequence
    warmup: int  # steps at the start of a sequence that are forced fully and not scored
    interval: int  # forced every `interval` steps
    alpha: tuple[float, float]  # forcing strength, first and last update
    noise: float  # of the forced data, standardized units
    batch: int
    rate: tuple[float, float]  # learning rate, first and last update
    updates: int
    check: int  # updates between free-running checks
    score: Callable[[Run, Reference], dict[str, float]]


@dataclass(frozen=True)
class Reference:
    """Samples of the true system (m, length, p), the attractor part (m, length - settle, p), and its statistics."""

    data: np.ndarray
    attractor: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    dt: float
    period: float


@dataclass(frozen=True)
class Run:
    """A free run of the trained map: readout (m, steps, p), final states (m, n), largest exponents (m,) per time."""

    x: np.ndarray
    z: np.ndarray
    exponent: np.ndarray


# ---------------------------------------------------------------------------------------------- reference system


def flow(velocity: Callable[[np.ndarray], np.ndarray], start: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Integrate m initial states (p, m) together and sample them at `times` (k,): (m, k, p)."""
    shape = start.shape

    def rhs(_: float, y: np.ndarray) -> np.ndarray:
        return velocity(y.reshape(shape)).ravel()

    solution = solve_ivp(rhs, (times[0], times[-1]), start.ravel(), "DOP853", times, rtol=1e-10, atol=1e-12)
    return solution.y.reshape(*shape, -1).transpose(1, 2, 0)


def true_period(velocity: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> float:
    """Period of a planar limit cycle from the upward zero crossings of its first coordinate, start (p,)."""

    def upward(_: float, y: np.ndarray) -> float:
        return float(y[0])

    upward.direction = 1.0  # type: ignore[attr-defined]
    solution = solve_ivp(lambda _, y: velocity(y), (0, 200), start, "DOP853", events=upward, rtol=1e-12, atol=1e-13)
    return float(np.diff(solution.t_events[0])[-10:].mean())


def simulate(recipe: Recipe, rng: np.random.Generator) -> Reference:
    """Trajectories of the reference system from random starts in the recipe's box or around its points."""
    low, high = np.array(recipe.low)[:, None], np.array(recipe.high)[:, None]
    start = rng.uniform(low, high, (low.size, recipe.trajectories))
    if recipe.near:
        around = np.array(recipe.near)[rng.integers(0, len(recipe.near), recipe.trajectories)].T
        start[:, ::2] = (around + 1.5 * rng.standard_normal(start.shape))[:, ::2]
    data = flow(recipe.velocity, start, recipe.dt * np.arange(recipe.length))
    attractor = data[:, recipe.settle :]
    points = attractor.reshape(-1, low.size)
    period = true_period(recipe.velocity, points[-1]) if low.size == 2 else np.nan
    return Reference(data, attractor, points.mean(0), points.std(0), recipe.dt, period)


# ---------------------------------------------------------------------------------------------- the network


def initialize(key: jax.Array, units: int, outputs: int) -> Params:
    """Identity-like weights: slow units that are read out, decaying hidden units, a small W."""
    keys = jax.random.split(key, 3)
    decay = jnp.where(jnp.arange(units) < outputs, 0.98, jax.random.uniform(keys[0], (units,), minval=0.2, maxval=0.9))
    return {
        "A": decay,
        "W": 0.4 / jnp.sqrt(units) * jax.random.normal(keys[1], (units, units)),
        "h": 0.5 * jax.random.uniform(keys[2], (units,), minval=-1.0),
        "B": jnp.eye(outputs, units),
        "b": jnp.zeros(outputs),
    }


def advance(params: Params, z: jax.Array) -> jax.Array:
    """One step of the map for states (..., n)."""
    return params["A"] * z + jax.nn.relu(z) @ params["W"].T + params["h"]


def loss(params: Params, target: Any, forced: Any, alpha: Any, jitter: Any, warmup: int) -> jax.Array:
    """Mean squared error of the forced run.

    target and forced (window, batch, p) hold the data without and with noise, alpha (window,) the forcing strength; a
    sequence starts at the lifted first sample plus jitter (batch, n), which teaches the hidden units to forget.
    """
    B, b = params["B"], params["b"]
    lift = jnp.linalg.solve(B @ B.T, B)  # (p, n), the transposed pseudo-inverse

    def step(z: jax.Array, inputs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, strength = inputs
        z = advance(params, z)
        out = z @ B.T + b
        return z + strength * (x - out) @ lift, out

    first = (forced[0] - b) @ lift + jitter
    _, out = jax.lax.scan(step, first, (forced[1:], alpha[1:]))
    return jnp.mean((out[warmup:] - target[warmup + 1 :]) ** 2)


def escape(params: Params, far: jax.Array, steps: int) -> jax.Array:
    """Penalty of free runs from far states (m, n) that have not come back near the origin after `steps`."""
    last, _ = jax.lax.scan(lambda z, _: (advance(params, z), None), far, None, steps)
    return jnp.mean(jax.nn.relu(jnp.log(jnp.mean(last**2, axis=1) / NEAR**2)))


def make_trainer(recipe: Recipe, data: jax.Array, updates: int) -> tuple[Any, Any]:
    """The optimizer and a compiled function making `recipe.check` updates on data (m, length, p)."""
    decay = recipe.rate[1] / recipe.rate[0]
    schedule = optax.cosine_decay_schedule(recipe.rate[0], updates, alpha=decay)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    index = jnp.arange(recipe.window)
    pattern = jnp.where(index % recipe.interval == 0, 1.0, 0.0)
    ratio = recipe.alpha[1] / recipe.alpha[0]

    def objective(params: Params, target: Any, forced: Any, alpha: Any, jitter: Any, far: Any) -> jax.Array:
        error = loss(params, target, forced, alpha, jitter, recipe.warmup)
        return error + RETURN_WEIGHT * escape(params, far, recipe.window // 2)

    def update(carry: tuple[Any, ...], count: jax.Array) -> tuple[tuple[Any, ...], jax.Array]:
        params, state, key = carry
        key, *keys = jax.random.split(key, 6)
        which = jax.random.randint(keys[0], (recipe.batch,), 0, data.shape[0])
        begin = jax.random.randint(keys[1], (recipe.batch,), 0, data.shape[1] - recipe.window)
        target = data[which, begin + index[:, None]]
        forced = target + recipe.noise * jax.random.normal(keys[2], target.shape)
        strength = recipe.alpha[0] * ratio ** (count / updates)
        alpha = jnp.where(index <= recipe.warmup, 1.0, strength * pattern)
        jitter = JITTER * jax.random.normal(keys[3], (recipe.batch, recipe.units))
        far = FAR * jax.random.normal(keys[4], (recipe.batch // 2, recipe.units))
        value, gradient = jax.value_and_grad(objective)(params, target, forced, alpha, jitter, far)
        step, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, step), state, key), value

    @jax.jit
    def train(params: Params, state: Any, key: jax.Array, done: jax.Array) -> tuple[Any, ...]:
        carry, values = jax.lax.scan(update, (params, state, key), done + jnp.arange(recipe.check))
        return *carry, values.mean()

    return optimizer, train


@partial(jax.jit, static_argnums=2)
def _run(params: Params, z: jax.Array, steps: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Free run of states (m, n): final states, readout (steps, m, p), log growth of a tangent vector (steps, m)."""

    def step(carry: tuple[jax.Array, jax.Array], _: None) -> tuple[Any, Any]:
        z, v = carry
        v = params["A"] * v + (v * (z > 0)) @ params["W"].T
        z = advance(params, z)
        size = jnp.linalg.norm(v, axis=1, keepdims=True)
        return (z, v / size), (z @ params["B"].T + params["b"], jnp.log(size[:, 0]))

    (z, _), (x, growth) = jax.lax.scan(step, (z, jnp.ones_like(z)), None, steps)
    return z, x, growth


def free_run(params: Params, z: np.ndarray, steps: int, settle: int, dt: float) -> Run:
    """Run states (m, n) for settle + steps steps with no forcing, keeping the last `steps`."""
    last, x, growth = _run(params, jnp.asarray(z), settle + steps)
    return Run(np.asarray(x[settle:]).transpose(1, 0, 2), np.asarray(last), np.asarray(growth[settle:]).mean(0) / dt)


def original_units(params: Params, reference: Reference) -> Params:
    """The same network with its readout in the original units of the reference system."""
    net = {name: np.asarray(value) for name, value in params.items()}
    net["b"] = reference.mean + reference.std * net["b"]
    net["B"] = reference.std[:, None] * net["B"]
    return net


def starting_states(net: Params, reference: Reference, rng: np.random.Generator) -> np.ndarray:
    """States (20, n) near the data: pinv(B) (x - b) for random samples x, plus jitter in every unit."""
    points = reference.data.reshape(-1, reference.data.shape[2])
    x = points[rng.integers(0, len(points), STARTS)]
    z = (x - net["b"]) @ np.linalg.pinv(net["B"]).T
    return z + JITTER * rng.standard_normal(z.shape)


# ---------------------------------------------------------------------------------------------- free-running quality


def mean_period(x: np.ndarray, dt: float) -> float:
    """Mean time between upward zero crossings of x (k,), linearly interpolated; nan below three crossings."""
    before = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
    if before.size < 3:
        return np.nan
    crossing = before - x[before] / (x[before + 1] - x[before])
    return float(dt * (crossing[-1] - crossing[0]) / (before.size - 1))


def cycle_distance(x: np.ndarray, cycle: np.ndarray, scale: np.ndarray) -> float:
    """Largest distance of samples x (k, p) from the densely sampled curve (q, p), in standardized units."""
    gap = (x[:, None] - cycle[None]) / scale
    return float(np.sqrt((gap**2).sum(-1).min(1)).max())


def score_vanderpol(run: Run, reference: Reference) -> dict[str, float]:
    """Figures of a limit cycle; `score` is the one to minimize, infinite when a start does not reach the cycle."""
    if not np.isfinite(run.x).all() or np.abs(run.x).max() > 50:
        return {"score": np.inf}
    periods = np.array([mean_period(x[:, 0], reference.dt) for x in run.x])
    truth = np.abs(reference.attractor).max((0, 1))
    amplitude = np.abs(run.x).max(1)
    spread = max(cycle_distance(x[-200:], run.x[0, -3000:], reference.std) for x in run.x)
    shape = cycle_distance(run.x[0, -200:], reference.attractor.reshape(-1, 2)[-3000:], reference.std)
    error = float(np.abs(periods / reference.period - 1).max())
    high = float(np.abs(amplitude / truth - 1).max())
    cycles = run.x.shape[1] * reference.dt / reference.period
    figures = {
        "period (true)": reference.period, "period": float(periods.mean()), "cycles": cycles, "period error": error,
        "amplitude x (true)": truth[0], "amplitude x": float(amplitude[:, 0].mean()),
        "amplitude v (true)": truth[1], "amplitude v": float(amplitude[:, 1].mean()),
        "amplitude error": high, "largest distance between starts": spread, "distance from the true cycle": shape,
        "largest exponent": float(run.exponent.max()),
        "score": 10 * error + high + shape + float(np.abs(run.exponent).max()),
    }  # fmt: skip
    regular = np.isfinite(error) and spread < 0.1 and run.exponent.max() < 0.02
    return figures if regular else {**figures, "score": np.inf}


def maxima(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Successive local maxima of every row of x (m, k), by a parabola through three samples: pairs (q,), (q,)."""
    pairs = []
    for row in x:
        i = np.flatnonzero((row[1:-1] > row[:-2]) & (row[1:-1] >= row[2:])) + 1
        slope, bend = (row[i + 1] - row[i - 1]) / 2, row[i + 1] - 2 * row[i] + row[i - 1]
        top = row[i] - slope**2 / (2 * bend)
        pairs.append(np.stack([top[:-1], top[1:]]))
    first, second = np.concatenate(pairs, axis=1)
    return first, second


def return_map_error(x: np.ndarray, truth: np.ndarray) -> float:
    """RMS gap between the maxima map of x (m, k) and that of truth, over the spread of the true maxima."""
    first, second = maxima(truth)
    order = np.argsort(first)
    groups = np.array_split(order, 80)
    at, value = (np.array([np.median(v[g]) for g in groups]) for v in (first, second))
    left, right = maxima(x)
    if left.size < 50:
        return 1.0
    return float(min(1.0, np.sqrt(np.mean((right - np.interp(left, at, value)) ** 2)) / second.std()))


def hellinger(first: np.ndarray, second: np.ndarray) -> float:
    """Hellinger distance of two nonnegative arrays of one shape, each normalized to sum one."""
    overlap = np.sqrt(first / first.sum() * second / second.sum()).sum()
    return float(np.sqrt(max(0.0, 1 - overlap)))


def spectrum_error(x: np.ndarray, truth: np.ndarray) -> float:
    """Mean Hellinger distance of the power spectra of x (m, k, p) and truth (m', k', p)."""
    power = [welch(v, nperseg=512, axis=1)[1].mean(0) for v in (x, truth)]
    return float(np.mean([hellinger(power[0][:, i], power[1][:, i]) for i in range(x.shape[2])]))


def density_error(x: np.ndarray, truth: np.ndarray) -> float:
    """Hellinger distance of the histograms in state space, 15 bins a side over the true range."""
    p = truth.shape[-1]
    points = truth.reshape(-1, p)
    limits = list(zip(points.min(0), points.max(0), strict=True))
    counts = [np.histogramdd(v.reshape(-1, p), 15, limits)[0] for v in (x, truth)]
    return hellinger(counts[0] + 1e-9, counts[1] + 1e-9)


def score_lorenz(run: Run, reference: Reference) -> dict[str, float]:
    """Figures of a chaotic attractor; `score` is the one to minimize, infinite when a start is lost or not chaotic."""
    if not np.isfinite(run.x).all() or np.abs(run.x).max() > 200:
        return {"score": np.inf}
    truth, x = reference.attractor.reshape(-1, 3), run.x.reshape(-1, 3)
    tail = run.x[:, run.x.shape[1] // 2 :]
    figures = {f"mean {c}": v for c, v in zip("xyz", x.mean(0), strict=True)}
    figures |= {f"std {c} / true": v for c, v in zip("xyz", x.std(0) / truth.std(0), strict=True)}
    ends = [np.ptp(v, axis=0) for v in (x, truth)]
    figures |= {f"range {c} / true": v for c, v in zip("xyz", ends[0] / ends[1], strict=True)}
    figures |= {
        "worst mean error / std": float(np.abs((x.mean(0) - truth.mean(0)) / truth.std(0)).max()),
        "worst std error": float(np.abs(x.std(0) / truth.std(0) - 1).max()),
        "worst range error": float(np.abs(ends[0] / ends[1] - 1).max()),
        "exponent": float(run.exponent.mean()), "smallest exponent": float(run.exponent.min()),
        "largest exponent": float(run.exponent.max()),
        "maxima map error": return_map_error(run.x[:, :, 2], reference.attractor[:, :, 2]),
        "spectrum error": spectrum_error(run.x, reference.attractor),
        "density error": density_error(run.x, reference.attractor),
        "lobe changes per time": float(np.mean(np.diff(np.sign(run.x[:, :, 0]), axis=1) != 0) / reference.dt),
        "smallest late std x / true": float((tail[:, :, 0].std(1) / truth[:, 0].std()).min()),
    }  # fmt: skip
    alive = run.exponent.min() > 0.3 and figures["smallest late std x / true"] > 0.7
    worst = figures["worst mean error / std"] + figures["worst std error"] + figures["worst range error"]
    distance = figures["maxima map error"] + figures["spectrum error"] + figures["density error"]
    figures["score"] = worst + distance + abs(figures["exponent"] / 0.906 - 1) if alive else np.inf
    return figures


# ---------------------------------------------------------------------------------------------- training

RECIPES = {
    "vanderpol": Recipe(
        velocity=vanderpol, low=(-3.0, -5.0), high=(3.0, 5.0), near=(), dt=0.1, trajectories=100, length=260,
        settle=150, units=12, window=150, warmup=6, interval=1, alpha=(0.2, 0.02), noise=0.01, batch=32,
        rate=(3e-3, 1e-5), updates=20_000, check=250, score=score_vanderpol,
    ),
    "lorenz": Recipe(
        velocity=lorenz, low=(-20.0, -25.0, 5.0), high=(20.0, 25.0, 45.0),
        near=((8.4853, 8.4853, 27.0), (-8.4853, -8.4853, 27.0)), dt=0.04, trajectories=100, length=1600, settle=800,
        units=24, window=60, warmup=5, interval=1, alpha=(0.2, 0.1), noise=0.01, batch=32, rate=(3e-3, 1e-4),
        updates=45_000, check=250, score=score_lorenz,
    ),
}  # fmt: skip


def train(recipe: Recipe, reference: Reference, seed: int, minutes: float) -> Params:
    """Train one network and return its best checkpoint by the free-running score, in original units."""
    began = time.monotonic()
    key, subkey = jax.random.split(jax.random.key(seed))
    params = initialize(subkey, recipe.units, reference.mean.size)
    data = jnp.asarray((reference.data - reference.mean) / reference.std)
    optimizer, updates = make_trainer(recipe, data, recipe.updates)
    state, best, lowest = optimizer.init(params), original_units(params, reference), np.inf
    for done in range(0, recipe.updates, recipe.check):
        if time.monotonic() - began > 60 * minutes:
            print(f"stopped by the {minutes:g}-minute budget after {done} of {recipe.updates} updates", flush=True)
            break
        params, state, key, value = updates(params, state, key, jnp.asarray(done))
        net = original_units(params, reference)
        starts = starting_states(net, reference, np.random.default_rng(seed))
        score = recipe.score(free_run(net, starts, 4000, 2000, recipe.dt), reference)["score"]
        if score < lowest:  # confirm with a long run, which sees chaos that dies out
            score = recipe.score(free_run(net, starts, 20_000, 80_000, recipe.dt), reference)["score"]
        kept = score < lowest
        if kept:
            best, lowest = net, score
        print(f"{done + recipe.check:7d}  loss {float(value):.3e}  score {score:.4f}{'  kept' * kept}", flush=True)
    print(f"trained for {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    return best


def save(path: Path, net: Params, z0: np.ndarray, dt: float) -> None:
    """Write the arrays A, W, h, B, b, z0 (n,) and dt () to `path`, in one rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.asarray(value, float) for name, value in {**net, "z0": z0, "dt": dt}.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def main() -> None:
    """Simulate, train, measure, and save one system of the zoo."""
    parser = argparse.ArgumentParser(description="Train a piecewise-linear recurrent network of the zoo.")
    parser.add_argument("--system", choices=sorted(RECIPES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder that receives SYSTEM.npz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=15.0, help="stop training after this long (default: 15)")
    options = parser.parse_args()
    recipe = RECIPES[options.system]
    reference = simulate(recipe, np.random.default_rng(options.seed))
    net = train(recipe, reference, options.seed, options.minutes)
    starts = starting_states(net, reference, np.random.default_rng(options.seed + 1))
    run = free_run(net, starts, 180_000, 20_000, recipe.dt)
    for name, value in recipe.score(run, reference).items():
        print(f"{name:32s} {value:10.4f}")
    save(options.out / f"{options.system}.npz", net, run.z[0], recipe.dt)


if __name__ == "__main__":
    main()

"""The 3-bit flip-flop, from the equation to a trained network to its 8 memories.

    python examples/flip_flop.py                          trains with retime, prints the numbers, writes docs/images/flip_flop_*.png
    python examples/flip_flop.py --framework pytorch      the same with PyTorch: the network goes through flip_flop.pt
    python examples/flip_flop.py --framework keras        the same with Keras 3 on JAX: through flip_flop.keras
    python examples/flip_flop.py --out FOLDER --updates 50

100 tanh units, 250 updates: less than a minute of processor time. docs/guides/flip_flop.md explains every step.
"""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import retime as rt
from retime.learn import FlipFlop

UNITS, BATCH, RATE = 100, 64, 3e-4
CORNERS = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))


def start(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W, U and B before training: a group of units for each bit excites itself and reads its own input, beside small random weights."""
    G = np.zeros((UNITS, 3))
    G[np.arange(UNITS), np.arange(UNITS) % 3] = rng.choice([-1.0, 1.0], size=UNITS)
    G /= np.linalg.norm(G, axis=0)
    W = G @ G.T + 0.1 * rng.normal(size=(UNITS, UNITS)) / np.sqrt(UNITS)
    return W, G + 0.1 * rng.normal(size=(UNITS, 3)), 1.2 * np.sqrt(3 / UNITS) * G.T


def with_retime(task: FlipFlop, updates: int, seed: int, folder: Path) -> tuple[Any, np.ndarray]:
    """h_{k+1} = tanh(W h_k + U x_k + b), trained by `retime.train`; the network, and W before training."""
    fit = rt.train(task, family="tanh_rnn", num_states=UNITS, updates=updates, batch_size=BATCH, seed=seed)
    rt.save(fit.model, folder / "flip_flop.npz")
    return rt.load(folder / "flip_flop.npz"), fit.initial.W_rec


def with_pytorch(task: FlipFlop, updates: int, seed: int, folder: Path) -> tuple[Any, np.ndarray]:
    """The same with `nn.RNN` and `nn.Linear`."""
    import torch

    net = torch.nn.ModuleDict({"rnn": torch.nn.RNN(3, UNITS, batch_first=True), "readout": torch.nn.Linear(UNITS, 3)})
    W, U, B = start(np.random.default_rng(seed))
    values = {"rnn.weight_hh_l0": W, "rnn.weight_ih_l0": U, "readout.weight": B}
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(torch.tensor(values.get(name, np.zeros(parameter.shape))))
    adam = torch.optim.Adam(net.parameters(), lr=RATE)
    for k in range(updates):
        inputs, targets, mask = (torch.tensor(a, dtype=torch.float32) for a in task.batch(BATCH, [seed, k]))
        outputs = net["readout"](net["rnn"](inputs)[0])
        loss = (mask * (outputs - targets) ** 2).sum() / mask.sum()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
    torch.save(net.state_dict(), folder / "flip_flop.pt")
    return rt.load(folder / "flip_flop.pt"), W


def with_keras(task: FlipFlop, updates: int, seed: int, folder: Path) -> tuple[Any, np.ndarray]:
    """The same with `SimpleRNN` and `Dense`; the mask goes as sample weights."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    layers = [keras.layers.SimpleRNN(UNITS, return_sequences=True), keras.layers.Dense(3)]
    net = keras.Sequential([keras.Input((task.steps, 3)), *layers])
    W, U, B = start(np.random.default_rng(seed))
    layers[0].set_weights([U.T, W.T, np.zeros(UNITS)])  # Keras multiplies from the right
    layers[1].set_weights([B.T, np.zeros(3)])

    def masked(wanted: Any, outputs: Any) -> Any:
        targets, mask = wanted[..., :3], wanted[..., 3:]
        return keras.ops.sum(mask * (outputs - targets) ** 2) / keras.ops.sum(mask)

    net.compile(keras.optimizers.Adam(RATE, global_clipnorm=1.0), loss=masked)
    for k in range(updates):
        inputs, targets, mask = task.batch(BATCH, [seed, k])
        net.train_on_batch(inputs, np.concatenate([targets, mask], axis=2))
    net.save(folder / "flip_flop.keras")
    return rt.load(folder / "flip_flop.keras"), W


def memories(model: Any) -> tuple[Any, np.ndarray]:
    """Fixed points without input, and the index of the stable one whose outputs are nearest to each corner, -1 beyond 0.1."""
    points = rt.find_fixed_points(model)
    outputs = model.outputs(points.points)
    distance = np.abs(outputs[:, None] - CORNERS).max(axis=2)
    distance[~points.stable] = np.inf
    nearest = distance.argmin(axis=0)
    return points, np.where(distance.min(axis=0) <= 0.1, nearest, -1)


def pulsed(model: Any, state: np.ndarray, bit: int, height: float, steps: int = 60, pulse: int = 20) -> Any:
    """The orbit from a state while one input has a pulse."""
    inputs = np.zeros((steps, 3))
    inputs[5 : 5 + pulse, bit] = height
    return rt.simulate(model, state, steps=steps, inputs=inputs)


def draw(model: Any, before: np.ndarray, task: FlipFlop, points: Any, held: np.ndarray, out: Path) -> None:
    """The pictures of the page."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    rt.plots.trial(model, task, seed=3, ax=axes[0])
    orbit = rt.simulate(model, np.zeros(UNITS), steps=task.steps, inputs=task.batch(1, 3).inputs[0])
    groups = np.lexsort((np.sign(model.readout.B).sum(axis=0), np.abs(model.readout.B).argmax(axis=0)))
    rt.plots.population(orbit, order=groups, ax=axes[1])
    figure.savefig(out / "flip_flop_activity.png", dpi=110)

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained")
    rt.plots.weight_spectrum(model, before=before, ax=axes[0])
    rt.plots.connectivity(model.W_rec[np.ix_(groups, groups)], ax=axes[1])
    rt.plots.weights(model, before=before, ax=axes[2])
    figure.savefig(out / "flip_flop_weights.png", dpi=110)

    if (held < 0).any():
        print("Not all corners are held, so the cube is not drawn: train on.")
        return
    figure = plt.figure(figsize=(12, 5), layout="constrained")
    cube(figure.add_subplot(1, 2, 1, projection="3d"), model, points, held)
    pulses(figure.add_subplot(1, 2, 2), model, points.points[held])
    figure.savefig(out / "flip_flop_cube.png", dpi=110)


def cube(ax: Any, model: Any, points: Any, held: np.ndarray) -> None:
    """The memories in their three principal components, and the ways between them that pulses of one bit take."""
    stored = points.points[held]
    mean = stored.mean(axis=0)
    axes = np.linalg.svd(stored - mean, full_matrices=False)[2][:3]
    for a, corner in enumerate(CORNERS):
        for bit in range(3):
            path = (pulsed(model, stored[a], bit, -corner[bit]).states - mean) @ axes.T
            ax.plot(*path.T, lw=1.0, color=f"C{bit}", label=f"pulse of bit {bit}" if a == 0 else None)
    at = (stored - mean) @ axes.T
    ax.plot(*at.T, "o", ms=7, color="k", label="memory")
    rest = points.points[~points.stable]
    ax.plot(*((rest - mean) @ axes.T).T, "x", ms=5, color="0.5", label="saddle")
    for a, corner in enumerate(CORNERS):
        ax.text(*(1.3 * at[a]), "".join("+" if c > 0 else "-" for c in corner), ha="center")
    ax.set(xlabel="component 1", ylabel="component 2", zlabel="component 3", xticks=[], yticks=[], zticks=[])
    ax.legend(loc="upper left", fontsize="small", frameon=False)


def pulses(ax: Any, model: Any, stored: np.ndarray) -> None:
    """What pulses of several heights and lengths do to one bit of the memory (-1, -1, -1)."""
    for height, pulse in ((1.0, 20), (1.0, 5), (0.5, 20), (0.2, 20)):
        path = pulsed(model, stored[0], 0, height, 100, pulse)
        ax.plot(model.outputs(path.states)[:, 0], lw=1.4, label=f"height {height:g}, {pulse} steps")
    ax.axhline(0.0, lw=0.6, color="0.8", zorder=0)
    ax.set(xlabel="step", ylabel="output 0", title="pulses that begin at step 5")
    ax.legend(fontsize="small", frameon=False)


FRAMEWORKS = {"retime": with_retime, "pytorch": with_pytorch, "keras": with_keras}


def main() -> None:
    """Train, load, find the memories, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", choices=FRAMEWORKS, default="retime")
    parser.add_argument("--updates", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "images")
    parser.add_argument("--weights", type=Path, default=Path("."), help="folder for the trained network")
    options = parser.parse_args()
    task = FlipFlop(num_bits=3)
    model, before = FRAMEWORKS[options.framework](task, options.updates, options.seed, options.weights)
    print(model)
    points, held = memories(model)
    print("outputs of the 8 memories:")
    for corner, index in zip(CORNERS, held, strict=True):
        found = "not held" if index < 0 else " ".join(f"{x:+.3f}" for x in model.outputs(points.points[index]))
        print(" ", " ".join(f"{x:+.0f}" for x in corner), " ", found)
    print(
        f"{len(points)} fixed points, {int(np.sum(points.stable))} stable, {len(set(held[held >= 0]))} of them at corners"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    draw(model, before, task, points, held, options.out)


if __name__ == "__main__":
    main()

"""Trained networks: their weights, what they answer, what their units do."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from retime.core.arrays import Array
from retime.core.errors import ShapeError
from retime.plots.style import legend, new_axes

LINES = 6  # outputs that are drawn
BEFORE, AFTER = "0.6", "C0"


def connectivity(model: Any, *, ax: Axes | None = None) -> Axes:
    """The recurrent weights as an image: the weight from unit j to unit i in column j and row i, red above zero and blue below.

    Args:
        model: with recurrent weights `W_rec` or `W`, or a matrix. ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        TypeError: the model has no matrix of recurrent weights.
    """
    ax, W = new_axes(ax), _recurrent(model)
    largest = float(np.abs(W).max()) or 1.0
    image = ax.imshow(W, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest", aspect="auto")
    ax.figure.colorbar(image, ax=ax, label="weight")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.set(xlabel="from unit", ylabel="to unit")
    return ax


def weights(model: Any, *, before: Any = None, ax: Axes | None = None) -> Axes:
    """How the recurrent weights are distributed, with their mean and standard deviation, and those from before training.

    Args:
        model: with recurrent weights `W_rec` or `W`, or a matrix. before: the same before training; None for nothing to compare with.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        TypeError: the model has no matrix of recurrent weights.
    """
    ax, both = new_axes(ax), _both(model, before)
    edges = np.histogram_bin_edges(np.concatenate([W.ravel() for _, W, _ in both]), bins=60)
    for name, W, color in both:
        label = f"{name}mean {W.mean():.2g}, s.d. {W.std():.2g}"
        ax.hist(
            W.ravel(), list(edges), histtype="stepfilled", color=color, ec=color, alpha=0.6, density=True, label=label
        )
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
    ax.set(xlabel="weight", ylabel="density")
    legend(ax)
    return ax


def weight_spectrum(model: Any, *, before: Any = None, ax: Axes | None = None) -> Axes:
    """Eigenvalues of the recurrent weights with the unit circle, and those from before training.

    Around the state 0 of a tanh map they are its multipliers: those beyond the circle are directions in which it leaves the origin.

    Args:
        model: with recurrent weights `W_rec` or `W`, or a matrix. before: the same before training; None for nothing to compare with.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        TypeError: the model has no matrix of recurrent weights. ShapeError: it is not square.
    """
    both = _both(model, before)
    for _, W, _ in both:
        if W.shape[0] != W.shape[1]:
            raise ShapeError(
                f"the recurrent weights have shape {W.shape}; eigenvalues need a square matrix, and gates are stacked."
            )
    ax = new_axes(ax)
    ax.add_patch(Circle((0.0, 0.0), 1.0, fill=False, lw=0.8, ec="0.5", zorder=0))
    for name, W, color in both:
        w = np.linalg.eigvals(W)
        ax.plot(
            w.real, w.imag, "o", ms=4, color=color, label=f"{name}{np.sum(np.abs(w) > 1)} of {len(w)} beyond the circle"
        )
    ax.axhline(0.0, lw=0.4, color="0.8", zorder=0)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xlabel=r"Re $\lambda$", ylabel=r"Im $\lambda$")
    legend(ax)
    return ax


def trial(model: Any, task: Any, *, seed: int = 0, ax: Axes | None = None) -> Axes:
    """One trial: inputs, targets where they count, and what the network answers, one row per output.

    Args:
        model: a map with the task's inputs and outputs, started at zero. task: with `batch(num, seed)`. seed: of the trial.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ShapeError: the model has other inputs or outputs than the task.
    """
    inputs, targets, mask = (np.asarray(x)[0] for x in task.batch(1, seed))
    if (model.num_inputs, model.num_outputs) != (inputs.shape[1], targets.shape[1]):
        raise ShapeError(
            f"`model` has {model.num_inputs} inputs and {model.num_outputs} outputs; the task {inputs.shape[1]} and {targets.shape[1]}."
        )
    z, answers = np.zeros(model.num_states), []
    for s in inputs:
        z = model.step(z, s)
        answers.append(model.outputs(z))
    mask = np.broadcast_to(mask[:, None] if mask.ndim == 1 else mask, targets.shape)
    ax, found = new_axes(ax), np.array(answers)
    rows = min(targets.shape[1], LINES)
    size = 2.6 * max(float(np.abs(np.concatenate([inputs, targets, found])).max()), 1e-9)
    for k in range(rows):
        level = -k * size
        if inputs.shape[1] == targets.shape[1]:
            ax.plot(level + inputs[:, k], lw=0.6, color="0.7", label="input" if k == 0 else None)
        ax.plot(level + found[:, k], lw=1.2, color="C0", label="output" if k == 0 else None)
        wanted = np.where(mask[:, k] > 0, targets[:, k], np.nan)
        marker = "o" if (mask[:, k] > 0).sum() < 3 else None
        ax.plot(level + wanted, lw=1.6, ls="--", marker=marker, ms=4, color="C1", label="target" if k == 0 else None)
    ax.set_yticks([-k * size for k in range(rows)], [f"output {k}" for k in range(rows)])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("step")
    legend(ax)
    return ax


def population(trajectory: Any, *, order: Any = None, ax: Axes | None = None) -> Axes:
    """The states of all units over time as an image, a row per unit.

    Args:
        trajectory: of one orbit, from `simulate`. order: units from top to bottom, `(n,)`; None as they are numbered.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ShapeError: a batch of orbits.
    """
    states, times = np.asarray(trajectory.states), np.asarray(trajectory.times)
    if states.ndim != 2:
        raise ShapeError(f"`trajectory` holds states {states.shape}; draw one orbit at a time.")
    shown = states.T if order is None else states.T[np.asarray(order)]
    largest, ax = float(np.abs(shown).max()) or 1.0, new_axes(ax)
    extent = (float(times[0]), float(times[-1]), len(shown) - 0.5, -0.5)
    image = ax.imshow(
        shown, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest", aspect="auto", extent=extent
    )
    ax.figure.colorbar(image, ax=ax, label="state")
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.set(xlabel="time", ylabel="unit" if order is None else "unit, ordered")
    return ax


def _recurrent(model: Any) -> Array:
    """W of a model, or the matrix itself."""
    W = model if isinstance(model, np.ndarray) else getattr(model, "W_rec", getattr(model, "W", None))
    W = np.asarray(W) if W is not None else np.zeros(0)
    if W.ndim != 2:
        raise TypeError(f"{type(model).__name__} has no matrix of recurrent weights, `W_rec` or `W`; pass one.")
    return W


def _both(model: Any, before: Any) -> list[tuple[str, Array, str]]:
    if before is None:
        return [("", _recurrent(model), AFTER)]
    return [("before: ", _recurrent(before), BEFORE), ("after: ", _recurrent(model), AFTER)]

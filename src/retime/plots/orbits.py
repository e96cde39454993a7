"""Orbits and errors over time, in state space and in the plane; the stability regions of methods."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from retime.analysis.compare import Comparison
from retime.convert import StabilityRegion
from retime.core.arrays import Array
from retime.core.time import Continuous
from retime.core.trajectory import Trajectory


def time_series(
    trajectory: Trajectory,
    *,
    samples: Trajectory | None = None,
    units: Any = None,
    outputs: bool = False,
    switches: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """States (or outputs) over time as lines; a second trajectory as dots on top.

    Args:
        trajectory: the line, e.g. a flow; one initial state.
        samples: drawn as dots in the same colors, e.g. the map's orbit.
        units: indices to draw; None for the first three.
        outputs: draw the readout's outputs instead of states.
        switches: mark the times of region changes by thin vertical lines.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: a batch, an index that does not exist, or no outputs.
    """
    ax = _axes(ax)
    values = _values(trajectory, outputs)
    chosen = _chosen(units, values.shape[1], 3)
    symbol = "x" if outputs else "z"
    for i in chosen:
        (line,) = ax.plot(trajectory.times, values[:, i], label=f"${symbol}_{{{i + 1}}}$")
        if samples is not None:
            dots = _values(samples, outputs)
            ax.plot(samples.times, dots[:, i], "o", ms=3.5, mfc="none", color=line.get_color())
    if switches:
        for t in trajectory.switch_times:
            ax.axvline(t, lw=0.4, alpha=0.4, color="0.5", zorder=0)
    ax.set_xlabel("time")
    ax.set_ylabel("output" if outputs else "state")
    ax.legend(frameon=False, loc="upper right")
    return ax


def phase_plane(
    model: Any,
    *,
    trajectory: Trajectory | None = None,
    samples: Trajectory | None = None,
    units: tuple[int, int] = (0, 1),
    at: Any = None,
    inputs: Any = None,
    extent: tuple[float, float, float, float] | None = None,
    grid: int = 25,
    ax: Axes | None = None,
) -> Axes:
    """The flow field in the plane of two units, region boundaries, and orbits.

    Args:
        model: a system in continuous time: a converted flow (its state-switched field), a network, a vector field.
        trajectory: drawn as a line. samples: drawn as dots.
        units: the two states of the plane.
        at: the other states `(n,)` that fix the plane; None takes the mean of the trajectory, else zero.
        inputs: the input `(m,)` at which the field is drawn; None for zero.
        extent: x0, x1, y0, y1; None fits the trajectory with a margin, else +-3.
        grid: arrows per side.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        TypeError: the model is a map (it has no field: convert it first). ValueError: units that do not exist.
    """
    if not isinstance(getattr(model, "time", None), Continuous):
        raise TypeError(f"{type(model).__name__} is a map and has no field; pass `to_continuous(model).model`.")
    ax = _axes(ax)
    i, j = _chosen(units, model.num_states, 2)
    shown = trajectory if trajectory is not None else samples
    base = _base(model, at, shown)
    x0, x1, y0, y1 = extent or _extent(shown, i, j)
    X, Y = np.meshgrid(np.linspace(x0, x1, grid), np.linspace(y0, y1, grid))
    states = _plane(base, i, j, X, Y)
    field = model.field(states, None if inputs is None else np.asarray(inputs, dtype=float))
    u, v = field[..., i], field[..., j]
    speed = np.hypot(u, v)
    unit = np.where(speed > 0, speed, 1.0)
    ax.quiver(
        X, Y, u / unit, v / unit, speed, cmap="Greys", pivot="mid", alpha=0.7, norm=_half_range(speed), width=0.0025
    )
    if hasattr(model, "canonical"):
        _boundaries(ax, model, base, i, j, (x0, x1, y0, y1), inputs)
    if trajectory is not None:
        ax.plot(trajectory.states[:, i], trajectory.states[:, j], lw=1.6)
    if samples is not None:
        ax.plot(samples.states[:, i], samples.states[:, j], "o", ms=3, mfc="none")
    ax.set(xlabel=f"$z_{{{i + 1}}}$", ylabel=f"$z_{{{j + 1}}}$", xlim=(x0, x1), ylim=(y0, y1))
    return ax


def state_space(
    trajectory: Trajectory,
    *,
    samples: Trajectory | None = None,
    units: Any = None,
    outputs: bool = False,
    ax: Any = None,
) -> Any:
    """Two or three states (or outputs) against each other; a second trajectory as dots.

    Args:
        trajectory: the line. samples: the dots.
        units: two or three indices; None for the first three (two where there are only two).
        outputs: draw the readout's outputs instead of states.
        ax: where to draw (a 3-d Axes for three); None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: a batch, indices that do not exist, or no outputs.
    """
    values = _values(trajectory, outputs)
    chosen = _chosen(units, values.shape[1], 3)
    if ax is None:
        ax = plt.figure().add_subplot(projection="3d" if len(chosen) == 3 else None)
    ax.plot(*(values[:, k] for k in chosen), lw=0.8)
    if samples is not None:
        dots = _values(samples, outputs)
        ax.plot(*(dots[:, k] for k in chosen), "o", ms=2, mfc="none")
    symbol = "x" if outputs else "z"
    for name, k in zip("xyz", chosen, strict=False):
        getattr(ax, f"set_{name}label")(f"${symbol}_{{{k + 1}}}$")
    return ax


def errors(*comparisons: Comparison, ax: Axes | None = None) -> Axes:
    """One-step error (dots) and orbit error (line) over steps, logarithmic; several comparisons together.

    Raises:
        ValueError: no comparison given.
    """
    if not comparisons:
        raise ValueError("Give at least one Comparison.")
    ax = _axes(ax)
    for c in comparisons:
        k = np.arange(1, len(c.orbit_error) + 1)
        label = c.switching or "flow"
        (line,) = ax.semilogy(k, _positive(c.orbit_error), label=f"{label}: orbit")
        ax.semilogy(
            k, _positive(c.one_step_error), ".", ms=2, alpha=0.6, color=line.get_color(), label=f"{label}: one step"
        )
        if np.isnan(c.orbit_error).any():
            end = int(np.argmax(np.isnan(c.orbit_error)))
            ax.axvline(end, color=line.get_color(), ls=":", lw=1, label=f"{label}: ended at step {end} ({c.status})")
    ax.set(xlabel="step", ylabel="largest error over units")
    ax.legend(frameon=False)
    return ax


def stability_region(
    *regions: StabilityRegion, extent: tuple[float, float, float, float] | None = None, ax: Axes | None = None
) -> Axes:
    """Boundaries of stability regions in the plane of z = dt lambda; inside, a mode does not grow. One region is filled.

    Args:
        regions: results of `retime.stability_region`.
        extent: x0, x1, y0, y1; None takes (-5, 2, -4, 4).
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: no region given.
    """
    if not regions:
        raise ValueError("Give at least one StabilityRegion, e.g. stability_region(RungeKutta(RK4)).")
    ax = _axes(ax)
    x0, x1, y0, y1 = extent or (-5.0, 2.0, -4.0, 4.0)
    X, Y = np.meshgrid(np.linspace(x0, x1, 401), np.linspace(y0, y1, 401))
    for k, region in enumerate(regions):
        factor = np.minimum(region.factor(X + 1j * Y), 1e6)
        if len(regions) == 1:
            ax.contourf(X, Y, factor, levels=[0.0, 1.0], colors=[f"C{k}"], alpha=0.25)
        ax.contour(X, Y, factor, levels=[1.0], colors=[f"C{k}"])
        ax.plot([], [], color=f"C{k}", label=repr(region.method))
    ax.axhline(0.0, lw=0.5, color="0.5")
    ax.axvline(0.0, lw=0.5, color="0.5")
    ax.set(xlabel=r"Re $dt\,\lambda$", ylabel=r"Im $dt\,\lambda$", aspect="equal")
    ax.legend(frameon=False, loc="upper right")
    return ax


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def _values(trajectory: Trajectory, outputs: bool) -> Array:
    if trajectory.is_batch:
        raise ValueError("The trajectory is a batch; draw its members one by one: simulate one initial state.")
    if outputs and trajectory.outputs is None:
        raise ValueError("The model has no readout, so there are no outputs to draw; leave out `outputs`.")
    values = trajectory.outputs if outputs else trajectory.states
    return np.asarray(values)


def _chosen(units: Any, count: int, most: int) -> list[int]:
    chosen = list(range(min(count, most))) if units is None else [int(k) for k in units]
    if any(not 0 <= k < count for k in chosen):
        raise ValueError(f"`units` is {chosen}; indices run from 0 to {count - 1}.")
    return chosen


def _base(model: Any, at: Any, trajectory: Trajectory | None) -> Array:
    if at is not None:
        return np.asarray(at, dtype=float)
    if trajectory is not None:
        return np.nanmean(trajectory.states, axis=0)
    return np.zeros(model.num_states)


def _extent(trajectory: Trajectory | None, i: int, j: int) -> tuple[float, float, float, float]:
    if trajectory is None:
        return -3.0, 3.0, -3.0, 3.0
    low, high = np.nanmin(trajectory.states, axis=0), np.nanmax(trajectory.states, axis=0)
    pad = 0.15 * np.where(high > low, high - low, 1.0)
    return low[i] - pad[i], high[i] + pad[i], low[j] - pad[j], high[j] + pad[j]


def _plane(base: Array, i: int, j: int, X: Array, Y: Array) -> Array:
    states = np.broadcast_to(base, (*X.shape, len(base))).copy()
    states[..., i], states[..., j] = X, Y
    return states


def _boundaries(ax: Axes, model: Any, base: Array, i: int, j: int, extent: tuple, inputs: Any) -> None:
    """Lines on which a unit's preactivation is zero in this plane."""
    x0, x1, y0, y1 = extent
    X, Y = np.meshgrid(np.linspace(x0, x1, 200), np.linspace(y0, y1, 200))
    g = model.canonical.preactivation(_plane(base, i, j, X, Y), inputs)
    for k in range(g.shape[-1]):
        if g[..., k].min() < 0 < g[..., k].max():
            ax.contour(X, Y, g[..., k], levels=[0.0], colors="tab:red", linewidths=0.7, linestyles="dashed")


def _half_range(speed: Array) -> Any:
    """Gray from the middle of the scale upwards, so that slow arrows stay visible."""
    from matplotlib.colors import Normalize

    top = float(speed.max()) or 1.0
    return Normalize(-top, top)


def _positive(values: Array) -> Array:
    return np.where(values > 0, values, np.nan)

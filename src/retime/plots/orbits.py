"""Orbits and errors over time, in state space and in the plane; the stability regions of methods."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from retime.analysis.comparison.orbits import Comparison
from retime.convert import StabilityRegion
from retime.core.arguments import system
from retime.core.arrays import Array
from retime.core.states import one_state
from retime.core.time import CONTINUOUS
from retime.core.trajectory import Trajectory
from retime.plots.coordinates import components, coordinates, in_view, leaving, of_trajectory, slice_name
from retime.plots.space import Space, room
from retime.plots.style import grays, ink, legend, new_axes


def time_series(
    trajectory: Trajectory,
    *,
    samples: Trajectory | None = None,
    units: Any = None,
    outputs: bool | None = None,
    switches: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Outputs over time as lines, or without a readout states; a second trajectory as dots on top.

    Args:
        trajectory: the line, e.g. a flow; one initial state.
        samples: drawn as dots in the same colors, e.g. the map's orbit. Of an orbit that diverges the part before it does so is drawn.
        units: indices of states to draw (of outputs with `outputs=True`); None for the first three outputs, without a readout for up to
            three states, or the first three principal components of the orbit, with their shares of the variance.
        outputs: True: the readout's outputs; False: never; None for the choice above.
        switches: mark the times of region changes by thin vertical lines.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: a batch, an index that does not exist, or no outputs.
    """
    ax = new_axes(ax)
    whole, trajectory, samples = trajectory, in_view(trajectory), None if samples is None else in_view(samples)
    shown = of_trajectory(trajectory, most=3, units=units, outputs=outputs, least=1)
    values = shown.along(trajectory)
    dots = None if samples is None else shown.along(samples)
    for i, label in enumerate(shown.labels):
        (line,) = ax.plot(trajectory.times, values[:, i], label=label.removeprefix("output ").removeprefix("state "))
        if samples is not None and dots is not None:
            ax.plot(samples.times, dots[:, i], "o", ms=3.5, mfc="none", color=line.get_color())
    if switches:
        for t in trajectory.switch_times:
            ax.axvline(t, lw=0.4, alpha=0.4, color="0.5", zorder=0)
    kind = (
        "output" if shown.shown is not None else "principal component" if shown.labels[0].startswith("PC") else "state"
    )
    ax.set(xlabel="time", ylabel=kind)
    if words := leaving(trajectory, whole):
        ax.set_title(words, fontsize="medium")
    legend(ax)
    return ax


def phase_plane(
    model: Any,
    *,
    trajectory: Trajectory | None = None,
    samples: Trajectory | None = None,
    units: tuple[int, int] | None = None,
    at: Any = None,
    inputs: Any = None,
    extent: tuple[float, float, float, float] | None = None,
    grid: int = 25,
    ax: Axes | None = None,
) -> Axes:
    """The flow field in a plane of states, region boundaries (dashed), and orbits, projected onto the plane.

    Where there are more than two states, the title names the plane: the field and the boundaries are those on it.

    Args:
        model: a system in continuous time: a converted flow (its state-switched field), a network, a vector field.
        trajectory: drawn as a line. samples: drawn as dots.
        units: the two states of the plane; None for the first two of two or three, else the two principal components of the trajectory
            (or samples), with their shares of the variance.
        at: the state `(n,)` the plane goes through (or a point of a result); None takes the mean of the trajectory, else zero.
        inputs: the input `(m,)` at which the field is drawn; None for zero.
        extent: x0, x1, y0, y1; None fits the trajectory with a margin, else +-3.
        grid: arrows per side.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        TypeError: the model is a map (it has no field: convert it first). ValueError: units that do not exist.
    """
    model = system("phase_plane", model)
    if model.time != CONTINUOUS:
        raise TypeError(f"{type(model).__name__} is a map and has no field; pass `to_continuous(model).model`.")
    ax = new_axes(ax)
    trajectory, samples = (None if path is None else in_view(path) for path in (trajectory, samples))
    orbit = trajectory if trajectory is not None else samples
    n = model.num_states
    found = components(orbit.states, 2) if units is None and n > 3 and orbit is not None else None
    shown = found if found is not None and len(found) == 2 else coordinates(n, most=2, units=units, outputs=False)
    if len(shown) != 2:
        raise ValueError(f"`units` has {len(shown)} entries; a plane has two.")
    base = _base(model, at, orbit)
    axes = np.asarray(shown.axes)
    origin = base - axes @ shown.of(base[None])[0]
    x0, x1, y0, y1 = extent or _extent(None if orbit is None else shown.along(orbit))
    X, Y = np.meshgrid(np.linspace(x0, x1, grid), np.linspace(y0, y1, grid))
    s = None if inputs is None else np.asarray(inputs, dtype=float)
    u, v = np.moveaxis(model.field(_plane(origin, axes, X, Y), s) @ axes, -1, 0)
    speed = np.hypot(u, v)
    unit = np.where(speed > 0, speed, 1.0)
    style = {
        "cmap": grays(ax),
        "pivot": "mid",
        "alpha": 0.8,
        "width": 0.0025,
        "norm": Normalize(0.0, speed.max() or 1.0),
    }
    ax.quiver(X, Y, u / unit, v / unit, speed, **style)
    if hasattr(model, "canonical"):
        _boundaries(ax, model, origin, axes, (x0, x1, y0, y1), inputs)
    if trajectory is not None:
        ax.plot(*shown.along(trajectory).T, lw=1.6)
    if samples is not None:
        ax.plot(*shown.along(samples).T, "o", ms=3, mfc="none")
    what = "the state given" if at is not None else "zero" if orbit is None else "the orbit's mean"
    ax.set_title(slice_name(base, axes, what), fontsize="medium")
    ax.set(xlabel=shown.labels[0], ylabel=shown.labels[1], xlim=(x0, x1), ylim=(y0, y1))
    return ax


def state_space(
    trajectory: Trajectory,
    *,
    samples: Trajectory | None = None,
    units: Any = None,
    outputs: bool | None = None,
    ax: Any = None,
) -> Any:
    """Two or three outputs (or states) against each other; a second trajectory as dots.

    Args:
        trajectory: the line. samples: the dots.
        units: two or three indices of states (of outputs with `outputs=True`); None for the outputs of a readout with two or more, without
            one for up to three states, or the principal components of the orbit, with their shares of the variance.
        outputs: True: the readout's outputs; False: never; None for the choice above.
        ax: where to draw (a 3-d Axes for three); None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: a batch, indices that do not exist, or no outputs.
    """
    whole, trajectory, samples = trajectory, in_view(trajectory), None if samples is None else in_view(samples)
    shown = of_trajectory(trajectory, most=room(ax), units=units, outputs=outputs)
    space = Space(ax, shown)
    space.line(shown.along(trajectory), lw=0.8)
    if samples is not None:
        space.line(shown.along(samples), ls="none", marker="o", ms=2, mfc="none")
    space.finish()
    if words := leaving(trajectory, whole):
        space.ax.set_title(words, fontsize="medium")
    return space.ax


def errors(*comparisons: Comparison, ax: Axes | None = None) -> Axes:
    """One-step error (dots) and orbit error (line) over steps, logarithmic; several comparisons together.

    Raises:
        ValueError: no comparison given.
    """
    if not comparisons:
        raise ValueError("Give at least one Comparison.")
    ax = new_axes(ax)
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
    legend(ax)
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
    ax = new_axes(ax)
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
    legend(ax)
    return ax


def _base(model: Any, at: Any, trajectory: Trajectory | None) -> Array:
    if at is not None:
        return np.asarray(one_state(at), dtype=float)
    if trajectory is not None:
        return np.nanmean(trajectory.states, axis=0)
    return np.zeros(model.num_states)


def _extent(values: Array | None) -> tuple[float, float, float, float]:
    """The range of coordinates `(T, 2)` with a margin."""
    if values is None:
        return -3.0, 3.0, -3.0, 3.0
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    pad = 0.15 * np.where(high > low, high - low, 1.0)
    return low[0] - pad[0], high[0] + pad[0], low[1] - pad[1], high[1] + pad[1]


def _plane(origin: Array, axes: Array, X: Array, Y: Array) -> Array:
    """States `(..., n)` of a plane at coordinates X and Y."""
    return origin + X[..., None] * axes[:, 0] + Y[..., None] * axes[:, 1]


def _boundaries(ax: Axes, model: Any, origin: Array, axes: Array, extent: tuple, inputs: Any) -> None:
    """Lines on which a unit's preactivation is zero in this plane."""
    x0, x1, y0, y1 = extent
    X, Y = np.meshgrid(np.linspace(x0, x1, 200), np.linspace(y0, y1, 200))
    g = model.canonical.preactivation(_plane(origin, axes, X, Y), inputs)
    for k in range(g.shape[-1]):
        if g[..., k].min() < 0 < g[..., k].max():
            ax.contour(X, Y, g[..., k], levels=[0.0], colors=[ink()], alpha=0.7, linewidths=0.7, linestyles="dashed")


def _positive(values: Array) -> Array:
    return np.where(values > 0, values, np.nan)

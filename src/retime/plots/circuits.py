"""Circuits beside their models, and circuits whose components deviate."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from retime.circuits import Circuit
from retime.circuits.monte_carlo import MonteCarlo
from retime.circuits.runs import run_to_compare
from retime.core.arguments import whole
from retime.plots.orbits import time_series
from retime.plots.style import legend, new_axes
from retime.simulation import simulate

BAND = (0.05, 0.95)


def circuit(
    result: Circuit,
    *,
    z0: Any = None,
    times: Any = None,
    inputs: Any = None,
    backend: str = "kirchhoff",
    units: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """The states of a circuit over time as lines, those of the model that it was built from as dots.

    Args:
        result: from `to_circuit`.
        z0, times, inputs: as for `Circuit.simulate`; None: from a random state over 20 time constants, or 100 steps of a map.
        backend: what the circuit is run with. units: states to draw, see `time_series`.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError, ShapeError: arguments. SimulatorError: of the backend.
    """
    run = run_to_compare(result, z0, times, inputs)
    line = result.simulate(run.z0[0], run.times, inputs=inputs, backend=backend)
    step = result.original.time.step
    if step is not None:
        count = round((run.times[-1] - run.times[0]) / step)
        dots = simulate(result.original, run.z0[0], steps=count, inputs=inputs)
    else:
        dots = simulate(
            result.original,
            run.z0[0],
            times=run.times[:: max(1, len(run.times) // 40)],
            inputs=None if inputs is None else run.inputs,
        )
    return time_series(line, samples=dots, units=units, ax=ax)


def monte_carlo(result: MonteCarlo, *, unit: int | None = None, ax: Axes | None = None) -> Axes:
    """One state of all samples over time: the median, the band that holds 90 % of them, and each sample as a thin line.

    Samples that failed the check are drawn in the second color.

    Args:
        result: from `Circuit.monte_carlo`.
        unit: index of the state; None for the one that differs most among samples.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: no such state.
    """
    n = result.states.shape[2]
    if unit is not None and whole("unit", unit, 0) >= n:
        raise ValueError(f"`unit` is {unit}; it must be from 0 to {n - 1}, the states of the circuit.")
    k = int(np.argmax(result.states.std(axis=1).max(axis=0))) if unit is None else unit
    ax, values = new_axes(ax), result.states[:, :, k]
    for survived, color, word in ((True, "C0", "survived"), (False, "C1", "failed the check")):
        rows = values[:, result.survived == survived]
        if rows.size:
            ax.plot(result.times, rows, color=color, lw=0.5, alpha=max(0.05, min(0.5, 10 / result.num)))
            ax.plot([], [], color=color, lw=0.5, label=f"{rows.shape[1]} {word}")
    low, high = np.quantile(values, BAND, axis=1)
    ax.fill_between(result.times, low, high, color="C0", alpha=0.25, lw=0, label="90 % of the samples")
    ax.plot(result.times, np.median(values, axis=1), color="C0", lw=1.6, label="median")
    ax.set(xlabel="time", ylabel=f"state $z_{{{k + 1}}}$")
    ax.set_title(f"{result.num} circuits, tolerance {100 * result.tolerance:g} %", fontsize="medium")
    legend(ax)
    return ax

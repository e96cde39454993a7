"""Tasks and trainings."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from retime.plots.style import legend, new_axes

LINES = 6  # inputs and outputs that are drawn


def task(task: Any, *, seed: int = 0, ax: Axes | None = None) -> Axes:
    """One trial of a task: its inputs above, its targets below, thin where they do not count.

    Args:
        task: with `batch(num, seed)`, as those of `retime.learn`.
        seed: of the trial. ax: where to draw; None makes a new figure.

    Returns:
        the Axes.
    """
    ax = new_axes(ax)
    inputs, targets, mask = (np.asarray(x)[0] for x in task.batch(1, seed))
    mask = np.broadcast_to(mask[:, None] if mask.ndim == 1 else mask, targets.shape)
    names, level = [], 0.0
    for kind, rows in (("input", inputs), ("target", targets)):
        for k in range(min(rows.shape[1], LINES)):
            size = max(float(np.ptp(rows[:, k])), 1e-9)
            line = (rows[:, k] - rows[:, k].min()) / size * 0.8 + level
            color = f"C{k}"
            if kind == "target":
                ax.plot(line, lw=0.6, color=color, alpha=0.6)
                line = np.where(mask[:, k] > 0, line, np.nan)
                isolated = (mask[:, k] > 0).sum() < 3
                ax.plot(line, lw=1.6, color=color, marker="o" if isolated else None, ms=3)
            else:
                ax.plot(line, lw=0.8, color=color)
            names.append((level + 0.4, f"{kind} {k}"))
            level -= 1.0
    ax.set_yticks([y for y, _ in names], [name for _, name in names])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("step")
    return ax


def training(fit: Any, *, ax: Axes | None = None) -> Axes:
    """Loss, and what was measured on held-out data, over the updates.

    Args:
        fit: from `train` or `fit`. ax: where to draw; None makes a new figure.

    Returns:
        the Axes.
    """
    ax = new_axes(ax)
    steps = np.array([record["step"] for record in fit.history])
    for name in (k for k in fit.history[0] if k not in ("step", "epoch", "score")):
        values = np.array([record[name] for record in fit.history], dtype=float)
        good = np.isfinite(values) & (values > 0)
        ax.plot(steps[good], values[good], ".-", lw=1.0, ms=3, label=name.replace("_", " "))
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.set_xlabel("updates")
    legend(ax)
    return ax

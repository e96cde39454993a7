"""How a cell treats small differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from retime.plots.style import legend, new_axes


def cell_stability(stability: Any, *, ax: Axes | None = None) -> Axes:
    """Largest and smallest singular value of the product of Jacobians along the orbit, and the bound's power, on a logarithmic scale.

    Args:
        stability: from `cell_stability`. ax: where to draw; None makes a new figure.

    Returns:
        the Axes.
    """
    ax = new_axes(ax)
    steps = np.arange(1, len(stability.gradient) + 1)
    high, low = np.maximum(stability.gradient, 1e-300).T
    ax.fill_between(steps, low, high, alpha=0.2, color="C0", lw=0)
    ax.plot(steps, high, color="C0", label="largest")
    ax.plot(steps, low, color="C0", ls="--", label="smallest")
    ax.axhline(1.0, color="0.5", lw=0.8)
    if stability.is_global and stability.bound > 0:
        ceiling = steps * np.log10(stability.bound)
        shown = np.abs(ceiling) < 300
        ax.plot(steps[shown], 10 ** ceiling[shown], color="C3", lw=1, label=f"bound everywhere ({stability.norm}-norm)")
    ax.set_yscale("log")
    floor, top = max(low.min(), 1e-16), max(high.max(), 10.0)
    ax.set_ylim(floor / 3, top * 3)
    ax.set_xlabel("steps")
    ax.set_ylabel("factor of a gradient")
    legend(ax)
    return ax

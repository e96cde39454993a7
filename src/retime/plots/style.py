"""What the pictures of analyses share: colors, limits of legends, names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

if TYPE_CHECKING:
    from retime.analysis.cycles import Cycle


STABLE, UNSTABLE = "C0", "C1"
COLORS = 10  # things told apart by the color cycle; more take a colormap
LEGEND = 12  # entries of a legend


def _colors(count: int) -> list[Any]:
    """Distinct colors: of the current cycle where it has enough, else of a colormap."""
    if count <= min(COLORS, len(plt.rcParams["axes.prop_cycle"])):
        return [f"C{k}" for k in range(count)]
    return list(plt.get_cmap("viridis")(np.linspace(0.0, 0.95, count)))


def _period(c: Cycle) -> str:
    return f"period {c.period:.6g}"

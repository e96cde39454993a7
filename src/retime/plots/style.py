"""What all pictures share: colors, legends off the data, room for tick labels, names. Nothing global is changed."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

STABLE, UNSTABLE = "C0", "C1"
COLORS = 10  # things told apart by the color cycle; more take a colormap
LEGEND = 12  # entries of a legend
COLUMNS = 6  # of a legend
WIDE = 4.5  # inches of an axes from which its legend stands at its right, else below it


def new_axes(ax: Axes | None) -> Axes:
    """The axes given, or those of a new figure."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def new_space(dimensions: int) -> Any:
    """The axes of a new figure for one, two or three coordinates."""
    figure = plt.figure(layout="constrained")
    return figure.add_subplot(projection="3d" if dimensions == 3 else None)


def ink() -> Any:
    """The color of text and edges in the current style: dark on light, light on dark."""
    return plt.rcParams["text.color"]


def grays(ax: Axes) -> LinearSegmentedColormap:
    """From a gray half way to the background up to the ink, on light and on dark axes."""
    paper, dark = np.array(to_rgb(ax.get_facecolor())), np.array(to_rgb(ink()))
    return LinearSegmentedColormap.from_list("ink", [0.55 * paper + 0.45 * dark, dark])


def color_list(count: int) -> list[Any]:
    """Distinct colors: of the current cycle where it has enough, else of a colormap."""
    if count <= min(COLORS, len(plt.rcParams["axes.prop_cycle"])):
        return [f"C{k}" for k in range(count)]
    return list(plt.get_cmap("viridis")(np.linspace(0.0, 0.95, count)))


def period_name(period: float) -> str:
    """The name of a cycle in a legend."""
    return f"period {period:.6g}"


def legend(ax: Any, **options: Any) -> Any:
    """A legend outside of the axes, so that it never lies on data: at the right of wide axes, else below, in as many columns as fit.

    Draw and label the axes first; nothing is done where nothing has a label.
    """
    if not ax.get_legend_handles_labels()[1] and "handles" not in options:
        return None
    style = {"frameon": False, "borderaxespad": 0.0, **options}
    width = ax.get_window_extent().width
    if width >= WIDE * ax.figure.dpi:
        return ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize="small", **style)
    place = ax.transAxes + ScaledTranslation(0.0, -_below(ax) / 72.0, ax.figure.dpi_scale_trans)
    count = len(options.get("handles") or ax.get_legend_handles_labels()[1])
    style |= {"handletextpad": 0.5, "columnspacing": 1.2, "loc": "upper center", "bbox_to_anchor": (0.5, 0.0)}
    for size, most in (("small", 3), ("x-small", count)):
        for columns in range(min(count, COLUMNS), 0, -1):
            made = ax.legend(bbox_transform=place, ncols=columns, fontsize=size, **style)
            if made.get_window_extent().width <= 1.15 * width and -(-count // columns) <= most:
                return made
    return ax.get_legend()


def _below(ax: Any) -> float:
    """Points that ticks, tick labels and label of the horizontal axis take."""
    if ax.name == "3d":
        return 10.0
    drop = 2.0
    if ax.xaxis.get_visible() and len(ax.get_xticks()):
        drop += 7.0 + ax.xaxis.get_ticklabels()[0].get_fontsize()
    if ax.get_xlabel():
        drop += 4.0 + 1.2 * ax.xaxis.label.get_fontsize()
    return drop


def roomy(ax: Any) -> None:
    """Few tick labels: in space none at the ends of an axis, where those of two axes meet; in narrow axes as many as fit."""
    if ax.name == "3d":
        for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
            axis.set_major_locator(MaxNLocator(4, prune="both"))
            axis.label.set_fontsize("small")
            axis.labelpad = -2.0
        ax.tick_params(labelsize="x-small", pad=-1.0)
        ax.set_box_aspect(None, zoom=0.85)

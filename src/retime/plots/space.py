"""Drawing in one, two or three coordinates with the same calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.patches import Polygon

from retime.core.arrays import Array
from retime.plots.coordinates import Coordinates
from retime.plots.style import legend, new_space, roomy


class Space:
    """Axes that take arrays of coordinates `(k, d)`; one coordinate is drawn on a horizontal line.

    Args:
        ax: where to draw; None makes a new figure. coordinates: what is drawn.

    Raises:
        ValueError: no, or more than three coordinates; a flat Axes for three.
    """

    def __init__(self, ax: Any, coordinates: Coordinates) -> None:
        self.coordinates, self.size = coordinates, len(coordinates)
        if not 1 <= self.size <= 3:
            raise ValueError(f"`units` has {self.size} entries; one, two or three can be drawn.")
        self.ax = new_space(self.size) if ax is None else ax
        if self.size == 3 and self.ax.name != "3d":
            raise ValueError(
                "`ax` is flat, but three coordinates are to be drawn; pass units=(i, j), or an Axes made with projection='3d'."
            )

    def _columns(self, values: Array) -> list[Array]:
        columns = list(np.asarray(values).T)
        return [*columns, np.zeros(len(values))] if self.size == 1 else columns

    def line(self, values: Array, **style: Any) -> Any:
        """A line through the rows; returns its color."""
        return self.ax.plot(*self._columns(values), **style)[0].get_color()

    def dots(
        self, values: Array, marker: str, color: Any, size: float, label: str, *, fill: Any = None, mew: float = 1.2
    ) -> None:
        """A marker at each row; nothing, and no legend entry, for none."""
        if len(values):
            style = {"ls": "none", "marker": marker, "ms": size, "color": color, "mew": mew, "label": label or None}
            self.ax.plot(*self._columns(values), mfc=color if fill is None else fill, zorder=4, **style)

    def mention(self, label: str) -> None:
        """An entry of the legend for something that is not drawn."""
        self.ax.plot(*[np.zeros(0)] * max(2, self.size), ls="none", label=label)

    def patch(self, corners: Array, **style: Any) -> None:
        """A filled polygon, in two or three coordinates."""
        if self.size == 3:
            from mpl_toolkits.mplot3d.art3d import Poly3DCollection

            self.ax.add_collection3d(Poly3DCollection([corners], **style))
        elif self.size == 2:
            self.ax.add_patch(Polygon(corners, closed=True, **style))

    def number(self, values: Array) -> None:
        """The index of each row beside its marker, on the side where no other row is."""
        z = np.column_stack(self._columns(values))
        width = np.ptp(z, axis=0)
        if self.size != 3:
            self.ax.margins(0.1)
        for k, x in enumerate(z):
            if self.size == 3:
                self.ax.text(*x, f"  {k}", fontsize="small", zorder=5)
                continue
            away = (x - np.delete(z, k, axis=0)) / np.where(width > 0, width, 1.0)
            near = away[np.argmin(np.abs(away).sum(axis=1))] if len(away) else np.ones(2)
            offset = np.where(near >= 0, 7.0, -7.0)
            across, along = "left" if offset[0] > 0 else "right", "bottom" if offset[1] > 0 else "top"
            self.ax.annotate(
                str(k), x, 0.6 * offset, textcoords="offset points", ha=across, va=along, fontsize="small", zorder=5
            )

    def finish(self) -> None:
        """Labels, room for tick labels, and the legend."""
        for name, label in zip("xyz", self.coordinates.labels, strict=False):
            getattr(self.ax, f"set_{name}label")(label)
        if self.size == 1:
            self.ax.axhline(0.0, lw=0.8, color="0.5", zorder=0)
            self.ax.yaxis.set_visible(False)
        roomy(self.ax)
        legend(self.ax)

    def background(self) -> Any:
        """The color that an open marker is filled with."""
        return self.ax.get_facecolor()


def room(ax: Any) -> int:
    """How many coordinates an axes has room for: three in space and in a new figure, two in a flat one."""
    return 3 if ax is None or getattr(ax, "name", "") == "3d" else 2

"""Tables of many runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from retime.core.arguments import is_number
from retime.plots.style import color_list, ink, legend, new_axes

MOST = 12  # groups that are told apart by colors
SPREAD = 0.3  # of the room of a category, over which its groups stand beside each other


def sweep(
    result: Any, *, y: str | None = None, x: str | None = None, by: str | None = None, ax: Axes | None = None
) -> Axes:
    """One number of every case over one of its arguments: a dot per case, a line or a bar at the median of each group.

    Cases that failed are crosses at the lower edge.

    Args:
        result: from `sweep`.
        y: a column of numbers; None for the first that the function returned, or the seconds.
        x: an argument; None for the first that was varied, or the seed. Numbers make an axis, other things stand beside each other.
        by: an argument whose values have colors of their own; None for the next that was varied.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: a name that the table does not hold.
    """
    ax = new_axes(ax)
    varied = [k for k in (*result.varied, *result.columns) if k not in (x, by)]
    y = _known("y", y, (*result.metrics, "seconds"))
    x = _known("x", x or (varied.pop(0) if varied else None), result.columns)
    others = [k for k in result.varied if k != x]
    by = _known("by", by, result.columns) if by else next(iter(others), None)
    values = {str(row.get(x)): row.get(x) for row in result.table}
    is_axis = all(is_number(v) for v in values.values())
    place = {k: v if is_axis else j for j, (k, v) in enumerate(values.items())}
    groups = [*dict.fromkeys(str(row.get(by)) for row in result.table)] if by else [""]
    colors = color_list(len(groups)) if len(groups) <= MOST else [ink()] * len(groups)
    for k, group in enumerate(groups):
        shift = 0.0 if is_axis or len(groups) == 1 else SPREAD * (2.0 * k / (len(groups) - 1) - 1.0)
        rows = [row for row in result.table if not by or str(row.get(by)) == group]
        _draw(ax, [(place[str(row.get(x))] + shift, row.get(y), row["status"]) for row in rows], colors[k], is_axis,
              f"{by} = {group}" if by and len(groups) <= MOST else None)  # fmt: skip
    if not is_axis:
        wide = sum(len(k) for k in place) > 40
        ax.set_xticks([*place.values()], [*place], rotation=30 if wide else 0, ha="right" if wide else "center")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    legend(ax)
    return ax


def _draw(ax: Axes, found: list[tuple[float, Any, str]], color: Any, is_axis: bool, label: str | None) -> None:
    points = np.array([(a, b) for a, b, _ in found if is_number(b) and np.isfinite(b)], dtype=float).reshape(-1, 2)
    ax.plot(*points.T, ".", color=color, alpha=0.5, ms=5)
    at = np.unique(points[:, 0])
    middle = [np.median(points[points[:, 0] == a, 1]) for a in at]
    ax.plot(at, middle, "-" if is_axis else "_", color=color, lw=1.2, ms=12, mew=2, label=label)
    failed = [a for a, _, status in found if status == "failed"]
    ax.plot(failed, [0.02] * len(failed), "x", color=ink(), ms=5, transform=ax.get_xaxis_transform(), clip_on=False)


def _known(argument: str, name: str | None, names: tuple[str, ...]) -> str:
    found = names[0] if name is None and names else name
    if found not in names:
        raise ValueError(
            f"`{argument}` is {name!r}; it must be a column of the table: {', '.join(names) or 'there is none'}."
        )
    return found

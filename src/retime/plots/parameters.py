"""What changes with parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from retime.core.arrays import Array
from retime.plots.coordinates import Coordinates, coordinates, known

if TYPE_CHECKING:
    from retime.analysis.branches.grid import StabilityMap
    from retime.analysis.branches.result import Branch, Event, Scan

from retime.plots.style import color_list, ink, legend, new_axes

EVENTS = {
    "border persistence": "|", "border fold": "<", "border flip": "v", "saddle-node": "o", "flip": "s", "Neimark-Sacker": "D", "Hopf": "D",
    "transcritical or pitchfork": "X", "degenerate": "*",
}  # fmt: skip
REACH = 1.0  # how far beyond what stays, in parts of its range, branches that leave are followed
_SPECIAL = {
    0: ("aperiodic\nor longer", "0.25"),
    -1: ("diverged", "0.85"),
    -2: ("not\ncomputed", "white"),
}  # of a period


def bifurcation_diagram(
    scan: Scan, *, unit: int | None = None, outputs: bool | None = None, ax: Axes | None = None
) -> Axes:
    """One coordinate of all branches over the parameter: solid where stable, dashed where not, one color per period.

    The vertical axis shows where the attractor and stable branches stay, and as much again on both sides: branches that go further leave
    the picture; an event outside of it is a dotted line at its value.

    Events are symbols by kind, samples of the attractor faint dots underneath. A line changes its style at the event between two values,
    or half way between them when none was located there.

    Args:
        scan: from `scan`.
        unit: the state that is drawn (the output with `outputs=True`); None: the first output, or without a readout the first of up to
            three states, or the first principal component of all points.
        outputs: True: an output; False: never; None for the choice above.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: a unit that does not exist, or a scan that found nothing.
    """
    if not scan.branches and scan.attractor is None:
        raise ValueError(
            f"The scan found no branch and has no attractor, so there is nothing to draw ({scan.message})."
        )
    n = scan.branches[0].points.shape[-1] if scan.branches else scan.attractor.shape[-1]  # type: ignore[union-attr]
    shown, ax = _coordinate(scan, n, unit, outputs), new_axes(ax)
    kept, every = [], []  # values that the axis has to show, and all that are drawn
    if scan.attractor is not None:
        over = np.repeat(scan.values, scan.attractor.shape[1])
        y = shown.of(scan.attractor.reshape(-1, n))[:, 0]
        kept.append(y)
        every.append(y)
        ax.plot(over, y, ".", ms=2.5, mew=0, color="0.5", alpha=0.5, zorder=1)
    periods = sorted({b.period for b in scan.branches})
    colors = dict(zip(periods, color_list(len(periods)), strict=True))
    for k, branch in enumerate(scan.branches):
        drawn = shown.of(branch.points.reshape(-1, n)).reshape(branch.points.shape[:2])
        for x, y, stable in _runs(branch, drawn, k, scan.events):
            kept += [y.ravel()] if stable else []
            every.append(y.ravel())
            ax.plot(x, y, "-" if stable else "--", lw=1.6 if stable else 0.9, color=colors[branch.period], zorder=2)
    for event in scan.events:
        y = shown.of(np.atleast_2d(event.point))[:, 0]
        marker = EVENTS.get(event.kind, "P")
        ax.plot(np.full(len(y), event.value), y, marker, ms=6, color=ink(), mfc=ax.get_facecolor(), zorder=3)
    ends = {"xlim": (scan.values[0], scan.values[-1])} if len(scan.values) > 1 else {}
    ax.set(xlabel=scan.parameter, ylabel=shown.labels[0], **ends)
    _keep_in_view(ax, np.concatenate([*kept, np.zeros(0)]), np.concatenate([*every, np.zeros(0)]))
    _far_events(ax, scan, shown)
    _scan_legend(ax, scan, colors)
    return ax


def branch(result: Branch, *, unit: int | None = None, ax: Axes | None = None) -> Axes:
    """One branch of a scan over its parameter, drawn as `bifurcation_diagram` draws all of them.

    Args:
        result: a part of what `scan` found. unit: the state that is drawn; None: the first of up to three, or the first principal component.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: a unit that does not exist.
    """
    from retime.analysis.branches.result import Scan
    from retime.core.status import SearchStatus

    found, none = SearchStatus.HEURISTIC, np.zeros(len(result.values), dtype=bool)
    alone = Scan(result.values, (result,), (), result.parameter, none, None, found, "")
    return bifurcation_diagram(alone, unit=unit, ax=ax)


def stability_map(result: StabilityMap, *, quantity: str = "period", ax: Axes | None = None) -> Axes:
    """A number per place of two parameters as an image, with one color of the color bar per number that occurs.

    Args:
        result: from `stability_map`.
        quantity: "period" of the attractor, "num_points" or "num_stable" fixed points.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: another quantity.
    """
    names = {"period": "period of the attractor", "num_points": "fixed points", "num_stable": "stable fixed points"}
    if quantity not in names:
        raise ValueError(f"`quantity` is {quantity!r}; it must be one of {', '.join(names)}.")
    ax = new_axes(ax)
    numbers = np.asarray(getattr(result, quantity))
    special = _SPECIAL if quantity == "period" else {-1: _SPECIAL[-2]}
    found = np.unique(numbers).tolist()
    found = [k for k in found if k not in special] + [k for k in special if k in found]
    proper = iter(color_list(sum(k not in special for k in found)))
    colors = [special[k][1] if k in special else next(proper) for k in found]
    place = np.vectorize(found.index)(numbers)
    style = {"cmap": ListedColormap(colors), "vmin": -0.5, "vmax": len(found) - 0.5, "rasterized": True}
    image = ax.pcolormesh(*map(_edges, result.values), place.T, **style)
    bar = ax.figure.colorbar(image, ax=ax, ticks=range(len(found)))
    bar.ax.set_yticklabels([special[k][0] if k in special else str(k) for k in found])
    bar.minorticks_off()
    doubt = "" if quantity == "period" or result.complete.all() else " found"
    bar.set_label(names[quantity] + doubt)
    ax.set(xlabel=result.parameters[0], ylabel=result.parameters[1])
    return ax


def _coordinate(scan: Scan, n: int, unit: int | None, outputs: bool | None) -> Coordinates:
    cloud = np.concatenate([b.points.reshape(-1, n) for b in scan.branches] or [np.zeros((0, n))])
    units = None if unit is None else (unit,)
    return coordinates(n, most=1, units=units, outputs=outputs, least=1, cloud=cloud, **known(scan.searched))


def _keep_in_view(ax: Axes, kept: Array, every: Array) -> None:
    """Limit the vertical axis to what stays (its middle nine tenths), and as much again on both sides, where branches go further."""
    kept, every = kept[np.isfinite(kept)], every[np.isfinite(every)]
    if not len(kept) or np.ptp(kept) == 0.0:
        return
    first, last = np.quantile(kept, [0.05, 0.95])
    pad = REACH * float(last - first)
    low, high = max(every.min(), first - pad), min(every.max(), last + pad)
    if high > low:
        ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _far_events(ax: Axes, scan: Scan, shown: Coordinates) -> None:
    """A dotted line at the value of each event that the vertical axis does not show."""
    low, high = ax.get_ylim()
    for event in scan.events:
        y = shown.of(np.atleast_2d(event.point))[:, 0]
        if not ((y >= low) & (y <= high)).any():
            ax.axvline(event.value, ls=":", lw=0.8, color="0.5", zorder=0)


def _runs(branch: Branch, y: Array, index: int, events: Sequence[Event]) -> list[tuple[Array, Array, bool]]:
    """Pieces (values `(b,)`, coordinates `(b, k)`, stable) of one stability, joined where it changes."""
    x, stable = branch.values, np.asarray(branch.stable, dtype=bool)
    joints = []
    for t in np.flatnonzero(stable[1:] != stable[:-1]):
        between = [e.value for e in events if index in e.branches and x[t] <= e.value <= x[t + 1]]
        at = between[0] if between else 0.5 * (x[t] + x[t + 1])
        weight = (at - x[t]) / (x[t + 1] - x[t])
        joints.append((int(t) + 1, at, (1.0 - weight) * y[t] + weight * y[t + 1]))
    none = (np.zeros(0), np.zeros((0, y.shape[1])))
    runs, start, head = [], 0, none
    for stop, *joint in [*joints, (len(x),)]:
        tail = (np.array([joint[0]]), joint[1][None]) if joint else none
        values, states = (
            np.concatenate(parts) for parts in zip(head, (x[start:stop], y[start:stop]), tail, strict=True)
        )
        runs.append((values, states, bool(stable[start])))
        start, head = stop, tail
    return runs


def _scan_legend(ax: Axes, scan: Scan, colors: dict[int, Any]) -> None:
    """Periods where there are several, the two styles that occur, kinds of events with their numbers."""
    if len(colors) > 1:
        for period, color in colors.items():
            ax.plot([], [], "-", lw=3, color=color, label="fixed point" if period == 1 else f"period {period}")
    for stable in (True, False):
        if any((b.stable == stable).any() for b in scan.branches):
            style, label = ("-", "stable") if stable else ("--", "unstable")
            ax.plot([], [], style, lw=1.6 if stable else 0.9, color="0.45", label=label)
    kinds = [e.kind for e in scan.events]
    for kind in dict.fromkeys(kinds):
        count = kinds.count(kind)
        label = kind if count == 1 else f"{kind} ({count})"
        ax.plot([], [], EVENTS.get(kind, "P"), ms=6, color=ink(), mfc=ax.get_facecolor(), label=label)
    if scan.attractor is not None:
        ax.plot([], [], ".", ms=4, mew=0, color="0.5", label="attractor")
    legend(ax)


def _edges(values: Array) -> Array:
    """Borders between values, half way, and as far beyond the ends."""
    x = np.asarray(values, dtype=float)
    if len(x) == 1:
        return np.array([x[0] - 0.5, x[0] + 0.5])
    middle = 0.5 * (x[1:] + x[:-1])
    return np.concatenate([[2.0 * x[0] - middle[0]], middle, [2.0 * x[-1] - middle[-1]]])

"""Regions: transition graph and map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, Polygon

from retime.analysis.view import constant_input
from retime.core.arguments import system
from retime.core.arrays import Array, vector
from retime.core.states import one_state
from retime.plots.coordinates import indices, slice_name
from retime.plots.polygons import centroid, clipped

if TYPE_CHECKING:
    from retime.analysis.regions.boundaries import BoundaryDistance
    from retime.analysis.regions.enumeration import Regions
    from retime.analysis.regions.visits import VisitedRegions

from retime.plots.style import COLORS, ink, legend, new_axes

LONG_PATTERN = 12  # more bits than this are not written out; the index of the region stands for them
HEIGHT = 3.1  # of a graph, in radii of its circle
ROOMY = 2.8  # inches of a graph from which patterns are written out


def transition_graph(visits: VisitedRegions, *, num_regions: int = 12, ax: Axes | None = None) -> Axes:
    """The regions an orbit stays in longest, as a graph: area ~ time spent, arrows as wide as their change of region is probable.

    An arrow from i to j stands for the part of all visits of i that are followed by one of j, changes to regions that are not
    drawn included. Regions stand in a circle, each followed by the likeliest next one that is not yet placed.

    Args:
        visits: from `visited_regions`.
        num_regions: how many are drawn at most.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: num_regions < 1.
    """
    if isinstance(num_regions, bool) or not isinstance(num_regions, (int, np.integer)) or num_regions < 1:
        raise ValueError(f"`num_regions` is {num_regions!r}; it must be a whole number >= 1.")
    ax = new_axes(ax)
    shown = np.argsort(-visits.fractions, kind="stable")[:num_regions]
    jumps = visits.jumps.toarray().astype(float)
    P = (jumps / np.maximum(jumps.sum(axis=1, keepdims=True), 1.0))[np.ix_(shown, shown)]
    order = _chain(P)
    shown, P = shown[order], P[np.ix_(order, order)]
    angle = 0.5 * np.pi - 2.0 * np.pi * np.arange(len(shown)) / len(shown)
    at = np.column_stack([np.cos(angle), np.sin(angle)]) * (len(shown) > 1)
    inches = float(min(ax.get_window_extent().size)) / ax.figure.dpi
    gap = 2.0 * np.sin(np.pi / max(len(shown), 2)) * 72.0 * inches / HEIGHT  # points between neighbors
    area = 1600.0 * visits.fractions[shown] / visits.fractions[shown].max() + 25.0
    area *= min(1.0, (0.75 * gap) ** 2 / area.max())
    bits = LONG_PATTERN if inches >= ROOMY else 0
    for i, j in zip(*np.nonzero(P), strict=True):
        ax.add_patch(_arrow(at[i], at[j], P[i, j], area[i], area[j]))
    ax.scatter(at[:, 0], at[:, 1], s=area, color="C0", edgecolors=ink(), linewidths=0.6, zorder=3)
    for k, z, a in zip(shown, at, area, strict=True):
        _beside(
            ax, z, 0.5 * a**0.5 + 3.0, f"{_name(visits.patterns[k], int(k), bits)}\n{100 * visits.fractions[k]:.3g} %"
        )
    share = visits.fractions[shown].sum()
    ax.set_title(f"{len(shown)} of {len(visits)} regions, {100 * share:.3g} % of the time", fontsize="medium")
    ax.set(xlim=(-1.85, 1.85), ylim=(-0.5 * HEIGHT, 0.5 * HEIGHT), aspect="equal")
    ax.set_axis_off()
    return ax


def boundary_distance(result: BoundaryDistance, *, ax: Axes | None = None) -> Axes:
    """The distance of every sample to the nearest boundary over time, the smallest one marked.

    Args:
        result: from `boundary_distance`. ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: no unit has a boundary.
    """
    if not np.isfinite(result.smallest):
        raise ValueError("No unit has a boundary, so there is no distance to draw.")
    ax = new_axes(ax)
    ax.semilogy(result.times, result.distances, lw=1.0)
    unit = int(result.units[result.where])
    ax.plot(
        result.times[result.where[0]],
        result.smallest,
        "o",
        ms=6,
        color=ink(),
        mfc="none",
        label=f"smallest: unit {unit}",
    )
    ax.set(xlabel="time", ylabel="distance to the nearest boundary")
    legend(ax)
    return ax


def region_map(
    regions: Regions,
    *,
    model: Any = None,
    inputs: Any = None,
    units: tuple[int, int] = (0, 1),
    at: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """The regions of a box as the polygons they are; as the largest circle known inside each where the system is not known.

    Of more than two states a plane is drawn, which the title names.
    A region carries its bits (its index when there are more than 12) where there is room.

    Args:
        regions: from `enumerate_regions`, of one or more states.
        model: the system whose regions they are, for results that do not hold it.
        inputs: the input `(m,)` of the enumeration, for `model`.
        units: with more than two states, the two of the plane.
        at: with more than two states, the state `(n,)` the plane goes through (or a point of a result); None for the middle of the box.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: more than two states of a system that is not known, or a model that does not fit.
        ShapeError: `at` or `inputs` of the wrong size.
    """
    n, about = regions.box.shape[0], regions.searched
    if model is None and about is not None:
        model, inputs = about.model, about.inputs if inputs is None else inputs
    model = None if model is None else system("region_map", model)
    if n > 2 and model is None:
        raise ValueError(f"The regions have {n} states; pass `model=` (and `units`) for a plane through them.")
    if model is not None and (model.num_states, model.canonical.num_units) != (n, regions.patterns.shape[1]):
        raise ValueError(
            f"`model` has {model.num_states} states and {model.canonical.num_units} ReLU units, the regions {n} and "
            f"{regions.patterns.shape[1]}; pass the model that was given to enumerate_regions."
        )
    ax = new_axes(ax)
    if n == 1:
        return _intervals(ax, regions)
    i, j = indices(units, n, 2)
    ax.set(xlim=regions.box[i], ylim=regions.box[j], xlabel=f"state $z_{{{i + 1}}}$", ylabel=f"state $z_{{{j + 1}}}$")
    if model is None:
        ax.set_aspect("equal")
    base = regions.box.mean(axis=1) if at is None else np.asarray(one_state(at), dtype=float)
    what = "the middle of the box" if at is None else "the state given"
    ax.set_title(slice_name(base, np.eye(n)[:, [i, j]], what), fontsize="medium")
    cut = None if model is None else _Plane(regions.box, model, inputs, (i, j), at)
    for k, bits in enumerate(regions.patterns):
        style = {"facecolor": f"C{k % COLORS}", "alpha": 0.35, "edgecolor": ink(), "lw": 0.6}
        if cut is None:
            middle, width = regions.points[k], 2.0 * float(regions.radii[k])
            ax.add_patch(Circle(tuple(middle), 0.5 * width, **style))
        else:
            corners = cut.polygon(bits)
            if not len(corners):
                continue
            ax.add_patch(Polygon(corners, closed=True, gid=_name(bits, k), **style))
            middle = regions.points[k] if n == 2 else centroid(corners)
            width = 2.0 * float(regions.radii[k]) if n == 2 else 0.7 * float(np.ptp(corners[:, 0]))
        _label(ax, middle, width, _name(bits, k))
    return ax


def _name(bits: Array, k: int, longest: int = LONG_PATTERN) -> str:
    return "".join("01"[int(b)] for b in bits) if 0 < len(bits) <= longest else f"#{k}"


def _chain(P: Array) -> list[int]:
    """An order in which each is followed by its likeliest successor that is left."""
    order, left = [0], set(range(1, len(P)))
    while left:
        last = order[-1]
        nearest = max(left, key=lambda j: (P[last, j] + P[j, last], -j))
        order.append(nearest)
        left.remove(nearest)
    return order


def _arrow(start: Array, end: Array, p: float, area: float, target: float) -> FancyArrowPatch:
    return FancyArrowPatch(
        tuple(start), tuple(end), arrowstyle="-|>", mutation_scale=5.0 + 5.0 * p, connectionstyle="arc3,rad=0.14", lw=0.3 + 3.0 * p,
        shrinkA=0.5 * area**0.5, shrinkB=0.5 * target**0.5 + 1.0, color="0.45", alpha=0.3 + 0.7 * p, zorder=2,
    )  # fmt: skip


def _beside(ax: Axes, z: Array, distance: float, text: str) -> None:
    """Text outside of the circle of nodes, so many points from the middle of its node."""
    x, y = z if z.any() else (0.0, -1.0)
    across = "center" if abs(x) < 0.2 else ("left" if x > 0 else "right")
    along = "center" if abs(y) < 0.4 else ("bottom" if y > 0 else "top")
    style = {"ha": across, "va": along, "fontsize": "x-small", "linespacing": 1.0, "zorder": 4}
    ax.annotate(text, tuple(z), (distance * x, distance * y), textcoords="offset points", **style)


class _Plane:
    """The plane of two states inside a box, cut into regions."""

    def __init__(self, box: Array, model: Any, inputs: Any, units: tuple[int, int], at: Any) -> None:
        base = box.mean(axis=1) if at is None else vector("at", one_state(at), len(box), " (one state)").copy()
        base[list(units)] = 0.0
        form = model.canonical
        self.slopes, self.offsets = form.W2[:, list(units)], form.preactivation(base, constant_input(model, inputs))
        (x0, x1), (y0, y1) = box[list(units)]
        self.corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])

    def polygon(self, bits: Array) -> Array:
        """Corners `(k, 2)` of a region; none where the plane misses it."""
        return clipped(self.corners, self.slopes, self.offsets, bits)


def _label(ax: Axes, middle: Array, width: float, text: str) -> None:
    """Text in a region, where it fits into a width in units of the horizontal axis."""
    x0, x1 = ax.get_xlim()
    points = ax.get_window_extent().width * 72.0 / ax.figure.dpi
    if width / (x1 - x0) * points >= 4.2 * len(text):  # a digit of 7 points is 4.2 wide
        ax.text(middle[0], middle[1], text, ha="center", va="center", fontsize=7, clip_on=True)


def _intervals(ax: Axes, regions: Regions) -> Axes:
    """One state: the ball of a region is the region."""
    ax.set(xlim=regions.box[0], ylim=(0.0, 1.0), xlabel="state $z_{1}$")
    ax.yaxis.set_visible(False)
    for k, (z, r) in enumerate(zip(regions.points[:, 0], regions.radii, strict=True)):
        ax.axvspan(z - r, z + r, facecolor=f"C{k % COLORS}", alpha=0.35, edgecolor=ink(), lw=0.6)
        _label(ax, np.array([z, 0.5]), 2.0 * r, _name(regions.patterns[k], k))
    return ax

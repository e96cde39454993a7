"""Basins of attraction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from retime.plots.coordinates import coordinates, known, slice_name

if TYPE_CHECKING:
    from retime.analysis.basins.result import Attractor, Basins

from retime.plots.space import Space, room
from retime.plots.style import LEGEND, color_list, ink, legend, new_axes


def basins(result: Basins, *, units: Any = None, ax: Axes | None = None) -> Axes:
    """Basins of attraction: the image of the slice, or without one the initial states in two outputs, without a readout two states.

    The legend gives the fraction of the box that every attractor takes, with its standard error. Attractors that lie in the plane are
    drawn on it as open circles (fixed points, cycles of maps) or dots (limit cycles, bounded sets).

    Args:
        result: from `find_basins`.
        units: without a slice, the two indices of states; None for the first two outputs, or without a readout states.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: indices that do not exist, or `units` for a result that has an image.
    """
    if result.image is not None and units is not None:
        raise ValueError("The result has an image, whose plane is fixed; leave out `units`, or search without `slice`.")
    ax = new_axes(ax)
    colors = _basincolor_list(result.attractors)
    if result.image is None:
        seen = set(result.labels.tolist())
        _starts(ax, result, units, colors)
    else:
        seen = set(np.unique(result.image).tolist()) | set(result.labels.tolist())
        x, y = result.plane.extent  # type: ignore[union-attr]
        ax.imshow(
            result.image, origin="lower", extent=(*x, *y), aspect="auto", interpolation="nearest", alpha=0.6,
            cmap=ListedColormap(colors), vmin=-0.5, vmax=len(colors) - 0.5,
        )  # fmt: skip
        _attractors(ax, result)
        axes = np.column_stack([result.plane.first, result.plane.second])  # type: ignore[union-attr]
        ax.set_title(slice_name(result.plane.base, axes, "the middle of the box"), fontsize="medium")  # type: ignore[union-attr]
        ax.set(xlabel=_axis(result.plane, 0), ylabel=_axis(result.plane, 1), xlim=x, ylim=y)
    shown = [k for k in range(len(colors)) if k in seen]
    handles = [Patch(color=colors[k], alpha=0.6, label=_share(result.attractors[k])) for k in shown[:LEGEND]]
    if len(shown) > LEGEND:
        handles.append(Patch(alpha=0.0, label=f"... {len(shown) - LEGEND} more"))
    legend(ax, handles=handles)
    return ax


def attractor(result: Attractor, *, units: Any = None, ax: Any = None) -> Any:
    """An attractor in state space: a point, a cycle whose points are joined in their order, or samples of a bounded set.

    Args:
        result: a part of what `find_basins` found.
        units: one to three indices of states; None: up to three states, or the principal components of the points.
        ax: where to draw (a 3-d Axes for three coordinates); None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: an attractor without points ("diverged", "undecided"), or units that do not exist.
    """
    if not len(result.points):
        raise ValueError(f"The attractor {result.name!r} has no points, so there is nothing to draw.")
    shown = coordinates(result.points.shape[1], most=room(ax), units=units, cloud=result.points)
    space, z, name = Space(ax, shown), shown.of(result.points), result.name.replace("_", " ")
    is_cycle, is_flow = result.kind == "cycle", isinstance(result.period, float)
    if is_cycle:
        space.line(z[[*range(len(z)), 0]], color="C0", lw=1.6 if is_flow else 0.8, label=name if is_flow else None)
    if not (is_cycle and is_flow):
        space.dots(z, "o" if is_cycle or len(z) == 1 else ".", "C0", 5 if is_cycle or len(z) == 1 else 2, name)
    space.finish()
    return space.ax


def _basincolor_list(attractors: Sequence[Attractor]) -> list[Any]:
    """The color cycle for attractors, grays for what left or did not settle."""
    gray = {"diverged": "0.85", "undecided": "0.5"}
    proper = iter(color_list(sum(a.kind not in gray for a in attractors)))
    return [gray[a.kind] if a.kind in gray else next(proper) for a in attractors]


def _share(a: Attractor) -> str:
    name = a.name.replace("_", " ")
    if a.fraction in (0.0, 1.0):  # where the binomial standard error says nothing
        low, high = a.interval
        return f"{name}: 0 (95 %: below {high:.2g})" if a.fraction == 0.0 else f"{name}: 1 (95 %: above {low:.3g})"
    return f"{name}: {a.fraction:.3f} $\\pm$ {a.standard_error:.3f}"


def _axis(plane: Any, k: int) -> str:
    """The label of an axis of a slice: of a state as in all other plots, else the name that was given."""
    direction = (plane.first, plane.second)[k]
    state = int(np.argmax(direction))
    is_state = plane.names[k] == f"z{state}" and np.array_equal(direction, np.eye(len(direction))[state])
    return f"state $z_{{{state + 1}}}$" if is_state else plane.names[k]


def _starts(ax: Axes, result: Basins, units: Any, colors: list[Any]) -> None:
    n = result.starts.shape[1]
    shown = coordinates(n, most=2, units=units, **known(result.searched))
    if len(shown) != min(n, 2):
        raise ValueError(f"`units` has {len(shown)} entries; basins are drawn in {min(n, 2)} coordinates.")
    for k, color in enumerate(colors):
        z = shown.of(result.starts[result.labels == k])
        if len(z):
            y = z[:, 1] if n > 1 else np.zeros(len(z))
            ax.plot(z[:, 0], y, "." if n > 1 else "|", ms=4 if n > 1 else 30, color=color, alpha=0.7)
    ax.set_xlabel(shown.labels[0])
    if n > 1:
        ax.set_ylabel(shown.labels[1])
    else:
        ax.yaxis.set_visible(False)


def _attractors(ax: Axes, result: Basins) -> None:
    """Those points of the attractors that lie in the plane of the image."""
    plane = result.plane
    axes = np.column_stack([plane.first, plane.second])  # type: ignore[union-attr]
    width = float(np.ptp(result.box, axis=1).max())
    for a in result.attractors:
        offset = a.points - plane.base  # type: ignore[union-attr]
        if not len(offset):
            continue
        x = np.linalg.lstsq(axes, offset.T, rcond=None)[0]
        inside = np.abs(axes @ x - offset.T).max(axis=0) <= 1e-6 * width
        exact = a.kind in ("fixed_point", "neutral") or (a.kind == "cycle" and not isinstance(a.period, float))
        if inside.any():
            style = {"ms": 6, "mfc": ax.get_facecolor(), "mec": ink()} if exact else {"ms": 1.5, "color": ink()}
            ax.plot(*x[:, inside], "o", **style)

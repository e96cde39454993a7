"""Fixed points and cycles in state space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Polygon

from retime.analysis.affine import affine_view, constant_input
from retime.core.arrays import Array
from retime.core.trajectory import Trajectory
from retime.plots.orbits import _chosen, _values

if TYPE_CHECKING:
    from retime.analysis.cycles import Cycle
    from retime.analysis.fixed_points import FixedPoints, FixedSet

from retime.plots.regions import _clipped
from retime.plots.style import STABLE, UNSTABLE, _period

MARKERS = {"node": "o", "focus": "s", "saddle": "D", "neutral": "^"}
FAR = 3.0  # slow points this many widths of the other points away from them are not drawn, but counted
PIECE = 0.06  # half of a continuum's or eigenvector's length, where its end is not known, in parts of the picture


def fixed_points(
    result: FixedPoints,
    *,
    units: Any = None,
    outputs: bool = False,
    trajectory: Trajectory | None = None,
    model: Any = None,
    inputs: Any = None,
    eigenvectors: bool = False,
    ax: Any = None,
) -> Any:
    """Fixed points in state space: filled when stable, open when not; a circle, square, diamond or triangle by kind.

    Points on a boundary are ringed, slow points are small and gray, continua are lines and patches. One state is drawn as a
    line with points on it. Slow points more than three widths of the rest away from it are not drawn but counted in the legend.

    Args:
        result: from `find_fixed_points`.
        units: one to three indices; None for the first three (the first two on a flat `ax`).
        outputs: draw the readout's outputs instead of states.
        trajectory: drawn as a thin line underneath.
        model: the system that was searched. With it, continua reach as far as their regions (or twice the picture), and slow points
            have outputs.
        inputs: the input `(m,)` of the search, for `model`.
        eigenvectors: draw the real eigenvectors at the saddles of `model` as short lines, growing ones dashed.
        ax: where to draw (a 3-d Axes for three states); None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: units that do not exist or more than three, a flat Axes for three, outputs that are not known, eigenvectors without
        `model`.
    """
    readout = _readout(result, model, inputs) if outputs else lambda z: z
    values = np.asarray(result.outputs) if outputs and model is None else readout(result.points)
    ax, chosen = _space(ax, units, values.shape[1])
    show = _Shown(ax, chosen)
    if trajectory is not None:
        show.line(_values(trajectory, outputs), lw=0.5, color="0.6", zorder=1)
    drawn = [values, *(readout(part.point[None]) for part in result.continua)]
    scale = _scale(np.concatenate(drawn)[:, chosen], trajectory, outputs, chosen)
    for part in result.continua:
        _continuum(show, part, readout, scale, model, inputs)
    rest = [x[:, chosen] for x in drawn] + ([] if trajectory is None else [_values(trajectory, outputs)[:, chosen]])
    _slow_points(show, result, readout, np.concatenate(rest))
    show.dots(values[result.on_boundary], "o", "0.4", 13, "on a boundary", fill="none", mew=0.8)
    if eigenvectors:
        _eigenvectors(show, result, readout, scale, model, inputs)
    for kind, stable in dict.fromkeys(zip(result.kinds, result.stable.tolist(), strict=True)):
        which = [k == kind and s == stable for k, s in zip(result.kinds, result.stable, strict=True)]
        fill = STABLE if stable else ax.get_facecolor()
        one_sided = kind.startswith("stable") and not stable
        label = f"{kind}, on its side only" if one_sided else kind
        show.dots(values[which], MARKERS[kind.split()[-1]], STABLE if stable else UNSTABLE, 7, label, fill=fill)
    show.finish("x" if outputs else "z")
    return ax


def cycle(
    result: Cycle,
    *,
    units: Any = None,
    outputs: bool = False,
    model: Any = None,
    inputs: Any = None,
    ax: Any = None,
) -> Any:
    """The points of a cycle, joined in their order: filled and solid when stable, open and dashed when not.

    Every cycle that is drawn into one `ax` takes its next color. One state is drawn against the next one, z_{k+1} over z_k.

    Args:
        result: one cycle, e.g. `find_cycles(...)[0]`.
        units: one to three indices; None for the first three (the first two on a flat `ax`).
        outputs: draw outputs; needs `model`.
        model: the system that was searched. A flow is followed for one period, so that the line is the orbit itself; without it
            (and for maps) points are joined by straight lines.
        inputs: the input `(m,)` of the search, for `model`.
        ax: where to draw (a 3-d Axes for three states); None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: units that do not exist or more than three, a flat Axes for three, outputs without a `model` or readout.
    """
    readout = _readout(None, model, inputs) if outputs else lambda z: z
    points = readout(result.points)
    ax, chosen = _space(ax, units, points.shape[1])
    closed = np.concatenate([points, points[:1]])
    if isinstance(result.period, float) and model is not None:
        closed = readout(_one_period(result, model, inputs))
    show = _Shown(ax, chosen)
    if len(chosen) == 1:
        i = chosen[0]
        show = _Shown(ax, [0, 1])
        points = np.column_stack([points[:, i], np.roll(points[:, i], -1)])
        closed = points[[*range(len(points)), 0]]
    color = show.line(closed, lw=1.0, ls="-" if result.stable else "--", zorder=2)
    fill, symbol = color if result.stable else ax.get_facecolor(), "x" if outputs else "z"
    show.dots(points, "o", color, 5, f"{_period(result)}, {'stable' if result.stable else 'unstable'}", fill=fill)
    if len(chosen) == 1:
        name = f"{symbol}_{{{chosen[0] + 1}}}"
        ax.set(xlabel=f"${name}$", ylabel=f"next ${name}$")
        ax.legend(frameon=False)
    else:
        show.finish(symbol)
    return ax


class _Shown:
    """Draws arrays `(k, n)` in the chosen coordinates; one coordinate is drawn on a horizontal line."""

    def __init__(self, ax: Any, chosen: list[int]) -> None:
        self.ax, self.chosen = ax, chosen

    def _columns(self, values: Array) -> list[Array]:
        columns = [np.asarray(values)[:, k] for k in self.chosen]
        return [*columns, np.zeros(len(values))] if len(columns) == 1 else columns

    @property
    def none(self) -> list[Array]:
        """The columns of no points."""
        return [np.zeros(0)] * max(2, len(self.chosen))

    def line(self, values: Array, **style: Any) -> Any:
        """A line through the rows; returns its color."""
        return self.ax.plot(*self._columns(values), **style)[0].get_color()

    def dots(
        self, values: Array, marker: str, color: Any, size: float, label: str, *, fill: Any = None, mew: float = 1.2
    ) -> None:
        """A marker at each row; nothing, and no legend entry, for none."""
        if len(values):
            columns = self._columns(values)
            fill = color if fill is None else fill
            self.ax.plot(
                *columns, ls="none", marker=marker, ms=size, color=color, mfc=fill, mew=mew, label=label, zorder=4
            )

    def patch(self, corners: Array, **style: Any) -> None:
        """A filled polygon, in two or three coordinates."""
        if len(self.chosen) == 3:
            from mpl_toolkits.mplot3d.art3d import Poly3DCollection

            self.ax.add_collection3d(Poly3DCollection([corners[:, self.chosen]], **style))
        elif len(self.chosen) == 2:
            self.ax.add_patch(Polygon(corners[:, self.chosen], closed=True, **style))

    def finish(self, symbol: str) -> None:
        """Labels and legend."""
        for name, k in zip("xyz", self.chosen, strict=False):
            getattr(self.ax, f"set_{name}label")(f"${symbol}_{{{k + 1}}}$")
        if len(self.chosen) == 1:
            self.ax.axhline(0.0, lw=0.8, color="0.5", zorder=0)
            self.ax.yaxis.set_visible(False)
        if self.ax.get_legend_handles_labels()[1]:
            self.ax.legend(frameon=False, fontsize="small")


def _space(ax: Any, units: Any, count: int) -> tuple[Any, list[int]]:
    """The Axes and the coordinates to draw in it."""
    solid = ax is None or getattr(ax, "name", "") == "3d"
    chosen = _chosen(units, count, 3 if solid else 2)
    if not 1 <= len(chosen) <= 3:
        raise ValueError(f"`units` has {len(chosen)} entries; one, two or three can be drawn.")
    if len(chosen) == 3 and not solid:
        raise ValueError(
            "`ax` is flat, but three coordinates are to be drawn; pass units=(i, j), or an Axes made with projection='3d'."
        )
    if ax is None:
        ax = plt.figure().add_subplot(projection="3d" if len(chosen) == 3 else None)
    return ax, chosen


def _readout(result: FixedPoints | None, model: Any, inputs: Any) -> Any:
    """States `(k, n)` -> outputs `(k, p)`."""
    if model is None:
        if result is None:
            raise ValueError("A cycle does not hold its outputs; pass the system that was searched as `model=`.")
        if result.outputs is None:
            raise ValueError("The model has no readout, so there are no outputs to draw; leave out `outputs`.")
        if result.continua or len(result.slow_points):
            raise ValueError(
                f"The result holds no outputs of its {len(result.continua)} continua and {len(result.slow_points)} slow points; "
                "pass the system that was searched as `model=`."
            )
        return lambda z: z
    if model.readout is None:
        raise ValueError("The model has no readout, so there are no outputs to draw; leave out `outputs`.")
    s = constant_input(model, inputs)
    return lambda z: np.asarray(model.outputs(z, np.broadcast_to(s, (len(z), len(s))) if len(s) else None))


def _scale(values: Array, trajectory: Trajectory | None, outputs: bool, chosen: list[int]) -> float:
    """Width of what is drawn; 1 for a single point."""
    if trajectory is not None:
        values = np.concatenate([values, _values(trajectory, outputs)[:, chosen]])
    finite = values[np.isfinite(values).all(axis=1)]
    return (float(np.ptp(finite, axis=0).max(initial=0.0)) if len(finite) else 0.0) or 1.0


def _slow_points(show: _Shown, result: FixedPoints, readout: Any, rest: Array) -> None:
    """Small gray dots; those far from the rest `(k, chosen)`, or where no state can be, are only counted in the legend."""
    slow = readout(result.slow_points) if len(result.slow_points) else result.slow_points
    near = _is_near(slow[:, show.chosen] if len(slow) else np.zeros((0, len(show.chosen))), rest)
    show.dots(slow[near], ".", "0.5", 6, "slow point")
    left = result.outside + int((~near).sum())
    if left:
        text = f"{left} slow point{'s' * (left != 1)} far outside, not drawn"
        show.ax.plot(*show.none, ls="none", label=text)


def _is_near(slow: Array, rest: Array) -> Array:
    """Which slow points (bool) lie within FAR widths of the box around the rest; all of them where there is no rest of any width."""
    rest = rest[np.isfinite(rest).all(axis=1)]
    width = np.ptp(rest, axis=0).max(initial=0.0) if len(rest) else 0.0
    if width == 0.0:
        return np.ones(len(slow), dtype=bool)
    reach = FAR * width
    return np.asarray(((slow >= rest.min(axis=0) - reach) & (slow <= rest.max(axis=0) + reach)).all(axis=1))


def _continuum(show: _Shown, part: FixedSet, readout: Any, scale: float, model: Any, inputs: Any) -> None:
    """A segment, or a patch, of fixed points; of more than two dimensions only its point."""
    k = part.directions.shape[1]
    view = None if model is None else affine_view(model)
    reach = 2.0 * scale if view is not None else PIECE * scale
    if k == 1:
        corners = np.array([[-reach], [reach]])
    elif k == 2:
        corners = reach * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    else:
        show.dots(readout(part.point[None]), "*", "C2", 8, f"continuum of dimension {k}")
        return
    if model is not None and view is not None:
        used = view.form.W1.any(axis=0)  # the boundaries of the other units change nothing
        g = view.form.preactivation(part.point, constant_input(model, inputs))
        corners = _clipped(corners, (view.form.W2 @ part.directions)[used], g[used], part.pattern[used])
    z = readout(part.point + corners @ part.directions.T)
    known = set(show.ax.get_legend_handles_labels()[1])
    label = "continuum" if view is not None else "continuum (direction)"
    closed = z if k == 1 else np.concatenate([z, z[:1]])
    show.line(closed, color="C2", lw=2.5, zorder=3, solid_capstyle="butt", label=None if label in known else label)
    if k == 2:
        show.patch(z, facecolor="C2", alpha=0.25, zorder=2)


def _eigenvectors(show: _Shown, result: FixedPoints, readout: Any, scale: float, model: Any, inputs: Any) -> None:
    """Short lines along the real eigenvectors at saddles, growing ones dashed."""
    if model is None:
        raise ValueError("Eigenvectors need the system that was searched; pass it as `model=`.")
    saddles = [k for k, kind in enumerate(result.kinds) if kind == "saddle"]
    view, s = affine_view(model), constant_input(model, inputs)
    w: Any
    V: Any
    for k in saddles:
        M = model.jacobian(result.points[k], s) if view is None else view.form.regions(result.patterns[k][None]).M[0]
        w, V = np.linalg.eig(M)
        rates = w if view is None else view.in_time(w)
        grows = np.abs(rates) > 1.0 if result.dt is not None else np.real(rates) > 0.0
        for v, up in zip(V.T[w.imag == 0].real, grows[w.imag == 0], strict=True):
            ends = readout(result.points[k] + 2.0 * PIECE * scale * np.outer([-1.0, 1.0], v))
            show.line(ends, color=UNSTABLE if up else STABLE, ls="--" if up else "-", lw=1.0, zorder=3)


def _one_period(result: Cycle, model: Any, inputs: Any) -> Array:
    """States of the flow over one period, from the cycle's first point."""
    from retime.models import PiecewiseAffineFlow
    from retime.simulation import simulate

    rule: dict[str, Any] = {}
    if isinstance(model, PiecewiseAffineFlow):
        rule = {"switching": "state" if len(result.switch_times) else "clock"}
    s = constant_input(model, inputs)
    held = (lambda _: s) if len(s) else None
    return simulate(model, result.points[0], times=np.linspace(0.0, result.time, 601), inputs=held, **rule).states

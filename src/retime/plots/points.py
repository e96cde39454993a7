"""Fixed points in state space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retime.analysis.view import affine_view
from retime.core.arrays import Array
from retime.core.searched import Searched
from retime.core.tolerances import size_of
from retime.core.trajectory import Trajectory
from retime.plots.coordinates import Coordinates, coordinates, in_view, known, subject
from retime.plots.polygons import clipped
from retime.plots.space import Space, room
from retime.plots.style import COLORS, STABLE, UNSTABLE

if TYPE_CHECKING:
    from retime.analysis.fixed_points.result import FixedPoints, FixedSet

MARKERS = {"node": "o", "focus": "s", "saddle": "D", "neutral": "^"}
FAR = 3.0  # slow points this many widths of the other points away from them are not drawn, but counted
PIECE = 0.06  # half of a continuum's or eigenvector's length, where its end is not known, in parts of the picture


def fixed_points(
    result: FixedPoints,
    *,
    units: Any = None,
    outputs: bool | None = None,
    trajectory: Trajectory | None = None,
    model: Any = None,
    inputs: Any = None,
    eigenvectors: bool = False,
    numbers: bool | None = None,
    ax: Any = None,
) -> Any:
    """Fixed points: filled when stable, open when not; a circle, square, diamond or triangle by kind.

    They are drawn in the outputs of a readout with two or more; without one, in up to three states, or in the principal components of
    the trajectory (of the points where none is given), whose shares of the variance are on the axes. Points on a boundary are ringed,
    slow points small and gray, continua lines and patches; one coordinate is drawn as a line with points on it. Slow points more than
    three widths of the rest away from it are not drawn but counted in the legend.

    Args:
        result: from `find_fixed_points`.
        units: one to three indices of states (of outputs with `outputs=True`); None for the choice above.
        outputs: True: the readout's outputs; False: never; None for the choice above.
        trajectory: drawn as a thin line underneath.
        model: the system, for results that do not hold it. With it, continua reach as far as their regions (or twice the picture).
        inputs: the input `(m,)` of the search, for `model`.
        eigenvectors: draw the real eigenvectors at the saddles as short lines, growing ones dashed.
        numbers: write the index of each point beside it; None: of two to ten points.
        ax: where to draw (a 3-d Axes for three coordinates); None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: nothing to draw, units that do not exist or more than three, a flat Axes for three, outputs that are not known,
        eigenvectors of a system that is not known.
    """
    if not (len(result) or len(result.continua) or len(result.slow_points) or trajectory is not None):
        raise ValueError(f"There is no fixed point to draw ({result.message}).")
    about = subject("fixed_points", result.searched, model, inputs)
    trajectory = None if trajectory is None else in_view(trajectory)
    shown = _coordinates(result, about, units, outputs, trajectory, room(ax))
    space = Space(ax, shown)
    orbit = [] if trajectory is None else [shown.along(trajectory)]
    if trajectory is not None:
        space.line(orbit[0], lw=0.5, color="0.6", zorder=1)
    values = shown.of(result.points)
    rest = [values, *(shown.of(part.point[None]) for part in result.continua), *orbit]
    drawn = np.concatenate(rest)
    scale = float(_ranges(drawn).max())
    for part in result.continua:
        _continuum(space, part, scale, about)
    _slow_points(space, result, drawn)
    space.dots(values[result.on_boundary], "o", "0.5", 13, "on a boundary", fill="none", mew=0.8)
    if eigenvectors:
        _eigenvectors(space, result, _ranges(drawn), about)
    for kind, stable in dict.fromkeys(zip(result.kinds, result.stable.tolist(), strict=True)):
        which = [k == kind and s == stable for k, s in zip(result.kinds, result.stable, strict=True)]
        fill = STABLE if stable else space.background()
        label = f"{kind}, on its side only" if kind.startswith("stable") and not stable else kind
        space.dots(values[which], MARKERS[kind.split()[-1]], STABLE if stable else UNSTABLE, 7, label, fill=fill)
    if 1 < len(values) <= COLORS if numbers is None else numbers:
        space.number(values)
    space.finish()
    return space.ax


def _coordinates(
    result: FixedPoints, about: Searched | None, units: Any, outputs: bool | None, path: Trajectory | None, most: int
) -> Coordinates:
    if outputs and about is None and result.outputs is not None:
        raise ValueError("This copy of the result does not hold its system; pass it as `model=` to draw outputs.")
    cloud = np.concatenate([result.points, result.slow_points]) if path is None else path.states
    return coordinates(result.points.shape[1], most=most, units=units, outputs=outputs, cloud=cloud, **known(about))


def _ranges(values: Array) -> Array:
    """Width `(d,)` of what is drawn; 1 for a single point."""
    finite = values[np.isfinite(values).all(axis=1)]
    width = np.ptp(finite, axis=0) if len(finite) else np.zeros(values.shape[1])
    return np.where(width > 0, width, width.max() or 1.0)


def _slow_points(space: Space, result: FixedPoints, rest: Array) -> None:
    """Small gray dots; those far from the rest `(k, d)`, or where no state can be, are only counted in the legend."""
    slow = space.coordinates.of(result.slow_points)
    near = _is_near(slow, rest)
    space.dots(slow[near], ".", "0.5", 6, "slow point")
    left = result.outside + int((~near).sum())
    if left:
        space.mention(f"{left} slow point{'s' * (left != 1)} far outside, not drawn")


def fixed_set(result: FixedSet, *, units: Any = None, ax: Any = None) -> Any:
    """A line or plane of fixed points: a piece around its point, in the directions in which it continues.

    Args:
        result: one of `FixedPoints.continua`.
        units: one to three indices of states; None: up to three states, or the principal components of the piece.
        ax: where to draw (a 3-d Axes for three coordinates); None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: units that do not exist.
    """
    scale = size_of(result.point)
    ends = scale * np.concatenate([result.directions.T, -result.directions.T])
    space = Space(ax, coordinates(len(result.point), most=room(ax), units=units, cloud=result.point + ends))
    space.dots(space.coordinates.of(result.point[None]), "o", "C2", 5, "point of the set")
    _continuum(space, result, scale / PIECE, None)
    space.finish()
    return space.ax


def _is_near(slow: Array, rest: Array) -> Array:
    """Which slow points (bool) lie within FAR widths of the box around the rest; all of them where there is no rest of any width."""
    rest = rest[np.isfinite(rest).all(axis=1)]
    width = np.ptp(rest, axis=0).max(initial=0.0) if len(rest) else 0.0
    if width == 0.0:
        return np.ones(len(slow), dtype=bool)
    reach = FAR * width
    return np.asarray(((slow >= rest.min(axis=0) - reach) & (slow <= rest.max(axis=0) + reach)).all(axis=1))


def _continuum(space: Space, part: FixedSet, scale: float, about: Searched | None) -> None:
    """A segment, or a patch, of fixed points; of more than two dimensions only its point."""
    k, of = part.directions.shape[1], space.coordinates.of
    view = None if about is None else affine_view(about.model)
    reach = 2.0 * scale if view is not None else PIECE * scale
    if k == 1:
        corners = np.array([[-reach], [reach]])
    elif k == 2:
        corners = reach * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    else:
        space.dots(of(part.point[None]), "*", "C2", 8, f"continuum of dimension {k}")
        return
    if about is not None and view is not None:
        used = view.form.W1.any(axis=0)  # the boundaries of the other units change nothing
        g = view.form.preactivation(part.point, about.inputs)
        corners = clipped(corners, (view.form.W2 @ part.directions)[used], g[used], part.pattern[used])
    z = of(part.point + corners @ part.directions.T)
    known = set(space.ax.get_legend_handles_labels()[1])
    label = "continuum" if view is not None else "continuum (direction)"
    closed = z if k == 1 else np.concatenate([z, z[:1]])
    space.line(closed, color="C2", lw=2.5, zorder=3, solid_capstyle="butt", label=None if label in known else label)
    if k == 2:
        space.patch(z, facecolor="C2", alpha=0.25, zorder=2)


def _eigenvectors(space: Space, result: FixedPoints, ranges: Array, about: Searched | None) -> None:
    """Short lines along the real eigenvectors at saddles, growing ones dashed."""
    if about is None:
        raise ValueError("Eigenvectors need the system that was searched; pass it as `model=`.")
    view = affine_view(about.model)
    w: Any
    V: Any
    for k in [k for k, kind in enumerate(result.kinds) if kind == "saddle"]:
        z = result.points[k]
        M = about.model.jacobian(z, about.inputs) if view is None else view.form.regions(result.patterns[k][None]).M[0]
        w, V = np.linalg.eig(M)
        rates = w if view is None else view.in_time(w)
        grows = np.abs(rates) > 1.0 if result.dt is not None else np.real(rates) > 0.0
        for v, up in zip(V.T[w.imag == 0].real, grows[w.imag == 0], strict=True):
            start, tip = space.coordinates.of(np.stack([z, z + 1e-3 * (1.0 + np.abs(z).max()) * v]))
            seen = np.abs((tip - start) / ranges).max()  # 0 where the direction is not among what is drawn
            if seen > 0:
                ends = start + 2.0 * PIECE / seen * np.outer([-1.0, 1.0], tip - start)
                space.line(ends, color=UNSTABLE if up else STABLE, ls="--" if up else "-", lw=1.0, zorder=3)

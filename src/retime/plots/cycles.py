"""Cycles in state space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import CertificateError
from retime.core.searched import Searched
from retime.plots.coordinates import Coordinates, coordinates, known, subject
from retime.plots.space import Space, room
from retime.plots.style import COLORS, color_list, period_name

if TYPE_CHECKING:
    from retime.analysis.cycles.result import Cycle, Cycles

SAMPLES = 601  # of one period of a flow


def cycle(
    result: Cycle,
    *,
    units: Any = None,
    outputs: bool | None = None,
    model: Any = None,
    inputs: Any = None,
    ax: Any = None,
) -> Any:
    """A cycle: of a map its points, joined in their order; of a flow the closed orbit. Solid and filled when stable, else dashed and open.

    It is drawn in the outputs of a readout with two or more; without one in up to three states, or in the principal components of the
    cycle. Every cycle that is drawn into one `ax` takes its next color. One coordinate is drawn against the next one, z_{k+1} over z_k.

    Args:
        result: one cycle, e.g. `find_cycles(...)[0]`.
        units: one to three indices of states (of outputs with `outputs=True`); None for the choice above.
        outputs: True: the readout's outputs; False: never; None for the choice above.
        model: the system, for cycles that do not hold it. Where it is not known, the points of a flow, too, are joined by straight lines.
        inputs: the input `(m,)` of the search, for `model`.
        ax: where to draw (a 3-d Axes for three coordinates); None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: units that do not exist or more than three, a flat Axes for three, outputs that are not known.
    """
    return _drawn([result], units, outputs, model, inputs, ax)


def cycles(
    result: Cycles | Sequence[Cycle],
    *,
    units: Any = None,
    outputs: bool | None = None,
    model: Any = None,
    inputs: Any = None,
    most: int = COLORS,
    ax: Any = None,
) -> Any:
    """The cycles of a list in one picture, each as `cycle` draws it, one color per period.

    Where states are many and there is no readout, the picture is in the principal components of all of them.

    Args:
        result: from `find_cycles`, or any sequence of `Cycle`.
        units, outputs, model, inputs, ax: as for `cycle`.
        most: how many are drawn, the first ones; the legend counts the others.

    Returns:
        the Axes.

    Raises:
        ValueError: there is no cycle; else as `cycle`.
    """
    if not len(result):
        message = getattr(result, "message", "")
        raise ValueError(f"There is no cycle to draw{f' ({message})' if message else ''}.")
    return _drawn(list(result[:most]), units, outputs, model, inputs, ax, len(result) - most)


def _drawn(
    shown: list[Cycle], units: Any, outputs: bool | None, model: Any, inputs: Any, ax: Any, left: int = 0
) -> Any:
    about = subject("cycles", shown[0].searched, model, inputs)
    if outputs and about is None:
        raise ValueError(
            "This copy of the cycle does not hold its system; pass the system that was searched as `model=`."
        )
    orbits = [_one_period(c, about) for c in shown]
    n, most = shown[0].points.shape[1], room(ax)
    seen = coordinates(n, most=most, units=units, outputs=outputs, cloud=np.concatenate(orbits), **known(about))
    space = Space(ax, seen if len(seen) > 1 else _delayed(seen))
    periods = list(dict.fromkeys(c.period for c in shown))
    colors = dict(zip(periods, color_list(len(periods)), strict=True)) if len(shown) > 1 else {}
    for c, orbit in zip(shown, orbits, strict=True):
        _one(space, c, orbit, colors.get(c.period), is_delayed=len(seen) == 1)
    if left > 0:
        space.mention(f"{left} more, not drawn")
    space.finish()
    return space.ax


def _delayed(one: Coordinates) -> Coordinates:
    """One coordinate and the same one step later, for rows in the order of a cycle."""

    def pairs(z: Array) -> Array:
        x = one.of(z)[:, 0]
        return np.column_stack([x, np.roll(x, -1)])

    return Coordinates(pairs, (one.labels[0], f"next {one.labels[0]}"))


def _one(space: Space, c: Cycle, orbit: Array, color: Any, *, is_delayed: bool) -> None:
    of = space.coordinates.of
    points = of(c.points)
    is_flow = isinstance(c.period, float) and len(orbit) > len(c.points)
    closed = of(orbit) if is_flow and not is_delayed else points[[*range(len(points)), 0]]
    name = f"{'fixed point' if c.period == 1 and not is_flow else period_name(c.period)}, {c.kind}"
    name = "" if name in space.ax.get_legend_handles_labels()[1] else name
    style = {"lw": 1.6 if is_flow else 0.8, "ls": "-" if c.stable else "--", "zorder": 2}
    style |= {} if color is None else {"color": color}
    if is_flow:
        space.line(closed, label=name or None, **style)
        return
    color = space.line(closed, **style)
    space.dots(points, "o", color, 5, name, fill=color if c.stable else space.background())


def _one_period(c: Cycle, about: Searched | None) -> Array:
    """States along the cycle: of a flow over one period from the first point, else the points themselves."""
    if about is None or not isinstance(c.period, float):
        return c.points
    from retime.simulation import simulate
    from retime.simulation.motion import motion_of

    rule = motion_of(about.model, "state" if len(c.switch_times) else "clock").switching
    s = about.inputs
    held = (lambda _: s) if len(s) else None
    try:
        orbit = simulate(
            about.model, c.points[0], times=np.linspace(0.0, c.time, SAMPLES), inputs=held, switching=rule
        ).states
    except CertificateError:  # a region without a flow
        return c.points
    gap = np.abs(orbit[-1] - orbit[0]).max()  # of an unstable cycle rounding may grow before the period ends
    return orbit if gap <= 1e-2 * np.ptp(c.points, axis=0).max() or gap <= 1e-6 else c.points

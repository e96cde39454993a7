"""Everything that `analyze` found, in one figure."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from retime.core.trajectory import Trajectory
from retime.plots.coordinates import in_view, of_trajectory

if TYPE_CHECKING:
    from retime.analysis.overview import Analysis

from retime.plots.basins import basins
from retime.plots.cycles import cycles
from retime.plots.orbits import time_series
from retime.plots.points import fixed_points
from retime.plots.regions import transition_graph
from retime.plots.spectra import exponents, multipliers, spectrum
from retime.plots.style import COLORS

PANEL = (4.6, 4.0)  # inches
LETTERS = 10.0  # of a title per inch
SAMPLES = 300  # of a long orbit that are shown over time
RESTS = 1e-3  # of the whole range: what still moves at the end of an orbit that rests


def analysis(result: Analysis, *, units: Any = None, outputs: bool | None = None, figure: Any = None) -> list[Axes]:
    """All parts of an analysis in one figure: orbit and fixed points, time series, eigenvalues, cycles, exponents, regions, basins.

    Parts that have nothing to show have no panel, and the last row is filled. The numbers at the fixed points are those of the panel of
    their eigenvalues.

    Args:
        result: from `analyze`.
        units: indices of states for the first two panels (of outputs with `outputs=True`); None for outputs or principal components.
        outputs: True: draw the readout's outputs there; False: never; None where there are any.
        figure: an empty matplotlib Figure; None makes a new one.

    Returns:
        the Axes, one for each part that the result has.

    Raises:
        ValueError: as `fixed_points` and `time_series`.
    """
    points, panels = result.fixed_points, []
    few, chosen = len(points) <= COLORS, {"units": units, "outputs": outputs}
    orbit = in_view(result.orbit)
    space = of_trajectory(orbit, most=3, **chosen)
    panels.append(lambda ax: fixed_points(points, trajectory=orbit, numbers=few, ax=ax, **chosen))
    panels.append(lambda ax: _part_of_series(result.orbit, ax, chosen))
    if len(points):
        panels.append(lambda ax: spectrum(points, ax=ax))
    longer = [] if result.cycles is None else [c for c in result.cycles if len(c.points) > 1]
    if longer:
        panels.append(lambda ax: cycles(longer, ax=ax, **chosen))
        panels.append(lambda ax: multipliers(longer, ax=ax))
    if not np.isnan(result.exponents.exponents).all():
        panels.append(lambda ax: exponents(result.exponents, ax=ax))
    if result.regions is not None and len(result.regions) > 1:
        panels.append(lambda ax: transition_graph(result.regions, ax=ax))  # type: ignore[arg-type]
    if result.basins is not None:
        panels.append(lambda ax: basins(result.basins, ax=ax))  # type: ignore[arg-type]
    rows = _rows(len(panels))
    if figure is None:
        figure = plt.figure(figsize=(PANEL[0] * max(rows), PANEL[1] * len(rows)), layout="constrained")
    grid = figure.add_gridspec(len(rows), 1)
    places = [place for r, width in enumerate(rows) for place in grid[r].subgridspec(1, width)]
    for draw, place in zip(panels, places, strict=True):
        draw(figure.add_subplot(place, projection="3d" if draw is panels[0] and len(space) == 3 else None))
    figure.suptitle(fill(result.behavior[:1].upper() + result.behavior[1:], int(LETTERS * figure.get_figwidth())))
    return list(figure.axes)


def _part_of_series(orbit: Trajectory, ax: Axes, chosen: dict[str, Any]) -> None:
    """Outputs or states over time, of a long orbit its last `SAMPLES`; the first ones of an orbit that rests in the end."""
    time_series(orbit, ax=ax, **chosen)
    z = orbit.as_states()
    if len(z) > 2 * SAMPLES:
        is_at_rest = (np.ptp(z[-SAMPLES:], axis=0) <= RESTS * np.ptp(z, axis=0)).all()
        ax.set_xlim(*orbit.times[[0, SAMPLES] if is_at_rest else [len(z) - 1 - SAMPLES, len(z) - 1]])


def _rows(count: int) -> list[int]:
    """Numbers of panels in rows of up to three, as equal as can be; each row is as wide as the figure."""
    rows = -(-count // 3)
    return [count // rows + (k < count % rows) for k in range(rows)]

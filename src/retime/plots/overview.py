"""Everything that `analyze` found, in one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from retime.plots.orbits import _values, time_series

if TYPE_CHECKING:
    from retime.analysis.analyze import Analysis

from retime.plots.basins import basins
from retime.plots.points import fixed_points
from retime.plots.regions import transition_graph
from retime.plots.spectra import exponents, multipliers, spectrum


def analysis(result: Analysis, *, units: Any = None, outputs: bool = False, figure: Any = None) -> list[Axes]:
    """All parts of an analysis in one figure: orbit and fixed points, time series, multipliers, exponents, regions, basins.

    Args:
        result: from `analyze`.
        units: indices of states for the first two panels; None for the first three.
        outputs: draw the readout's outputs there instead of states.
        figure: an empty matplotlib Figure; None makes a new one.

    Returns:
        the Axes, one for each part that the result has.

    Raises:
        ValueError: as `fixed_points` and `time_series`.
    """
    points, panels = result.fixed_points, []
    values = _values(result.orbit, outputs)
    solid = min(values.shape[1] if units is None else len(units), 3) == 3
    panels.append(lambda ax: fixed_points(points, units=units, outputs=outputs, trajectory=result.orbit, ax=ax))
    panels.append(lambda ax: time_series(result.orbit, units=units, outputs=outputs, ax=ax))
    if result.cycles is not None and len(result.cycles):
        panels.append(lambda ax: multipliers(result.cycles, ax=ax))  # type: ignore[arg-type]
    elif len(points):
        panels.append(lambda ax: spectrum(points, ax=ax))
    if not np.isnan(result.exponents.exponents).all():
        panels.append(lambda ax: exponents(result.exponents, ax=ax))  # type: ignore[arg-type]
    if result.regions is not None:
        panels.append(lambda ax: transition_graph(result.regions, ax=ax))  # type: ignore[arg-type]
    if result.basins is not None:
        panels.append(lambda ax: basins(result.basins, ax=ax))  # type: ignore[arg-type]
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = plt.figure(figsize=(4.8 * columns, 4.0 * rows), layout="constrained") if figure is None else figure
    for k, draw in enumerate(panels):
        draw(figure.add_subplot(rows, columns, k + 1, projection="3d" if solid and k == 0 else None))
    figure.suptitle(result.behavior)
    return list(figure.axes)

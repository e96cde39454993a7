"""How far an orbit stays from the boundaries of its regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arguments import system
from retime.core.arrays import Array, real_array
from retime.core.errors import ShapeError
from retime.core.inputs import Inputs
from retime.core.result import Result
from retime.core.system import System
from retime.core.trajectory import Trajectory


@dataclass(frozen=True, eq=False, repr=False)
class BoundaryDistance(Result):
    """How far every sample is from the nearest boundary of its region.

    Attributes:
        distances: `(T,)`, or `(T, b)` for a batch: Euclidean, in the units of the state; infinite when no unit has a boundary, NaN in
            rows lost after an early stop.
        units: the same shape, int: the unit whose boundary is nearest; -1 where there is none.
        times: `(T,)`.
        smallest: the smallest distance; infinite when there is none.
        where: index of the sample (and member) that has it.
    """

    _plot: ClassVar[str] = "boundary_distance"

    distances: Array
    units: Array
    times: Array
    smallest: float
    where: tuple[int, ...]

    def _title(self) -> str:
        if not np.isfinite(self.smallest):
            return "no unit has a boundary"
        return f"smallest {self.smallest:.4g} at t = {self.times[self.where[0]]:.6g}, unit {self.units[self.where]}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        finite = self.distances[np.isfinite(self.distances)]
        if not len(finite):
            return ["of the samples", "are nearer than"], []
        levels = (1, 10, 50, 90)
        return ["of the samples", "are nearer than"], [[f"{p} %", f"{np.percentile(finite, p):.4g}"] for p in levels]


def boundary_distance(model: System, trajectory: Trajectory, *, inputs: Any = None) -> BoundaryDistance:
    """Distance of every sample to the nearest boundary between regions, min_i |W2_i z + C2_i s + h2_i| / ||W2_i||.

    The distance is in the state alone, with the input held. Units whose row of W2 is zero read no state and have no boundary: they are
    skipped.

    Args:
        model: the piecewise-affine system that was simulated.
        trajectory: its orbit, single or a batch.
        inputs: the input at the samples: `(T, m)`, or as for `simulate`, `(T - 1, m)`, whose last row then also holds at the
            last sample; with a middle axis b for members of a batch; or `Inputs`. None: zero.

    Returns:
        BoundaryDistance.

    Raises:
        TypeError: a model without regions, or not a Trajectory. ShapeError: model, trajectory and inputs do not fit.

    Backend: NumPy float64.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.5, 0.5], [[0.0, -1.0], [-1.0, 0.0]], [1.0, 1.0])
        >>> found = rt.boundary_distance(model, rt.simulate(model, [1.0, 1.1], steps=20))
        >>> found.distances.shape
        (21,)
    """
    wanted = "a piecewise-affine model and its Trajectory"
    model = system("boundary_distance", model, wanted=wanted)
    form = getattr(model, "canonical", None)
    if form is None:
        raise TypeError(f"`model` is {type(model).__name__}, which has no regions; boundary_distance takes {wanted}.")
    if not isinstance(trajectory, Trajectory):
        raise TypeError(f"`trajectory` is {type(trajectory).__name__}; boundary_distance takes {wanted}.")
    z = trajectory.states
    if z.shape[-1] != form.num_states:
        raise ShapeError(f"The states of `trajectory` have {z.shape[-1]} entries; those of `model` {form.num_states}.")
    norms = np.linalg.norm(form.W2, axis=1)
    reading = np.flatnonzero(norms > 0)
    lost = np.asarray(np.isnan(z).any(axis=-1))
    if not len(reading):
        none = np.where(lost, np.nan, np.inf)
        return BoundaryDistance(none, np.full(lost.shape, -1), trajectory.times, float("inf"), ())
    g = form.preactivation(z, _at_samples(inputs, trajectory, form.num_inputs))
    d = np.abs(g[..., reading]) / norms[reading]
    units = np.where(lost, -1, reading[np.argmin(d, axis=-1)])
    distances = np.asarray(d.min(axis=-1))  # NaN in lost rows
    where = tuple(int(i) for i in np.unravel_index(np.nanargmin(distances), distances.shape))
    return BoundaryDistance(distances, units, trajectory.times, float(distances[where]), where)


def _at_samples(inputs: Any, path: Trajectory, m: int) -> Array | None:
    """Inputs as `(T, m)` or `(T, 1 or b, m)`."""
    if inputs is None:
        return None
    sampled = isinstance(inputs, Inputs)
    rows = np.array([inputs(float(t)) for t in path.times]) if sampled else real_array("inputs", inputs)
    rows = rows[:, None] if rows.ndim == 1 and m == 1 else rows
    T, b = len(path.times), path.states.shape[1] if path.is_batch else 1
    if len(rows) == T - 1 > 0:
        rows = np.concatenate([rows, rows[-1:]])
    shapes = [(T, m)] + [(T, 1, m), (T, b, m)] * path.is_batch
    if rows.shape not in shapes:
        raise ShapeError(f"`inputs` has shape {rows.shape}; it must be ({T}, {m}) or ({T - 1}, {m}), a row per sample.")
    return rows[:, None] if path.is_batch and rows.ndim == 2 else rows

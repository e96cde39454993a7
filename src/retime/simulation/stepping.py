"""Motions that go step by step: maps, and flows whose regions and inputs are held from sample to sample."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm
from retime.models import PiecewiseAffineFlow, RegionwiseMap
from retime.simulation.arrays import RegionTable
from retime.simulation.horizon import Clock, rows_of, sample_phases
from retime.simulation.moving import Followed, Motion, Steps
from retime.simulation.products import numbered
from retime.simulation.run import Runs, clock_runs, map_runs, table_runs


class RegionSteps(Steps):
    """A map with one step matrix per region."""

    @abstractmethod
    def region_matrices(self, patterns: Array) -> Array:
        """Step matrices `(r, n, n)` of regions `(r, q)`."""

    def step_matrices(self, states: Array, patterns: Array, rows: Array) -> tuple[Array, Array]:
        """One matrix per region."""
        if len(patterns) == 0:
            return np.zeros((0, *states.shape[1:] * 2)), np.zeros(0, dtype=np.int64)
        index, first = numbered(patterns.view(np.uint8))
        return self.region_matrices(patterns[first]), index


@dataclass(frozen=True, eq=False)
class AffineSteps(RegionSteps):
    """A piecewise-affine map: compiled iteration."""

    has_equation: ClassVar[bool] = True

    def runs(self, z: Array, rows: Array) -> Runs:
        """Orbits from z `(b, n)` with inputs `(steps + 1, 1 or b, m)`."""
        return map_runs(self.model.canonical, z, self.model.dt, rows)

    def region_matrices(self, patterns: Array) -> Array:
        """Those of the form."""
        return self.model.canonical.regions(patterns).M


@dataclass(frozen=True, eq=False)
class SwitchedSteps(RegionSteps):
    """A map that is affine in each region: regions looked up by pattern."""

    def runs(self, z: Array, rows: Array) -> Runs:
        """Orbits from z `(b, n)` with inputs `(steps + 1, 1 or b, m)`."""
        form = self.model.canonical

        def provide(bits: Array) -> tuple[Array, int]:
            M, c, E = form.regions(bits[None])
            return np.vstack([c[0], M[0].T, E[0].T]), 0

        return table_runs(form, RegionTable(form.num_units, provide), z, self.model.dt * np.arange(len(rows)), rows)[0]

    def region_matrices(self, patterns: Array) -> Array:
        """Those of the form."""
        return self.model.canonical.regions(patterns).M


@dataclass(frozen=True, eq=False)
class SmoothSteps(Steps):
    """A smooth map: one compiled loop."""

    is_compiled: ClassVar[bool] = True
    has_equation: ClassVar[bool] = True

    def runs(self, z: Array, rows: Array) -> Runs:
        """Orbits from z `(b, n)` with inputs `(steps + 1, 1 or b, m)`."""
        from retime.simulation.smooth import scan_runs

        return scan_runs(self.model, z, rows)

    def step_matrices(self, states: Array, patterns: Array, rows: Array) -> tuple[Array, Array]:
        """One matrix per step."""
        from retime.simulation.smooth import state_jacobians

        n = states.shape[1]
        return state_jacobians(self.model, states, rows) if len(states) else np.zeros((0, n, n)), np.arange(len(states))


@dataclass(frozen=True, eq=False)
class HeldFlow(RegionSteps):
    """Regions and inputs of a flow held from sample to sample: at any time of the flow itself, or its map at the samples."""

    flow: PiecewiseAffineFlow

    @property
    def switching(self) -> Any:
        """The rule, where there is a choice."""
        return "clock" if self.has_choice else None

    @property
    def at_samples(self) -> Motion:
        """The map that the flow is at its samples."""
        return HeldFlow(RegionwiseMap(self.flow), self.flow)

    @property
    def clock(self) -> Clock:
        """Steps of dt, of the flow also times."""
        return Clock(self.flow.dt, True, self.has_choice)

    @property
    def own_map(self) -> PiecewiseAffineForm | None:
        """The map that was converted, whose orbit the flow's is at the samples wherever regions reproduce it."""
        return self.flow.canonical if self.has_choice else None

    def runs(self, z: Array, rows: Array) -> Runs:
        """Orbits from z `(b, n)` with inputs `(steps + 1, 1 or b, m)`."""
        return clock_runs(self.flow, z, 0.0, np.arange(len(rows)), rows)

    def region_matrices(self, patterns: Array) -> Array:
        """Those of the flow's regions over a step."""
        return np.array([r.transition[:, 1 : 1 + self.flow.num_states] for r in self.flow.convert(patterns)])

    def follow(self, z: Array, steps: Any, times: Any, inputs: Any, **accuracy: Any) -> Followed:
        """Orbits from z `(b, n)`."""
        times = self.clock.read(self.model, steps, times, *z.shape)
        phase, m, dt = sample_phases(times, self.flow.dt), self.flow.num_inputs, self.flow.dt
        count = int(np.ceil(phase[-1]))
        rows = rows_of(inputs, count, len(z), m, f"one row per step of dt = {dt} ({count})")
        held = rows[np.minimum(np.floor(phase).astype(int), len(rows) - 1)] if m else rows[:0]
        return times, clock_runs(self.flow, z, times[0], phase, rows), held

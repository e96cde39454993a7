"""Motions in continuous time: from switch to switch, or solved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array, positive
from retime.core.canonical import PiecewiseAffineForm
from retime.core.inputs import Inputs
from retime.core.region import scaling_rows
from retime.core.status import RegionStatus
from retime.core.time import TimeBase
from retime.models import PiecewiseAffineFlow
from retime.simulation.arrays import RegionTable
from retime.simulation.horizon import Clock, Drive, driven, rows_of, sample_phases
from retime.simulation.moving import Followed, Motion
from retime.simulation.run import StateJob, kept_table, state_job
from retime.simulation.stepping import HeldFlow


def converted_regions(flow: PiecewiseAffineFlow) -> Callable[[Array], tuple[Array, int]]:
    """What provides the regions of a converted flow, with the number of auxiliary states, or -1 where there is no field."""

    def provide(pattern: Array) -> tuple[Array, int]:
        r = flow.region(pattern)
        extra = -1 if r.status is RegionStatus.TIME_VARYING else r.auxiliary
        return np.vstack([r.W.T, r.h, r.E.T, r.scaling]), extra

    return provide


def own_regions(form: PiecewiseAffineForm) -> Callable[[Array], tuple[Array, int]]:
    """What provides the regions of a system that is in continuous time itself."""

    def provide(pattern: Array) -> tuple[Array, int]:
        M, c, E = form.regions(pattern[None])
        return np.vstack([M[0].T, c[0], E[0].T, scaling_rows(M[0])]), 0

    return provide


@dataclass(frozen=True, eq=False)
class SwitchedFlow(Motion):
    """A flow that is affine in each region, read from the state: followed from switch to switch.

    Attributes:
        provide: pattern `(q,)` -> (data of its region for the kernels, number of auxiliary states or -1).
        dt: of the sample clock of a converted flow, which inputs are held by; 0 where there is none.
    """

    provide: Callable[[Array], tuple[Array, int]]
    dt: float = 0.0
    is_event_driven: ClassVar[bool] = True

    @property
    def switching(self) -> Any:
        """The rule, where there is a choice."""
        return "state" if self.has_choice else None

    @property
    def clock(self) -> Clock:
        """Times, of a converted flow also steps."""
        return Clock(self.dt, self.dt > 0, True)

    def step_matrix(self, pattern: Array) -> tuple[Array, TimeBase]:
        """The matrix `(n, n)` of a region `(q,)`, and its time base; of a converted flow that of a step."""
        if self.has_choice:
            return HeldFlow(self.model, self.model).step_matrix(pattern)
        return self.model.canonical.regions(pattern[None]).M[0], self.model.time

    def generator(self, pattern: Array, s: Array) -> tuple[Array, Array]:
        """W and h of dy/dt = W y + h in the region `(q,)` with a constant input `(m,)`; y has the auxiliary states too."""
        if self.has_choice:
            r = self.model.region(pattern)
            return r.W, r.h + r.E @ s
        M, c, E = self.model.canonical.regions(pattern[None])
        return M[0], c[0] + E[0] @ s

    def prepare(self, patterns: Array) -> None:
        """Regions `(r, q)` that `provide` will be asked for, converted in bulk."""
        if self.has_choice:
            self.model.convert(patterns)

    def job(self, z: Array, times: Array, drive: Drive) -> StateJob:
        """The simulation from z `(b, n)`, not yet begun."""
        form = self.model.canonical
        table = RegionTable(form.num_units, self.provide)
        if self.has_choice:
            table = kept_table(self.model, "state", self.provide)
        return state_job(form, table, z, times, drive)

    def drive(self, inputs: Any, times: Array, batch: int) -> tuple[Drive, Array]:
        """The input in pieces, and `(T, 1 or b, m)` at the times."""
        m = self.model.num_inputs
        if isinstance(inputs, Inputs):
            return driven(inputs, times, m)
        if not self.dt:
            count = len(times) - 1
            rows = rows_of(inputs, count, batch, m, f"one row per interval of `times` ({count})")
            return Drive.held(times[: max(count, 1)], rows[: max(count, 1)]), rows
        phase = sample_phases(times, self.dt)
        count = int(np.ceil(phase[-1]))
        rows = rows_of(inputs, count, batch, m, f"one row per step of dt = {self.dt} ({count})")
        held = rows[np.minimum(np.floor(phase).astype(int), len(rows) - 1)] if m else rows[:0]
        return Drive.held(times[0] + self.dt * np.arange(max(count, 1)), rows[: max(count, 1)]), held

    def follow(self, z: Array, steps: Any, times: Any, inputs: Any, **accuracy: Any) -> Followed:
        """Orbits from z `(b, n)`."""
        times = self.clock.read(self.model, steps, times, *z.shape)
        drive, held = self.drive(inputs, times, len(z))
        job = self.job(z, times, drive)
        job.run()
        return times, job.runs, held

    def right(self, z: Array, s: Array) -> Array:
        """dz/dt of the region that holds z `(..., n)`."""
        return self.model.field(z, s)

    def jacobian(self, z: Array, s: Array) -> Array:
        """The matrix `(n, n)` of the region that holds z, auxiliary states apart."""
        if not self.has_choice:
            return self.model.jacobian(z, s)
        return self.model.region(self.model.pattern(z, s)).W[: len(z), : len(z)]


@dataclass(frozen=True, eq=False)
class SmoothFlow(Motion):
    """A smooth flow: solved by Diffrax."""

    is_solved: ClassVar[bool] = True

    @property
    def clock(self) -> Clock:
        """Times."""
        return Clock(0.0, False, True)

    def accuracy(self, tolerance: float | None, solver: Any = None) -> dict[str, Any]:
        """The error per step, and the solver.

        Raises:
            ValueError: an error per step that is not positive, or above 0.1.
        """
        from retime.simulation.smooth import TOLERANCE

        tolerance = TOLERANCE if tolerance is None else positive("tolerance", tolerance, "error per step")
        if tolerance > 0.1:
            raise ValueError(
                f"`tolerance` is {tolerance}; an error per step relative to the state must be at most 0.1."
            )
        return {"tolerance": tolerance, "solver": solver}

    def drive(self, inputs: Any, times: Array, batch: int) -> tuple[Any, Array]:
        """The input in pieces, or as a function of time, or None for none; and `(T, 1 or b, m)` at the times."""
        from retime.simulation.smooth import input_function

        m, count = self.model.num_inputs, len(times) - 1
        if isinstance(inputs, Inputs):
            return driven(inputs, times, m)
        if callable(inputs):
            f = input_function(inputs, m)
            return f, np.array([f.in_python([t]) for t in times])[:, None]
        rows = rows_of(inputs, count, batch, m, f"one row per interval of `times` ({count})")
        is_driven = m > 0 and inputs is not None
        return Drive.held(times[: max(count, 1)], rows[: max(count, 1)]) if is_driven else None, rows

    def follow(self, z: Array, steps: Any, times: Any, inputs: Any, **accuracy: Any) -> Followed:
        """Orbits from z `(b, n)`."""
        from retime.simulation.smooth import checked_solver, diffrax_runs

        times = self.clock.read(self.model, steps, times, *z.shape)
        drive, held = self.drive(inputs, times, len(z))
        solver = checked_solver(accuracy["solver"])
        return times, diffrax_runs(self.model, z, times, drive, solver, accuracy["tolerance"]), held

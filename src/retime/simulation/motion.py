"""How a system moves: the one place that asks of what kind it is. What verbs differ in by kind, they ask the motion.

`motion_of` returns one of six: `AffineSteps`, `SwitchedSteps`, `SmoothSteps` (maps), `HeldFlow` (regions and inputs held from sample to
sample; also the map that it is at its samples), `SwitchedFlow` (the region is read from the state), `SmoothFlow` (an ODE to be solved). To add
one, derive from `Motion` or `Steps`, implement what is abstract, and name the capability that has it in `motion_of`: docs/extending.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array, positive
from retime.core.canonical import PiecewiseAffineForm
from retime.core.inputs import Inputs
from retime.core.region import scaling_rows
from retime.core.status import RegionStatus
from retime.core.system import PiecewiseAffineSystem, SwitchedSystem, System
from retime.core.time import Discrete, TimeBase
from retime.models import PiecewiseAffineFlow, RegionwiseMap
from retime.simulation.arrays import RegionTable
from retime.simulation.horizon import Clock, Drive, driven, rows_of, sample_phases
from retime.simulation.products import numbered
from retime.simulation.run import (
    Runs,
    StateJob,
    clock_runs,
    kept_table,
    map_runs,
    state_job,
    table_runs,
)

Followed = tuple[Array, Runs, Array]
"""Times `(T,)`, runs, and the inputs `(T, 1 or b, m)` that outputs are read with."""


def motion_of(model: System, switching: str | None = None) -> Motion:
    """How a system moves.

    Args:
        model: any retime model.
        switching: "clock" or "state", of a converted flow; None is "clock".

    Raises:
        ValueError: another `switching`.
    """
    if switching not in (None, "clock", "state"):
        raise ValueError(
            f'`switching` is {switching!r}; it must be "clock" (region held for one step) or "state" (read from the state).'
        )
    is_map = isinstance(model.time, Discrete)
    if isinstance(model, PiecewiseAffineFlow):
        if switching == "state":
            return SwitchedFlow(model, _flow_region(model), model.dt)
        return HeldFlow(model, model)
    if isinstance(model, RegionwiseMap):
        return HeldFlow(model, model.flow)
    if isinstance(model, SwitchedSystem):
        return SwitchedSteps(model) if is_map else SwitchedFlow(model, _own_region(model.canonical))
    if isinstance(model, PiecewiseAffineSystem):
        return AffineSteps(model) if is_map else SwitchedFlow(model, _own_region(model.canonical))
    return SmoothSteps(model) if is_map else SmoothFlow(model)


@dataclass(frozen=True, eq=False)
class Motion(ABC):
    """What a verb may ask of any system.

    Attributes:
        horizon: how its length is called, "steps" or "duration".
        is_stepped: whether an orbit is a sequence of steps, z_{k+1} = F(z_k, s_k); else time flows between events or solver steps.
        is_solved: whether an ODE solver follows it, with `tolerance` and `solver`.
        is_event_driven: whether it is followed from switch to switch, which may come as often as they like.
        has_equation: whether its step is one function that JAX differentiates.
        is_compiled: whether its programs are compiled anew for every size of a batch.
        has_choice: whether `switching` is to be chosen.
    """

    model: Any
    is_stepped: ClassVar[bool] = False
    is_solved: ClassVar[bool] = False
    is_compiled: ClassVar[bool] = False
    is_event_driven: ClassVar[bool] = False
    has_equation: ClassVar[bool] = False
    horizon: ClassVar[str] = "duration"

    @property
    def has_choice(self) -> bool:
        """Whether `switching` is to be chosen."""
        return isinstance(self.model, PiecewiseAffineFlow)

    @property
    def switching(self) -> str | None:
        """The rule, where there is a choice."""
        return None

    @property
    def at_samples(self) -> Motion:
        """The motion from sample to sample, where regions are held, as that of a map."""
        return self

    @property
    def sampled(self) -> System:
        """A system with the same states at the sample times: of a converted flow, the map."""
        return self.model.map if self.has_choice else self.model

    @property
    @abstractmethod
    def clock(self) -> Clock:
        """The horizon that it takes."""

    @abstractmethod
    def follow(self, z: Array, steps: Any, times: Any, inputs: Any, **accuracy: Any) -> Followed:
        """Orbits from z `(b, n)`."""

    def accuracy(self, tolerance: float | None, solver: Any = None) -> dict[str, Any]:
        """The options of `follow` and `simulate` for an error per step; none where nothing is solved."""
        return {}

    def right(self, z: Array, s: Array) -> Array:
        """F at states `(..., n)` and inputs `(..., m)`: z_{k+1}, or dz/dt."""
        return self.model.apply(z, s)

    def jacobian(self, z: Array, s: Array) -> Array:
        """dF/dz `(n, n)` at one state."""
        return self.model.jacobian(z, s)

    def span(self, steps: int, duration: float) -> dict[str, Any]:
        """The horizon as `simulate` takes it: so many steps, or the ends of so much model time."""
        return {"steps": steps} if self.is_stepped else {"times": [0.0, duration]}

    def held_input(self, s: Array, count: int) -> Any:
        """A constant input `(m,)` for `count` steps, or intervals of time."""
        return np.tile(s, (count, 1)) if len(s) else None


# --- steps -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Steps(Motion):
    """A map: runs of whole steps, and the matrix of each."""

    is_stepped: ClassVar[bool] = True
    horizon: ClassVar[str] = "steps"

    @property
    def clock(self) -> Clock:
        """Steps of dt."""
        return Clock(self.model.dt, True, False)

    @abstractmethod
    def runs(self, z: Array, rows: Array) -> Runs:
        """Orbits from z `(b, n)` with inputs `(steps + 1, 1 or b, m)`."""

    @abstractmethod
    def step_matrices(self, states: Array, patterns: Array, rows: Array) -> tuple[Array, Array]:
        """Matrices `(r, n, n)` and for every step which one `(T,)`, at states `(T, n)` in regions `(T, q)` with inputs `(T, m)`."""

    def step_matrix(self, pattern: Array) -> tuple[Array, TimeBase]:
        """The matrix `(n, n)` of a region `(q,)`, and its time base."""
        return self.step_matrices(np.zeros((1, self.model.num_states)), pattern[None], np.zeros((1, 0)))[0][
            0
        ], Discrete(self.clock.dt)

    @property
    def own_map(self) -> PiecewiseAffineForm | None:
        """The map that this motion may equal at every step; None where it is one itself."""
        return None

    def follow(self, z: Array, steps: Any, times: Any, inputs: Any, **accuracy: Any) -> Followed:
        """Orbits from z `(b, n)`."""
        times = self.clock.read(self.model, steps, times, *z.shape)
        count = len(times) - 1
        rows = rows_of(inputs, count, len(z), self.model.num_inputs, f"one row per step ({count})")
        return times, self.runs(z, rows), rows


def _by_region(patterns: Array, matrices: Callable[[Array], Array], n: int) -> tuple[Array, Array]:
    """The matrices of the distinct patterns `(T, q)`, and for every row which one."""
    if len(patterns) == 0:
        return np.zeros((0, n, n)), np.zeros(0, dtype=np.int64)
    index, first = numbered(patterns.view(np.uint8))
    return matrices(patterns[first]), index


@dataclass(frozen=True, eq=False)
class AffineSteps(Steps):
    """A piecewise-affine map: compiled iteration."""

    has_equation: ClassVar[bool] = True

    def runs(self, z: Array, rows: Array) -> Runs:
        """Orbits from z `(b, n)` with inputs `(steps + 1, 1 or b, m)`."""
        return map_runs(self.model.canonical, z, self.model.dt, rows)

    def step_matrices(self, states: Array, patterns: Array, rows: Array) -> tuple[Array, Array]:
        """One matrix per region."""
        return _by_region(patterns, lambda d: self.model.canonical.regions(d).M, states.shape[1])


@dataclass(frozen=True, eq=False)
class SwitchedSteps(Steps):
    """A map that is affine in each region: regions looked up by pattern."""

    def runs(self, z: Array, rows: Array) -> Runs:
        """Orbits from z `(b, n)` with inputs `(steps + 1, 1 or b, m)`."""
        form = self.model.canonical

        def provide(bits: Array) -> tuple[Array, int]:
            M, c, E = form.regions(bits[None])
            return np.vstack([c[0], M[0].T, E[0].T]), 0

        return table_runs(form, RegionTable(form.num_units, provide), z, self.model.dt * np.arange(len(rows)), rows)[0]

    def step_matrices(self, states: Array, patterns: Array, rows: Array) -> tuple[Array, Array]:
        """One matrix per region."""
        return _by_region(patterns, lambda d: self.model.canonical.regions(d).M, states.shape[1])


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
class HeldFlow(Steps):
    """Regions and inputs of a flow held from sample to sample: at any time of the flow itself, or its map at the samples."""

    flow: PiecewiseAffineFlow

    @property
    def switching(self) -> str | None:
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

    def step_matrices(self, states: Array, patterns: Array, rows: Array) -> tuple[Array, Array]:
        """One matrix per region."""
        n = states.shape[1]
        return _by_region(patterns, lambda d: np.array([r.transition[:, 1 : 1 + n] for r in self.flow.convert(d)]), n)

    def follow(self, z: Array, steps: Any, times: Any, inputs: Any, **accuracy: Any) -> Followed:
        """Orbits from z `(b, n)`."""
        times = self.clock.read(self.model, steps, times, *z.shape)
        phase, m, dt = sample_phases(times, self.flow.dt), self.flow.num_inputs, self.flow.dt
        count = int(np.ceil(phase[-1]))
        if not self.has_choice:
            rows = rows_of(inputs, count, len(z), m, f"one row per step of dt = {dt} ({count})")
        held = rows[np.minimum(np.floor(phase).astype(int), len(rows) - 1)] if m else rows[:0]
        return times, clock_runs(self.flow, z, times[0], phase, rows), held


# --- flows -----------------------------------------------------------------------------------------------------------


def _flow_region(flow: PiecewiseAffineFlow) -> Callable[[Array], tuple[Array, int]]:
    def provide(pattern: Array) -> tuple[Array, int]:
        r = flow.region(pattern)
        extra = -1 if r.status is RegionStatus.TIME_VARYING else r.auxiliary
        return np.vstack([r.W.T, r.h, r.E.T, r.scaling]), extra

    return provide


def _own_region(form: PiecewiseAffineForm) -> Callable[[Array], tuple[Array, int]]:
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
    def switching(self) -> str | None:
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

    def held_input(self, s: Array, count: int) -> Any:
        """One piece: no step ends at a sample for the input's sake."""
        return Inputs(np.zeros(1), s[None]) if len(s) else None


@dataclass(frozen=True, eq=False)
class SmoothFlow(Motion):
    """A smooth flow: solved by Diffrax."""

    is_solved: ClassVar[bool] = True
    is_compiled: ClassVar[bool] = True

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

    def held_input(self, s: Array, count: int) -> Any:
        """One piece: no step ends at a sample for the input's sake."""
        return Inputs(np.zeros(1), s[None]) if len(s) else None

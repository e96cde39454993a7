"""What a verb may ask of any system, whatever its kind: the interface of a motion, and of one that goes step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm
from retime.core.inputs import Inputs
from retime.core.system import System
from retime.core.time import Discrete, TimeBase
from retime.simulation.horizon import SNAP, Clock, Horizon, rows_of, sample_phases
from retime.simulation.run import Runs

Followed = tuple[Array, Runs, Array]
"""Times `(T,)`, runs, and the inputs `(T, 1 or b, m)` that outputs are read with."""


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
        rest_period: the period of what is at rest: one step of a map, no time of a flow; its type is that of periods.
        density: neighboring states of an orbit that tell about as much as one does: samples of a flow are correlated.
    """

    model: Any
    is_stepped: ClassVar[bool] = False
    is_solved: ClassVar[bool] = False
    is_compiled: ClassVar[bool] = False
    is_event_driven: ClassVar[bool] = False
    has_equation: ClassVar[bool] = False
    horizon: ClassVar[str] = "duration"
    rest_period: ClassVar[float] = 0.0
    density: ClassVar[int] = 4

    @property
    def has_choice(self) -> bool:
        """Whether `switching` is to be chosen."""
        return self.model.takes_switching

    @property
    def switching(self) -> Any:
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

    def span(self, steps: int, duration: Any, samples: int = 1) -> dict[str, Any]:
        """The horizon as `simulate` takes it: so many steps, or so much model time with its ends and what lies between samples."""
        return {"times": np.linspace(0.0, duration, samples + 1)}

    def measured(self, times: Array, skipped: float, is_default: bool) -> Horizon:
        """What is measured of an orbit over `times`: all but its first `skipped` (model time), or what that is by default."""
        return Horizon(0, times, skipped, float(times[0]))

    def late(self, steps: int, count: int, time: float, rate: Callable[[], float]) -> dict[str, Any]:
        """The horizon of an orbit whose last `count` states are looked at: after a transient of so many steps, or of `time` in units
        of 1 / rate and as long again for the states."""
        return {"times": np.concatenate([[0.0], (time + time * np.arange(count) / count) / rate()])}

    def held_input(self, s: Array, count: int) -> Any:
        """A constant input `(m,)` for `count` steps; of a flow one piece, so that no step ends at a sample for the input's sake."""
        return Inputs(np.zeros(1), s[None]) if len(s) else None


@dataclass(frozen=True, eq=False)
class Steps(Motion):
    """A map: runs of whole steps, and the matrix of each."""

    is_stepped: ClassVar[bool] = True
    horizon: ClassVar[str] = "steps"
    rest_period: ClassVar[float] = 1
    density: ClassVar[int] = 1

    def span(self, steps: int, duration: Any, samples: int = 1) -> dict[str, Any]:
        """The horizon as `simulate` takes it: so many steps."""
        return {"steps": steps}

    def held_input(self, s: Array, count: int) -> Any:
        """A constant input `(m,)` for `count` steps."""
        return np.tile(s, (count, 1)) if len(s) else None

    def measured(self, times: Array, skipped: float, is_default: bool) -> Horizon:
        """What is measured of an orbit over `times`, in whole steps.

        Raises:
            ValueError: none is left.
        """
        dt = self.clock.dt
        count = int(np.floor(sample_phases(times[[0, -1]], dt)[-1]))
        skip = count // 10 if is_default else int(np.ceil(skipped / dt - SNAP))
        if count - skip < 1:
            raise ValueError(
                f"`times` hold {count} steps of dt = {dt:.6g}, {skip} of them transient; at least one must be left to measure."
            )
        return Horizon(count, times, skip, float(times[0]))

    def late(self, steps: int, count: int, time: float, rate: Callable[[], float]) -> dict[str, Any]:
        """The horizon of an orbit whose last `count` states are looked at: after a transient of so many steps."""
        return {"steps": steps + count - 1}

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

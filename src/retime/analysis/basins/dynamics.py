"""A model with constant input, advanced a part of its horizon at a time: what basins are measured with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.analysis.view import constant_input
from retime.core.arguments import whole
from retime.core.arrays import Array, positive
from retime.core.clock import work_seconds
from retime.core.status import TrajectoryStatus
from retime.core.trajectory import Trajectory
from retime.simulation import simulate
from retime.simulation.motion import Motion, motion_of

MEMORY = 2e8  # bytes of states that are simulated at a time
CHUNKS = (4, 16, 64)  # quarters of the horizon: the horizon itself, and twice more for those that have not settled
SAMPLES = 256  # of a flow in a quarter of the horizon, and states of a map that are looked at
NEUTRAL = (
    1e-9  # distance of a multiplier from modulus 1, or of an exponent from 0 relative to the rate, that counts as none
)
PIECE = 0.25  # seconds that one simulation of an event-driven flow is meant to take, for the clock to be looked at
GROUP = (8, 256)  # orbits of such a flow in one simulation: at first, and at most


@dataclass
class Dynamics:
    """A model with constant input."""

    motion: Motion
    s: Array
    quarter: Any  # steps, or model time
    rate: float
    max_period: int
    far: float = math.inf  # states beyond it have diverged
    is_interrupted: bool = False

    @property
    def model(self) -> Any:
        """The model."""
        return self.motion.model

    @property
    def is_map(self) -> bool:
        """Whether orbits are sequences of steps."""
        return self.motion.is_stepped

    @property
    def rows(self) -> int:
        """States that are simulated in a quarter of the horizon."""
        return int(self.quarter) if self.is_map else SAMPLES

    @property
    def horizon(self) -> float:
        """Steps or model time that every start is given."""
        return float(self.quarter * CHUNKS[0])

    def advance(self, z: Array, deadline: float) -> tuple[Array, Array, Array]:
        """The last states `(w, b, n)` of a quarter of the horizon, which members (bool) stopped for another reason than
        divergence, and which were not finished before the deadline or Ctrl-C."""
        length = min(self.rows, SAMPLES)
        window = np.full((length + 1, *z.shape), np.nan)
        window[0] = z
        stopped, late = np.zeros(len(z), dtype=bool), np.ones(len(z), dtype=bool)
        try:
            follow = self._groups if self.motion.is_event_driven else self._blocks
            follow(window, stopped, late, deadline)
        except KeyboardInterrupt:
            self.is_interrupted = True
        return window, stopped, late

    def _blocks(self, window: Array, stopped: Array, late: Array, deadline: float) -> None:
        """Fill the window, a block of members at a time for the memory's sake."""
        z = window[0].copy()
        block = max(1, int(MEMORY // (8 * z.shape[1] * (self.rows + 1))))
        block = min(block, 1 << (len(z) - 1).bit_length())
        for k in range(0, len(z), block):
            if k and work_seconds() > deadline:
                return
            some = slice(k, min(k + block, len(z)))
            window[:, some], stopped[some] = self._advance(z[some], block)
            late[some] = False

    def _advance(self, z: Array, block: int) -> tuple[Array, Array]:
        count = len(z)
        if not self.is_map:
            path = self._flown(z, np.linspace(0.0, self.quarter, SAMPLES + 1))
        else:
            z = (
                z[np.minimum(np.arange(block), count - 1)] if self.motion.is_compiled else z
            )  # once per size of the block
            path = simulate(self.model, z, steps=self.rows, inputs=np.tile(self.s, (self.rows, 1)))
        return path.states[-SAMPLES - 1 :, :count], lost(path)[:count]

    def _flown(self, z: Array, times: Array, tolerance: float = 1e-8) -> Trajectory:
        held = self.motion.held_input(self.s, len(times) - 1)
        accuracy, rule = self.motion.accuracy(tolerance), self.motion.switching
        return simulate(self.model, z, times=times, inputs=held, switching=rule, **accuracy)

    def _groups(self, window: Array, stopped: Array, late: Array, deadline: float) -> None:
        """Fill the window of an event-driven flow, a group of members at a time: one that switches thousands of times per
        unit of time must not keep the others waiting for a clock that nobody looks at."""
        first, size = 0, GROUP[0]
        while first < len(late) and work_seconds() <= deadline:
            some, began = slice(first, min(first + size, len(late))), work_seconds()
            self._group(window[:, some], stopped[some], late[some], deadline)
            quick = work_seconds() - began < PIECE
            first, size = some.stop, min(2 * size, GROUP[1]) if quick else max(1, size // 2)

    def _group(self, window: Array, stopped: Array, late: Array, deadline: float) -> None:
        """Fill a window from its first row in pieces of the horizon, each sized by the time that the one before took.

        Pieces end at sample times, where the auxiliary states of a raised region are zero. Members that are far away end
        there; the NaN that remain say so.
        """
        grid = np.linspace(0.0, self.quarter, SAMPLES + 1)
        tick = self.motion.clock.dt or grid[1]
        count = max(1, math.ceil(self.quarter / tick - 1e-9))
        z, at, reach = window[0].copy(), 0, max(1, count // 64)
        while late.any() and work_seconds() <= deadline:
            began, alive, end = work_seconds(), np.flatnonzero(late), min(at + reach, count)
            low, high = at * tick, self.quarter if end == count else end * tick
            rows = np.flatnonzero((grid > low) & (grid <= high))
            path = self._flown(z[alive], np.unique([low, *grid[rows], high]) - low)
            window[np.ix_(rows, alive)] = path.states[1 : 1 + len(rows)]
            z[alive], stopped[alive] = path.states[-1], lost(path)
            late[alive] = (end < count) & ~stopped[alive] & (np.abs(z[alive]) < self.far).all(axis=1)
            at, spent = end, work_seconds() - began
            reach = max(1, int(reach * min(4.0, PIECE / max(spent, 1e-6))))

    def path(self, z: Array, duration: float, pieces: int = 1) -> tuple[Array, Array]:
        """Times `(k,)` and accurate states `(k, b, n)` of a flow from z `(b, n)`, SAMPLES in each of equal pieces of a duration;
        always as many, so that one program is compiled."""
        times, parts = np.linspace(0.0, duration, pieces * SAMPLES + 1), [z[None]]
        for _ in range(pieces):
            parts.append(self._flown(parts[-1][-1], times[: SAMPLES + 1], 1e-12).states[1:])
        return times, np.concatenate(parts)

    def right(self, z: Array) -> Array:
        """F at one state `(n,)`."""
        return self.motion.right(z, self.s)

    def jacobian(self, z: Array) -> Array:
        """dF/dz at one state `(n, n)`; for a state-switched flow the generator of the region, auxiliary states apart."""
        return self.motion.jacobian(z, self.s)

    def around(self, z: Array, period: int) -> tuple[Array, Array, Array]:
        """Residual `(n,)` and Jacobian of F^k(z) - z (maps) or F (flows, period 1), and the orbit `(k, n)`."""
        orbit, M, x = [], np.eye(len(z)), z
        for _ in range(period):
            orbit.append(x)
            M = self.jacobian(x) @ M
            x = self.right(x)
        time = self.model.time
        return time.motion(x, z), time.motion_jacobian(M), np.array(orbit)

    def largest(self, J: Array) -> float:
        """How attracting, from the Jacobian of `around`: largest modulus of a multiplier, or largest real part."""
        time = self.model.time
        return float(time.sizes(np.linalg.eigvals(time.right_jacobian(J))).max())

    def excess(self, largest: float) -> float:
        """Below 0 where attracting, in units of NEUTRAL."""
        time = self.model.time
        return (largest - time.neutral) / time.scale(self.rate) / NEUTRAL


def lost(path: Trajectory) -> Array:
    """Which members (bool) stopped for another reason than divergence."""
    fine = (TrajectoryStatus.COMPLETED, TrajectoryStatus.NONUNIQUE, TrajectoryStatus.DIVERGED)
    return np.array([s not in fine for s in path.statuses])


def dynamics_of(
    model: Any, box: Array, steps: Any, duration: Any, inputs: Any, switching: Any, max_period: int
) -> Dynamics:
    """The dynamics of a model in a box, with a horizon that is given or a guess; a clock-held flow as the map that it is at the samples.

    Raises:
        ValueError: a horizon of the other kind. ShapeError: not one constant input.
    """
    s, motion = constant_input(model, inputs), motion_of(model, switching).at_samples
    other = {"duration": duration, "steps": steps}
    other.pop(motion.horizon)
    for wrong, value in other.items():
        if value is not None:
            does = {"steps": "is a map", "duration": "flows"}[motion.horizon]
            name = type(motion.model).__name__
            raise ValueError(f"`{wrong}` was given, but {name} {does}: give `{motion.horizon}`.")
    if motion.is_stepped:
        quarter = -(-whole("steps", 1000 if steps is None else steps, 1) // CHUNKS[0])
        return Dynamics(motion, s, quarter, 1.0, min(max_period, max(quarter - 1, 1)))
    flow = Dynamics(motion, s, 1.0, 1.0, 1)
    flow.rate = _rate(flow, box)
    longest = 1000 * motion.clock.dt or 200.0 / flow.rate
    total = longest if duration is None else positive("duration", duration, "model time")
    flow.quarter = total / CHUNKS[0]
    return flow


def _rate(flow: Dynamics, box: Array) -> float:
    z = box[:, 0] + (box[:, 1] - box[:, 0]) * np.random.default_rng(0).random((8, len(box)))
    sizes = np.array([np.linalg.norm(flow.jacobian(x), 2) for x in z])
    fine = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(np.median(fine)) if len(fine) else 1.0

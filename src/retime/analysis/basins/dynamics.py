"""A model with constant input in a box, advanced a part of its horizon at a time: what basins are measured with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.analysis.basins.settling import Settling
from retime.analysis.view import constant_input
from retime.core.arguments import whole
from retime.core.arrays import Array, positive
from retime.core.clock import work_seconds
from retime.core.patience import Patience
from retime.core.status import TrajectoryStatus
from retime.core.time import TimeBase
from retime.core.tolerances import FAR
from retime.core.trajectory import Trajectory
from retime.simulation import simulate
from retime.simulation.motion import Motion, motion_of

MEMORY = 2e8  # bytes of states that are simulated at a time
QUARTERS = 4  # parts of the horizon in which orbits are advanced
SAMPLES = 256  # of a flow in a quarter of the horizon, and states of a map that are looked at
PIECE = 0.25  # seconds that one simulation of an event-driven flow is meant to take, for the clock to be looked at
GROUP = (8, 256)  # orbits of such a flow in one simulation: at first, and at most


@dataclass
class Dynamics:
    """A model with constant input in a box.

    Attributes:
        motion, s: how it moves, and the input. settling, patience: what counts as settled, and until when to work.
        width, far: the longest side of the box, and the size beyond which states have diverged.
        quarter: of the horizon, steps or model time. rows: states that are simulated in it.
        rate: of a flow, 1 / model time. max_period: longest cycle that is recognized as one, in steps (1: a state at rest).
    """

    motion: Motion
    s: Array
    settling: Settling
    patience: Patience
    width: float
    far: float
    quarter: Any
    rows: int = SAMPLES
    rate: float = 1.0
    max_period: int = 1

    @property
    def model(self) -> Any:
        """The model."""
        return self.motion.model

    @property
    def time(self) -> TimeBase:
        """Its time base."""
        return self.model.time

    @property
    def horizon(self) -> float:
        """Steps or model time that every start is given."""
        return float(self.quarter * QUARTERS)

    def is_near(self, z: Array) -> Array:
        """Which of the states `(b, n)` have not diverged."""
        return np.asarray((np.abs(z) < self.far).all(axis=1))

    def advance(self, z: Array) -> tuple[Array, Array, Array]:
        """The last states `(w, b, n)` of a quarter of the horizon, which members (bool) stopped for another reason than
        divergence, and which were not finished when work ended."""
        window = np.full((min(self.rows, SAMPLES) + 1, *z.shape), np.nan)
        window[0] = z
        stopped, late = np.zeros(len(z), dtype=bool), np.ones(len(z), dtype=bool)
        with self.patience:
            (self._groups if self.motion.is_event_driven else self._blocks)(window, stopped, late)
        return window, stopped, late

    def _blocks(self, window: Array, stopped: Array, late: Array) -> None:
        """Fill the window, a block of members at a time for the memory's sake."""
        z = window[0].copy()
        block = max(1, int(MEMORY // (8 * z.shape[1] * (self.rows + 1))))
        block = min(block, 1 << (len(z) - 1).bit_length())
        for k in range(0, len(z), block):
            if k:
                self.patience.check()
            some = slice(k, min(k + block, len(z)))
            x, count = z[some], some.stop - k
            if self.motion.is_compiled:  # once per size of the block
                x = x[np.minimum(np.arange(block), count - 1)]
            path = self._simulated(x, **self.motion.span(self.rows, self.quarter, SAMPLES))
            window[:, some], stopped[some] = path.states[-SAMPLES - 1 :, :count], lost(path)[:count]
            late[some] = False

    def _simulated(self, z: Array, tolerance: float = 1e-8, **horizon: Any) -> Trajectory:
        held, rule = self.motion.held_input(self.s, self.rows), self.motion.switching
        return simulate(self.model, z, inputs=held, switching=rule, **horizon, **self.motion.accuracy(tolerance))

    def _groups(self, window: Array, stopped: Array, late: Array) -> None:
        """Fill the window of an event-driven flow, a group of members at a time: one that switches thousands of times per
        unit of time must not keep the others waiting for a clock that nobody looks at."""
        first, size = 0, GROUP[0]
        while first < len(late):
            self.patience.check()
            some, began = slice(first, min(first + size, len(late))), work_seconds()
            self._group(window[:, some], stopped[some], late[some])
            quick = work_seconds() - began < PIECE
            first, size = some.stop, min(2 * size, GROUP[1]) if quick else max(1, size // 2)

    def _group(self, window: Array, stopped: Array, late: Array) -> None:
        """Fill a window from its first row in pieces of the horizon, each sized by the time that the one before took.

        Pieces end at sample times, where the auxiliary states of a raised region are zero. Members that are far away end
        there; the NaN that remain say so.
        """
        grid = np.linspace(0.0, self.quarter, SAMPLES + 1)
        tick = self.motion.clock.dt or grid[1]
        count = max(1, math.ceil(self.quarter / tick - 1e-9))
        z, at, reach = window[0].copy(), 0, max(1, count // 64)
        while late.any():
            self.patience.check()
            began, alive, end = work_seconds(), np.flatnonzero(late), min(at + reach, count)
            low, high = at * tick, self.quarter if end == count else end * tick
            rows = np.flatnonzero((grid > low) & (grid <= high))
            path = self._simulated(z[alive], times=np.unique([low, *grid[rows], high]) - low)
            window[np.ix_(rows, alive)] = path.states[1 : 1 + len(rows)]
            z[alive], stopped[alive] = path.states[-1], lost(path)
            late[alive] = (end < count) & ~stopped[alive] & self.is_near(z[alive])
            at, spent = end, work_seconds() - began
            reach = max(1, int(reach * min(4.0, PIECE / max(spent, 1e-6))))

    def path(self, z: Array, duration: float, pieces: int) -> tuple[Array, Array]:
        """Times `(k,)` and accurate states `(k, n)` of a flow from z `(n,)`, SAMPLES in each of equal pieces of a duration."""
        times, parts = np.linspace(0.0, duration, pieces * SAMPLES + 1), [z[None]]
        for _ in range(pieces):  # always as many samples, so that one program is compiled
            parts.append(self._simulated(parts[-1][-1:], 1e-12, times=times[: SAMPLES + 1]).states[1:, 0])
        return times, np.concatenate(parts)

    def around(self, z: Array, period: int) -> tuple[Array, Array, Array]:
        """Residual `(n,)` and Jacobian of F^k(z) - z (maps) or F (flows, period 1), and the orbit `(k, n)`."""
        orbit, M, x = [], np.eye(len(z)), z
        for _ in range(period):
            orbit.append(x)
            M = self.motion.jacobian(x, self.s) @ M
            x = self.motion.right(x, self.s)
        return self.time.motion(x, z), self.time.motion_jacobian(M), np.array(orbit)

    def largest(self, z: Array, period: int) -> float:
        """How attracting a point or cycle is: largest modulus of a multiplier, or largest real part."""
        J = self.time.right_jacobian(self.around(z, period)[1])
        return float(self.time.sizes(np.linalg.eigvals(J)).max())

    def excess(self, largest: float) -> float:
        """Below 0 where attracting, in units of what counts as none."""
        return (largest - self.time.neutral) / self.time.scale(self.rate) / self.settling.neutral


def lost(path: Trajectory) -> Array:
    """Which members (bool) stopped for another reason than divergence."""
    fine = (TrajectoryStatus.COMPLETED, TrajectoryStatus.NONUNIQUE, TrajectoryStatus.DIVERGED)
    return np.array([s not in fine for s in path.statuses])


def dynamics_of(
    model: Any, box: Array, steps: Any, duration: Any, inputs: Any, switching: Any, max_period: int, settling: Settling, patience: Patience
) -> Dynamics:  # fmt: skip
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
    reach = float(np.abs(box).max())
    width = float((box[:, 1] - box[:, 0]).max()) or 1e-3 * reach or 1.0
    found = Dynamics(motion, s, settling, patience, width, FAR * (width + reach), 1.0)
    if motion.is_stepped:
        found.quarter = found.rows = -(-whole("steps", 1000 if steps is None else steps, 1) // QUARTERS)
        found.max_period = min(max_period, max(found.rows - 1, 1))
        return found
    found.rate = _rate(found, box)
    usual = 1000 * motion.clock.dt or 200.0 / found.rate
    found.quarter = (usual if duration is None else positive("duration", duration, "model time")) / QUARTERS
    return found


def _rate(flow: Dynamics, box: Array) -> float:
    sizes = np.array([np.linalg.norm(flow.motion.jacobian(x, flow.s), 2) for x in drawn(box, 8, 0)])
    fine = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(np.median(fine)) if len(fine) else 1.0


def drawn(box: Array, count: int, seed: int) -> Array:
    """States `(count, n)`, uniform in a box `(n, 2)`."""
    return box[:, 0] + (box[:, 1] - box[:, 0]) * np.random.default_rng(seed).random((count, len(box)))

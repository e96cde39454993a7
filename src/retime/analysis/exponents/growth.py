"""Growth of tangent vectors along an orbit, whatever the system: maps, flows with switches, smooth flows.

Every way returns a `Growth`: logarithms of growth per record, a record being a stretch of the orbit. Maps and clock-held flows
are products of step matrices (compiled); so are smooth maps, whose Jacobians JAX computes in bulk. Flows whose region is read
from the state are followed from switch to switch. Smooth flows are solved together with their vectors by Diffrax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.core.status import SearchStatus, TrajectoryStatus

RECORDS = 1024  # stretches of the orbit whose growth is kept


@dataclass
class Growth:
    """How tangent vectors grew, part by part.

    Attributes:
        logs: `(K, p)`, logarithm of the growth of each vector. durations: `(K,)`, model time of each record.
        end: `(n,)`, the last state.
        volume: sum of log|det| of all steps that were measured, found without the vectors; NaN where it is not known.
        status, status_time, message: how the orbit ended.
        ended: `interrupted` or `time_limit` where the work was cut short, else None.
        reached: model time of the orbit that was followed then, what was not measured included.
        noise: 1 / model time, what a solver's tolerance may add to every exponent.
    """

    logs: Array
    durations: Array
    end: Array
    volume: float = 0.0
    status: TrajectoryStatus = TrajectoryStatus.COMPLETED
    status_time: float = float("nan")
    message: str = ""
    ended: SearchStatus | None = None
    reached: float = 0.0
    noise: float = 0.0

    @classmethod
    def none(cls, num: int, z: Array) -> Growth:
        """Of `num` vectors, before anything was measured."""
        return cls(np.zeros((0, num)), np.zeros(0), z)

    def add(self, logs: Array, durations: Array, volume: float) -> None:
        """Note the records of a part of the orbit."""
        self.logs, self.durations = np.concatenate([self.logs, logs]), np.append(self.durations, durations)
        self.volume += volume

    def finished(self, patience: Patience, reached: float, runs: Any = None) -> Growth:
        """With how the work ended, and the orbit, where there are `runs` of it."""
        self.ended, self.reached = patience.ended, reached
        if runs is not None:
            self.status, self.status_time, self.message = (
                runs.statuses[0],
                float(runs.status_times[0]),
                runs.messages[0],
            )
        return self


def starting_vectors(num_states: int, num: int) -> Array:
    """Random orthonormal vectors `(n, p)`, the same in every call.

    Unit vectors would be wrong: where units do not act on each other they keep the order of the units until rounding turns them
    to that of the exponents.
    """
    return np.linalg.qr(np.random.default_rng(0).normal(size=(num_states, num)))[0]


def sums(logs: Array, steps: int) -> Array:
    """Rows summed `steps` at a time."""
    return np.add.reduceat(logs, np.arange(0, len(logs), steps), axis=0) if len(logs) else logs


def thinned(durations: Array, logs: Array) -> tuple[Array, Array]:
    """At most `RECORDS` records: as many neighbours as are needed are summed."""
    per = max(-(-len(logs) // RECORDS), 1)
    return sums(durations, per), sums(logs, per)

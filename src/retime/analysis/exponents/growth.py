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
    """How tangent vectors grew.

    Attributes:
        durations: `(K,)`, model time of each record.
        logs: `(K, p)`, logarithm of the growth of each vector.
        volume: sum of log|det| of all steps that were measured, found without the vectors; NaN where it is not known.
        end: `(n,)`, the last state.
        status, status_time, message: how the orbit ended.
        ended: `interrupted` or `time_limit` where the work was cut short, else None.
        reached: model time of the orbit that was followed then, what was not measured included.
        noise: 1 / model time, what a solver's tolerance may add to every exponent.
    """

    durations: Array
    logs: Array
    volume: float
    end: Array
    status: TrajectoryStatus = TrajectoryStatus.COMPLETED
    status_time: float = float("nan")
    message: str = ""
    ended: SearchStatus | None = None
    reached: float = 0.0
    noise: float = 0.0


def starting_vectors(num_states: int, num: int) -> Array:
    """Random orthonormal vectors `(n, p)`, the same in every call.

    Unit vectors would be wrong: where units do not act on each other they keep the order of the units until rounding turns them
    to that of the exponents.
    """
    return np.linalg.qr(np.random.default_rng(0).normal(size=(num_states, num)))[0]


def sums(logs: Array, steps: int) -> Array:
    """Rows summed `steps` at a time."""
    return np.add.reduceat(logs, np.arange(0, len(logs), steps), axis=0) if len(logs) else logs


def growth_of(
    runs: Any, durations: list[Array], logs: list[Array], volume: float, end: Array, patience: Patience, reached: float
) -> Growth:
    """What was recorded, joined; how the orbit `runs` ended, where there is one."""
    found = Growth(np.concatenate(durations), np.concatenate(logs), volume, end, ended=patience.ended, reached=reached)
    if runs is not None:
        found.status, found.status_time, found.message = runs.statuses[0], float(runs.status_times[0]), runs.messages[0]
    return found


def thinned(durations: Array, logs: Array) -> tuple[Array, Array]:
    """At most `RECORDS` records: as many neighbours as are needed are summed."""
    per = max(-(-len(logs) // RECORDS), 1)
    return sums(durations, per), sums(logs, per)

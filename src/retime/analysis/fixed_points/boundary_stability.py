"""Stability of a fixed point on a boundary, where the linearization differs from side to side.

There the system is, to first order exactly, z' = A z + W1 relu(W2 z): the units that are on or off on all sides belong to A, those on their
boundary remain. It is homogeneous: an orbit from r z is r times the orbit from z, so that directions say everything. The spectra of the
sides decide nothing: stable sides can take turns in a way that grows, and an unstable side can be one that every orbit leaves
(docs/theory/analysis.md).
"""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm
from retime.core.status import TrajectoryStatus
from retime.core.time import TimeBase
from retime.models import PiecewiseAffineRNN
from retime.simulation import simulate
from retime.simulation.motion import motion_of

DIRECTIONS = 64  # and their opposites
STEPS = (500, 4000, 32000)  # of a map, or tenths of the time scale of a flow, until orbits have shrunk or grown
SHRUNK, GROWN = 1e-3, 1e6


def is_stable_around(form: PiecewiseAffineForm, time: TimeBase, bits: Array, near: Array) -> bool:
    """Whether orbits from many directions all come back to the fixed point.

    Measured, not proven: False where one of them grows a millionfold, and where they neither grow nor shrink a thousandfold.

    Args:
        form: of the system. time: its time base.
        bits: bool `(q,)`, the units that are on. near: bool `(q,)`, those on their boundary, whose bit does not matter.
    """
    n = form.num_states
    A = form.A + form.W1[:, bits & ~near] @ form.W2[bits & ~near]
    cone = PiecewiseAffineRNN(A, form.W1[:, near], form.W2[near], np.zeros(n), np.zeros(int(near.sum())), time=time)
    directions = np.random.default_rng(0).normal(size=(DIRECTIONS, n))
    z = np.concatenate([directions, -directions])
    rate = 10.0 * max(
        np.linalg.norm(A, 2) + np.linalg.norm(form.W1[:, near], 2) * np.linalg.norm(form.W2[near], 2), 1e-300
    )
    for steps in STEPS:
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        path = simulate(cone, z, **motion_of(cone).span(steps, steps / rate))
        sizes = np.linalg.norm(path.states[-1], axis=1)
        if any(s is TrajectoryStatus.DIVERGED for s in path.statuses) or not (sizes <= GROWN).all():
            return False
        if (sizes <= SHRUNK).all():
            return True
        alive = sizes > 1e-100  # those that have died say nothing more
        z = path.states[-1][alive]
    return False

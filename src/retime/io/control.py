"""LinearSystem <-> control.StateSpace, inputs and outputs kept."""

from __future__ import annotations

from typing import Any

from retime.core.time import CONTINUOUS, Discrete
from retime.io.linear_forms import from_matrices, labeled, matrices, python_control
from retime.models import LinearSystem


def from_control(system: Any) -> LinearSystem:
    """A `control.StateSpace` (or what `control.ss` accepts) as a LinearSystem with its readout.

    z' = A z + B u, y = C z + D u  becomes  A = A, b = 0, E = B, readout = (C, 0), D = D.

    Args:
        system: state space or transfer function with dt = 0 (continuous) or dt > 0 (discrete).

    Returns:
        LinearSystem in the same time base.

    Raises:
        MissingDependencyError: python-control is not installed. ValueError: dt is unspecified (None or True).
    """
    space = python_control().ss(system)
    if space.dt is None or space.dt is True:
        raise ValueError(
            f"`system.dt` is {space.dt}; say which time base is meant: dt = 0 (continuous) or the step dt > 0."
        )
    time = CONTINUOUS if space.dt == 0 else Discrete(float(space.dt))
    return from_matrices(space.A, space.B, space.C, space.D, time)


def to_control(system: LinearSystem, *, like: Any = None) -> Any:
    """A LinearSystem as `control.StateSpace`; without a readout the outputs are the states.

    Args:
        system: the system.
        like: a `control` system whose names (of the system, its states, inputs and outputs) the result takes; None: python-control's own.

    Raises:
        MissingDependencyError: python-control is not installed. TypeError: not a LinearSystem. ValueError: it has an
        offset, which a state space cannot hold.
    """
    ct = python_control()
    if not isinstance(system, LinearSystem):
        raise TypeError(f"`system` is {type(system).__name__}; a control.StateSpace holds a LinearSystem only.")
    if like is not None:
        return labeled(system, like)
    return ct.ss(*matrices(system), system.time.dt if isinstance(system.time, Discrete) else 0)

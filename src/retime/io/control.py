"""LinearSystem <-> control.StateSpace, inputs and outputs kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.errors import MissingDependencyError
from retime.core.time import Continuous, Discrete
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
    ct = _control()
    system = ct.ss(system)
    if system.dt is None or system.dt is True:
        raise ValueError(
            f"`system.dt` is {system.dt}; say which time base is meant: dt = 0 (continuous) or the step dt > 0."
        )
    time = Continuous() if system.dt == 0 else Discrete(float(system.dt))
    D = np.asarray(system.D)
    return LinearSystem(
        system.A,
        np.zeros(len(system.A)),
        system.B,
        time=time,
        readout=(np.asarray(system.C), np.zeros(len(D))),
        D=D if np.any(D) else None,
    )


def to_control(system: LinearSystem) -> Any:
    """A LinearSystem as `control.StateSpace`; without a readout the outputs are the states.

    Raises:
        MissingDependencyError: python-control is not installed. TypeError: not a LinearSystem. ValueError: it has an
        offset, which a state space cannot hold.
    """
    ct = _control()
    if not isinstance(system, LinearSystem):
        raise TypeError(f"`system` is {type(system).__name__}; a control.StateSpace holds a LinearSystem only.")
    if system.readout is not None and not system.readout.is_linear:
        raise ValueError(
            f"The system has the readout {system.readout!r}, which a state space cannot hold; linearize it first, or drop the readout."
        )
    offset = system.b if system.readout is None else np.concatenate([system.b, system.readout.b])
    if np.any(offset):
        raise ValueError(
            "The system has an offset, which a state space cannot hold; shift the state to its fixed point first."
        )
    n, m = system.E.shape
    C = np.eye(n) if system.readout is None else system.readout.B
    D = np.zeros((len(C), m)) if system.D is None else system.D
    dt = system.time.dt if isinstance(system.time, Discrete) else 0
    return ct.ss(system.A, system.E, C, D, dt)


def _control() -> Any:
    try:
        import control
    except ImportError as error:
        raise MissingDependencyError("python-control is not installed: pip install 'retime[control]'") from error
    return control

"""`to_continuous`: a map in, its flow and certificate out."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from retime.convert.certify import certify_regions
from retime.convert.matrix_log import MatrixLog
from retime.core.arrays import Array
from retime.core.conversion import Conversion
from retime.core.errors import CertificateError
from retime.core.region import RegionFlow
from retime.core.status import RegionStatus
from retime.core.system import PiecewiseAffineSystem
from retime.core.time import Continuous, Discrete
from retime.models import LinearSystem, PiecewiseAffineFlow


def to_continuous(model: PiecewiseAffineSystem, *, method: MatrixLog | None = None, throw: bool = True) -> Conversion:
    """The differential equation that a piecewise-affine map samples, region by region.

    z_{k+1} = M_d z_k + c_d + E_d s_k   becomes   dz/dt = W_d z + h_d + E~_d s,   log G = dt [[W, h, E~], [0, 0, 0], [0, 0, 0]]

    Args:
        model: a piecewise-affine map, or a discrete LinearSystem.
        method: `MatrixLog()` by default, which is exact.
        throw: raise CertificateError when a region that is asked for has no autonomous linear flow (status
            `time_varying`); False interpolates that part in time instead.

    Returns:
        Conversion: `.model` is a `PiecewiseAffineFlow` whose regions are converted on demand and once; for a LinearSystem
        a continuous LinearSystem, its order raised by one state per unpaired negative eigenvalue (start these at 0).
        `.certificate` reports on the regions converted up to the moment it is read.

    Raises:
        TypeError: not a piecewise-affine map. CertificateError: a LinearSystem without an autonomous flow, with `throw`.

    Valid when: `switching="clock"`: always, for every initial state and input. `switching="state"`: on steps in which no
    boundary is crossed. Source: monfared2020; culver1966; docs/theory/conversion.md.
    """
    if not isinstance(model, PiecewiseAffineSystem):
        raise TypeError(f"`model` is {type(model).__name__}; to_continuous takes a piecewise-affine map such as PLRNN.")
    if not isinstance(model.time, Discrete):
        raise TypeError(
            f"{type(model).__name__} is in continuous time already; to_continuous takes a map (time=Discrete(dt))."
        )
    if method is not None and not isinstance(method, MatrixLog):
        raise TypeError(f"`method` is {method!r}; a piecewise-affine map is converted by MatrixLog().")
    flow = PiecewiseAffineFlow(model, MatrixLog() if method is None else method, throw)
    if not isinstance(model, LinearSystem):
        return Conversion(flow, partial(certify_regions, flow))
    region = PiecewiseAffineFlow(model, flow.method, throw=False).region(np.zeros(0, dtype=bool))
    if region.status is not RegionStatus.TIME_VARYING:
        flow.region(np.zeros(0, dtype=bool))
        return Conversion(_linear(model, region), certify_regions(flow))
    if throw:
        raise CertificateError(
            "The matrix has a nilpotent part of index > 1 (zero eigenvalues that are not semisimple): no linear ODE reaches it. "
            "With throw=False the result is a flow that interpolates that part in time.",
            certify_regions(PiecewiseAffineFlow(model, flow.method, throw=False)),
        )
    return Conversion(flow, partial(certify_regions, flow))


def _linear(model: LinearSystem, region: RegionFlow) -> LinearSystem:
    readout: Any = model.readout
    if readout is None and region.auxiliary:
        readout = (np.eye(model.num_states), np.zeros(model.num_states))
    if readout is not None:
        readout = (_widen(readout[0], region.auxiliary), readout[1])
    return LinearSystem(region.W, region.h, region.E, time=Continuous(), readout=readout, D=model.D)


def _widen(B: Array, auxiliary: int) -> Array:
    return np.hstack([B, np.zeros((len(B), auxiliary))])

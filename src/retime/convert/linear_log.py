"""A linear map as the flow that it samples: the matrix logarithm of one region, as a LinearSystem."""

from __future__ import annotations

import numpy as np

from retime.convert.matrix_log import MatrixLog
from retime.core.errors import CertificateError
from retime.core.readout import Readout
from retime.core.region import RegionFlow
from retime.core.status import RegionStatus
from retime.core.time import CONTINUOUS
from retime.models import LinearSystem, PiecewiseAffineFlow

NO_FLOW = (
    "The system has poles at 0 in a Jordan block (a nilpotent part of index > 1, such as a delay of two steps or more): no linear "
    "differential equation of finite order has it as its samples."
)


def logarithm(model: LinearSystem, method: MatrixLog | None = None) -> RegionFlow:
    """The linear flow of a linear map, its order raised by one auxiliary state per unpaired negative eigenvalue.

    Raises:
        CertificateError: a nilpotent part of index > 1, or a flow that does not reproduce the map in double precision.
    """
    region = sampled_region(model, method)
    if region.status is RegionStatus.TIME_VARYING:
        raise CertificateError(NO_FLOW)
    if not region.reproduces:
        PiecewiseAffineFlow(model, MatrixLog() if method is None else method).region(np.zeros(0, dtype=bool))
    return region


def sampled_region(model: LinearSystem, method: MatrixLog | None = None) -> RegionFlow:
    """What `MatrixLog` finds for the one region of a linear map, whatever its status."""
    flow = PiecewiseAffineFlow(model, MatrixLog() if method is None else method, throw=False)
    return flow.region(np.zeros(0, dtype=bool))


def linear_flow(model: LinearSystem, region: RegionFlow, readout: Readout | None = None) -> LinearSystem:
    """A region as a LinearSystem with the readout of the map; without one, the map's own states are the outputs of a raised flow."""
    readout = model.readout if readout is None else readout
    if readout is None and region.auxiliary:
        readout = Readout(np.eye(model.num_states))
    if readout is not None:
        readout = readout.widened(0, region.auxiliary)
    auxiliary = model.auxiliary + region.auxiliary
    return LinearSystem(region.W, region.h, region.E, time=CONTINUOUS, readout=readout, D=model.D, auxiliary=auxiliary)

"""The fitted field as a model."""

from __future__ import annotations

import numpy as np

from retime.core.system import System
from retime.core.time import CONTINUOUS
from retime.learn.autonomous.field import Field
from retime.learn.autonomous.samples import Units
from retime.models import PiecewiseAffineRNN, ShallowPLRNN


def network_of(field: Field, units: Units, model: System) -> System:
    """In model time and the map's own units: a ShallowPLRNN; with inputs that act on the units a PiecewiseAffineRNN."""
    n, _, _ = field.sizes
    A, C1 = field.L[:, :n] / model.dt, field.L[:, n:-1] * units.scale / (units.width * model.dt)
    W2, C2 = field.V[:, :n], field.V[:, n:-1] * units.scale / units.width
    W1 = field.W1 / model.dt
    h1 = units.scale * field.L[:, -1] / model.dt - A @ units.center - C1 @ units.middle
    h2 = units.scale * field.V[:, -1] - W2 @ units.center - C2 @ units.middle
    if not np.any(C2):
        return ShallowPLRNN(A, W1, W2, h1, h2, C1 if model.num_inputs else None, time=CONTINUOUS, readout=model.readout)
    return PiecewiseAffineRNN(A, W1, W2, h1, h2, C1, C2, time=CONTINUOUS, readout=model.readout)

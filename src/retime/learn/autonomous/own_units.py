"""A field with a map's own states and ReLU units, found in one linear step.

    dz/dt = A z + W phi(z) + C s + h    phi as in the map

With the units fixed, what the field adds up to over a step is linear in its weights:  z(dt) - z(0) = integral of A z + W phi(z) + C s + h.
The integrals are taken along the path that the map's own matrix logarithm draws inside the region of z(0), by Gauss's rule; so no field is
needed to find the field. What is fitted in this way follows the map to a few per cent of a step (docs/theory/autonomous.md), and is of
a family that `fit` trains on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.convert.matrix_log import MatrixLog
from retime.core.arrays import Array
from retime.core.exponential import linear_step
from retime.core.status import RegionStatus
from retime.learn.autonomous.judging import refuse
from retime.learn.autonomous.samples import Sample, Units
from retime.models import PLRNN, AlmostLinearRNN, ContinuousPLRNN
from retime.models.flow import PiecewiseAffineFlow

NODES = 4  # of Gauss's rule in a step
DRAWN = 0.5  # share of the states' steps whose path is known, at least


def field_of_own_units(model: Any, sample: Sample, units: Units) -> ContinuousPLRNN:
    """The field, in model time.

    Raises:
        TypeError: neither a PLRNN nor an AlmostLinearRNN. CertificateError: too few steps have a path without auxiliary states.
    """
    if not isinstance(model, (PLRNN, AlmostLinearRNN)):
        raise TypeError(
            f"FlowFit(keep_units=True) takes a PLRNN or an AlmostLinearRNN, whose units are its states; this is a {type(model).__name__}. "
            "Leave keep_units out."
        )
    integrals, known = _along_paths(model, sample)
    if known.mean() < DRAWN:
        refuse(
            model, "most steps have a path",
            f"In the regions of {1 - known.mean():.0%} of the states the matrix has no real logarithm, and there is no path between two steps "
            "along which a field could be fitted. Leave keep_units out.",
        )  # fmt: skip
    n, P = model.num_states, getattr(model, "num_relu", model.num_states)
    weight = np.sqrt(sample.steps(units).weights[known])[:, None]
    moved, s = (sample.ends - sample.z)[known] * weight / model.dt, sample.s[known] * weight
    z, on = (integrals[part][known] * weight for part in (0, 1))
    shared = np.hstack([z[:, : n - P], on, s, weight])  # of all rows alike: linear states, ReLU units, inputs, 1
    A, rows = np.zeros(n), np.zeros((n, shared.shape[1]))
    for i in range(n):
        columns = shared if i < n - P else np.hstack([shared, z[:, [i]]])
        found = _least_squares(columns, moved[:, i])
        rows[i], A[i] = found[: shared.shape[1]], found[-1] if i >= n - P else 0.0
    return ContinuousPLRNN(A, rows[:, :n], rows[:, -1], rows[:, n:-1], num_relu=P, readout=model.readout)


def _least_squares(columns: Array, wanted: Array) -> Array:
    size = np.linalg.norm(columns, axis=0)
    size[size == 0.0] = 1.0
    return np.linalg.lstsq(columns / size, wanted, rcond=None)[0] / size


def _along_paths(model: Any, sample: Sample) -> tuple[tuple[Array, Array], Array]:
    """Means over a step of z `(b, n)` and of relu(z) of the ReLU units `(b, P)`, and where there is a path `(b,)`."""
    n, P = model.num_states, model.num_units
    flow = PiecewiseAffineFlow(model, MatrixLog(), throw=False)
    patterns, which = np.unique(model.pattern(sample.z, sample.s), axis=0, return_inverse=True)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    z, on, known = np.zeros((len(sample.z), n)), np.zeros((len(sample.z), P)), np.zeros(len(sample.z), dtype=bool)
    for k, region in enumerate(flow.convert(patterns)):
        own = which.ravel() == k
        if region.auxiliary or region.status is RegionStatus.TIME_VARYING:
            continue
        x, known[own] = np.hstack([np.ones((own.sum(), 1)), sample.s[own]]), True
        for node, weight in zip(nodes, weights, strict=True):
            theta = model.dt * (node + 1) / 2
            E, X = linear_step(theta * region.W, theta * np.column_stack([region.h, region.E]))
            path = sample.z[own] @ E.T + x @ X.T
            z[own] += weight / 2 * path
            on[own] += weight / 2 * np.maximum(path[:, n - P :], 0.0)
    return (z, on), known

"""`linearize`: the linear system around a state."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np

from retime.core.arguments import system
from retime.core.arrays import Array, real_array
from retime.core.errors import CertificateError, ShapeError
from retime.core.states import one_state
from retime.core.status import RegionStatus
from retime.core.system import System
from retime.core.trajectory import Trajectory
from retime.models import LinearSystem, PiecewiseAffineFlow


def linearize(model: System, at: Any, *, inputs: Any = None) -> Any:
    """The linear system that agrees with the model to first order around a state and an input, in the same time base.

    z' = F(a, u) + J (z - a) + E (s - u)   =   J z + (F(a, u) - J a - E u) + E s,   J = dF/dz, E = dF/ds at (a, u)

    The state of the result is z itself, not the deviation. Readouts are kept.

    Args:
        model: any system.
        at: a state `(n,)`, or a point of a result (`find_fixed_points(model)[0]`); or states `(T, n)` or a Trajectory, for the
            linearization along it.
        inputs: the input `(m,)` there, or `(T, m)`; None for zero.

    Returns:
        LinearSystem; for several states a tuple of them. Of a converted flow: the flow of the state's region, with its auxiliary
        states last.

    Raises:
        ShapeError: `at` or `inputs` of the wrong size. TypeError: not a model. CertificateError: a region without a flow.

    Valid when: the right-hand side is differentiable there (a piecewise-affine one is not on a boundary: the region is taken).
    Source: caruso2023, section on linearization.

    Examples:
        >>> import retime as rt
        >>> rate = rt.RateRNN([[2.0]], None, [0.0], tau=0.5)
        >>> rt.linearize(rate, [0.0]).A  # (2 - 1) / tau: the rest at 0 is unstable
        array([[2.]])
    """
    model = system("linearize", model)
    z = real_array("at", at.states if isinstance(at, Trajectory) else one_state(at))
    with suppress(ShapeError):  # reported below, with the shape that is wanted
        z = model.start(z)
    if z.ndim not in (1, 2) or z.shape[-1] != model.num_states:
        raise ShapeError(f"`at` has shape {z.shape}; it must be ({model.num_states},), or (T, {model.num_states}).")
    s = np.zeros(model.num_inputs) if inputs is None else real_array("inputs", inputs)
    if s.ndim not in (1, 2) or s.shape[-1] != model.num_inputs or (s.ndim == 2 and s.shape[:-1] != z.shape[:-1]):
        raise ShapeError(
            f"`inputs` has shape {s.shape}; it must be ({model.num_inputs},), or one row per state of `at`."
        )
    states = np.atleast_2d(z)
    driven = np.broadcast_to(s, (len(states), model.num_inputs))
    systems = _tangents(model, states, driven)
    return systems[0] if z.ndim == 1 else tuple(systems)


@singledispatch
def _tangents(model: System, z: Array, s: Array) -> list[LinearSystem]:
    F, J, E = model.apply(z, s), model.jacobian(z, s), model.input_jacobian(z, s)
    return [
        LinearSystem(j, f - j @ a - e @ u, e, time=model.time, readout=model.readout and model.readout.tangent(a)[0])
        for f, j, e, a, u in zip(F, J, E, z, s, strict=True)
    ]


@_tangents.register
def _(model: LinearSystem, z: Array, s: Array) -> list[LinearSystem]:
    """Its own; the readout is linear at z and s, with the feedthrough that this gives."""
    if model.readout is None:
        return [model] * len(z)
    D = model.output[2]
    tangents = [model.readout.tangent(a, D @ u) for a, u in zip(z, s, strict=True)]
    return [replace(model, readout=readout, D=None if model.D is None else G @ D) for readout, G in tangents]


@_tangents.register
def _(model: PiecewiseAffineFlow, z: Array, s: Array) -> list[LinearSystem]:
    systems = []
    for a, r in zip(z, model.convert(model.pattern(z, s)), strict=True):
        if r.status is RegionStatus.TIME_VARYING:
            raise CertificateError(
                "A region here has no autonomous linear flow (time_varying); linearize the map instead."
            )
        readout = None if model.readout is None else model.readout.tangent(a)[0].widened(0, r.auxiliary)
        systems.append(LinearSystem(r.W, r.h, r.E, time=model.time, readout=readout, auxiliary=r.auxiliary))
    return systems

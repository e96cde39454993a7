"""`to_continuous`: a map in, its flow and certificate out."""

from __future__ import annotations

from functools import partial, singledispatch
from typing import Any

import numpy as np

from retime.convert.by_definition import by_definition
from retime.convert.certify import certify_regions
from retime.convert.certify_linear import certify_generator, certify_undone, refuse_delay
from retime.convert.embeddings import EulerField, FormalLog, certify_embedding
from retime.convert.holds import ZeroOrderHold
from retime.convert.integrators import Euler, Integrator
from retime.convert.matrix_log import NO_FLOW, MatrixLog, linear_flow, sampled_region
from retime.convert.measure import probe
from retime.convert.methods import field_method
from retime.core.arguments import system
from retime.core.conversion import Conversion, ConversionMethod
from retime.core.errors import CertificateError
from retime.core.status import RegionStatus
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Discrete
from retime.models import LinearSystem, PiecewiseAffineFlow, RegionwiseMap
from retime.models.linear import linear


def to_continuous(
    model: System,
    *,
    method: MatrixLog | EulerField | FormalLog | Integrator | ConversionMethod | str | None = None,
    throw: bool = True,
    states: Any = None,
    inputs: Any = None,
) -> Conversion:
    """The differential equation of a map: exact for piecewise-affine maps, an embedding with measured error for others.

    z_{k+1} = M_d z_k + c_d + E_d s_k   becomes   dz/dt = W_d z + h_d + E~_d s,   log G = dt [[W, h, E~], [0, 0, 0], [0, 0, 0]]

    Args:
        model: a map.
        method: `MatrixLog()` for piecewise-affine maps (and LinearSystems), exact and the default there. `EulerField()` or
            `FormalLog(order)` for any map; a smooth map (tanh, GRU, LSTM, ...) has no default, because in general no ODE of its
            own dimension has it as its flow. `FlowFit(...)` for any map: one autonomous network fitted to it, not exact. Of a
            LinearSystem also the methods of `to_discrete` that control undoes:
            `FirstOrderHold()`, `Tustin()`, `MatchedPoles()`, `ImpulseInvariant()`, `GeneralizedBilinear(alpha)`. Each by name as well:
            "matrix-log" ("zoh"), "euler-field", "formal-log:4", "foh", "tustin", "matched", "impulse", "gbt:0.5", "backward-diff".
        throw: raise CertificateError when a region that is asked for has no autonomous linear flow (status
            `time_varying`), or when its flow does not reproduce its map (`RegionFlow.limit`); False interpolates the first in
            time, and leaves the second to the certificate. With `FlowFit`: raise it where no flow of the map's dimension can follow it.
        states, inputs: `(k, n)`, `(k, m)`, where the certificate of an embedding measures its one-step error, and from where `FlowFit`
            follows the map; None: where the map leads the origin and 16 random ones.

    Returns:
        Conversion: `.model` is a `PiecewiseAffineFlow` whose regions are converted on demand and once; for a LinearSystem
        a continuous LinearSystem, its order raised by one auxiliary state per unpaired negative eigenvalue; for an embedding the
        field, in the family where it has one (a TanhRNN becomes a RateRNN). `.certificate` reports on what was measured up to the
        moment it is read.

    Raises:
        TypeError: not a map, or a method that does not take it. ValueError: a smooth map without a method. CertificateError: a
        LinearSystem without an autonomous flow, or with one that double precision does not hold, with `throw`.

    Valid when: `switching="clock"`: always, for every initial state and input. `switching="state"`: on steps in which no
    boundary is crossed. Source: monfared2020; culver1966; docs/theory/conversion.md, docs/theory/time.md.

    Examples:
        >>> import numpy as np, retime as rt
        >>> model = rt.PLRNN([0.9, 0.8], [[0.0, -0.6], [0.7, 0.0]], [0.5, -0.3], time=rt.Discrete(0.1))
        >>> region = rt.to_continuous(model).model.region(np.array([True, False]))
        >>> region.status, region.W.shape
        (<RegionStatus.PRINCIPAL: 'principal'>, (2, 2))
    """
    model = system("to_continuous", model, wanted="a retime model in discrete time, such as PLRNN")
    if not isinstance(model.time, Discrete):
        raise TypeError(
            f"{type(model).__name__} is in continuous time already; to_continuous takes a map (time=Discrete(dt))."
        )
    return _converted(field_method(method), model, throw, states, inputs)


@singledispatch
def _converted(method: Any, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
    raise TypeError(
        f"`method` is {method!r}; it must be MatrixLog(), EulerField(), FormalLog(order) or FlowFit(), or a name such as "
        '"euler-field".'
    )


@_converted.register
def _(method: ConversionMethod, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
    return method.convert(model, throw, states, inputs)


@_converted.register
def _(method: MatrixLog, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
    return _exact(model, method, throw)


@_converted.register
def _(method: None, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
    known = by_definition(model, partial(probe, model, states, inputs))
    return _exact(model, None, throw) if known is None else known


@_converted.register(EulerField)
@_converted.register(FormalLog)
def _embedded(method: EulerField | FormalLog, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
    at, field = probe(model, states, inputs), method.embed(model)
    return Conversion(field, partial(certify_embedding, model, field, method, at))


@_converted.register
def _(method: Euler, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
    if isinstance(model, LinearSystem):
        return _undone(method, model)
    return _embedded(EulerField(), model, throw, states, inputs)


@_converted.register
def _(method: Integrator, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
    return _undone(method, linear(model, f"{method!r} is undone for", _FOR_MAPS))


@_converted.register
def _(method: ZeroOrderHold, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
    model = linear(model, f"{method!r} is undone for", _FOR_MAPS)
    return _exact(model, None, throw) if method.delay is None else _undone(method, model)


_FOR_MAPS = "Use MatrixLog(), EulerField() or FormalLog(order)."


@singledispatch
def _exact(model: System, method: MatrixLog | None, throw: bool) -> Conversion:
    if method is None:
        raise ValueError(
            f"{type(model).__name__} is smooth: in general no ODE of its dimension has it as its flow, so nothing exact can be the default. "
            "Choose method=EulerField() (Euler's step gives the map back) or method=FormalLog(order) (the flow approximates it)."
        )
    raise TypeError(
        f"MatrixLog() takes a piecewise-affine map; {type(model).__name__} is smooth. Use EulerField() or FormalLog(order)."
    )


@_exact.register
def _(model: RegionwiseMap, method: MatrixLog | None, throw: bool) -> Conversion:
    return Conversion(model.flow, partial(certify_regions, model.flow))


@_exact.register
def _(model: PiecewiseAffineSystem, method: MatrixLog | None, throw: bool) -> Conversion:
    flow = PiecewiseAffineFlow(model, method or MatrixLog(), throw)
    return Conversion(flow, partial(certify_regions, flow))


@_exact.register
def _(model: LinearSystem, method: MatrixLog | None, throw: bool) -> Conversion:
    flow, region = PiecewiseAffineFlow(model, method or MatrixLog(), throw), sampled_region(model, method)
    if region.status is not RegionStatus.TIME_VARYING:
        flow.region(np.zeros(0, dtype=bool))
        return Conversion(linear_flow(model, region), partial(certify_generator, model, region))
    if throw:
        refuse_delay(model, region, f"{NO_FLOW} to_continuous(model, throw=False) interpolates that part in time.")
    return Conversion(flow, partial(certify_generator, model, region))


def _undone(method: Integrator, model: LinearSystem) -> Conversion:
    try:
        flow = method.undo(model)
    except CertificateError as error:
        if error.certificate is None:
            refuse_delay(model, sampled_region(model), str(error))
        raise
    return Conversion(flow, partial(certify_undone, model, flow, method))

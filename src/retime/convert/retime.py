"""`retime_to`: a trained map with another step, without training it again."""

from __future__ import annotations

from fractions import Fraction
from functools import partial, singledispatch
from typing import Any

from retime.convert.continuous import to_continuous
from retime.convert.discrete import to_discrete
from retime.convert.embeddings import EulerField, FormalLog
from retime.convert.holds import ZeroOrderHold
from retime.convert.integrators import Euler, Integrator, RungeKutta
from retime.convert.measure import Probe, probe, relative_error
from retime.convert.methods import field_method
from retime.convert.methods import integrator as named_integrator
from retime.convert.tableaux import RK4
from retime.core.arguments import system
from retime.core.arrays import positive
from retime.core.certificate import Certificate, Condition
from retime.core.conversion import Conversion
from retime.core.system import System
from retime.models import RegionwiseMap

MOST_STEPS = 1000  # of either map until both are at the same time again


def retime_to(
    model: System,
    new_dt: float,
    *,
    method: Any = None,
    integrator: Integrator | str | None = None,
    states: Any = None,
    inputs: Any = None,
) -> Conversion:
    """A map with step dt as a map with step `new_dt`: convert to continuous time, discretize again, compare.

    Args:
        model: any map.
        new_dt: the new step > 0, model time; smaller or larger.
        method: of `to_continuous`: `MatrixLog()` for piecewise-affine maps (the default there), `EulerField()` or
            `FormalLog(order)` for others.
        integrator: of `to_discrete`; None takes `ZeroOrderHold()` after MatrixLog, `Euler()` after EulerField (a TanhRNN becomes a
            LeakyRNN with leak new_dt / dt), `RungeKutta(RK4)` after FormalLog.
        states, inputs: `(k, n)`, `(k, m)`, where both maps are compared, the input held; None: the origin and 16 random ones.

    Returns:
        Conversion: `.certificate` holds the measured difference after the shortest time that is a whole number of both steps.

    Raises:
        TypeError, ValueError, CertificateError: as `to_continuous` and `to_discrete`.

    Source: docs/theory/time.md.

    Examples:
        >>> import numpy as np, retime as rt
        >>> slow = rt.retime_to(rt.PLRNN([0.81], [[0.0]], [0.19], time=rt.Discrete(0.2)), 0.1)  # two steps for one
        >>> float(slow.model.step(np.array([0.0]))[0].round(6))
        0.1
    """
    model = system("retime_to", model, wanted="a retime model in discrete time")
    new_dt, method = positive("new_dt", new_dt), field_method(method)
    field = to_continuous(model, method=method).model
    integrator = _usual(model, method) if integrator is None else named_integrator(integrator, "integrator")
    new = to_discrete(field, new_dt, method=integrator).model
    return Conversion(new, partial(_certify, model, new, method, integrator, probe(model, states, inputs)))


def _usual(model: System, method: Any) -> Integrator:
    if isinstance(method, EulerField):
        return Euler()
    if isinstance(method, Integrator):
        return method
    return RungeKutta(RK4) if isinstance(method, FormalLog) else ZeroOrderHold()


@singledispatch
def _raised(new: System) -> tuple[Condition, ...]:
    return ()


@_raised.register
def _(new: RegionwiseMap) -> tuple[Condition, ...]:
    detail = "minus the number of raised regions: their auxiliary states begin every new step at 0, those of the flow every old step"
    return (Condition.of("no region met was raised", -new.flow.num_raised, detail, required=False),)


def _certify(model: System, new: System, method: Any, integrator: Integrator, at: Probe) -> Certificate:
    ratio = Fraction(new.dt / model.dt).limit_denominator(MOST_STEPS)
    old_steps, new_steps = ratio.numerator, ratio.denominator
    name = "both maps agree after their common time"
    how = f"{method or 'MatrixLog()'!s}, then {integrator!r}"
    if abs(float(ratio) * model.dt / new.dt - 1) > 1e-9 or max(old_steps, new_steps) > MOST_STEPS:
        detail = "not measured: the steps have no common multiple within 1,000 steps"
        unknown = Condition.of(name, float("nan"), detail)
        return Certificate(f"dt = {new.dt:.6g} by {how}.", "not measured", (unknown,))
    wanted, got = at.states, new.start(at.states, at.inputs)
    for _ in range(old_steps):
        wanted = model.apply(wanted, at.inputs)
    for _ in range(new_steps):
        got = new.apply(got, at.inputs)
    error = relative_error(got[:, : model.num_states], wanted)
    span = f"{new_steps} steps of dt = {new.dt:.6g} against {old_steps} of dt = {model.dt:.6g}"
    detail = f"1e-9 minus the largest difference per 1 + |z|, {error:.2e}, on {at.words}"
    claim = f"The map with dt = {new.dt:.6g} by {how}: off by {error:.2e} of the state ({span}, {at.words})."
    same = at.condition(name, 1e-9 - error, detail, required=False)
    below = "the difference is below the size of the state"
    near = at.condition(below, 1 - error, "1 minus the difference", holds=error < 1)
    exact = "Exact at common sample times" if error <= 1e-9 else "An approximation, not exact"
    headline = f"{exact}: both maps differ by {error:.1e} of the state after {span}."
    conditions = (near, same, *_raised(new))
    return Certificate(claim, "the states measured, input held", conditions, "docs/theory/time.md", headline)

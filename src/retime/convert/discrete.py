"""`to_discrete`: a system in continuous time in, the map of one step and its certificate out."""

from __future__ import annotations

from functools import partial, singledispatch
from typing import Any

import numpy as np

from retime.convert.certify import reproduces
from retime.convert.certify_linear import certify_sampled
from retime.convert.integrators import Integrator
from retime.convert.measure import Probe, flow_over, probe, relative_error
from retime.convert.methods import integrator
from retime.core.arguments import system
from retime.core.arrays import Array, positive
from retime.core.certificate import Certificate, Condition
from retime.core.conversion import Conversion
from retime.core.equation import evaluate
from retime.core.errors import ConvergenceError
from retime.core.system import System
from retime.core.time import Continuous
from retime.core.tolerances import size_of
from retime.models import LinearSystem, PiecewiseAffineFlow, RegionwiseMap

EXACT = 1e-11  # one-step error, relative to the state, below which an exact method is held to have kept its word


def to_discrete(
    model: System, dt: float, *, method: Integrator | str, states: Any = None, inputs: Any = None
) -> Conversion:
    """The map of one step dt of a system in continuous time: again a model, a new recurrent network.

    dz/dt = F(z, s)   becomes   z_{k+1} = Phi(z_k, s_k),   the input held from sample to sample

    Args:
        model: any system in continuous time.
        dt: step > 0, model time.
        method: `Euler()`, `Heun()`, `RungeKutta(tableau)`, `AdamsBashforth(steps)`, `ExponentialEuler()`, `Tustin()`; exact:
            `ZeroOrderHold()` (linear, piecewise affine per region), `FirstOrderHold()`, `ImpulseInvariant()` (linear); also for
            linear systems `MatchedPoles()`, `GeneralizedBilinear(alpha)`. Each by name as well: "euler", "rk4", "zoh", "tustin", ...
            No default: which error to make is the user's choice.
        states: `(k, n)`, where the certificate measures the one-step error; None: the origin and 16 random ones. Of a
            linear system nothing depends on states: it is measured under a random input.
        inputs: `(k, m)`, held inputs there; None: zero (random for the random states).

    Returns:
        Conversion: `.model` in discrete time; `.certificate` with the measured one-step error and the stability of the step.

    Raises:
        TypeError: the model is a map, or the method does not take it. ValueError: dt <= 0. ShapeError: `states` or `inputs`.

    Source: caruso2023; hairer1993; docs/theory/time.md.

    Examples:
        >>> import retime as rt
        >>> rate = rt.RateRNN([[0.6, -1.0], [1.0, 0.4]], None, [0.2, -0.1], tau=0.5, form="rate")
        >>> rt.to_discrete(rate, 0.5, method=rt.Euler()).model  # dt = tau: the Elman network
        TanhRNN(2 states, Discrete(dt=0.5))
    """
    wanted, instead = "a system in continuous time", "For another step of a map use retime_to."
    model = system("to_discrete", model, wanted=wanted, time=Continuous, instead=instead)
    dt, method, at = positive("dt", dt), integrator(method), probe(model, states, inputs)
    step = method.discretize(model, dt)
    return Conversion(step, partial(_certify, step, model, dt, method, at))


@singledispatch
def _certify(step: System, model: System, dt: float, method: Integrator, at: Probe) -> Certificate:
    exact = np.isinf(method.order)
    conditions = [_decays(model, dt, method, at)]
    wanted = flow_over(model, at.states, at.inputs, dt)
    start = step.start(at.states, at.inputs)
    error = relative_error(_applied(step, start, at.inputs)[:, : model.num_states], wanted.states)
    known = f"measured on {at.words}; the reference is known to {wanted.uncertainty:.1e}"
    if exact:
        conditions.insert(0, at.condition("one step equals the flow with the input held", EXACT - error, known))
        claim = "The map equals the flow at every sample time when the input is held over each step."
        headline = f"Exact at every sample time with the input held: one step is off by {error:.1e}."
        return Certificate(claim, "every initial state and held input", tuple(conditions), _SOURCE, headline)
    known_to = wanted.uncertainty / size_of(wanted.states)
    if not known_to <= max(0.1 * error, EXACT):
        claim = f"One step of {method!r} in place of the flow over dt = {dt:.6g}: order {method.order}. Its error was not measured."
        detail = f"not measured: the flow over one step is known to {known_to:.1e} of the state only"
        unknown = Condition.of("the one-step error is below the size of the state", float("nan"), detail)
        return Certificate(claim, "not measured", (unknown, *conditions), _SOURCE)
    claim = (
        f"One step of {method!r} in place of the flow over dt = {dt:.6g}: order {method.order}, one-step error {error:.2e} of the "
        f"state ({known}). Fixed points are kept."
    )
    name = "the one-step error is below the size of the state"
    finite = at.condition(name, 1 - error, "1 minus that error", holds=error < 1)
    headline = f"An approximation of order {method.order:g}, not exact: one step is off by {error:.1e} of the state; fixed points are kept."
    return Certificate(claim, "each step; errors of an orbit add up", (finite, *conditions), _SOURCE, headline)


_SOURCE = "Runge-Kutta and multistep methods: Hairer, Norsett & Wanner 1993; held inputs: matrix exponential"


def _applied(step: System, z: Array, s: Array) -> Array:
    """One step that may fail: NaN instead of an error."""
    try:
        return step.apply(z, s)
    except ConvergenceError:
        return evaluate(step.equation, z, s)


def _decays(model: System, dt: float, method: Integrator, at: Probe) -> Condition:
    """Whether modes that decay in the flow decay in the map, by the linearization at the states measured."""
    worst = max(method.largest_factor(J, model.linear_part, dt) for J in model.jacobian(at.states, at.inputs))
    detail = f"1 minus the largest factor per step of a decaying mode of the linearization, on {at.words}"
    return at.condition("what decays in the flow decays in the map", 1.0 + 1e-12 - worst, detail)


@_certify.register
def _(step: LinearSystem, model: LinearSystem, dt: float, method: Integrator, at: Probe) -> Certificate:
    return certify_sampled(model, step, method)


@_certify.register
def _(step: RegionwiseMap, model: System, dt: float, method: Integrator, at: Probe) -> Certificate:
    """Region and input held: which of the states measured stay in their region for the step."""
    z = step.apply(at.states, at.inputs)
    stays = (step.pattern(at.states, at.inputs) == step.pattern(z, at.inputs)).all(axis=-1)
    name = "the region at the end of the step is the one at its beginning"
    detail = f"minus the fraction of the states measured that change their region, on {at.words}"
    conditions = [at.condition(name, float(stays.mean()) - 1.0, detail, required=False)]
    conditions.append(reproduces(list(step.flow.converted.values()), "each region's flow is known"))
    if isinstance(model, PiecewiseAffineFlow) and dt != model.dt:
        detail = "minus the number of raised regions, whose auxiliary states begin every new step at 0"
        conditions.append(Condition.of("no region was raised", -step.flow.num_raised, detail))
    claim = "With region and input held over each step the map equals the flow; it is the flow's own map on steps within one region."
    moved = f"{int((~stays).sum())} of the {len(stays)} steps measured leave their region"
    headline = f"Exact on every step that stays in its region ({moved}), with the input held."
    return Certificate(claim, "every initial state and held input", tuple(conditions), _SOURCE, headline)

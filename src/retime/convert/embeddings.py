"""Methods of `to_continuous` for maps without an exact flow: honest embeddings, with the error measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from retime.convert.measure import Probe, flow_over, relative_error
from retime.core.certificate import Certificate
from retime.core.equation import Equation
from retime.core.system import System
from retime.core.time import CONTINUOUS, TimeBase
from retime.models import DerivedSystem
from retime.models.derived import DerivingMethod
from retime.models.piecewise import combined


@dataclass(frozen=True)
class EulerField(DerivingMethod):
    """The field whose Euler step with the map's own dt is the map.

    dz/dt = (F(z, s) - z) / dt

    Euler's method with dt gives F back exactly; fixed points are those of the map. The *solution* over dt is another map: the
    certificate says how far off. A TanhRNN becomes the rate network with tau = dt, a LeakyRNN one with tau = dt / alpha; piecewise-affine
    families stay piecewise affine (a ReluRNN becomes a PiecewiseAffineRNN).
    """

    def embed(self, model: System) -> System:
        """The field of a map."""
        b = 1.0 / model.dt
        return combined(model, -b, b, CONTINUOUS, lambda: DerivedSystem(model, self, model.dt, time=CONTINUOUS))

    def combined(self, made: DerivedSystem, a: float, b: float, time: TimeBase) -> System | None:
        """The map itself for Euler's method with its own dt."""
        return made.base if (a, b) == (1.0, made.dt_used) else super().combined(made, a, b, time)

    def equation(self, base: System, dt: float) -> Equation:
        """The field as a right-hand side."""
        return FormalLog(1).equation(base, dt)


@dataclass(frozen=True)
class FormalLog(DerivingMethod):
    """The formal logarithm of a map, cut off after `order` terms.

    dz/dt = (1/dt) sum_{j=1}^{order} (-1)^(j+1)/j Delta^j z

    Delta^j z is the j-th forward difference of the orbit z, F(z), F(F(z)), ...: the derivative at z of the polynomial through
    order + 1 points of the orbit. For a map that is an ODE's flow over dt the field is right to O(dt^order), and its
    solution reproduces the map to O(dt^(order + 1)); for a map far from the identity the series need not settle. The input
    is held along the orbit. order = 1 is `EulerField`.

    Args:
        order: 1 to 12; costs `order` evaluations of the map.
    """

    order: int

    def __post_init__(self) -> None:
        if isinstance(self.order, bool) or self.order not in range(1, 13):
            raise ValueError(f"`order` is {self.order!r}; it must be a whole number from 1 to 12.")

    def embed(self, model: System) -> System:
        """The field of a map."""
        return DerivedSystem(model, self, model.dt, time=CONTINUOUS)

    def equation(self, base: System, dt: float) -> Equation:
        """The field as a right-hand side."""
        inner = base.equation
        weights = tuple((-1.0) ** (j + 1) / j for j in range(1, self.order + 1))
        return Equation(_FormalField(weights, inner.function), {"inner": inner.parameters, "dt": np.float64(dt)})


@dataclass(frozen=True)
class _FormalField:
    weights: tuple[float, ...]
    inner: Callable[[Any, Any, Any, Any], Any]

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        orbit = [z]
        for _ in self.weights:
            orbit.append(self.inner(xp, p["inner"], orbit[-1], s))
        total, differences = 0.0, orbit
        for weight in self.weights:
            differences = [b - a for a, b in pairwise(differences)]
            total = total + weight * differences[0]
        return total / p["dt"]


def certify_embedding(model: System, field: System, method: Any, at: Probe) -> Certificate:
    """What may be said of `EulerField` and `FormalLog`: how far the field's solution over dt is from the map, measured."""
    dt, wanted = model.dt, model.apply(at.states, at.inputs)
    got = flow_over(field, at.states, at.inputs, dt)
    error = relative_error(got.states, wanted)
    detail = (
        f"1e-9 minus the largest one-step error per 1 + |z|, {error:.2e}, on {at.words}; known to {got.uncertainty:.1e}"
    )
    solution = at.condition("the field's solution over dt is the map", 1e-9 - error, detail, required=False)
    if isinstance(method, EulerField):
        euler = relative_error(at.states + dt * field.apply(at.states, at.inputs), wanted)
        detail = f"1e-12 minus the error {euler:.1e} on {at.words}"
        step = at.condition("Euler's step with dt is the map", 1e-12 - euler, detail)
        claim = (
            f"Euler's method with dt = {dt:.6g} gives the map back, and fixed points are kept. The solution of the ODE is another "
            f"map: off by {error:.2e} of the state per step ({at.words})."
        )
        headline = f"Euler's step of dt gives the map back (to {euler:.1e}); the ODE's own solution is off by {error:.1e} of the state per step."
        scope = "the map: every state and held input; the solution: the states measured"
        return Certificate(claim, scope, (step, solution), _OURS, headline)
    terms = _terms(model, at, method.order)
    first, last = terms[0], terms[-1]
    euler = relative_error(flow_over(EulerField().embed(model), at.states, at.inputs, dt).states, wanted)
    idle = relative_error(at.states, wanted)
    settles, detail = method.order == 1 or last < first, "first minus last term, largest over the states"
    still = "what standing still is off by, minus the error"
    conditions = (
        at.condition("the series settles", first - last, detail, holds=settles),
        at.condition("nearer to the map than standing still", idle - error, still, holds=error < idle),
        at.condition("not farther than EulerField", euler - error, "EulerField's error minus this one"),
        solution,
    )
    claim = (
        f"The solution of the ODE over dt = {dt:.6g} differs from the map by {error:.2e} of the state per step ({at.words}). "
        "Fixed points are kept. A general map is not the flow of an ODE of its own dimension."
    )
    headline = f"An approximation, not exact: the ODE's solution is off by {error:.1e} of the state per step; fixed points are kept."
    return Certificate(claim, "the states measured", conditions, _OURS, headline)


_OURS = (
    "formal logarithm of a map, cut off; the definitions and the measurement are this project's (docs/theory/time.md)"
)


def _terms(model: System, at: Probe, order: int) -> list[float]:
    """Sizes of the terms Delta^j z / j of the formal logarithm, j = 1..order, largest over the states."""
    orbit = [at.states]
    for _ in range(order):
        orbit.append(model.apply(orbit[-1], at.inputs))
    sizes, differences = [], orbit
    for j in range(1, order + 1):
        differences = [b - a for a, b in pairwise(differences)]
        sizes.append(float(np.abs(differences[0]).max(initial=0.0)) / j)
    return sizes

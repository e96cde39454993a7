"""`interchange`: two of rescaling, discretizing and linearizing in both orders, and whether it matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np

from retime.convert.continuous import to_continuous
from retime.convert.discrete import to_discrete
from retime.convert.holds import ZeroOrderHold, piecewise_affine
from retime.convert.integrators import Integrator
from retime.convert.linearization import linearize
from retime.convert.methods import integrator
from retime.convert.rescale import rescale_time
from retime.core.arguments import system
from retime.core.arrays import positive, vector
from retime.core.certificate import Condition
from retime.core.rendering import terminal_width, text_table
from retime.core.result import Result
from retime.core.states import one_state
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Continuous, Discrete
from retime.core.tolerances import size_of
from retime.models import LinearSystem

PROCEDURES = ("rescale", "discretize", "linearize", "to_continuous")
TOLERANCE = 1e-9  # relative difference below which the two orders count as the same


@dataclass(frozen=True, eq=False, repr=False)
class Interchange(Result):
    """Two procedures in both orders.

    Attributes:
        procedures: their names, in the order asked for.
        results: (second after first, first after second); for "discretize" and "to_continuous" (there and back, the original).
        difference: largest entry of |A1 - A2|, |b1 - b2|, |E1 - E2| of linear results, else of the next states (or fields) at the base
            point and 32 states around it (also when the steps differ, see `dt_rescaled`).
        size: largest entry of what was compared (of maps: of what a step adds to the state).
        commutes: whether difference <= 1e-9 size (and rounding of the states), measured; the unit of time does not matter.
        condition: the condition under which theory says they agree, and whether it holds here.
        controllability: when sampling is involved and there are inputs: whether the sampled linearization is as controllable as
            the continuous one (pathological sampling is not); else None.
    """

    procedures: tuple[str, str]
    results: tuple[Any, Any]
    difference: float
    size: float
    commutes: bool
    condition: Condition
    controllability: Condition | None = field(default=None)

    @property
    def _conditions(self) -> list[Condition]:
        return [c for c in (self.condition, self.controllability) if c is not None]

    def _data(self) -> dict[str, Any]:
        return {
            "procedures": self.procedures,
            "results": [repr(r) for r in self.results],
            "difference": self.difference,
            "commutes": self.commutes,
            "conditions": self._conditions,
        }

    def _caption(self) -> str:
        return ""

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        first, second = self.procedures
        other = "the original" if "to_continuous" in self.procedures else f"{second}, then {first}"
        rows = [
            [f"{first}, then {second}", repr(self.results[0])],
            [other, repr(self.results[1])],
            ["largest difference", f"{self.difference:.3g}"],
            ["commutes", "yes" if self.commutes else "no"],
        ]
        for c in self._conditions:
            rows.append([c.name, f"{'holds' if c.holds else 'fails'} (margin {c.margin:+.3g}: {c.detail})"])
        return ["interchange", ""], rows

    def __repr__(self) -> str:
        return text_table(*self._table(), width=terminal_width())


def interchange(
    model: System,
    first: str,
    second: str,
    *,
    at: Any = None,
    dt: float | None = None,
    factor: float | None = None,
    method: Integrator | str | None = None,
    inputs: Any = None,
    dt_rescaled: float | None = None,
) -> Interchange:
    """Apply two procedures in both orders, measure the difference, and say under which condition there is none.

    | pair | condition |
    |---|---|
    | rescale, discretize | the step is rescaled too, dt' = factor dt |
    | rescale, linearize | always |
    | discretize (Euler, Adams-Bashforth), linearize | always, at any base point |
    | discretize (Runge-Kutta, exact), linearize | the base point is an equilibrium (or the system affine around the step) |
    | discretize, to_continuous (exact) | no eigenvalue of the Jacobian with abs(Im) >= pi / dt |

    Args:
        model: a system in continuous time (with "rescale" and "linearize" also a map).
        first, second: two different ones of "rescale", "discretize", "linearize", "to_continuous".
        at: base point `(n,)`; None for the origin.
        dt: step of "discretize".
        factor: of "rescale".
        method: of "discretize"; None takes `ZeroOrderHold()` with "to_continuous", and is an error otherwise.
        inputs: input `(m,)` at the base point; None for zero.
        dt_rescaled: the step used for the rescaled system; None takes factor dt. Another value shows what happens when a step
            is not rescaled.

    Returns:
        Interchange.

    Raises:
        ValueError: an unknown or repeated procedure, or a missing dt, factor or method. TypeError: the model is a map where a
        system in continuous time is needed. ShapeError: `at` or `inputs` of the wrong size.

    Source: caruso2023; kalman1963 (pathological sampling); docs/theory/time.md.

    Examples:
        >>> import retime as rt
        >>> rate = rt.RateRNN([[0.6, -1.0], [1.0, 0.4]], None, [0.2, -0.1], tau=0.5)
        >>> rt.interchange(rate, "linearize", "discretize", at=[0.1, 0.2], dt=0.1, method=rt.Euler()).commutes
        True
    """
    pair, turned = (first, second), (second, first)
    if first not in PROCEDURES or second not in PROCEDURES or first == second:
        raise ValueError(
            f"`first`, `second` are {first!r}, {second!r}; they must be two different ones of {', '.join(PROCEDURES)}."
        )
    setting = _Setting(model, at, dt, factor, method, inputs, dt_rescaled)
    if pair not in _PAIRS and turned not in _PAIRS:
        raise ValueError(
            f'"to_continuous" is compared with "discretize" only, not with {(set(pair) - {"to_continuous"}).pop()!r}.'
        )
    compare = _PAIRS.get(pair) or _PAIRS[turned]
    results, condition, controllability = compare(setting)
    difference, size, rounding = _difference(setting, *results)
    if pair not in _PAIRS:
        results = results[::-1]
    commutes = difference <= TOLERANCE * size + rounding
    return Interchange(pair, results, difference, size, commutes, condition, controllability)


class _Setting:
    """The arguments of `interchange`, each checked when a procedure needs it."""

    def __init__(self, model: Any, at: Any, dt: Any, factor: Any, method: Any, inputs: Any, dt_rescaled: Any) -> None:
        model = system("interchange", model)
        self.model, self._dt, self._factor, self._dt_rescaled = model, dt, factor, dt_rescaled
        self._method = None if method is None else integrator(method)
        n, m = model.num_states, model.num_inputs
        self.at = vector("at", np.zeros(n) if at is None else one_state(at), n, " one entry per state")
        self.inputs = vector("inputs", np.zeros(m) if inputs is None else inputs, m, " one entry per input")

    @property
    def dt(self) -> float:
        return positive("dt", self._needed("dt", self._dt, "discretize"))

    @property
    def factor(self) -> float:
        return positive("factor", self._needed("factor", self._factor, "rescale"), "dimensionless")

    @property
    def method(self) -> Integrator:
        return self._needed("method", self._method, "discretize")

    @property
    def dt_rescaled(self) -> float:
        return self.factor * self.dt if self._dt_rescaled is None else positive("dt_rescaled", self._dt_rescaled)

    def _needed(self, name: str, value: Any, procedure: str) -> Any:
        if value is None:
            raise ValueError(f'`{name}` is missing; "{procedure}" needs it.')
        return value

    def linearized(self, model: System) -> LinearSystem:
        start = model.start(self.at, self.inputs)
        return linearize(model, start, inputs=self.inputs)

    def discretized(self, model: System, dt: float, method: Integrator | None = None) -> System:
        return to_discrete(model, dt, method=method or self.method).model


_Compared = tuple[tuple[Any, Any], Condition, Condition | None]
"""Both results, the condition under which they agree, and whether sampling keeps controllability."""


def _rescale_discretize(x: _Setting) -> _Compared:
    k, wanted, method = x.factor, x.factor * x.dt, x.method.slowed(x.factor)
    slow_first = x.discretized(rescale_time(x.model, k), x.dt_rescaled, method)
    mismatch = abs(x.dt_rescaled / wanted - 1)
    name, detail = "the step is rescaled too: dt' = factor dt", "1e-12 minus the relative mismatch of the steps"
    results = (slow_first, rescale_time(x.discretized(x.model, x.dt), k))
    return results, Condition.of(name, 1e-12 - mismatch, detail), None


def _rescale_linearize(x: _Setting) -> _Compared:
    results = (x.linearized(rescale_time(x.model, x.factor)), rescale_time(x.linearized(x.model), x.factor))
    return results, _always("always: rescaling multiplies the field by a number"), None


def _linearize_discretize(x: _Setting) -> _Compared:
    linear = x.linearized(x.model)
    results = (x.linearized(x.discretized(linear, x.dt)), x.linearized(x.discretized(x.model, x.dt)))
    return results, _base_point(x), _controllability(linear, results[0])


def _always(name: str) -> Condition:
    return Condition.of(name, float("inf"), "no hypothesis")


def _base_point(x: _Setting) -> Condition:
    """When discretizing by the method and linearizing agree at the base point."""
    affine = piecewise_affine(x.model)
    if isinstance(x.model, LinearSystem):
        return _always("always: the system is linear")
    if x.method.interchanges == "always":
        return _always(f"always, at any base point: {x.method!r} is affine in the field")
    if x.method.interchanges == "never":
        name = f"never: {x.method!r} takes the whole matrix of the linearization as its linear part"
        return Condition.of(name, -1.0, "pass ExponentialEuler(L) to keep the same linear part")
    if affine is not None and isinstance(x.method, ZeroOrderHold):
        return _always("always: the region is held over the step")
    if affine is not None:
        return _one_region(x, affine)
    moved = x.dt * x.model.apply(x.at, x.inputs)
    speed, size = (float(np.abs(v).max(initial=0.0)) for v in (moved, x.at))
    bound = TOLERANCE * (1 + size)
    name = "the base point is an equilibrium: F(base) = 0"
    return Condition.of(name, bound - speed, f"{bound:.1e} minus dt |F(base)|")


def _one_region(x: _Setting, model: PiecewiseAffineSystem) -> Condition:
    """Whether the step evaluates the field in the region of the base point only."""
    states = np.array(x.method.evaluated_at(x.model, x.dt, x.at, x.inputs))
    moved = int((model.pattern(states, x.inputs) != model.pattern(x.at, x.inputs)).any(axis=-1).sum())
    detail = (
        f"minus the number of evaluations of the field ({len(states)} in a step) outside the region of the base point"
    )
    return Condition.of("the step stays in one region", -moved, detail)


def _there_and_back(x: _Setting) -> _Compared:
    original, method = x.linearized(x.model), x._method or ZeroOrderHold()
    there, flow, sampled = _around(original.time, x, original, method)
    dt = sampled.dt
    below = np.pi / dt - float(np.abs(np.imag(flow.eigenvalues)).max(initial=0.0))
    name = "every frequency is below the Nyquist rate: |Im(eigenvalue)| < pi / dt"
    condition = Condition(name, below > 0, below, "pi / dt minus the largest |Im|, at the base point")
    if np.isfinite(method.order) or method.shifts_state(original):
        detail = f"{method!r} is not, state by state; use ZeroOrderHold()"
        condition = Condition.of("the discretization is exact", -1.0, detail)
    return (there, original), condition, _controllability(flow, sampled)


@singledispatch
def _around(time: Continuous, x: _Setting, flow: Any, method: Integrator) -> tuple[Any, Any, Any]:
    """There and back; the flow and its samples."""
    sampled = x.discretized(flow, x.dt, method)
    return to_continuous(sampled).model, flow, sampled


@_around.register
def _(time: Discrete, x: _Setting, sampled: Any, method: Integrator) -> tuple[Any, Any, Any]:
    flow = to_continuous(sampled).model
    return x.discretized(flow, time.dt, method), flow, sampled


def _controllability(flow: Any, sampled: Any) -> Condition | None:
    if flow.num_inputs == 0:
        return None
    lost = [system.num_states - system.controllability_rank() for system in (flow, sampled)]
    detail = f"states out of reach: {lost[0]} of {flow.num_states} before, {lost[1]} of {sampled.num_states} after; the difference"
    return Condition.of("sampling keeps controllability", lost[0] - lost[1], detail)


_PAIRS: dict[tuple[str, str], Callable[[_Setting], _Compared]] = {
    ("rescale", "discretize"): _rescale_discretize,
    ("rescale", "linearize"): _rescale_linearize,
    ("linearize", "discretize"): _linearize_discretize,
    ("discretize", "to_continuous"): _there_and_back,
    ("to_continuous", "discretize"): _there_and_back,
}


def _difference(x: _Setting, a: Any, b: Any) -> tuple[float, float, float]:
    """Largest difference of two systems, the size of what was compared, and of rounding; inf when they are not of one kind."""
    infinite = (float("inf"), 0.0, 0.0)
    if type(a.time) is not type(b.time):
        return infinite
    if all(isinstance(system, LinearSystem) for system in (a, b)):
        if a.num_states != b.num_states:
            return infinite
        parts, rounding = [(a.A, b.A), (a.b, b.b), (a.E, b.E)], 0.0
    else:
        n = x.model.num_states
        z = np.vstack([x.at, x.at + np.random.default_rng(0).normal(size=(32, n))])
        s = np.broadcast_to(x.inputs, (len(z), len(x.inputs)))
        moves = [a.time.motion(system.apply(system.start(z, s), s)[:, :n], z) for system in (a, b)]
        parts, rounding = [tuple(moves)], 16 * np.finfo(float).eps * size_of(z)
    difference = max(float(np.abs(u - v).max(initial=0.0)) for u, v in parts)
    return difference, max(float(np.abs(u).max(initial=0.0)) for u, _ in parts), rounding

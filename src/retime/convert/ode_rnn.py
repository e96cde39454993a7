"""Recurrent cells that are one step of an integrator: n-t-ODERNN."""

from __future__ import annotations

import dataclasses
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from retime.convert.integrators import Euler, RungeKutta
from retime.convert.methods import integrator
from retime.convert.multistep import AdamsBashforth
from retime.core.arguments import system, whole
from retime.core.arrays import Array, positive
from retime.core.conversion import Conversion
from retime.core.equation import Equation
from retime.core.system import SmoothSystem, System
from retime.core.time import CONTINUOUS, Continuous, Discrete
from retime.models import DerivedSystem, VectorField


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ODERNN(SmoothSystem):
    """A cell that advances a differential equation of order t by an explicit method of n stages.

    d^t h / dtime^t = F(h, h', ..., h^(t-1), s);   z = (h, h', ..., h^(t-1)),   z_{k+1} = one step of the method over dt, s held

    An ordinary model: it simulates, trains, saves and is analyzed as any other. `to_continuous` gives the equation back.

    Args:
        field: F. A system in continuous time (of order 2 and more its states are h alone), or a function of t vectors `(d,)` and, with
            inputs, of s `(m,)`.
        method: an explicit `RungeKutta(tableau)`, `Euler()` or `AdamsBashforth(k)`, or its name.
        dt: step, model time.
        order: t >= 1.
        num_states: d, the length of h, for a function. num_inputs: m, for a function.
        readout: on h `(p, d)` or on the whole state.

    Raises:
        TypeError: a field that is no flow and no function; a method that is not explicit. ValueError: dt <= 0, order < 1.
        ShapeError: the field has another shape.

    Source: niu2019 (the classes n and t); definitions: docs/theory/cells.md.
    """

    family: ClassVar[str] = "odernn"

    field: Any = dataclasses.field()
    method: Any = dataclasses.field()
    order: int = 1

    def __init__(
        self,
        field: Any,
        method: Any,
        *,
        dt: Any = None,
        order: int = 1,
        num_states: int | None = None,
        num_inputs: int = 0,
        readout: Any = None,
        time: Any = None,
    ) -> None:
        method = _explicit(method)
        whole("order", order, 1)
        if dt is None and time is not None:
            dt = time.dt
        if isinstance(field, (System, Conversion)):
            field = system("ODERNN", field, "field", "a system in continuous time, or a function", Continuous)
        elif callable(field):
            whole("num_states", num_states, 1)
            field = _function_field(field, order, int(num_states or 0), num_inputs)
        else:
            raise TypeError(
                f"`field` is {type(field).__name__}; it must be a system in continuous time, or a function."
            )
        self._set(field=field, method=method, order=int(order), time=Discrete(positive("dt", dt)))
        self._set(readout=_widened(readout, len_h=self._base.num_states, whole=self.num_states))
        self._finish()

    @cached_property
    def _base(self) -> System:
        """The equation of first order in (h, h', ...)."""
        if self.order == 1 or (isinstance(self.field, VectorField) and isinstance(self.field.f, _Chain)):
            return self.field
        return HigherOrderField(self.field, self.order)

    @cached_property
    def _step(self) -> DerivedSystem:
        return DerivedSystem(self._base, self.method, self.dt, time=self.time, readout=np.eye(self._base.num_states))

    @property
    def n(self) -> int:
        """Stages: evaluations of the field per step."""
        return self.method.tableau.num_stages if isinstance(self.method, RungeKutta) else 1

    @property
    def t(self) -> int:
        """The order of the differential equation: how many derivatives of h, h among them, the state holds."""
        return self.order

    @property
    def num_states(self) -> int:
        """t times the length of h; of an Adams-Bashforth method also the earlier derivatives."""
        return self._base.num_states * (1 + self.method.memory)

    @property
    def num_inputs(self) -> int:
        """m."""
        return self.field.num_inputs

    def integrated(self) -> System | None:
        """The equation: the field as it was given, of order 2 and more as one of first order in (h, h', ...)."""
        return self._base

    def start(self, z: Array, s: Array | None = None) -> Array:
        """The whole state from (h, h', ...): earlier derivatives by steps backward in time."""
        return self._step.start(z, s)

    @property
    def weights(self) -> dict[str, Array]:
        """Those of the field, and `log_dt`, the logarithm of the step."""
        return {**self.field.weights, "log_dt": np.array([np.log(self.dt)])}

    def with_weights(self, weights: dict[str, Any]) -> System:
        """The same cell with other weights of its field, and another step where `log_dt` is among them."""
        own = {k: v for k, v in weights.items() if k != "log_dt"}
        dt = float(np.exp(np.asarray(weights["log_dt"])[0])) if "log_dt" in weights else self.dt
        return dataclasses.replace(self, field=self.field.with_weights(own), time=Discrete(dt))

    def substituted(self, parameters: Any, weights: dict[str, Any]) -> Any:
        """The parameters of its equation with these weights in place of its own."""
        own = {k: v for k, v in weights.items() if k != "log_dt"}
        dt = _jax().exp(weights["log_dt"][0]) if "log_dt" in weights else parameters["dt"]
        return {"inner": self.field.substituted(parameters["inner"], own), "dt": dt}

    def _equation(self) -> Equation:
        return self.method.equation(self._base, self.dt)

    def _details(self) -> list[str]:
        return [f"n = {self.n}, t = {self.t}", f"{self.method!r} of {type(self.field).__name__}"]


def _explicit(method: Any) -> Any:
    method = integrator(method)
    if not isinstance(method, (RungeKutta, Euler, AdamsBashforth)) or method.is_implicit:
        raise TypeError(
            f"`method` is {method!r}; an ODERNN takes an explicit one: RungeKutta(tableau), Euler() or AdamsBashforth(k)."
        )
    return method


def _widened(readout: Any, len_h: int, whole: int) -> Any:
    """A readout of (h, h', ...), or of h alone, on the whole state."""
    if readout is None:
        return None
    B, b = readout if isinstance(readout, tuple) else (readout, None)
    B = np.asarray(getattr(B, "B", B), dtype=np.float64)
    if B.ndim == 2 and B.shape[1] < whole and whole % B.shape[1] == 0:
        B = np.hstack([B, np.zeros((len(B), whole - B.shape[1]))])
        return B if b is None else (B, b)
    return readout


def _function_field(f: Any, order: int, d: int, m: int) -> VectorField:
    """A function of (h, h', ..., s) as a vector field of first order."""
    whole("num_inputs", m, 0)
    return VectorField(_Chain(f, order, d, m), order * d, m)


@dataclass(frozen=True)
class _Chain:
    """d/dtime (h, ..., h^(t-1)) = (h', ..., F)."""

    f: Any
    order: int
    d: int
    m: int

    def __call__(self, z: Any, *s: Any) -> Any:
        xp = np if isinstance(z, np.ndarray) else _jax()
        parts = [z[k * self.d : (k + 1) * self.d] for k in range(self.order)]
        return xp.concatenate([*parts[1:], xp.asarray(self.f(*parts, *s))])

    @property
    def __name__(self) -> str:
        return getattr(self.f, "__name__", type(self.f).__name__)


def _jax() -> Any:
    import jax.numpy as jnp

    return jnp


@dataclass(frozen=True, eq=False, repr=False)
class HigherOrderField(SmoothSystem):
    """h^(t) = F(h, s) of a system's field, as one of first order."""

    family: ClassVar[str] = "higher_order"

    inner: System
    order: int
    _: KW_ONLY
    time: Any = CONTINUOUS

    def __post_init__(self) -> None:
        self._finish()

    @property
    def num_states(self) -> int:
        """t times the length of h."""
        return self.order * self.inner.num_states

    @property
    def num_inputs(self) -> int:
        """m."""
        return self.inner.num_inputs

    def _equation(self) -> Equation:
        return Equation(_Raised(self.inner.equation.function, self.order), self.inner.equation.parameters)

    def _details(self) -> list[str]:
        return [f"order {self.order} of {type(self.inner).__name__}"]


@dataclass(frozen=True)
class _Raised:
    function: Any
    order: int

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        d = z.shape[0] // self.order
        return xp.concatenate([z[d:], self.function(xp, p, z[:d], s)])

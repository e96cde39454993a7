"""Methods that advance a field part by part: its equations in turn, or its terms in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.convert.integrators import Integrator
from retime.convert.tableaux import EULER
from retime.core.arrays import Array
from retime.core.equation import Equation
from retime.core.system import System
from retime.core.time import Discrete
from retime.models import DerivedSystem


@dataclass(frozen=True)
class PartitionedEuler(Integrator):
    """Euler's method with the equations advanced in turn, each with the new values of those before it. Order 1.

    z = (x_0, ..., x_{r-1}) in equal parts;   x_i <- x_i + dt F_i(x),   i in the order given

    Of positions and velocities, (1, 0) is the symplectic Euler method.

    Args:
        parts: the order in which the parts are advanced, a permutation of 0 to r - 1.

    Source: hairer2006, section I.1.
    """

    parts: tuple[int, ...] = (1, 0)
    order: ClassVar[float] = 1

    def __post_init__(self) -> None:
        parts: Any = self.parts
        if not isinstance(parts, (tuple, list)) or sorted(parts) != list(range(len(parts))) or not parts:
            raise ValueError(f"`parts` is {parts!r}; it must be an order of the parts, such as (1, 0).")
        object.__setattr__(self, "parts", tuple(int(k) for k in parts))

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step.

        Raises:
            ValueError: the states cannot be divided into as many equal parts.
        """
        if model.num_states % len(self.parts):
            raise ValueError(
                f"{self!r} divides the states into {len(self.parts)} equal parts; there are {model.num_states} states."
            )
        return DerivedSystem(model, self, dt, time=Discrete(dt))

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        inner = base.equation
        return Equation(_InTurn(inner.function, self.parts), {"inner": inner.parameters, "dt": np.float64(dt)})

    def rational(self) -> tuple[Array, Array]:
        """1 + z, of parts that do not act on each other."""
        return EULER.rational()

    def largest_factor(self, J: Array, L: Array | None, dt: float) -> float:
        """Spectral radius of the step of dz/dt = J z, where every mode of J decays; else 0."""
        if (np.linalg.eigvals(J).real >= 0).any():
            return 0.0
        n = len(J)
        step, size = np.eye(n), n // len(self.parts)
        for i in self.parts:
            rows = slice(i * size, (i + 1) * size)
            step[rows] += dt * J[rows] @ step
        return float(np.abs(np.linalg.eigvals(step)).max())


@dataclass(frozen=True)
class _InTurn:
    inner: Callable[[Any, Any, Any, Any], Any]
    parts: tuple[int, ...]

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        size = z.shape[0] // len(self.parts)
        pieces = [z[i * size : (i + 1) * size] for i in range(len(self.parts))]
        for i in self.parts:
            F = self.inner(xp, p["inner"], xp.concatenate(pieces), s)
            pieces[i] = pieces[i] + p["dt"] * F[i * size : (i + 1) * size]
        return xp.concatenate(pieces)


@dataclass(frozen=True, eq=False)
class LieSplitting(Integrator):
    """The exact flows of the terms of a field, one after the other, the input held. Order 1, exact where the terms commute.

    F = F_0 + ... + F_{r-1};   z_{k+1} = flow_{r-1}(dt) ... flow_0(dt) z_k

    Args:
        terms: systems in continuous time whose fields add up to that of the model, each with a map of its held flow (`System.held`, or a
            linear system).

    Source: hairer2006, section II.5.
    """

    terms: tuple[System, ...]
    order: ClassVar[float] = 1

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step.

        Raises:
            ValueError: the terms do not add up to the field of the model.
        """
        rng = np.random.default_rng(0)
        z, s = rng.normal(size=(8, model.num_states)), rng.normal(size=(8, model.num_inputs))
        wanted, got = model.field(z, s), sum(term.field(z, s) for term in self.terms)
        if not np.allclose(got, wanted, rtol=1e-10, atol=1e-10 * np.abs(wanted).max(initial=1.0)):
            raise ValueError(f"the fields of the {len(self.terms)} terms do not add up to that of {model!r}.")
        return DerivedSystem(model, self, dt, time=Discrete(dt))

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        from retime.convert.holds import ZeroOrderHold

        steps = [ZeroOrderHold().discretize(term, dt).equation for term in self.terms]
        return Equation(_OneAfterAnother(tuple(e.function for e in steps)), [e.parameters for e in steps])

    def __repr__(self) -> str:
        return f"LieSplitting({len(self.terms)} terms)"


@dataclass(frozen=True)
class _OneAfterAnother:
    flows: tuple[Callable[[Any, Any, Any, Any], Any], ...]

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        for flow, parameters in zip(self.flows, p, strict=True):
            z = flow(xp, parameters, z, s)
        return z

"""Methods of `to_discrete`: one small object each, that makes a map of a system in continuous time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.polynomial.polynomial import polyval

from retime.convert.embeddings import EulerField
from retime.convert.tableaux import EULER, HEUN, RungeKuttaStep, Tableau
from retime.core.arrays import Array, state_matrix
from retime.core.equation import Equation, evaluate
from retime.core.errors import ConvergenceError
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Discrete
from retime.models import DerivedSystem, LinearSystem, PiecewiseAffineRNN, RateRNN
from retime.models.derived import DerivingMethod
from retime.models.linear import linear
from retime.models.piecewise import combined

Interchanges = Literal["always", "equilibrium", "never"]


class Integrator(DerivingMethod):
    """A method of `to_discrete`.

    Attributes:
        order: p; the error of one step is O(dt^(p + 1)), of an orbit over a fixed time O(dt^p). inf for an exact method.
        interchanges: at which base points discretizing and linearizing give the same: "always", "equilibrium", "never".
        meaning: what happens between the samples of a linear system, in words (formatted with the method).
    """

    order: ClassVar[float]
    interchanges: ClassVar[Interchanges] = "equilibrium"
    meaning: ClassVar[str] = "Order {0.order:g}; the input is held over the step; fixed points are kept."

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step.

        Raises:
            TypeError: the method does not take the model, or the model has no right-hand side of the state alone.
        """
        return DerivedSystem(model, self, dt, time=Discrete(dt))

    def amplification(self, z: Array) -> Array:
        """Largest modulus that one step multiplies a mode of dz/dt = lambda z by, at z = dt lambda (complex): |R(z)|, or |exp(z)|."""
        fraction = self.rational()
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return np.exp(np.real(z)) if fraction is None else np.abs(polyval(z, fraction[0]) / polyval(z, fraction[1]))

    def largest_factor(self, J: Array, L: Array | None, dt: float) -> float:
        """Largest modulus that one step multiplies a decaying mode of dz/dt = J z by; L is the linear part of F, where it matters."""
        rates = np.linalg.eigvals(J)
        return float(self.amplification(dt * rates[rates.real < -neutral(J)]).max(initial=0.0))

    def rational(self) -> tuple[Array, Array] | None:
        """R = P / Q as coefficients of P and Q, constant first, for methods with a rational stability function; else None."""
        return None

    def slowed(self, factor: float) -> Integrator:
        """The method for the same system with time stretched; another one only where it holds rates of its own."""
        return self

    def evaluated_at(self, model: System, dt: float, z: Array, s: Array) -> list[Array]:
        """The states `(n,)` at which one step from z evaluates the right-hand side."""
        return [z]

    def shifts_state(self, model: LinearSystem) -> bool:
        """Whether the state of the map is another one than that of the flow (its outputs are the same)."""
        return False

    def warped(self, dt: float) -> float:
        """The step of the plain method that moves poles as this one does with dt."""
        return dt

    def undo(self, model: LinearSystem) -> LinearSystem:
        """The linear flow whose map of one step is `model`; for the methods of control (`d2c`).

        Raises:
            TypeError: the method is not undone. CertificateError: no linear flow has this map.
        """
        raise TypeError(
            f"{self!r} is not undone; a linear map goes back by zoh, foh, tustin, matched, impulse, euler, backward_diff or gbt:ALPHA."
        )


class LinearMethod(Integrator, ABC):
    """A method of control: of a LinearSystem it makes one with a readout, whose state is in other coordinates than that of the flow."""

    order: ClassVar[float] = float("inf")
    _instead: ClassVar[str] = ""

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step, with a readout.

        Raises:
            TypeError: not a LinearSystem.
        """
        return self._step(linear(model, f"{type(self).__name__} takes", self._instead), dt)

    @abstractmethod
    def _step(self, model: LinearSystem, dt: float) -> LinearSystem: ...

    def shifts_state(self, model: LinearSystem) -> bool:
        """Always."""
        return True


@dataclass(frozen=True)
class RungeKutta(Integrator):
    """A Runge-Kutta method, explicit or diagonally implicit, given by its tableau; the input is held over the step.

    z_{k+1} = z_k + dt sum_i b_i F(Z_i, s_k),   Z_i = z_k + dt sum_j A_ij F(Z_j, s_k)

    Args:
        tableau: RK4, MIDPOINT, RALSTON, RK3, DORMAND_PRINCE, IMPLICIT_EULER, IMPLICIT_MIDPOINT, TRAPEZOID, or your own `Tableau`.

    Implicit stages are solved by Newton's method to 1e-12; one that does not converge is reported, never passed on.
    Source: hairer1993, hairer1996.
    """

    tableau: Tableau

    def __post_init__(self) -> None:
        tableau: Any = self.tableau
        if isinstance(tableau, dict):
            object.__setattr__(self, "tableau", Tableau(**tableau))
        elif not isinstance(tableau, Tableau):
            raise TypeError(f"`tableau` is {tableau!r}; it must be a Tableau, e.g. retime.RK4.")

    @property
    def order(self) -> int:  # type: ignore[override]
        """The tableau's order."""
        return self.tableau.order

    @property
    def is_implicit(self) -> bool:  # type: ignore[override]
        """Whether a stage needs an equation to be solved."""
        return self.tableau.is_implicit

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step; linear systems stay linear."""
        return _runge_kutta(model, self, dt)

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        return RungeKuttaStep.of(self.tableau, base.equation, dt)

    def evaluated_at(self, model: System, dt: float, z: Array, s: Array) -> list[Array]:
        """The states of the stages."""
        stages = range(self.tableau.num_stages)
        return [evaluate(RungeKuttaStep.of(self.tableau, model.equation, dt, k), z, s) for k in stages]

    def rational(self) -> tuple[Array, Array]:
        """R = P / Q as coefficients of P and Q, constant first."""
        return self.tableau.rational()

    def amplification(self, z: Array) -> Array:
        """|R(z)|."""
        return np.abs(self.tableau.stability(z))

    def __repr__(self) -> str:
        return f"RungeKutta({self.tableau.name})"


@dataclass(frozen=True)
class Euler(Integrator):
    """Euler's method: z_{k+1} = z_k + dt F(z_k, s_k). Order 1.

    Families stay themselves where they can: a RateRNN becomes a LeakyRNN with leak dt / tau, for dt = tau in the rate form the
    Elman network (TanhRNN, ReluRNN); piecewise-affine systems stay piecewise affine, linear ones linear.
    """

    order: ClassVar[float] = 1
    interchanges: ClassVar[Interchanges] = "always"

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step."""
        return combined(model, 1.0, dt, Discrete(dt), lambda: super(Euler, self).discretize(model, dt))

    def undo(self, model: LinearSystem) -> LinearSystem:
        """A = (A_map - I) / dt, and so on."""
        return EulerField().embed(model)  # type: ignore[return-value]

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        return RungeKuttaStep.of(EULER, base.equation, dt)

    def rational(self) -> tuple[Array, Array]:
        """1 + z."""
        return EULER.rational()


@singledispatch
def _runge_kutta(model: System, method: RungeKutta, dt: float) -> System:
    return Integrator.discretize(method, model, dt)


@_runge_kutta.register
def _(model: LinearSystem, method: RungeKutta, dt: float) -> LinearSystem:
    """Of dz/dt = A z + b + E s: every stage as a matrix acting on (z, s, 1)."""
    n, tableau = model.num_states, method.tableau
    G = np.zeros((n + model.num_inputs + 1,) * 2)
    G[:n] = dt * model.columns
    stages: list[Array] = []
    for i, row in enumerate(tableau.A):
        Y = np.eye(len(G)) + G @ sum((a * X for a, X in zip(row, stages, strict=False) if a), np.zeros_like(G))
        stages.append(solve_step(np.eye(len(G)) - row[i] * G, Y, dt) if row[i] else Y)
    X = finite_step(np.eye(n, len(G)) + G[:n] @ sum(b * Y for b, Y in zip(tableau.b, stages, strict=True)), dt)
    return model.with_columns(X, time=Discrete(dt))


def solve_step(M: Array, right: Array, dt: float) -> Array:
    """M^{-1} right, for the equation of an implicit step.

    Raises:
        ConvergenceError: M is singular to rounding, so that the step has no solution.
    """
    if np.linalg.cond(M) > 1e14:
        raise ConvergenceError(
            f"The implicit step has no solution for dt = {dt:.6g}: dt times an eigenvalue is a pole of the method. Use another dt."
        )
    return np.linalg.solve(M, right)


def finite_step(X: Array, dt: float) -> Array:
    """The matrix of a step, checked.

    Raises:
        ValueError: it overflows.
    """
    if not np.isfinite(X).all():
        raise ValueError(f"`dt` is {dt:.6g}: one step grows beyond the range of numbers. Use a smaller dt.")
    return X


def Heun() -> RungeKutta:
    """Heun's method, the explicit trapezoid: `RungeKutta(HEUN)`, order 2."""
    return RungeKutta(HEUN)


@dataclass(frozen=True, eq=False)
class ExponentialEuler(Integrator):
    """Exponential Euler: the linear part is integrated exactly, the rest held over the step. Order 1.

    z_{k+1} = exp(dt L) z_k + dt phi(dt L) (F(z_k, s_k) - L z_k),   phi(x) = (exp(x) - 1) / x

    L is the leak of a RateRNN or HopfieldNetwork, A of a piecewise-affine network, all of a LinearSystem (then exact for a held
    input); any other system needs `linear`. A RateRNN becomes a LeakyRNN with leak 1 - exp(-dt / tau).

    Args:
        linear: L `(n, n)`, or its diagonal `(n,)`, 1 / model time; None for the family's own.

    Source: hochbruck2010.
    """

    linear: Any = None
    order: ClassVar[float] = 1

    def __post_init__(self) -> None:
        if self.linear is not None:
            object.__setattr__(self, "linear", state_matrix("linear", self.linear))

    @property
    def interchanges(self) -> Interchanges:  # type: ignore[override]
        """With an L of one's own always; else never, because the linearization has another L, its whole matrix."""
        return "never" if self.linear is None else "always"

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step."""
        return _exponential(model, self, dt)

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        inner, L = base.equation, self.linear_of(base)
        X, phi = exponential_and_phi(L, dt)
        p = {"inner": inner.parameters, "X": X, "phi": phi, "L": L}
        return Equation(_ExponentialStep(inner.function), p)

    def largest_factor(self, J: Array, L: Array | None, dt: float) -> float:
        """Spectral radius of exp(dt L) + dt phi(dt L) (J - L) when every mode of J decays; else 0."""
        if (np.linalg.eigvals(J).real >= -neutral(J)).any():
            return 0.0
        L = self.linear if self.linear is not None else L
        X, phi = exponential_and_phi(np.asarray(L), dt)
        return float(np.abs(np.linalg.eigvals(X + phi @ (J - L))).max())

    def slowed(self, factor: float) -> Integrator:
        """L divided by the factor."""
        return self if self.linear is None else ExponentialEuler(self.linear / factor)

    def linear_of(self, model: System) -> Array:
        """L for a model.

        Raises:
            ValueError: the family names none. ShapeError: `linear` of another size.
        """
        L = model.linear_part if self.linear is None else self.linear
        if L is None:
            raise ValueError(
                f"ExponentialEuler() needs the linear part of {type(model).__name__}, which names none; pass ExponentialEuler(L) with "
                "L (n, n), or use RungeKutta."
            )
        return state_matrix("linear", L, model.num_states)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExponentialEuler) and bool(np.array_equal(self.linear, other.linear))

    def __hash__(self) -> int:
        return hash((ExponentialEuler, self.linear is None))

    def __repr__(self) -> str:
        return f"ExponentialEuler({'' if self.linear is None else 'linear=...'})"


def neutral(J: Array) -> float:
    """The rate below which an eigenvalue of J is rounding: a mode that neither grows nor decays."""
    return 100 * len(J) * np.finfo(float).eps * float(np.linalg.norm(J))


def exponential_and_phi(L: Array, dt: float) -> tuple[Array, Array]:
    """exp(dt L) and dt phi(dt L) = integral_0^dt exp(t L) dt, both `(n, n)`, from one exponential."""
    from scipy.linalg import expm

    n = len(L)
    X = expm(dt * np.block([[L, np.eye(n)], [np.zeros((n, 2 * n))]]))
    return X[:n, :n], X[:n, n:]


@singledispatch
def _exponential(model: System, method: ExponentialEuler, dt: float) -> System:
    made = Integrator.discretize(method, model, dt)
    method.linear_of(model)
    return made


@_exponential.register
def _(model: RateRNN, method: ExponentialEuler, dt: float) -> System:
    if method.linear is not None:
        return _exponential.dispatch(System)(model, method, dt)
    return model.stepped(-np.expm1(-dt / np.asarray(model.tau)), Discrete(dt))


@_exponential.register
def _(model: PiecewiseAffineSystem, method: ExponentialEuler, dt: float) -> System:
    f, L = model.canonical, method.linear_of(model)
    X, phi = exponential_and_phi(L, dt)
    parts = (X + phi @ (f.A - L), phi @ f.W1, f.W2, phi @ f.h1, f.h2, phi @ f.C1, f.C2)
    return PiecewiseAffineRNN(*parts, time=Discrete(dt), readout=model.readout)


@_exponential.register
def _(model: LinearSystem, method: ExponentialEuler, dt: float) -> System:
    L = method.linear_of(model)
    X, phi = exponential_and_phi(L, dt)
    return replace(model, A=X + phi @ (model.A - L), b=phi @ model.b, E=phi @ model.E, time=Discrete(dt))


@dataclass(frozen=True)
class _ExponentialStep:
    inner: Callable[[Any, Any, Any, Any], Any]

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        return p["X"] @ z + p["phi"] @ (self.inner(xp, p["inner"], z, s) - p["L"] @ z)

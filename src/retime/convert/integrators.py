"""Methods of `to_discrete`: one small object each, that makes a map of a system in continuous time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from retime.convert.combine import combined
from retime.convert.embeddings import EulerField
from retime.convert.tableaux import DORMAND_PRINCE, EULER, HEUN, TRAPEZOID, RungeKuttaStep, Tableau
from retime.core.arrays import Array, state_matrix
from retime.core.equation import Equation, evaluate
from retime.core.errors import ConvergenceError
from retime.core.readout import Readout
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Discrete
from retime.models import DerivedSystem, LinearSystem, PiecewiseAffineRNN, RateRNN
from retime.models.flow import register

Interchanges = Literal["always", "equilibrium", "never"]


class Integrator(ABC):
    """A method of `to_discrete`.

    Attributes:
        order: p; the error of one step is O(dt^(p + 1)), of an orbit over a fixed time O(dt^p). inf for an exact method.
        interchanges: at which base points discretizing and linearizing give the same: "always", "equilibrium", "never".
        is_implicit: whether a step needs an equation to be solved.
        memory: how many earlier derivatives the state carries besides z.
    """

    order: ClassVar[float]
    interchanges: ClassVar[Interchanges]
    is_implicit: ClassVar[bool] = False
    memory: ClassVar[int] = 0

    @abstractmethod
    def discretize(self, model: System, dt: float) -> System:
        """The map of one step."""

    @abstractmethod
    def amplification(self, z: Array) -> Array:
        """Largest modulus that one step multiplies a mode of dz/dt = lambda z by, at z = dt lambda (complex)."""

    def largest_factor(self, J: Array, L: Array | None, dt: float) -> float:
        """Largest modulus that one step multiplies a decaying mode of dz/dt = J z by; L is the linear part of F, where it matters."""
        rates = np.linalg.eigvals(J)
        return float(self.amplification(dt * rates[rates.real < -neutral(J)]).max(initial=0.0))

    def rational(self) -> tuple[Array, Array] | None:
        """R = P / Q as coefficients of P and Q, constant first, for methods with a rational stability function; else None."""
        return None

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side, for methods whose result no family holds."""
        raise TypeError(f"{self!r} has no right-hand side of its own.")

    def start(self, base: System, dt: float, z: Array, s: Array | None) -> Array:
        """The state that a multistep method starts from; z itself for the others."""
        return z

    def slowed(self, factor: float) -> Integrator:
        """The method for the same system with time stretched; another one only where it holds rates of its own."""
        return self

    def evaluated_at(self, model: System, dt: float, z: Array, s: Array) -> list[Array]:
        """The states `(n,)` at which one step from z evaluates the right-hand side."""
        return [z]

    def shifts_state(self, model: System) -> bool:
        """Whether the state of the map is another one than that of the flow (its outputs are the same)."""
        return False


@register
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
    interchanges: ClassVar[Interchanges] = "equilibrium"

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
        if isinstance(model, LinearSystem):
            return _linear_step(model, self.tableau, dt)
        return DerivedSystem(model, self, dt, time=Discrete(dt))

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        inner = base.equation
        p = {"inner": inner.parameters, "dt": np.float64(dt)}
        return Equation(RungeKuttaStep(self.tableau, inner.function), p)

    def evaluated_at(self, model: System, dt: float, z: Array, s: Array) -> list[Array]:
        """The states of the stages."""
        inner = model.equation
        p = {"inner": inner.parameters, "dt": np.float64(dt)}
        steps = [RungeKuttaStep(self.tableau, inner.function, stage) for stage in range(self.tableau.num_stages)]
        return [evaluate(Equation(step, p), z, s) for step in steps]

    def rational(self) -> tuple[Array, Array]:
        """R = P / Q as coefficients of P and Q, constant first."""
        return self.tableau.rational()

    def amplification(self, z: Array) -> Array:
        """|R(z)|."""
        return np.abs(self.tableau.stability(z))

    def __repr__(self) -> str:
        return f"RungeKutta({self.tableau.name})"


@register
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
        if isinstance(model, DerivedSystem) and isinstance(model.method, EulerField) and model.dt_used == dt:
            return model.base  # Euler's method with its own dt undoes EulerField
        return combined(model, 1.0, dt, Discrete(dt), lambda: DerivedSystem(model, self, dt, time=Discrete(dt)))

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        return RungeKutta(EULER).equation(base, dt)

    def amplification(self, z: Array) -> Array:
        """|1 + z|."""
        return np.abs(1 + np.asarray(z))

    def rational(self) -> tuple[Array, Array]:
        """1 + z."""
        return EULER.rational()


def _linear_step(model: LinearSystem, tableau: Tableau, dt: float) -> LinearSystem:
    """One step of a tableau on dz/dt = A z + b + E s: every stage as a matrix acting on (z, s, 1)."""
    n, m = model.E.shape
    G = np.zeros((n + m + 1, n + m + 1))
    G[:n] = dt * np.hstack([model.A, model.E, model.b[:, None]])
    stages: list[Array] = []
    for i, row in enumerate(tableau.A):
        Y = np.eye(len(G)) + G @ sum((a * X for a, X in zip(row, stages, strict=False) if a), np.zeros_like(G))
        stages.append(solve_step(np.eye(len(G)) - row[i] * G, Y, dt) if row[i] else Y)
    X = finite_step(np.eye(n, len(G)) + G[:n] @ sum(b * Y for b, Y in zip(tableau.b, stages, strict=True)), dt)
    return replace(model, A=X[:, :n], b=X[:, -1], E=X[:, n : n + m], time=Discrete(dt))


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


@register
@dataclass(frozen=True)
class Tustin(Integrator):
    """The trapezoid rule: order 2, implicit, every decaying mode decays whatever dt.

    z_{k+1} = z_k + dt/2 (F(z_k, s_k) + F(z_{k+1}, s_k))

    The input is held over the step. A LinearSystem *with a readout* follows the convention of control instead (bilinear
    transform, s = (2/dt) (z - 1)/(z + 1)): the input is averaged over the ends of the step, which changes readout and D; the
    state is then (I - dt/2 A) z - dt/2 (E s + b), as in SciPy's `cont2discrete(method="bilinear")`.
    """

    order: ClassVar[float] = 2
    interchanges: ClassVar[Interchanges] = "equilibrium"

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step."""
        if isinstance(model, LinearSystem) and self.shifts_state(model):
            return _bilinear(model, dt)
        return _TRAPEZOID.discretize(model, dt)

    def amplification(self, z: Array) -> Array:
        """|(2 + z) / (2 - z)|."""
        return _TRAPEZOID.amplification(z)

    def rational(self) -> tuple[Array, Array]:
        """(2 + z) / (2 - z)."""
        return TRAPEZOID.rational()

    def evaluated_at(self, model: System, dt: float, z: Array, s: Array) -> list[Array]:
        """The states at both ends of the step."""
        return _TRAPEZOID.evaluated_at(model, dt, z, s)

    def shifts_state(self, model: System) -> bool:
        """Whether the model is a LinearSystem with a readout."""
        return isinstance(model, LinearSystem) and model.readout is not None

    def __repr__(self) -> str:
        return "Tustin()"


_TRAPEZOID = RungeKutta(TRAPEZOID)


def read_states(model: LinearSystem, method: str) -> Readout | None:
    """The readout of a system whose state a method shifts.

    Raises:
        ValueError: it reads rates f(z) and not the states, so that no readout of the shifted states is the same.
    """
    if model.readout is not None and model.readout.rate != "linear":
        raise ValueError(
            f"`model` has the readout {model.readout!r}, and {method} shifts the states. Convert the system without its readout "
            "(dataclasses.replace(model, readout=None)), or use ZeroOrderHold or RungeKutta."
        )
    return model.readout


def _bilinear(model: LinearSystem, dt: float) -> LinearSystem:
    """The bilinear transform in SciPy's coordinates, w = (I - dt/2 A) z - dt/2 (E s + b)."""
    n, readout = model.num_states, read_states(model, "Tustin") or Readout(np.eye(model.num_states))
    B, offset = readout.B, readout.b
    left = np.eye(n) - dt / 2 * model.A
    columns = np.hstack([np.eye(n) + dt / 2 * model.A, dt * model.E, dt * model.b[:, None]])
    solved = solve_step(left, columns, dt)
    A, E, b = solved[:, :n], solved[:, n:-1], solved[:, -1]
    D = B @ E / 2 if model.D is None else model.D + B @ E / 2
    readout = replace(readout, B=np.linalg.solve(left.T, B.T).T, b=offset + B @ b / 2)
    return replace(model, A=A, b=b, E=E, D=D, readout=readout, time=Discrete(dt))


_ADAMS = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
    5: (1901 / 720, -2774 / 720, 2616 / 720, -1274 / 720, 251 / 720),
}


@register
@dataclass(frozen=True)
class AdamsBashforth(Integrator):
    """The Adams-Bashforth method of `steps` steps: explicit, order `steps`, one evaluation of F per step.

    z_{k+1} = z_k + dt sum_{j < steps} beta_j F_{k-j},   F_k = F(z_k, s_k)

    The new state is (z_k, F_{k-1}, ..., F_{k-steps+1}), n * steps numbers. Started from z alone, the earlier derivatives come
    from steps backward in time (Dormand-Prince) with the first input held.

    Args:
        steps: 1 to 5.

    Source: hairer1993, section III.1.
    """

    steps: int
    interchanges: ClassVar[Interchanges] = "always"

    def __post_init__(self) -> None:
        if self.steps not in _ADAMS or isinstance(self.steps, bool):
            raise ValueError(f"`steps` is {self.steps!r}; AdamsBashforth has 1 to 5 steps.")

    @property
    def order(self) -> int:  # type: ignore[override]
        """The number of steps."""
        return self.steps

    @property
    def memory(self) -> int:  # type: ignore[override]
        """Earlier derivatives in the state."""
        return self.steps - 1

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step; with one step it is Euler's method."""
        return Euler().discretize(model, dt) if self.steps == 1 else DerivedSystem(model, self, dt, time=Discrete(dt))

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        inner = base.equation
        step = _AdamsStep(_ADAMS[self.steps], inner.function, base.num_states)
        return Equation(step, {"inner": inner.parameters, "dt": np.float64(dt)})

    def rational(self) -> tuple[Array, Array] | None:
        """1 + z for one step; with more, a step has several factors per mode."""
        return EULER.rational() if self.steps == 1 else None

    def start(self, base: System, dt: float, z: Array, s: Array | None) -> Array:
        """(z, F at times -dt, -2 dt, ...)."""
        inner, s = base.equation, np.zeros(base.num_inputs) if s is None else np.asarray(s, dtype=np.float64)
        back = Equation(
            RungeKuttaStep(DORMAND_PRINCE, inner.function), {"inner": inner.parameters, "dt": np.float64(-dt)}
        )
        state, earlier = z, z
        for _ in range(self.memory):
            earlier = evaluate(back, earlier, s)
            rate = evaluate(inner, earlier, s)
            fine = np.isfinite(rate).all(axis=-1, keepdims=True)  # backward in time a solution may end:
            rate = rate if fine.all() else np.where(fine, rate, evaluate(inner, z, s))  # any start is then as good
            state = np.concatenate([state, rate], axis=-1)
        return state

    def amplification(self, z: Array) -> Array:
        """Largest modulus of the roots of x^k - x^(k-1) - z sum_j beta_j x^(k-1-j)."""
        z = np.asarray(z, dtype=complex)
        k, beta = self.steps, np.array(_ADAMS[self.steps])
        companion = np.zeros((z.size, k, k), dtype=complex)
        companion[:, 0] = z.reshape(-1, 1) * beta
        companion[:, 0, 0] += 1.0
        companion[:, range(1, k), range(k - 1)] = 1.0
        return np.abs(np.linalg.eigvals(companion)).max(axis=1).reshape(z.shape)


@dataclass(frozen=True)
class _AdamsStep:
    beta: tuple[float, ...]
    inner: Callable[[Any, Any, Any, Any], Any]
    n: int

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        now = self.inner(xp, p["inner"], z[: self.n], s)
        fields = [now, *(z[self.n * j : self.n * (j + 1)] for j in range(1, len(self.beta)))]
        new = z[: self.n] + p["dt"] * sum(b * f for b, f in zip(self.beta, fields, strict=True))
        return xp.concatenate([new, *fields[:-1]])


@register
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
        L = self.linear_of(model)
        if isinstance(model, RateRNN) and self.linear is None:
            return model.stepped(-np.expm1(-dt / np.asarray(model.tau)), Discrete(dt))
        if isinstance(model, PiecewiseAffineSystem):
            return _exponential_form(model, L, dt)
        return DerivedSystem(model, self, dt, time=Discrete(dt))

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        inner, L = base.equation, self.linear_of(base)
        X, phi = exponential_and_phi(L, dt)
        p = {"inner": inner.parameters, "X": X, "phi": phi, "L": L}
        return Equation(_ExponentialStep(inner.function), p)

    def amplification(self, z: Array) -> Array:
        """|exp(z)|, of a mode that is part of L."""
        return exponential_factor(z)

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


def exponential_factor(z: Array) -> Array:
    """|exp(z)| for complex z, inf where it overflows."""
    with np.errstate(over="ignore"):
        return np.exp(np.real(z))


def exponential_and_phi(L: Array, dt: float) -> tuple[Array, Array]:
    """exp(dt L) and dt phi(dt L) = integral_0^dt exp(t L) dt, both `(n, n)`, from one exponential."""
    from scipy.linalg import expm

    n = len(L)
    X = expm(dt * np.block([[L, np.eye(n)], [np.zeros((n, 2 * n))]]))
    return X[:n, :n], X[:n, n:]


def _exponential_form(model: PiecewiseAffineSystem, L: Array, dt: float) -> System:
    f = model.canonical
    X, phi = exponential_and_phi(L, dt)
    A, common = X + phi @ (f.A - L), {"time": Discrete(dt), "readout": model.readout}
    if isinstance(model, LinearSystem):
        return replace(model, A=A, b=phi @ f.h1, E=phi @ f.C1, time=Discrete(dt))
    return PiecewiseAffineRNN(A, phi @ f.W1, f.W2, phi @ f.h1, f.h2, phi @ f.C1, f.C2, **common)


@dataclass(frozen=True)
class _ExponentialStep:
    inner: Callable[[Any, Any, Any, Any], Any]

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        return p["X"] @ z + p["phi"] @ (self.inner(xp, p["inner"], z, s) - p["L"] @ z)

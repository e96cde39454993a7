"""Bilinear transforms: s becomes a fraction in z. Tustin's method, with a frequency that is kept, and the general one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.convert.integrators import Integrator, Interchanges, RungeKutta, solve_step
from retime.convert.tableaux import TRAPEZOID
from retime.core.arrays import Array, positive
from retime.core.errors import CertificateError
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import CONTINUOUS, Discrete
from retime.models import LinearSystem


@dataclass(frozen=True)
class GeneralizedBilinear(Integrator):
    """The generalized bilinear transform of a LinearSystem (SciPy's `gbt`).

    s = (z - 1) / (dt (alpha z + 1 - alpha))

    alpha = 0 is Euler's method, 1/2 Tustin's, 1 the backward difference. The input is taken at both ends of the step, with the
    weights 1 - alpha and alpha, so that readout and D change; the state of the map is (I - alpha dt A) z - alpha dt (E s + b).

    Args:
        alpha: 0 to 1.

    Source: zhang2009.
    """

    alpha: float
    interchanges: ClassVar[Interchanges] = "equilibrium"

    def __post_init__(self) -> None:
        if isinstance(self.alpha, bool) or not 0 <= self.alpha <= 1:
            raise ValueError(
                f"`alpha` is {self.alpha!r}; it must be a number from 0 (Euler) to 1 (backward difference)."
            )

    @property
    def order(self) -> int:  # type: ignore[override]
        """2 for alpha = 1/2, else 1."""
        return 2 if self.alpha == 0.5 else 1

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step, with a readout.

        Raises:
            TypeError: not a LinearSystem. ConvergenceError: alpha dt times a pole is 1.
        """
        if not isinstance(model, LinearSystem):
            raise TypeError(
                f"{self!r} takes a LinearSystem; {type(model).__name__} is none. Use Euler(), Tustin() or RungeKutta(IMPLICIT_EULER)."
            )
        return bilinear(model, dt, self.alpha, dt)

    def undo(self, model: LinearSystem) -> LinearSystem:
        """The flow whose map this is.

        Raises:
            CertificateError: a pole at -(1 - alpha) / alpha, which is that of no flow.
        """
        return undo_bilinear(model, model.dt, self.alpha)

    def amplification(self, z: Array) -> Array:
        """|(1 + (1 - alpha) z) / (1 - alpha z)|."""
        P, Q = self.rational()
        z = np.asarray(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs((P[0] + P[1] * z) / (Q[0] + Q[1] * z))

    def rational(self) -> tuple[Array, Array]:
        """(1 + (1 - alpha) z) / (1 - alpha z)."""
        return np.array([1.0, 1.0 - self.alpha]), np.array([1.0, -self.alpha])

    def shifts_state(self, model: System) -> bool:
        """Always."""
        return True


@dataclass(frozen=True)
class Tustin(Integrator):
    """The trapezoid rule: order 2, implicit, every decaying mode decays whatever dt.

    z_{k+1} = z_k + dt/2 (F(z_k, s_k) + F(z_{k+1}, s_k))

    The input is held over the step. A LinearSystem *with a readout* follows the convention of control instead (bilinear
    transform, s = (2/dt) (z - 1)/(z + 1)): the input is averaged over the ends of the step, which changes readout and D; the
    state is then (I - dt/2 A) z - dt/2 (E s + b), as in SciPy's `cont2discrete(method="bilinear")`.

    Args:
        prewarp_frequency: w > 0, radians per model time, below pi/dt: the frequency response there is that of the flow,
            s = w / tan(w dt/2) (z - 1)/(z + 1); LinearSystems only. None: none.
    """

    prewarp_frequency: float | None = None
    order: ClassVar[float] = 2
    interchanges: ClassVar[Interchanges] = "equilibrium"

    def __post_init__(self) -> None:
        if self.prewarp_frequency is not None:
            w = positive("prewarp_frequency", self.prewarp_frequency, "radians per model time")
            object.__setattr__(self, "prewarp_frequency", w)

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step.

        Raises:
            TypeError: `prewarp_frequency` for another model than a LinearSystem. ValueError: it is pi/dt or more.
        """
        if isinstance(model, LinearSystem) and self.shifts_state(model):
            return bilinear(model, self.warped(dt), 0.5, dt)
        if self.prewarp_frequency is not None:
            raise TypeError(f"`prewarp_frequency` is for a LinearSystem; {type(model).__name__} is none. Drop it.")
        return _TRAPEZOID.discretize(model, dt)

    def undo(self, model: LinearSystem) -> LinearSystem:
        """The flow whose map this is: s = (2/dt) (z - 1)/(z + 1) the other way round.

        Raises:
            CertificateError: a pole at -1, which is that of no flow.
        """
        return undo_bilinear(model, self.warped(model.dt), 0.5)

    def warped(self, dt: float) -> float:
        """The step of the plain transform that keeps the frequency: 2 tan(w dt/2) / w; dt without one.

        Raises:
            ValueError: the frequency is pi/dt or more.
        """
        w = self.prewarp_frequency
        if w is None:
            return dt
        if not w * dt < np.pi:
            raise ValueError(
                f"`prewarp_frequency` is {w:g}; it must be below the Nyquist frequency pi/dt = {np.pi / dt:.4g} (radians per model time)."
            )
        return float(2 * np.tan(w * dt / 2) / w)

    def amplification(self, z: Array) -> Array:
        """|(2 + z) / (2 - z)|."""
        return _TRAPEZOID.amplification(z)

    def rational(self) -> tuple[Array, Array]:
        """(2 + z) / (2 - z)."""
        return TRAPEZOID.rational()

    def slowed(self, factor: float) -> Integrator:
        """The frequency divided by the factor."""
        return self if self.prewarp_frequency is None else Tustin(self.prewarp_frequency / factor)

    def evaluated_at(self, model: System, dt: float, z: Array, s: Array) -> list[Array]:
        """The states at both ends of the step."""
        return _TRAPEZOID.evaluated_at(model, dt, z, s)

    def shifts_state(self, model: System) -> bool:
        """Whether the model is a LinearSystem with a readout, or a frequency is kept."""
        return isinstance(model, LinearSystem) and (model.readout is not None or self.prewarp_frequency is not None)

    def __repr__(self) -> str:
        return "Tustin()" if self.prewarp_frequency is None else f"Tustin(prewarp_frequency={self.prewarp_frequency:g})"


_TRAPEZOID = RungeKutta(TRAPEZOID)


def bilinear(model: LinearSystem, h: float, alpha: float, dt: float) -> LinearSystem:
    """s = (z - 1) / (h (alpha z + 1 - alpha)) in SciPy's coordinates, w = (I - alpha h A) z - alpha h (E s + b); the result has step dt."""
    n, (B, offset) = model.num_states, output_of(model)
    left = np.eye(n) - alpha * h * model.A
    columns = np.hstack([np.eye(n) + (1 - alpha) * h * model.A, h * model.E, h * model.b[:, None]])
    solved = solve_step(left, columns, dt)
    A, E, b = solved[:, :n], solved[:, n:-1], solved[:, -1]
    D = alpha * B @ E if model.D is None else model.D + alpha * B @ E
    readout = with_output(model, np.linalg.solve(left.T, B.T).T, offset + alpha * B @ b)
    return replace(model, A=A, b=b, E=E, D=D, readout=readout, time=Discrete(dt))


def undo_bilinear(model: LinearSystem, h: float, alpha: float) -> LinearSystem:
    """The flow that `bilinear` makes `model` of: with M = (1 - alpha) I + alpha A, A_flow = (A - I) M^-1 / h, I - alpha h A_flow = M^-1.

    Without a readout the input is held over the step, as Runge-Kutta methods hold it, and E and b are divided by h M.

    Raises:
        CertificateError: M is singular.
    """
    n = model.num_states
    M = (1 - alpha) * np.eye(n) + alpha * model.A
    factors = np.abs(np.linalg.eigvals(M))
    if factors.min() <= 1e-14 * n * factors.max():
        pole = -(1 - alpha) / alpha
        raise CertificateError(
            f'A pole of the system is {pole:.6g}, where the transform has its pole: it belongs to no flow of finite rates. Use method="zoh".'
        )
    columns = np.linalg.solve(M, np.hstack([model.A - np.eye(n), model.E, model.b[:, None]])) / h
    A, E, b = columns[:, :n], columns[:, n:-1], columns[:, -1]
    common: dict[str, Any] = {"A": A, "E": E, "b": b, "time": CONTINUOUS}
    if model.readout is None:
        return replace(model, **common)
    B, offset = output_of(model)
    C = np.linalg.solve(M.T, B.T).T
    D = (0 if model.D is None else model.D) - alpha * C @ model.E
    return replace(model, **common, D=D, readout=with_output(model, C, offset - alpha * C @ model.b))


def output_of(model: LinearSystem) -> tuple[Array, Array]:
    """The readout (B, b); without one the states are the outputs."""
    if model.readout is None:
        return np.eye(model.num_states), np.zeros(model.num_states)
    return model.readout.B, model.readout.b


def with_output(model: LinearSystem, B: Array, b: Array) -> Readout:
    """The readout of `model` with another B and b, for a state that a method has shifted; an activation acts on its values as before.

    Raises:
        ValueError: it reads rates f(z) and not the states, so that no readout of the shifted states is the same.
    """
    readout = model.readout
    if readout is None:
        return Readout(B, b)
    if readout.rate != "linear":
        raise ValueError(
            f"`model` has the readout {readout!r}, and the method shifts the states. Convert the system without its readout "
            "(dataclasses.replace(model, readout=None)), or use ZeroOrderHold or RungeKutta."
        )
    return Readout(B, b, activation=readout.activation)

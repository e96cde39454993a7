"""Bilinear transforms: s becomes a fraction in z. Tustin's method, with a frequency that is kept, and the general one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import ClassVar

import numpy as np

from retime.convert.integrators import Integrator, LinearMethod, RungeKutta, solve_step
from retime.convert.tableaux import TRAPEZOID
from retime.core.arguments import is_number
from retime.core.arrays import Array, positive
from retime.core.errors import CertificateError
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import CONTINUOUS, Discrete
from retime.models import LinearSystem
from retime.models.linear import linear


class _Bilinear(Integrator):
    """s = (z - 1) / (h (alpha z + 1 - alpha)), h the warped dt."""

    alpha: float
    meaning: ClassVar[str] = "Frequencies are warped, the response to constants is kept."

    def undo(self, model: LinearSystem) -> LinearSystem:
        """The flow whose map this is: the transform the other way round.

        Raises:
            CertificateError: a pole at -(1 - alpha) / alpha, which is that of no flow.
        """
        return undo_bilinear(model, self.warped(model.dt), self.alpha)

    def rational(self) -> tuple[Array, Array]:
        """(1 + (1 - alpha) z) / (1 - alpha z)."""
        return np.array([1.0, 1.0 - self.alpha]), np.array([1.0, -self.alpha])


@dataclass(frozen=True)
class GeneralizedBilinear(_Bilinear, LinearMethod):
    """The generalized bilinear transform of a LinearSystem (SciPy's `gbt`).

    s = (z - 1) / (dt (alpha z + 1 - alpha))

    alpha = 0 is Euler's method, 1/2 Tustin's, 1 the backward difference. The input is taken at both ends of the step, with the
    weights 1 - alpha and alpha, so that readout and D change; the state of the map is (I - alpha dt A) z - alpha dt (E s + b).

    Args:
        alpha: 0 to 1.

    Source: zhang2009.
    """

    alpha: float
    _instead: ClassVar[str] = "Use Euler(), Tustin() or RungeKutta(IMPLICIT_EULER)."

    def __post_init__(self) -> None:
        if not is_number(self.alpha) or not 0 <= self.alpha <= 1:
            raise ValueError(
                f"`alpha` is {self.alpha!r}; it must be a number from 0 (Euler) to 1 (backward difference)."
            )

    @property
    def order(self) -> int:  # type: ignore[override]
        """2 for alpha = 1/2, else 1."""
        return 2 if self.alpha == 0.5 else 1

    def _step(self, model: LinearSystem, dt: float) -> LinearSystem:
        return bilinear(model, dt, self.alpha, dt)


@dataclass(frozen=True)
class Tustin(_Bilinear):
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
    alpha: ClassVar[float] = 0.5  # type: ignore[misc]
    order: ClassVar[float] = 2

    def __post_init__(self) -> None:
        if self.prewarp_frequency is not None:
            w = positive("prewarp_frequency", self.prewarp_frequency, "radians per model time")
            object.__setattr__(self, "prewarp_frequency", w)

    @property
    def meaning(self) -> str:  # type: ignore[override]
        """What happens between the samples, for the certificate of a linear system."""
        if self.prewarp_frequency is None:
            return super().meaning
        return f"The frequency response at {self.prewarp_frequency:g} rad per model time is kept; others are warped."

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step.

        Raises:
            TypeError: `prewarp_frequency` for another model than a LinearSystem. ValueError: it is pi/dt or more.
        """
        return _trapezoid(model, self, dt)

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

    def slowed(self, factor: float) -> Integrator:
        """The frequency divided by the factor."""
        return self if self.prewarp_frequency is None else Tustin(self.prewarp_frequency / factor)

    def evaluated_at(self, model: System, dt: float, z: Array, s: Array) -> list[Array]:
        """The states at both ends of the step."""
        return _TRAPEZOID.evaluated_at(model, dt, z, s)

    def shifts_state(self, model: LinearSystem) -> bool:
        """Whether the model has a readout, or a frequency is kept."""
        return model.readout is not None or self.prewarp_frequency is not None

    def __repr__(self) -> str:
        return "Tustin()" if self.prewarp_frequency is None else f"Tustin(prewarp_frequency={self.prewarp_frequency:g})"


_TRAPEZOID = RungeKutta(TRAPEZOID)


@singledispatch
def _trapezoid(model: System, method: Tustin, dt: float) -> System:
    if method.prewarp_frequency is not None:
        linear(model, "`prewarp_frequency` is for", "Drop it.")
    return _TRAPEZOID.discretize(model, dt)


@_trapezoid.register
def _(model: LinearSystem, method: Tustin, dt: float) -> System:
    if not method.shifts_state(model):
        return _TRAPEZOID.discretize(model, dt)
    return bilinear(model, method.warped(dt), method.alpha, dt)


def bilinear(model: LinearSystem, h: float, alpha: float, dt: float) -> LinearSystem:
    """s = (z - 1) / (h (alpha z + 1 - alpha)) in SciPy's coordinates, w = (I - alpha h A) z - alpha h (E s + b); the result has step dt."""
    n, (B, offset, D) = model.num_states, model.output
    left = np.eye(n) - alpha * h * model.A
    columns = np.hstack([np.eye(n) + (1 - alpha) * h * model.A, h * model.E, h * model.b[:, None]])
    solved = solve_step(left, columns, dt)
    D, offset = D + alpha * B @ solved[:, n:-1], offset + alpha * B @ solved[:, -1]
    readout = with_output(model, np.linalg.solve(left.T, B.T).T, offset)
    return model.with_columns(solved, D=D, readout=readout, time=Discrete(dt))


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
    flow = model.with_columns(
        np.linalg.solve(M, model.columns - np.eye(n, n + model.num_inputs + 1)) / h, time=CONTINUOUS
    )
    if model.readout is None:
        return flow
    B, offset, D = model.output
    C = np.linalg.solve(M.T, B.T).T
    return replace(flow, D=D - alpha * C @ model.E, readout=with_output(model, C, offset - alpha * C @ model.b))


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

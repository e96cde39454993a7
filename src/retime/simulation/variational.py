"""A smooth flow together with its derivative with respect to the initial state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.equation import Equation
from retime.core.status import TrajectoryStatus
from retime.core.system import System
from retime.simulation.smooth import Drive, checked_solver, diffrax_runs

SAMPLES = 240  # of every run, always as many, so that one program is compiled; many periods divide it
TOGETHER = 8  # states up to which orbits without a derivative run the same program, with a derivative of zero


class Flown(NamedTuple):
    """Where a flow takes a state z in a time T, and how that depends on z and T.

    Attributes:
        states: `(SAMPLES + 1, n)`, evenly spaced in time, z the first.
        derivative: `(n, n)`, of the last one with respect to z. rate: `(n,)`, the field at the last one.
    """

    states: Array
    derivative: Array
    rate: Array

    @property
    def end(self) -> Array:
        """The last state `(n,)`."""
        return self.states[-1]


@dataclass(frozen=True)
class _Directed:
    """dz/dt = sign F(z, s), and with a derivative dV/dt = sign dF/dz V, for (z, V) in one vector: one program for both directions."""

    function: Callable[[Any, Any, Any, Any], Any]
    n: int
    is_varied: bool

    def __call__(self, xp: Any, p: Any, y: Any, s: Any) -> Any:
        import jax

        z, V = y[: self.n], y[self.n :]
        rate = self.function(xp, p["of"], z, s)
        if self.is_varied:
            J = jax.jacfwd(lambda z: self.function(xp, p["of"], z, s))(z)
            rate = xp.concatenate([rate, (J @ V.reshape(self.n, self.n)).reshape(-1)])
        return p["sign"] * rate


class _Runnable(NamedTuple):
    """What a run of a smooth flow asks of a model."""

    equation: Equation
    num_inputs: int


class SmoothFlow:
    """A smooth flow under a constant input: orbits in both directions of time, and their derivative.

    dz/dt = F(z, s), V = dz(t)/dz(0):   dV/dt = dF/dz V, V(0) = 1

    Args:
        model: a smooth system in continuous time. s: `(m,)`.
        tolerance: error per step of Diffrax's Dopri8, of state and derivative, relative to 1 + their size.
    """

    def __init__(self, model: System, s: Array, tolerance: float = 1e-12) -> None:
        self.model, self.s, self.tolerance = model, s, tolerance
        m = model.num_inputs
        self._drive = Drive(np.zeros(1), s[None, None], np.zeros((1, 1, m))) if m else None

    def orbit(self, z: Array, duration: float, *, sign: float = 1.0, tolerance: float | None = None) -> Array:
        """States `(SAMPLES + 1, n)` of the orbit from z `(n,)`, backwards with sign -1; NaN from where it ends early."""
        V = np.zeros(len(z) ** 2) if len(z) <= TOGETHER else np.zeros(0)
        return self._run(np.concatenate([z, V]), duration, sign, tolerance)[0][:, : len(z)]

    def after(self, z: Array, duration: float) -> Flown | None:
        """The orbit from z `(n,)` with its derivative; None where it ends early."""
        n = len(z)
        y, is_complete = self._run(np.concatenate([z, np.eye(n).ravel()]), duration, 1.0, None)
        return Flown(y[:, :n], y[-1, n:].reshape(n, n), self.rate(y[-1, :n])) if is_complete else None

    def rate(self, z: Array) -> Array:
        """dz/dt at states `(..., n)`."""
        return self.model.apply(z, self.s)

    def jacobian(self, z: Array) -> Array:
        """dF/dz `(n, n)` at a state `(n,)`."""
        return self.model.jacobian(z, self.s)

    def _run(self, y: Array, duration: float, sign: float, tolerance: float | None) -> tuple[Array, bool]:
        e, n = self.model.equation, self.model.num_states
        equation = Equation(_Directed(e.function, n, len(y) > n), {"sign": np.float64(sign), "of": e.parameters})
        model: Any = _Runnable(equation, self.model.num_inputs)
        times = np.linspace(0.0, duration, SAMPLES + 1)
        runs = diffrax_runs(model, y[None], times, self._drive, checked_solver(None), tolerance or self.tolerance)
        return runs.states[:, 0], runs.statuses[0] is TrajectoryStatus.COMPLETED

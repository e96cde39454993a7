"""Coupled oscillators driven through tanh: coRNN."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import matrix
from retime.core.equation import Equation
from retime.core.system import System
from retime.core.time import CONTINUOUS, Continuous
from retime.models.elman import per_unit
from retime.models.relu import elman_parameters
from retime.models.units import WithInputs


@dataclass(frozen=True, eq=False, repr=False)
class CoupledOscillatoryRNN(WithInputs):
    """Coupled oscillatory recurrent network (coRNN). The state is (y, v): n positions, then their n velocities.

    y'' = tanh(W_rec y + W_vel y' + W_in s + b) - gamma y - epsilon y'
    dy/dt = v,   dv/dt = tanh(W_rec y + W_vel v + W_in s + b) - gamma y - epsilon v                  (time=Continuous())
    v_{k+1} = v_k + dt (tanh(W_rec y_k + W_vel v_k + W_in s_k + b) - gamma y_k - epsilon v_k)          (time=Discrete(dt))
    y_{k+1} = y_k + dt v_{k+1}                                                                          symplectic Euler

    This is the explicit form of its authors' program (the damping acts on v_k). `to_continuous` gives the equation in continuous time.

    Args:
        W_rec: `(n, n)` on positions. W_vel: `(n, n)` on velocities. W_in: `(n, m)`. b: `(n,)`.
        gamma: squared frequency, a number or `(n,)`, 1 / time^2. epsilon: damping, a number or `(n,)`, 1 / time.
        time: `Discrete(dt)` or `Continuous()`. readout: B `(p, 2 n)`, or `(p, n)` on the positions.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, gamma or epsilon is not > 0.

    Source: rusch2021.
    """

    family: ClassVar[str] = "cornn"

    W_rec: Any
    W_vel: Any
    W_in: Any
    b: Any
    _: KW_ONLY
    gamma: Any = 1.0
    epsilon: Any = 1.0

    def __post_init__(self) -> None:
        self._set(**elman_parameters(self.W_rec, self.W_in, self.b, keeps_factors=False))
        n = len(self.b)
        self._set(
            W_vel=matrix("W_vel", self.W_vel, (n, n)),
            gamma=per_unit("gamma", self.gamma, n, "the squared frequency"),
            epsilon=per_unit("epsilon", self.epsilon, n, "the damping"),
        )
        self._finish()

    @property
    def num_states(self) -> int:
        """2 n: positions and velocities."""
        return 2 * len(self.b)

    def integrated(self) -> System | None:
        """The equation in continuous time."""
        return replace(self, time=CONTINUOUS)

    def _equation(self) -> Equation:
        p = {k: np.asarray(getattr(self, k)) for k in ("W_rec", "W_vel", "W_in", "b", "gamma", "epsilon")}
        if isinstance(self.time, Continuous):
            return Equation(_field, p)
        return Equation(_step, p | {"dt": np.float64(self.dt)})


def _acceleration(xp: Any, p: Any, y: Any, v: Any, s: Any) -> Any:
    drive = xp.tanh(p["W_rec"] @ y + p["W_vel"] @ v + p["W_in"] @ s + p["b"])
    return drive - p["gamma"] * y - p["epsilon"] * v


def _field(xp: Any, p: Any, z: Any, s: Any) -> Any:
    n = z.shape[0] // 2
    return xp.concatenate([z[n:], _acceleration(xp, p, z[:n], z[n:], s)])


def _step(xp: Any, p: Any, z: Any, s: Any) -> Any:
    n = z.shape[0] // 2
    v = z[n:] + p["dt"] * _acceleration(xp, p, z[:n], z[n:], s)
    return xp.concatenate([z[:n] + p["dt"] * v, v])

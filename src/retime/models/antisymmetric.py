"""Antisymmetric network: a field whose linear part can only rotate, stepped by Euler's method."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import real_array
from retime.core.equation import Equation
from retime.core.errors import ShapeError
from retime.core.system import System
from retime.core.time import CONTINUOUS, Continuous, Discrete, TimeBase
from retime.models.relu import elman_parameters
from retime.models.units import Units


@dataclass(frozen=True, eq=False, repr=False)
class AntisymmetricRNN(Units):
    """Antisymmetric recurrent network.

    K = W_rec - W_rec^T - gamma I
    dz/dt   =            tanh(K z + W_in s + b)          (time=Continuous())
    z_{k+1} = z_k + dt * tanh(K z_k + W_in s_k + b)      (time=Discrete(dt): Euler's method; its authors write epsilon for dt)

    The eigenvalues of K have real part -gamma: without it the linearization neither grows nor decays, and Euler's method, which
    enlarges rotations, needs some gamma > 0. `to_continuous` gives the equation in continuous time back.

    Args:
        W_rec: `(n, n)`, of which only the antisymmetric part acts. W_in: `(n, m)`. b: `(n,)`.
        gamma: diffusion, a number.
        time: `Discrete(dt)` or `Continuous()`. readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.

    Source: chang2019.
    """

    family: ClassVar[str] = "antisymmetric_rnn"

    W_rec: Any
    W_in: Any
    b: Any
    _: KW_ONLY
    gamma: float = 0.01

    def __post_init__(self) -> None:
        gamma = real_array("gamma", self.gamma)
        if gamma.ndim:
            raise ShapeError(f"`gamma` has shape {gamma.shape}; it must be a number.")
        self._set(**elman_parameters(self.W_rec, self.W_in, self.b, keeps_factors=False), gamma=float(gamma))
        self._finish()

    @property
    def generator(self) -> Any:
        """K = W_rec - W_rec^T - gamma I `(n, n)`."""
        return self.W_rec - self.W_rec.T - self.gamma * np.eye(self.num_states)

    def integrated(self) -> System | None:
        """The equation in continuous time."""
        return replace(self, time=CONTINUOUS)

    def _equation(self) -> Equation:
        p = {"W_rec": self.W_rec, "W_in": self.W_in, "b": self.b, "gamma": np.float64(self.gamma)}
        if isinstance(self.time, Continuous):
            return Equation(_field, p)
        return Equation(_step, p | {"dt": np.float64(self.dt)})

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        if isinstance(self.time, Continuous):  # z + dt F, Euler's method
            return replace(self, time=time) if isinstance(time, Discrete) and (a, b) == (1.0, time.dt) else None
        is_field = isinstance(time, Continuous) and a == -b and abs(b * self.dt - 1.0) <= 1e-15
        return replace(self, time=time) if is_field else None


def _field(xp: Any, p: Any, z: Any, s: Any) -> Any:
    W = p["W_rec"]
    return xp.tanh(W @ z - W.T @ z - p["gamma"] * z + p["W_in"] @ s + p["b"])


def _step(xp: Any, p: Any, z: Any, s: Any) -> Any:
    return z + p["dt"] * _field(xp, p, z, s)

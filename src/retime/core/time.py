"""The time base of a system: a sum type, never a number or a flag. It knows how eigenvalues read, and what it is to be at rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array, positive

NEUTRAL = 1e-12  # distance from the unit circle within which a multiplier neither grows nor decays


@dataclass(frozen=True)
class Discrete:
    """Time advances in steps: z_{k+1} = F(z_k, s_k), one step lasts `dt` > 0 (model time). Eigenvalues are multipliers per step."""

    dt: float = 1.0
    neutral: ClassVar[float] = 1.0
    """The eigenvalue of a direction that neither grows nor decays."""
    eigenvalue: ClassVar[str] = "multiplier"
    """What an eigenvalue is called."""
    speed: ClassVar[str] = "|F(z) - z|"
    """What is 0 at rest, in symbols."""
    name: ClassVar[str] = "discrete"
    """The kind of time, in a word."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dt", positive("dt", self.dt))

    @property
    def step(self) -> float | None:
        """The time of one step, None where time flows."""
        return self.dt

    def sizes(self, w: Any) -> Array:
        """The modulus |w|: 1 for a direction that neither grows nor decays."""
        return np.abs(w)

    def growth_rates(self, w: Any) -> Array:
        """Growth, 1 / model time: log|w| / dt."""
        with np.errstate(divide="ignore"):
            return np.log(np.abs(w)) / self.dt

    def frequencies(self, w: Any) -> Array:
        """|angle| / (2 pi dt), 1 / model time: 1 / (2 dt) of a multiplier that flips."""
        with np.errstate(invalid="ignore"):
            return np.abs(np.angle(w)) / self.dt / (2.0 * np.pi)

    def is_stable(self, w: Any) -> Array:
        """Whether all of the last axis lie inside the unit circle, not on it within rounding."""
        return np.asarray((np.abs(w) < 1.0 - NEUTRAL).all(axis=-1))

    def motion(self, F: Any, z: Any) -> Any:
        """F - z, zero at rest; NumPy or JAX."""
        return F - z

    def motion_jacobian(self, J: Any) -> Any:
        """dF/dz - 1 `(..., n, n)`; NumPy or JAX."""
        return J - np.eye(J.shape[-1])

    def right_jacobian(self, G: Any) -> Any:
        """dF/dz from the derivative `(..., n, n)` of the motion; NumPy or JAX."""
        return G + np.eye(G.shape[-1])

    def scale(self, rate: Any) -> Any:
        """The size of a motion beside a state of size 1; `rate` is that of a flow."""
        return 1.0


@dataclass(frozen=True)
class Continuous:
    """Time flows: dz/dt = F(z, s). Eigenvalues are rates, 1 / model time."""

    neutral: ClassVar[float] = 0.0
    """The eigenvalue of a direction that neither grows nor decays."""
    eigenvalue: ClassVar[str] = "rate"
    """What an eigenvalue is called."""
    speed: ClassVar[str] = "|dz/dt|"
    """What is 0 at rest, in symbols."""
    name: ClassVar[str] = "continuous"
    """The kind of time, in a word."""

    @property
    def step(self) -> float | None:
        """None: there is no step."""
        return None

    def sizes(self, w: Any) -> Array:
        """The real part: 0 for a direction that neither grows nor decays."""
        return np.real(w)

    def growth_rates(self, w: Any) -> Array:
        """Growth, 1 / model time: the real part."""
        return np.real(w)

    def frequencies(self, w: Any) -> Array:
        """|imaginary part| / (2 pi), 1 / model time."""
        with np.errstate(invalid="ignore"):
            return np.abs(np.imag(w)) / (2.0 * np.pi)

    def is_stable(self, w: Any) -> Array:
        """Whether all of the last axis lie left of the imaginary axis."""
        return np.asarray((np.real(w) < 0.0).all(axis=-1))

    def motion(self, F: Any, z: Any) -> Any:
        """F, zero at rest; NumPy or JAX."""
        return F

    def motion_jacobian(self, J: Any) -> Any:
        """dF/dz `(..., n, n)`."""
        return J

    def right_jacobian(self, G: Any) -> Any:
        """dF/dz `(..., n, n)`, which is the derivative of the motion."""
        return G

    def scale(self, rate: Any) -> Any:
        """The size of a motion beside a state of size 1: the rate."""
        return rate


CONTINUOUS = Continuous()
TimeBase = Discrete | Continuous


def time_of(step: float | None) -> TimeBase:
    """Steps of `step` (model time), or time that flows (None)."""
    return CONTINUOUS if step is None else Discrete(step)


def time_base(value: object) -> TimeBase:
    """`value` itself when it is a time base.

    Raises:
        TypeError: anything else; the message says what to write instead.
    """
    if not isinstance(value, (Discrete, Continuous)):
        raise TypeError(f"`time` is {value!r}; it must be Discrete(dt) or Continuous().")
    return value

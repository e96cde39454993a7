"""The time base of a system: a sum type, never a number or a flag. It knows how eigenvalues read, and what it is to be at rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array, positive

SMALLEST = 2.0**-53  # what a multiplier 0 is replaced by when it becomes a rate
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
    rest: ClassVar[str] = "fixed point"
    """What a state at rest is called."""
    has_flips: ClassVar[bool] = True
    """Whether an eigenvalue can turn its direction over: a multiplier near -1."""
    turning: ClassVar[str] = "Neimark-Sacker"
    """The bifurcation at which a complex pair begins to grow."""

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
        """The size of a motion beside a state of size 1; `rate` is that of a flow, or what measures it."""
        return 1.0

    def pair(self, w: complex) -> str:
        """A complex pair on the unit circle in words."""
        return f"multipliers exp(+-{abs(np.angle(w)):.6g} i)"

    def rates(self, w: Array) -> Array:
        """The rates, principal, of a flow with these multipliers; a multiplier 0 counts as 2^-53."""
        return np.log(np.where(w == 0, SMALLEST, w)) / self.dt

    def of_rates(self, rates: Array) -> Array:
        """The multipliers of a step of a flow with these rates."""
        return np.exp(rates * self.dt)

    def wrapped(self, F: Array, wrap: Callable[[Array], Array]) -> Array:
        """The right-hand side, or a motion, with angles wrapped: a step may take them around."""
        return wrap(F)

    def advanced(self, right: Callable[[Array], Array], z: Array, h: Any) -> Array:
        """States a little later: a step on."""
        return right(z)


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
    rest: ClassVar[str] = "point of rest"
    """What a state at rest is called."""
    has_flips: ClassVar[bool] = False
    """Whether an eigenvalue can turn its direction over."""
    turning: ClassVar[str] = "Hopf"
    """The bifurcation at which a complex pair begins to grow."""

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
        return rate() if callable(rate) else rate

    def pair(self, w: complex) -> str:
        """A complex pair on the imaginary axis in words."""
        return f"rates +-{abs(w.imag):.6g} i"

    def rates(self, w: Array) -> Array:
        """The eigenvalues, which are rates."""
        return w

    def of_rates(self, rates: Array) -> Array:
        """The rates, which are eigenvalues."""
        return rates

    def wrapped(self, F: Array, wrap: Callable[[Array], Array]) -> Array:
        """The field as it is: a velocity is no angle."""
        return F

    def advanced(self, right: Callable[[Array], Array], z: Array, h: Any) -> Array:
        """States a little later: after a step h of Heun's method."""
        f = right(z)
        return z + h / 2 * (f + right(z + h * f))


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

"""The time base of a system: a sum type, never a number or a flag."""

from __future__ import annotations

from dataclasses import dataclass

from retime.core.arrays import positive


@dataclass(frozen=True)
class Discrete:
    """Time advances in steps: z_{k+1} = F(z_k, s_k), one step lasts `dt` > 0 (model time)."""

    dt: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "dt", positive("dt", self.dt))


@dataclass(frozen=True)
class Continuous:
    """Time flows: dz/dt = F(z, s)."""


CONTINUOUS = Continuous()
TimeBase = Discrete | Continuous


def time_base(value: object) -> TimeBase:
    """`value` itself when it is a time base.

    Raises:
        TypeError: anything else; the message says what to write instead.
    """
    if not isinstance(value, (Discrete, Continuous)):
        raise TypeError(f"`time` is {value!r}; it must be Discrete(dt) or Continuous().")
    return value

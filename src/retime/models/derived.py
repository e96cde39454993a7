"""A system made from another by a method, where no family holds the result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.equation import Equation
from retime.core.errors import ConvergenceError
from retime.core.readout import Readout, as_readout
from retime.core.system import SmoothSystem, System
from retime.core.time import Continuous, Discrete, TimeBase


class DerivingMethod:
    """A method that makes the right-hand side of one system from that of another.

    Attributes:
        is_implicit: whether an equation has to be solved.
        memory: how many earlier derivatives the state carries besides z.
    """

    is_implicit: ClassVar[bool] = False
    memory: ClassVar[int] = 0

    def equation(self, base: System, dt: float) -> Equation:
        """The new right-hand side, for methods whose result no family holds."""
        raise TypeError(f"{self!r} has no right-hand side of its own.")

    def start(self, base: System, dt: float, z: Array, s: Array | None) -> Array:
        """The state `(..., n (1 + memory))` from states `(..., n)`."""
        return z

    def combined(self, made: DerivedSystem, a: float, b: float, time: TimeBase) -> System | None:
        """What a z + b F(z, s) of a system that this method made is, where it is known."""
        if a == 0 and isinstance(time, Continuous) and isinstance(made.base.time, Discrete):
            slower = replace(made.base, time=Discrete(made.base.dt / b))
            return replace(made, base=slower, dt_used=made.dt_used / b, time=time)
        return None


@dataclass(frozen=True, eq=False, repr=False)
class DerivedSystem(SmoothSystem):
    """What a method makes of a system: one step of an integrator, the field through a map's orbit, a stretched field.

    z' = method(F, dt_used)(z, s),   F the right-hand side of `base`

    A multistep method carries earlier derivatives: the state is (z_k, F_{k-1}, ..., F_{k-memory}); a simulation may be
    started from z `(n,)` alone. An implicit step that does not converge gives NaN, which `step` reports as
    ConvergenceError and `simulate` as status "not_converged".

    Args:
        base: the system it is made from.
        method: the method object, e.g. `RungeKutta(RK4)`.
        dt_used: the step that the method uses (model time).
        time: time base of the result. readout: on z alone `(p, n)`, or on the whole state; None takes the one of `base`.
    """

    family: ClassVar[str] = "derived"

    base: System
    method: Any
    dt_used: float

    def __post_init__(self) -> None:
        readout = self.base.readout if self.readout is None else self.readout
        _ = self.base.equation  # which the method needs
        n, N = self.base.num_states, self.num_states
        if n < N and readout is not None and np.shape(_matrix(readout))[1] == n:
            narrow = as_readout(readout, n)
            readout = narrow and narrow.widened(0, N - n)
        self._set(readout=readout)
        self._finish()

    @property
    def num_states(self) -> int:
        """n, times one more than the derivatives a multistep method remembers."""
        return self.base.num_states * (1 + self.method.memory)

    @property
    def num_inputs(self) -> int:
        """m."""
        return self.base.num_inputs

    def _equation(self) -> Equation:
        return self.method.equation(self.base, self.dt_used)

    def apply(self, z: Array, s: Array | None = None) -> Array:
        """The right-hand side at states `(..., N)` and inputs `(..., m)`.

        Raises:
            ConvergenceError: an implicit equation was not solved.
        """
        value = super().apply(z, s)
        if self.method.is_implicit and np.isnan(value).any() and np.isfinite(z).all():
            raise ConvergenceError(
                f"{self.method!r} with dt = {self.dt_used:.6g} found no solution of its equation. Use a smaller dt."
            )
        return value

    def start(self, z: Array, s: Array | None = None) -> Array:
        """The whole state from z `(..., n)`, earlier derivatives by steps backward in time with the input held."""
        z = np.asarray(z, dtype=np.float64)
        if self.method.memory and z.shape[-1:] == (self.base.num_states,):
            return self.method.start(self.base, self.dt_used, z, s)
        return self._states(z)

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        return self.method.combined(self, a, b, time)

    def _details(self) -> list[str]:
        return [repr(self.method), f"of {type(self.base).__name__}"]


def _matrix(readout: Any) -> Any:
    """B of whatever a readout may be given as."""
    return readout.B if isinstance(readout, Readout) else readout[0] if isinstance(readout, tuple) else readout

"""Methods that freeze the rate and the target of a relaxation over a step: what gates do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.convert.integrators import Integrator
from retime.core.arrays import Array
from retime.core.equation import Equation
from retime.core.system import System
from retime.core.time import Discrete
from retime.models import DerivedSystem
from retime.models.relaxation import RelaxationField


@dataclass(frozen=True)
class FrozenRelaxation(Integrator):
    """One step of a `RelaxationField` with its rate r and target c frozen at z_k. Order 1; exact where they do not read the state.

    z_{k+1} = c + exp(-dt r) (z_k - c)          kind="exponential": solved exactly (exponential Euler)
    z_{k+1} = c + (z_k - c) / (1 + dt r)        kind="implicit":    the linearly implicit Euler method

    Args:
        kind: as above.

    Source: hochbruck2010; hasani2021 (the implicit one, of the liquid time-constant network).
    """

    kind: str = "exponential"
    order: ClassVar[float] = 1

    def __post_init__(self) -> None:
        if self.kind not in ("exponential", "implicit"):
            raise ValueError(f'`kind` is {self.kind!r}; it must be "exponential" or "implicit".')

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step.

        Raises:
            TypeError: not a RelaxationField.
        """
        if not isinstance(model, RelaxationField):
            raise TypeError(
                f"FrozenRelaxation takes a RelaxationField; {type(model).__name__} names no rate and target."
            )
        return DerivedSystem(model, self, dt, time=Discrete(dt))

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        law = base.law  # type: ignore[attr-defined]
        return Equation(_Frozen(law, self.kind), {"inner": base.equation.parameters, "dt": np.float64(dt)})

    def rational(self) -> tuple[Array, Array] | None:
        """1 / (1 - z) of the implicit kind; the other is exp(z)."""
        return None if self.kind == "exponential" else (np.array([1.0]), np.array([1.0, -1.0]))


@dataclass(frozen=True)
class _Frozen:
    law: Callable[[Any, Any, Any, Any], tuple[Any, Any]]
    kind: str

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        rate, target = self.law(xp, p["inner"], z, s)
        kept = xp.exp(-p["dt"] * rate) if self.kind == "exponential" else 1.0 / (1.0 + p["dt"] * rate)
        return target + kept * (z - target)

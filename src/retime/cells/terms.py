"""The three terms of a unitary network's equation, each with its exact flow."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.equation import Equation
from retime.core.system import SmoothSystem, System
from retime.core.time import CONTINUOUS, Continuous, TimeBase
from retime.models import LinearSystem, UnitaryRNN
from retime.models.unitary import modrelu, radial


def unitary_terms(model: UnitaryRNN) -> tuple[System, ...]:
    """dz/dt = G z, dz/dt = W_in s, dz/dt = b z / |z|."""
    n, m = model.num_states, model.num_inputs
    rotation = LinearSystem(model.generator, np.zeros(n), np.zeros((n, m)), time=CONTINUOUS)
    drive = LinearSystem(np.zeros((n, n)), np.zeros(n), model.W_in, time=CONTINUOUS)
    return rotation, drive, RadialField(model.b, n, m, pairs=model.pairs)


@dataclass(frozen=True, eq=False, repr=False)
class RadialField(SmoothSystem):
    """dz/dt = b z / |z|: moduli change at a constant rate, and stop at 0. Its map over dt is modReLU with dt b.

    Args:
        b: `(n,)`, or `(n/2,)` with `pairs`. num_states: n. num_inputs: m, which do not act.
        pairs: whether states are complex, real parts first. time: time base.
    """

    family: ClassVar[str] = "radial"

    b: Any
    num_states: int = 0  # type: ignore[assignment]
    num_inputs: int = 0  # type: ignore[assignment]
    _: KW_ONLY
    pairs: bool = False
    time: TimeBase = CONTINUOUS

    def __post_init__(self) -> None:
        self._finish()

    def held(self, time: TimeBase) -> System | None:
        """The flow in another time base; it is solved in closed form."""
        from dataclasses import replace

        return replace(self, time=time)

    def _equation(self) -> Equation:
        dt = 1.0 if isinstance(self.time, Continuous) else self.dt
        return Equation(_Radial(isinstance(self.time, Continuous), self.pairs), {"b": dt * self.b})


@dataclass(frozen=True)
class _Radial:
    flows: bool
    pairs: bool

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        return radial(xp, z, p["b"], self.pairs) if self.flows else modrelu(xp, z, p["b"], self.pairs)

"""A field that relaxes towards a target at a rate, both functions of the state: what gated cells step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from retime.core.equation import Equation
from retime.core.system import SmoothSystem
from retime.core.time import CONTINUOUS, Discrete, TimeBase


@dataclass(frozen=True, eq=False, repr=False)
class RelaxationField(SmoothSystem):
    """Relaxation of every unit towards a target.

    dz/dt = rate(z, s) * (target(z, s) - z)

    Args:
        law: pure and hashable function `(xp, parameters, z, s) -> (rate, target)`, both `(n,)`; xp is jax.numpy. rate, 1 / model time.
        parameters: dictionary of arrays.
        num_states: n. num_inputs: m.
        time: `Continuous()`. readout: as for every model.

    Raises:
        ValueError: discrete time.
    """

    family: ClassVar[str] = "relaxation"

    law: Callable[[Any, Any, Any, Any], tuple[Any, Any]]
    parameters: Any
    num_states: int = 0  # type: ignore[assignment]
    num_inputs: int = 0  # type: ignore[assignment]
    _: KW_ONLY
    time: TimeBase = CONTINUOUS

    def __post_init__(self) -> None:
        self._finish()
        if isinstance(self.time, Discrete):
            raise ValueError(f"`time` is {self.time}; a RelaxationField flows.")

    def _equation(self) -> Equation:
        return Equation(_Relax(self.law), self.parameters)


@dataclass(frozen=True)
class _Relax:
    law: Callable[[Any, Any, Any, Any], tuple[Any, Any]]

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        rate, target = self.law(xp, p, z, s)
        return rate * (target - z)

"""Any function as a model: maps and vector fields."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.equation import Equation
from retime.core.function import UserFunction, takes
from retime.core.system import SmoothSystem
from retime.core.time import CONTINUOUS, Continuous, Discrete, TimeBase


@dataclass(frozen=True, eq=False, repr=False)
class _Given(SmoothSystem):
    """A right-hand side that is a function of the user's."""

    f: Any
    num_states: Any = 0  # here because the capability's are abstract properties
    num_inputs: Any = 0
    _: KW_ONLY
    jacobian_of: Any = None

    def _check(self) -> None:
        n, m = _count("num_states", self.num_states, 1), _count("num_inputs", self.num_inputs, 0)
        promised = 2 if m else 1
        sizes = (n, m) if max(takes(self.f, "f", promised), promised) == 2 else (n,)
        self._set(num_states=n, num_inputs=m)
        self._finish()
        self._set(_function=UserFunction(self.f, sizes, (n,)))
        own = self.jacobian_of
        if own is not None:
            own = UserFunction(own, (n, m)[: takes(own, "jacobian_of", promised)], (n, n))
        self._set(_own_jacobian=own)

    def _equation(self) -> Equation:
        return Equation(_Apply(self._function), {})  # type: ignore[attr-defined]

    def jacobian(self, z: Array, s: Array | None = None) -> Array:
        """dF/dz `(..., n, n)` at states `(..., n)`: the one given, else by automatic differentiation."""
        own = self._own_jacobian  # type: ignore[attr-defined]
        if own is None:
            return super().jacobian(z, s)
        z, s = self._states(z), self._input(s)
        lead = np.broadcast_shapes(z.shape[:-1], s.shape[:-1])
        rows = [np.broadcast_to(x, (*lead, x.shape[-1])) for x in (z, s)][: len(own.sizes)]
        values = [own.in_python(*[r[k] for r in rows]) for k in np.ndindex(lead)]
        return np.array(values).reshape(*lead, self.num_states, self.num_states)

    def _details(self) -> list[str]:
        return [getattr(self.f, "__name__", type(self.f).__name__)]


@dataclass(frozen=True, eq=False, repr=False)
class Map(_Given):
    """A map given as a function.

    z_{k+1} = f(z_k), or f(z_k, s_k)

    Args:
        f: function of a state `(n,)`, and of an input `(m,)` where there are inputs; returns `(n,)`. Written with jax.numpy it is
            compiled and differentiated exactly; written with NumPy it is called back in Python, with derivatives by
            extrapolated differences. What it reads besides its arguments is fixed when the model is made.
        num_states: n.
        num_inputs: m.
        jacobian_of: df/dz as a function of the same arguments, `(n, n)`; None for automatic.
        time: `Discrete(dt)`. readout: as for every model.

    Raises:
        ShapeError: f returns another shape. TypeError: f is not a function. ValueError: sizes, or continuous time.
    """

    family: ClassVar[str] = "map"

    def __post_init__(self) -> None:
        self._check()
        if isinstance(self.time, Continuous):
            raise ValueError("`time` is Continuous(); a Map steps. For a differential equation use VectorField.")


@dataclass(frozen=True, eq=False, repr=False)
class VectorField(_Given):
    """A differential equation given as a function.

    dz/dt = f(z), or f(z, s)

    Args:
        f, num_states, num_inputs, jacobian_of: as for `Map`.
        time: `Continuous()`. readout: as for every model.

    Raises:
        ShapeError: f returns another shape. TypeError: f is not a function. ValueError: sizes, or discrete time.
    """

    family: ClassVar[str] = "vector_field"

    _: KW_ONLY
    time: TimeBase = CONTINUOUS

    def __post_init__(self) -> None:
        self._check()
        if isinstance(self.time, Discrete):
            raise ValueError(f"`time` is {self.time}; a VectorField flows. For a map use Map.")


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"`{name}` is {value!r}; it must be a whole number >= {least}.")
    return int(value)


@dataclass(frozen=True)
class _Apply:
    f: UserFunction

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        return self.f(*(z, s)[: len(self.f.sizes)])

"""Capabilities of a system. Algorithms ask for a capability, never for a family.

To add a family, write one file in `retime.models` with a frozen dataclass that checks its parameters in `__post_init__` and
derives from `PiecewiseAffineSystem` (return the canonical form from `_canonical`), from `SwitchedSystem` (boundaries, and a region's
matrices) or from `SmoothSystem` (return the right-hand side from `_equation`); every verb then works on it
(docs/extending.md). Where a z + b F(z, s) is in the family again, say so in `_combined`: discretizing by Euler, its inverse
and rescaling then stay in the family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from html import escape
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array, real_array, refuse_masked
from retime.core.canonical import MOST_BOUNDARIES, PiecewiseAffineForm, SwitchedForm, every_pattern
from retime.core.equation import Equation, evaluate, jacobians
from retime.core.errors import ShapeError
from retime.core.reachability import Box
from retime.core.readout import as_readout, made
from retime.core.states import one_state
from retime.core.time import Continuous, Discrete, TimeBase, time_base
from retime.core.tolerances import size_of

NO_WEIGHTS = {"tau", "alpha", "gamma", "epsilon", "gain", "resistance", "capacitance"}
"""Fields that are constants of a family, though there may be one per unit."""


@dataclass(frozen=True, eq=False, repr=False)
class System(ABC):
    """What every model has: a time base, numbers of states and inputs, and optionally a readout.

    Args:
        time: `Discrete(dt)` or `Continuous()`.
        readout: `(B, b)` with B `(p, n)` and b `(p,)`, or B alone, x = B z + b; a `Readout` where the outputs are a nonlinear function;
            None when the state is the output.
    """

    family: ClassVar[str]
    takes_switching: ClassVar[bool] = False
    """Whether its region may be held for a step or read from the state, as the `switching` of verbs says."""

    time: TimeBase = field(default=Discrete(1.0), kw_only=True)
    readout: Any = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def num_states(self) -> int:
        """n, the length of the state z."""

    @property
    @abstractmethod
    def num_inputs(self) -> int:
        """m, the length of the input s; 0 for an autonomous system."""

    @property
    def num_outputs(self) -> int:
        """p, the length of the output x; 0 without a readout."""
        return 0 if self.readout is None else len(self.readout.b)

    @property
    def dt(self) -> float:
        """The time of one step (model time).

        Raises:
            TypeError: the system is in continuous time.
        """
        if isinstance(self.time, Discrete):
            return self.time.dt
        raise TypeError(f"{type(self).__name__} is in continuous time and has no step dt.")

    @cached_property
    def equation(self) -> Equation:
        """The right-hand side F as a pure function for JAX: z_{k+1} or dz/dt = F(z, s).

        Raises:
            TypeError: the system has no right-hand side of the state alone (a flow with a sample clock).
        """
        raise TypeError(f"{type(self).__name__} has no right-hand side of state and input alone.")

    def apply(self, z: Array, s: Array | None = None) -> Array:
        """F(z, s), which is z_{k+1} or dz/dt, for states `(..., n)` and inputs `(..., m)` (None: zero)."""
        z = self._states(z)
        return evaluate(self.equation, z, self._input(s))

    def jacobian(self, z: Array, s: Array | None = None) -> Array:
        """dF/dz `(..., n, n)` at states `(..., n)` and inputs `(..., m)` (None: zero)."""
        z = self._states(z)
        return jacobians(self.equation, z, self._input(s))[0]

    def input_jacobian(self, z: Array, s: Array | None = None) -> Array:
        """dF/ds `(..., n, m)` at states `(..., n)` and inputs `(..., m)` (None: zero)."""
        z = self._states(z)
        return jacobians(self.equation, z, self._input(s))[1]

    def step(self, z: Array, s: Array | None = None) -> Array:
        """z_{k+1} for states `(..., n)` and inputs `(..., m)` (None: zero).

        Raises:
            TypeError: the system is in continuous time. ShapeError: a last axis of another length.
        """
        if isinstance(self.time, Continuous):
            raise TypeError(f"{type(self).__name__} is in continuous time: use `field`, or `simulate` with `times`.")
        return self.apply(z, s)

    def field(self, z: Array, s: Array | None = None) -> Array:
        """dz/dt for states `(..., n)` and inputs `(..., m)` (None: zero).

        Raises:
            TypeError: the system is in discrete time. ShapeError: a last axis of another length.
        """
        if isinstance(self.time, Discrete):
            raise TypeError(f"{type(self).__name__} is a map: use `step`, or convert it with `to_continuous`.")
        return self.apply(z, s)

    def start(self, z: Array, s: Array | None = None) -> Array:
        """The state that a simulation starts from, for states `(..., n)`, or shorter ones that the system knows to complete."""
        return self._states(z)

    def reachable(self, inputs: Box) -> Box:
        """Between which values the states `(n,)` stay in the long run while the inputs `(m,)` stay in a box.

        The limit points of every orbit, and so all fixed points and cycles, lie there; no bound where the family gives none.
        """
        return Box.of(-np.inf, np.inf, self.num_states)

    def is_at_rest(self, z: Array, inputs: Array | None = None) -> bool:
        """Whether z `(n,)` stays where it is (F(z, s) = z, or dz/dt = 0, to 1e-9 of its size) under every row of `inputs`."""
        z = self._states(z)
        s = self._input(None if inputs is None or np.size(inputs) == 0 else inputs)
        motion = self.apply(z, s) - (z if isinstance(self.time, Discrete) else 0.0)
        return bool((np.abs(motion) <= 1e-9 * size_of(z)).all())

    @property
    def linear_part(self) -> Array | None:
        """The matrix `(n, n)` of the right-hand side's own linear term (a leak), or None where the family names none."""
        return None

    def _states(self, z: Array, name: str = "z") -> Array:
        return _last_axis(name, z, self.num_states, "states")

    def _input(self, s: Array | None, name: str = "s") -> Array:
        return np.zeros(self.num_inputs) if s is None else _last_axis(name, s, self.num_inputs, "inputs")

    @property
    def weights(self) -> dict[str, Array]:
        """What training may change, by name: the arrays among its fields that its equation computes from."""
        names = {f.name for f in fields(self)} - NO_WEIGHTS
        found = {k: getattr(self, k) for k in self.equation.parameters if k in names}
        return {k: v for k, v in found.items() if isinstance(v, np.ndarray) and v.ndim}

    def with_weights(self, weights: dict[str, Any]) -> System:
        """The same system with other weights."""
        return replace(self, **weights)

    def substituted(self, parameters: Any, weights: dict[str, Any]) -> Any:
        """The parameters of its equation with these weights in place of its own."""
        return {**parameters, **weights}

    def held(self, time: TimeBase) -> System | None:
        """The same equation in another time base, exact while the input is held: a flow's map of one step, a map's flow.

        None where the family does not solve it in closed form.
        """
        return None

    def integrated(self) -> System | None:
        """The differential equation that the step was made from, by the definition of the family; None where it names none."""
        return None

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        """The system of this family whose right-hand side is a z + b F(z, s), or None where the family has none."""
        return None

    def outputs(self, states: Array, inputs: Array | None = None) -> Array | None:
        """x = B z + b (or what the readout is) for states `(..., n)`, or None without a readout."""
        return None if self.readout is None else self.readout(states)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _finish(self) -> None:
        """Check what all families share; called last in `__post_init__`."""
        self._set(time=time_base(self.time), readout=as_readout(self.readout, self.num_states))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.compare)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are made anew from the parameters, checked and read-only again."""
        return made, (type(self), {f.name: getattr(self, f.name) for f in fields(self) if f.init})

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.num_states, self.num_inputs, self.time))

    def __repr__(self) -> str:
        parts = [f"{self.num_states} states", *self._details()]
        if self.num_inputs:
            parts.append(f"{self.num_inputs} inputs")
        if self.readout is not None:
            parts.append(f"{self.num_outputs} outputs")
        return f"{type(self).__name__}({', '.join(parts)}, {self.time})"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

    def _details(self) -> list[str]:
        return []


class OfRegions(System):
    """What has regions between boundaries: sizes and patterns are those of a canonical form."""

    @property
    @abstractmethod
    def canonical(self) -> PiecewiseAffineForm:
        """The form that every algorithm works on."""

    @property
    def num_states(self) -> int:
        """n, the length of the state z; of a converted flow without auxiliary states."""
        return self.canonical.num_states

    @property
    def num_inputs(self) -> int:
        """m, the length of the input s."""
        return self.canonical.num_inputs

    @property
    def num_units(self) -> int:
        """q, the number of bits of a pattern: of ReLU units, or of other boundaries."""
        return self.canonical.num_units


@dataclass(frozen=True, eq=False, repr=False)
class RegionSystem(OfRegions):
    """Affine in each region between boundaries: patterns, `step` or `field` and derivatives follow from its form."""

    boundary: ClassVar[str] = "boundaries"
    """What its bits belong to."""

    @abstractmethod
    def _canonical(self) -> PiecewiseAffineForm:
        """The form: boundaries, and what the system is in each region."""

    @cached_property
    def canonical(self) -> PiecewiseAffineForm:  # type: ignore[override]
        """The form that every algorithm works on."""
        return self._canonical()

    def pattern(self, z: Array, s: Array | None = None) -> Array:
        """Bits `(..., q)`: which units are on at states `(..., n)`."""
        return self.canonical.pattern(*_unmasked(z, s))

    def apply(self, z: Array, s: Array | None = None) -> Array:
        """F(z, s), which is z_{k+1} or dz/dt, for states `(..., n)` and inputs `(..., m)` (None: zero)."""
        return self.canonical.apply(*_unmasked(z, s))

    def jacobian(self, z: Array, s: Array | None = None) -> Array:
        """The matrices M `(..., n, n)` of the regions of states `(..., n)`."""
        return self.canonical.jacobian(*_unmasked(z, s))

    def input_jacobian(self, z: Array, s: Array | None = None) -> Array:
        """The matrices E `(..., n, m)` of the regions of states `(..., n)`."""
        return self.canonical.input_jacobian(*_unmasked(z, s))

    def _details(self) -> list[str]:
        return [f"{self.num_units} {self.boundary}"]


@dataclass(frozen=True, eq=False, repr=False)
class PiecewiseAffineSystem(RegionSystem):
    """Capability: a canonical form `z' = A z + W1 relu(W2 z + C2 s + h2) + C1 s + h1`.

    Implement `_canonical`; `step` or `field`, patterns and regions follow.
    """

    boundary: ClassVar[str] = "ReLU units"

    @property
    def linear_part(self) -> Array | None:
        """A of the canonical form `(n, n)`."""
        return self.canonical.A

    @cached_property
    def equation(self) -> Equation:
        """The canonical form as a pure function for JAX."""
        f = self.canonical
        return Equation(_canonical_function, {k: getattr(f, k) for k in ("A", "W1", "W2", "h1", "h2", "C1", "C2")})


@dataclass(frozen=True, eq=False, repr=False)
class SwitchedSystem(RegionSystem):
    """Capability: affine in each region, where neighbors need not join: `z' = M_d z + c_d + E_d s`, d the bits (W2 z + C2 s + h2) > 0.

    Implement `_boundaries` and `_region`; `step` or `field`, patterns and Jacobians follow. As a flow it switches where the state
    crosses a boundary, and slides along one that both sides point at (Filippov).
    """

    @abstractmethod
    def _boundaries(self) -> tuple[Array, Array, Array]:
        """W2 `(q, n)`, h2 `(q,)` and C2 `(q, m)` of the boundaries W2 z + C2 s + h2 = 0."""

    @abstractmethod
    def _region(self, pattern: Array) -> tuple[Array, Array, Array]:
        """M `(n, n)`, c `(n,)` and E `(n, m)` of the region with bits `(q,)`."""

    def _canonical(self) -> PiecewiseAffineForm:
        W2, h2, C2 = (np.array(x, dtype=np.float64) for x in self._boundaries())
        return SwitchedForm.of(W2, h2, C2, self._region)

    @cached_property
    def equation(self) -> Equation:
        """The right-hand side for JAX, with a table of all 2^q regions.

        Raises:
            TypeError: more than 12 boundaries.
        """
        f = self.canonical
        if f.num_units > MOST_BOUNDARIES:
            raise TypeError(
                f"{type(self).__name__} has {f.num_units} boundaries; a table of regions is made for at most {MOST_BOUNDARIES}."
            )
        regions = f.regions(every_pattern(f.num_units))
        return Equation(_switched_function, {"W2": f.W2, "C2": f.C2, "h2": f.h2, **regions._asdict()})


@dataclass(frozen=True, eq=False, repr=False)
class SmoothSystem(System):
    """Capability: a right-hand side that JAX evaluates and differentiates.

    Implement `_equation`; `step` or `field` and Jacobians follow.
    """

    @abstractmethod
    def _equation(self) -> Equation:
        """The family's right-hand side."""

    @cached_property
    def equation(self) -> Equation:
        """The right-hand side F as a pure function for JAX: z_{k+1} or dz/dt = F(z, s)."""
        return self._equation()


def _canonical_function(xp: Any, p: Any, z: Any, s: Any) -> Any:
    g = p["W2"] @ z + p["C2"] @ s + p["h2"]
    on = xp.where(g > 0, g, 0.0)  # the region of a boundary is the one with the unit off
    return p["A"] @ z + p["W1"] @ on + p["C1"] @ s + p["h1"]


def _switched_function(xp: Any, p: Any, z: Any, s: Any) -> Any:
    on = p["W2"] @ z + p["C2"] @ s + p["h2"] > 0
    k = (on * 2 ** xp.arange(len(p["h2"]))[::-1]).sum()
    return p["M"][k] @ z + p["c"][k] + p["E"][k] @ s


def _unmasked(z: Any, s: Any) -> tuple[Any, Any]:
    """State and input, which have no masked entries."""
    refuse_masked("z", z)
    refuse_masked("s", s)
    return z, s


def _last_axis(name: str, value: Any, length: int, meaning: str) -> Array:
    if np.iscomplexobj(value):
        raise ValueError(f"`{name}` is complex; it must be real.")
    refuse_masked(name, value)
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != length:
        raise ShapeError(f"`{name}` has shape {array.shape}; its last axis must have {length} entries, the {meaning}.")
    return array


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and bool((a == b).all())
    return type(a) is type(b) and bool(a == b)


def initial_states(z0: Any, num_states: int) -> Array:
    """One initial state `(n,)` or a batch `(b, n)`, checked; of a Trajectory its last, of a point of a result the point.

    Raises:
        ShapeError: the last axis is not n. ValueError: an entry is not finite.
    """
    z = real_array("z0", one_state(z0))
    if z.ndim not in (1, 2) or z.shape[-1] != num_states:
        raise ShapeError(
            f"`z0` has shape {z.shape}; it must be ({num_states},), or (b, {num_states}) for a batch of b initial states."
        )
    return z

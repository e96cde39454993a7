"""Multistep methods: earlier derivatives are part of the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.convert.integrators import Euler, Integrator, Interchanges
from retime.convert.tableaux import DORMAND_PRINCE, EULER, RungeKuttaStep
from retime.core.arrays import Array
from retime.core.equation import Equation, evaluate
from retime.core.system import System

_ADAMS = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
    5: (1901 / 720, -2774 / 720, 2616 / 720, -1274 / 720, 251 / 720),
}


@dataclass(frozen=True)
class AdamsBashforth(Integrator):
    """The Adams-Bashforth method of `steps` steps: explicit, order `steps`, one evaluation of F per step.

    z_{k+1} = z_k + dt sum_{j < steps} beta_j F_{k-j},   F_k = F(z_k, s_k)

    The new state is (z_k, F_{k-1}, ..., F_{k-steps+1}), n * steps numbers. Started from z alone, the earlier derivatives come
    from steps backward in time (Dormand-Prince) with the first input held.

    Args:
        steps: 1 to 5.

    Source: hairer1993, section III.1.
    """

    steps: int
    interchanges: ClassVar[Interchanges] = "always"

    def __post_init__(self) -> None:
        if self.steps not in _ADAMS or isinstance(self.steps, bool):
            raise ValueError(f"`steps` is {self.steps!r}; AdamsBashforth has 1 to 5 steps.")

    @property
    def order(self) -> int:  # type: ignore[override]
        """The number of steps."""
        return self.steps

    @property
    def memory(self) -> int:  # type: ignore[override]
        """Earlier derivatives in the state."""
        return self.steps - 1

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step; with one step it is Euler's method."""
        return Euler().discretize(model, dt) if self.steps == 1 else super().discretize(model, dt)

    def equation(self, base: System, dt: float) -> Equation:
        """One step as a right-hand side."""
        inner = base.equation
        step = _AdamsStep(_ADAMS[self.steps], inner.function, base.num_states)
        return Equation(step, {"inner": inner.parameters, "dt": np.float64(dt)})

    def rational(self) -> tuple[Array, Array] | None:
        """1 + z for one step; with more, a step has several factors per mode."""
        return EULER.rational() if self.steps == 1 else None

    def start(self, base: System, dt: float, z: Array, s: Array | None) -> Array:
        """(z, F at times -dt, -2 dt, ...)."""
        inner, s = base.equation, np.zeros(base.num_inputs) if s is None else np.asarray(s, dtype=np.float64)
        back = RungeKuttaStep.of(DORMAND_PRINCE, inner, -dt)
        state, earlier = z, z
        for _ in range(self.memory):
            earlier = evaluate(back, earlier, s)
            rate = evaluate(inner, earlier, s)
            fine = np.isfinite(rate).all(axis=-1, keepdims=True)  # backward in time a solution may end:
            rate = rate if fine.all() else np.where(fine, rate, evaluate(inner, z, s))  # any start is then as good
            state = np.concatenate([state, rate], axis=-1)
        return state

    def amplification(self, z: Array) -> Array:
        """Largest modulus of the roots of x^k - x^(k-1) - z sum_j beta_j x^(k-1-j)."""
        z = np.asarray(z, dtype=complex)
        k, beta = self.steps, np.array(_ADAMS[self.steps])
        companion = np.zeros((z.size, k, k), dtype=complex)
        companion[:, 0] = z.reshape(-1, 1) * beta
        companion[:, 0, 0] += 1.0
        companion[:, range(1, k), range(k - 1)] = 1.0
        return np.abs(np.linalg.eigvals(companion)).max(axis=1).reshape(z.shape)


@dataclass(frozen=True)
class _AdamsStep:
    beta: tuple[float, ...]
    inner: Callable[[Any, Any, Any, Any], Any]
    n: int

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        now = self.inner(xp, p["inner"], z[: self.n], s)
        fields = [now, *(z[self.n * j : self.n * (j + 1)] for j in range(1, len(self.beta)))]
        new = z[: self.n] + p["dt"] * sum(b * f for b, f in zip(self.beta, fields, strict=True))
        return xp.concatenate([new, *fields[:-1]])

"""Minimal GRU: gates that do not read the state, so that its equation is solved exactly."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import matrix, positive, vector
from retime.core.equation import Equation
from retime.core.reachability import Box
from retime.core.system import System
from retime.core.time import Continuous, Discrete, TimeBase
from retime.models.units import Units


@dataclass(frozen=True, eq=False, repr=False)
class MinGRU(Units):
    """Minimal gated recurrent unit, whose gate and candidate read the input alone.

    a = W_gate s + b_gate,   c = W_in s + b
    z_{k+1} = (1 - u) z_k + u c,   u = 1 - exp(-(dt / tau) softplus(a))             (time=Discrete(dt))
    dz/dt = (softplus(a) / tau) (c - z)                                             (time=Continuous())

    With tau = dt, the default, u = logistic(a): the published unit. With the input held over a step the map *is* the flow, for every dt:
    `to_continuous`, `to_discrete(ZeroOrderHold())` and `retime_to` are exact and stay in the family.

    Args:
        W_gate, W_in: `(n, m)`. b_gate, b: `(n,)`.
        tau: the time in which a gate of logistic(a) opens, model time; None: dt (1 for a flow).
        time: `Discrete(dt)` or `Continuous()`. readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, tau is not > 0.

    Source: feng2024 (the unit); the equation it solves is this project's (docs/theory/cells.md).
    """

    family: ClassVar[str] = "min_gru"

    W_gate: Any
    b_gate: Any
    W_in: Any
    b: Any
    _: KW_ONLY
    tau: Any = None

    def __post_init__(self) -> None:
        W_in = matrix("W_in", self.W_in, (None, None))
        shape, because = W_in.shape, f", as `W_in` {W_in.shape}"
        self._set(
            W_in=W_in,
            W_gate=matrix("W_gate", self.W_gate, shape, because),
            b_gate=vector("b_gate", self.b_gate, shape[0], because),
            b=vector("b", self.b, shape[0], because),
        )
        self._finish()
        usual = self.time.dt if isinstance(self.time, Discrete) else 1.0
        self._set(tau=usual if self.tau is None else positive("tau", self.tau))

    def reachable(self, inputs: Box) -> Box:
        """Where the candidates lie, towards which every unit moves."""
        return inputs.mapped(self.W_in, self.b)

    def held(self, time: TimeBase) -> System | None:
        """The same equation in another time base, exact while the input is held."""
        return replace(self, time=time)

    def _equation(self) -> Equation:
        p = {k: getattr(self, k) for k in ("W_gate", "b_gate", "W_in", "b")}
        if isinstance(self.time, Continuous):
            return Equation(_field, p | {"tau": np.float64(self.tau)})
        return Equation(_step, p | {"ratio": np.float64(self.dt / self.tau)})

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        stretched = isinstance(self.time, Continuous) and isinstance(time, Continuous) and a == 0 and b > 0
        return replace(self, tau=self.tau / b, time=time) if stretched else None


def _softplus(xp: Any, a: Any) -> Any:
    return xp.logaddexp(a, 0.0)


def _field(xp: Any, p: Any, z: Any, s: Any) -> Any:
    rate = _softplus(xp, p["W_gate"] @ s + p["b_gate"]) / p["tau"]
    return rate * (p["W_in"] @ s + p["b"] - z)


def _step(xp: Any, p: Any, z: Any, s: Any) -> Any:
    decay = p["ratio"] * _softplus(xp, p["W_gate"] @ s + p["b_gate"])
    return xp.exp(-decay) * z - xp.expm1(-decay) * (p["W_in"] @ s + p["b"])

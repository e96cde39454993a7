"""The delta rule: a matrix of associations as the state, corrected towards each new pair of key and value."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import matrix, positive
from retime.core.equation import Equation
from retime.core.errors import ShapeError
from retime.core.system import SmoothSystem, System
from retime.core.time import CONTINUOUS, Continuous, Discrete, TimeBase

METHODS = ("euler", "implicit", "exact")


@dataclass(frozen=True, eq=False, repr=False)
class DeltaRule(SmoothSystem):
    """Fast weights that follow the delta rule. The state is S `(d_v, d_k)`, row by row.

    k = W_key s,   v = W_value s
    dS/dt = beta (v - S k) k^T                                                                    (time=Continuous())
    S_{k+1} = S_k + g (v - S_k k) k^T                                                             (time=Discrete(dt))
        g = dt beta                                 method="euler":    the delta rule (DeltaNet)
        g = dt beta / (1 + dt beta |k|^2)           method="implicit": Longhorn
        g = (1 - exp(-dt beta |k|^2)) / |k|^2       method="exact":    the flow with the input held

    With method="exact" `to_continuous`, `to_discrete(ZeroOrderHold())` and `retime_to` are exact and stay in the family; the other two
    are stable steps of the same equation for dt beta |k|^2 < 2 (euler), and always (implicit).

    Args:
        W_key: `(d_k, m)`. W_value: `(d_v, m)`.
        beta: rate of learning, a number > 0, 1 / model time.
        method: as above.
        normalize: keys are divided by their length.
        time: `Discrete(dt)` or `Continuous()`. readout: on S row by row, `(p, d_v d_k)`.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, an unknown method.

    Source: widrow1960; schlag2021 (fast weights), liu2024 (implicit).
    """

    family: ClassVar[str] = "delta_rule"

    W_key: Any
    W_value: Any
    _: KW_ONLY
    beta: float = 1.0
    method: str = "euler"
    normalize: bool = False

    def __post_init__(self) -> None:
        W_key = matrix("W_key", self.W_key, (None, None))
        W_value = matrix("W_value", self.W_value, (None, W_key.shape[1]), f", inputs as `W_key` {W_key.shape}")
        if 0 in W_key.shape or not len(W_value):
            raise ShapeError(
                f"`W_key` has shape {W_key.shape} and `W_value` {W_value.shape}; there must be keys, values and inputs."
            )
        if self.method not in METHODS:
            raise ValueError(f"`method` is {self.method!r}; it must be one of {', '.join(METHODS)}.")
        self._set(
            W_key=W_key,
            W_value=W_value,
            beta=positive("beta", self.beta, "1 / model time"),
            normalize=bool(self.normalize),
        )
        self._finish()

    @property
    def num_states(self) -> int:
        """d_v d_k."""
        return len(self.W_value) * len(self.W_key)

    @property
    def num_inputs(self) -> int:
        """m."""
        return self.W_key.shape[1]

    def held(self, time: TimeBase) -> System | None:
        """The same equation in another time base, exact while the input is held; of the exact method."""
        if isinstance(self.time, Discrete) and self.method != "exact":
            return None
        return replace(self, time=time, method="exact")

    def integrated(self) -> System | None:
        """The equation in continuous time."""
        return replace(self, time=CONTINUOUS)

    def _equation(self) -> Equation:
        p = {"W_key": self.W_key, "W_value": self.W_value, "beta": np.float64(self.beta)}
        if isinstance(self.time, Continuous):
            return Equation(_Correction("field", self.normalize), p)
        return Equation(_Correction(self.method, self.normalize), p | {"dt": np.float64(self.dt)})

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        if isinstance(self.time, Continuous) and isinstance(time, Discrete) and (a, b) == (1.0, time.dt):
            return replace(self, time=time, method="euler")
        stretched = isinstance(self.time, Continuous) and isinstance(time, Continuous) and a == 0 and b > 0
        return replace(self, beta=self.beta * b, time=time) if stretched else None

    def _details(self) -> list[str]:
        return [f"{len(self.W_value)} values x {len(self.W_key)} keys", self.method]


@dataclass(frozen=True)
class _Correction:
    method: str
    normalize: bool

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        k, v = p["W_key"] @ s, p["W_value"] @ s
        size = k @ k
        there = size > 0
        if self.normalize:
            k = xp.where(there, k / xp.sqrt(xp.where(there, size, 1.0)), 0.0)
            size = xp.where(there, 1.0, 0.0)
        S = z.reshape(len(v), len(k))
        error = xp.outer(v - S @ k, k).reshape(-1)
        if self.method == "field":
            return p["beta"] * error
        step = p["dt"] * p["beta"]
        if self.method == "implicit":
            step = step / (1.0 + step * size)
        elif self.method == "exact":
            step = xp.where(there, -xp.expm1(-step * size) / xp.where(there, size, 1.0), step)
        return z + step * error

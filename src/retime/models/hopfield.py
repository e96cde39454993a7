"""Hopfield's continuous network: units with capacitance and leak, an energy when the weights are symmetric."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from retime.core.activation import ACTIVATIONS, SYNONYMS, Activation
from retime.core.arrays import Array, matrix, state_matrix, vector
from retime.core.equation import Equation
from retime.core.reachability import Box
from retime.core.system import System
from retime.core.time import CONTINUOUS, Continuous, Discrete, TimeBase
from retime.models.elman import per_unit
from retime.models.units import WithInputs


@dataclass(frozen=True, eq=False, repr=False)
class HopfieldNetwork(WithInputs):
    """Graded-response network of Hopfield.

    C_i du_i/dt = sum_j T_ij V_j - u_i / R_i + I_i + (W_in s)_i,   V_j = g(gain u_j)

    u is the state. With T symmetric, zero or positive diagonal allowed, the energy decreases along every orbit:
    E = -1/2 V T V - I V + sum_i (1 / (R_i gain)) integral_0^{V_i} g^{-1}(v) dv.

    Args:
        T: `(n, n)` conductances. I: `(n,)` currents.
        W_in: `(n, m)`; None for no inputs.
        resistance, capacitance: R, C, numbers or `(n,)`, > 0; the time constant is R C.
        gain: a number > 0.
        activation: g, "tanh" (V in (-1, 1)) or "logistic" (V in (0, 1)).
        time: `Continuous()`. readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, not positive, an unknown name, or discrete time.

    Source: hopfield1984.
    """

    family: ClassVar[str] = "hopfield"

    T: Any
    I: Any
    W_in: Any = None
    _: KW_ONLY
    resistance: Any = 1.0
    capacitance: Any = 1.0
    gain: float = 1.0
    activation: Literal["tanh", "logistic"] = "tanh"
    time: TimeBase = CONTINUOUS

    def __post_init__(self) -> None:
        T = state_matrix("T", self.T)
        n = len(T)
        W_in = np.zeros((n, 0)) if self.W_in is None else self.W_in
        self._set(activation=SYNONYMS.get(self.activation, self.activation))
        if self.activation not in ("tanh", "logistic"):
            raise ValueError(
                f'`activation` is {self.activation!r}; it must be "tanh" or "logistic", which have an inverse.'
            )
        because = f", one per unit of `T` ({n})"
        self._set(T=T, I=vector("I", self.I, n, because), W_in=matrix("W_in", W_in, (n, None), because))
        self._set(
            resistance=per_unit("resistance", self.resistance, n, "the resistance"),
            capacitance=per_unit("capacitance", self.capacitance, n, "the capacitance"),
            gain=float(per_unit("gain", self.gain, 1, "the gain")),
        )
        self._finish()
        if isinstance(self.time, Discrete):
            raise ValueError(f"`time` is {self.time}; a HopfieldNetwork flows. For a map use to_discrete.")

    @classmethod
    def storing(cls, patterns: Array, **options: Any) -> HopfieldNetwork:
        """The network with Hebb's weights T = sum_p x_p x_p^T / n, zero diagonal, for patterns `(k, n)` of -1 and 1."""
        x = matrix("patterns", patterns, (None, None), " (patterns, units)")
        T = x.T @ x / x.shape[1]
        np.fill_diagonal(T, 0.0)
        return cls(T, np.zeros(len(T)), **options)

    @property
    def num_states(self) -> int:
        """n, the number of units."""
        return len(self.I)

    @property
    def linear_part(self) -> Array | None:
        """The leak, -1 / (R C) on the diagonal `(n, n)`."""
        rate = -1.0 / (np.asarray(self.resistance) * np.asarray(self.capacitance))
        return np.diag(np.broadcast_to(rate, self.num_states))

    def reachable(self, inputs: Box) -> Box:
        """Where R (T V + I + W_in s) lies, which u relaxes to."""
        limits = Activation(self.activation).limits(self.num_states)
        R = np.broadcast_to(np.asarray(self.resistance), self.num_states)
        driven = inputs.mapped(R[:, None] * self.W_in, R * self.I)
        return limits.mapped(R[:, None] * self.T, np.zeros(self.num_states)).plus(driven)

    def rates(self, u: Array) -> Array:
        """V = g(gain u) for states `(..., n)`."""
        return ACTIVATIONS[self.activation](np, self.gain * np.asarray(u, dtype=np.float64))

    def energy(self, u: Array) -> Array:
        """E `(...)` at states `(..., n)` without input; never increases along an orbit when T is symmetric."""
        V = self.rates(u)
        low, high = (-1.0, 1.0) if self.activation == "tanh" else (0.0, 1.0)
        integral = (_xlogx(V - low) + _xlogx(high - V)) / (high - low)
        leak = integral / (np.asarray(self.resistance) * self.gain)
        return -0.5 * np.einsum("...i,ij,...j->...", V, self.T, V) - V @ self.I + leak.sum(axis=-1)

    def _equation(self) -> Equation:
        names = ("T", "I", "W_in", "resistance", "capacitance", "gain")
        return Equation(_Hopfield(self.activation), {k: np.asarray(getattr(self, k)) for k in names})

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        if a != 0 or not isinstance(time, Continuous):
            return None
        return replace(self, capacitance=np.asarray(self.capacitance) / b)

    def _details(self) -> list[str]:
        return [self.activation]


def _xlogx(x: Array) -> Array:
    return np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), 0.0)


@dataclass(frozen=True)
class _Hopfield:
    activation: str

    def __call__(self, xp: Any, p: Any, u: Any, s: Any) -> Any:
        V = ACTIVATIONS[self.activation](xp, p["gain"] * u)
        return (p["T"] @ V - u / p["resistance"] + p["I"] + p["W_in"] @ s) / p["capacitance"]

"""Piecewise-linear RNN (PLRNN)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array, matrix, state_matrix, vector
from retime.core.canonical import PiecewiseAffineForm
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import TimeBase


@dataclass(frozen=True, eq=False, repr=False)
class PLRNN(PiecewiseAffineSystem):
    """Piecewise-linear recurrent network.

    z_{k+1} = A z_k + W relu(z_k) + h + C s_k        (time=Discrete(dt))
    dz/dt   = A z   + W relu(z)   + h + C s          (time=Continuous())

    Args:
        A: `(n, n)`, usually diagonal; its diagonal `(n,)` may be given instead.
        W: `(n, n)`, column-vector convention; its diagonal may be nonzero.
        h: `(n,)`.
        C: `(n, m)` input weights; None for no inputs.
        time: time base, `Discrete(1.0)` by default.
        readout: `(B, b)` with B `(p, n)`, b `(p,)`: x = B z + b.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, or dt <= 0.

    Source: durstewitz2017, monfared2020.
    """

    family: ClassVar[str] = "plrnn"

    A: Any
    W: Any
    h: Any
    C: Any = None

    def __post_init__(self) -> None:
        A, W, h, C = recurrent_parameters(self.A, self.W, self.h, self.C)
        self._set(A=A, W=W, h=h, C=C)
        self._finish()

    def _canonical(self) -> PiecewiseAffineForm:
        n, m = self.C.shape
        return PiecewiseAffineForm(self.A, self.W, np.eye(n), self.h, np.zeros(n), self.C, np.zeros((n, m)))

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        A = a * np.eye(self.num_states) + b * self.A
        return replace(self, A=A, W=b * self.W, h=b * self.h, C=b * self.C, time=time)


def recurrent_parameters(A: Any, W: Any, h: Any, C: Any) -> tuple[Array, Array, Array, Array]:
    """The parameters that the PLRNN, the almost-linear and the dendritic family share, checked: A, W `(n, n)`, h, C."""
    A = state_matrix("A", A)
    n = len(A)
    hint = f", one row and one column per unit of `A` ({n})"
    W = matrix("W", W, (n, n), hint)
    return A, W, vector("h", h, n, hint), input_weights(C, n)


def input_weights(C: Any, num_states: int) -> Array:
    """C as `(n, m)`; None becomes `(n, 0)`."""
    if C is None:
        C = np.zeros((num_states, 0))
    return matrix("C", C, (num_states, None), f", one row per state ({num_states})")

"""Shallow PLRNN: one hidden layer per step, plain and clipped."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import matrix, state_matrix, vector
from retime.core.canonical import PiecewiseAffineForm
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import TimeBase
from retime.models.plrnn import input_weights


@dataclass(frozen=True, eq=False, repr=False)
class ShallowPLRNN(PiecewiseAffineSystem):
    """Shallow piecewise-linear network with q hidden units.

    z' = A z + W1 relu(W2 z + h2) + h1 + C s                               (plain)
    z' = A z + W1 [relu(W2 z + h2) - relu(W2 z)] + h1 + C s                (clipped: bounded when |A| < 1)

    z' is z_{k+1} (Discrete) or dz/dt (Continuous). The clipped form has 2 q ReLU units: pattern bits 0..q-1 belong to
    W2 z + h2, bits q..2q-1 to W2 z.

    Args:
        A: `(n, n)`, usually diagonal, or its diagonal `(n,)`.
        W1: `(n, q)`. W2: `(q, n)`. h1: `(n,)`. h2: `(q,)`.
        C: `(n, m)` or None.
        clipped: which of the two forms.
        time, readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.

    Source: hess2023.
    """

    family: ClassVar[str] = "shallow_plrnn"

    A: Any
    W1: Any
    W2: Any
    h1: Any
    h2: Any
    C: Any = None
    _: KW_ONLY
    clipped: bool = False

    def __post_init__(self) -> None:
        A = state_matrix("A", self.A)
        n = len(A)
        W1 = matrix("W1", self.W1, (n, None), f", one row per state ({n})")
        q = W1.shape[1]
        W2 = matrix("W2", self.W2, (q, n), f", one row per hidden unit ({q}), one column per state ({n})")
        h1 = vector("h1", self.h1, n, " one entry per state")
        h2 = vector("h2", self.h2, q, " one entry per hidden unit")
        self._set(A=A, W1=W1, W2=W2, h1=h1, h2=h2, C=input_weights(self.C, n), clipped=bool(self.clipped))
        self._finish()

    def _canonical(self) -> PiecewiseAffineForm:
        W1, W2, h2 = self.W1, self.W2, self.h2
        if self.clipped:
            W1, W2, h2 = np.hstack([W1, -W1]), np.vstack([W2, W2]), np.concatenate([h2, np.zeros_like(h2)])
        return PiecewiseAffineForm(self.A, W1, W2, self.h1, h2, self.C, np.zeros((len(h2), self.C.shape[1])))

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        A = a * np.eye(self.num_states) + b * self.A
        return replace(self, A=A, W1=b * self.W1, h1=b * self.h1, C=b * self.C, time=time)

    def _details(self) -> list[str]:
        return ["clipped", *super()._details()] if self.clipped else super()._details()

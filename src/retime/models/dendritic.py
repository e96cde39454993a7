"""Dendritic PLRNN: each unit has a basis of ReLUs with its own thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import matrix, vector
from retime.core.canonical import PiecewiseAffineForm
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import TimeBase
from retime.models.plrnn import recurrent_parameters


@dataclass(frozen=True, eq=False, repr=False)
class DendriticPLRNN(PiecewiseAffineSystem):
    """Dendritic piecewise-linear network with B bases.

    z' = A z + W phi(z) + h + C s,   phi_i(z) = sum_{b=1..B} slopes_b relu(z_i - thresholds_{b,i})

    z' is z_{k+1} (Discrete) or dz/dt (Continuous). Pattern bit b * n + i belongs to basis b of unit i.

    Args:
        A: `(n, n)`, usually diagonal, or its diagonal `(n,)`. W: `(n, n)`. h: `(n,)`.
        slopes: `(B,)`. thresholds: `(B, n)`.
        C: `(n, m)` or None.
        time, readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.

    Source: brenner2022.
    """

    family: ClassVar[str] = "dendritic_plrnn"

    A: Any
    W: Any
    h: Any
    slopes: Any
    thresholds: Any
    C: Any = None

    def __post_init__(self) -> None:
        A, W, h, C = recurrent_parameters(self.A, self.W, self.h, self.C)
        slopes = vector("slopes", self.slopes)
        shape = (len(slopes), len(h))
        thresholds = matrix("thresholds", self.thresholds, shape, ", one row per basis and one column per unit")
        self._set(A=A, W=W, h=h, slopes=slopes, thresholds=thresholds, C=C)
        self._finish()

    def _canonical(self) -> PiecewiseAffineForm:
        (num_bases, n), m = self.thresholds.shape, self.C.shape[1]
        W1 = np.hstack([a * self.W for a in self.slopes]) if num_bases else np.zeros((n, 0))
        W2 = np.tile(np.eye(n), (num_bases, 1))
        h2 = -self.thresholds.reshape(-1)
        return PiecewiseAffineForm(self.A, W1, W2, self.h, h2, self.C, np.zeros((num_bases * n, m)))

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        A = a * np.eye(self.num_states) + b * self.A
        return replace(self, A=A, W=b * self.W, h=b * self.h, C=b * self.C, time=time)

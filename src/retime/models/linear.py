"""Linear state-space system with an offset."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array, matrix, state_matrix, vector
from retime.core.canonical import PiecewiseAffineForm
from retime.core.system import PiecewiseAffineSystem


@dataclass(frozen=True, eq=False, repr=False)
class LinearSystem(PiecewiseAffineSystem):
    """Affine system.

    z_{k+1} = A z_k + b + E s_k        (time=Discrete(dt))
    dz/dt   = A z   + b + E s          (time=Continuous())
    x       = B z + b_out + D s        (with a readout)

    Args:
        A: `(n, n)`, or its diagonal `(n,)`. b: `(n,)`. E: `(n, m)`.
        time: time base, `Discrete(1.0)` by default. readout: `(B, b_out)`.
        D: `(p, m)` direct feedthrough to the readout; None for zero.

    Raises:
        ShapeError: sizes disagree, or `D` without a readout. ValueError: an entry is not finite.
    """

    family: ClassVar[str] = "linear"

    A: Any
    b: Any
    E: Any
    _: KW_ONLY
    D: Any = None

    def __post_init__(self) -> None:
        A = state_matrix("A", self.A)
        n = len(A)
        b, E = (
            vector("b", self.b, n, " one entry per state"),
            matrix("E", self.E, (n, None), f", one row per state ({n})"),
        )
        self._set(A=A, b=b, E=E)
        self._finish()
        if self.D is not None:
            self._set(D=matrix("D", self.D, (self.num_outputs, E.shape[1]), " (outputs of the readout, inputs)"))

    def _canonical(self) -> PiecewiseAffineForm:
        n, m = self.E.shape
        none, C2 = np.zeros(0), np.zeros((0, m))
        return PiecewiseAffineForm(self.A, np.zeros((n, 0)), np.zeros((0, n)), self.b, none, self.E, C2)

    def outputs(self, states: Array, inputs: Array | None = None) -> Array | None:
        """x = B z + b_out + D s for states `(..., n)` and inputs `(..., m)` (None: zero)."""
        x = super().outputs(states)
        return x if x is None or self.D is None or inputs is None else x + np.asarray(inputs) @ self.D.T

    def _details(self) -> list[str]:
        return []

"""Continuous-time piecewise-linear network."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.canonical import PiecewiseAffineForm
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import CONTINUOUS, Continuous, TimeBase
from retime.models.almost_linear import AlmostLinearRNN, almost_linear_form, relu_count
from retime.models.plrnn import PLRNN, recurrent_parameters


@dataclass(frozen=True, eq=False, repr=False)
class ContinuousPLRNN(PiecewiseAffineSystem):
    """Continuous-time piecewise-linear network, almost-linear form included.

    dz/dt = A z + W phi(z) + h + C s,   phi passes the last `num_relu` units through the ReLU (None: all units).

    Args:
        A: `(n, n)`, usually diagonal, or its diagonal `(n,)`, in 1 / model time. W: `(n, n)`. h: `(n,)`.
        C: `(n, m)` or None.
        num_relu: number of ReLU units (the last ones); None for all.
        time: `Continuous()`, the default; any other time base is an error (use `PLRNN` or `AlmostLinearRNN`).
        readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, `num_relu` out of range, or a discrete time base.

    Source: brandle2026.
    """

    family: ClassVar[str] = "continuous_plrnn"

    A: Any
    W: Any
    h: Any
    C: Any = None
    _: KW_ONLY
    num_relu: int | None = None
    time: TimeBase = CONTINUOUS

    def __post_init__(self) -> None:
        A, W, h, C = recurrent_parameters(self.A, self.W, self.h, self.C)
        P = len(h) if self.num_relu is None else relu_count(self.num_relu, len(h))
        self._set(A=A, W=W, h=h, C=C, num_relu=P)
        self._finish()
        if self.time != CONTINUOUS:
            raise ValueError(f"`time` is {self.time}; a ContinuousPLRNN flows. For a map use PLRNN or AlmostLinearRNN.")

    def _canonical(self) -> PiecewiseAffineForm:
        return almost_linear_form(self.A, self.W, self.h, self.C, self.num_relu or 0)

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        A = a * np.eye(self.num_states) + b * self.A
        W, h, C = b * self.W, b * self.h, b * self.C
        if isinstance(time, Continuous):
            return replace(self, A=A, W=W, h=h, C=C)
        if self.num_relu == self.num_states:
            return PLRNN(A, W, h, C, time=time, readout=self.readout)
        return AlmostLinearRNN(A, W, h, C, num_relu=self.num_relu or 0, time=time, readout=self.readout)

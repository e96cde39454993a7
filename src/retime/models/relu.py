"""Elman network with the ReLU nonlinearity, as in PyTorch and Keras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import matrix, state_matrix, vector
from retime.core.canonical import PiecewiseAffineForm
from retime.core.low_rank import LowRank
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import TimeBase


def elman_parameters(W_rec: Any, W_in: Any, b: Any, *, keeps_factors: bool = True) -> dict[str, Any]:
    """W_rec `(n, n)`, W_in `(n, m)` (None: no inputs) and b `(n,)`, checked; W_rec as a LowRank where that is cheaper and kept."""
    is_low = isinstance(W_rec, LowRank) and keeps_factors and W_rec.is_cheaper
    W_rec = W_rec if is_low else state_matrix("W_rec", W_rec)
    n = len(W_rec)
    W_in = np.zeros((n, 0)) if W_in is None else W_in
    W_in = matrix("W_in", W_in, (n, None), f", one row per unit of `W_rec` ({n})")
    return {"W_rec": W_rec, "W_in": W_in, "b": vector("b", b, n, f" one entry per unit of `W_rec` ({n})")}


@dataclass(frozen=True, eq=False, repr=False)
class ReluRNN(PiecewiseAffineSystem):
    """Elman recurrent network with ReLU units.

    z' = relu(W_rec z + W_in s + b)

    z' is z_{k+1} (Discrete) or dz/dt (Continuous). PyTorch's `nn.RNN(nonlinearity="relu")`: W_rec = weight_hh_l0,
    W_in = weight_ih_l0, b = bias_ih_l0 + bias_hh_l0. Keras' `SimpleRNN(activation="relu")`: W_rec = recurrent_kernel
    transposed, W_in = kernel transposed, b = bias. PyTorch and Keras report the state after each step.

    Args:
        W_rec: `(n, n)`. W_in: `(n, m)`. b: `(n,)`.
        time, readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.

    Source: elman1990.
    """

    family: ClassVar[str] = "relu_rnn"

    W_rec: Any
    W_in: Any
    b: Any

    def __post_init__(self) -> None:
        self._set(**elman_parameters(self.W_rec, self.W_in, self.b, keeps_factors=False))
        self._finish()

    def _canonical(self) -> PiecewiseAffineForm:
        n, m = self.W_in.shape
        return PiecewiseAffineForm(
            np.zeros((n, n)), np.eye(n), self.W_rec, np.zeros(n), self.b, np.zeros((n, m)), self.W_in
        )

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        if a != 0 or b <= 0:
            return None  # b relu(x) = relu(b x) only for b > 0
        return replace(self, W_rec=b * self.W_rec, W_in=b * self.W_in, b=b * self.b, time=time)

"""Almost-linear RNN: few ReLU units, the rest linear."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.canonical import PiecewiseAffineForm
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import TimeBase
from retime.models.plrnn import recurrent_parameters


@dataclass(frozen=True, eq=False, repr=False)
class AlmostLinearRNN(PiecewiseAffineSystem):
    """Almost-linear network: the last P = `num_relu` units pass the ReLU, the first n - P are linear.

    z' = A z + W phi(z) + h + C s,   phi(z) = (z_1, ..., z_{n-P}, relu(z_{n-P+1}), ..., relu(z_n))

    z' is z_{k+1} (Discrete) or dz/dt (Continuous).

    Args:
        A: `(n, n)`, usually diagonal, or its diagonal `(n,)`. W: `(n, n)`. h: `(n,)`. C: `(n, m)` or None.
        num_relu: P, 0 <= P <= n. A weights file does not say which units are linear.
        time, readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, or `num_relu` is out of range.

    Source: brenner2024.
    """

    family: ClassVar[str] = "alrnn"

    A: Any
    W: Any
    h: Any
    C: Any = None
    _: KW_ONLY
    num_relu: int

    def __post_init__(self) -> None:
        A, W, h, C = recurrent_parameters(self.A, self.W, self.h, self.C)
        self._set(A=A, W=W, h=h, C=C, num_relu=relu_count(self.num_relu, len(h)))
        self._finish()

    def _canonical(self) -> PiecewiseAffineForm:
        return almost_linear_form(self.A, self.W, self.h, self.C, self.num_relu)

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        A = a * np.eye(self.num_states) + b * self.A
        return replace(self, A=A, W=b * self.W, h=b * self.h, C=b * self.C, time=time)


def relu_count(value: Any, num_states: int) -> int:
    """`num_relu` as an int in 0..n.

    Raises:
        ValueError: out of range or not a whole number.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not 0 <= value <= num_states:
        raise ValueError(
            f"`num_relu` is {value!r}; it must be a whole number from 0 to {num_states}, the number of units."
        )
    return int(value)


def almost_linear_form(A: np.ndarray, W: np.ndarray, h: np.ndarray, C: np.ndarray, P: int) -> PiecewiseAffineForm:
    """The canonical form with the last P units passing the ReLU."""
    n, m = C.shape
    linear = W.copy()
    linear[:, n - P :] = 0.0
    return PiecewiseAffineForm(A + linear, W[:, n - P :], np.eye(n)[n - P :], h, np.zeros(P), C, np.zeros((P, m)))

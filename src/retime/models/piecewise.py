"""The canonical form itself as a model: what the PLRNN families become when an operation leaves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import matrix, state_matrix, vector
from retime.core.canonical import PiecewiseAffineForm
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import TimeBase
from retime.models.relu import ReluRNN


@dataclass(frozen=True, eq=False, repr=False)
class PiecewiseAffineRNN(PiecewiseAffineSystem):
    """Piecewise-affine network in canonical form.

    z' = A z + W1 relu(W2 z + C2 s + h2) + C1 s + h1

    z' is z_{k+1} (Discrete) or dz/dt (Continuous). Every ReLU family is one of these.

    Args:
        A: `(n, n)`, or its diagonal `(n,)`. W1: `(n, q)`. W2: `(q, n)`. h1: `(n,)`. h2: `(q,)`.
        C1: `(n, m)`, C2: `(q, m)`; None for zero.
        time, readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.
    """

    family: ClassVar[str] = "piecewise_affine"

    A: Any
    W1: Any
    W2: Any
    h1: Any
    h2: Any
    C1: Any = None
    C2: Any = None

    def __post_init__(self) -> None:
        A = state_matrix("A", self.A)
        n = len(A)
        W1 = matrix("W1", self.W1, (n, None), f", one row per state ({n})")
        q = W1.shape[1]
        m = next((np.shape(C)[1] for C in (self.C1, self.C2) if np.ndim(C) == 2), 0)
        self._set(
            A=A,
            W1=W1,
            W2=matrix("W2", self.W2, (q, n), f", one row per ReLU unit ({q}), one column per state ({n})"),
            h1=vector("h1", self.h1, n, " one entry per state"),
            h2=vector("h2", self.h2, q, " one entry per ReLU unit"),
            C1=matrix("C1", np.zeros((n, m)) if self.C1 is None else self.C1, (n, m), " (states, inputs)"),
            C2=matrix("C2", np.zeros((q, m)) if self.C2 is None else self.C2, (q, m), " (ReLU units, inputs)"),
        )
        self._finish()

    @classmethod
    def of(cls, form: PiecewiseAffineForm, *, time: TimeBase, readout: Any = None) -> PiecewiseAffineRNN:
        """The model of a canonical form."""
        return cls(*[getattr(form, f.name) for f in fields(form)], time=time, readout=readout)

    def _canonical(self) -> PiecewiseAffineForm:
        return PiecewiseAffineForm(self.A, self.W1, self.W2, self.h1, self.h2, self.C1, self.C2)

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        return combined_form(self, a, b, time)


def combined(model: System, a: float, b: float, time: TimeBase, otherwise: Callable[[], System]) -> System:
    """The system with right-hand side a z + b F(z, s): of the model's family, in canonical form, else `otherwise()`.

    What Euler's method, its inverse and rescaling have in common.
    """
    own = model._combined(a, b, time)
    if own is None and isinstance(model, PiecewiseAffineSystem):
        return combined_form(model, a, b, time)
    return otherwise() if own is None else own


def combined_form(model: PiecewiseAffineSystem, a: float, b: float, time: TimeBase) -> PiecewiseAffineSystem:
    """a z + b F(z, s) of any piecewise-affine system, in canonical form; relu(W z + U s + h) alone is a ReluRNN."""
    f, n = model.canonical, model.num_states
    A, W1, common = a * np.eye(n) + b * f.A, b * f.W1, {"time": time, "readout": model.readout}
    rounding = 4 * np.finfo(float).eps
    is_elman = W1.shape == (n, n) and np.abs(A).max() <= rounding and np.abs(W1 - np.eye(n)).max() <= rounding
    if is_elman and not np.any(f.h1) and not np.any(f.C1):
        return ReluRNN(f.W2, f.C2, f.h2, **common)
    return PiecewiseAffineRNN(A, W1, f.W2, b * f.h1, f.h2, b * f.C1, f.C2, **common)

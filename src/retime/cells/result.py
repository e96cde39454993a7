"""What `ode_form` and `cell_stability` return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.certificate import Certificate
from retime.core.result import Result

BY_DEFINITION, FOUND, NONE_KNOWN = "by definition", "found", "none known"


@dataclass(frozen=True, eq=False, repr=False)
class ODEForm(Result):
    """A differential equation and a method whose step is the step of a cell.

    Attributes:
        cell: the method's step of the field, built anew; None where no form is known.
        field: the equation, a system in continuous time.
        method: the method object, as for `to_discrete`.
        n: stages of the method. t: order of the equation. 0 where no form is known.
        mark: "by definition" (its authors derived the cell so), "found" (by this project), "none known".
        residual: largest difference of the two steps per 1 + |z|, on random states and inputs; NaN where there is none.
        state_map: how the states of the cell and of the equation correspond.
        certify: the certificate, or the function that makes it.
        others: further forms of the same cell.
    """

    cell: Any
    field: Any
    method: Any
    n: int
    t: int
    mark: str
    residual: float
    state_map: str
    certify: Certificate | Callable[[], Certificate]
    others: Sequence[ODEForm] = ()

    @cached_property
    def certificate(self) -> Certificate:
        """The identity and the order that the method shows, measured when it is asked for."""
        return self.certify if isinstance(self.certify, Certificate) else self.certify()

    def _data(self) -> dict[str, Any]:
        named = {k: None if getattr(self, k) is None else repr(getattr(self, k)) for k in ("cell", "field", "method")}
        data = {k: v for k, v in super()._data().items() if k != "certify"}
        return data | named | {"certificate": self.certificate}

    @property
    def caption(self) -> str:
        """The form in one line."""
        return self._title()

    def _title(self) -> str:
        if self.field is None:
            return NONE_KNOWN
        return f"{self.method!r} of {type(self.field).__name__}, n = {self.n}, t = {self.t}, {self.mark}, residual {self.residual:.1e}"

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        forms = [f for f in (self, *self.others) if f.field is not None]
        rows = [
            [repr(f.method), type(f.field).__name__, str(f.n), str(f.t), f.mark, f"{f.residual:.1e}"] for f in forms
        ]
        return (["method", "field", "n", "t", "mark", "residual"], rows) if rows else ((), [])


@dataclass(frozen=True, eq=False, repr=False)
class CellStability(Result):
    """How a cell treats small differences of its state, and so the gradients that train it.

    Attributes:
        local: largest factor per step of a mode of the linearization `(k,)` at the states looked at: the spectral radius of the step; up to 1
            nothing grows.
        bound: a bound of the step's Jacobian in a norm, for every state and input where `is_global`, else at the states looked at: differences
            of two orbits under the same inputs grow at most by this factor per step.
        norm: the norm of `bound`: "1", "2" or "inf".
        is_global: whether `bound` holds everywhere.
        gradient: largest and smallest singular value of the product of Jacobians along an orbit, `(steps, 2)`.
        certificate: each of them as a condition.
    """

    _plot = "cell_stability"

    local: Array
    bound: float
    norm: str
    is_global: bool
    gradient: Array
    certificate: Certificate

    def _title(self) -> str:
        high, low = self.gradient[-1] if len(self.gradient) else (np.nan, np.nan)
        where = "everywhere" if self.is_global else "on the states looked at"
        return (
            f"largest factor per step {self.local.max():.4g}, bound {self.bound:.4g} in the {self.norm}-norm {where}, "
            f"gradients over {len(self.gradient)} steps {low:.3g} to {high:.3g}"
        )

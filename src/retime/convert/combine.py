"""a z + b F(z, s) in the family where it has one: what Euler's method, its inverse and rescaling have in common."""

from __future__ import annotations

from collections.abc import Callable

from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import TimeBase
from retime.models.piecewise import combined_form


def combined(model: System, a: float, b: float, time: TimeBase, otherwise: Callable[[], System]) -> System:
    """The system with right-hand side a z + b F(z, s): of the model's family, in canonical form, else `otherwise()`."""
    own = model._combined(a, b, time)
    if own is not None:
        return own
    if isinstance(model, PiecewiseAffineSystem):
        return combined_form(model, a, b, time)
    return otherwise()

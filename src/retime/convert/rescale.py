"""`rescale_time`: the same orbit, slower or faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np

from retime.convert.holds import Resampled
from retime.core.arguments import system
from retime.core.arrays import positive
from retime.core.equation import Equation
from retime.core.system import System
from retime.core.time import Continuous, Discrete
from retime.models import DerivedSystem, PiecewiseAffineFlow, RegionwiseMap
from retime.models.derived import DerivingMethod
from retime.models.piecewise import combined, combined_form
from retime.models.regionwise import OwnRegions


def rescale_time(model: System, factor: float) -> System:
    """Stretch time: the result follows the same orbit `factor` times as slowly.

    dz/dt = F(z, s)  becomes  dz/dt = F(z, s) / factor;  a map keeps F and takes dt * factor.

    Args:
        model: any system. Inputs that depend on time must be stretched with it.
        factor: a number > 0, dimensionless; 2.0 makes every time constant twice as long.

    Returns:
        A system of the same family where the family is closed under rescaling (all but vector fields and smooth cells used as fields), else a
        `DerivedSystem` made by `Stretch(factor)`.

    Valid when: always. A multistep map is started from z; the derivatives that its state carries besides z are smaller by the factor.

    Raises:
        ValueError: `factor` is not a positive finite number. TypeError: not a model.

    Source: caruso2023, section on rescaling; docs/theory/time.md.

    Examples:
        >>> import retime as rt
        >>> rt.rescale_time(rt.RateRNN([[0.5]], None, [0.1], tau=0.5), 2.0).tau
        1.0
    """
    model, factor = system("rescale_time", model), positive("factor", factor, "dimensionless")
    return _rescaled(model, factor)


@singledispatch
def _rescaled(model: System, factor: float) -> System:
    return _by_time(model.time, model, factor)


@_rescaled.register
def _(model: PiecewiseAffineFlow, factor: float) -> System:
    if isinstance(model.method, OwnRegions):
        return replace(model, map=combined_form(model.map, 0.0, 1.0 / factor, Discrete(model.dt * factor)))
    return replace(model, map=_rescaled(model.map, factor), method=_stretched(model.method, factor))


@_rescaled.register
def _(model: RegionwiseMap, factor: float) -> System:
    return RegionwiseMap(_rescaled(model.flow, factor))  # type: ignore[arg-type]


@singledispatch
def _by_time(time: Discrete, model: System, factor: float) -> System:
    return replace(_slowed(model, factor), time=Discrete(time.dt * factor))


@_by_time.register
def _(time: Continuous, model: System, factor: float) -> System:
    return combined(model, 0.0, 1.0 / factor, time, lambda: _stretch(model, factor))


@singledispatch
def _slowed(model: System, factor: float) -> System:
    """What a map was made of, slower."""
    return model


@_slowed.register
def _(model: DerivedSystem, factor: float) -> System:
    base, method = _rescaled(model.base, factor), model.method.slowed(factor)
    return replace(model, base=base, method=method, dt_used=model.dt_used * factor)


def _stretch(model: Any, factor: float) -> System:
    method = getattr(model, "method", None)
    if isinstance(method, Stretch):
        return _rescaled(model.base, method.factor * factor)
    return DerivedSystem(model, Stretch(factor), 1.0, time=Continuous())


@dataclass(frozen=True)
class Stretch(DerivingMethod):
    """dz/dt = F(z, s) / factor: what `rescale_time` makes of a vector field."""

    factor: float

    def equation(self, base: System, dt: float) -> Equation:
        """The slower field."""
        inner = base.equation
        return Equation(_Slower(inner.function), {"inner": inner.parameters, "factor": np.float64(self.factor)})


@dataclass(frozen=True)
class _Slower:
    inner: Callable[[Any, Any, Any, Any], Any]

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        return self.inner(xp, p["inner"], z, s) / p["factor"]


def _stretched(method: Any, factor: float) -> Any:
    """A method of regions for a map whose dt is stretched."""
    if isinstance(method, Resampled):
        return Resampled(_stretched(method.method, factor), method.dt * factor)
    return method

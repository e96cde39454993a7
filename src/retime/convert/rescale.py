"""`rescale_time`: the same orbit, slower or faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retime.convert.combine import combined
from retime.convert.embeddings import Embedding
from retime.convert.holds import Resampled
from retime.core.arrays import positive
from retime.core.equation import Equation
from retime.core.system import System
from retime.core.time import Continuous, Discrete
from retime.models import DerivedSystem, PiecewiseAffineFlow, RegionwiseMap
from retime.models.piecewise import combined_form
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
    """
    factor = positive("factor", factor, "dimensionless")
    if not isinstance(model, System):
        raise TypeError(f"`model` is {type(model).__name__}; rescale_time takes a retime model.")
    if isinstance(model, PiecewiseAffineFlow) and isinstance(model.method, OwnRegions):
        return replace(model, map=combined_form(model.map, 0.0, 1.0 / factor, Discrete(model.dt * factor)))
    if isinstance(model, PiecewiseAffineFlow):
        return replace(model, map=rescale_time(model.map, factor), method=_stretched(model.method, factor))
    if isinstance(model, RegionwiseMap):
        return RegionwiseMap(rescale_time(model.flow, factor))  # type: ignore[arg-type]
    if isinstance(model, DerivedSystem) and isinstance(model.time, Discrete):
        base, method = rescale_time(model.base, factor), model.method.slowed(factor)
        return replace(
            model, base=base, method=method, dt_used=model.dt_used * factor, time=Discrete(model.dt * factor)
        )
    if isinstance(model.time, Discrete):
        return replace(model, time=Discrete(model.time.dt * factor))
    return combined(model, 0.0, 1.0 / factor, Continuous(), lambda: _stretch(model, factor))


def _stretch(model: System, factor: float) -> System:
    if isinstance(model, DerivedSystem) and isinstance(model.method, Stretch):
        return rescale_time(model.base, model.method.factor * factor)
    return DerivedSystem(model, Stretch(factor), 1.0, time=Continuous())


@dataclass(frozen=True)
class Stretch(Embedding):
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

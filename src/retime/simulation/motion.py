"""How a system moves: the one place that asks of what kind it is. What verbs differ in by kind, they ask the motion.

`motion_of` returns one of six: `AffineSteps`, `SwitchedSteps`, `SmoothSteps` (maps), `HeldFlow` (regions and inputs held from sample to
sample; also the map that it is at its samples), `SwitchedFlow` (the region is read from the state), `SmoothFlow` (an ODE to be solved). To add
one, derive from `Motion` or `Steps` (moving.py), implement what is abstract, and name the capability that has it here: docs/extending.md.
"""

from __future__ import annotations

from retime.core.system import PiecewiseAffineSystem, SwitchedSystem, System
from retime.core.time import Discrete
from retime.models import PiecewiseAffineFlow, RegionwiseMap
from retime.simulation.flowing import SmoothFlow, SwitchedFlow, converted_regions, own_regions
from retime.simulation.moving import Motion, Steps
from retime.simulation.stepping import AffineSteps, HeldFlow, SmoothSteps, SwitchedSteps

__all__ = [
    "AffineSteps",
    "HeldFlow",
    "Motion",
    "SmoothFlow",
    "SmoothSteps",
    "Steps",
    "SwitchedFlow",
    "SwitchedSteps",
    "motion_of",
]


def motion_of(model: System, switching: str | None = None) -> Motion:
    """How a system moves.

    Args:
        model: any retime model.
        switching: "clock" or "state", of a converted flow; None is "clock".

    Raises:
        ValueError: another `switching`.
    """
    if switching not in (None, "clock", "state"):
        raise ValueError(
            f'`switching` is {switching!r}; it must be "clock" (region held for one step) or "state" (read from the state).'
        )
    is_map = isinstance(model.time, Discrete)
    if isinstance(model, PiecewiseAffineFlow):
        if switching == "state":
            return SwitchedFlow(model, converted_regions(model), model.dt)
        return HeldFlow(model, model)
    if isinstance(model, RegionwiseMap):
        return HeldFlow(model, model.flow)
    if isinstance(model, SwitchedSystem):
        return SwitchedSteps(model) if is_map else SwitchedFlow(model, own_regions(model.canonical))
    if isinstance(model, PiecewiseAffineSystem):
        return AffineSteps(model) if is_map else SwitchedFlow(model, own_regions(model.canonical))
    return SmoothSteps(model) if is_map else SmoothFlow(model)

"""How a system moves: the one place that asks of what kind it is. What verbs differ in by kind, they ask the motion.

`motion_of` returns one of six: `AffineSteps`, `SwitchedSteps`, `SmoothSteps` (maps), `HeldFlow` (regions and inputs held from sample to
sample; also the map that it is at its samples), `SwitchedFlow` (the region is read from the state), `SmoothFlow` (an ODE to be solved). To add
one, derive from `Motion` or `Steps` (moving.py), implement what is abstract, and name the capability that has it here: docs/extending.md.
"""

from __future__ import annotations

from typing import NamedTuple

from retime.core.canonical import PiecewiseAffineForm
from retime.core.system import PiecewiseAffineSystem, SwitchedSystem, System
from retime.core.time import Discrete
from retime.models import PiecewiseAffineFlow, RegionwiseMap
from retime.models.regionwise import OwnRegions
from retime.simulation.flowing import SmoothFlow, SwitchedFlow, converted_regions, own_regions
from retime.simulation.moving import Motion, Steps
from retime.simulation.stepping import AffineSteps, HeldFlow, SmoothSteps, SwitchedSteps

__all__ = [
    "AffineSteps",
    "HeldFlow",
    "Motion",
    "Shown",
    "SmoothFlow",
    "SmoothSteps",
    "Steps",
    "SwitchedFlow",
    "SwitchedSteps",
    "motion_of",
    "shown_regions",
]


class Shown(NamedTuple):
    """Regions that a system shows: affine maps or fields.

    Attributes:
        form: the canonical form.
        step: the time of one of its steps, None for fields. dt: the step of the system itself, None for flows.
        held: for a map made by holding regions of a flow, that flow: its multipliers are those of the held regions.
    """

    form: PiecewiseAffineForm
    step: float | None
    dt: float | None
    held: PiecewiseAffineFlow | None = None


def shown_regions(model: System) -> Shown | None:
    """The regions of a system that has a canonical form; None for smooth ones, and for those whose regions need not join."""
    dt = model.time.step
    if isinstance(model, PiecewiseAffineSystem):
        return Shown(model.canonical, dt, dt)
    if isinstance(model, RegionwiseMap):
        shown = shown_regions(model.flow)
        return None if shown is None else shown._replace(dt=model.dt, held=model.flow)
    if isinstance(model, PiecewiseAffineFlow):
        if isinstance(model.method, OwnRegions):  # a network in continuous time, whose regions are held for a step
            return Shown(model.canonical, None, None)
        step = getattr(model.method, "dt", model.dt)  # a resampled flow was made with the step of its own map
        return Shown(model.canonical, step, None, None if step == model.dt else model)
    return None


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

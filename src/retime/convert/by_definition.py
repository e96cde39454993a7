"""Maps that come with their equation: those that solve it, and those that step it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from retime.convert.measure import Probe, flow_over, relative_error
from retime.core.certificate import Certificate
from retime.core.conversion import Conversion
from retime.core.system import System
from retime.core.time import CONTINUOUS, Discrete

EXACT = 1e-9  # a one-step error per 1 + |z| that is that of the solver which measures it


def by_definition(model: System, look: Callable[[], Probe]) -> Conversion | None:
    """The equation of a map that names one, with what its solution is off by; None where the family names none."""
    solved = model.held(CONTINUOUS)
    if solved is not None:
        return Conversion(solved, partial(_certify_solved, model, solved, look()))
    field = model.integrated()
    return None if field is None else Conversion(field, partial(_certify_stepped, model, field, look()))


def _certify_solved(model: System, field: System, at: Probe) -> Certificate:
    """The map is the flow with the input held: measured by a solver, and by the way back."""
    wanted = model.apply(at.states, at.inputs)
    back = field.held(Discrete(model.dt))
    there = relative_error(back.apply(at.states, at.inputs), wanted) if back is not None else float("inf")
    got = flow_over(field, at.states, at.inputs, model.dt)
    error = relative_error(got.states, wanted)
    conditions = (
        at.condition("the way back gives the map", 1e-12 - there, f"1e-12 minus the error {there:.1e} on {at.words}"),
        at.condition(
            "a solver of the equation reaches the map", EXACT - error,
            f"{EXACT:.0e} minus the error {error:.1e} on {at.words}; known to {got.uncertainty:.1e}",
        ),
    )  # fmt: skip
    claim = "The map is the solution of the equation over one step with the input held, in closed form, for every step."
    headline = f"Exact at every sample time with the input held: one step is off by {there:.1e}."
    return Certificate(claim, "every initial state and held input", conditions, _SOURCE, headline)


def _certify_stepped(model: System, field: System, at: Probe) -> Certificate:
    """The map is a step of a method for the field: its solution is another map, how far off is measured."""
    got = flow_over(field, at.states, at.inputs, model.dt)
    error = relative_error(got.states, model.apply(at.states, at.inputs))
    known = np.isfinite(error)
    off = (
        f"off by {error:.2e} of the state per step ({at.words})"
        if known
        else "how far off was not measured: no solver settled on it"
    )
    detail = f"1e-9 minus the error {error:.1e} on {at.words}; known to {got.uncertainty:.1e}"
    condition = at.condition("the equation's solution over dt is the map", EXACT - error, detail, required=False)
    claim = f"The equation that the map steps, by its definition. Its solution over dt = {model.dt:.6g} is another map: {off}."
    size = f"is off by {error:.1e} of the state per step" if known else "was not measured"
    headline = f"The equation that the map is made from; its own solution {size}."
    return Certificate(
        claim, "the map: by definition; the solution: the states measured", (condition,), _SOURCE, headline
    )


_SOURCE = "docs/theory/cells.md"

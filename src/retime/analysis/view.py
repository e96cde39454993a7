"""How the analyses see a piecewise-affine system: a canonical form, what it describes, and how its eigenvalues read in model time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from retime.analysis.dust import tidy
from retime.core.arrays import Array, real_array
from retime.core.canonical import PiecewiseAffineForm
from retime.core.errors import ShapeError
from retime.core.system import System
from retime.core.time import TimeBase, time_of
from retime.models import PiecewiseAffineFlow
from retime.simulation.motion import shown_regions


class AffineView(NamedTuple):
    """Regions of a system as affine maps (z -> M z + c) or as affine fields (dz/dt = M z + c).

    Attributes:
        form: the canonical form.
        step: the time of one of its steps, None for fields.
        dt: the step of the system that is looked at, None for flows.
        held: for a map made by holding regions of a flow, that flow: its multipliers are those of the held regions.
    """

    form: PiecewiseAffineForm
    step: float | None
    dt: float | None
    held: PiecewiseAffineFlow | None = None

    @property
    def time(self) -> TimeBase:
        """The time base of the system that is looked at."""
        return time_of(self.dt)

    @property
    def form_time(self) -> TimeBase:
        """The time base of the form."""
        return time_of(self.step)

    @property
    def unit(self) -> float:
        """What a period of k steps is k times of: 1 where it counts steps, else their model time."""
        return 1 if self.dt is not None else float(self.step or 1.0)

    @property
    def is_map(self) -> bool:
        """Whether the form is a map."""
        return self.step is not None

    @property
    def is_iterated(self) -> bool:
        """Whether one step of the system at its samples is one step of the form."""
        return self.is_map if self.held is None else self.step == self.held.dt

    @property
    def is_iterated_form(self) -> bool:
        """Whether orbits of the system, near a fixed point, are those of the form: not so where regions are held for another step."""
        return self.held is None or self.is_iterated

    def at_rest(self, model: System) -> tuple[Any, TimeBase]:
        """What has the fixed points of the system, to `apply`, and its time base: the form, or the system where that holds other regions."""
        return (self.form, self.form_time) if self.held is None or self.dt is None else (model, self.time)

    def eigenvalues(self, patterns: Array) -> Array:
        """Spectra `(r, n)` of the regions `patterns` `(r, q)`: multipliers per step (maps) or rates (flows: 1 / model time, principal)."""
        if self.held is not None and self.dt is not None and not self.is_iterated:
            n = self.form.num_states
            M = np.array([r.transition[:, 1 : 1 + n] for r in self.held.convert(patterns)]).reshape(-1, n, n)
            return tidy(np.linalg.eigvals(M))
        return self.in_time(np.linalg.eigvals(self.form.regions(patterns).M))

    def in_time(self, w: Array) -> Array:
        """Eigenvalues of matrices of the form, as those of the system."""
        w, own, seen = np.asarray(w, dtype=complex), self.form_time, self.time
        return tidy(w if own.eigenvalue == seen.eigenvalue else seen.of_rates(own.rates(w)))


def affine_view(model: System) -> AffineView | None:
    """The view of a system that has a canonical form; None for smooth ones."""
    shown = shown_regions(model)
    return None if shown is None else AffineView(*shown)


def constant_input(model: System, inputs: Any) -> Array:
    """The constant input `(m,)`, zero when None.

    Raises:
        ShapeError: not m numbers.
    """
    if inputs is None:
        return np.zeros(model.num_inputs)
    s = real_array("inputs", inputs)
    if s.shape != (model.num_inputs,):
        raise ShapeError(
            f"`inputs` has shape {s.shape}; it must be ({model.num_inputs},): fixed points and cycles are those of one constant input."
        )
    return s


def time_constants(eigenvalues: Array, dt: float | None) -> Array:
    """-1 / rate in model time: > 0 of a decaying mode, < 0 of a growing one, inf of a neutral one, 0 of an infinite rate."""
    w = np.asarray(eigenvalues)
    with np.errstate(divide="ignore"):
        rate = time_of(dt).growth_rates(w)
        return np.where(np.isinf(rate), 0.0, np.where(rate == 0, np.inf, -1.0 / rate))

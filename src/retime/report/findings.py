"""What a page is about: a network, and whatever is known of it, each kind of result in its place."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np

from retime.analysis import (
    Basins,
    Comparison,
    ConversionReport,
    Cycle,
    Cycles,
    FixedPoint,
    FixedPoints,
    LyapunovSpectrum,
    VisitedRegions,
    analyze,
    conversion_report,
    visited_regions,
)
from retime.analysis.overview import Analysis
from retime.circuits import Circuit
from retime.convert import to_continuous
from retime.core.arrays import Array
from retime.core.certificate import Certificate
from retime.core.conversion import Conversion
from retime.core.errors import RetimeError
from retime.core.result import Result
from retime.core.system import System
from retime.core.trajectory import Trajectory
from retime.learn.result import Fit
from retime.report.extras import circuit_section, fit_section, result_section
from retime.report.html import Section
from retime.simulation.motion import motion_of

COMPARED = 1000  # steps over which a flow is compared with its map
MEASURED = ("orbit", "points", "cycles", "exponents", "regions", "basins", "conversion")


@dataclass
class Findings:
    """What is known of one network; a part that is None or empty has no place on the page.

    Attributes:
        model: the network. orbit: one orbit of it. points, cycles, exponents, regions, basins: results of the verbs.
        conversion: its flow, measured along the orbit. behavior: what the orbit does, a sentence's end. notes: what was left out, and why.
        claims: certificates with their headings. sections: everything else, ready for the page.
        has_network: whether a network was given, so that what is missing may be found out.
    """

    model: Any = None
    orbit: Trajectory | None = None
    points: FixedPoints | None = None
    cycles: Any = None
    exponents: LyapunovSpectrum | None = None
    regions: VisitedRegions | None = None
    basins: Basins | None = None
    conversion: ConversionReport | None = None
    comparisons: list[Comparison] = field(default_factory=list)
    behavior: str = ""
    notes: list[str] = field(default_factory=list)
    claims: list[tuple[str, Certificate]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    has_network: bool = False

    @property
    def inputs(self) -> Array:
        """The constant input `(m,)` of the analysis; zeros where none is known."""
        searched = None if self.points is None else self.points.searched
        m = 0 if self.model is None else self.model.num_inputs
        return searched.inputs if searched is not None and len(searched.inputs) == m else np.zeros(m)

    @property
    def is_analyzed(self) -> bool:
        """Whether a result about its dynamics is among what was given."""
        return any(getattr(self, name) is not None for name in MEASURED)

    def know(self, model: Any) -> None:
        """Remember which network this is about: the first one that is known."""
        if self.model is None and isinstance(model, System):
            self.model = model

    def add(self, section: Section) -> None:
        """One more section, under a name that no other has."""
        taken = {x.id for x in self.sections}
        name = next(x for x in (section.id, *(f"{section.id}-{k}" for k in range(2, 10**6))) if x not in taken)
        self.sections.append(Section(name, section.title, section.body, section.data))

    def look(self, z0: Any, **options: Any) -> None:
        """Analyze the network, and convert it, where nothing of the kind was given.

        Args:
            z0, options: of `analyze`.
        """
        if not self.has_network or self.is_analyzed:
            return
        collect(analyze(self.model, z0, **options), self)
        if options.get("inputs") is not None:
            self.notes.append("The input is held at the value given.")
        self._convert(options.get("inputs"))

    def _convert(self, inputs: Any) -> None:
        steps = COMPARED if self.orbit is None else min(COMPARED, len(self.orbit.times) - 1)
        start = None if self.orbit is None else self.orbit.states[0]
        if start is None or not steps or motion_of(self.model).clock.times:
            return
        if not self.model.takes_switching and getattr(self.model, "num_units", None) is None:
            self.notes.append(
                "It is a smooth map: in general no differential equation of its size has it as its flow, so none is claimed. "
                "`retime convert` measures an embedding."
            )
            return
        rows = None if inputs is None else np.tile(np.asarray(inputs, dtype=float), (steps, 1))
        try:
            self.conversion = conversion_report(self.model, start, steps=steps, inputs=rows)
        except TypeError:  # a linear system, which is converted as a whole
            with suppress(RetimeError, ValueError, TypeError):
                collect(to_continuous(self.model, throw=False), self)
        except (RetimeError, ValueError) as error:
            self.notes.append(f"It was not converted: {error}")


@singledispatch
def collect(thing: Any, found: Findings) -> None:
    """Put a result into its place; a kind that has none becomes a table. Register a kind to give it a section of its own.

    Raises:
        TypeError: not a network, a result, or a list of them.
    """
    if not isinstance(thing, Result):
        raise TypeError(
            f"`model_or_results` holds {thing!r}, a {type(thing).__name__}; it must be a network, a result of retime's verbs, or a list of them."
        )
    found.add(result_section(thing))


@collect.register
def _(thing: System, found: Findings) -> None:
    found.has_network = True
    found.know(getattr(thing, "map", thing) if thing.takes_switching else thing)


@collect.register(list)
@collect.register(tuple)
def _(thing: Any, found: Findings) -> None:
    for x in thing:
        collect(x, found)


@collect.register
def _(thing: Conversion, found: Findings) -> None:
    collect(thing.model, found)
    found.claims.append(("Conversion", thing.certificate))


@collect.register
def _(thing: Circuit, found: Findings) -> None:
    collect(thing.original, found)
    found.add(circuit_section(thing))
    found.claims.append(("Circuit", thing.certificate))


@collect.register
def _(thing: Fit, found: Findings) -> None:
    collect(thing.model, found)
    found.add(fit_section(thing))
    if thing.certificate is not None:
        found.claims.append(("Training", thing.certificate))


@collect.register
def _(thing: Analysis, found: Findings) -> None:
    for part in (thing.orbit, thing.fixed_points, thing.cycles, thing.exponents, thing.regions, thing.basins):
        if part is not None:
            collect(part, found)
    found.behavior = thing.behavior
    found.notes.extend(thing.notes)


@collect.register
def _(thing: FixedPoints, found: Findings) -> None:
    found.points = thing
    found.know(None if thing.searched is None else thing.searched.model)
    found.claims.append(("Fixed points", thing.certificate))


@collect.register
def _(thing: FixedPoint, found: Findings) -> None:
    found.add(result_section(thing))


@collect.register
def _(thing: Cycles, found: Findings) -> None:
    found.cycles = thing
    known = next((c.searched for c in thing if c.searched is not None), None)
    found.know(None if known is None else known.model)


@collect.register
def _(thing: Cycle, found: Findings) -> None:
    found.cycles = [*(found.cycles or []), thing]


@collect.register
def _(thing: LyapunovSpectrum, found: Findings) -> None:
    found.exponents = thing


@collect.register
def _(thing: VisitedRegions, found: Findings) -> None:
    found.regions = thing


@collect.register
def _(thing: Basins, found: Findings) -> None:
    found.basins = thing


@collect.register
def _(thing: Trajectory, found: Findings) -> None:
    if thing.is_batch or found.orbit is not None:
        found.add(result_section(thing))
        return
    found.orbit = thing
    if found.regions is None and thing.patterns.shape[-1]:
        found.regions = visited_regions(thing)


@collect.register
def _(thing: ConversionReport, found: Findings) -> None:
    found.conversion = thing
    found.know(thing.model)


@collect.register
def _(thing: Comparison, found: Findings) -> None:
    found.comparisons.append(thing)
    if found.orbit is None:
        collect(thing.reference, found)


@collect.register
def _(thing: Certificate, found: Findings) -> None:
    found.claims.append(("Certificate", thing))

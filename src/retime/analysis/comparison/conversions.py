"""`conversion_report`: a conversion measured along one orbit of its map, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retime.analysis.comparison.orbits import Comparison, compare
from retime.convert import to_continuous
from retime.core.arguments import one_start, system, whole
from retime.core.arrays import Array, real_array
from retime.core.certificate import Certificate
from retime.core.conversion import Conversion
from retime.core.distinct import distinct_rows
from retime.core.region import RegionFlow
from retime.core.rendering import paragraph, terminal_width, text_table
from retime.core.result import Result
from retime.core.start import spread
from retime.simulation import simulate

ENOUGH = 256  # states of the orbit that are told apart, at most


@dataclass(frozen=True, eq=False, repr=False)
class ConversionReport(Result):
    """A conversion measured along one orbit of the map: the regions it visits, and the errors under both switching rules.

    Attributes:
        model: the map. flow: its converted flow. certificate: of the conversion, with the orbit's regions.
        inputs: `(steps, m)`, None for none. steps: of the orbit, those before it diverged.
        status: how the orbit ended, in words.
        regions: those visited, as flows. visits: `(r,)`, steps spent in each.
        clock: the flow with regions held from sample to sample, compared with the map.
    """

    model: Any
    flow: Any
    certificate: Certificate
    inputs: Array | None
    steps: int
    status: str
    regions: Sequence[RegionFlow]
    visits: Array
    clock: Comparison

    @cached_property
    def state(self) -> Comparison:
        """The flow with regions read from the state, compared with the map: measured when it is first asked for, since it takes longest."""
        z0 = self.clock.reference.states[0]
        return compare(self.model, self.flow, z0, steps=self.steps, inputs=self.inputs, switching="state")

    @property
    def distinct_states(self) -> int:
        """How many of (at most 256 of) the orbit's states differ: one state, such as a fixed point, proves nothing."""
        return len(spread(self.clock.reference.states[:-1], ENOUGH))

    @property
    def holds(self) -> bool:
        """Whether the clock claim holds: certificate, and largest one-step error below 1e-9 of the state's size on several states."""
        is_small = self.clock.summary()["max_one_step_error_relative"] <= 1e-9
        return bool(self.certificate.holds and is_small and self.distinct_states > 1)

    @property
    def steps_raised(self) -> int:
        """Steps spent in regions with auxiliary states."""
        return sum(int(v) for r, v in zip(self.regions, self.visits, strict=True) if r.auxiliary)

    def statuses(self) -> dict[str, dict[str, Any]]:
        """Per status: regions, steps, worst residual, largest condition, most auxiliary states; mildest first."""
        pairs = sorted(zip(self.regions, self.visits.tolist(), strict=True), key=lambda p: p[0].status.severity)
        kinds = {str(r.status): [(x, v) for x, v in pairs if x.status is r.status] for r, _ in pairs}
        return {
            status: {
                "regions": len(those),
                "steps": sum(v for _, v in those),
                "worst_residual": max(r.residual for r, _ in those),
                "largest_condition": max(r.condition for r, _ in those),
                "auxiliary": max(r.auxiliary for r, _ in those),
            }
            for status, those in kinds.items()
        }

    @property
    def words(self) -> str:
        """What the numbers mean and what may be claimed, in paragraphs."""
        return f"{self.clock_words}\n\n{self.state_words}"

    @property
    def clock_words(self) -> str:
        """What the sample times tell: dimension, singular regions, the claim with held regions, other ODEs that fit."""
        parts = [_dimension(self), _singular(self), _time_varying(self), _claim_clock(self), _branches(self)]
        return "\n\n".join(paragraph(part) for part in parts if part)

    @property
    def state_words(self) -> str:
        """What may be claimed of the flow whose region is read from the state."""
        return paragraph(_claim_state(self.state))

    def errors(self) -> str:
        """Errors under both switching rules, and why one ended early, as text."""
        both = {"clock": self.clock, "state": self.state}
        kinds = {
            "one step, largest": "max_one_step_error",
            "one step, relative to the state": "max_one_step_error_relative",
            "one step, where no boundary is crossed": "max_one_step_error_without_crossing",
            "whole orbit, largest": "max_orbit_error",
        }
        rows = [[words, *(f"{c.summary()[key]:.2e}" for c in both.values())] for words, key in kinds.items()]
        table = text_table(["error against the map", *both], rows, width=terminal_width())
        return "\n".join([table, *(paragraph(f"{rule}: {c.message}") for rule, c in both.items() if c.message)])

    def _data(self) -> dict[str, Any]:
        rules = {"clock": self.clock, "state": self.state}
        return {
            "family": self.model.family,
            "states": self.model.num_states,
            "dt": self.model.dt,
            "steps": self.steps,
            "orbit_status": self.status,
            "distinct_states": self.distinct_states,
            "regions_visited": len(self.regions),
            "regions_possible": f"2^{self.model.num_units}",
            "statuses": self.statuses(),
            "steps_without_real_ode_of_same_dimension": self.steps_raised,
            **{k: c.summary() | {"status": str(c.status), "message": c.message} for k, c in rules.items()},
            "certificate": self.certificate,
            "holds": self.holds,
            "words": self.words,
        }

    def __str__(self) -> str:
        return f"{self._caption()}\n\n{text_table(*self._table(), width=terminal_width())}"

    def _caption(self) -> str:
        count = self.distinct_states
        states = "1 distinct state" if count == 1 else f"{'256 or more' if count == ENOUGH else count} distinct states"
        return f"{self.model!r}\n" + paragraph(
            f"Orbit: {self.steps} steps ({self.status}), {states}, {len(self.regions)} of 2^{self.model.num_units} regions visited, "
            f"{self.clock.summary()['switching_steps']} steps change region."
        )

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        rows = [
            [name, str(x["regions"]), str(x["steps"]), f"{100 * x['steps'] / self.steps:.1f}%", str(x["auxiliary"]),
             f"{x['worst_residual']:.1e}", f"{x['largest_condition']:.1e}"]
            for name, x in self.statuses().items()
        ]  # fmt: skip
        return ["status", "regions", "steps", "share", "auxiliary", "worst residual", "largest condition"], rows


def conversion_report(model: Any, z0: Any, *, steps: int, inputs: Any = None) -> ConversionReport:
    """Convert a piecewise-affine map along an orbit and say what may be claimed of its flow.

    Args:
        model: the map, or its `Conversion`.
        z0: `(n,)`, one initial state.
        steps: number of steps >= 1.
        inputs: `(steps, m)`, held over each step.

    Returns:
        ConversionReport: prints as a table of the regions by status; `.words` says what the numbers mean, `.errors()` is the table of errors.

    Raises:
        TypeError: not a map that is converted region by region. ShapeError: z0 is a batch. ValueError: steps < 1, or an orbit that
        leaves the range of finite numbers in its first step.

    Source: monfared2020; docs/theory/conversion.md.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.9, 0.8], [[0.0, -0.6], [0.7, 0.0]], [0.5, -0.3])
        >>> found = rt.conversion_report(rt.to_continuous(model), [1.0, 0.5], steps=50)
        >>> found.holds
        True
    """
    own = system("conversion_report", model, wanted="a piecewise-affine map, or its Conversion")
    is_given = isinstance(model, Conversion) and own.takes_switching
    conversion = model if is_given else to_continuous(own, throw=False)
    flow = conversion.model
    if not flow.takes_switching:
        raise TypeError(
            f"`model` is {type(own).__name__}; conversion_report takes a map that is converted region by region. What may be said of this "
            "conversion is its `.certificate`."
        )
    own, steps = flow.map, whole("steps", steps, 1)
    z = one_start("conversion_report", z0, own.num_states)
    orbit = simulate(own, z, steps=steps, inputs=inputs)
    good = int(np.isfinite(orbit.states).all(axis=1).sum()) - 1
    if good < 1:
        raise ValueError(
            f"The orbit leaves the range of finite numbers in its first step; start elsewhere. {orbit.message}"
        )
    rows = None if inputs is None else real_array("inputs", inputs)[:good]
    kinds = distinct_rows(orbit.patterns[:good])
    regions = flow.convert(orbit.patterns[kinds.first])
    clock = compare(own, flow, z, steps=good, inputs=rows, switching="clock")
    status = str(orbit.status) if good == steps else f"{orbit.status} after {good}"
    return ConversionReport(
        own, flow, conversion.certificate, rows, good, status, tuple(regions), np.asarray(kinds.counts), clock
    )


def _dimension(r: ConversionReport) -> str:
    n, share = r.model.num_states, 100 * r.steps_raised / r.steps
    if r.steps_raised == 0:
        return f"On every step the region has a real linear ODE in the network's own {n} dimensions."
    most = max(x.auxiliary for x in r.regions)
    aux = "1 auxiliary state" if most == 1 else f"up to {most} auxiliary states"
    return (
        f"On {r.steps_raised} of {r.steps} steps ({share:.1f} %) there is no real ODE of the same dimension ({n}): the region's matrix has "
        "a negative eigenvalue, so along one direction the state changes sign at every step, which no real linear flow in "
        f"{n} dimensions can do. What was done: {aux} added there. The direction that flips turns with it by half a turn per "
        "step; it starts at 0 and is 0 again at every sample time, so the network's own states arrive exactly. No imaginary "
        "part was dropped."
    )


def _singular(r: ConversionReport) -> str:
    row = r.statuses().get("regularized")
    if row is None:
        return ""
    bound = max(x.bound for x in r.regions)
    return (
        f"On {row['steps']} steps the region's matrix is singular: it forgets a direction in one step, which a flow does only in "
        f"the limit. There the zero eigenvalue is replaced by 2^-53, which changes a step by at most {bound:.1e} of the state."
    )


def _time_varying(r: ConversionReport) -> str:
    row = r.statuses().get("time_varying")
    if row is None:
        return ""
    return (
        f"On {row['steps']} steps no autonomous linear ODE exists at all (a nilpotent part of index > 1). That part is "
        "interpolated linearly in time over the step: correct at the sample times, but not an ODE. Do not claim one there."
    )


def _claim_clock(r: ConversionReport) -> str:
    s = r.clock.summary()
    if r.distinct_states < 2:
        return (
            "What you may claim: NOTHING from this orbit. It stays at one state, so the errors above were measured there only. Start "
            "elsewhere (another z0)."
        )
    if not r.holds:
        return (
            "What you may claim: NOT that the flow reproduces the map everywhere; see the certificate and the errors above "
            f"(largest one-step error {s['max_one_step_error_relative']:.1e} of the state's size)."
        )
    return (
        "What you may claim. Clock (region read at the sample times, held for one step): the flow equals the map at every sample "
        "time, for every initial state and every input held over each step. Measured here: largest one-step error "
        f"{s['max_one_step_error_relative']:.1e} of the state's size." + _amplified(s)
    )


def _amplified(s: dict[str, float]) -> str:
    if s["first_step_apart"] < 0:
        return f" Over the whole orbit: {s['max_orbit_error']:.1e}."
    return (
        f" The two orbits part after {s['first_step_apart']} steps, because this network amplifies rounding errors (as any "
        "chaotic one does): two computations of the map itself part in the same way."
    )


def _claim_state(c: Comparison) -> str:
    s = c.summary()
    head = "State (region read from the current state, an ordinary ODE with a field that jumps at boundaries): "
    if str(c.status) not in ("completed", "nonunique"):
        return head + f"{c.message}."
    return head + (
        f"equal to the map on steps that cross no boundary; on the {s['crossing_steps']} of {s['steps']} steps that cross one it is "
        f"an approximation, off by at most {s['max_one_step_error']:.2g} in one step here, and its orbit is off by up to "
        f"{s['max_orbit_error']:.2g}. Claim it per step, not for whole orbits."
    )


def _branches(r: ConversionReport) -> str:
    several = sum(not x.is_unique for x in r.regions)
    if several == 0:
        return "No other real ODE of the same dimension fits the same samples."
    return (
        f"In {several} of {len(r.regions)} regions other ODEs fit the same samples: frequencies above pi/dt = {np.pi / r.model.dt:.4g} cannot "
        "be told apart from slower ones at this step. That is a fact about the sampling, not about this conversion."
    )

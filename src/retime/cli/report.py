"""The report of `retime convert`: numbers, and the same in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import retime as rt
from retime.core.arrays import Array
from retime.core.distinct import distinct_rows
from retime.core.rendering import paragraph, terminal_width, text_table
from retime.core.start import spread


@dataclass(frozen=True)
class OrbitReport:
    """A conversion measured along one orbit of the map; `state`, the errors under state switching, is None until `with_state`."""

    model: Any
    flow: Any
    inputs: Array | None
    steps: int
    status: str
    regions: list[Any]
    visits: list[int]
    clock: Any
    certificate: Any
    state: Any = None

    def with_state(self) -> OrbitReport:
        """The report with the errors under state switching too: what takes longest, the first time seconds of compilation."""
        z0 = self.clock.reference.states[0]
        return replace(self, state=_compared(self.model, self.flow, z0, self.steps, self.inputs, "state"))

    @property
    def distinct_states(self) -> int:
        """How many of (at most 256 of) the orbit's states differ: one state, such as a fixed point, proves nothing."""
        return len(spread(self.clock.reference.states[:-1], 256))

    @property
    def holds(self) -> bool:
        """Whether the clock claim holds: certificate, and largest one-step error below 1e-9 of the state's size on several states."""
        is_small = self.clock.summary()["max_one_step_error_relative"] <= 1e-9
        return bool(self.certificate.holds and is_small and self.distinct_states > 1)

    @property
    def steps_raised(self) -> int:
        """Steps spent in regions with auxiliary states."""
        return sum(v for r, v in zip(self.regions, self.visits, strict=True) if r.auxiliary)

    def statuses(self) -> dict[str, dict[str, Any]]:
        """Per status: regions, steps, worst residual, largest condition, most auxiliary states; mildest first."""
        found: dict[str, dict[str, Any]] = {}
        pairs = sorted(zip(self.regions, self.visits, strict=True), key=lambda p: p[0].status.severity)
        for r, v in pairs:
            row = found.setdefault(
                str(r.status),
                {"regions": 0, "steps": 0, "worst_residual": 0.0, "largest_condition": 0.0, "auxiliary": 0},
            )
            row["regions"] += 1
            row["steps"] += v
            row["worst_residual"] = max(row["worst_residual"], r.residual)
            row["largest_condition"] = max(row["largest_condition"], r.condition)
            row["auxiliary"] = max(row["auxiliary"], r.auxiliary)
        return found

    def to_dict(self) -> dict[str, Any]:
        """The numbers of the printed tables."""
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
            "clock": self.clock.summary() | {"status": str(self.clock.status), "message": self.clock.message},
            "state": self.state.summary() | {"status": str(self.state.status), "message": self.state.message},
            "certificate": self.certificate.to_dict(),
            "holds": self.holds,
            "words": words(self),
        }

    def _visited(self) -> str:
        count = self.distinct_states
        return "1 distinct state" if count == 1 else f"{'256 or more' if count == 256 else count} distinct states"

    def table(self) -> str:
        """Family, regions and statuses as text."""
        total = max(sum(self.visits), 1)
        rows = [
            [
                name,
                str(row["regions"]),
                str(row["steps"]),
                f"{100 * row['steps'] / total:.1f}%",
                str(row["auxiliary"]),
                f"{row['worst_residual']:.1e}",
                f"{row['largest_condition']:.1e}",
            ]
            for name, row in self.statuses().items()
        ]
        header = ["status", "regions", "steps", "share", "auxiliary", "worst residual", "largest condition"]
        return "\n".join(
            [
                repr(self.model),
                paragraph(
                    f"Orbit: {self.steps} steps ({self.status}), {self._visited()}, {len(self.regions)} of 2^{self.model.num_units} "
                    f"regions visited, {self.clock.summary()['switching_steps']} steps change region."
                ),
                "",
                text_table(header, rows, width=terminal_width()),
            ]
        )

    def errors(self) -> str:
        """Errors under both switching rules, and why one ended early, as text."""
        clock, state = self.clock.summary(), self.state.summary()
        rows = [
            ["one step, largest", *(f"{s['max_one_step_error']:.2e}" for s in (clock, state))],
            ["one step, relative to the state", *(f"{s['max_one_step_error_relative']:.2e}" for s in (clock, state))],
            [
                "one step, where no boundary is crossed",
                *(f"{s['max_one_step_error_without_crossing']:.2e}" for s in (clock, state)),
            ],
            ["whole orbit, largest", *(f"{s['max_orbit_error']:.2e}" for s in (clock, state))],
        ]
        return "\n".join(
            [
                text_table(["error against the map", "clock", "state"], rows, width=terminal_width()),
                *[
                    paragraph(f"{rule}: {c.message}")
                    for rule, c in (("clock", self.clock), ("state", self.state))
                    if c.message
                ],
            ]
        )


def orbit_report(model: Any, conversion: Any, z0: Array, steps: int, inputs: Array | None) -> OrbitReport:
    """Visit regions along an orbit, convert them, compare the clock flow with the map."""
    orbit = rt.simulate(model, z0, steps=steps, inputs=inputs)
    good = int(np.isfinite(orbit.states).all(axis=1).sum()) - 1
    if good < 1:
        raise ValueError(
            f"The orbit leaves the range of finite numbers in its first step; start elsewhere (--z0). {orbit.message}"
        )
    rows = None if inputs is None else inputs[:good]
    kinds = distinct_rows(orbit.patterns[:good])
    regions = list(conversion.model.convert(orbit.patterns[kinds.first]))
    clock = _compared(model, conversion.model, z0, good, rows, "clock")
    status = str(orbit.status) if good == steps else f"{orbit.status} after {good}"
    visits = [int(c) for c in kinds.counts]
    return OrbitReport(model, conversion.model, rows, good, status, regions, visits, clock, conversion.certificate)


def _compared(model: Any, flow: Any, z0: Array, steps: int, inputs: Array | None, rule: str) -> Any:
    return rt.compare(model, flow, z0, steps=steps, inputs=inputs, switching=rule)


def words(r: OrbitReport) -> str:
    """What the numbers mean and what may be claimed; of state switching only once it was measured."""
    parts = [_dimension(r), _singular(r), _time_varying(r), _claim_clock(r), _branches(r)]
    parts += [] if r.state is None else [_claim_state(r)]
    return "\n\n".join(paragraph(part) for part in parts if part)


def state_words(r: OrbitReport) -> str:
    """What may be claimed of state switching."""
    return paragraph(_claim_state(r))


def _dimension(r: OrbitReport) -> str:
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


def _singular(r: OrbitReport) -> str:
    row = r.statuses().get("regularized")
    if row is None:
        return ""
    bound = max(x.bound for x in r.regions)
    return (
        f"On {row['steps']} steps the region's matrix is singular: it forgets a direction in one step, which a flow does only in "
        f"the limit. There the zero eigenvalue is replaced by 2^-53, which changes a step by at most {bound:.1e} of the state."
    )


def _time_varying(r: OrbitReport) -> str:
    row = r.statuses().get("time_varying")
    if row is None:
        return ""
    return (
        f"On {row['steps']} steps no autonomous linear ODE exists at all (a nilpotent part of index > 1). That part is "
        "interpolated linearly in time over the step: correct at the sample times, but not an ODE. Do not claim one there."
    )


def _claim_clock(r: OrbitReport) -> str:
    s = r.clock.summary()
    if r.distinct_states < 2:
        return (
            "What you may claim: NOTHING from this orbit. It stays at one state, so the errors above were measured there only. Start "
            "elsewhere (--z0)."
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


def _claim_state(r: OrbitReport) -> str:
    s = r.state.summary()
    head = "State (region read from the current state, an ordinary ODE with a field that jumps at boundaries): "
    if str(r.state.status) not in ("completed", "nonunique"):
        return head + f"{r.state.message}."
    return head + (
        f"equal to the map on steps that cross no boundary; on the {s['crossing_steps']} of {s['steps']} steps that cross one it is "
        f"an approximation, off by at most {s['max_one_step_error']:.2g} in one step here, and its orbit is off by up to "
        f"{s['max_orbit_error']:.2g}. Claim it per step, not for whole orbits."
    )


def _branches(r: OrbitReport) -> str:
    several = sum(not x.is_unique for x in r.regions)
    if several == 0:
        return "No other real ODE of the same dimension fits the same samples."
    return (
        f"In {several} of {len(r.regions)} regions other ODEs fit the same samples: frequencies above pi/dt = {np.pi / r.model.dt:.4g} cannot "
        "be told apart from slower ones at this step. That is a fact about the sampling, not about this conversion."
    )

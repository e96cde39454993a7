"""The clock of a sampled circuit: which switches are closed when, read from the pulses that drive them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from retime.circuits.elements import Element, Netlist, Pulse
from retime.core.errors import ModelFileError


class Phase(NamedTuple):
    """From `start` to `end` (seconds within a period) the switches `closed` are closed and all others open."""

    start: float
    end: float
    closed: frozenset[str]


@dataclass(frozen=True)
class Clock:
    """One period of a clock: `phases` from 0 to `period` (seconds); resistances (ohm) of each switch when closed and open."""

    period: float
    phases: tuple[Phase, ...]
    resistances: dict[str, tuple[float, float]]

    def switches(self, phase: Phase, *, ideal: bool) -> dict[str, float]:
        """The resistance of each switch in a phase; an open one has none in the ideal."""
        return {
            name: on if name in phase.closed else (float("inf") if ideal else off)
            for name, (on, off) in self.resistances.items()
        }


def clock_of(circuit: Netlist) -> Clock | None:
    """The clock of the switches of a circuit; None for a circuit without switches.

    Raises:
        ModelFileError: a switch that no pulse from ground drives, or pulses of different periods.
    """
    elements = list(circuit.flattened())
    switches = [e for e in elements if e.kind == "S"]
    if not switches:
        return None
    pulses = {e.nodes[0]: e.value.pulse for e in elements if e.kind == "V" and e.value.pulse and e.nodes[1] == "0"}
    closed: dict[str, tuple[float, float]] = {}
    period = 0.0
    for e in switches:
        pulse = pulses.get(e.nodes[2])
        if pulse is None or e.nodes[3] != "0":
            raise ModelFileError(
                f"line {e.line}: the switch {e.name} is not driven by a PULSE source to ground; no clock can be read."
            )
        if period and abs(pulse.period - period) > 1e-9 * period:
            raise ModelFileError(
                f"line {e.line}: the switch {e.name} has a period of {pulse.period:g} s, another {period:g} s."
            )
        period = pulse.period
        closed[e.name] = _closed(pulse, circuit.models[e.value].parameters, e)
    edges = sorted({0.0, period, *(t for span in closed.values() for t in span)})
    phases = [
        Phase(a, b, frozenset(n for n, (on, off) in closed.items() if on <= a and b <= off))
        for a, b in itertools.pairwise(edges)
        if b > a
    ]
    models = {e.name: circuit.models[e.value].parameters for e in switches}
    return Clock(period, tuple(phases), {n: (m.get("ron", 1.0), m.get("roff", 1e12)) for n, m in models.items()})


def _closed(pulse: Pulse, model: Mapping[str, float], e: Element) -> tuple[float, float]:
    """Between which times of a period the switch is closed: it closes above vt + vh and opens below vt - vh."""
    threshold, hysteresis = model.get("vt", 0.0), abs(model.get("vh", 0.0))
    span = pulse.high - pulse.low
    if not pulse.low < threshold - hysteresis <= threshold + hysteresis < pulse.high:
        raise ModelFileError(
            f"line {e.line}: the pulse of the switch {e.name} does not cross its threshold of {threshold:g} V upwards."
        )
    on = pulse.delay + (threshold + hysteresis - pulse.low) / span * pulse.rise
    off = pulse.delay + pulse.rise + pulse.width + (pulse.high - threshold + hysteresis) / span * pulse.fall
    if off > pulse.period:
        raise ModelFileError(f"line {e.line}: the pulse of the switch {e.name} lasts beyond its period.")
    return on, off

"""What may be said about a circuit: its equations by Kirchhoff's laws beside the model's, and the conditions of its parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retime.circuits.clock import clock_of
from retime.circuits.elements import Element, Netlist
from retime.circuits.form import NetworkForm
from retime.circuits.nodal import pairs_of
from retime.circuits.topologies.conductance import margins
from retime.core.certificate import Certificate, Condition

EXACT = 1e-12
"""Allowed difference of a coefficient, relative to the largest of its kind, where values are not rounded."""
FITTED = 0.01
"""Allowed besides where a stage of transistors is fitted by a tanh, to 1e-3 of its amplitude where it was adjusted."""
RECTIFIED, LEAKAGE = 1e-4, 5e-5
"""Allowed besides where stages of diodes are fitted by ReLUs, and the volts that their leakage adds to each."""


def certificate(circuit: Any) -> Certificate:
    """The certificate of a circuit."""
    difference = circuit.form.difference(circuit.derived.form)
    rounded = circuit.series is not None
    conditions = [
        _equations(difference, circuit),
        _positive(circuit.elements),
        *(_realizable(circuit.form, circuit.level != "ideal") if circuit.topology == "conductance" else []),
        *(_settling(circuit.elements) if circuit.topology == "sampled" else []),
        *circuit.level_conditions,
    ]
    kind = (
        "Each step of the clock is one step of the map"
        if circuit.topology == "sampled"
        else "The capacitor voltages obey the network's equations"
    )
    headline = f"{kind}: by Kirchhoff's laws of the netlist, coefficients equal the model's to {difference:.1e}."
    return Certificate(
        f"{kind}, 1 unit of state = {circuit.volts_per_unit:g} V, 1 unit of model time = {circuit.seconds_per_unit:g} s "
        f"(topology {circuit.topology}, level {circuit.level}{', values of ' + str(circuit.series) if rounded else ''}).",
        "all states and times while no voltage reaches a limit of its part"
        if circuit.level != "ideal"
        else "all states and times",
        conditions,
        "hopfield1984; caruso2023b; docs/theory/circuits.md",
        headline,
    )


def _equations(difference: float, circuit: Any) -> Condition:
    allowed = 3 * circuit.rounding or EXACT
    stages = {p.function for p in pairs_of(circuit.elements).values()}
    if "tanh" in stages:
        allowed += FITTED
    if "relu" in stages:
        allowed += RECTIFIED + circuit.form.num_functions * LEAKAGE / circuit.volts_per_unit
    detail = (
        f"{allowed:g} less the largest difference {difference:.3g} of a coefficient, relative to the largest of its matrix; derived from the "
        "text of the netlist by modified nodal analysis"
    )
    return Condition("equations from the netlist are the model's", difference <= allowed, allowed - difference, detail)


def _positive(netlist: Netlist) -> Condition:
    values = [e.value for e in netlist.flattened() if e.kind in "RC"]
    least = min(values, default=math.inf)
    return Condition("resistors and capacitors are positive", least > 0, least, "smallest value, ohm or farad")


def _realizable(form: NetworkForm, by_resistors: bool) -> list[Condition]:
    share = margins(form, by_resistors) / -np.diagonal(form.A)
    k = int(np.argmin(share))
    detail = f"1 - tau_i sum_j |w_ij|, least at unit {k + 1}; what is left of 1/R for the leak"
    return [Condition("leaks of Hopfield's form are positive", bool(share[k] > 0), float(share[k]), detail)]


def _settling(netlist: Netlist) -> list[Condition]:
    """How far voltages are from settled when a phase ends, and how much they droop until the next."""
    clock = clock_of(netlist)
    if clock is None:
        return []
    elements = list(netlist.flattened())
    held = {n: e.value for e in elements if e.kind == "C" for n in e.nodes}
    settling = droop = 0.0
    for e in (e for e in elements if e.kind == "S"):
        C, (on, off) = _largest(held, e), clock.resistances[e.name]
        length = sum(p.end - p.start for p in clock.phases if e.name in p.closed)
        settling, droop = max(settling, math.exp(-length / (on * C))), max(droop, clock.period / (off * C))
    return [
        Condition(
            "voltages settle within a phase",
            settling <= 1e-5,
            1e-5 - settling,
            f"1e-5 less exp(-T_on / (R_on C)) = {settling:.2g}",
        ),
        Condition("held voltages do not droop", droop <= 1e-5, 1e-5 - droop, f"1e-5 less T / (R_off C) = {droop:.2g}"),
    ]


def _largest(held: dict[str, float], e: Element) -> float:
    return max((held[n] for n in e.nodes[:2] if n in held), default=0.0)

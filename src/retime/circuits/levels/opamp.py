"""Blocks of op-amps, resistors and capacitors; nonlinearities are still behavioural sources."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retime.circuits.assembly import Assembly, Scale, Term
from retime.circuits.elements import Behaviour, Element, Note, Source, Subcircuit
from retime.circuits.expressions import parse_expression
from retime.circuits.form import NetworkForm
from retime.circuits.levels.ideal import Ideal
from retime.circuits.scaling import Ranges, check_resistor, part_scale, preferred, time_constants
from retime.core.certificate import Condition
from retime.core.time import Discrete

POLE_FARAD = 1e-9  # inside of the macro-model; any value will do


@dataclass(frozen=True)
class OpAmp:
    """Op-amps with finite gain, bandwidth, slew rate and rails; the defaults are those of a TL072 at +-15 V.

    Args:
        gain: open-loop gain, volts per volt. bandwidth: gain-bandwidth product, hertz. slew: volts per second. rail: largest output, volts.
        resistor_limits: smallest and largest resistor, ohm. series: preferred numbers of the resistors, None for exact values.
        swing: volts that the largest signal should have.
    """

    name: ClassVar[str] = "opamp"
    is_rounded: ClassVar[bool] = True

    gain: float = 2e5
    bandwidth: float = 3e6
    slew: float = 13e6
    rail: float = 13.5
    resistor_limits: tuple[float, float] = (1e3, 1e9)
    series: str | None = "E96"
    swing: float = 5.0

    def __post_init__(self) -> None:
        for name in ("gain", "bandwidth", "slew", "rail", "swing"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"`{name}` of an op-amp is {value!r}; it must be a number > 0.")
        preferred(1.0, self.series)

    def scale(
        self, form: NetworkForm, ranges: Ranges, volts: float | None, seconds: float | None, farad: float | None
    ) -> Scale:
        """Volts, seconds and the capacitor, where they are not given."""
        return part_scale(form, ranges, volts, seconds, farad, self.swing, self.resistor_limits)

    def conditions(self, form: NetworkForm, ranges: Ranges, scale: Scale) -> tuple[Condition, ...]:
        """What the op-amps must be able to do: static error, bandwidth, rails."""
        tau = time_constants(form)
        load = np.abs(form.W1).sum(axis=1) * tau
        if isinstance(form.time, Discrete):
            tau, load = np.full(len(tau), form.time.dt), np.abs(form.A).sum(axis=1) + np.abs(form.W1).sum(axis=1)
        k = int(np.argmax(load))
        ratio = 2 * math.pi * self.bandwidth * tau * scale.seconds / (1.0 + load)
        i = int(np.argmin(ratio))
        static = (1.0 + float(load[k])) / self.gain
        largest = ranges.largest * scale.volts
        return (
            Condition("op-amp gain suffices", static <= 1e-3, 1e-3 - static, f"1e-3 less (1 + sum |w|) / gain = {static:.2g}, unit {k + 1}"),
            Condition(
                "op-amp bandwidth suffices", bool(ratio[i] >= 10), float(ratio[i] - 10),
                f"2 pi GBW tau / (1 + sum |w|) = {ratio[i]:.4g} of unit {i + 1}, less 10; below that circuits were seen to fail",
            ),
            Condition("no output reaches its rail", largest < self.rail, self.rail - largest, f"volts left on orbits, of {self.rail:g}"),
        )  # fmt: skip

    def function(self, to: Assembly, activation: str, gain: float, name: str, source: str) -> str:
        """The nonlinearity as a behavioural source; the node of its value."""
        return Ideal().function(to, activation, gain, name, source)

    def inverted(self, to: Assembly, node: str) -> str:
        """The node of the negative of a voltage: an inverting amplifier, of the reference a source of its own."""
        if node not in to.inverses:
            out = to.inverses[node] = f"{node}n"
            if node == "ref":
                to.add("V", "refn", (out, "0"), Source(-to.scale.volts))
            else:
                self.amplifier(to, out, [Term(-1.0, node)])
        return to.inverses[node]

    def buffered(self, to: Assembly, node: str, out: str) -> str:
        """A follower."""
        to.add("X", f"a_{out}", (node, out, out), self.macro(to))
        return out

    def isolated(self, to: Assembly, out: str) -> str:
        """The node of a capacitor whose voltage V(out) is read, through a follower that draws no current from it."""
        return self.buffered(to, f"u_{out}", out) and f"u_{out}"

    def sum(self, to: Assembly, out: str, terms: Sequence[Term]) -> str:
        """V(out) = sum of weight V(node): an inverting summing amplifier of the inverted signals."""
        self.amplifier(to, out, [Term(-abs(t.weight), self.signed(to, t)) for t in terms])
        return out

    def output(self, to: Assembly, out: str, terms: Sequence[Term]) -> None:
        """A readout."""
        self.sum(to, out, terms)

    def signed(self, to: Assembly, t: Term) -> str:
        """The node that an inverting stage must be given for this weight."""
        return self.inverted(to, t.node) if t.weight > 0 else t.node

    def amplifier(self, to: Assembly, out: str, terms: Sequence[Term]) -> None:
        """V(out) = sum of weight V(node) for weights < 0."""
        feedback, virtual = to.scale.resistance_ohm, f"v_{out}"
        largest = max((abs(t.weight) for t in terms), default=1.0)
        if largest * 1e3 > feedback:
            feedback = self.value("feedback resistor", largest * 2e3)
        for t in terms:
            to.add(
                "R",
                f"{out}_{t.node}",
                (t.node, virtual),
                self.value(f"the resistor from {t.node} to {out}", feedback / abs(t.weight)),
            )
        to.add("R", f"fb_{out}", (out, virtual), feedback)
        to.add("X", f"a_{out}", ("0", virtual, out), self.macro(to))

    def integrator(self, to: Assembly, out: str, terms: Sequence[Term], leak: float) -> None:
        """dV(out)/dt = sum of weight V(node) - leak V(out): an inverting integrator of the inverted signals."""
        C, seconds, virtual = to.scale.capacitance_farad, to.scale.seconds, f"v_{out}"
        to.add("C", out, (out, virtual), C)
        if leak:
            to.add("R", f"leak_{out}", (out, virtual), self.value(f"the leak of {out}", seconds / (leak * C)))
        for t in terms:
            source = self.signed(to, t)
            ohm = self.value(f"the resistor from {t.node} to {out}", seconds / (C * abs(t.weight)))
            to.add("R", f"{out}_{t.node}", (source, virtual), ohm)
        to.add("X", f"a_{out}", ("0", virtual, out), self.macro(to))

    def value(self, name: str, ohm: float) -> float:
        """A resistor that can be bought."""
        check_resistor(name, ohm, self.resistor_limits)
        return preferred(ohm, self.series)

    def macro(self, to: Assembly) -> str:
        """The subcircuit of the op-amp: a limited transconductance (slew) into a pole (gain, bandwidth), and an output within the rails."""
        if "opamp" not in to.subcircuits:
            gm, most = 2 * math.pi * self.bandwidth * POLE_FARAD, self.slew * POLE_FARAD
            current = parse_expression(f"{most!r}*tanh({gm / most!r}*v(inp,inn))")
            out = parse_expression(f"max(min(v(p),{self.rail!r}),-{self.rail!r})")
            note = f"gain {self.gain:g}, gain-bandwidth {self.bandwidth:g} Hz, slew rate {self.slew:g} V/s, rails +-{self.rail:g} V"
            to.subcircuits["opamp"] = Subcircuit(
                ("inp", "inn", "out"),
                (
                    Note(note),
                    Element("B", "b1", ("0", "p"), Behaviour("i", current)),
                    Element("R", "r1", ("p", "0"), self.gain / gm),
                    Element("C", "c1", ("p", "0"), POLE_FARAD),
                    Element("B", "b2", ("out", "0"), Behaviour("v", out)),
                ),
            )
        return "opamp"

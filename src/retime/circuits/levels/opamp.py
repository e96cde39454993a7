"""Blocks of op-amps, resistors, capacitors and diodes; tanh, logistic and softplus are still behavioural sources."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retime.circuits.assembly import Assembly, Rounding, Scale, Term
from retime.circuits.elements import Behaviour, Element, Model, Note, Source, Subcircuit
from retime.circuits.expressions import parse_expression
from retime.circuits.form import NetworkForm
from retime.circuits.levels.ideal import Ideal
from retime.circuits.scaling import (
    Ranges,
    check_resistor,
    combined,
    largest_rounding,
    part_scale,
    preferred,
    time_constants,
)
from retime.core.certificate import Condition
from retime.core.time import Discrete

DIODE = {"is": 2.52e-9, "n": 1.752, "cjo": 4e-12}  # a 1N4148
POLE_FARAD = 1e-9  # inside of the macro-model; any value will do


def resistors(name: str, ends: tuple[str, str], ohms: Sequence[float]) -> list[Element]:
    """Resistors in series: `name`, then `name`_2 behind the node m_`name`."""
    middle = [f"m_{name}"] * (len(ohms) - 1)
    chain = [ends[0], *middle, ends[1]]
    names = [name, f"{name}_2"]
    return [Element("R", n, (a, b), ohm) for n, a, b, ohm in zip(names, chain, chain[1:], ohms, strict=False)]


@dataclass(frozen=True)
class OpAmp:
    """Op-amps with finite gain, bandwidth, slew rate and rails; the defaults are those of a TL072 at +-15 V.

    Args:
        gain: open-loop gain, volts per volt. bandwidth: gain-bandwidth product, hertz. slew: volts per second. rail: largest output, volts.
        resistor_limits: smallest and largest resistor, ohm. series: preferred numbers of the resistors, None for exact values.
        in_series: 2: a resistor that sets a gain is made of up to two of the series, one after the other; 1: of one.
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
    in_series: int = 2
    swing: float = 5.0

    def __post_init__(self) -> None:
        for name in ("gain", "bandwidth", "slew", "rail", "swing"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"`{name}` of an op-amp is {value!r}; it must be a number > 0.")
        preferred(1.0, self.series)
        if self.in_series not in (1, 2) or isinstance(self.in_series, bool):
            raise ValueError(f"`in_series` of an op-amp is {self.in_series!r}; it must be 1 or 2 resistors in series.")

    def scale(
        self, form: NetworkForm, ranges: Ranges, volts: float | None, seconds: float | None, farad: float | None
    ) -> Scale:
        """Volts, seconds and the capacitor, where they are not given."""
        return part_scale(form, ranges, volts, seconds, farad, self.swing, self.resistor_limits)

    def conditions(self, form: NetworkForm, ranges: Ranges, to: Assembly) -> tuple[Condition, ...]:
        """What the parts must be able to do: rounding, static error, bandwidth, rails."""
        scale = to.scale
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
            *self.rounding(to.roundings),
            Condition("op-amp gain suffices", static <= 1e-3, 1e-3 - static, f"1e-3 less (1 + sum |w|) / gain = {static:.2g}, unit {k + 1}"),
            Condition(
                "op-amp bandwidth suffices", bool(ratio[i] >= 10), float(ratio[i] - 10),
                f"2 pi GBW tau / (1 + sum |w|) = {ratio[i]:.4g} of unit {i + 1}, less 10; below that circuits were seen to fail",
            ),
            Condition("no output reaches its rail", largest < self.rail, self.rail - largest, f"volts left on orbits, of {self.rail:g}"),
        )  # fmt: skip

    def rounding(self, found: Sequence[Rounding]) -> tuple[Condition, ...]:
        """What rounding to preferred values costs."""
        if not found or self.series is None:
            return ()
        worst, limit = max(found, key=lambda r: r.error), largest_rounding(self.series, self.in_series)
        each = (
            f"{self.series} values, up to {self.in_series} in series"
            if self.in_series > 1
            else f"one {self.series} value each"
        )
        single = max(abs(preferred(r.wanted, self.series) / r.wanted - 1.0) for r in found)
        beside = (
            f"; of one value each {single:.2g}" if self.in_series > 1 else "; in_series=2 is a hundred times nearer"
        )
        detail = f"{limit:.2g} less the largest relative rounding {worst.error:.2g} of {len(found)} ({worst.what}), {each}{beside}"
        return (Condition("resistors are near what they should be", worst.error <= limit, limit - worst.error, detail),)

    def function(self, to: Assembly, activation: str, gain: float, name: str, source: str) -> str:
        """A ReLU as a precision rectifier, another nonlinearity as a behavioural source; the node of its value."""
        if activation != "relu":
            return Ideal().function(to, activation, gain, name, source)
        if "relu_rectifier" not in to.subcircuits:
            self.macro(to)
            to.models["diode1"] = Model("d", DIODE)
            to.subcircuits["relu_rectifier"] = self.rectifier(to, gain)
        to.add("X", f"f{name}", (source, f"y{name}"), "relu_rectifier")
        return f"y{name}"

    def rectifier(self, to: Assembly, gain: float) -> Subcircuit:
        """A precision rectifier: an inverting half-wave rectifier whose diodes are within the feedback, and an inverter."""
        R, parts = to.scale.resistance_ohm, self.parts(to.scale.resistance_ohm * gain)
        if self.series is not None:
            to.roundings.append(Rounding("the gain of the rectifiers", R * gain, parts))
        return Subcircuit(
            ("in", "out"),
            (
                Note(
                    f"V(out) = gain max(V(in), 0), gain = {gain!r}: V(d) = -V(out), the diodes are in the feedback of x1"
                ),
                Note("v3, v4: offset voltages of the op-amps"),
                Element("V", "v3", ("o1", "0"), Source(0.0)),
                Element("V", "v4", ("o2", "0"), Source(0.0)),
                Element("R", "r1", ("in", "n"), R),
                *resistors("r2", ("n", "d"), parts),
                Element("D", "d1", ("a", "n"), "diode1"),
                Element("D", "d2", ("d", "a"), "diode1"),
                Element("X", "x1", ("o1", "n", "a"), "opamp"),
                Element("R", "r3", ("d", "m"), R),
                Element("R", "r4", ("m", "out"), R),
                Element("X", "x2", ("o2", "m", "out"), "opamp"),
            ),
        )

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
        if largest * self.resistor_limits[0] > feedback:
            feedback = preferred(largest * 2.0 * self.resistor_limits[0], self.series)
            check_resistor("feedback resistor", feedback, self.resistor_limits)
        for t in terms:
            what = f"the resistor from {t.node} to {out}"
            self.resistor(to, f"{out}_{t.node}", (t.node, virtual), feedback / abs(t.weight), what)
        to.add("R", f"fb_{out}", (out, virtual), feedback)
        to.add("X", f"a_{out}", ("0", virtual, out), self.macro(to))

    def integrator(self, to: Assembly, out: str, terms: Sequence[Term], leak: float) -> None:
        """dV(out)/dt = sum of weight V(node) - leak V(out): an inverting integrator of the inverted signals."""
        C, seconds, virtual = to.scale.capacitance_farad, to.scale.seconds, f"v_{out}"
        to.add("C", out, (out, virtual), C)
        if leak:
            self.resistor(to, f"leak_{out}", (out, virtual), seconds / (leak * C), f"the leak of {out}")
        for t in terms:
            what, ohm = f"the resistor from {t.node} to {out}", seconds / (C * abs(t.weight))
            self.resistor(to, f"{out}_{t.node}", (self.signed(to, t), virtual), ohm, what)
        to.add("X", f"a_{out}", ("0", virtual, out), self.macro(to))

    def resistor(self, to: Assembly, name: str, ends: tuple[str, str], ohm: float, what: str) -> None:
        """A resistor of parts that can be bought: one of the series, or two one after the other."""
        check_resistor(what, ohm, self.resistor_limits)
        parts = self.parts(ohm)
        to.body.extend(resistors(f"r{name}", ends, parts))
        if self.series is not None:
            to.roundings.append(Rounding(what, ohm, parts))

    def parts(self, ohm: float) -> tuple[float, ...]:
        """The resistors in series that a value is made of."""
        return (ohm,) if self.series is None else combined(ohm, self.series, self.in_series)

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

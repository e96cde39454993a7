"""Blocks of controlled sources: what the equation says, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from retime.circuits.assembly import Assembly, Scale, Term
from retime.circuits.elements import Behaviour, Element, Note, Subcircuit
from retime.circuits.expressions import Expression, activation_of, number, volt
from retime.circuits.form import NetworkForm
from retime.circuits.scaling import Ranges, ideal_scale
from retime.core.certificate import Condition


@dataclass(frozen=True)
class Ideal:
    """Controlled sources: a transconductance per weight, one behavioural source per nonlinearity."""

    name: ClassVar[str] = "ideal"
    is_rounded: ClassVar[bool] = False
    series: ClassVar[None] = None

    def scale(
        self, form: NetworkForm, ranges: Ranges, volts: float | None, seconds: float | None, farad: float | None
    ) -> Scale:
        """Volts, seconds and the capacitor, where they are not given."""
        return ideal_scale(form, ranges, volts, seconds, farad)

    def conditions(self, form: NetworkForm, ranges: Ranges, to: Assembly) -> tuple[Condition, ...]:
        """Controlled sources have no limits."""
        return ()

    def function(self, to: Assembly, activation: str, gain: float, name: str, source: str) -> str:
        """volts f(gain V / volts) of a node; the node of its value."""
        to.add("X", f"f{name}", (source, f"y{name}"), self.behavioural(to, activation, gain))
        return f"y{name}"

    def behavioural(self, to: Assembly, activation: str, gain: float) -> str:
        """The subcircuit of a nonlinearity as a behavioural source."""
        block = activation if gain == 1.0 else f"{activation}_gain"
        if block not in to.subcircuits:
            volts = to.scale.volts
            body = Behaviour("v", behaviour(activation, gain, volts))
            note = Note(f"V(out) = u f(gain V(in) / u), f = {activation}, gain = {gain!r}, u = {volts!r} V")
            to.subcircuits[block] = Subcircuit(("in", "out"), (note, Element("B", "b1", ("out", "0"), body)))
        return block

    def inverted(self, to: Assembly, node: str) -> str:
        """The node of the negative of a voltage."""
        if node not in to.inverses:
            to.inverses[node] = f"{node}n"
            to.add("E", f"inv_{node}", (f"{node}n", "0", node, "0"), -1.0)
        return to.inverses[node]

    def buffered(self, to: Assembly, node: str, out: str) -> str:
        """The same voltage, from a source of its own."""
        to.add("E", f"buf_{out}", (out, "0", node, "0"), 1.0)
        return out

    def isolated(self, to: Assembly, out: str) -> str:
        """The node of a capacitor whose voltage V(out) is read: controlled sources draw no current, so it is `out` itself."""
        return out

    def resistor(self, to: Assembly, name: str, ends: tuple[str, str], ohm: float, what: str) -> None:
        """A resistor of any value; `what` is its name in messages."""
        to.add("R", name, ends, ohm)

    def sum(self, to: Assembly, out: str, terms: Sequence[Term]) -> str:
        """V(out) = sum of weight V(node): currents into a resistor."""
        R = to.scale.resistance_ohm
        to.add("R", f"sum_{out}", (out, "0"), R)
        for t in terms:
            to.add("G", f"{out}_{t.node}", ("0", out, t.node, "0"), t.weight / R)
        return out

    def integrator(self, to: Assembly, out: str, terms: Sequence[Term], leak: float) -> None:
        """C dV(out)/dt = sum of weight C V(node) - leak C V(out): currents into a capacitor."""
        C, seconds = to.scale.capacitance_farad, to.scale.seconds
        to.add("C", out, (out, "0"), C)
        if leak:
            to.add("R", out, (out, "0"), seconds / (leak * C))
        per_second = C / seconds
        to.body.extend(
            [Element("G", f"g{out}_{node}", ("0", out, node, "0"), per_second * weight) for weight, node in terms]
        )

    def output(self, to: Assembly, out: str, terms: Sequence[Term]) -> None:
        """A readout, V(out) = sum of weight V(node)."""
        self.sum(to, out, terms)


def behaviour(activation: str, gain: float, volts: float) -> Expression:
    """volts f(gain V(in) / volts); of a ReLU, which scales with its argument, gain max(V(in), 0)."""
    if activation == "relu":
        relu = activation_of("relu", volt("in"))
        return relu if gain == 1.0 else Expression("op", "*", (number(gain), relu))
    inner = volt("in")
    if gain != volts:
        inner = Expression("op", "*", (number(gain / volts), inner))
    f = activation_of(activation, inner)
    return f if volts == 1.0 else Expression("op", "*", (number(volts), f))

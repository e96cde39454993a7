"""tanh by a bipolar long-tailed pair; the rest as at the op-amp level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from retime.circuits.assembly import Assembly, Rounding
from retime.circuits.dc import pair_of
from retime.circuits.elements import NOMINAL, Element, Model, Netlist, Note, Source, Subcircuit
from retime.circuits.levels.opamp import OpAmp, resistors
from retime.circuits.scaling import preferred
from retime.core.errors import CertificateError

SUPPLY = 15.0
TAIL_AMPERE = 5e-4
BOTTOM, INNER = 100.0, 1e5  # ohm: the lower end of the divider; the input of the difference amplifier


@dataclass(frozen=True)
class Transistor(OpAmp):
    """Long-tailed pairs of npn transistors with a mirror for the tail: out = I R tanh(v / (2 Vt)), Vt = k T / q.

    Amplitude and slope are set by resistors so that the pair's own curve, base currents and Early effect included, is volts tanh(V/volts)
    at `design_celsius`. Its slope falls as 1 / T; the divider in front of it makes up for that where its lower resistor grows as T, as the
    resistors of +3300 ppm/K do that are sold for this.

    Args:
        current_gain: BF. early: VAF, volts. saturation: IS, ampere. design_celsius: where the pair is adjusted.
        tempco: of the divider's lower resistor, per kelvin; 0 for an ordinary one, whose pair is right at `design_celsius` only.
        The others are those of `OpAmp`.
    """

    name: ClassVar[str] = "transistor"

    current_gain: float = 200.0
    early: float = 100.0
    saturation: float = 1e-14
    design_celsius: float = NOMINAL
    tempco: float = 3.3e-3

    def function(self, to: Assembly, activation: str, gain: float, name: str, source: str) -> str:
        """A long-tailed pair for a tanh, a rectifier of diodes for a ReLU.

        Raises:
            CertificateError: another activation.
        """
        if activation == "relu":
            return super().function(to, activation, gain, name, source)
        if activation != "tanh":
            raise CertificateError(
                f"`activation` is {activation!r}; at the transistor level there are stages for tanh (the long-tailed pair) and relu (the "
                'rectifier). level="opamp" carries the others.'
            )
        if "tanh_pair" not in to.subcircuits:
            self.macro(to)
            to.models["npn1"] = Model("npn", {"is": self.saturation, "bf": self.current_gain, "vaf": self.early})
            self.adjust(to, gain)
        to.add("X", f"f{name}", (source, f"y{name}"), "tanh_pair")
        return f"y{name}"

    def adjust(self, to: Assembly, gain: float) -> None:
        """Set divider and output stage so that the pair's curve has the wanted amplitude and slope, with its other resistors rounded."""
        volts = to.scale.volts
        divider, ratio = 2e3, 0.5
        for _ in range(6):
            to.subcircuits["tanh_pair"] = self.stage((divider,), (ratio * INNER,))
            found = pair_of(self.netlist(to), "tanh_pair", self.design_celsius)
            divider = (divider + BOTTOM) * found.slope / (gain / volts) - BOTTOM
            ratio *= volts / found.amplitude
        if divider < 10.0:
            raise CertificateError(
                f"The pair saturates at {0.052 / gain:.3g} V; one unit is {volts:g} V, too little for a divider. Give `volts_per_unit` > 0.1."
            )
        values = {"the divider of the pairs": divider, "the gain of the pairs": ratio * INNER}
        parts = [self.parts(ohm) for ohm in values.values()]
        if self.series is not None:
            to.roundings += [Rounding(what, ohm, p) for (what, ohm), p in zip(values.items(), parts, strict=True)]
        to.subcircuits["tanh_pair"] = self.stage(*parts)

    def netlist(self, to: Assembly) -> Netlist:
        """The stages that are there."""
        return replace(to.finished("", {}), body=())

    def stage(self, divider: tuple[float, ...], gain: tuple[float, ...]) -> Subcircuit:
        """Divider (over a resistor that grows with the temperature), pair with mirror, difference amplifier with a gain."""
        beside = BOTTOM * sum(divider) / (BOTTOM + sum(divider))
        tail = (2 * SUPPLY - 0.65) / TAIL_AMPERE
        ohm = {"r2": BOTTOM, "r3": beside, "r4": 4.7e3, "r5": 4.7e3, "r6": INNER, "r7": INNER, "r10": tail}
        ends = {
            "r2": ("b1", "0"), "r3": ("b2", "o"), "r4": ("vp", "c1"), "r5": ("vp", "c2"), "r6": ("c1", "m"), "r7": ("c2", "q"),
            "r10": ("vp", "t"),
        }  # fmt: skip
        hot = {"r2": self.tempco, "r3": self.tempco}
        single = [
            Element("R", name, ends[name], preferred(ohm[name], self.series), 0, hot.get(name, 0.0)) for name in ohm
        ]
        parts = [
            Note("V(out) = a tanh(b V(in)): divider, long-tailed pair, mirror for its tail, difference amplifier"),
            Element("V", "v1", ("vp", "0"), Source(SUPPLY)),
            Element("V", "v2", ("vm", "0"), Source(-SUPPLY)),
            Note("v3: offset voltage of the pair; r2, r3 grow with the temperature as k T / q does"),
            Element("V", "v3", ("o", "0"), Source(0.0)),
            *resistors("r1", ("in", "b1"), divider),
            *single,
            *resistors("r8", ("m", "out"), gain),
            *resistors("r9", ("q", "0"), gain),
            Element("Q", "q1", ("c1", "b1", "e"), "npn1"),
            Element("Q", "q2", ("c2", "b2", "e"), "npn1"),
            Element("Q", "q3", ("e", "t", "vm"), "npn1"),
            Element("Q", "q4", ("t", "t", "vm"), "npn1"),
            Element("X", "x1", ("q", "m", "out"), "opamp"),
        ]
        return Subcircuit(("in", "out"), tuple(parts))

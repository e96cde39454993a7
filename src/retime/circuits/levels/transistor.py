"""tanh by a bipolar long-tailed pair; the rest as at the op-amp level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from retime.circuits.assembly import Assembly
from retime.circuits.dc import pair_of
from retime.circuits.elements import Element, Model, Netlist, Note, Source, Subcircuit
from retime.circuits.levels.opamp import OpAmp
from retime.circuits.scaling import preferred
from retime.core.errors import CertificateError

SUPPLY = 15.0
TAIL_AMPERE = 5e-4


@dataclass(frozen=True)
class Transistor(OpAmp):
    """Long-tailed pairs of npn transistors with a mirror for the tail: out = I R tanh(v / (2 Vt)), Vt = k T / q.

    Amplitude and slope are set by resistors so that the pair's own curve, base currents and Early effect included, is volts tanh(V/volts)
    at `design_celsius`. The slope falls as 1 / T.

    Args:
        current_gain: BF. early: VAF, volts. saturation: IS, ampere. design_celsius: where the pair is adjusted; and those of `OpAmp`.
    """

    name: ClassVar[str] = "transistor"

    current_gain: float = 200.0
    early: float = 100.0
    saturation: float = 1e-14
    design_celsius: float = 27.0

    def function(self, to: Assembly, activation: str, gain: float, name: str, source: str) -> str:
        """A long-tailed pair.

        Raises:
            CertificateError: another activation than tanh.
        """
        if activation != "tanh":
            raise CertificateError(
                f"`activation` is {activation!r}; at the transistor level there is a stage for tanh only (the long-tailed pair). "
                'level="opamp" carries the others.'
            )
        if "tanh_pair" not in to.subcircuits:
            self.macro(to)
            to.models["npn1"] = Model("npn", {"is": self.saturation, "bf": self.current_gain, "vaf": self.early})
            self.adjust(to, gain)
        to.add("X", f"f{name}", (source, f"y{name}"), "tanh_pair")
        return f"y{name}"

    def adjust(self, to: Assembly, gain: float) -> None:
        """Set divider and output stage so that the pair's curve has the wanted amplitude and slope; then round."""
        volts = to.scale.volts
        divider, ratio = 2e3, 0.5
        for _ in range(6):
            to.subcircuits["tanh_pair"] = self.stage(divider, ratio, None)
            found = pair_of(self.netlist(to), "tanh_pair", self.design_celsius)
            divider = (divider + 100.0) * found.slope / (gain / volts) - 100.0
            ratio *= volts / found.amplitude
        if divider < 10.0:
            raise CertificateError(
                f"The pair saturates at {0.052 / gain:.3g} V; one unit is {volts:g} V, too little for a divider. Give `volts_per_unit` > 0.1."
            )
        to.subcircuits["tanh_pair"] = self.stage(divider, ratio, self.series)
        if self.series is not None:
            self.trim(to, gain / volts, volts)

    def trim(self, to: Assembly, slope: float, amplitude: float) -> None:
        """Undo what rounding did to slope and amplitude: of the values around, the pairs of preferred ones with the best ratios."""
        found = pair_of(self.netlist(to), "tanh_pair", self.design_celsius)
        stage = to.subcircuits["tanh_pair"]
        r = {e.name: e.value for e in stage.elements if e.kind == "R"}
        near = [self.rounded(r["r2"] * f) for f in np.geomspace(0.85, 1.18, 13)]
        wanted = r["r2"] / (r["r1"] + r["r2"]) * slope / found.slope
        pairs = [(b, self.rounded(b / wanted - b)) for b in near]
        bottom, top = min(pairs, key=lambda p: abs(p[0] / (p[0] + p[1]) - wanted))
        wanted = r["r8"] / r["r10"] * amplitude / found.amplitude
        tails = [self.rounded(r["r10"] * f) for f in np.geomspace(0.85, 1.18, 13)]
        gain, tail = min(((self.rounded(wanted * t), t) for t in tails), key=lambda p: abs(p[0] / p[1] - wanted))
        values = {
            "r1": top,
            "r2": bottom,
            "r3": self.rounded(bottom * top / (bottom + top)),
            "r8": gain,
            "r9": gain,
            "r10": tail,
        }
        body = tuple(
            e._replace(value=values[e.name]) if isinstance(e, Element) and e.name in values else e for e in stage.body
        )
        to.subcircuits["tanh_pair"] = Subcircuit(stage.ports, body)

    def rounded(self, ohm: float) -> float:
        """The nearest value of the series."""
        return preferred(ohm, self.series)

    def netlist(self, to: Assembly) -> Netlist:
        """The stages that are there."""
        return replace(to.finished("", {}), body=())

    def stage(self, divider: float, ratio: float, series: str | None) -> Subcircuit:
        """Divider (+ 100 ohm), pair with mirror, difference amplifier with a gain."""
        bottom, collector, inner = 100.0, 4.7e3, 1e5
        ohm = {"r1": divider, "r6": inner, "r7": inner, "r8": ratio * inner, "r9": ratio * inner}
        ohm |= {"r2": bottom, "r3": bottom * divider / (bottom + divider), "r4": collector, "r5": collector}
        ohm["r10"] = (2 * SUPPLY - 0.65) / TAIL_AMPERE
        r = {name: preferred(value, series) for name, value in ohm.items()}
        ends = {
            "r1": ("in", "b1"), "r2": ("b1", "0"), "r3": ("b2", "o"), "r4": ("vp", "c1"), "r5": ("vp", "c2"),
            "r6": ("c1", "m"), "r7": ("c2", "q"), "r8": ("m", "out"), "r9": ("q", "0"), "r10": ("vp", "t"),
        }  # fmt: skip
        parts = [
            Note("V(out) = a tanh(b V(in)): divider, long-tailed pair, mirror for its tail, difference amplifier"),
            Element("V", "v1", ("vp", "0"), Source(SUPPLY)),
            Element("V", "v2", ("vm", "0"), Source(-SUPPLY)),
            Note("v3: offset voltage of the pair"),
            Element("V", "v3", ("o", "0"), Source(0.0)),
            *(Element("R", name, ends[name], r[name]) for name in ends),
            Element("Q", "q1", ("c1", "b1", "e"), "npn1"),
            Element("Q", "q2", ("c2", "b2", "e"), "npn1"),
            Element("Q", "q3", ("e", "t", "vm"), "npn1"),
            Element("Q", "q4", ("t", "t", "vm"), "npn1"),
            Element("X", "x1", ("q", "m", "out"), "opamp"),
        ]
        return Subcircuit(("in", "out"), tuple(parts))

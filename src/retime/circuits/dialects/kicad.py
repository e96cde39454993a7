"""KiCad's netlist (S-expressions, version E): components with their values and the pins on each net, for laying out a board.

Pins: 1 and 2 of two-terminal parts, + first; of controlled sources and switches 3 and 4 are the control; transistors C B E; op-amps + - OUT.
"""

from __future__ import annotations

from retime.circuits.dialects.ngspice import comment
from retime.circuits.elements import Element, Netlist
from retime.circuits.parts import components, part_value

PINS = {"Q": ("C", "B", "E"), "X": ("+", "-", "OUT")}
LIBRARY = {
    "R": "R",
    "C": "C",
    "Q": "Q_NPN_CBE",
    "D": "D",
    "X": "OPAMP",
    "V": "VDC",
    "I": "IDC",
    "E": "ESOURCE",
    "G": "GSOURCE",
    "B": "BSOURCE",
    "S": "SWITCH",
}


def written(circuit: Netlist) -> str:
    """The netlist; op-amps are parts, other subcircuits are written out."""
    elements = components(circuit)
    nets: dict[str, list[tuple[str, str]]] = {"0": []}
    for e in elements:
        for pin, node in zip(_pins(e), e.nodes, strict=True):
            nets.setdefault(node, []).append((_reference(e), pin))
    lines = ['(export (version "E")', f'  (design (source "{_quoted(comment(circuit.title))}"))', "  (components"]
    for e in elements:
        library = "OPAMP" if e.kind == "X" else LIBRARY[e.kind]
        lines.append(
            f'    (comp (ref "{_reference(e)}") (value "{_quoted(part_value(e))}") (libsource (lib "Device") (part "{library}")))'
        )
    lines += ["  )", "  (nets"]
    for code, (name, pins) in enumerate(nets.items()):
        nodes = " ".join(f'(node (ref "{ref}") (pin "{pin}"))' for ref, pin in pins)
        lines.append(f'    (net (code "{code}") (name "{"GND" if name == "0" else name}") {nodes})')
    return "\n".join([*lines, "  )", ")", ""])


def _pins(e: Element) -> tuple[str, ...]:
    return PINS.get(e.kind) or tuple(str(k + 1) for k in range(len(e.nodes)))


def _reference(e: Element) -> str:
    kind = "U" if e.kind == "X" else e.kind
    return f"{kind}_{e.name[1:].replace('.', '_')}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')

"""The parts list of a circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retime.circuits.elements import Element, Netlist, Source
from retime.circuits.stamps import is_opamp
from retime.core.result import Result

KINDS = {
    "R": ("resistor", "ohm"), "C": ("capacitor", "F"), "G": ("transconductor", "S"), "E": ("voltage amplifier", "V/V"), "B": ("function", ""),
    "S": ("switch", ""), "Q": ("transistor", ""), "D": ("diode", ""), "V": ("voltage source", "V"), "I": ("current source", "A"),
    "X": ("op-amp", ""),
}  # fmt: skip
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))


@dataclass(frozen=True)
class Part(Result):
    """Equal components: kind, value with its unit, how many, and the names of all."""

    kind: str
    value: str
    count: int
    names: tuple[str, ...]

    def _title(self) -> str:
        return f"{self.count} x {self.kind} {self.value}".rstrip()


@dataclass(frozen=True, eq=False, repr=False)
class BillOfMaterials(Result):
    """The components of a circuit, equal ones together; `to_csv` writes them.

    Attributes:
        parts: most used first within their kind.
    """

    parts: tuple[Part, ...]

    @property
    def num_components(self) -> int:
        """How many there are."""
        return sum(p.count for p in self.parts)

    def __iter__(self) -> Any:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def records(self) -> list[dict[str, Any]]:
        """One row per kind and value."""
        return [{"count": p.count, "kind": p.kind, "value": p.value, "names": " ".join(p.names)} for p in self.parts]

    def _columns(self) -> Sequence[str]:
        return "count", "kind", "value", "names"

    def _data(self) -> dict[str, Any]:
        return {"num_components": self.num_components, "parts": [p.to_dict() for p in self.parts]}

    def _title(self) -> str:
        return f"{self.num_components} components, {len(self.parts)} different ones"

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        rows = [[str(p.count), p.kind, p.value, _short(p.names)] for p in self.parts[:8]]
        return ["count", "kind", "value", "names"], rows + (
            [["...", "", "", f"{len(self.parts) - 8} more"]] if len(self.parts) > 8 else []
        )


def _short(names: tuple[str, ...]) -> str:
    return " ".join(names[:3]) + (" ..." if len(names) > 3 else "")


def parts_of(circuit: Netlist) -> BillOfMaterials:
    """Count the components: subcircuits are counted by what is in them, op-amps as one part."""
    groups: dict[tuple[str, str], list[str]] = {}
    for e in components(circuit):
        groups.setdefault((KINDS[e.kind][0], part_value(e)), []).append(e.name)
    order = {kind: k for k, (kind, _) in enumerate(KINDS.values())}
    parts = [Part(kind, value, len(names), tuple(names)) for (kind, value), names in groups.items()]
    return BillOfMaterials(tuple(sorted(parts, key=lambda p: (order[p.kind], -p.count))))


def components(circuit: Netlist) -> list[Element]:
    """The elements that are built: op-amps whole, other subcircuits written out, their offset voltages of 0 as ground."""
    opamps = {n for n, s in circuit.subcircuits.items() if is_opamp(n, s.ports)}
    elements = list(circuit.flattened(opamps))
    offsets = {e.name: e.nodes[0] for e in elements if "." in e.name and e.value == Source(0.0) and e.nodes[1] == "0"}
    grounded = {*offsets.values()}
    return [
        e._replace(nodes=tuple("0" if n in grounded else n for n in e.nodes)) for e in elements if e.name not in offsets
    ]


def part_value(e: Element) -> str:
    """The value of a component as a person reads it."""
    if isinstance(e.value, float):
        tempco = f", {1e6 * e.tempco:+g} ppm/K" if e.tempco else ""
        return with_prefix(e.value, KINDS[e.kind][1]) + tempco
    if e.kind in "VI":
        if e.value.pulse:
            return "pulse"
        return with_prefix(e.value.constant, KINDS[e.kind][1])
    return str(e.value.expression) if e.kind == "B" else str(e.value)


def with_prefix(value: float, unit: str) -> str:
    """A value with its unit: 4.7 kohm."""
    size = abs(value)
    factor, prefix = next(((f, p) for f, p in PREFIXES if size >= f * 0.9999999), (1.0, ""))
    return f"{value / factor:.6g} {prefix}{unit}"

"""A netlist in the making: what topologies and levels write into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from retime.circuits.elements import Element, Model, Netlist, Note, Source, Subcircuit
from retime.core.arrays import Array


class Scale(NamedTuple):
    """volts per unit of state, circuit seconds per unit of model time, farad of the capacitors, ohm of ordinary resistors."""

    volts: float
    seconds: float
    capacitance_farad: float
    resistance_ohm: float


class Term(NamedTuple):
    """A signal with its weight: of a sum dimensionless, of an integrator 1 / model time."""

    weight: float
    node: str


class Rounding(NamedTuple):
    """What a resistor should be and what it is: ohm, and the preferred values in series that it is made of."""

    what: str
    wanted: float
    values: tuple[float, ...]

    @property
    def error(self) -> float:
        """How far off, relative to what is wanted."""
        return abs(sum(self.values) / self.wanted - 1.0)


class Assembly:
    """Elements in order, subcircuits and models by name, and the nodes that were inverted already."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.body: list[Element | Note] = []
        self.subcircuits: dict[str, Subcircuit] = {}
        self.models: dict[str, Model] = {}
        self.inverses: dict[str, str] = {}
        self.has_reference = False
        self.roundings: list[Rounding] = []

    def note(self, text: str = "") -> None:
        """A line of comment."""
        self.body.append(Note(text))

    def add(self, kind: str, name: str, nodes: Sequence[str], value: Any) -> None:
        """One element; its name without the letter of its kind."""
        self.body.append(Element(kind, f"{kind.lower()}{name}", tuple(nodes), value))

    def terms(self, rows: Sequence[tuple[Array, Sequence[str]]]) -> list[Term]:
        """The terms that are not zero of weights beside the nodes that they weigh."""
        found: list[Term] = []
        for weights, nodes in rows:
            found += [Term(float(weights[j]), nodes[j]) for j in np.flatnonzero(weights).tolist()]
        return found

    def constant(self, value: float) -> list[Term]:
        """A constant as a multiple of the reference voltage."""
        if not value:
            return []
        self.has_reference = True
        return [Term(float(value), "ref")]

    def leak(self, rate: float, node: str) -> Term:
        """The term of a leak, for comments."""
        return Term(-float(rate), node)

    def finished(self, title: str, parameters: Mapping[str, float]) -> Netlist:
        """The netlist."""
        body = self.body
        if self.has_reference:
            head = [
                Note("one unit of state, of which offsets are multiples"),
                Element("V", "vref", ("ref", "0"), Source(self.scale.volts)),
            ]
            body = [*head, *body]
        return Netlist(title, tuple(body), self.subcircuits, self.models, parameters)


def told(left: str, terms: Sequence[Term], most: int = 6) -> str:
    """An equation in words, cut after some terms."""
    shown = " ".join(f"{t.weight:+.6g} {t.node}" for t in terms[:most])
    return f"{left} = {shown or '0'}{f' ... ({len(terms)} terms)' if len(terms) > most else ''}"

"""The one representation of a circuit: elements between nodes, subcircuits, device models. Netlists are written from it and read into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from retime.circuits.expressions import Expression

NOMINAL = 27.0  # degrees Celsius, at which values are given


class Element(NamedTuple):
    """One component.

    Attributes:
        kind: R, C, V, I, E (voltage-controlled voltage), G (voltage-controlled current), B (behavioural), S (switch), Q (bipolar
            transistor), D (diode), X (subcircuit).
        name: begins with its kind, unique in its circuit.
        nodes: as in SPICE: (+, -), and for E, G and S (+, -, control +, control -); Q (collector, base, emitter).
        value: ohm, farad, gain or siemens; a `Source` of V and I, a `Behaviour` of B, a name of a model (S, Q, D) or subcircuit (X).
        line: of the netlist that it was read from, 0 for none.
        tempco: of R, per kelvin: value (1 + tempco (celsius - 27)); 0 for other kinds.
    """

    kind: str
    name: str
    nodes: tuple[str, ...]
    value: Any
    line: int = 0
    tempco: float = 0.0

    def ohm(self, celsius: float) -> float:
        """The resistance at a temperature."""
        return self.value * (1.0 + self.tempco * (celsius - NOMINAL)) if self.tempco else self.value


class Behaviour(NamedTuple):
    """A behavioural source: its voltage ("v") or current ("i") is an expression of node voltages."""

    quantity: str
    expression: Expression


class Pulse(NamedTuple):
    """A periodic pulse, all times in seconds: low until delay, rises, stays high for width, falls, again after every period."""

    low: float
    high: float
    delay: float
    rise: float
    fall: float
    width: float
    period: float


class Source(NamedTuple):
    """An independent source: constant, a pulse, or points (seconds, value) joined by straight lines."""

    constant: float = 0.0
    pulse: Pulse | None = None
    points: tuple[tuple[float, float], ...] = ()


class Model(NamedTuple):
    """Parameters of a switch (`sw`), a transistor (`npn`, `pnp`) or a diode (`d`)."""

    kind: str
    parameters: Mapping[str, float]


class Note(NamedTuple):
    """A line of comment between elements."""

    text: str


@dataclass(frozen=True)
class Subcircuit:
    """A circuit with ports, used by X elements."""

    ports: tuple[str, ...]
    body: tuple[Element | Note, ...]

    @property
    def elements(self) -> list[Element]:
        """Its elements, without the comments."""
        return [e for e in self.body if isinstance(e, Element)]


@dataclass(frozen=True)
class Netlist:
    """A circuit.

    Attributes:
        title: the first line of the netlist.
        body: elements and comments, in order.
        subcircuits, models: by name. parameters: numbers by name (`volts_per_unit`, `seconds_per_unit`: how volts and seconds are read).
        initial: volts at t = 0 by node.
    """

    title: str
    body: tuple[Element | Note, ...]
    subcircuits: Mapping[str, Subcircuit] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=dict)
    initial: Mapping[str, float] = field(default_factory=dict)

    @property
    def elements(self) -> list[Element]:
        """Elements of the top level, without the comments."""
        return [e for e in self.body if isinstance(e, Element)]

    def with_values(self, values: Mapping[str, Any]) -> Netlist:
        """The same circuit with other values of elements of the top level, by name."""
        body = tuple(
            e._replace(value=values[e.name]) if isinstance(e, Element) and e.name in values else e for e in self.body
        )
        return replace(self, body=body)

    def flattened(self, keep: Iterable[str] = ()) -> Iterator[Element]:
        """All elements, those of subcircuits under the names `ELEMENT.INSTANCE` with nodes `INSTANCE.node`; X of the subcircuits `keep` stay."""
        yield from self._expanded(self.elements, "", {}, frozenset(keep))

    def _expanded(self, elements: list[Element], path: str, ports: Mapping[str, str], keep: frozenset[str]) -> Any:
        for e in elements:
            if not path and e.kind != "X":
                yield e
                continue
            nodes = e.nodes if not path else tuple(_node(n, path, ports) for n in e.nodes)
            if e.kind == "X" and e.value not in keep:
                inner = self.subcircuits[e.value]
                name = f"{path}{e.name.lower()}."
                yield from self._expanded(inner.elements, name, dict(zip(inner.ports, nodes, strict=True)), keep)
                continue
            value = e.value
            if path and isinstance(value, Behaviour):
                value = Behaviour(value.quantity, value.expression.renamed(lambda n: _node(n, path, ports)))
            yield e._replace(name=f"{e.name}.{path[:-1]}" if path else e.name, nodes=nodes, value=value)


def _node(name: str, path: str, ports: Mapping[str, str]) -> str:
    return "0" if name == "0" else ports.get(name, path + name)

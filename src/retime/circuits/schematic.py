"""Drawings of one neuron, and of a small network, as SVG (schemdraw)."""

from __future__ import annotations

from typing import Any

from retime.circuits.elements import Element
from retime.circuits.parts import part_value, with_prefix
from retime.core.arguments import whole
from retime.core.errors import MissingDependencyError

MOST_SYNAPSES = 4  # drawn of a neuron
MOST_UNITS = 4  # drawn of a network


def neuron(circuit: Any, unit: int) -> str:
    """The SVG of one unit (from 1): what flows into its capacitor, its leak, its nonlinearity.

    Raises:
        ValueError: no such unit.
    """
    if not 1 <= whole("unit", unit, 1) <= circuit.form.num_states:
        raise ValueError(f"`unit` is {unit}; the circuit has units 1 to {circuit.form.num_states}.")
    return _drawn([_parts(circuit, unit)], circuit, MOST_SYNAPSES)


def network(circuit: Any) -> str:
    """The SVG of the first units below each other; equal names are connected."""
    units = range(1, min(MOST_UNITS, circuit.form.num_states) + 1)
    return _drawn([_parts(circuit, k) for k in units], circuit, MOST_SYNAPSES)


def _parts(circuit: Any, unit: int) -> tuple[str, dict[str, Any]]:
    """The node of a unit's state with the elements at it."""
    state = circuit.state_nodes[unit - 1]
    elements = circuit.elements.elements
    names = circuit.state_names
    hub, stage = state, None
    capacitor = next(e for e in elements if e.name == names[unit - 1])
    if capacitor.nodes[1] != "0":  # an integrator around an op-amp: currents flow into its virtual ground
        hub = capacitor.nodes[1]
        stage = next((e for e in elements if e.kind == "X" and e.nodes[1] == hub), None)
    if circuit.topology == "sampled":
        hub = f"n{state[1:]}"
    resistors = _whole_resistors(elements)
    into = [e for e in resistors if hub in e.nodes and not {"0", state} & {*e.nodes} - {hub}]
    into += [e for e in elements if e.kind == "G" and e.nodes[1] == hub]
    leak = next((e for e in resistors if {*e.nodes} in ({state, "0"}, {state, hub}) and len({*e.nodes}) == 2), None)
    function = next(
        (e for e in elements if e.kind == "X" and e.nodes[0] == state and e is not stage and len(e.nodes) == 2), None
    )
    return state, {"hub": hub, "capacitor": capacitor, "leak": leak, "into": into, "stage": stage, "function": function}


def _drawn(units: list[tuple[str, dict[str, Any]]], circuit: Any, most: int) -> str:
    try:
        import schemdraw
    except ImportError:
        raise MissingDependencyError("schematics need schemdraw: pip install schemdraw") from None
    drawing = schemdraw.Drawing(canvas="svg", show=False)
    drawing.config(fontsize=11, unit=2.4)
    top = 0.0
    for state, parts in units:
        top = _unit(drawing, state, parts, circuit, top, most)
    return drawing.get_imagedata("svg").decode("utf-8")


def _unit(d: Any, state: str, parts: dict[str, Any], circuit: Any, top: float, most: int) -> float:
    """One unit; the height that the next may begin at."""
    import schemdraw.elements as elm
    from schemdraw import flow

    synapses = parts["into"][:most]
    rows = max(len(synapses), 1)
    for k, e in enumerate(synapses):
        y = top - 1.5 * k
        source, label = _source(e, parts["hub"]), _label(e)
        d += elm.Dot(open=True).at((0, y)).label(source, loc="left")
        kind = elm.ResistorIEC() if e.kind == "R" else elm.SourceControlledI()
        d += kind.at((0, y)).theta(0).length(2.6).label(label, fontsize=9, ofst=0.1)
        d += elm.Line().at((2.6, y)).to((3.0, y))
    if len(parts["into"]) > most:
        d += elm.Label().at((1.3, top - 1.5 * rows + 0.35)).label(f"... {len(parts['into']) - most} more", fontsize=9)
    d += elm.Line().at((3.0, top)).to((3.0, top - 1.5 * (rows - 1)))
    _heart(d, elm, flow, parts, circuit, top, state)
    return top - max(1.5 * rows, 2.6) - 1.0


def _heart(d: Any, elm: Any, flow: Any, parts: dict[str, Any], circuit: Any, top: float, state: str) -> None:
    """Capacitor, leak, op-amp or switches, and the nonlinearity."""
    capacitor, leak = parts["capacitor"], parts["leak"]
    if parts["stage"] is not None:
        d += (amp := elm.Opamp(leads=False).theta(0).at((4.2, top)).anchor("in1"))
        d += elm.Line().at((3.0, top)).to(amp.in1)
        d += elm.Line().at(amp.in2).left(0.4)
        d += elm.Ground()
        over = [(capacitor, elm.Capacitor, 1.3)] + ([(leak, elm.ResistorIEC, 2.3)] if leak else [])
        for e, kind, height in over:
            d += elm.Line().at((3.6, top)).to((3.6, top + height))
            d += kind().at((3.6, top + height)).to((amp.out.x + 0.4, top + height)).label(_label(e), fontsize=9)
            d += elm.Line().at((amp.out.x + 0.4, top + height)).to((amp.out.x + 0.4, amp.out.y))
        x, y = float(amp.out.x) + 0.4, float(amp.out.y)
        d += elm.Line().at(amp.out).to((x, y))
    else:
        d += elm.Line().at((3.0, top)).to((7.2, top))
        below = [(capacitor, elm.Capacitor, 5.7)] + ([(leak, elm.ResistorIEC, 3.8)] if leak else [])
        if circuit.topology == "sampled":
            d += elm.Switch().at((3.0, top)).to((5.0, top)).label("clock 1, hold, clock 2", fontsize=9)
        for e, kind, x in below:
            d += kind().at((x, top)).to((x, top - 1.6)).label(_label(e), loc="bottom", fontsize=9)
            d += elm.Ground()
        x, y = 7.2, top
    d += elm.Dot().at((x, y)).label(state, loc="bottom" if parts["stage"] is not None else "top")
    if parts["function"] is not None:
        d += (
            box := flow.Box(w=1.8, h=1.0)
            .at((x + 0.6, y))
            .anchor("W")
            .label(_function(circuit, parts["function"]), fontsize=10)
        )
        d += elm.Line().at((x, y)).to((x + 0.6, y))
        d += elm.Line().at(box.E).right(0.6)
        d += elm.Dot(open=True).label(parts["function"].nodes[1], loc="right")


def _source(e: Element, hub: str) -> str:
    return e.nodes[2] if e.kind == "G" else next(n for n in e.nodes if n != hub)


def _label(e: Element) -> str:
    return " + ".join(with_prefix(x, "ohm") for x in e.value) if isinstance(e.value, tuple) else part_value(e)


def _whole_resistors(elements: list[Element]) -> list[Element]:
    """Resistors, two in series as one whose value is both."""
    found = {e.name: e for e in elements if e.kind == "R"}
    for name, e in list(found.items()):
        second = found.get(f"{name}_2")
        if second is not None and e.nodes[1] == second.nodes[0] == f"m_{name}":
            found[name] = e._replace(nodes=(e.nodes[0], second.nodes[1]), value=(e.value, second.value))
            del found[second.name]
    return list(found.values())


def _function(circuit: Any, e: Element) -> str:
    return str(e.value).replace("_", " ") if circuit.level != "ideal" else circuit.form.activation

"""Verilog-A: one module, a contribution per element, every subcircuit written out; for simulators that compile it."""

from __future__ import annotations

import re
from itertools import pairwise

from retime.circuits.dc import BOLTZMANN_PER_CHARGE, celsius_of, saturation_current
from retime.circuits.dialects.ngspice import comment
from retime.circuits.elements import Behaviour, Element, Netlist, Pulse, Source
from retime.circuits.expressions import Expression

NAMES = {"log": "ln", "uramp": "relu", "u": "heaviside", "sgn": "sign"}
HELPERS = {
    "relu": "(({0}) > 0 ? ({0}) : 0.0)",
    "heaviside": "(({0}) > 0 ? 1.0 : 0.0)",
    "sign": "(({0}) > 0 ? 1.0 : (({0}) < 0 ? -1.0 : 0.0))",
}


def written(circuit: Netlist) -> str:
    """The module; its ports are the inputs (s1, ...) and the states (x1, ...)."""
    elements = list(circuit.flattened())
    nodes = sorted({_node(n) for e in elements for n in e.nodes if n != "0"}, key=_natural)
    ports = [n for n in nodes if re.fullmatch(r"[sx]\d+", n)]
    laws = [line for e in elements for line in _law(e, circuit)]
    return "\n".join(
        [
            f"// {comment(circuit.title)}",
            *(f"// {name} = {value!r}" for name, value in circuit.parameters.items()),
            '`include "disciplines.vams"',
            "",
            f"module network({', '.join(ports)});",
            *([f"  inout {', '.join(ports)};"] if ports else []),
            f"  electrical {', '.join(nodes)};",
            "  analog begin",
            *(f"    {line}" for line in laws),
            "  end",
            "endmodule",
            "",
        ]
    )


def _natural(name: str) -> tuple[str, int, str]:
    found = re.match(r"([a-z]+)(\d*)", name)
    return (found[1], int(found[2] or 0), name) if found else (name, 0, name)


def _node(name: str) -> str:
    plain = name.replace(".", "_")
    return plain if plain[0].isalpha() else f"n{plain}"


def _across(plus: str, minus: str) -> str:
    if plus == "0":
        return f"(-V({_node(minus)}))" if minus != "0" else "0.0"
    return f"V({_node(plus)})" if minus == "0" else f"V({_node(plus)}, {_node(minus)})"


def _contribution(kind: str, e: Element, value: str) -> str:
    plus, minus = e.nodes[:2]
    if plus == "0":
        return f"{kind}({_node(minus)}) <+ -({value});"
    at = _node(plus) if minus == "0" else f"{_node(plus)}, {_node(minus)}"
    return f"{kind}({at}) <+ {value};"


def _law(e: Element, circuit: Netlist) -> list[str]:
    if e.kind in "VI" and e.name[1:3] == "in":
        return []  # an input is a port
    if e.kind == "Q":
        return _transistor(e, circuit)
    voltage = e.kind in "VE" or (isinstance(e.value, Behaviour) and e.value.quantity == "v")
    return [f"{_contribution('V' if voltage else 'I', e, _value(e, circuit))} // {e.name}"]


def _value(e: Element, circuit: Netlist) -> str:
    own = _across(e.nodes[0], e.nodes[1])
    if e.kind == "R":
        return f"{own} / {e.ohm(celsius_of(circuit.parameters))!r}"
    if e.kind == "C":
        return f"{e.value!r} * ddt({own})"
    if e.kind in "GE":
        return f"{e.value!r} * {_across(e.nodes[2], e.nodes[3])}"
    if isinstance(e.value, Behaviour):
        return _expression(e.value.expression)
    if isinstance(e.value, Source):
        return _source(e.value)
    model = circuit.models[e.value]
    p, celsius = model.parameters, celsius_of(circuit.parameters)
    if e.kind == "S":
        closed = f"{_across(e.nodes[2], e.nodes[3])} > {p.get('vt', 0.0)!r}"
        return f"{own} / ({closed} ? {p.get('ron', 1.0)!r} : {p.get('roff', 1e12)!r})"
    thermal = p.get("n", 1.0) * BOLTZMANN_PER_CHARGE * (celsius + 273.15)
    return f"{saturation_current(model, celsius)!r} * (limexp({own} / {thermal!r}) - 1.0)"


def _source(s: Source) -> str:
    if s.pulse:
        return _pulse(s.pulse)
    return _points(s.points) if s.points else repr(s.constant)


def _points(points: tuple[tuple[float, float], ...]) -> str:
    """Straight lines from point to point, the first and the last value held outside of them: a sum of ramps."""
    ramps = [
        f"{(b - a) / (t1 - t0)!r} * (min(max($abstime, {t0!r}), {t1!r}) - {t0!r})"
        for (t0, a), (t1, b) in pairwise(points)
        if a != b
    ]
    return " + ".join([repr(points[0][1]), *ramps])


def _pulse(p: Pulse) -> str:
    phase = f"($abstime - {p.period!r} * floor($abstime / {p.period!r}))"
    high = f"({phase} >= {p.delay!r} && {phase} < {p.delay + p.rise + p.width!r})"
    return f"transition({high} ? {p.high!r} : {p.low!r}, 0.0, {p.rise!r}, {p.fall!r})"


def _expression(x: Expression) -> str:
    if x.kind == "num":
        return repr(x.value) if x.value >= 0 else f"({x.value!r})"
    if x.kind == "volt":
        return _across(*x.value)
    parts = [_expression(p) for p in x.parts]
    if x.kind == "call":
        name = NAMES.get(x.value, x.value)
        return HELPERS[name].format(parts[0]) if name in HELPERS else f"{name}({', '.join(parts)})"
    if x.value == "^":
        return f"pow({parts[0]}, {parts[1]})"
    return f"({parts[0]} {x.value} {parts[1]})" if len(parts) == 2 else f"(-{parts[0]})"


def _transistor(e: Element, circuit: Netlist) -> list[str]:
    """Ebers and Moll's transport equations at the netlist's temperature."""
    model = circuit.models[e.value]
    p, celsius = model.parameters, celsius_of(circuit.parameters)
    sign = 1.0 if model.kind == "npn" else -1.0
    c, b, emitter = e.nodes
    thermal = sign * BOLTZMANN_PER_CHARGE * (celsius + 273.15)
    IS = f"{saturation_current(model, celsius)!r}"
    be, bc = (f"(limexp({_across(b, other)} / {thermal!r}) - 1.0)" for other in (emitter, c))
    early = f"(1.0 - {sign!r} * {_across(b, c)} / {p['vaf']!r})" if "vaf" in p else "1.0"
    bf, br = p.get("bf", 100.0), p.get("br", 1.0)
    ic = f"{sign!r} * {IS} * (({be} - {bc}) * {early} - {bc} / {br!r})"
    ib = f"{sign!r} * {IS} * ({be} / {bf!r} + {bc} / {br!r})"
    collector, base = Element("I", e.name, (c, emitter), None), Element("I", e.name, (b, emitter), None)
    return [
        f"{_contribution('I', collector, ic)} // {e.name} collector",
        f"{_contribution('I', base, ib)} // {e.name} base",
    ]

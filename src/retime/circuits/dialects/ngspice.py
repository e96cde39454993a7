"""The syntax of SPICE as ngspice and neospice read it, and our own reader. Values have 17 digits."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from retime.circuits.elements import Behaviour, Element, Netlist, Note, Source


def written(circuit: Netlist, *, directives: Iterable[str] = ()) -> str:
    """The netlist, with `directives` before its end."""
    lines = [f"* {comment(circuit.title)}"]
    if circuit.parameters:
        lines += [f".param {name}={value!r}" for name, value in circuit.parameters.items()]
    for name, inner in circuit.subcircuits.items():
        lines += ["", f".subckt {name} {' '.join(inner.ports)}"]
        lines += [line for part in inner.body for line in _part(part)]
        lines += [f".ends {name}"]
    if circuit.models:
        lines.append("")
    for name, model in circuit.models.items():
        settings = " ".join(f"{k}={v!r}" for k, v in model.parameters.items())
        lines.append(f".model {name} {model.kind}({settings})")
    lines.append("")
    lines += [line for part in circuit.body for line in _part(part)]
    lines += [f".ic v({node})={value!r}" for node, value in circuit.initial.items()]
    return "\n".join([*lines, *directives, ".end", ""])


def comment(text: str) -> str:
    """Text that is safe in a comment: one line of printable ASCII."""
    return re.sub(r"[^ -~]+", " ", text)


def _part(part: Element | Note) -> list[str]:
    if isinstance(part, Note):
        return [f"* {line}" for line in textwrap.wrap(comment(part.text), 140)] if part.text else [""]
    return [line_of(part)]


def line_of(e: Element) -> str:
    """One element."""
    tempco = f" tc1={e.tempco!r}" if e.tempco else ""
    return f"{e.name} {' '.join(e.nodes)} {value_text(e.value)}{tempco}"


def value_text(value: object) -> str:
    """A value as it stands in a line."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Behaviour):
        return f"{value.quantity.upper()}={value.expression}"
    if isinstance(value, Source):
        text = f"DC {value.constant!r}"
        if value.pulse:
            text += f" PULSE({' '.join(map(repr, value.pulse))})"
        if value.points:
            text += f" PWL({' '.join(f'{t!r} {v!r}' for t, v in value.points)})"
        return text
    return str(value)

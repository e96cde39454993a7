"""Netlists as text: one file per dialect."""

from __future__ import annotations

from collections.abc import Callable

from retime.circuits.dialects import kicad, ngspice, verilog_a
from retime.circuits.elements import Netlist

DIALECTS: dict[str, Callable[[Netlist], str]] = {
    "ngspice": ngspice.written,
    "verilog-a": verilog_a.written,
    "kicad": kicad.written,
}


def written(circuit: Netlist, dialect: str) -> str:
    """The circuit as text.

    Raises:
        ValueError: an unknown dialect.
    """
    if dialect not in DIALECTS:
        raise ValueError(f"`dialect` is {dialect!r}; it must be one of {', '.join(DIALECTS)}.")
    return DIALECTS[dialect](circuit)

"""Lines of a netlist and the tokens in them: numbers with suffixes, names, settings, shapes of sources."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from retime.circuits.elements import Element, Netlist, Pulse, Source

MOST_ELEMENTS = 5_000_000  # when all subcircuits are written out
LARGEST_TEMPCO = 5e-3  # of resistors, per kelvin: they stay positive from -100 to 200 degrees
SUFFIXES = {
    "t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15,
}  # fmt: skip
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(meg|[tgkmunpf])?[a-z]*", re.I)
_NAME = re.compile(r"[\w.]+", re.ASCII)


class BadLine(Exception):
    """What is wrong with a line, without its number."""


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and content of each line, the title first; continuations (+) are joined."""
    if "\x00" in text:
        raise BadLine(f"line {text[: text.index(chr(0))].count(chr(10)) + 1}: the text holds a zero byte")
    held, first = "", 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip("\r")
        if number == 1:
            yield 1, line
            continue
        if line.startswith("+"):
            if not held:
                raise BadLine(f"line {number}: a continuation (+) of nothing")
            held += " " + line[1:]
            continue
        if held:
            yield first, held
        held, first = line, number
        if not line.strip():
            held = ""
    if held:
        yield first, held


def node_name(token: str) -> str:
    """The name of a node, 0 for ground.

    Raises:
        BadLine: no name.
    """
    if not _NAME.fullmatch(token):
        raise BadLine(f"{token[:40]!r} is no name of a node (letters, digits, _ and .)")
    return "0" if token == "gnd" else token


def checked_name(token: str) -> str:
    """The name of an element, a model or a subcircuit.

    Raises:
        BadLine: no name.
    """
    if not _NAME.fullmatch(token):
        raise BadLine(f"{token[:40]!r} is no name (letters, digits, _ and .)")
    return token


def number_of(token: str) -> float:
    """A number, with one of SPICE's suffixes.

    Raises:
        BadLine: no number, or not a finite one.
    """
    try:
        value = float(token)
    except ValueError:
        found = _NUMBER.fullmatch(token)
        if not found:
            raise BadLine(f"{token[:40]!r} is no number") from None
        value = float(found[1]) * SUFFIXES[(found[2] or "").lower()]
    if "_" in token or not math.isfinite(value):
        raise BadLine(f"{token[:40]!r} is no finite number")
    return value


def settings_of(text: str) -> list[tuple[str, str]]:
    """name=value pairs."""
    parts = re.sub(r"\s*=\s*", "=", text.replace(",", " ")).split()
    for part in parts:
        if part.count("=") != 1 or part[0] == "=" or part[-1] == "=":
            raise BadLine(f"{part[:40]!r} must read name=value")
    return [(p.partition("=")[0], p.partition("=")[2]) for p in parts]


def tempco_of(token: str, number: Callable[[str], float]) -> float:
    """The temperature coefficient that tc1=... gives a resistor, per kelvin; `number` reads numbers.

    Raises:
        BadLine: no number, or one with which a resistor would not stay positive.
    """
    value = number(token.removeprefix("tc1="))
    if not abs(value) <= LARGEST_TEMPCO:
        raise BadLine(f"{token[:40]!r} of a resistor must be within +-{LARGEST_TEMPCO:g} per kelvin")
    return value


def shaped_source(shape: str, values: list[float], constant: float) -> Source:
    """PULSE or PWL of their numbers.

    Raises:
        BadLine: another shape, or numbers that make none.
    """
    if shape == "pulse":
        if len(values) != 7 or min(values[2:]) < 0 or values[6] <= 0:
            raise BadLine("PULSE needs 7 numbers: low high delay rise fall width period, times >= 0, period > 0")
        if values[3] + values[4] + values[5] > values[6]:
            raise BadLine("PULSE: rise, width and fall are longer than the period")
        return Source(constant, Pulse(*values))
    if shape == "pwl":
        times, levels = values[::2], values[1::2]
        if len(values) < 2 or len(values) % 2 or any(b <= a for a, b in pairwise(times)):
            raise BadLine("PWL needs pairs of a time and a value, times rising")
        return Source(constant, None, tuple(zip(times, levels, strict=True)))
    raise BadLine(f"{shape[:20]!r} is no shape of a source that is read (PULSE, PWL)")


def check_references(circuit: Netlist) -> None:
    """Models and subcircuits exist, have the right number of nodes, and do not hold themselves.

    Raises:
        BadLine: the message begins with the line.
    """
    sizes: dict[str, int] = {}
    kinds = {"S": ("sw",), "Q": ("npn", "pnp"), "D": ("d",)}

    def size(name: str, path: tuple[str, ...], line: int) -> int:
        if name in path:
            raise BadLine(f"line {line}: the subcircuit {name!r} holds itself")
        if len(path) > 20:
            raise BadLine(f"line {line}: subcircuits are nested more than 20 deep")
        if name not in sizes:
            sizes[name] = total(circuit.subcircuits[name].elements, (*path, name))
        return sizes[name]

    def total(elements: list[Element], path: tuple[str, ...]) -> int:
        count = len(elements)
        for e in elements:
            if e.kind == "X":
                if e.value not in circuit.subcircuits:
                    raise BadLine(
                        f"line {e.line}: {e.name} uses the subcircuit {e.value!r}, which the netlist does not hold"
                    )
                ports = circuit.subcircuits[e.value].ports
                if len(ports) != len(e.nodes):
                    raise BadLine(f"line {e.line}: {e.name} has {len(e.nodes)} nodes; {e.value!r} has {len(ports)}")
                count += size(e.value, path, e.line)
            elif e.kind in kinds and (
                e.value not in circuit.models or circuit.models[e.value].kind not in kinds[e.kind]
            ):
                raise BadLine(
                    f"line {e.line}: {e.name} uses the model {e.value!r}, which the netlist does not hold as one"
                )
            if count > MOST_ELEMENTS:
                raise BadLine(f"line {e.line}: the circuit has more than {MOST_ELEMENTS} elements")
        return count

    total(circuit.elements, ())

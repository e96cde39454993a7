"""Text -> Netlist, by a parser of our own: a whitelist of elements, directives and functions; anything else is an error with its line.

Nothing of the text is ever executed or handed on: a simulator gets what is written anew from the elements.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from retime.circuits.elements import Behaviour, Element, Model, Netlist, Note, Pulse, Source, Subcircuit
from retime.circuits.expressions import parse_expression
from retime.core.errors import ModelFileError

LARGEST = 256 * 2**20  # characters
MOST_ELEMENTS = 5_000_000  # when all subcircuits are written out
SUFFIXES = {
    "t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15,
}  # fmt: skip
MODEL_KINDS = {
    "sw": {"vt", "vh", "ron", "roff"},
    "npn": {"is", "bf", "vaf", "nf", "br"},
    "pnp": {"is", "bf", "vaf", "nf", "br"},
    "d": {"is", "n", "rs", "cjo"},
}
OPTIONS = {"reltol", "abstol", "vntol", "trtol", "method", "temp", "chgtol", "gmin", "itl1", "itl4", "maxord"}
IGNORED = {".tran", ".options", ".option", ".temp", ".title", ".op", ".save", ".print"}

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(meg|[tgkmunpf])?[a-z]*", re.I)
_NAME = re.compile(r"[\w.]+", re.ASCII)
_COMMENT = re.compile(r"\s*(?:;|\$\s).*")


class BadLine(Exception):
    """What is wrong with a line, without its number."""


def read_netlist(text: str) -> Netlist:
    """The circuit that a netlist in the syntax of SPICE describes.

    Elements R C V I E G B S Q D X; directives .subckt .ends .model .param .ic .end, and those of a simulation, which are not followed
    (.tran .options .temp .op .save .print).

    Args:
        text: the netlist; its first line is the title, as in SPICE.

    Raises:
        ModelFileError: anything else; the message begins with the number of the line.
    """
    if not isinstance(text, str):
        raise TypeError(f"`netlist` is {type(text).__name__}; it must be the text of a netlist (or a path to one).")
    if len(text) > LARGEST:
        raise ModelFileError(f"The netlist has {len(text)} characters; at most {LARGEST} are read.")
    reader = _Reader()
    line = 0
    try:
        for line, content in _lines(text):
            reader.read(content, line)
        line = 0
        return reader.finished()
    except BadLine as error:
        where = f"line {line}" if line else "line ?"
        message = str(error)
        raise ModelFileError(message if message.startswith("line ") else f"{where}: {message}") from None
    except ValueError as error:
        raise ModelFileError(f"line {line}: {error}") from None


def _lines(text: str) -> Iterator[tuple[int, str]]:
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


class _Reader:
    """What has been read up to now; `read` takes one line."""

    def __init__(self) -> None:
        self.title: str | None = None
        self.top: list[Element | Note] = []
        self.body = self.top
        self.inside = ""
        self.ports: tuple[str, ...] = ()
        self.subcircuits: dict[str, Subcircuit] = {}
        self.models: dict[str, Model] = {}
        self.parameters: dict[str, float] = {}
        self.initial: dict[str, float] = {}
        self.seen: dict[str, set[str]] = {"": set()}
        self.opened = 0
        self.ended = False
        self.known: dict[str, str] = {}

    def read(self, line: str, number: int) -> None:
        if self.title is None:
            self.title = self.check_title(line)
            return
        line = line.strip()
        if line[:1] == "*":
            self.body.append(Note(line[1:].strip()))
            return
        line = _COMMENT.sub("", line) if ";" in line or "$" in line else line
        if not line:
            return
        if self.ended:
            raise BadLine("something follows .end; delete it")
        if line[0] == ".":
            self.directive(line.lower(), number)
        else:
            self.add(self.element(line.lower(), number))

    def check_title(self, line: str) -> str:
        text = line.strip()
        if text[:1] not in ("*", "", "."):
            try:
                self.element(text.lower(), 1)
            except (BadLine, ValueError):
                return text
            raise BadLine(f"{text[:60]!r} would be ignored: the first line of a netlist is its title. Put a title above it")
        if text[:1] == "." and not text.lower().startswith(".title"):
            raise BadLine(f"{text[:60]!r} would be ignored: the first line of a netlist is its title. Put a title above it")
        return text.lstrip("*").removeprefix(".title").strip()

    def add(self, element: Element) -> None:
        seen = self.seen[self.inside]
        if element.name in seen:
            raise BadLine(f"{element.name!r} is there twice; each element has a name of its own")
        seen.add(element.name)
        self.body.append(element)

    def element(self, line: str, number: int) -> Element:
        kind = line[0].upper()
        if kind not in READERS:
            raise BadLine(f"{line[:40]!r} is no element that is read ({', '.join(READERS)})")
        if kind in "BVI":
            return READERS[kind](self, kind, line, number)
        tokens = line.split()
        if kind in "GE" and len(tokens) == 6:
            name, value = _checked_name(tokens[0]), self.number(tokens[5])
            return Element(kind, name, tuple([self.node(t) for t in tokens[1:5]]), value, number)
        count = NODES.get(kind, len(tokens) - 2)
        if len(tokens) < count + 2 or count < 1:
            raise BadLine(f"{tokens[0]!r} needs {max(count, 1)} node(s) and a value")
        names = tuple(map(self.node, tokens[1 : count + 1]))
        value = READERS[kind](self, kind, tokens[count + 1 :])
        return Element(kind, _checked_name(tokens[0]), names, value, number)

    def node(self, token: str) -> str:
        """The name of a node, checked once."""
        found = self.known.get(token)
        if found is None:
            found = self.known[token] = _node(token)
        return found

    def amount(self, kind: str, tokens: list[str]) -> float:
        extra = tokens[1:]
        if kind == "C" and len(extra) == 1 and extra[0].startswith("ic="):
            self.number(extra[0][3:])
            extra = []
        if extra:
            raise BadLine(f"{extra[0]!r} was not expected")
        value = self.number(tokens[0])
        if kind in "RC" and not value > 0:
            raise BadLine(f"the value {tokens[0]} of a {'resistor' if kind == 'R' else 'capacitor'} must be positive")
        return value

    def name_of(self, kind: str, tokens: list[str]) -> str:
        if len(tokens) != 1:
            raise BadLine(f"{tokens[1]!r} was not expected")
        return _checked_name(tokens[0])

    def number(self, token: str) -> float:
        try:
            value = float(token)
        except ValueError:
            if token[:1] == "{" and token[-1:] == "}":
                token = token[1:-1].strip()
                if token not in self.parameters:
                    raise BadLine(f"the parameter {token!r} was not given before by .param") from None
                return self.parameters[token]
            found = _NUMBER.fullmatch(token)
            if not found:
                raise BadLine(f"{token[:40]!r} is no number") from None
            value = float(found[1]) * SUFFIXES[(found[2] or "").lower()]
        if "_" in token or not math.isfinite(value):
            raise BadLine(f"{token[:40]!r} is no finite number")
        return value

    def behavioural(self, kind: str, line: str, number: int) -> Element:
        head, equals, text = line.partition("=")
        tokens = head.split()
        if not equals or len(tokens) != 4 or tokens[3] not in ("v", "i"):
            raise BadLine(f"{line[:40]!r} must read: name node node V=expression (or I=)")
        expression = parse_expression(text.strip().strip("{}"))
        names = (_node(tokens[1]), _node(tokens[2]))
        for node in expression.nodes():
            _node(node)
        return Element(kind, _checked_name(tokens[0]), names, Behaviour(tokens[3], expression.renamed(_node)), number)

    def source(self, kind: str, line: str, number: int) -> Element:
        head, bracket, inner = line.partition("(")
        tokens = head.split()
        if len(tokens) < 4:
            raise BadLine(f"{line[:40]!r} needs two nodes and a value")
        names, rest = (_node(tokens[1]), _node(tokens[2])), tokens[3:]
        shape = rest.pop() if bracket else ""
        if rest[:1] == ["dc"]:
            rest = rest[1:]
            if not rest:
                raise BadLine("dc has no value")
        if len(rest) > 1 or (not rest and not bracket):
            raise BadLine(f"{line[:60]!r} is no source that is read: a number, PULSE(...) or PWL(...)")
        constant = self.number(rest[0]) if rest else 0.0
        if not bracket:
            return Element(kind, _checked_name(tokens[0]), names, Source(constant), number)
        if not inner.endswith(")") or "(" in inner:
            raise BadLine("a parenthesis is not closed")
        values = [self.number(t) for t in inner[:-1].replace(",", " ").split()]
        return Element(kind, _checked_name(tokens[0]), names, _shaped(shape, values, constant), number)

    def directive(self, line: str, number: int) -> None:
        word, _, rest = line.partition(" ")
        if word in IGNORED:
            if word in (".options", ".option"):
                unknown = {name for name, _ in _settings(rest)} - OPTIONS
                if unknown:
                    raise BadLine(f"the option {min(unknown)!r} is not among {', '.join(sorted(OPTIONS))}")
        elif word in DIRECTIVES:
            DIRECTIVES[word](self, rest.strip(), number)
        else:
            raise BadLine(f"{word[:40]!r} is no directive that is read ({', '.join(sorted({*DIRECTIVES, *IGNORED}))})")

    def open(self, rest: str, number: int) -> None:
        tokens = rest.split()
        if self.inside:
            raise BadLine(".subckt inside of a subcircuit")
        if len(tokens) < 2:
            raise BadLine(".subckt needs a name and at least one node")
        name = _checked_name(tokens[0])
        if name in self.subcircuits:
            raise BadLine(f"the subcircuit {name!r} is there twice")
        ports = tuple(map(_node, tokens[1:]))
        if len({*ports}) < len(ports) or "0" in ports:
            raise BadLine(f"the nodes of {name!r} must differ, and ground is none of them")
        self.inside, self.ports, self.body, self.opened = name, ports, [], number
        self.seen[name] = set()

    def close(self, rest: str, number: int) -> None:
        if not self.inside:
            raise BadLine(".ends without .subckt")
        if rest and rest != self.inside:
            raise BadLine(f".ends {rest} ends {self.inside!r}")
        self.subcircuits[self.inside] = Subcircuit(self.ports, tuple(self.body))
        self.inside, self.body = "", self.top

    def model(self, rest: str, number: int) -> None:
        found = re.fullmatch(r"([\w.]+)\s+(\w+)\s*\(?([^()]*)\)?", rest)
        if not found or rest.count("(") != rest.count(")"):
            raise BadLine(".model must read: name kind(parameter=value ...)")
        name, kind, settings = found.groups()
        if kind not in MODEL_KINDS:
            raise BadLine(f"the kind {kind!r} of a model is not among {', '.join(MODEL_KINDS)}")
        values = {k: self.number(v) for k, v in _settings(settings)}
        if unknown := values.keys() - MODEL_KINDS[kind]:
            raise BadLine(f"{min(unknown)!r} is no parameter of {kind} that is read ({', '.join(sorted(MODEL_KINDS[kind]))})")
        if name in self.models:
            raise BadLine(f"the model {name!r} is there twice")
        self.models[name] = Model(kind, values)

    def parameter(self, rest: str, number: int) -> None:
        for name, value in _settings(rest):
            self.parameters[_checked_name(name)] = self.number(value)

    def start(self, rest: str, number: int) -> None:
        for name, value in _settings(re.sub(r"v\(\s*([\w.]+)\s*\)", r"\1", rest)):
            self.initial[_node(name)] = self.number(value)

    def end(self, rest: str, number: int) -> None:
        if self.inside:
            raise BadLine(f"the subcircuit {self.inside!r} of line {self.opened} has no .ends")
        self.ended = True

    def finished(self) -> Netlist:
        if self.inside:
            raise BadLine(f"line {self.opened}: the subcircuit {self.inside!r} has no .ends")
        circuit = Netlist(
            self.title or "", tuple(self.top), self.subcircuits, self.models, self.parameters, self.initial
        )
        check_references(circuit)
        return circuit


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
                    raise BadLine(f"line {e.line}: {e.name} uses the subcircuit {e.value!r}, which the netlist does not hold")
                ports = circuit.subcircuits[e.value].ports
                if len(ports) != len(e.nodes):
                    raise BadLine(f"line {e.line}: {e.name} has {len(e.nodes)} nodes; {e.value!r} has {len(ports)}")
                count += size(e.value, path, e.line)
            elif e.kind in kinds and (e.value not in circuit.models or circuit.models[e.value].kind not in kinds[e.kind]):
                raise BadLine(f"line {e.line}: {e.name} uses the model {e.value!r}, which the netlist does not hold as one")
            if count > MOST_ELEMENTS:
                raise BadLine(f"line {e.line}: the circuit has more than {MOST_ELEMENTS} elements")
        return count

    total(circuit.elements, ())


def _node(token: str) -> str:
    if not _NAME.fullmatch(token):
        raise BadLine(f"{token[:40]!r} is no name of a node (letters, digits, _ and .)")
    return "0" if token == "gnd" else token


def _checked_name(token: str) -> str:
    if not _NAME.fullmatch(token):
        raise BadLine(f"{token[:40]!r} is no name (letters, digits, _ and .)")
    return token


def _settings(text: str) -> list[tuple[str, str]]:
    """name=value pairs."""
    parts = re.sub(r"\s*=\s*", "=", text.replace(",", " ")).split()
    for part in parts:
        if part.count("=") != 1 or part[0] == "=" or part[-1] == "=":
            raise BadLine(f"{part[:40]!r} must read name=value")
    return [(p.partition("=")[0], p.partition("=")[2]) for p in parts]


def _shaped(shape: str, values: list[float], constant: float) -> Source:
    if shape == "pulse":
        if len(values) != 7 or min(values[2:]) < 0 or values[6] <= 0:
            raise BadLine("PULSE needs 7 numbers: low high delay rise fall width period, times >= 0, period > 0")
        if values[3] + values[4] + values[5] > values[6]:
            raise BadLine("PULSE: rise, width and fall are longer than the period")
        return Source(constant, Pulse(*values))
    if shape == "pwl":
        times, levels = values[::2], values[1::2]
        if len(values) < 2 or len(values) % 2 or any(b <= a for a, b in zip(times, times[1:], strict=False)):
            raise BadLine("PWL needs pairs of a time and a value, times rising")
        return Source(constant, None, tuple(zip(times, levels, strict=True)))
    raise BadLine(f"{shape[:20]!r} is no shape of a source that is read (PULSE, PWL)")


NODES = {"R": 2, "C": 2, "E": 4, "G": 4, "S": 4, "Q": 3, "D": 2}
READERS: dict[str, Callable[..., Any]] = {
    "R": _Reader.amount, "C": _Reader.amount, "V": _Reader.source, "I": _Reader.source, "E": _Reader.amount, "G": _Reader.amount,
    "B": _Reader.behavioural, "S": _Reader.name_of, "Q": _Reader.name_of, "D": _Reader.name_of, "X": _Reader.name_of,
}  # fmt: skip
DIRECTIVES: dict[str, Callable[..., None]] = {
    ".subckt": _Reader.open, ".ends": _Reader.close, ".model": _Reader.model, ".param": _Reader.parameter, ".ic": _Reader.start,
    ".end": _Reader.end,
}  # fmt: skip

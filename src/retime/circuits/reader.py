"""Text -> Netlist, by a parser of our own: a whitelist of elements, directives and functions; anything else is an error with its line.

Nothing of the text is ever executed or handed on: a simulator gets what is written anew from the elements.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from retime.circuits.elements import Behaviour, Element, Model, Netlist, Note, Source, Subcircuit
from retime.circuits.expressions import parse_expression
from retime.circuits.lines import (
    BadLine,
    check_references,
    checked_name,
    node_name,
    number_of,
    numbered_lines,
    settings_of,
    shaped_source,
    tempco_of,
)
from retime.core.errors import ModelFileError

LARGEST = 256 * 2**20  # characters
MODEL_KINDS = {
    "sw": {"vt", "vh", "ron", "roff"},
    "npn": {"is", "bf", "vaf", "nf", "br"},
    "pnp": {"is", "bf", "vaf", "nf", "br"},
    "d": {"is", "n", "rs", "cjo"},
}
OPTIONS = {"reltol", "abstol", "vntol", "trtol", "method", "temp", "chgtol", "gmin", "itl1", "itl4", "maxord"}
IGNORED = {".tran", ".options", ".option", ".temp", ".title", ".op", ".save", ".print"}

_COMMENT = re.compile(r"\s*(?:;|\$\s).*")


def read_netlist(text: str) -> Netlist:
    """The circuit that a netlist in the syntax of SPICE describes.

    Elements R C V I E G B S Q D X; directives .subckt .ends .model .param .ic .end, and those of a simulation, which are not followed
    (.tran .options .temp .op .save .print).

    Args:
        text: the netlist; its first line is the title, as in SPICE.

    Raises:
        ModelFileError: anything else; the message begins with the number of the line.
    """
    if len(text) > LARGEST:
        raise ModelFileError(f"The netlist has {len(text)} characters; at most {LARGEST} are read.")
    reader = _Reader()
    line = 0
    try:
        for line, content in numbered_lines(text):
            reader.read(content, line)
        line = 0
        return reader.finished()
    except BadLine as error:
        where = f"line {line}" if line else "line ?"
        message = str(error)
        raise ModelFileError(message if message.startswith("line ") else f"{where}: {message}") from None
    except ValueError as error:
        raise ModelFileError(f"line {line}: {error}") from None


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
            self.title = _checked_title(line)
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
            name, value = checked_name(tokens[0]), self.number(tokens[5])
            return Element(kind, name, tuple([self.node(t) for t in tokens[1:5]]), value, number)
        tempco = tempco_of(tokens.pop(), self.number) if kind == "R" and tokens[-1].startswith("tc1=") else 0.0
        count = NODES.get(kind, len(tokens) - 2)
        if len(tokens) < count + 2 or count < 1:
            raise BadLine(f"{tokens[0]!r} needs {max(count, 1)} node(s) and a value")
        names = tuple(map(self.node, tokens[1 : count + 1]))
        value = READERS[kind](self, kind, tokens[count + 1 :])
        return Element(kind, checked_name(tokens[0]), names, value, number, tempco)

    def node(self, token: str) -> str:
        """The name of a node, checked once."""
        found = self.known.get(token)
        if found is None:
            found = self.known[token] = node_name(token)
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
        return checked_name(tokens[0])

    def number(self, token: str) -> float:
        if token[:1] == "{" and token[-1:] == "}":
            name = token[1:-1].strip()
            if name not in self.parameters:
                raise BadLine(f"the parameter {name!r} was not given before by .param")
            return self.parameters[name]
        return number_of(token)

    def behavioural(self, kind: str, line: str, number: int) -> Element:
        head, equals, text = line.partition("=")
        tokens = head.split()
        if not equals or len(tokens) != 4 or tokens[3] not in ("v", "i"):
            raise BadLine(f"{line[:40]!r} must read: name node node V=expression (or I=)")
        expression = parse_expression(text.strip().strip("{}"))
        names = (node_name(tokens[1]), node_name(tokens[2]))
        for node in expression.nodes():
            node_name(node)
        return Element(
            kind, checked_name(tokens[0]), names, Behaviour(tokens[3], expression.renamed(node_name)), number
        )

    def source(self, kind: str, line: str, number: int) -> Element:
        head, bracket, inner = line.partition("(")
        tokens = head.split()
        if len(tokens) < 4:
            raise BadLine(f"{line[:40]!r} needs two nodes and a value")
        names, rest = (node_name(tokens[1]), node_name(tokens[2])), tokens[3:]
        shape = rest.pop() if bracket else ""
        if rest[:1] == ["dc"]:
            rest = rest[1:]
            if not rest:
                raise BadLine("dc has no value")
        if len(rest) > 1 or (not rest and not bracket):
            raise BadLine(f"{line[:60]!r} is no source that is read: a number, PULSE(...) or PWL(...)")
        constant = self.number(rest[0]) if rest else 0.0
        if not bracket:
            return Element(kind, checked_name(tokens[0]), names, Source(constant), number)
        if not inner.endswith(")") or "(" in inner:
            raise BadLine("a parenthesis is not closed")
        values = [self.number(t) for t in inner[:-1].replace(",", " ").split()]
        return Element(kind, checked_name(tokens[0]), names, shaped_source(shape, values, constant), number)

    def directive(self, line: str, number: int) -> None:
        word, _, rest = line.partition(" ")
        if word in IGNORED:
            if word in (".options", ".option"):
                unknown = {name for name, _ in settings_of(rest)} - OPTIONS
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
        name = checked_name(tokens[0])
        if name in self.subcircuits:
            raise BadLine(f"the subcircuit {name!r} is there twice")
        ports = tuple(map(node_name, tokens[1:]))
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
        values = {k: self.number(v) for k, v in settings_of(settings)}
        if unknown := values.keys() - MODEL_KINDS[kind]:
            raise BadLine(
                f"{min(unknown)!r} is no parameter of {kind} that is read ({', '.join(sorted(MODEL_KINDS[kind]))})"
            )
        if name in self.models:
            raise BadLine(f"the model {name!r} is there twice")
        self.models[name] = Model(kind, values)

    def parameter(self, rest: str, number: int) -> None:
        for name, value in settings_of(rest):
            self.parameters[checked_name(name)] = self.number(value)

    def start(self, rest: str, number: int) -> None:
        for name, value in settings_of(re.sub(r"v\(\s*([\w.]+)\s*\)", r"\1", rest)):
            self.initial[node_name(name)] = self.number(value)

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


def _checked_title(line: str) -> str:
    text = line.strip()
    if text[:1] not in ("*", "", "."):
        try:
            _Reader().element(text.lower(), 1)
        except (BadLine, ValueError):
            return text
        raise BadLine(f"{text[:60]!r} would be ignored: the first line of a netlist is its title. Put a title above it")
    if text[:1] == "." and not text.lower().startswith(".title"):
        raise BadLine(f"{text[:60]!r} would be ignored: the first line of a netlist is its title. Put a title above it")
    return text.lstrip("*").removeprefix(".title").strip()


NODES = {"R": 2, "C": 2, "E": 4, "G": 4, "S": 4, "Q": 3, "D": 2}
READERS: dict[str, Callable[..., Any]] = {
    "R": _Reader.amount, "C": _Reader.amount, "V": _Reader.source, "I": _Reader.source, "E": _Reader.amount, "G": _Reader.amount,
    "B": _Reader.behavioural, "S": _Reader.name_of, "Q": _Reader.name_of, "D": _Reader.name_of, "X": _Reader.name_of,
}  # fmt: skip
DIRECTIVES: dict[str, Callable[..., None]] = {
    ".subckt": _Reader.open, ".ends": _Reader.close, ".model": _Reader.model, ".param": _Reader.parameter, ".ic": _Reader.start,
    ".end": _Reader.end,
}  # fmt: skip

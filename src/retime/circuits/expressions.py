"""Expressions of node voltages, as behavioural sources hold them: a whitelist of functions, read by a parser of our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

DEEPEST = 40  # nested parentheses

FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "tanh": (1, lambda xp, x: xp.tanh(x)),
    "exp": (1, lambda xp, x: xp.exp(x)),
    "log": (1, lambda xp, x: xp.log(x)),
    "abs": (1, lambda xp, x: xp.abs(x)),
    "sgn": (1, lambda xp, x: xp.sign(x)),
    "atan": (1, lambda xp, x: xp.arctan(x)),
    "u": (1, lambda xp, x: xp.where(x > 0, 1.0, 0.0)),
    "uramp": (1, lambda xp, x: xp.where(x > 0, x, 0.0)),
    "max": (2, lambda xp, x, y: xp.where(x > y, x, y)),
    "min": (2, lambda xp, x, y: xp.where(x < y, x, y)),
    "pow": (2, lambda xp, x, y: x**y),
}
"""Number of arguments and meaning; log is the natural one. Those on which ngspice and neospice agree."""

OPERATORS: dict[str, Callable[..., Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "^": lambda x, y: x**y,
}


@dataclass(frozen=True)
class Expression:
    """A tree: kind is num (value), volt (plus and minus node), arg (its number), call or op (name and parts)."""

    kind: str
    value: Any = None
    parts: tuple[Expression, ...] = ()

    def renamed(self, name: Callable[[str], str]) -> Expression:
        """With other names of nodes."""
        if self.kind == "volt":
            return volt(*(name(n) for n in self.value))
        return Expression(self.kind, self.value, tuple(p.renamed(name) for p in self.parts))

    def nodes(self) -> Iterator[str]:
        """The nodes that it reads."""
        if self.kind == "volt":
            yield from self.value
        for part in self.parts:
            yield from part.nodes()

    def evaluate(self, xp: Any, arguments: Any) -> Any:
        """Its value, with `arguments` for its args (an array per argument) and xp the array library."""
        if self.kind == "num":
            return self.value
        if self.kind == "arg":
            return arguments[self.value]
        values = [p.evaluate(xp, arguments) for p in self.parts]
        if self.kind == "call":
            return FUNCTIONS[self.value][1](xp, *values)
        return OPERATORS[self.value](*values) if len(values) == 2 else -values[0]

    def __str__(self) -> str:
        if self.kind == "num":
            return repr(self.value) if self.value >= 0 else f"({self.value!r})"
        if self.kind == "volt":
            plus, minus = self.value
            return f"V({plus})" if minus == "0" else f"V({plus},{minus})"
        if self.kind == "arg":
            return f"x{self.value + 1}"
        if self.kind == "call":
            return f"{self.value}({','.join(map(str, self.parts))})"
        texts = [f"({p})" if p.kind == "op" else str(p) for p in self.parts]
        return self.value.join(texts) if len(texts) == 2 else f"-{texts[0]}"


def number(value: float) -> Expression:
    """A constant."""
    return Expression("num", float(value))


def volt(plus: str, minus: str = "0") -> Expression:
    """The voltage of a node against another one, ground by default."""
    return Expression("volt", (plus, minus))


def argument(index: int) -> Expression:
    """The argument with this number of a function that was taken out of its circuit."""
    return Expression("arg", index)


_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|([a-z_][\w.]*)|(\*\*|[-+*/^(),]))", re.I)


def parse_expression(text: str) -> Expression:
    """Read an expression of numbers, V(node), V(node, node), + - * / ^ and the functions of `FUNCTIONS`.

    Raises:
        ValueError: anything else; the message says what.
    """
    return _Parser(text).whole()


class _Parser:
    """Recursive descent; ^ binds to the right, then signs, then * and /, then + and -."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        text = text.strip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if not found:
                raise ValueError(f"{text[at : at + 20]!r} is no part of an expression")
            kind = ("num", "name", "sign")[found.lastindex - 1]  # type: ignore[operator]
            self.tokens.append((kind, found.group(found.lastindex).lower()))  # type: ignore[arg-type]
            at = found.end()
        self.at = self.depth = 0

    def whole(self) -> Expression:
        tree = self.sum()
        if self.at < len(self.tokens):
            raise ValueError(f"{self.tokens[self.at][1]!r} was not expected in an expression")
        return tree

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        found = self.peek()
        if not found or (wanted and found not in wanted):
            raise ValueError(
                f"an expression has {found or 'its end'!r} where {' or '.join(wanted) or 'more'} is wanted"
            )
        self.at += 1
        return found

    def sum(self) -> Expression:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError(f"an expression is nested more than {DEEPEST} deep")
        tree = self.product()
        while self.peek() in ("+", "-"):
            tree = Expression("op", self.take(), (tree, self.product()))
        self.depth -= 1
        return tree

    def product(self) -> Expression:
        tree = self.signed()
        while self.peek() in ("*", "/"):
            tree = Expression("op", self.take(), (tree, self.signed()))
        return tree

    def signed(self) -> Expression:
        minus = False
        while self.peek() in ("+", "-"):
            minus ^= self.take() == "-"
        tree = self.power()
        if not minus:
            return tree
        return number(-tree.value) if tree.kind == "num" else Expression("op", "-", (tree,))

    def power(self) -> Expression:
        base = self.atom()
        if self.peek() not in ("^", "**"):
            return base
        self.take()
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError(f"an expression is nested more than {DEEPEST} deep")
        exponent = self.signed()
        self.depth -= 1
        return Expression("op", "^", (base, exponent))

    def atom(self) -> Expression:
        if self.peek() == "(":
            self.take()
            tree = self.sum()
            self.take(")")
            return tree
        kind = self.tokens[self.at][0] if self.at < len(self.tokens) else ""
        token = self.take()
        if kind == "num":
            return number(float(token))
        if kind != "name":
            raise ValueError(f"{token!r} was not expected in an expression")
        if token == "v":
            return self.voltage()
        return self.call("log" if token == "ln" else token)

    def voltage(self) -> Expression:
        self.take("(")
        nodes = [self.take()]
        if self.peek() == ",":
            self.take()
            nodes.append(self.take())
        self.take(")")
        for name in nodes:
            if not re.fullmatch(r"[a-z0-9_][\w.]*", name):
                raise ValueError(f"{name!r} is no name of a node")
        return volt(*nodes)

    def call(self, name: str) -> Expression:
        if name not in FUNCTIONS:
            raise ValueError(f"{name!r} is no function of {', '.join(FUNCTIONS)}")
        self.take("(")
        parts = [self.sum()]
        while self.peek() == ",":
            self.take()
            parts.append(self.sum())
        self.take(")")
        if len(parts) != FUNCTIONS[name][0]:
            raise ValueError(f"{name} takes {FUNCTIONS[name][0]} argument(s), not {len(parts)}")
        return Expression("call", name, tuple(parts))


ACTIVATION_TEXTS = {
    "tanh": ("tanh(v(x))",),
    "relu": ("max(v(x),0)", "max(0,v(x))", "uramp(v(x))"),
    "logistic": ("0.5*(1+tanh(0.5*v(x)))", "1/(1+exp(-v(x)))"),
    "softplus": ("max(v(x),0)+log(1+exp(-abs(v(x))))", "log(1+exp(v(x)))"),
}
"""How the nonlinearities of networks are written; the first of each is how we write it."""


@cache
def activation_patterns() -> tuple[tuple[str, Expression], ...]:
    """Name and tree of each way to write a nonlinearity, x its only node."""
    return tuple((name, parse_expression(t)) for name, texts in ACTIVATION_TEXTS.items() for t in texts)


def activation_of(name: str, x: Expression) -> Expression:
    """The nonlinearity of an expression."""
    pattern = next(tree for known, tree in activation_patterns() if known == name)
    return _substituted(pattern, x)


def _substituted(pattern: Expression, x: Expression) -> Expression:
    if pattern.kind == "volt":
        return x
    return Expression(pattern.kind, pattern.value, tuple(_substituted(p, x) for p in pattern.parts))


def matched(tree: Expression) -> tuple[str, Expression] | None:
    """The nonlinearity that a tree is, and of what; None for none."""
    for name, pattern in activation_patterns():
        found: list[Expression] = []
        if _matches(pattern, tree, found):
            return name, found[0]
    return None


def _matches(pattern: Expression, tree: Expression, found: list[Expression]) -> bool:
    if pattern.kind == "volt":
        if not found:
            found.append(tree)
        return found[0] == tree
    if (pattern.kind, pattern.value, len(pattern.parts)) != (tree.kind, tree.value, len(tree.parts)):
        return False
    return all(_matches(p, t, found) for p, t in zip(pattern.parts, tree.parts, strict=True))


def _named(name: str) -> Callable[[Any], Any]:
    pattern = activation_of(name, argument(0))

    def f(x: Any) -> Any:
        with np.errstate(over="ignore"):
            return pattern.evaluate(np, [x])

    return f


NAMED_FUNCTIONS = {name: _named(name) for name in ACTIVATION_TEXTS}
"""The nonlinearities as functions of arrays."""

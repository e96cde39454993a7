"""An expression as an affine function of node voltages plus multiples of nonlinear functions of affine functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from retime.circuits.expressions import ACTIVATION_TEXTS, Expression, activation_of, argument, matched, number

CONSTANT = ""  # the key of the constant in an affine function
Affine = Mapping[str, float]


class Atom(NamedTuple):
    """factor * function(arguments): function in args x1, x2, ..., each of them affine in node voltages; its name where it has one."""

    factor: float
    function: Expression
    arguments: tuple[Affine, ...]
    name: str = ""


def decompose(tree: Expression) -> tuple[Affine, list[Atom]]:
    """The affine part of an expression, and the rest as atoms."""
    known = matched(tree)
    if known:
        inner, atoms = decompose(known[1])
        if not atoms:
            return {}, [Atom(1.0, NAMED[known[0]], (inner,), known[0])]
    if tree.kind == "num":
        return {CONSTANT: tree.value}, []
    if tree.kind == "volt":
        plus, minus = tree.value
        return _sum({plus: 1.0}, {minus: 1.0}, -1.0), []
    if tree.kind == "op":
        found = _linear(tree)
        if found is not None:
            return found
    atom = _whole(tree)
    return ({}, [atom]) if atom.arguments else ({CONSTANT: float(atom.function.evaluate(np, []))}, [])


NAMED = {name: activation_of(name, argument(0)) for name in ACTIVATION_TEXTS}


def _linear(tree: Expression) -> tuple[Affine, list[Atom]] | None:
    """Sums, and products with or quotients by constants."""
    parts = [decompose(p) for p in tree.parts]
    if tree.value == "-" and len(parts) == 1:
        return _scaled(parts[0], -1.0)
    if tree.value in "+-":
        sign = 1.0 if tree.value == "+" else -1.0
        (a, first), (b, second) = parts
        return _sum(a, b, sign), first + [x._replace(factor=sign * x.factor) for x in second]
    constants = [_constant(p) for p in parts]
    if tree.value == "*" and constants[0] is not None:
        return _scaled(parts[1], constants[0])
    if tree.value == "*" and constants[1] is not None:
        return _scaled(parts[0], constants[1])
    if tree.value == "/" and constants[1]:
        return _divided(parts[0], constants[1])
    return None


def _constant(part: tuple[Affine, list[Atom]]) -> float | None:
    affine, atoms = part
    return affine.get(CONSTANT, 0.0) if not atoms and affine.keys() <= {CONSTANT} else None


def _scaled(part: tuple[Affine, list[Atom]], factor: float) -> tuple[Affine, list[Atom]]:
    affine, atoms = part
    return {k: factor * v for k, v in affine.items()}, [a._replace(factor=factor * a.factor) for a in atoms]


def _divided(part: tuple[Affine, list[Atom]], divisor: float) -> tuple[Affine, list[Atom]]:
    affine, atoms = part
    return {k: v / divisor for k, v in affine.items()}, [a._replace(factor=a.factor / divisor) for a in atoms]


def _sum(a: Affine, b: Affine, sign: float) -> Affine:
    total = dict(a)
    for key, value in b.items():
        total[key] = total.get(key, 0.0) + sign * value
    total.pop("0", None)
    return total


def _whole(tree: Expression) -> Atom:
    """The expression as one function of its largest affine parts."""
    found: list[Affine] = []

    def cut(part: Expression) -> Expression:
        affine, atoms = decompose(part) if part.kind != "call" and part is not tree else ({}, [None])
        if not atoms:
            if affine.keys() <= {CONSTANT}:
                return number(affine.get(CONSTANT, 0.0))
            found.append(affine)
            return argument(len(found) - 1)
        return Expression(part.kind, part.value, tuple(cut(p) for p in part.parts))

    return Atom(1.0, cut(tree), tuple(found))

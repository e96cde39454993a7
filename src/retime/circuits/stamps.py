"""The linear system of modified nodal analysis, built element by element.

Unknowns are the voltages of nodes and the currents of the elements that fix a voltage (V, E, B, C); a capacitor counts as a source of its
own voltage. An op-amp is a nullor: no voltage between its inputs, no current into them.

Source: ho1975.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import MatrixRankWarning, splu

from retime.circuits.decomposition import CONSTANT, NAMED, Atom, decompose
from retime.circuits.elements import NOMINAL, Element
from retime.core.arrays import Array
from retime.core.errors import ModelFileError

NULLOR = "opamp"
"""Subcircuits whose names begin so, with the ports (+ input, - input, output), are op-amps."""

GROUND = -1


class Pair(NamedTuple):
    """A stage that amounts to offset + amplitude f(slope V), f = tanh (volts, volts, per volt) or relu (volts, volts per volt, 1); and the
    largest distance of its curve from that, relative to the largest value."""

    offset: float
    amplitude: float
    slope: float
    misfit: float
    function: str = "tanh"


def is_opamp(name: str, ports: tuple[str, ...]) -> bool:
    """Whether a subcircuit is an op-amp, by its name and its three ports."""
    return name.startswith(NULLOR) and len(ports) == 3


def is_input(e: Element) -> bool:
    """Whether a source is an input of the network: its name begins with `vin` or `iin`."""
    return e.kind in "VI" and e.name[1:3].lower() == "in"


class NodalSystem:
    """M y = X (v, phi, s, 1): v the capacitors' voltages, phi the values of nonlinear functions, s the inputs."""

    def __init__(
        self,
        elements: list[Element],
        switches: Mapping[str, float],
        pairs: Mapping[str, Pair],
        celsius: float = NOMINAL,
    ) -> None:
        self.elements, self.switches, self.pairs, self.celsius = elements, switches, pairs, celsius
        names = dict.fromkeys(node for e in elements for node in e.nodes)
        names.pop("0", None)
        self.nodes: dict[str, int] = {name: k for k, name in enumerate(names)}
        self.at = {**self.nodes, "0": GROUND}
        self.size = len(self.nodes)
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.values: list[float] = []
        self.known: list[tuple[int, Any, float]] = []
        self.capacitors: list[tuple[Element, int]] = []
        self.inputs: list[str] = []
        self.atoms: list[Any] = []
        self.joins: list[tuple[int, int]] = []

    def put(self, rows: tuple[int, ...], columns: tuple[int, ...], values: tuple[float, ...]) -> None:
        """Entries of M; those of ground are dropped in the end."""
        self.rows.extend(rows)
        self.columns.extend(columns)
        self.values.extend(values)

    def give(self, row: int, key: Any, value: float) -> None:
        """A known term on the right-hand side: key is ("v" | "phi" | "s", number), or "1"."""
        if row != GROUND:
            self.known.append((row, key, value))

    def branch(self, plus: int, minus: int) -> int:
        """A new current, which leaves `plus`; the row of its element's law."""
        row, self.size = self.size, self.size + 1
        self.put((plus, minus), (row, row), (1.0, -1.0))
        self.joins.append((plus, minus))
        return row

    def voltage_law(self, plus: int, minus: int) -> int:
        """A new current, and the law v(plus) - v(minus) = ...; its row."""
        row = self.branch(plus, minus)
        self.put((row, row), (plus, minus), (1.0, -1.0))
        return row

    def add(self, e: Element) -> None:
        """One element."""
        at = [self.at[n] for n in e.nodes]
        if e.kind == "G":
            a, b, c, d = at
            self.put((a, a, b, b), (c, d, c, d), (e.value, -e.value, -e.value, e.value))
        elif e.kind == "S":
            if e.name not in self.switches:
                raise ModelFileError(
                    f"line {e.line}: the switch {e.name} is not driven by a clock; its state is not known."
                )
            if np.isinf(self.switches[e.name]):
                return
            self.conductance(at[0], at[1], 1.0 / self.switches[e.name])
        elif e.kind == "R":
            self.conductance(at[0], at[1], 1.0 / e.ohm(self.celsius))
        elif e.kind == "C":
            self.give(self.voltage_law(at[0], at[1]), ("v", len(self.capacitors)), 1.0)
            self.capacitors.append((e, self.size - 1))
        elif e.kind == "E":
            row = self.voltage_law(at[0], at[1])
            self.put((row, row), (at[2], at[3]), (-e.value, e.value))
        elif e.kind in "VI":
            self.source(e, at[0], at[1])
        elif e.kind == "B":
            self.behaviour(e, at[0], at[1])
        elif e.kind == "X" and e.value in self.pairs:
            self.pair(e, at[1])
        elif e.kind == "X":  # a nullor
            row = self.branch(at[2], GROUND)
            self.put((row, row), (at[0], at[1]), (1.0, -1.0))
        else:
            raise ModelFileError(
                f"line {e.line}: {e.name} is a device (Q, D) that no equation is derived for; simulate the circuit with a SPICE backend."
            )

    def conductance(self, a: int, b: int, g: float) -> None:
        """A conductance between two nodes."""
        self.put((a, b, a, b), (a, b, b, a), (g, g, -g, -g))
        self.joins.append((a, b))

    def source(self, e: Element, plus: int, minus: int) -> None:
        """An independent source: an input, or a constant."""
        key: Any = "1"
        if is_input(e):
            key = ("s", len(self.inputs))
            self.inputs.append(e.name)
        value = 1.0 if key != "1" else e.value.constant
        if e.kind == "V":
            self.give(self.voltage_law(plus, minus), key, value)
        else:
            self.give(plus, key, -value)
            self.give(minus, key, value)

    def pair(self, e: Element, out: int) -> None:
        """A stage that amounts to a nonlinearity."""
        found = self.pairs[e.value]
        row = self.voltage_law(out, GROUND)
        self.give(row, "1", found.offset)
        self.give(row, ("phi", len(self.atoms)), found.amplitude)
        function = NAMED[found.function]
        self.atoms.append((Atom(found.amplitude, function, ({e.nodes[0]: found.slope},), found.function), e))

    def behaviour(self, e: Element, plus: int, minus: int) -> None:
        """A behavioural source: its affine part, and its nonlinear functions."""
        affine, atoms = decompose(e.value.expression)
        rows = [(plus, -1.0), (minus, 1.0)] if e.value.quantity == "i" else [(self.voltage_law(plus, minus), 1.0)]
        for row, sign in rows:
            for node, coefficient in affine.items():
                if node == CONSTANT:
                    self.give(row, "1", sign * coefficient)
                else:
                    self.put((row,), (self.node(node, e),), (-sign * coefficient,))
            for k, atom in enumerate(atoms):
                self.give(row, ("phi", len(self.atoms) + k), sign * atom.factor)
        self.atoms += [(a, e) for a in atoms]

    def node(self, name: str, e: Element) -> int:
        """The index of a node that an expression reads."""
        if name not in self.nodes:
            raise ModelFileError(f"line {e.line}: {e.name} reads the node {name!r}, which nothing else connects.")
        return self.nodes[name]

    def linear_solution(self, X: Any) -> Array:
        """y for each column of X."""
        self.check_connected()
        if not self.size:
            raise ModelFileError("line 1: the netlist has no elements.")
        rows, columns, values = np.array(self.rows, dtype=int), np.array(self.columns, dtype=int), np.array(self.values)
        inside = (rows != GROUND) & (columns != GROUND)
        M = sp.csc_matrix((values[inside], (rows[inside], columns[inside])), shape=(self.size, self.size))
        M.sum_duplicates()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", MatrixRankWarning)
                y = splu(M).solve(X.toarray())
        except (RuntimeError, MatrixRankWarning):
            y = np.full(X.shape, np.nan)
        defect = np.abs(M @ y - X.toarray())
        if not np.isfinite(y).all() or defect.max(initial=0.0) > 1e-6 * (1.0 + np.abs(X.toarray()).max(initial=0.0)):
            raise ModelFileError(
                "line 1: Kirchhoff's laws of this netlist have no unique solution: sources or capacitors form a loop, or a node has no "
                "resistor, capacitor or source that fixes its voltage."
            )
        return y

    def check_connected(self) -> None:
        """Every node has a way to ground through what carries current.

        Raises:
            ModelFileError: which has none.
        """
        count = len(self.nodes)
        ends = np.array(self.joins, dtype=int).reshape(-1, 2) + 1
        graph = sp.coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count + 1, count + 1))
        _, labels = connected_components(graph, directed=False)
        for name, k in self.nodes.items():
            if labels[k + 1] != labels[0]:
                line = next((e.line for e in self.elements if name in e.nodes), 1)
                raise ModelFileError(
                    f"line {line}: nothing leads from the node {name!r} to ground (0), so its voltage is not determined."
                )

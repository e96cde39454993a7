"""Kirchhoff's laws of a netlist, solved: modified nodal analysis with the voltages of capacitors as states.

Unknowns are the voltages of nodes and the currents of the elements that fix a voltage (V, E, B, C); a capacitor counts as a source of its
own voltage, and its current is C dv/dt. An op-amp is a nullor: no voltage between its inputs, no current into them. What is left is linear
in states, nonlinear functions, inputs and constants, and is solved for once.

Source: ho1975 (modified nodal analysis); docs/theory/circuits.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import MatrixRankWarning, splu

from retime.circuits.decomposition import CONSTANT, Affine, decompose
from retime.circuits.elements import Element, Netlist
from retime.circuits.expressions import Expression
from retime.core.arrays import Array
from retime.core.errors import ModelFileError

NULLOR = "opamp"
"""Subcircuits whose names begin so, with the ports (+ input, - input, output), are op-amps."""

GROUND = -1


@dataclass(frozen=True, eq=False)
class CircuitLaw:
    """dv/dt and the arguments of the nonlinear functions, linear in (v, phi, s, 1): v the states, phi the functions' values, s the inputs.

    Attributes:
        states: names of the capacitors (n). inputs: names of the input sources (m).
        functions: one per phi (q), in args; `names` where it is a known nonlinearity, "" otherwise; `counts` how many args each has.
        rates: `(n, n + q + m + 1)`, volts per second. arguments: `(sum of counts, n + q + m + 1)`.
        nodes: index of each node in `voltages` `(N, n + q + m + 1)`.
    """

    states: tuple[str, ...]
    inputs: tuple[str, ...]
    functions: tuple[Expression, ...]
    names: tuple[str, ...]
    counts: tuple[int, ...]
    rates: Array
    arguments: Array
    nodes: Mapping[str, int]
    voltages: Array

    def split(self, rows: Array) -> tuple[Array, Array, Array, Array]:
        """The parts of rows that belong to states, functions, inputs and the constant."""
        n, q, m = len(self.states), len(self.functions), len(self.inputs)
        return rows[:, :n], rows[:, n : n + q], rows[:, n + q : n + q + m], rows[:, -1]

    def voltages_of(self, names: list[str]) -> Array:
        """The rows of `voltages` of some nodes; zero for ground."""
        rows = np.zeros((len(names), self.voltages.shape[1]))
        for k, name in enumerate(names):
            if name != "0":
                rows[k] = self.voltages[self.nodes[name]]
        return rows


def solve_circuit(circuit: Netlist, switches: Mapping[str, float] | None = None, *, nullors: bool = True) -> CircuitLaw:
    """Kirchhoff's laws of a circuit, solved for dv/dt.

    Args:
        circuit: the netlist.
        switches: resistance in ohm of each switch at the time in question; infinity for an open one.
        nullors: whether op-amps (subcircuits named opamp...) are nullors, or what their subcircuits say.

    Raises:
        ModelFileError: an element without an equation, a node that nothing connects, capacitors and sources in a loop.
    """
    keep = {name for name, inner in circuit.subcircuits.items() if nullors and is_opamp(name, inner.ports)}
    return _Nodal(list(circuit.flattened(keep)), switches or {}).solved()


def is_opamp(name: str, ports: tuple[str, ...]) -> bool:
    """Whether a subcircuit is an op-amp, by its name and its three ports."""
    return name.startswith(NULLOR) and len(ports) == 3


def is_input(e: Element) -> bool:
    """Whether a source is an input of the network: its name begins with `vin` or `iin`."""
    return e.kind in "VI" and e.name[1:3].lower() == "in"


class _Nodal:
    """The linear system M y = X (v, phi, s, 1), built element by element."""

    def __init__(self, elements: list[Element], switches: Mapping[str, float]) -> None:
        self.elements, self.switches = elements, switches
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
        row = self.branch(plus, minus)
        self.put((row, row), (plus, minus), (1.0, -1.0))
        return row

    def add(self, e: Element) -> None:
        at = [self.at[n] for n in e.nodes]
        if e.kind == "G":
            a, b, c, d = at
            self.put((a, a, b, b), (c, d, c, d), (e.value, -e.value, -e.value, e.value))
        elif e.kind == "S":
            if e.name not in self.switches:
                raise ModelFileError(f"line {e.line}: the switch {e.name} is not driven by a clock; its state is not known.")
            if np.isinf(self.switches[e.name]):
                return
            self.conductance(at[0], at[1], 1.0 / self.switches[e.name])
        elif e.kind == "R":
            self.conductance(at[0], at[1], 1.0 / e.value)
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
        elif e.kind == "X":  # a nullor
            row = self.branch(at[2], GROUND)
            self.put((row, row), (at[0], at[1]), (1.0, -1.0))
        else:
            raise ModelFileError(
                f"line {e.line}: {e.name} is a device (Q, D) that no equation is derived for; simulate the circuit with a SPICE backend."
            )

    def conductance(self, a: int, b: int, g: float) -> None:
        self.put((a, b, a, b), (a, b, b, a), (g, g, -g, -g))
        self.joins.append((a, b))

    def source(self, e: Element, plus: int, minus: int) -> None:
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

    def behaviour(self, e: Element, plus: int, minus: int) -> None:
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
        if name not in self.nodes:
            raise ModelFileError(f"line {e.line}: {e.name} reads the node {name!r}, which nothing else connects.")
        return self.nodes[name]

    def solved(self) -> CircuitLaw:
        for e in self.elements:
            self.add(e)
        n, q, m = len(self.capacitors), len(self.atoms), len(self.inputs)
        starts = {"v": 0, "phi": n, "s": n + q}
        columns = [n + q + m if key == "1" else starts[key[0]] + key[1] for _, key, _ in self.known]
        values, rows = [v for _, _, v in self.known], [row for row, _, _ in self.known]
        X = sp.coo_array((values, (rows, columns)), shape=(self.size, n + q + m + 1))
        y = self.linear_solution(X)
        rates = np.array([y[row] / e.value for e, row in self.capacitors]).reshape(n, n + q + m + 1)
        arguments = [self.argument(a, e, y) for atom, e in self.atoms for a in atom.arguments]
        return CircuitLaw(
            tuple(e.name for e, _ in self.capacitors),
            tuple(self.inputs),
            tuple(a.function for a, _ in self.atoms),
            tuple(a.name for a, _ in self.atoms),
            tuple(len(a.arguments) for a, _ in self.atoms),
            rates,
            np.array(arguments).reshape(-1, n + q + m + 1),
            self.nodes,
            y[: len(self.nodes)],
        )

    def argument(self, affine: Affine, e: Element, y: Array) -> Array:
        row = np.zeros(y.shape[1])
        for node, coefficient in affine.items():
            if node == CONSTANT:
                row[-1] += coefficient
            else:
                row += coefficient * y[self.node(node, e)]
        return row

    def linear_solution(self, X: sp.coo_array) -> Array:
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
        """Every node has a way to ground through what carries current."""
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

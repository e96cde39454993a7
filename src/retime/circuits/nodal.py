"""Kirchhoff's laws of a netlist, solved: modified nodal analysis with the voltages of capacitors as states.

The current of a capacitor, as a source of its own voltage, is C dv/dt. What is left is linear in states, nonlinear functions, inputs and
constants, and is solved for once.

Source: ho1975; docs/theory/circuits.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from retime.circuits.dc import DEVICES, celsius_of, pair_of
from retime.circuits.decomposition import CONSTANT, Affine
from retime.circuits.elements import Element, Netlist
from retime.circuits.expressions import Expression
from retime.circuits.stamps import NodalSystem, Pair, is_opamp
from retime.core.arrays import Array


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


def solve_circuit(
    circuit: Netlist,
    switches: Mapping[str, float] | None = None,
    *,
    nullors: bool = True,
    pairs: Mapping[str, Pair] | None = None,
) -> CircuitLaw:
    """Kirchhoff's laws of a circuit, solved for dv/dt.

    Args:
        circuit: the netlist.
        switches: resistance in ohm of each switch at the time in question; infinity for an open one.
        nullors: whether op-amps (subcircuits named opamp...) are nullors, or what their subcircuits say.
        pairs: what the transistor stages amount to, by subcircuit; None: found from their transfer curves.

    Raises:
        ModelFileError: an element without an equation, a node that nothing connects, capacitors and sources in a loop.
    """
    pairs = pairs_of(circuit) if pairs is None else pairs
    keep = {name for name, inner in circuit.subcircuits.items() if nullors and is_opamp(name, inner.ports)}
    elements = list(circuit.flattened(keep | pairs.keys()))
    return _law(NodalSystem(elements, switches or {}, pairs, celsius_of(circuit.parameters)))


def pairs_of(circuit: Netlist) -> dict[str, Pair]:
    """The subcircuits named tanh... or relu..., with transistors or diodes inside, as the nonlinearity that they amount to."""
    names = {e.value for e in circuit.elements if e.kind == "X" and e.value.startswith(("tanh", "relu"))}
    held = [n for n in sorted(names) if any(e.kind in DEVICES for e in circuit.subcircuits[n].elements)]
    return {
        n: pair_of(circuit, n, celsius_of(circuit.parameters)) for n in held if len(circuit.subcircuits[n].ports) == 2
    }


def _law(system: NodalSystem) -> CircuitLaw:
    for e in system.elements:
        system.add(e)
    n, q, m = len(system.capacitors), len(system.atoms), len(system.inputs)
    starts = {"v": 0, "phi": n, "s": n + q}
    columns = [n + q + m if key == "1" else starts[key[0]] + key[1] for _, key, _ in system.known]
    values, rows = [v for _, _, v in system.known], [row for row, _, _ in system.known]
    X = sp.coo_array((values, (rows, columns)), shape=(system.size, n + q + m + 1))
    y = system.linear_solution(X)
    rates = np.array([y[row] / e.value for e, row in system.capacitors]).reshape(n, n + q + m + 1)
    arguments = [_argument(system, a, e, y) for atom, e in system.atoms for a in atom.arguments]
    return CircuitLaw(
        tuple(e.name for e, _ in system.capacitors),
        tuple(system.inputs),
        tuple(a.function for a, _ in system.atoms),
        tuple(a.name for a, _ in system.atoms),
        tuple(len(a.arguments) for a, _ in system.atoms),
        rates,
        np.array(arguments).reshape(-1, n + q + m + 1),
        system.nodes,
        y[: len(system.nodes)],
    )


def _argument(system: NodalSystem, affine: Affine, e: Element, y: Array) -> Array:
    row = np.zeros(y.shape[1])
    for node, coefficient in affine.items():
        if node == CONSTANT:
            row[-1] += coefficient
        else:
            row += coefficient * y[system.node(node, e)]
    return row

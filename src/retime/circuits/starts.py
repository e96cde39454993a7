"""Where a circuit's voltages begin: every node's, so that op-amps and transistor stages start at rest and not from zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.circuits.dc import celsius_of, voltages_at_rest
from retime.circuits.network import CircuitNetwork
from retime.circuits.nodal import pairs_of
from retime.circuits.stamps import NULLOR
from retime.core.arrays import Array


def initial_voltages(circuit: Any, z: Array, s: Array) -> dict[str, float]:
    """Volts by node at the start, of states z `(n,)` under inputs s `(m,)`: of the states alone where everything else follows at once."""
    u = circuit.volts_per_unit
    found = dict(zip(circuit.state_nodes, (z * u).tolist(), strict=True))
    return found if circuit.level == "ideal" else {**all_voltages(circuit, z * u, s * u), **found}


def all_voltages(circuit: Any, v: Array, s: Array) -> dict[str, float]:
    """Every node's voltage where op-amps are ideal, and the voltages inside of op-amps and of transistor stages."""
    network = CircuitNetwork(circuit.law)
    given = dict(zip(circuit.state_names, v.tolist(), strict=True))
    v = np.array([given.get(name, 0.0) for name in circuit.law.states])
    phi = network.shape.values(np, network.parameters, v[None], s[None])[0]
    full = circuit.law.voltages @ np.concatenate([v, phi, s, [1.0]])
    found = {node: float(full[k]) for node, k in circuit.law.nodes.items()}
    stages, celsius = pairs_of(circuit.elements), celsius_of(circuit.elements.parameters)
    for e in circuit.elements.elements:
        if e.kind == "X" and e.value.startswith(NULLOR):
            found[f"{e.name}.p"] = found.get(e.nodes[2], 0.0)
        elif e.kind == "X" and e.value in stages:
            inner = voltages_at_rest(circuit.elements, e.value, found[e.nodes[0]], celsius)
            found |= {f"{e.name}.{node}": volts for node, volts in inner.items()}
    return found


def rest_of_start(circuit: Any, x: Array, z: Array, names: list[str]) -> Array:
    """States of the full network `(b, N)`, filled in where op-amps' own states are: where ideal ones would be for z `(b, n)`."""
    u = circuit.volts_per_unit
    if len(names) == len(circuit.state_names):
        return x
    plus = {e.name: e.nodes[0] for e in circuit.elements.flattened() if e.kind == "C"}
    for row, state in zip(x, z, strict=True):
        volts = all_voltages(circuit, state * u, np.zeros(len(circuit.law.inputs)))
        for k, name in enumerate(names):
            if name not in circuit.state_names:
                row[k] = volts.get(plus[name], 0.0) / u
    return x

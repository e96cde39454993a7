"""Whether what a simulator returned obeys the circuit: the currents into each capacitor step by step, and the curve of each stage.

At a node where only resistors, capacitors and current sources meet, the charge that a step adds is the current that flowed: to the order of the
trapezoidal rule, q(t + h) - q(t) = h (i(t) + i(t + h)) / 2. A stage of transistors or diodes follows its transfer curve, whose own lag is far
below the time constants of the units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from retime.circuits.dc import celsius_of
from retime.circuits.elements import Element, Netlist
from retime.circuits.expressions import NAMED_FUNCTIONS
from retime.circuits.nodal import pairs_of
from retime.circuits.stamps import Pair
from retime.core.arrays import Array

OF_CURRENT, OF_PARTS, OF_CHARGE = 1e-3, 1e-5, 1e-6
"""Allowed of the largest current, of the currents that cancel in it, and of the largest charge."""
OF_CURVE = 0.02
"""Allowed distance of a stage's output from its curve, of its amplitude, at nine of ten times: edges of clocks and inputs pass through it."""
LOOKS = 1000  # times at which stages are looked at


class Laws(NamedTuple):
    """What is checked: at each hub, charge and current as rows of coefficients of the voltages of `nodes`; and stages (name, in, out, curve)."""

    nodes: tuple[str, ...]
    hubs: tuple[str, ...]
    charges: Any
    currents: Any
    constants: Array
    stages: tuple[tuple[str, str, str, Pair], ...]


def laws_of(netlist: Netlist, capacitors: Sequence[str]) -> Laws:
    """The laws of a circuit at the given capacitors, by name; a capacitor without an end where only R, C, G, I meet has none."""
    at: dict[str, list[Element]] = {}
    elements = list(netlist.flattened())
    for e in elements:
        for node in {*e.nodes[: 2 if e.kind != "Q" else 3]} - {"0"}:
            at.setdefault(node, []).append(e)
    wanted = [e for e in elements if e.kind == "C" and e.name in {*capacitors}]
    ends = [next((n for n in e.nodes if n != "0" and {x.kind for x in at[n]} <= set("RCGI")), "") for e in wanted]
    hubs = tuple(dict.fromkeys(n for n in ends if n))
    pairs = pairs_of(netlist)
    stages = tuple((e.name, *e.nodes, pairs[e.value]) for e in netlist.elements if e.kind == "X" and e.value in pairs)
    near = [node for hub in hubs for e in at[hub] for node in e.nodes]
    nodes = tuple(dict.fromkeys(n for n in [*near, *(n for s in stages for n in s[1:3])] if n != "0"))
    index = {name: k for k, name in enumerate(nodes)}
    charges, currents, constants = _Rows(len(nodes)), _Rows(len(nodes)), np.zeros(len(hubs))
    celsius = celsius_of(netlist.parameters)
    for row, hub in enumerate(hubs):
        for e in at[hub]:
            sign = 1.0 if e.nodes[0] == hub else -1.0
            if e.kind == "I":
                constants[row] += sign * e.value.constant
                continue
            ends = e.nodes[2:4] if e.kind == "G" else e.nodes
            value = sign * (e.value if e.kind in "CG" else 1.0 / e.ohm(celsius))
            rows = charges if e.kind == "C" else currents
            rows.add(row, [index.get(n, -1) for n in ends], [value, -value])
    return Laws(nodes, hubs, charges.matrix(len(hubs)), currents.matrix(len(hubs)), constants, stages)


class _Rows:
    """A sparse matrix in the making."""

    def __init__(self, width: int) -> None:
        self.width, self.entries = width, ([], [], [])

    def add(self, row: int, columns: list[int], values: list[float]) -> None:
        for column, value in zip(columns, values, strict=True):
            if column >= 0:
                for held, x in zip(self.entries, (row, column, value), strict=True):
                    held.append(x)

    def matrix(self, height: int) -> Any:
        rows, columns, values = self.entries
        return sp.csr_array((values, (rows, columns)), shape=(height, self.width))


def broken(laws: Laws, times: Array, v: Array, jumps: Array) -> str:
    """What voltages `(k, nodes)` at times `(k,)` break of the laws, in words; "" for nothing. Steps in which an input `jumps` are left out."""
    return _charges(laws, times, v, jumps) or _curves(laws, times, v)


def _charges(laws: Laws, times: Array, v: Array, jumps: Array) -> str:
    h = np.diff(times)
    kept = np.flatnonzero((h > 0) & ~jumps)
    if not laws.hubs or not len(kept):
        return ""
    q, i = (laws.charges @ v.T).T, (laws.currents @ v.T).T + laws.constants
    parts = (abs(laws.currents) @ np.abs(v.T)).max(axis=1) + np.abs(laws.constants)
    defect = np.abs(np.diff(q, axis=0) + 0.5 * h[:, None] * (i[1:] + i[:-1]))[kept]
    most = OF_CURRENT * np.abs(i).max(axis=0) + OF_PARTS * parts
    allowed = h[kept, None] * most + OF_CHARGE * np.abs(q).max(axis=0) + 1e-300
    k, hub = np.unravel_index(int(np.argmax(defect / allowed)), defect.shape)
    if defect[k, hub] <= allowed[k, hub]:
        return ""
    return (
        f"at t = {times[kept[k]]:g} s the charge at the node {laws.hubs[hub]} is off by {defect[k, hub]:.2g} C in one step, where "
        f"{allowed[k, hub]:.2g} are allowed"
    )


def _curves(laws: Laws, times: Array, v: Array) -> str:
    even = np.linspace(times[0], times[-1], LOOKS)  # simulators take most of their steps where something begins
    of = {name: np.interp(even, times, v[:, k]) for k, name in enumerate(laws.nodes)}
    for name, source, out, p in laws.stages:
        x = of[source]
        wanted = p.offset + p.amplitude * NAMED_FUNCTIONS[p.function](p.slope * x)
        size = abs(p.amplitude) * (1.0 if p.function == "tanh" else max(float(np.abs(x).max()), 1e-3))
        off = float(np.quantile(np.abs(of[out] - wanted), 0.9))
        if off > (OF_CURVE + p.misfit) * size:
            return f"the stage {name} is {off:.2g} V off its own curve, whose amplitude is {size:.3g} V"
    return ""

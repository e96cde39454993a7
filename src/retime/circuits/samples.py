"""A circuit with components that are not what their labels say: values within a tolerance, offset voltages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from retime.circuits.dc import celsius_of, pair_of
from retime.circuits.derivation import derive
from retime.circuits.elements import Element, Netlist, Note, Source, Subcircuit
from retime.circuits.form import NetworkForm
from retime.circuits.nodal import pairs_of
from retime.circuits.stamps import is_opamp
from retime.core.arrays import Array

VARIED = "RCGE"


@dataclass(frozen=True)
class Spread:
    """What varies.

    Attributes:
        values: names of elements. inner: (instance, element). offsets: names of op-amps. inner_offsets: (instance, source).
    """

    values: tuple[str, ...]
    inner: tuple[tuple[str, str], ...]
    offsets: tuple[str, ...]
    inner_offsets: tuple[tuple[str, str], ...]

    @property
    def names(self) -> list[str]:
        """Of all, in the order of a sample."""
        inner = [f"{a}.{b}" for a, b in self.inner]
        return [
            *self.values,
            *inner,
            *(f"offset of {n}" for n in self.offsets),
            *(f"offset {a}.{b}" for a, b in self.inner_offsets),
        ]

    def draw(self, num: int, tolerance: float, offset: float, seed: int) -> Array:
        """`(num, parts)`: relative deviations, uniform within the tolerance, and offsets in volts, uniform within +-offset."""
        u = np.random.default_rng(seed).uniform(-1.0, 1.0, size=(num, len(self.names)))
        relative = len(self.values) + len(self.inner)
        return u * np.where(np.arange(u.shape[1]) < relative, tolerance, offset)


def spread_of(circuit: Netlist) -> Spread:
    """What varies in a circuit: inverters and buffers of controlled sources, clocks, references and inputs do not."""
    values = tuple(e.name for e in circuit.elements if e.kind in VARIED and not (e.kind == "E" and abs(e.value) == 1.0))
    stages = pairs_of(circuit)
    instances = [e for e in circuit.elements if e.kind == "X" and e.value in stages]
    inner = tuple((x.name, e.name) for x in instances for e in circuit.subcircuits[x.value].elements if e.kind == "R")
    sources = tuple((x.name, e.name) for x in instances for e in circuit.subcircuits[x.value].elements if _is_offset(e))
    opamps = {n for n, s in circuit.subcircuits.items() if is_opamp(n, s.ports)}
    return Spread(
        values, inner, tuple(e.name for e in circuit.elements if e.kind == "X" and e.value in opamps), sources
    )


def _is_offset(e: Element) -> bool:
    return e.kind == "V" and isinstance(e.value, Source) and e.value == Source(0.0)


def sampled_netlist(circuit: Netlist, spread: Spread, row: Array) -> Netlist:
    """The circuit with the deviations of one sample `(parts,)`: a stage whose parts vary gets a subcircuit of its own."""
    given = dict(zip(spread.names, row.tolist(), strict=True))
    offsets = {n: given[f"offset of {n}"] for n in spread.offsets}
    body: list[Element | Note] = []
    subcircuits = dict(circuit.subcircuits)
    stages = {a for a, _ in spread.inner}
    for e in circuit.body:
        if isinstance(e, Note):
            body.append(e)
        elif e.name in stages:
            subcircuits[f"{e.value}_{e.name}"] = _varied(circuit.subcircuits[e.value], e.name, given)
            body.append(e._replace(value=f"{e.value}_{e.name}"))
        elif e.name in offsets:
            body += [
                Element("V", f"vos_{e.name}", (f"os_{e.name}", e.nodes[0]), Source(offsets[e.name])),
                e._replace(nodes=(f"os_{e.name}", *e.nodes[1:])),
            ]
        elif e.name in given:
            body.append(e._replace(value=e.value * (1.0 + given[e.name])))
        else:
            body.append(e)
    return replace(circuit, body=tuple(body), subcircuits=subcircuits)


def _varied(stage: Subcircuit, instance: str, given: Mapping[str, float]) -> Subcircuit:
    def vary(e: Element | Note) -> Element | Note:
        if isinstance(e, Note):
            return e
        if e.kind == "R":
            return e._replace(value=e.value * (1.0 + given[f"{instance}.{e.name}"]))
        return e._replace(value=Source(given[f"offset {instance}.{e.name}"])) if _is_offset(e) else e

    return Subcircuit(stage.ports, tuple(vary(e) for e in stage.body))


class SampledForms:
    """The networks of samples by Kirchhoff's laws; transistor stages by the slopes of their fitted curve in the values of their parts."""

    def __init__(self, circuit: Netlist, spread: Spread) -> None:
        self.circuit, self.spread = circuit, spread
        self.nominal = pairs_of(circuit)
        self.slopes = {name: self.stage_slopes(name) for name in self.nominal}
        self.stages = {e.name: e.value for e in circuit.elements if e.kind == "X" and e.value in self.nominal}

    def stage_slopes(self, name: str) -> dict[str, Array]:
        """By part: d(offset, amplitude, slope) per relative deviation, or per volt of an offset."""
        stage, base = self.circuit.subcircuits[name], np.array(self.nominal[name][:3])
        found = {}
        for e in stage.elements:
            if e.kind != "R" and not _is_offset(e):
                continue
            h = 1e-3
            value = Source(h) if e.kind == "V" else e.value * (1.0 + h)
            body = tuple(
                x._replace(value=value) if isinstance(x, Element) and x.name == e.name else x for x in stage.body
            )
            other = replace(self.circuit, subcircuits={**self.circuit.subcircuits, name: Subcircuit(stage.ports, body)})
            found[e.name] = (np.array(pair_of(other, name, celsius_of(self.circuit.parameters))[:3]) - base) / h
        return found

    def form(self, row: Array) -> NetworkForm:
        """The network of one sample."""
        netlist = sampled_netlist(self.circuit, self.spread, row)
        given = dict(zip(self.spread.names, row.tolist(), strict=True))
        pairs = {}
        for instance, stage in self.stages.items():
            changed = np.array(self.nominal[stage][:3])
            for part, slope in self.slopes[stage].items():
                changed = changed + slope * given.get(f"{instance}.{part}", given.get(f"offset {instance}.{part}", 0.0))
            pairs[f"{stage}_{instance}"] = self.nominal[stage]._replace(
                offset=float(changed[0]), amplitude=float(changed[1]), slope=float(changed[2])
            )
        return derive(netlist, pairs=pairs or None).form

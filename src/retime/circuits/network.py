"""Kirchhoff's laws of any netlist as a model: also of one whose parts make it another than the network it was built from."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
from scipy.sparse.csgraph import connected_components

from retime.circuits.expressions import Expression
from retime.circuits.nodal import CircuitLaw
from retime.core.arrays import Array
from retime.core.equation import Equation
from retime.core.errors import ModelFileError
from retime.core.system import SmoothSystem
from retime.core.time import CONTINUOUS, TimeBase


@dataclass(frozen=True, eq=False, repr=False)
class CircuitNetwork(SmoothSystem):
    """The voltages of a circuit's capacitors, in units of the model.

    dz/dt = (seconds / volts) K(volts z, volts s),   K from Kirchhoff's laws, dv/dt in volts per second

    Args:
        law: Kirchhoff's laws, solved for dv/dt; `shape` follows from it. volts, seconds: per unit of state and of model time, > 0.
        time: `Continuous()`. readout: as for every model.

    Raises:
        ModelFileError: nonlinear sources that read each other in a circle.
    """

    family: ClassVar[str] = "circuit"

    law: CircuitLaw
    volts: float = 1.0
    seconds: float = 1.0
    shape: LawShape = field(init=False, compare=False)
    _: KW_ONLY
    time: TimeBase = CONTINUOUS

    def __post_init__(self) -> None:
        self._set(shape=shape_of(self.law))
        self._finish()

    @property
    def num_states(self) -> int:
        """n, the number of capacitors."""
        return len(self.law.states)

    @property
    def num_inputs(self) -> int:
        """m, the number of input sources."""
        return len(self.law.inputs)

    @property
    def parameters(self) -> dict[str, Array]:
        """The law in units of the model, as the equation takes it."""
        A, W1, C1, h1 = (self.seconds * x for x in self.law.split(self.law.rates))
        W2, D, C2, h2 = self.law.split(self.law.arguments)
        u = self.volts
        return {"A": A, "W1": W1 / u, "C1": C1, "h1": h1 / u, "W2": W2 * u, "D": D, "C2": C2 * u, "h2": h2}

    def _equation(self) -> Equation:
        return Equation(self.shape, self.parameters)

    def _details(self) -> list[str]:
        return [f"{len(self.law.functions)} nonlinear sources"]


@dataclass(frozen=True)
class LawShape:
    """Which functions take which arguments, and how often they must be evaluated until those that read others are right."""

    groups: tuple[tuple[Expression, tuple[tuple[int, ...], ...], tuple[int, ...]], ...]
    count: int
    layers: int

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        """dz/dt `(..., n)` at z `(..., n)` and s `(..., m)`."""
        return z @ p["A"].T + s @ p["C1"].T + p["h1"] + self.values(xp, p, z, s) @ p["W1"].T

    def values(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        """The values of the functions `(..., q)`."""
        base = z @ p["W2"].T + s @ p["C2"].T + p["h2"]
        phi = self.of(xp, base)
        for _ in range(self.layers - 1):
            phi = self.of(xp, base + phi @ p["D"].T)
        return phi

    def of(self, xp: Any, arguments: Any) -> Any:
        """The functions of their arguments `(..., a)`."""
        if not self.groups:
            return xp.zeros((*arguments.shape[:-1], 0))
        if len(self.groups) == 1 and len(self.groups[0][1]) == 1:
            return self.groups[0][0].evaluate(xp, [arguments])
        parts, order = [], []
        for f, columns, members in self.groups:
            parts.append(f.evaluate(xp, [arguments[..., np.array(c)] for c in columns]))
            order += members
        return xp.concatenate(parts, axis=-1)[..., np.argsort(order)]


def shape_of(law: CircuitLaw) -> LawShape:
    """Group equal functions, and count the layers in which they read each other.

    Raises:
        ModelFileError: some read each other in a circle.
    """
    q = len(law.functions)
    starts = np.concatenate([[0], np.cumsum(law.counts)]).astype(int)
    _, D, _, _ = law.split(law.arguments)
    reads = np.zeros((q, q), dtype=int)
    for k in range(q):
        rows = np.abs(D[starts[k] : starts[k + 1]])
        if rows.size:
            reads[k] = (rows > 1e-13 * np.abs(law.arguments[starts[k] : starts[k + 1]]).max(initial=1e-300)).any(axis=0)
    order = sorted(range(q), key=lambda k: (str(law.functions[k]), k))
    groups = []
    for _, members in groupby(order, key=lambda k: str(law.functions[k])):
        ks = list(members)
        columns = tuple(tuple(int(starts[k] + c) for k in ks) for c in range(law.counts[ks[0]]))
        groups.append((law.functions[ks[0]], columns, tuple(ks)))
    return LawShape(tuple(groups), q, _layers(reads))


def _layers(reads: Array) -> int:
    q = len(reads)
    if not reads.any():
        return 1
    count, _ = connected_components(reads, connection="strong")
    if count < q or np.diagonal(reads).any():
        raise ModelFileError(
            "line 1: nonlinear sources of this netlist read each other in a circle without a capacitor; no equation of motion is derived."
        )
    depth = np.ones(q, dtype=int)
    for _ in range(q):
        deeper = np.array([1 + max((depth[j] for j in np.flatnonzero(row)), default=0) for row in reads])
        if (deeper == depth).all():
            break
        depth = deeper
    return int(depth.max())

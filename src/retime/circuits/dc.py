"""What a subcircuit with transistors or diodes does at rest: its transfer curve by Newton's method, and the nonlinearity that it amounts to.

Transistors follow Ebers and Moll's transport equations with an Early voltage, as SPICE has them at low frequency:
ic = IS (e^(vbe/Vt) - e^(vbc/Vt)) (1 - vbc/VAF) - IS/BR (e^(vbc/Vt) - 1), ib = IS/BF (e^(vbe/Vt) - 1) + IS/BR (e^(vbc/Vt) - 1).
Diodes follow Shockley's: i = IS (e^(v/(N Vt)) - 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from retime.circuits.elements import NOMINAL, Element, Model, Netlist, Source, Subcircuit
from retime.circuits.stamps import GROUND, NodalSystem, Pair, is_opamp
from retime.core.arguments import is_number
from retime.core.arrays import Array
from retime.core.errors import ConvergenceError

BOLTZMANN_PER_CHARGE = 8.617333262e-5  # volt per kelvin
BAND_GAP = 1.11  # electron volt, SPICE's default
GMIN = 1e-12
DEVICES = "QD"  # elements that only Newton's method solves for
SWING = 5.0  # volts to both sides, over which a rectifier's curve is fitted


def saturation_current(model: Model, celsius: float) -> float:
    """IS at a temperature: IS (T/Tn)^(3/N) exp((T/Tn - 1) Eg / (N Vt)), N = 1 for transistors."""
    T, nominal, N = celsius + 273.15, NOMINAL + 273.15, model.parameters.get("n", 1.0)
    hotter = (T / nominal) ** 3 * np.exp((T / nominal - 1) * BAND_GAP / (BOLTZMANN_PER_CHARGE * T))
    return float(model.parameters.get("is", 1e-14 if model.kind == "d" else 1e-16) * hotter ** (1.0 / N))


def pair_of(circuit: Netlist, name: str, celsius: float) -> Pair:
    """The nonlinearity that a subcircuit (in, out) amounts to at a temperature, fitted to its transfer curve.

    A name that begins with tanh: over three units of its slope; with relu: over `SWING` volts to both sides.
    """
    needed = _closure(circuit, name)
    subcircuits = tuple((n, circuit.subcircuits[n]) for n in needed)
    models = tuple((n, m.kind, tuple(sorted(m.parameters.items()))) for n, m in circuit.models.items())
    return _fitted(name, subcircuits, models, celsius)


def _closure(circuit: Netlist, name: str) -> list[str]:
    found = [name]
    for outer in found:
        found += [e.value for e in circuit.subcircuits[outer].elements if e.kind == "X" and e.value not in found]
    return found


@lru_cache(maxsize=256)
def _fitted(name: str, subcircuits: tuple[tuple[str, Subcircuit], ...], models: tuple, celsius: float) -> Pair:
    circuit = Netlist("", (), dict(subcircuits), {n: Model(kind, dict(p)) for n, kind, p in models})
    return _rectifier(circuit, name, celsius) if name.startswith("relu") else _tanh(circuit, name, celsius)


def _rectifier(circuit: Netlist, name: str, celsius: float) -> Pair:
    """offset + amplitude max(V, 0)."""
    inputs = np.linspace(-SWING, SWING, 41)
    curve = transfer(circuit, name, inputs, celsius)
    basis = np.column_stack([np.ones(len(inputs)), np.maximum(inputs, 0.0)])
    (offset, amplitude), *_ = np.linalg.lstsq(basis, curve)
    misfit = np.abs(basis @ [offset, amplitude] - curve).max() / (abs(amplitude) * SWING)
    return Pair(float(offset), float(amplitude), 1.0, float(misfit), "relu")


def _tanh(circuit: Netlist, name: str, celsius: float) -> Pair:
    """offset + amplitude tanh(slope V)."""
    probe = np.array([-1e-3, 1e-3])
    low, high = transfer(circuit, name, probe, celsius)
    end = float(transfer(circuit, name, np.array([20.0]), celsius)[0]) or 1.0
    slope = (high - low) / 2e-3 / end
    inputs = np.linspace(-3.0, 3.0, 31) / slope
    curve = transfer(circuit, name, inputs, celsius)
    fit = least_squares(
        lambda p: p[0] * end + end * p[1] * np.tanh(slope * p[2] * inputs) - curve,
        [0.0, 1.0, 1.0],
        xtol=1e-12,
        ftol=1e-12,
        x_scale=[0.01, 1, 1],
    )
    c, a, b = fit.x
    return Pair(float(c * end), float(a * end), float(b * slope), float(np.abs(fit.fun).max() / abs(a * end)))


def voltages_at_rest(circuit: Netlist, name: str, volts: float, celsius: float) -> dict[str, float]:
    """The voltages inside of a subcircuit (in, out) with `volts` at its input, by node; of an op-amp in it also that of its pole."""
    rest = _driven(circuit, name, celsius)
    y = rest.solve(rest.start(), 0.0, 1.0)
    for share in (0.25, 0.5, 0.75, 1.0):
        y = rest.solve(y, share * volts, 1.0)
    found = {node.partition(".")[2]: float(y[k]) for node, k in rest.nodes.items() if "." in node}
    for e in circuit.subcircuits[name].elements:
        if e.kind == "X":
            found[f"{e.name}.p"] = float(y[rest.nodes["out"]]) if e.nodes[2] == "out" else found[e.nodes[2]]
    return found


def _driven(circuit: Netlist, name: str, celsius: float) -> _Rest:
    drive = Element("V", "vdrive", ("in", "0"), Source())
    return _Rest(replace(circuit, body=(drive, Element("X", "xblock", ("in", "out"), name))), celsius)


def transfer(circuit: Netlist, name: str, volts: Array, celsius: float) -> Array:
    """The voltage of the port `out` for each voltage at the port `in`, at rest.

    Raises:
        ConvergenceError: Newton's method did not find the state of rest.
    """
    rest = _driven(circuit, name, celsius)
    y = rest.start()
    found = np.empty(len(volts))
    order = np.argsort(np.abs(volts))
    near: dict[int, Array] = {0: y}
    for k in order:
        sign = int(np.sign(volts[k]))
        y = rest.solve(near.get(sign, near[0]), float(volts[k]), 1.0)
        near[sign] = y
        found[k] = y[rest.nodes["out"]]
    return found


class _Rest:
    """M y + currents of transistors and diodes = right-hand side; op-amps are nullors."""

    def __init__(self, circuit: Netlist, celsius: float) -> None:
        self.thermal = BOLTZMANN_PER_CHARGE * (celsius + 273.15)
        self.M, self.constant, self.nodes, devices, self.driven = _linear_part(circuit, "vdrive", celsius)
        self.size = len(self.M)
        self.M[np.arange(len(self.nodes)), np.arange(len(self.nodes))] += GMIN
        index = {**self.nodes, "0": self.size}
        diodes = [e for e in devices if e.kind == "D"]
        self.joined = np.array([[index[n] for n in e.nodes] for e in diodes], dtype=int).reshape(-1, 2)
        self.leakage = np.array([saturation_current(circuit.models[e.value], celsius) for e in diodes])
        self.emission = np.array([circuit.models[e.value].parameters.get("n", 1.0) for e in diodes])
        transistors = [e for e in devices if e.kind == "Q"]
        self.ends = np.array([[index[n] for n in e.nodes] for e in transistors], dtype=int).reshape(-1, 3)
        models = [circuit.models[e.value] for e in transistors]
        self.sign = np.array([1.0 if m.kind == "npn" else -1.0 for m in models])
        self.IS = np.array([saturation_current(m, celsius) for m in models])
        self.BF, self.BR, self.VA = (
            np.array([m.parameters.get(key, default) for m in models])
            for key, default in (("bf", 100.0), ("br", 1.0), ("vaf", np.inf))
        )

    def start(self) -> Array:
        """From nothing to full supplies in steps."""
        y = np.zeros(self.size)
        for share in np.linspace(0.0, 1.0, 21)[1:]:
            y = self.solve(y, 0.0, float(share))
        return y

    def solve(self, y: Array, volts: float, share: float) -> Array:
        wanted = share * self.constant
        wanted[self.driven] += volts
        for _ in range(500):
            F, J = self.M @ y - wanted, self.M.copy()
            self.add_devices(y, F, J)
            step = np.linalg.solve(J, -F)
            largest = np.abs(step[: len(self.nodes)]).max(initial=0.0)
            y = y + step * min(1.0, 0.3 / max(largest, 1e-300))
            if largest < 1e-11:
                return y
        raise ConvergenceError("The state of rest of a transistor stage was not found in 500 steps of Newton's method.")

    def add_devices(self, y: Array, F: Array, J: Array) -> None:
        v = np.append(y, 0.0)
        self.add_diodes(v, F, J)
        c, b, e = self.ends.T
        vbe, vbc = self.sign * (v[b] - v[e]), self.sign * (v[b] - v[c])
        (ebe, gbe), (ebc, gbc) = (self.diode(x) for x in (vbe, vbc))
        early = 1.0 - vbc / self.VA
        ic = self.IS * ((ebe - ebc) * early - ebc / self.BR)
        ib = self.IS * (ebe / self.BF + ebc / self.BR)
        ic_be, ic_bc = self.IS * gbe * early, self.IS * (-gbc * early - (ebe - ebc) / self.VA - gbc / self.BR)
        ib_be, ib_bc = self.IS * gbe / self.BF, self.IS * gbc / self.BR
        for rows, current, be, bc in (
            (c, ic, ic_be, ic_bc),
            (b, ib, ib_be, ib_bc),
            (e, -ic - ib, -ic_be - ib_be, -ic_bc - ib_bc),
        ):
            self.put(F, J, rows, self.sign * current, ((b, be + bc), (e, -be), (c, -bc)))

    def add_diodes(self, v: Array, F: Array, J: Array) -> None:
        a, k = self.joined.T
        current, slope = self.diode(v[a] - v[k], self.emission)
        for rows, sign in ((a, self.leakage), (k, -self.leakage)):
            self.put(F, J, rows, sign * current, ((a, sign * slope), (k, -sign * slope)))

    def put(self, F: Array, J: Array, rows: Array, current: Array, slopes: Any) -> None:
        inner = rows < self.size
        np.add.at(F, rows[inner], current[inner])
        for columns, slope in slopes:
            both = inner & (columns < self.size)
            np.add.at(J, (rows[both], columns[both]), slope[both])

    def diode(self, v: Array, emission: Any = 1.0) -> tuple[Array, Array]:
        """e^(v/(N Vt)) - 1 and its slope, continued by a straight line where it would overflow."""
        x = v / (emission * self.thermal)
        top = np.exp(np.minimum(x, 60.0))
        return top * (1.0 + np.maximum(x - 60.0, 0.0)) - 1.0, top / (emission * self.thermal)


def _linear_part(
    circuit: Netlist, drive: str, celsius: float
) -> tuple[Array, Array, Mapping[str, int], list[Element], int]:
    """M and the constants of a circuit at rest whose op-amps are nullors: with its nodes, its devices, and the row of a source."""
    keep = {name for name, inner in circuit.subcircuits.items() if is_opamp(name, inner.ports)}
    elements = list(circuit.flattened(keep))
    nodal = NodalSystem(elements, {}, {}, celsius)
    row = -1
    for e in elements:
        if e.kind in DEVICES:
            continue
        nodal.add(e)
        row = nodal.size - 1 if e.name == drive else row
    M, constant = np.zeros((nodal.size, nodal.size)), np.zeros(nodal.size)
    for i, j, value in zip(nodal.rows, nodal.columns, nodal.values, strict=True):
        if GROUND not in (i, j):
            M[i, j] += value
    for i, key, value in nodal.known:
        constant[i] += value if key == "1" else 0.0
    return M, constant, nodal.nodes, [e for e in elements if e.kind in DEVICES], row


def celsius_of(parameters: Mapping[str, float]) -> float:
    """The temperature that a netlist names, 27 by default."""
    return parameters.get("temperature", NOMINAL)


def celsius(value: Any) -> float:
    """A temperature at which silicon works.

    Raises:
        ValueError: not a number from -100 to 200.
    """
    if not is_number(value) or not -100.0 <= value <= 200.0:
        raise ValueError(f"`temperature` is {value!r}; it must be a number of degrees Celsius from -100 to 200.")
    return float(value)

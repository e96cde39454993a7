"""What the SPICE backends share: the deck that is handed over, the step, the guards, and states at the times asked for.

A deck is always written from the elements, never from a user's text. Source of the settings: measured, docs/theory/circuits.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from retime.circuits.backends.kirchhoff import follow, full_network
from retime.circuits.backends.laws import broken
from retime.circuits.dc import celsius_of
from retime.circuits.dialects import ngspice as dialect
from retime.circuits.elements import Element, Netlist, Source
from retime.circuits.runs import Run
from retime.circuits.starts import initial_voltages
from retime.core.arrays import Array
from retime.core.errors import SimulatorError

OPTIONS = {"reltol": 1e-6, "abstol": 1e-15, "vntol": 1e-9, "trtol": 1.0}
ACCURACY = {"ideal": 2e-6}  # of the range, what the step of the trapezoidal rule is chosen for
ACCURACY_OF_PARTS = 1e-4  # where parts themselves do no better
LEAST_STEPS, MOST_STEPS = 200, 200_000
PATIENCE = 60.0  # seconds of estimated work, above which it has to be asked for
LOG_LINES = 12


@dataclass(frozen=True)
class Deck:
    """What a simulator is asked: the netlist without directives, the largest step and the end (seconds), nodes to keep, devices it must have."""

    netlist: Netlist
    step: float
    end: float
    nodes: tuple[str, ...]
    devices: frozenset[str]
    celsius: float

    @property
    def options(self) -> dict[str, float]:
        """Tolerances, and the temperature."""
        return {**OPTIONS, "temp": self.celsius}

    def text(self, *directives: str) -> str:
        """The netlist as SPICE reads it."""
        options = ".options method=trap " + " ".join(f"{k}={v!r}" for k, v in self.options.items())
        return dialect.written(self.netlist, directives=(options, *directives))


class Answer(NamedTuple):
    """Times `(k,)` in seconds, voltages `(k, nodes)`, names of the devices that were simulated, and the last lines that were printed."""

    times: Array
    voltages: Array
    devices: frozenset[str]
    log: str


def solve(circuit: Any, run: Run, ask: Any, name: str) -> Array:
    """States `(T, b, n)` at the times of a run, by `ask(deck, timeout)`.

    Raises:
        SimulatorError: it would take over a minute and no timeout is given; or what it answers fails a guard.
    """
    pieces = [_one(circuit, Run(z[None], run.times, run.inputs, run.timeout), ask, name) for z in run.z0]
    return np.stack(pieces, axis=1)


def _one(circuit: Any, run: Run, ask: Any, name: str) -> Array:
    volts, seconds = circuit.volts_per_unit, circuit.seconds_per_unit
    if run.length == 0.0:
        return run.z0
    sampled = circuit.topology == "sampled"
    _check_cost(
        circuit, run.length / (circuit.period / 50.0 / seconds if sampled else longest_step(circuit, run)), run, name
    )
    step = (circuit.period / 50.0) if sampled else _step(circuit, run) * seconds
    deck = deck_of(circuit, run, step)
    _check_cost(circuit, deck.end / deck.step, run, name)
    answer = ask(deck, run.timeout)
    check_answer(deck, answer, name)
    check_laws(circuit, deck, answer, name)
    answer = answer._replace(voltages=answer.voltages[:, : len(circuit.state_nodes)])
    times, v = _whole(answer, run.z0[0] * volts)
    z = v / volts
    at = (run.times - run.times[0]) * seconds
    if sampled:
        return np.column_stack([np.interp(at, times, column) for column in z.T])
    return _interpolated(circuit, run, times, z, at)


def _whole(answer: Answer, start: Array) -> tuple[Array, Array]:
    """With t = 0, which simulators leave out when they start from given voltages; each time once."""
    times, v = answer.times, answer.voltages
    if times[0] > 0.0:
        times, v = np.append(0.0, times), np.vstack([start, v])
    else:
        v = v.copy()
        v[0] = start
    rising = np.append(True, np.diff(times) > 0)
    return times[rising], v[rising]


def _step(circuit: Any, run: Run) -> float:
    """The step, in model time, whose trapezoidal error over the run is that of `ACCURACY`: h^2 / 12 times the integral of |z'''|."""
    network, rows, start = full_network(circuit)
    fastest = circuit.fastest_time_constant
    count = int(np.clip(run.length / fastest * 20, 200, 4000))
    grid = np.linspace(run.times[0], run.times[-1], count + 1)
    orbit = follow(network, start(run.z0), Run(run.z0, grid, run.inputs, None), tolerance=1e-7)[:, 0]
    slopes = network.shape(np, network.parameters, orbit, np.array([run.inputs(t) for t in grid]))[:, rows]
    h = grid[1] - grid[0]
    third = np.abs(np.diff(slopes, 2, axis=0)).max(axis=1).sum() / h  # integral of |z'''|
    size = max(float(np.abs(orbit[:, rows]).max()), 1e-12)
    wanted = ACCURACY.get(circuit.level, ACCURACY_OF_PARTS)
    most = longest_step(circuit, run)
    best = np.sqrt(12.0 * wanted * size / third) if third > 0 else most
    return float(np.clip(best, min(run.length / MOST_STEPS, most), most))


def deck_of(circuit: Any, run: Run, step: float) -> Deck:
    """The circuit with its start and its inputs, for one run."""
    seconds = circuit.seconds_per_unit
    end = run.length * seconds
    shapes = sources_of(run, circuit.volts_per_unit, seconds, step, circuit.period)
    netlist = circuit.elements.with_values(shapes)
    initial = initial_voltages(
        circuit, run.z0[0], run.inputs(float(run.times[0])) if run.inputs.num_inputs else np.zeros(0)
    )
    netlist = Netlist(netlist.title, netlist.body, netlist.subcircuits, netlist.models, {}, initial)
    nodes = tuple(dict.fromkeys([*circuit.state_nodes, *circuit.checked_laws.nodes]))
    return Deck(netlist, step, end, nodes, devices_of(netlist), celsius_of(circuit.elements.parameters))


def devices_of(netlist: Netlist) -> frozenset[str]:
    """The names that a simulator gives the devices: those of subcircuits as instance.name."""
    return frozenset(_device(e) for e in netlist.flattened())


def _device(e: Element) -> str:
    own, dot, path = e.name.partition(".")
    return f"{path}.{own}" if dot else own


def sources_of(run: Run, volts: float, seconds: float, step: float, period: float) -> dict[str, Source]:
    """The input sources as points in time; a held input jumps within a thousandth of the step, in a sampled circuit as a period begins."""
    if not run.inputs.num_inputs:
        return {}
    points = [
        _points(run, k, volts, seconds, min(1e-3 * step, 1e-3 * period if period else np.inf))
        for k in range(run.inputs.num_inputs)
    ]
    return {f"vin{k + 1}": Source(p[0][1], None, p if len(p) > 1 else ()) for k, p in enumerate(points)}


def _points(run: Run, k: int, volts: float, seconds: float, edge: float) -> tuple[tuple[float, float], ...]:
    inputs, t0, end = run.inputs, float(run.times[0]), run.length * seconds
    found = [(0.0, float(inputs(t0)[k]) * volts)]
    for i, t in enumerate(inputs.times):
        at, value = (float(t) - t0) * seconds, float(inputs.values[i, k]) * volts
        if not 0.0 < at < end:
            continue
        if inputs.hold == "zero":
            if value == found[-1][1]:
                continue
            found.append((at - edge / 2, found[-1][1]))
            at += edge / 2
        found.append((at, value))
    if inputs.hold == "linear":
        found.append((end, float(inputs(float(run.times[-1]))[k]) * volts))
    return tuple(found)


def longest_step(circuit: Any, run: Run) -> float:
    """The longest step, model time, that is ever taken: a part of the fastest time constant, and of the run."""
    return min(circuit.fastest_time_constant / (50.0 if circuit.level == "ideal" else 20.0), run.length / LEAST_STEPS)


def _check_cost(circuit: Any, steps: float, run: Run, name: str) -> None:
    """Refuse what would take over a minute, unless the time it may take was given."""
    n = circuit.form.num_states
    estimate = 3.0 * (max(n, 10) / 50.0) ** 2.2 * steps / 2000.0
    if estimate > PATIENCE and run.timeout is None:
        raise SimulatorError(
            f"{name} would take about {estimate:.0f} s for {n} units and {steps:.0f} steps. "
            'backend="kirchhoff" solves the same equations in a fraction of that; to run the simulator all the same, say how many seconds it '
            "may take with `timeout`.",
            circuit.netlist(),
        )


def check_answer(deck: Deck, answer: Answer, name: str) -> None:
    """The devices are those that were written, all values are finite, and the last time was reached.

    Raises:
        SimulatorError: which of these fails.
    """
    missing, extra = deck.devices - answer.devices, answer.devices - deck.devices
    if missing or extra:
        what = f"left out {', '.join(sorted(missing)[:5])}" if missing else f"added {', '.join(sorted(extra)[:5])}"
        raise SimulatorError(
            f"{name} {what} of the {len(deck.devices)} devices of the netlist; its answer is of another circuit.",
            deck.text(),
            answer.log,
        )
    if not len(answer.times) or answer.times[-1] < deck.end * (1 - 1e-6):
        reached = float(answer.times[-1]) if len(answer.times) else 0.0
        raise SimulatorError(
            f'{name} reached t = {reached:g} s of {deck.end:g} s: it did not converge. Try backend="kirchhoff", or slower parts.',
            deck.text(),
            answer.log,
        )
    if not np.isfinite(answer.voltages).all():
        raise SimulatorError(f"{name} returned voltages that are not finite.", deck.text(), answer.log)


def check_laws(circuit: Any, deck: Deck, answer: Answer, name: str) -> None:
    """The currents of each step and the stages' curves are those of the netlist.

    Raises:
        SimulatorError: where they are not.
    """
    laws = circuit.checked_laws
    columns = [deck.nodes.index(n) for n in laws.nodes]
    inputs = [k for k, n in enumerate(laws.nodes) if n[:1] == "s" and n[1:].isdigit()]
    v = answer.voltages[:, columns]
    jumps = (np.diff(v[:, inputs], axis=0) != 0).any(axis=1)
    told = broken(laws, answer.times, v, jumps)
    if told:
        raise SimulatorError(f"What {name} returned breaks Kirchhoff's laws: {told}.", deck.text(), answer.log)


def _interpolated(circuit: Any, run: Run, times: Array, z: Array, at: Array) -> Array:
    """Cubic Hermite interpolation with the circuit's own derivative where no input jumps; of op-amps and transistors by straight lines."""
    if circuit.level != "ideal":
        return np.column_stack([np.interp(at, times, column) for column in z.T])
    network, t = circuit.full_network, times / circuit.seconds_per_unit
    s = np.array([run.inputs(x) for x in run.times[0] + t]).reshape(len(t), -1)
    slopes = network.shape(np, network.parameters, z, s)
    steady = np.ones(len(t) - 1, dtype=bool)
    if run.inputs.hold == "zero":
        steady = (s[1:] == s[:-1]).all(axis=1)
    asked = np.clip(at / circuit.seconds_per_unit, t[0], t[-1])
    straight = np.column_stack([np.interp(asked, t, column) for column in z.T])
    smooth = CubicHermiteSpline(t, z, slopes)(asked)
    return np.where(steady[np.clip(np.searchsorted(t, asked) - 1, 0, len(t) - 2)][:, None], smooth, straight)

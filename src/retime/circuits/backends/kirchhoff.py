"""Our own solver of the equations that Kirchhoff's laws give: batched, any size, no SPICE needed.

Flows: LSODA for stiff circuits (op-amps with poles), DOP853 otherwise, to 1e-10 per step. Sampled circuits: within a phase of the clock the
linear part is followed exactly and the nonlinear sources by their values and slopes (exponential Runge-Kutta of second order), with
steps that are halved until they no longer matter.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from retime.circuits.clock import clock_of
from retime.circuits.derivation import scale_of
from retime.circuits.elements import Netlist
from retime.circuits.network import CircuitNetwork
from retime.circuits.nodal import solve_circuit
from retime.circuits.runs import Run
from retime.circuits.starts import rest_of_start
from retime.core.arrays import Array
from retime.core.errors import ConvergenceError
from retime.core.inputs import Inputs

TOLERANCE = 1e-10  # of a solver, relative and absolute
SETTLED = 1e-9  # a phase is followed finely enough when halving its steps changes less, relative to the range


def is_installed() -> bool:
    """Always."""
    return True


def solve(circuit: Any, run: Run) -> Array:
    """States `(T, b, n)` of a circuit at the times of a run, units of the model."""
    if circuit.topology == "sampled":
        return _sampled(circuit.elements, circuit.state_names, run)
    network, rows, start = full_network(circuit)
    return follow(network, start(run.z0), run)[:, :, rows]


def full_network(circuit: Any) -> tuple[CircuitNetwork, Array, Any]:
    """Kirchhoff's laws with op-amps as their subcircuits say, which of its states are the network's, and a start `(b, N)` from `(b, n)`."""
    network = circuit.full_network
    names = list(network.law.states)
    rows = np.array([names.index(name) for name in circuit.state_names])

    def start(z: Array) -> Array:
        x = np.zeros((len(z), network.num_states))
        x[:, rows] = z
        return rest_of_start(circuit, x, z, names)

    return network, rows, start


def follow(network: CircuitNetwork, z: Array, run: Run, *, tolerance: float = TOLERANCE) -> Array:
    """States `(T, b, N)` of a network of laws from z `(b, N)`, restarted where a held input jumps."""
    p, f, shape = network.parameters, network.shape, z.shape
    found, size = np.empty((len(run.times), *shape)), max(1.0, float(np.abs(z).max(initial=0.0)))
    found[0], t = z, float(run.times[0])
    stiff = any("." in name for name in network.law.states)
    for a, b in _pieces(run):
        inside = (run.times > a + 1e-12 * abs(b)) & (run.times <= b + 1e-12 * abs(b))
        s_of = _on_piece(run.inputs, a, b)

        def rate(t: float, x: Array, s_of: Any = s_of) -> Array:
            return f(np, p, x.reshape(shape), s_of(t)).ravel()

        wanted = np.append(np.minimum(run.times[inside], b), b)
        done = solve_ivp(
            rate,
            (t, b),
            z.ravel(),
            method="LSODA" if stiff else "DOP853",
            t_eval=np.unique(wanted),
            rtol=tolerance,
            atol=tolerance * size,
        )
        if not done.success or not np.isfinite(done.y).all():
            raise ConvergenceError(
                f"The circuit's equations were followed to t = {done.t[-1] if len(done.t) else t:g} only: {done.message}"
            )
        values = done.y.T.reshape(-1, *shape)
        found[inside] = values[np.searchsorted(np.unique(wanted), wanted[:-1])]
        z, t = values[-1], b
    return found


def _pieces(run: Run) -> list[tuple[float, float]]:
    """Intervals without a jump or a corner of the input."""
    first, last = float(run.times[0]), float(run.times[-1])
    inner = [float(t) for t in run.inputs.times if first < t < last] if run.inputs.num_inputs else []
    ends = [first, *inner, last]
    return [(a, b) for a, b in itertools.pairwise(ends) if b > a]


def _on_piece(inputs: Inputs, a: float, b: float) -> Any:
    """The input within a piece, where it is constant or a straight line."""
    if not inputs.num_inputs or inputs.hold == "zero":
        level = inputs(0.5 * (a + b)) if inputs.num_inputs else np.zeros(0)
        return lambda t: level
    start, end = inputs(a), inputs(b)
    return lambda t: start + (end - start) * ((t - a) / (b - a))


# --- sampled circuits -------------------------------------------------------------------------------------------------


def _sampled(netlist: Netlist, state_names: tuple[str, ...], run: Run) -> Array:
    clock = clock_of(netlist)
    volts, seconds = scale_of(netlist)
    if clock is None:
        raise ConvergenceError("The sampled circuit has no clock.")
    networks = [
        CircuitNetwork(solve_circuit(netlist, clock.switches(p, ideal=False)), volts=volts, seconds=seconds)
        for p in clock.phases
    ]
    rows = np.array([networks[0].law.states.index(name) for name in state_names])
    phases = [_Phase(net, (p.end - p.start) / seconds) for net, p in zip(networks, clock.phases, strict=True)]
    x = np.zeros((len(run.z0), networks[0].num_states))
    x[:, rows] = run.z0
    period = clock.period / seconds
    phase = (run.times - run.times[0]) / period
    found = np.empty((len(run.times), *run.z0.shape))
    done = 0
    for k in range(int(np.floor(phase[-1] + 1e-9)) + 1):
        now = phase - k < 1.0 - 1e-9
        for i in range(done, len(phase)):
            if not now[i]:
                break
            found[i], done = x[:, rows], i + 1  # what the capacitors hold when a period begins
        if done < len(phase):
            s = run.inputs(float(run.times[0] + k * period)) if run.inputs.num_inputs else np.zeros(0)
            for part in phases:
                x = part.through(x, s)
    return found


class _Phase:
    """One phase of the clock: z' = A z + N(z), N the nonlinear sources and inputs, over `length` of model time."""

    def __init__(self, network: CircuitNetwork, length: float) -> None:
        self.p, self.f, self.length = network.parameters, network.shape, length
        self.steps = 2
        self.made: dict[int, list[tuple[Array, Array, Array]]] = {}

    def through(self, x: Array, s: Array) -> Array:
        """The voltages `(b, n)` when the phase ends."""
        while True:
            coarse, fine = self.followed(x, s, self.steps), self.followed(x, s, 2 * self.steps)
            change = float(np.abs(coarse - fine).max(initial=0.0))
            if change <= SETTLED * max(1.0, float(np.abs(fine).max(initial=0.0))) or self.steps >= 1024:
                return fine
            self.steps *= 2

    def followed(self, x: Array, s: Array, steps: int) -> Array:
        for E, P1, P2 in self.matrices(steps):
            g = self.rest(x, s)
            y = x @ E.T + g @ P1.T
            x = y + (self.rest(y, s) - g) @ P2.T
        return x

    def rest(self, x: Array, s: Array) -> Array:
        p = self.p
        return self.f.values(np, p, x, s) @ p["W1"].T + s @ p["C1"].T + p["h1"]

    def matrices(self, steps: int) -> list[tuple[Array, Array, Array]]:
        """exp(h A), h phi_1(h A), h phi_2(h A) for steps that grow from the begin of the phase, where voltages move."""
        if steps not in self.made:
            lengths = np.geomspace(1.0, 1e4, steps)
            self.made[steps] = [_exponentials(self.p["A"], float(h)) for h in lengths / lengths.sum() * self.length]
        return self.made[steps]


def _exponentials(A: Array, h: float) -> tuple[Array, Array, Array]:
    n = len(A)
    block = np.zeros((3 * n, 3 * n))
    block[:n, :n] = h * A
    block[:n, n : 2 * n] = block[n : 2 * n, 2 * n :] = np.eye(n)
    E = expm(block)
    return E[:n, :n], h * E[:n, n : 2 * n], h * E[:n, 2 * n :]

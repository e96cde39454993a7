"""The network that a netlist is, by Kirchhoff's laws: its coefficients, in the units of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from retime.circuits.clock import Clock, clock_of
from retime.circuits.elements import Netlist
from retime.circuits.form import NetworkForm
from retime.circuits.nodal import CircuitLaw, solve_circuit
from retime.circuits.stamps import Pair
from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.core.readout import Readout
from retime.core.time import Continuous, Discrete


@dataclass(frozen=True)
class Derived:
    """What was derived: the form, and the names of the capacitors whose voltages are its states."""

    form: NetworkForm
    states: tuple[str, ...]


def scale_of(circuit: Netlist) -> tuple[float, float]:
    """Volts per unit and seconds per unit that a netlist names, 1 by default.

    Raises:
        ModelFileError: one that is not positive.
    """
    found = [circuit.parameters.get(name, 1.0) for name in ("volts_per_unit", "seconds_per_unit")]
    if min(found) <= 0:
        raise ModelFileError("line 1: volts_per_unit and seconds_per_unit must be positive.")
    return found[0], found[1]


def derive(circuit: Netlist, *, pairs: Mapping[str, Pair] | None = None) -> Derived:
    """Kirchhoff's laws of a netlist as a network; op-amps are nullors, switches ideal.

    `pairs` says what transistor stages amount to where that is known; None: it is found from their transfer curves.

    Raises:
        ModelFileError: laws without a unique solution, or of another shape than a network's; the message says what is in the way.
    """
    clock = clock_of(circuit)
    return _flow(circuit, pairs) if clock is None else _map(circuit, clock, pairs)


def _flow(circuit: Netlist, pairs: Mapping[str, Pair] | None) -> Derived:
    law = solve_circuit(circuit, pairs=pairs)
    volts, seconds = scale_of(circuit)
    name = _common_function(law, range(len(law.functions)))
    A, W1, C1, h1 = (seconds * x for x in law.split(law.rates))
    W2, D, C2, h2 = law.split(law.arguments)
    _refuse_layers(D, W2)
    form = NetworkForm(
        A, W1 / volts, W2 * volts, h1 / volts, h2, C1, C2 * volts, name, Continuous(), _readout(law, volts)
    )
    form = _in_units(form, volts)
    _check_states(form.num_states)
    return Derived(form, law.states)


def _in_units(form: NetworkForm, volts: float) -> NetworkForm:
    """A ReLU passes volts, where the others take and give numbers: relu(volts x) = volts relu(x)."""
    if form.activation != "relu":
        return form
    return replace(form, W1=form.W1 * volts, W2=form.W2 / volts, h2=form.h2 / volts, C2=form.C2 / volts)


def _check_states(n: int) -> None:
    if n == 0:
        raise ModelFileError("line 1: the netlist has no capacitor, so it has no state and is no network.")


def _refuse_layers(D: Array, W2: Array) -> None:
    if np.abs(D).max(initial=0.0) > 1e-12 * max(np.abs(W2).max(initial=0.0), np.abs(D).max(initial=0.0)):
        raise ModelFileError(
            "line 1: a nonlinearity of this netlist reads another one without a capacitor between them; a network has one layer of them."
        )


def _common_function(law: CircuitLaw, used: range | list[int]) -> str:
    names = {law.names[k] for k in used}
    if "" in names:
        f = next(law.functions[k] for k in used if not law.names[k])
        raise ModelFileError(
            f"line 1: a source follows {f}, which is none of the nonlinearities that networks have (tanh, logistic, relu, softplus)."
        )
    if len(names) > 1:
        raise ModelFileError(
            f"line 1: the netlist mixes the nonlinearities {', '.join(sorted(names))}; a network has one."
        )
    return names.pop() if names else "relu"


def _readout(law: CircuitLaw, volts: float, columns: Array | None = None) -> Readout | None:
    """x = B z + b of the nodes o1, o2, ..."""
    count = 0
    while f"o{count + 1}" in law.nodes:
        count += 1
    if not count:
        return None
    B, W, D, b = law.split(law.voltages_of([f"o{k + 1}" for k in range(count)]))
    if np.abs(W).max(initial=0.0) > 0 or np.abs(D).max(initial=0.0) > 0:
        return None
    return Readout(B if columns is None else B[:, columns], b / volts)


def _map(circuit: Netlist, clock: Clock, pairs: Mapping[str, Pair] | None) -> Derived:
    """What one period of ideal switches does: held voltages stay, the others settle where their current is zero."""
    volts, seconds = scale_of(circuit)
    laws = [solve_circuit(circuit, clock.switches(p, ideal=True), pairs=pairs) for p in clock.phases]
    first = laws[0]
    n, q, m = len(first.states), len(first.functions), len(first.inputs)
    width = n + q * len(laws) + m + 1
    now = np.eye(n, width)
    arguments = np.zeros((q * len(laws), width))
    for p, law in enumerate(laws):
        base = np.zeros((n + q + m + 1, width))  # (v, phi, s, 1) in terms of the start of the period
        base[:n] = now
        base[n : n + q, n + p * q : n + (p + 1) * q] = np.eye(q)
        base[n + q :, -(m + 1) :] = np.eye(m + 1)
        settled = _settled(law)
        now = settled @ base
        base[:n] = now  # the functions are read when the voltages have settled
        if any(c != 1 for c in law.counts):
            _common_function(law, range(q))
        arguments[p * q : (p + 1) * q] = law.arguments @ base
    return _reduced(circuit, first, now, arguments, Discrete(clock.period / seconds), volts)


def _settled(law: CircuitLaw) -> Array:
    """The voltages at the end of a phase in terms of those at its begin, the functions, inputs and 1."""
    n = len(law.states)
    result = np.eye(n, law.rates.shape[1])
    size = np.abs(law.rates).max(axis=1)
    moving = size > 1e-9 * max(size.max(initial=0.0), 1e-300)
    if not moving.any():
        return result
    A = law.rates[np.ix_(moving, np.flatnonzero(moving))]
    if (np.linalg.eigvals(A).real >= 0).any():
        raise ModelFileError("line 1: in a phase of the clock a capacitor that is switched on does not settle.")
    rest = law.rates[moving].copy()
    rest[:, np.flatnonzero(moving)] = 0.0
    result[moving] = -np.linalg.solve(A, rest)
    return result


def _reduced(circuit: Netlist, law: CircuitLaw, rows: Array, arguments: Array, time: Discrete, volts: float) -> Derived:
    """The map on the capacitors that the next period still reads."""
    n, m, qs = len(law.states), len(law.inputs), len(arguments)
    used = np.flatnonzero(np.abs(rows[:, n : n + qs]).max(axis=0, initial=0.0) > 0)
    reads = np.abs(rows[:, :n]).max(axis=0, initial=0.0) + np.abs(arguments[used, :n]).max(axis=0, initial=0.0)
    kept = np.flatnonzero(reads > 1e-12 * reads.max(initial=0.0))
    _check_states(len(kept))
    used = np.flatnonzero(np.abs(rows[np.ix_(kept, n + np.arange(qs))]).max(axis=0, initial=0.0) > 0)
    a = arguments[used]
    _refuse_layers(a[:, n : n + qs], a[:, :n])
    name = _common_function(law, [int(k) % max(len(law.functions), 1) for k in used])
    A, W1, C1, h1 = (
        rows[np.ix_(kept, kept)],
        rows[np.ix_(kept, n + used)],
        rows[kept, n + qs : n + qs + m],
        rows[kept, -1],
    )
    form = NetworkForm(
        A, W1 / volts, a[:, kept] * volts, h1 / volts, a[:, -1], C1, a[:, n + qs : n + qs + m] * volts, name, time,
        _readout(law, volts, kept),
    )  # fmt: skip
    form = _in_units(form, volts)
    return Derived(form, tuple(law.states[k] for k in kept))

"""`to_circuit` and `read_circuit`: from a model to a netlist and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from retime.circuits.assembly import Assembly
from retime.circuits.circuit import Circuit, with_law
from retime.circuits.dc import celsius
from retime.circuits.derivation import derive, scale_of
from retime.circuits.elements import NOMINAL, Netlist
from retime.circuits.form import NetworkForm, family_of, form_of
from retime.circuits.levels import LEVELS
from retime.circuits.network import CircuitNetwork
from retime.circuits.nodal import solve_circuit
from retime.circuits.reader import read_netlist
from retime.circuits.scaling import largest_rounding, preferred, simulated_ranges
from retime.circuits.topologies import TOPOLOGIES
from retime.circuits.topologies.conductance import fits, margins
from retime.core.arguments import system
from retime.core.arrays import positive
from retime.core.errors import CertificateError, ModelFileError
from retime.core.system import System
from retime.core.time import Discrete


def read_circuit(netlist: str | Path) -> System:
    """The network that a netlist is: Kirchhoff's laws, solved for the voltages of its capacitors.

    C dv/dt = currents of R, G, E, B, V, I; op-amps (subcircuits named opamp..., ports + - out) are nullors; switches that pulses drive make
    it a map, whose step is the period of the clock. Voltage sources named Vin1, Vin2, ... are the inputs, nodes o1, o2, ... the readout;
    `.param volts_per_unit=... seconds_per_unit=...` are the units of state and time, 1 by default.

    Args:
        netlist: the text of a netlist in the syntax of SPICE (its first line is the title), or a path to one.

    Returns:
        A model: RateRNN, HopfieldNetwork, TanhRNN, LeakyRNN, PLRNN, PiecewiseAffineRNN or LinearSystem, as its equations are; a
        `CircuitNetwork` where they are in no family.

    Raises:
        ModelFileError: an element, directive or function that is not read, with the number of its line; or laws without a unique solution.

    Examples:
        >>> import numpy as np, retime as rt
        >>> rate = rt.RateRNN([[0.6, -1.0], [1.0, 0.4]], None, [0.2, -0.1], tau=0.5)
        >>> again = rt.read_circuit(rt.to_circuit(rate).netlist())
        >>> bool(np.abs(again.field([0.3, 0.1]) - rate.field([0.3, 0.1])).max() < 1e-9)
        True
    """
    if not isinstance(netlist, (str, Path)):
        raise TypeError(f"`netlist` is {type(netlist).__name__}; it must be the text of a netlist, or a path to one.")
    if isinstance(netlist, Path) or (isinstance(netlist, str) and "\n" not in netlist):
        netlist = _text(Path(netlist))
    return model_of(read_netlist(netlist))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelFileError(
            f"`netlist` is {str(path)!r}: {error.strerror or error}. It must be the text of a netlist, or a path to one."
        ) from error
    except UnicodeDecodeError:
        raise ModelFileError(f"{path}: line 1: no text; a netlist is a text file.") from None


def model_of(elements: Netlist) -> System:
    """The network that a circuit is, as a model."""
    try:
        form = derive(elements).form
        found = family_of(form)
    except ModelFileError:
        if any(e.kind == "S" for e in elements.flattened()):
            raise
        found = None
    if found is not None:
        return found
    volts, seconds = scale_of(elements)
    return CircuitNetwork(solve_circuit(elements), volts=volts, seconds=seconds)


def to_circuit(
    model: System,
    *,
    topology: Literal["conductance", "integrator", "sampled"] | None = None,
    level: Any = "ideal",
    series: str | None = "auto",
    temperature: float = NOMINAL,
    states: Any = None,
    volts_per_unit: float | None = None,
    seconds_per_unit: float | None = None,
    capacitor: float | None = None,
    throw: bool = True,
) -> Circuit:
    """Build the electrical network that follows a model.

    A model is z' = A z + W1 f(W2 z + C2 s + h2) + C1 s + h1, f one of tanh, logistic, relu, softplus. Three topologies:

    - conductance (Hopfield): an RC node per unit, an amplifier with both polarities, a resistor per synapse. RateRNN ("current") and
      HopfieldNetwork. Valid when tau_i sum_j |w_ij| < 1 for every unit.
    - integrator: a summing integrator per unit; every flow.
    - sampled: two hold capacitors and two switches per unit, two clock phases; every map.

    Args:
        model: a RateRNN, HopfieldNetwork, TanhRNN, LeakyRNN, LinearSystem or any ReLU network.
        topology: None: sampled for a map; for a flow conductance where it is valid, else integrator.
        level: "ideal" (controlled sources), "opamp" (op-amps with finite gain, bandwidth, slew rate and rails; nonlinearities are
            behavioural), "transistor" (tanh by long-tailed pairs); or `circuits.OpAmp(...)`, `circuits.Transistor(...)` with other parts.
        series: "E12", "E24" or "E96" for the resistors of the part levels; None for exact values; "auto" is the level's own (E96).
        temperature: degrees Celsius.
        states: `(k, n)` states from which signals are simulated to choose volts; None for random ones.
        volts_per_unit, seconds_per_unit: scale of states and of time, > 0; None: chosen from the range of the signals.
        capacitor: farad; None: chosen from the time constants.
        throw: whether a certificate that does not hold is an error.

    Returns:
        Circuit, with the certificate: the equations derived from the text of the netlist beside the model's.

    Raises:
        CertificateError: no circuit carries the model, or not in this topology; the message names the units.
        ValueError, TypeError: arguments.

    Source: hopfield1984, caruso2023b; docs/theory/circuits.md.

    Examples:
        >>> import retime as rt
        >>> rate = rt.RateRNN([[0.6, -1.0], [1.0, 0.4]], None, [0.2, -0.1], tau=0.5)
        >>> circuit = rt.to_circuit(rate)
        >>> circuit.certificate.holds
        True
    """
    model = system("to_circuit", model)
    built = _level(level, series)
    scales = {"volts_per_unit": volts_per_unit, "seconds_per_unit": seconds_per_unit, "capacitor": capacitor}
    volts, seconds, farad = (None if v is None else positive(name, v) for name, v in scales.items())
    form = form_of(model)
    name = chosen_topology(form, topology, built.is_rounded)
    ranges = simulated_ranges(form, states)
    scale = built.scale(form, ranges, volts, seconds, farad)
    to = Assembly(scale)
    TOPOLOGIES[name]().build(to, built, form)
    title = f"retime: {model!r} as a circuit, topology {name}, level {built.name}"
    parameters = {"volts_per_unit": scale.volts, "seconds_per_unit": scale.seconds}
    if built.is_rounded:
        parameters["temperature"] = celsius(temperature)
    netlist = to.finished(title, parameters)
    conditions = built.conditions(form, ranges, to)
    rounding = largest_rounding(built.series, built.in_series) if built.series else 0.0
    circuit = with_law(Circuit(None, None, model, form, netlist, name, built.name, built.series, rounding, conditions))  # type: ignore[arg-type]
    if throw and not circuit.certificate.holds:
        raise CertificateError(
            f"The circuit does not follow the model. {circuit.certificate.plain_line}", circuit.certificate
        )
    return circuit


def _level(level: Any, series: Any) -> Any:
    """The level that is meant, with the series."""
    if isinstance(level, str) and level in LEVELS:
        level = LEVELS[level]()
    found: Any = level
    if not isinstance(level, tuple(LEVELS.values())):
        raise ValueError(
            f"`level` is {level!r}; it must be one of {', '.join(LEVELS)}, or OpAmp(...) or Transistor(...) of retime.circuits."
        )
    if series == "auto" or (series is None and not found.is_rounded):
        return found
    preferred(1.0, series)
    if not found.is_rounded:
        raise ValueError(
            f'`series` is {series!r}; controlled sources have no preferred values: take level="opamp" or "transistor".'
        )
    return replace(found, series=series)


def chosen_topology(form: NetworkForm, topology: str | None, by_resistors: bool = False) -> str:
    """The topology that is asked for, or that the form suggests, checked; `by_resistors`: whether inputs are resistors in Hopfield's form.

    Raises:
        ValueError: an unknown name, or one for the other time base. CertificateError: Hopfield's form where it is not realizable.
    """
    is_map = isinstance(form.time, Discrete)
    if topology is None:
        if is_map:
            return "sampled"
        return "conductance" if fits(form) and (margins(form, by_resistors) > 0).all() else "integrator"
    if topology not in TOPOLOGIES:
        raise ValueError(f"`topology` is {topology!r}; it must be one of {', '.join(TOPOLOGIES)}, or None.")
    if TOPOLOGIES[topology].is_sampled != is_map:
        kind, other = ("a map", '"sampled"') if is_map else ("a flow", '"integrator" or "conductance"')
        raise ValueError(f"`topology` is {topology!r} and the model is {kind}; {kind} needs {other}.")
    if topology == "conductance":
        _check_conductance(form, by_resistors)
    return topology


def _check_conductance(form: NetworkForm, by_resistors: bool) -> None:
    if not fits(form):
        raise CertificateError(
            'Hopfield\'s form is realizable only for leaky units whose functions read the states (RateRNN with form="current", '
            'HopfieldNetwork); this model has another form. topology="integrator" carries it.'
        )
    share = margins(form, by_resistors) / -np.diagonal(form.A)
    failing = np.flatnonzero(share <= 0)
    if len(failing):
        told = ", ".join(f"{k + 1} ({1.0 - share[k]:.3g})" for k in failing[:8]) + (" ..." if len(failing) > 8 else "")
        raise CertificateError(
            f"Hopfield's form is not realizable: tau_i sum_j |w_ij| must be below 1, so that a positive leak is left, "
            f"and it is not for unit {told}. {'Of parts, inputs and offsets count too. ' if by_resistors else ''}"
            'topology="integrator" is always realizable.'
        )

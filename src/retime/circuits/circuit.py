"""A circuit: the netlist, the network that it is by Kirchhoff's laws, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from retime.circuits import schematic
from retime.circuits.backends import BACKENDS, chosen
from retime.circuits.backends.laws import Laws, laws_of
from retime.circuits.certify import certificate
from retime.circuits.clock import clock_of
from retime.circuits.dc import celsius as checked_celsius
from retime.circuits.derivation import Derived, derive, scale_of
from retime.circuits.dialects import written
from retime.circuits.elements import Netlist
from retime.circuits.form import NetworkForm, family_of
from retime.circuits.monte_carlo import monte_carlo
from retime.circuits.network import CircuitNetwork
from retime.circuits.nodal import CircuitLaw, solve_circuit
from retime.circuits.parts import BillOfMaterials, parts_of
from retime.circuits.reader import read_netlist
from retime.circuits.runs import Run, run_of
from retime.circuits.scaling import time_constants
from retime.core.arrays import Array
from retime.core.certificate import Condition
from retime.core.conversion import Conversion
from retime.core.files import replace_atomically
from retime.core.trajectory import Trajectory


@dataclass(frozen=True, eq=False, repr=False)
class Circuit(Conversion):
    """An electrical network that follows a model. Where a verb takes a model it takes a circuit: the network that its netlist is.

    Attributes:
        model: the network derived from the netlist, in units of the original: with the values that its parts have. Op-amps count as ideal
            there; `full_network` has their gain and bandwidth.
        certify: the certificate.
        original: the model it was built from. form: its coefficients.
        elements: the netlist as elements. topology: conductance, integrator or sampled. level: ideal, opamp or transistor.
        series: preferred numbers of the values, None for exact ones. rounding: how far a resistor may be from what it should be, relative.
        level_conditions: what the parts must satisfy, part of the certificate.
    """

    _plot: ClassVar[str] = "circuit"

    original: Any
    form: NetworkForm
    elements: Netlist
    topology: str
    level: str
    series: str | None = None
    rounding: float = 0.0
    level_conditions: Sequence[Condition] = field(default_factory=tuple)

    @property
    def volts_per_unit(self) -> float:
        """Volts that one unit of state is."""
        return scale_of(self.elements)[0]

    @property
    def seconds_per_unit(self) -> float:
        """Seconds in the circuit that one unit of model time is."""
        return scale_of(self.elements)[1]

    @property
    def period(self) -> float:
        """The period of the clock in seconds; 0 for circuits without one."""
        clock = clock_of(self.elements) if self.topology == "sampled" else None
        return 0.0 if clock is None else clock.period

    @cached_property
    def derived(self) -> Derived:
        """The network by Kirchhoff's laws of the text of the netlist, op-amps as nullors, switches ideal."""
        return derive(read_netlist(self.netlist()))

    @property
    def state_names(self) -> tuple[str, ...]:
        """The capacitors whose voltages are the states."""
        return self.derived.states

    @cached_property
    def state_nodes(self) -> tuple[str, ...]:
        """The nodes at which the states are read, volts."""
        plus = {e.name: e.nodes[0] for e in self.elements.flattened() if e.kind == "C"}
        return tuple(plus[name] for name in self.state_names)

    @cached_property
    def law(self) -> CircuitLaw:
        """Kirchhoff's laws, op-amps as nullors; of a sampled circuit those of the first phase of its clock."""
        clock = clock_of(self.elements) if self.topology == "sampled" else None
        return solve_circuit(self.elements, clock and clock.switches(clock.phases[0], ideal=False))

    @cached_property
    def full_network(self) -> CircuitNetwork:
        """The flow with op-amps as their subcircuits say, poles and limits included; more states than the model where there are op-amps."""
        law = self.law if self.level == "ideal" else solve_circuit(self.elements, nullors=False)
        return CircuitNetwork(law, volts=self.volts_per_unit, seconds=self.seconds_per_unit)

    @cached_property
    def checked_laws(self) -> Laws:
        """What is checked of a simulator's answer: currents at the capacitors, curves of stages."""
        return laws_of(self.elements, self.state_names)

    @property
    def fastest_time_constant(self) -> float:
        """Of the units, model time."""
        return float(time_constants(self.form).min())

    def netlist(self, dialect: str = "ngspice") -> str:
        """The circuit as text: "ngspice" (which `read_circuit` reads back), "verilog-a" or "kicad"; numbers have 17 digits.

        Raises:
            ValueError: an unknown dialect.
        """
        return written(self.elements, dialect)

    def simulate(
        self,
        z0: Any,
        times: Any,
        *,
        inputs: Any = None,
        backend: str | None = None,
        timeout: float | None = None,
        volts: bool = False,
    ) -> Trajectory:
        """Run the circuit.

        Args:
            z0: `(n,)`, or a batch `(b, n)`, units of the model, the state at times[0].
            times: increasing `(T,)`, model time; of a sampled circuit its clock begins at times[0].
            inputs: as for `simulate` of the model: rows per interval (per step of a sampled circuit), or `Inputs`.
            backend: "kirchhoff" (our solver of the circuit's equations), "neospice", "ngspice"; None: ngspice, else neospice, for circuits
                of up to 100 units where one is installed, otherwise kirchhoff.
            timeout: seconds after which a simulator is stopped; None for no limit.
            volts: whether states are given in volts.

        Returns:
            Trajectory, states `(T, n)` or `(T, b, n)`.

        Raises:
            SimulatorError: a simulator is missing, crashed, hung, did not converge or left a device out.
            ShapeError, ValueError: arguments.
        """
        base = self.form.time
        run = run_of(z0, times, inputs, timeout, self.form.num_states, self.form.num_inputs, base)
        name = chosen(backend, self.form.num_states)
        states = BACKENDS[name].solve(self, run)
        return _trajectory(self, run, states, np.ndim(z0) == 2, self.volts_per_unit if volts else 1.0, name)

    def at_temperature(self, celsius: float) -> Circuit:
        """The same circuit at another temperature, in degrees Celsius: the slope of a transistor pair falls as 1 / T.

        Raises:
            ValueError: not a number from -100 to 200, or a circuit of controlled sources, which have no temperature.
        """
        if self.level == "ideal":
            raise ValueError('Controlled sources have no temperature; build the circuit with level="transistor".')
        parameters = {**self.elements.parameters, "temperature": checked_celsius(celsius)}
        return with_law(replace(self, elements=replace(self.elements, parameters=parameters)))

    def bill_of_materials(self) -> BillOfMaterials:
        """The components by kind and value; `.to_csv(path)` writes the table."""
        return parts_of(self.elements)

    def schematic(self, unit: int | None = None, path: str | Path | None = None) -> str:
        """A drawing as SVG: of one unit (from 1), or with None of the first four units; equal names are connected.

        Args:
            unit: its number. path: where to write it too; written whole or not at all.

        Raises:
            ValueError: no such unit. MissingDependencyError: schemdraw is not installed.
        """
        text = schematic.network(self) if unit is None else schematic.neuron(self, unit)
        if path is not None:
            with replace_atomically(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return text

    monte_carlo = monte_carlo

    def _data(self) -> dict[str, Any]:
        return super()._data() | {
            "original": repr(self.original), "topology": self.topology, "level": self.level, "series": self.series,
            "volts_per_unit": self.volts_per_unit, "seconds_per_unit": self.seconds_per_unit, "num_elements": len(self.elements.elements),
        }  # fmt: skip

    def _title(self) -> str:
        return (
            f"{self.original!r}, {self.topology}, {self.level}, {len(self.elements.elements)} parts, 1 unit = {self.volts_per_unit:g} V, "
            f"1 of model time = {self.seconds_per_unit:g} s"
        )


def _trajectory(circuit: Circuit, run: Run, states: Array, is_batch: bool, factor: float, name: str) -> Trajectory:
    """States `(T, b, n)` as a Trajectory, of one start or of a batch."""
    count, empty = len(run.z0), np.zeros((0, 3))
    states = states if is_batch else states[:, 0]
    return Trajectory(
        run.times,
        states * factor,
        circuit.original.outputs(states, None),
        np.zeros((*states.shape[:-1], 0), dtype=bool),
        ([np.zeros(0)] * count, [np.zeros(0, dtype=int)] * count),
        tuple([empty] * count) if is_batch else empty,
        message=f"by {name}",
        statuses=tuple([Trajectory.status] * count),
    )


def with_law(circuit: Circuit) -> Circuit:
    """The circuit with the certificate and the network that follow from its netlist."""
    object.__setattr__(circuit, "certify", certificate(circuit))
    found = family_of(circuit.derived.form) or CircuitNetwork(
        circuit.law, circuit.volts_per_unit, circuit.seconds_per_unit
    )
    object.__setattr__(circuit, "model", found)
    return circuit

"""model -> Circuit -> netlist -> SPICE -> Trajectory, and back."""

from retime.circuits.build import read_circuit, to_circuit
from retime.circuits.circuit import Circuit
from retime.circuits.levels import Ideal, OpAmp, Transistor
from retime.circuits.network import CircuitNetwork
from retime.circuits.neuromorphic import to_nir

__all__ = ["Circuit", "CircuitNetwork", "Ideal", "OpAmp", "Transistor", "read_circuit", "to_circuit", "to_nir"]

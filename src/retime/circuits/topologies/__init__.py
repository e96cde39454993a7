"""How a network is laid out: one file per topology."""

from retime.circuits.topologies.conductance import Conductance
from retime.circuits.topologies.integrator import Integrator
from retime.circuits.topologies.sampled import Sampled

TOPOLOGIES = {t.name: t for t in (Conductance, Integrator, Sampled)}

__all__ = ["TOPOLOGIES", "Conductance", "Integrator", "Sampled"]

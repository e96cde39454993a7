"""result -> matplotlib Axes. Colors and fonts follow the current style; nothing global is changed."""

from retime.plots.basins import attractor, basins
from retime.plots.cells import cell_stability
from retime.plots.circuits import circuit, monte_carlo
from retime.plots.cycles import cycle, cycles
from retime.plots.learning import task, training
from retime.plots.networks import connectivity, population, trial, weight_spectrum, weights
from retime.plots.orbits import errors, phase_plane, stability_region, state_space, time_series
from retime.plots.overview import analysis
from retime.plots.parameters import bifurcation_diagram, branch, stability_map
from retime.plots.points import fixed_points, fixed_set
from retime.plots.regions import boundary_distance, region_map, transition_graph
from retime.plots.spectra import exponents, multipliers, power_spectra, spectrum
from retime.plots.sweeps import sweep

__all__ = [
    "analysis",
    "attractor",
    "basins",
    "bifurcation_diagram",
    "boundary_distance",
    "branch",
    "cell_stability",
    "circuit",
    "connectivity",
    "cycle",
    "cycles",
    "errors",
    "exponents",
    "fixed_points",
    "fixed_set",
    "monte_carlo",
    "multipliers",
    "phase_plane",
    "population",
    "power_spectra",
    "region_map",
    "spectrum",
    "stability_map",
    "stability_region",
    "state_space",
    "sweep",
    "task",
    "time_series",
    "training",
    "transition_graph",
    "trial",
    "weight_spectrum",
    "weights",
]

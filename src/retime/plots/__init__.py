"""result -> matplotlib Axes. Colors and fonts follow the current style; nothing global is changed."""

from retime.plots.basins import basins
from retime.plots.cells import cell_stability
from retime.plots.cycles import cycle, cycles
from retime.plots.learning import task, training
from retime.plots.networks import connectivity, population, trial, weight_spectrum, weights
from retime.plots.orbits import errors, phase_plane, stability_region, state_space, time_series
from retime.plots.overview import analysis
from retime.plots.parameters import bifurcation_diagram, stability_map
from retime.plots.points import fixed_points
from retime.plots.regions import region_map, transition_graph
from retime.plots.spectra import exponents, multipliers, spectrum

__all__ = [
    "analysis",
    "basins",
    "bifurcation_diagram",
    "cell_stability",
    "connectivity",
    "cycle",
    "cycles",
    "errors",
    "exponents",
    "fixed_points",
    "multipliers",
    "phase_plane",
    "population",
    "region_map",
    "spectrum",
    "stability_map",
    "stability_region",
    "state_space",
    "task",
    "time_series",
    "training",
    "transition_graph",
    "trial",
    "weight_spectrum",
    "weights",
]

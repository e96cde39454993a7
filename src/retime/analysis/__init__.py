"""model -> results about its dynamics and about differences between models."""

from retime.analysis.basins.find import find_basins
from retime.analysis.basins.result import Attractor, Basins, Plane
from retime.analysis.basins.settling import Settling
from retime.analysis.branches.grid import StabilityMap, stability_map
from retime.analysis.branches.method import Arclength
from retime.analysis.branches.result import Branch, Event, Scan
from retime.analysis.branches.scanning import scan
from retime.analysis.comparison.conversions import ConversionReport, conversion_report
from retime.analysis.comparison.dynamics import Agreement, DynamicsComparison, compare_dynamics
from retime.analysis.comparison.orbits import Comparison, compare
from retime.analysis.cycles.find import find_cycles
from retime.analysis.cycles.method import Shooting
from retime.analysis.cycles.result import Cycle, Cycles
from retime.analysis.exponents.lyapunov import lyapunov_spectrum, max_exponent
from retime.analysis.exponents.result import History, LyapunovSpectrum
from retime.analysis.fixed_points.find import find_fixed_points
from retime.analysis.fixed_points.method import Multistart
from retime.analysis.fixed_points.result import FixedPoint, FixedPoints, FixedSet
from retime.analysis.overview import Analysis, analyze
from retime.analysis.reconstruction.divergence import StateSpaceDivergence, state_space_divergence
from retime.analysis.reconstruction.spectral import SpectralDistance, spectral_distance
from retime.analysis.regions.boundaries import BoundaryDistance, boundary_distance
from retime.analysis.regions.entropy import EntropyRate
from retime.analysis.regions.enumeration import Regions, enumerate_regions
from retime.analysis.regions.visits import VisitedRegions, visited_regions

__all__ = [
    "Agreement",
    "Analysis",
    "Arclength",
    "Attractor",
    "Basins",
    "BoundaryDistance",
    "Branch",
    "Comparison",
    "ConversionReport",
    "Cycle",
    "Cycles",
    "DynamicsComparison",
    "EntropyRate",
    "Event",
    "FixedPoint",
    "FixedPoints",
    "FixedSet",
    "History",
    "LyapunovSpectrum",
    "Multistart",
    "Plane",
    "Regions",
    "Scan",
    "Settling",
    "Shooting",
    "SpectralDistance",
    "StabilityMap",
    "StateSpaceDivergence",
    "VisitedRegions",
    "analyze",
    "boundary_distance",
    "compare",
    "compare_dynamics",
    "conversion_report",
    "enumerate_regions",
    "find_basins",
    "find_cycles",
    "find_fixed_points",
    "lyapunov_spectrum",
    "max_exponent",
    "scan",
    "spectral_distance",
    "stability_map",
    "state_space_divergence",
    "visited_regions",
]

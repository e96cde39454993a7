"""model -> results about its dynamics and about differences between models."""

from retime.analysis.analyze import Analysis, analyze
from retime.analysis.basins import Attractor, Basins, Plane, find_basins
from retime.analysis.compare import Comparison, compare
from retime.analysis.cycles import find_cycles
from retime.analysis.enumeration import Regions, enumerate_regions
from retime.analysis.fixed_points import find_fixed_points
from retime.analysis.lyapunov import History, LyapunovSpectrum, lyapunov_spectrum, max_exponent
from retime.analysis.periodic import Cycle, Cycles
from retime.analysis.points import FixedPoint, FixedPoints, FixedSet
from retime.analysis.quality import SpectralDistance, StateSpaceDivergence, spectral_distance, state_space_divergence
from retime.analysis.scan import Branch, Event, Scan, scan
from retime.analysis.side_by_side import Agreement, DynamicsComparison, compare_dynamics
from retime.analysis.stability_map import StabilityMap, stability_map
from retime.analysis.visits import BoundaryDistance, EntropyRate, VisitedRegions, boundary_distance, visited_regions

__all__ = [
    "Agreement",
    "Analysis",
    "Attractor",
    "Basins",
    "BoundaryDistance",
    "Branch",
    "Comparison",
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
    "Plane",
    "Regions",
    "Scan",
    "SpectralDistance",
    "StabilityMap",
    "StateSpaceDivergence",
    "VisitedRegions",
    "analyze",
    "boundary_distance",
    "compare",
    "compare_dynamics",
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

"""model -> results about its dynamics and about differences between models."""

from retime.analysis.compare import Comparison, compare
from retime.analysis.cycles import Cycle, Cycles, find_cycles
from retime.analysis.enumeration import Regions, enumerate_regions
from retime.analysis.fixed_points import FixedPoints, FixedSet, find_fixed_points
from retime.analysis.lyapunov import LyapunovSpectrum, lyapunov_spectrum, max_exponent
from retime.analysis.quality import SpectralDistance, StateSpaceDivergence, spectral_distance, state_space_divergence
from retime.analysis.visits import BoundaryDistance, EntropyRate, VisitedRegions, boundary_distance, visited_regions

__all__ = [
    "BoundaryDistance",
    "Comparison",
    "Cycle",
    "Cycles",
    "EntropyRate",
    "FixedPoints",
    "FixedSet",
    "LyapunovSpectrum",
    "Regions",
    "SpectralDistance",
    "StateSpaceDivergence",
    "VisitedRegions",
    "boundary_distance",
    "compare",
    "enumerate_regions",
    "find_cycles",
    "find_fixed_points",
    "lyapunov_spectrum",
    "max_exponent",
    "spectral_distance",
    "state_space_divergence",
    "visited_regions",
]

"""model -> Conversion: to_continuous, to_discrete, rescale_time, linearize, their methods, and when they may be interchanged."""

from retime.convert.embeddings import EulerField, FormalLog
from retime.convert.holds import FirstOrderHold, ZeroOrderHold
from retime.convert.integrators import AdamsBashforth, Euler, ExponentialEuler, Heun, RungeKutta, Tustin
from retime.convert.interchange import Interchange, interchange
from retime.convert.linearize import linearize
from retime.convert.matrix_log import MatrixLog
from retime.convert.rescale import rescale_time
from retime.convert.retime import retime_to
from retime.convert.stability import StabilityRegion, max_stable_dt, stability_region
from retime.convert.tableaux import (
    DORMAND_PRINCE,
    EULER,
    HEUN,
    IMPLICIT_EULER,
    IMPLICIT_MIDPOINT,
    MIDPOINT,
    RALSTON,
    RK3,
    RK4,
    TRAPEZOID,
    Tableau,
)
from retime.convert.to_continuous import to_continuous
from retime.convert.to_discrete import to_discrete

__all__ = [
    "DORMAND_PRINCE",
    "EULER",
    "HEUN",
    "IMPLICIT_EULER",
    "IMPLICIT_MIDPOINT",
    "MIDPOINT",
    "RALSTON",
    "RK3",
    "RK4",
    "TRAPEZOID",
    "AdamsBashforth",
    "Euler",
    "EulerField",
    "ExponentialEuler",
    "FirstOrderHold",
    "FormalLog",
    "Heun",
    "Interchange",
    "MatrixLog",
    "RungeKutta",
    "StabilityRegion",
    "Tableau",
    "Tustin",
    "ZeroOrderHold",
    "interchange",
    "linearize",
    "max_stable_dt",
    "rescale_time",
    "retime_to",
    "stability_region",
    "to_continuous",
    "to_discrete",
]

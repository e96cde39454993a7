"""model -> Conversion: to_continuous, to_discrete, rescale_time, linearize, their methods, and when they may be interchanged."""

from retime.convert.bilinear import GeneralizedBilinear, Tustin
from retime.convert.commuting import Interchange, interchange
from retime.convert.continuous import to_continuous
from retime.convert.discrete import to_discrete
from retime.convert.embeddings import EulerField, FormalLog
from retime.convert.frozen import FrozenRelaxation
from retime.convert.holds import FirstOrderHold, ImpulseInvariant, ZeroOrderHold
from retime.convert.integrators import Euler, ExponentialEuler, Heun, RungeKutta
from retime.convert.linearization import linearize
from retime.convert.matched import MatchedPoles
from retime.convert.matrix_log import MatrixLog
from retime.convert.methods import INTEGRATORS, field_method, integrator
from retime.convert.multistep import AdamsBashforth
from retime.convert.ode_rnn import ODERNN
from retime.convert.rescale import rescale_time
from retime.convert.retime import retime_to
from retime.convert.splitting import LieSplitting, PartitionedEuler
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

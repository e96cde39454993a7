"""Model families, one file each: equation, parameters, canonical form."""

from retime.models.almost_linear import AlmostLinearRNN
from retime.models.continuous import ContinuousPLRNN
from retime.models.dendritic import DendriticPLRNN
from retime.models.flow import PiecewiseAffineFlow
from retime.models.linear import LinearSystem
from retime.models.plrnn import PLRNN
from retime.models.relu import ReluRNN
from retime.models.shallow import ShallowPLRNN

FAMILIES = {
    cls.family: cls
    for cls in (PLRNN, ShallowPLRNN, AlmostLinearRNN, DendriticPLRNN, ReluRNN, ContinuousPLRNN, LinearSystem)
}

__all__ = [
    "FAMILIES",
    "PLRNN",
    "AlmostLinearRNN",
    "ContinuousPLRNN",
    "DendriticPLRNN",
    "LinearSystem",
    "PiecewiseAffineFlow",
    "ReluRNN",
    "ShallowPLRNN",
]

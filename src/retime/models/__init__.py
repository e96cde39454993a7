"""Model families, one file each: equation, parameters, capability."""

from retime.models.almost_linear import AlmostLinearRNN
from retime.models.antisymmetric import AntisymmetricRNN
from retime.models.continuous import ContinuousPLRNN
from retime.models.delta_rule import DeltaRule
from retime.models.dendritic import DendriticPLRNN
from retime.models.derived import DerivedSystem
from retime.models.diagonal import DiagonalLinearRNN
from retime.models.elman import LeakyRNN, RateRNN, TanhRNN
from retime.models.flow import PiecewiseAffineFlow
from retime.models.function import Map, VectorField
from retime.models.gated import GRU, LSTM
from retime.models.hopfield import HopfieldNetwork
from retime.models.layered import LayeredField
from retime.models.linear import LinearSystem
from retime.models.min_gru import MinGRU
from retime.models.oscillatory import CoupledOscillatoryRNN
from retime.models.piecewise import PiecewiseAffineRNN
from retime.models.plrnn import PLRNN
from retime.models.qunn import QUNN
from retime.models.regionwise import RegionwiseMap
from retime.models.relu import ReluRNN
from retime.models.shallow import ShallowPLRNN
from retime.models.stacked import StackedRNN
from retime.models.unitary import UnitaryRNN

FAMILIES = {
    cls.family: cls
    for cls in (
        PLRNN,
        ShallowPLRNN,
        AlmostLinearRNN,
        DendriticPLRNN,
        ReluRNN,
        ContinuousPLRNN,
        PiecewiseAffineRNN,
        LinearSystem,
        TanhRNN,
        LeakyRNN,
        RateRNN,
        GRU,
        LSTM,
        StackedRNN,
        HopfieldNetwork,
        AntisymmetricRNN,
        CoupledOscillatoryRNN,
        UnitaryRNN,
        DiagonalLinearRNN,
        MinGRU,
        DeltaRule,
        QUNN,
        LayeredField,
    )
}
"""Families that are their parameters, by the name that files and `load(family=...)` use."""

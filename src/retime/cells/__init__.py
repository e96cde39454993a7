"""Cells derived from differential equations, and the way back: which equation a cell steps, and what that says about training it."""

from retime.cells.contractivity import contractivity_radius, log_norm
from retime.cells.forms import ode_form
from retime.cells.result import CellStability, ODEForm
from retime.cells.stability import cell_stability
from retime.convert.ode_rnn import ODERNN
from retime.models.qunn import QUNN

__all__ = [
    "ODERNN",
    "QUNN",
    "CellStability",
    "ODEForm",
    "cell_stability",
    "contractivity_radius",
    "log_norm",
    "ode_form",
]

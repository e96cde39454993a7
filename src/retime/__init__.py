"""retime: move recurrent networks between discrete time, continuous time and circuits, with a certificate on every move."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "AlmostLinearRNN": "retime.models",
    "CertificateError": "retime.core.errors",
    "Continuous": "retime.core.time",
    "ContinuousPLRNN": "retime.models",
    "ConvergenceError": "retime.core.errors",
    "DendriticPLRNN": "retime.models",
    "Discrete": "retime.core.time",
    "Inputs": "retime.core.inputs",
    "LinearSystem": "retime.models",
    "MatrixLog": "retime.convert",
    "MissingDependencyError": "retime.core.errors",
    "ModelFileError": "retime.core.errors",
    "PLRNN": "retime.models",
    "PiecewiseAffineFlow": "retime.models",
    "ReluRNN": "retime.models",
    "RetimeError": "retime.core.errors",
    "ShallowPLRNN": "retime.models",
    "ShapeError": "retime.core.errors",
    "compare": "retime.analysis",
    "io": "retime",
    "load": "retime.io",
    "plots": "retime",
    "save": "retime.io",
    "simulate": "retime.simulation",
    "to_continuous": "retime.convert",
    "zoo": "retime",
}

if TYPE_CHECKING:
    from retime import io, plots, zoo
    from retime.analysis import compare
    from retime.convert import MatrixLog, to_continuous
    from retime.core.errors import (
        CertificateError,
        ConvergenceError,
        MissingDependencyError,
        ModelFileError,
        RetimeError,
        ShapeError,
    )
    from retime.core.inputs import Inputs
    from retime.core.time import Continuous, Discrete
    from retime.io import load, save
    from retime.models import (
        PLRNN,
        AlmostLinearRNN,
        ContinuousPLRNN,
        DendriticPLRNN,
        LinearSystem,
        PiecewiseAffineFlow,
        ReluRNN,
        ShallowPLRNN,
    )
    from retime.simulation import simulate

__all__ = [
    "PLRNN",
    "AlmostLinearRNN",
    "CertificateError",
    "Continuous",
    "ContinuousPLRNN",
    "ConvergenceError",
    "DendriticPLRNN",
    "Discrete",
    "Inputs",
    "LinearSystem",
    "MatrixLog",
    "MissingDependencyError",
    "ModelFileError",
    "PiecewiseAffineFlow",
    "ReluRNN",
    "RetimeError",
    "ShallowPLRNN",
    "ShapeError",
    "compare",
    "io",
    "load",
    "plots",
    "save",
    "simulate",
    "to_continuous",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'retime' has no attribute {name!r}")
    home = _HOME[name]
    value = import_module(f"retime.{name}") if home == "retime" else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""Tasks, training, and reconstruction of dynamical systems from recordings."""

from retime.learn.constraints import Antisymmetric, LogNorm, SpectralNorm, StableStep
from retime.learn.families import Start
from retime.learn.forcing import AdaptiveForcing, GeneralizedForcing, SparseForcing
from retime.learn.reconstruction import fit
from retime.learn.regularization import ManifoldAttractor
from retime.learn.result import Fit
from retime.learn.tasks import AddingProblem, Batch, CopyMemory, Digits, FlipFlop, PulseLogic, Task, TimedPulse
from retime.learn.training import train

__all__ = [
    "AdaptiveForcing",
    "AddingProblem",
    "Antisymmetric",
    "Batch",
    "CopyMemory",
    "Digits",
    "Fit",
    "FlipFlop",
    "GeneralizedForcing",
    "LogNorm",
    "ManifoldAttractor",
    "PulseLogic",
    "SparseForcing",
    "SpectralNorm",
    "StableStep",
    "Start",
    "Task",
    "TimedPulse",
    "fit",
    "train",
]

"""Families that recordings are fitted by: one table, a name for each, and how its gradient is made."""

from __future__ import annotations

from retime.learn.by_hand import AlmostLinear
from retime.learn.by_jax import Compiled
from retime.learn.continuous import ExactFlow
from retime.learn.dynamics import Dynamics
from retime.learn.solved import SolvedFlow

FITTED: dict[str, type[Dynamics]] = {
    "alrnn": AlmostLinear,
    "plrnn": AlmostLinear,
    "shallow_plrnn": Compiled,
    "dendritic_plrnn": Compiled,
    "gru": Compiled,
    "continuous_plrnn": ExactFlow,
    "rate_rnn": SolvedFlow,
}
LINEAR: dict[str, type[Dynamics]] = {  # with a learned observation x = B z + b
    family: Compiled for family, kind in FITTED.items() if kind.needs_equal_times
}

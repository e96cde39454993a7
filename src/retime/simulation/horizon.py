"""How far an orbit is followed: steps or times, what is left out at its beginning, and the input meanwhile."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array, increasing, positive
from retime.core.inputs import Inputs
from retime.core.time import Discrete
from retime.models import PiecewiseAffineFlow
from retime.simulation.simulate import SNAP, _driven, _pieces, _rows, _steps, sample_phases

SHARE = 0.1  # of the horizon that is not measured unless `transient` says otherwise


class Horizon(NamedTuple):
    """steps: of a map or a clock-held flow, else 0. times `(T,)`: of a flow. transient: in steps, or in model time."""

    steps: int
    times: Array
    transient: Any
    start: float


def number_of(num: Any, n: int) -> int:
    """How many exponents of n are asked for.

    Raises:
        ValueError: not a whole number from 1 to n.
    """
    if num is None:
        return n
    if isinstance(num, bool) or not isinstance(num, (int, np.integer)) or not 1 <= num <= n:
        raise ValueError(f"`num` is {num!r}; it must be a whole number from 1 to {n}, the number of states.")
    return int(num)


def horizon_of(model: Any, steps: Any, times: Any, rule: str, transient: Any) -> Horizon:
    """The horizon that `steps` or `times`, and `transient`, ask for.

    Raises:
        ValueError: not those that the kind of system takes.
    """
    is_flow = isinstance(model, PiecewiseAffineFlow)
    is_map = isinstance(model.time, Discrete)
    if is_map and (times is not None or steps is None):
        raise ValueError(f"{type(model).__name__} is a map: give `steps`.")
    if is_flow and (steps is None) == (times is None):
        raise ValueError("Give either `times` or `steps` (the sample times k dt) for a converted flow.")
    if not is_map and not is_flow and (times is None or steps is not None):
        raise ValueError(f"{type(model).__name__} is in continuous time: give `times`, not `steps`.")
    in_steps = steps is not None
    if in_steps:
        count = _steps(steps)
        if count < 1:
            raise ValueError("`steps` is 0; exponents need at least one step.")
        times = model.dt * np.arange(count + 1)
    times = increasing("times", times)
    if len(times) < 2:
        raise ValueError("`times` holds one time; exponents are measured between its first and its last: give two.")
    dt = model.dt if is_map or is_flow else 0.0
    length = (times[-1] - times[0]) / dt if in_steps else float(times[-1] - times[0])
    skipped = _skipped(transient, round(length) if in_steps else length)
    if not (is_map or (is_flow and rule == "clock")):
        return Horizon(0, times, skipped * dt if in_steps else skipped, float(times[0]))
    count = int(np.floor(sample_phases(times, dt)[-1]))
    skip = count // 10 if transient is None else int(skipped) if in_steps else int(np.ceil(skipped / dt - SNAP))
    if count - skip < 1:
        raise ValueError(
            f"`times` hold {count} steps of dt = {dt:.6g}, {skip} of them transient; at least one must be left to measure."
        )
    return Horizon(count, times, skip, float(times[0]))


def _skipped(transient: Any, length: float) -> float:
    """The transient in the unit of the horizon, checked."""
    if transient is None:
        return length // 10 if isinstance(length, int) else SHARE * length
    unit = "steps" if isinstance(length, int) else "model time"
    value = 0.0 if transient == 0 else positive("transient", transient, unit)
    if isinstance(length, int) and value != int(value):
        raise ValueError(f"`transient` is {transient!r}; with `steps` it must be a whole number of steps.")
    if value >= length:
        raise ValueError(f"`transient` is {transient!r}; it must be less than the horizon, {length:.6g} ({unit}).")
    return value


def transient_drive(model: Any, inputs: Any, horizon: Horizon) -> tuple[Array, Array, Array]:
    """The input of a switched flow in pieces, as for `simulate`."""
    m, times = model.num_inputs, horizon.times
    if isinstance(inputs, Inputs):
        return _driven(inputs, times, m)[0]
    if isinstance(model, PiecewiseAffineFlow):
        count = max(int(np.ceil(sample_phases(times, model.dt)[-1])), 1)
        rows = _rows(inputs, count, 1, m, f"one row per step of dt = {model.dt} ({count})")[:-1]
        return _pieces(m, times[0] + model.dt * np.arange(count), rows)
    rows = _rows(inputs, len(times) - 1, 1, m, f"one row per interval of `times` ({len(times) - 1})")[:-1]
    return _pieces(m, times[:-1], rows)

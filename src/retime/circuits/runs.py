"""A run of a circuit as all backends take it: from which voltages, to which times, under which inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arrays import Array, increasing, real_array
from retime.core.errors import ShapeError
from retime.core.inputs import Inputs
from retime.core.system import initial_states
from retime.core.time import Discrete, TimeBase


@dataclass(frozen=True)
class Run:
    """z0 `(b, n)` at times[0]; times `(T,)`, model time; the input as a function of time; seconds that a simulator may take (None: any)."""

    z0: Array
    times: Array
    inputs: Inputs
    timeout: float | None

    @property
    def length(self) -> float:
        """From the first time to the last, model time."""
        return float(self.times[-1] - self.times[0])


def run_of(z0: Any, times: Any, inputs: Any, timeout: Any, num_states: int, num_inputs: int, base: TimeBase) -> Run:
    """The arguments of `simulate`, checked.

    Raises:
        ShapeError, ValueError, TypeError: which one, what came, what is wanted.
    """
    z = np.atleast_2d(initial_states(z0, num_states))
    times = increasing("times", times)
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0):
        raise ValueError(f"`timeout` is {timeout!r}; it must be a number of seconds > 0, or None for no limit.")
    return Run(z, times, _input(inputs, times, num_inputs, base), None if timeout is None else float(timeout))


def run_to_compare(circuit: Any, z0: Any, times: Any, inputs: Any) -> Run:
    """The orbit of a circuit that is compared: from a random state over 20 time constants (100 steps) where none is given.

    Raises:
        ShapeError, ValueError: arguments.
    """
    form = circuit.form
    if z0 is None:
        z0 = np.random.default_rng(0).normal(size=form.num_states) * 0.5
    if np.ndim(z0) != 1:
        raise ShapeError(f"`z0` has shape {np.shape(z0)}; it must be one state ({form.num_states},).")
    if times is None:
        step = form.time.dt if isinstance(form.time, Discrete) else 0.2 * circuit.fastest_time_constant
        times = step * np.arange(101)
    return run_of(z0, times, inputs, None, form.num_states, form.num_inputs, form.time)


def _input(inputs: Any, times: Array, m: int, base: TimeBase) -> Inputs:
    if isinstance(inputs, Inputs):
        if inputs.num_inputs != m:
            raise ShapeError(f"`inputs` has {inputs.num_inputs} columns; the circuit has {m} inputs.")
        if inputs.times[0] > times[0]:
            raise ValueError(
                f"`inputs` begin at {inputs.times[0]:g}, the simulation at {times[0]:g}; give them from there on."
            )
        return inputs
    if inputs is None:
        return Inputs(times[:1], np.zeros((1, m)))
    if callable(inputs):
        raise TypeError(
            "`inputs` is a function; a circuit is driven by sources of given values: use Inputs.sample(function, times)."
        )
    rows = real_array("inputs", inputs)
    rows = rows[:, None] if rows.ndim == 1 and m == 1 else rows
    if isinstance(base, Discrete):
        count = max(1, int(np.ceil((times[-1] - times[0]) / base.dt - 1e-9)))
        starts, meaning = times[0] + base.dt * np.arange(count), f"one row per step of dt = {base.dt:g}"
    else:
        count, starts, meaning = (
            max(1, len(times) - 1),
            times[: max(1, len(times) - 1)],
            "row k from times[k] to times[k + 1]",
        )
    if rows.shape != (count, m):
        raise ShapeError(
            f"`inputs` has shape {rows.shape}; it must be ({count}, {m}), {meaning}, or Inputs(times, values, hold)."
        )
    return Inputs(starts, rows)

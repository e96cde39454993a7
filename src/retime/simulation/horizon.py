"""What every verb is given to follow an orbit: an initial state, steps or times, and the input meanwhile; read once, here."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from retime.core.arguments import whole
from retime.core.arrays import Array, increasing, positive, real_array
from retime.core.errors import ShapeError
from retime.core.inputs import Inputs
from retime.core.states import one_state
from retime.core.system import System, initial_states

SHARE = 0.1  # of the horizon that is not measured unless `transient` says otherwise
SNAP = 1e-9  # a requested time this close (in steps) to a sample time is that sample
MOST_SNAP = 1e-2  # however coarsely times far from 0 are rounded


class Horizon(NamedTuple):
    """steps: of a map or a clock-held flow, else 0. times `(T,)`: of a flow. transient: in steps, or in model time."""

    steps: int
    times: Array
    transient: Any
    start: float

    @property
    def span(self) -> tuple[float, float]:
        """The first time and the last."""
        return float(self.times[0]), float(self.times[-1])


class Drive(NamedTuple):
    """Input s(t) = values + slopes (t - starts) on pieces: starts `(k,)`, values, slopes `(k, 1 or b, m)`, or `(k, m)` of one member."""

    starts: Array
    values: Array
    slopes: Array

    @classmethod
    def held(cls, starts: Array, rows: Array) -> Drive:
        """Zero-order hold of rows `(k, 1 or b, m)`. Without inputs there is a single piece."""
        if rows.shape[-1] == 0:
            starts, rows = starts[:1], np.zeros((1, 1, 0))
        return cls(starts, rows, np.zeros_like(rows))


# --- states ----------------------------------------------------------------------------------------------------------


def started(model: System, z0: Any, inputs: Any) -> Array:
    """z0 as states `(n,)` or `(b, n)` of the model: completed, with the first input, where the model knows how.

    Raises:
        ShapeError: the last axis is not n. ValueError: an entry is not finite.
    """
    z = real_array("z0", one_state(z0))
    if z.ndim in (1, 2) and z.shape[-1] != model.num_states:
        with suppress(ValueError):  # reported below or with the inputs, with the shape that is wanted
            return initial_states(model.start(z, _first(inputs, z.ndim, model.num_inputs)), model.num_states)
    return initial_states(z, model.num_states)


def _first(inputs: Any, ndim: int, m: int) -> Array | None:
    """The first row of inputs: of one member when there is one initial state (`ndim` 1), else of all; None unless of m entries."""
    rows = None if inputs is None or callable(inputs) else np.asarray(inputs, dtype=np.float64)
    if rows is None or rows.size == 0:
        return None
    row = np.atleast_1d(rows[0])
    row = row[0] if ndim == 1 and row.ndim == 2 else row
    return row if row.shape[-1] == m else None


def check_memory(*shape: int) -> None:
    """Refuse states that cannot fit into the machine's memory before the work is begun.

    Raises:
        MemoryError: they cannot.
    """
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:
        return
    needed, there = 8 * math.prod(shape), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise MemoryError(
            f"The states {' x '.join(map(str, shape))} need {needed / 2**30:.1f} GiB; this machine has {there / 2**30:.1f}. Simulate in "
            "parts: start the next from the last state."
        )


# --- time ------------------------------------------------------------------------------------------------------------


class Clock(NamedTuple):
    """What a motion takes as its horizon: `steps` of `dt` (model time, 0 where there are none), `times`, or either."""

    dt: float
    steps: bool
    times: bool

    def read(self, model: System, steps: Any, times: Any, *shape: int) -> Array:
        """The times `(T,)` that are asked for: given, or the sample times k dt, at which states of a shape are to be kept.

        Raises:
            ValueError: those that the model does not take, both, or none; times that do not increase.
            MemoryError: there is no room for the states.
        """
        if not self.times and (times is not None or steps is None):
            raise ValueError(
                f"{type(model).__name__} is a map: give `steps`. For any time in between, convert it with to_continuous."
            )
        if not self.steps and (times is None or steps is not None):
            raise ValueError(f"{type(model).__name__} is in continuous time: give `times`, not `steps`.")
        if (steps is None) == (times is None):
            raise ValueError("Give either `times` or `steps` (the sample times k dt) for a converted flow.")
        if times is not None:
            times = increasing("times", times)
            check_memory(len(times), *shape)
            return times
        count = whole("steps", steps, 0)
        check_memory(count + 1, *shape)
        return self.dt * np.arange(count + 1)


def horizon_of(motion: Any, steps: Any, times: Any, transient: Any) -> Horizon:
    """The horizon that `steps` or `times`, and `transient`, ask for, of a motion (`motion_of`) that is measured.

    Raises:
        ValueError: not those that the kind of system takes, or nothing left to measure.
    """
    in_steps, dt = steps is not None, motion.clock.dt
    times = motion.clock.read(motion.model, steps, times)
    if in_steps and len(times) < 2:
        raise ValueError("`steps` is 0; exponents need at least one step.")
    if len(times) < 2:
        raise ValueError("`times` holds one time; exponents are measured between its first and its last: give two.")
    length = (times[-1] - times[0]) / dt if in_steps else float(times[-1] - times[0])
    skipped = _skipped(transient, round(length) if in_steps else length)
    return motion.measured(times, skipped * dt if in_steps else skipped, transient is None)


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


def sample_phases(times: Array, dt: float) -> Array:
    """Steps from the first time to each; a time is a sample time where rounding of the times given can account for the difference."""
    phase = (times - times[0]) / dt
    whole = np.round(phase)
    rounding = 2.0 * (np.spacing(np.abs(times)) + np.spacing(abs(times[0]))) / dt
    near = np.maximum(SNAP * np.maximum(1.0, whole * 1e-3), np.minimum(rounding, MOST_SNAP))
    return np.where(np.abs(phase - whole) <= near, whole, phase)


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


# --- inputs ----------------------------------------------------------------------------------------------------------


def rows_of(inputs: Any, count: int, batch: int, m: int, meaning: str) -> Array:
    """Inputs as `(count + 1, 1 or b, m)`, the last row repeated; `meaning` says what a row is for.

    Raises:
        TypeError: a function of time. ShapeError: not one row per step.
    """
    if inputs is None:
        return np.zeros((count + 1, 1, m))
    if isinstance(inputs, Inputs) or callable(inputs):
        raise TypeError(
            f"`inputs` is {type(inputs).__name__}; here it must be an array ({count}, {m}), {meaning}. "
            "Inputs(...) is for flows that read the region from the state; a function of time can be sampled with Inputs.sample."
        )
    rows = real_array("inputs", inputs)
    rows = rows[:, None] if rows.ndim == 1 and m == 1 else rows
    rows = rows[:, None, :] if rows.ndim == 2 else rows
    if rows.shape not in ((count, 1, m), (count, batch, m)):
        own = f" or ({count}, {batch}, {m}) for a batch" if batch > 1 else ""
        raise ShapeError(f"`inputs` has shape {np.shape(inputs)}; it must be ({count}, {m}){own}, {meaning}.")
    return np.concatenate([rows, rows[-1:] if count else np.zeros((1, 1, m))])


def driven(inputs: Inputs, times: Array, m: int) -> tuple[Drive, Array]:
    """The pieces of `Inputs` from the first time on, and the input `(T, 1, m)` at the times.

    Raises:
        ShapeError: not m columns. ValueError: times that begin before the input.
    """
    if inputs.num_inputs != m:
        raise ShapeError(f"`inputs` has {inputs.num_inputs} columns; the model has {m} inputs.")
    if times[0] < inputs.times[0]:
        raise ValueError(
            f"`times` begins at {times[0]}, before the first input at {inputs.times[0]}. Start later, or extend the inputs."
        )
    first = int(np.searchsorted(inputs.times, times[0], side="right")) - 1
    drive = Drive(inputs.times[first:], inputs.values[first:, None], inputs.slopes()[first:, None])
    return drive, np.array([inputs(t) for t in times])[:, None]

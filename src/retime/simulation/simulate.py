"""`simulate`: a model and a horizon in, a Trajectory out."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from typing import Any, Literal

import numpy as np

from retime.core.arguments import switching_of, system, whole
from retime.core.arrays import Array, increasing, positive, real_array
from retime.core.errors import ShapeError
from retime.core.inputs import Inputs
from retime.core.states import one_state
from retime.core.status import TrajectoryStatus
from retime.core.system import PiecewiseAffineSystem, SmoothSystem, System, initial_states
from retime.core.time import Discrete
from retime.core.trajectory import Trajectory
from retime.models import PiecewiseAffineFlow, RegionwiseMap
from retime.simulation.run import Runs, clock_runs, map_runs, state_runs
from retime.simulation.smooth import TOLERANCE, Drive, checked_solver, diffrax_runs, input_function, scan_runs

SNAP = 1e-9  # a requested time this close (in steps) to a sample time is that sample
MOST_SNAP = 1e-2  # however coarsely times far from 0 are rounded


def simulate(
    model: System,
    z0: Any,
    *,
    steps: int | None = None,
    times: Any = None,
    inputs: Any = None,
    switching: Literal["clock", "state"] | None = None,
    tolerance: float | None = None,
    solver: Any = None,
) -> Trajectory:
    """Run a model from z0.

    A map takes `steps`. A flow takes `times`; z0 is the state at times[0]. A converted flow takes either (`steps` means
    the sample times k dt) and holds the region from sample to sample with `switching="clock"`, the default, which
    equals the map at the sample times; `switching="state"` reads the region from the current state, locates every
    switch, and slides along a boundary where both fields point at it (Filippov). The sample clock starts at times[0].

    Piecewise-affine systems are followed exactly (Numba kernels). Smooth maps run as one compiled loop (JAX), smooth flows through
    Diffrax with an error per step below `tolerance`; both are compiled at first use, again for another size.

    Args:
        model: any retime model.
        z0: `(n,)`, or a batch `(b, n)`; batches use all cores. A multistep method, or a system with auxiliary states, completes
            the state of the system it was made from.
        steps: number of steps >= 0.
        times: increasing `(T,)`, model time, irregular allowed.
        inputs: `(steps, m)`, row k acts from sample k to k + 1 (for a flow without a sample clock, `(T - 1, m)`: from
            times[k] to times[k + 1]); `(steps, b, m)` gives each member of a batch its own. `Inputs(times, values,
            hold)` for flows without a sample clock; for smooth flows also a function of time that returns `(m,)`. None:
            zero. The last row is held for outputs and patterns at the last time.
        switching: for converted flows only, see above.
        tolerance: for smooth flows only: relative and absolute error per step, 1e-9 by default; the orbit's error is larger.
        solver: for smooth flows only: a Diffrax solver, `Dopri8()` by default; for stiff systems `diffrax.Kvaerno5()`.

    Returns:
        Trajectory: always as long as the horizon; `status` says whether and when it stopped early.

    Raises:
        ShapeError: z0 or inputs of the wrong size.
        ValueError: a missing or superfluous horizon, times that do not increase, an unknown `switching`.
        CertificateError: a region without an autonomous flow, when the conversion was made with `throw=True`.
        TypeError: not a model. MemoryError: the states would not fit into memory.
        RetimeError: a smooth system in a process forked after JAX had started; docs/guides/choose.md, several processes.

    Cost: a piecewise-affine map O(steps (n + active units) n), its flow about 24 products with W per piece of length about
    2 / ||W|| (infinity norm, balanced).
    Backend: NumPy float64 and Numba; JAX in 64 bits and Diffrax for smooth systems. Source: kidger2022; docs/theory/flows.md.
    """
    model = system("simulate", model)
    switching = switching_of(model, switching)
    is_clocked = isinstance(model, PiecewiseAffineFlow)
    is_solved = isinstance(model, SmoothSystem) and not isinstance(model.time, Discrete)
    if (tolerance is not None or solver is not None) and not is_solved:
        raise ValueError(
            f"`tolerance` and `solver` are for smooth flows; {type(model).__name__} needs none. Drop them."
        )
    z = _started(model, z0, inputs)
    batch = z if z.ndim == 2 else z[None]
    if is_clocked:
        times, runs, held = _converted(model, batch, steps, times, inputs, switching or "clock")
    elif isinstance(model.time, Discrete):
        times, runs, held = _map(model, batch, steps, times, inputs)
    elif is_solved:
        tolerance = TOLERANCE if tolerance is None else positive("tolerance", tolerance, "error per step")
        if tolerance > 0.1:
            raise ValueError(
                f"`tolerance` is {tolerance}; an error per step relative to the state must be at most 0.1."
            )
        times, runs, held = _smooth(model, batch, steps, times, inputs, tolerance, solver)
    else:
        times, runs, held = _continuous(model, batch, steps, times, inputs)
    return _trajectory(model, times, runs, held, z.ndim == 2, tolerance if is_solved else None)


def _started(model: System, z0: Any, inputs: Any) -> Array:
    """z0 as states of the model: completed, with the first input, where the model knows how."""
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


def _check_memory(*shape: int) -> None:
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


def _map(model: Any, z: Array, steps: Any, times: Any, inputs: Any) -> tuple[Array, Runs, Array]:
    if times is not None or steps is None:
        raise ValueError(
            f"{type(model).__name__} is a map: give `steps`. For any time in between, convert it with to_continuous."
        )
    count = _steps(steps)
    _check_memory(count + 1, *z.shape)
    rows = _rows(inputs, count, len(z), model.num_inputs, f"one row per step ({count})")
    if isinstance(model, PiecewiseAffineSystem):
        runs = map_runs(model.canonical, z, model.dt, rows)
    elif isinstance(model, RegionwiseMap):
        runs = clock_runs(model.flow, z, 0.0, np.arange(count + 1), rows)
    else:
        runs = scan_runs(model, z, rows)
    return model.dt * np.arange(count + 1), runs, rows


def _converted(
    flow: PiecewiseAffineFlow, z: Array, steps: Any, times: Any, inputs: Any, switching: str
) -> tuple[Array, Runs, Array]:
    if (steps is None) == (times is None):
        raise ValueError("Give either `times` or `steps` (the sample times k dt) to simulate a converted flow.")
    times = flow.dt * np.arange(_steps(steps) + 1) if times is None else increasing("times", times)
    phase = sample_phases(times, flow.dt)
    count = int(np.ceil(phase[-1]))
    if switching == "state" and isinstance(inputs, Inputs):
        drive, held = _driven(inputs, times, flow.num_inputs)
        return times, state_runs(flow, z, times, drive), held
    rows = _rows(inputs, count, len(z), flow.num_inputs, f"one row per step of dt = {flow.dt} ({count})")
    held = rows[np.minimum(np.floor(phase).astype(int), len(rows) - 1)] if flow.num_inputs else rows[:0]
    if switching == "clock":
        return times, clock_runs(flow, z, times[0], phase, rows), held
    starts = times[0] + flow.dt * np.arange(max(count, 1))
    return times, state_runs(flow, z, times, _pieces(flow.num_inputs, starts, rows[: max(count, 1)])), held


def sample_phases(times: Array, dt: float) -> Array:
    """Steps from the first time to each; a time is a sample time where rounding of the times given can account for the difference."""
    phase = (times - times[0]) / dt
    whole = np.round(phase)
    rounding = 2.0 * (np.spacing(np.abs(times)) + np.spacing(abs(times[0]))) / dt
    near = np.maximum(SNAP * np.maximum(1.0, whole * 1e-3), np.minimum(rounding, MOST_SNAP))
    return np.where(np.abs(phase - whole) <= near, whole, phase)


def _continuous(model: Any, z: Array, steps: Any, times: Any, inputs: Any) -> tuple[Array, Runs, Array]:
    if times is None or steps is not None:
        raise ValueError(f"{type(model).__name__} is in continuous time: give `times`, not `steps`.")
    times = increasing("times", times)
    if isinstance(inputs, Inputs):
        drive, held = _driven(inputs, times, model.num_inputs)
        return times, state_runs(model, z, times, drive), held
    count = len(times) - 1
    rows = _rows(inputs, count, len(z), model.num_inputs, f"one row per interval of `times` ({count})")
    starts, held = (times[:-1], rows[:-1]) if count else (times, rows)
    return times, state_runs(model, z, times, _pieces(model.num_inputs, starts, held)), rows


def _smooth(
    model: System, z: Array, steps: Any, times: Any, inputs: Any, tolerance: float, solver: Any
) -> tuple[Array, Runs, Array]:
    if times is None or steps is not None:
        raise ValueError(f"{type(model).__name__} is in continuous time: give `times`, not `steps`.")
    times, m = increasing("times", times), model.num_inputs
    _check_memory(len(times), *z.shape)
    if isinstance(inputs, Inputs):
        pieces, held = _driven(inputs, times, m)
        drive: Any = Drive(*pieces)
    elif callable(inputs):
        drive = input_function(inputs, m)
        held = np.array([drive.in_python([t]) for t in times])[:, None]
    else:
        count = len(times) - 1
        held = _rows(inputs, count, len(z), m, f"one row per interval of `times` ({count})")
        driven = m > 0 and inputs is not None
        drive = Drive(*_pieces(m, times[: max(count, 1)], held[: max(count, 1)])) if driven else None
    return times, diffrax_runs(model, z, times, drive, checked_solver(solver), tolerance), held


def _steps(steps: Any) -> int:
    return whole("steps", steps, 0)


def _rows(inputs: Any, count: int, batch: int, m: int, meaning: str) -> Array:
    """Inputs as `(count + 1, 1 or b, m)`, the last row repeated."""
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


def _pieces(m: int, starts: Array, rows: Array) -> tuple[Array, Array, Array]:
    """Zero-order hold: starts, values and slopes. Without inputs there is a single piece."""
    if m == 0:
        starts, rows = starts[:1], np.zeros((1, 1, 0))
    return starts, rows, np.zeros_like(rows)


def _driven(inputs: Inputs, times: Array, m: int) -> tuple[tuple[Array, Array, Array], Array]:
    if inputs.num_inputs != m:
        raise ShapeError(f"`inputs` has {inputs.num_inputs} columns; the model has {m} inputs.")
    if times[0] < inputs.times[0]:
        raise ValueError(
            f"`times` begins at {times[0]}, before the first input at {inputs.times[0]}. Start later, or extend the inputs."
        )
    first = int(np.searchsorted(inputs.times, times[0], side="right")) - 1
    drive = (inputs.times[first:], inputs.values[first:, None], inputs.slopes()[first:, None])
    return drive, np.array([inputs(t) for t in times])[:, None]


def _trajectory(
    model: Any, times: Array, runs: Runs, held: Array, is_batch: bool, tolerance: float | None
) -> Trajectory:
    states, patterns = runs.states, runs.patterns
    outputs = model.outputs(states, held if held.shape[-1] else None)
    worst = max(range(len(runs.statuses)), key=lambda k: list(TrajectoryStatus).index(runs.statuses[k]))
    message = runs.messages[worst]
    if is_batch and message:
        message = f"initial state {worst}: {message}"
    if not is_batch:
        states, patterns = states[:, 0], patterns[:, 0]
        outputs = None if outputs is None else outputs[:, 0]
    return Trajectory(
        times,
        states,
        outputs,
        patterns,
        runs.switches,
        tuple(runs.sliding) if is_batch else runs.sliding[0],
        runs.statuses[worst],
        float(runs.status_times[worst]),
        message,
        tuple(runs.statuses),
        float("nan") if tolerance is None else tolerance,
    )
